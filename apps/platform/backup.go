package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/tandemhq/tandem/pkg/backup"
)

const localData = ".tandem"

// backUp copies the data of the embedded stores into a file, while nothing runs.
func backUp(arguments []string) error {
	flags := flag.NewFlagSet("platform backup", flag.ContinueOnError)
	data := flags.String("data", localData, "folder of all data")
	now := time.Now()
	to := flags.String("into", "tandem-"+now.UTC().Format("20060102T150405Z")+".backup", "file to write, which must not exist")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return errors.New("say only --data and --into")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	m, err := backup.Write(ctx, *data, *to, version, now)
	if err != nil {
		return err
	}
	fmt.Printf("%d files of %s are in %s. It holds the secrets too: keep it as you keep them.\n", len(m.Files), *data, *to)
	return nil
}

// restore puts a backup into an empty data folder.
func restore(arguments []string) error {
	flags := flag.NewFlagSet("platform restore", flag.ContinueOnError)
	data := flags.String("data", localData, "folder of all data, which must have none of it yet")
	from := flags.String("from", "", "file that platform backup wrote")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *from == "" || flags.NArg() > 0 {
		return errors.New("say which backup: --from FILE")
	}
	m, err := backup.Read(*from, *data)
	if errors.Is(err, backup.ErrOccupied) {
		return fmt.Errorf("%w; move it away first", err)
	}
	if err != nil {
		return err
	}
	fmt.Printf("%d files of %s are in %s, as version %s left them.\n", len(m.Files), m.Made.Format(time.RFC3339), *data, m.Version)
	return nil
}
