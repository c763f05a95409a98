// Command bench measures the figures of the README, in one run, on this machine: `make bench`. It asserts
// nothing; targets stand beside what was measured.
//
//	go run ./test/bench                        every figure
//	go run ./test/bench -only store,dashboard  some of them
//	go run ./test/bench -write README.md       and write them between its markers
//
// It needs what `make build` builds, and the CDNOW orders (SANDBOX_ORDERS, or beside the repository).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tandemhq/tandem/test/measure"
)

// rows are what can be measured, in the order of the table.
var rows = []string{"stack", "call", "direct", "store", "sync", "records", "throttled", "webhooks", "dashboard", "auth", "start"}

// options are what is measured, and how often.
type options struct {
	rows          []string
	syncs, starts int
}

func (o options) wants(row string) bool { return slices.Contains(o.rows, row) }

func main() {
	only := flag.String("only", strings.Join(rows, ","), "the `rows` to measure")
	write := flag.String("write", "", "the Markdown `file` to write the table into, between its markers")
	syncs := flag.Int("syncs", 5, "syncs to take the median of")
	starts := flag.Int("starts", 3, "starts of each topology to take the median of")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := options{rows: strings.Split(*only, ","), syncs: max(1, *syncs), starts: max(1, *starts)}
	if err := run(ctx, o, *write); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, write string) error {
	for _, row := range o.rows {
		if !slices.Contains(rows, row) {
			return fmt.Errorf("no row %q; there are %s", row, strings.Join(rows, ", "))
		}
	}
	machine, err := measure.Machine()
	if err != nil {
		return err
	}
	before, err := measure.Load()
	if err != nil {
		return err
	}
	figures, err := measureAll(ctx, o)
	if err != nil {
		return err
	}
	after, err := measure.Load()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("`make bench` on %s, %s; load average %.1f before and %.1f after.\n\n%s",
		time.Now().UTC().Format(time.DateOnly), machine, before, after, table(figures))
	fmt.Print("\n", text)
	if write == "" {
		return nil
	}
	return writeBetweenMarkers(write, text)
}

func measureAll(ctx context.Context, o options) ([]figure, error) {
	var figures []figure
	steps := []struct {
		wanted  bool
		measure func(context.Context, options) ([]figure, error)
	}{
		{o.wants("stack"), stack},
		{o.wants("store"), stores},
		{o.wants("auth"), checks},
		{slices.ContainsFunc([]string{"call", "direct", "sync", "records", "throttled", "webhooks", "dashboard", "auth", "start"}, o.wants), onSidecars},
	}
	for _, s := range steps {
		if !s.wanted {
			continue
		}
		more, err := s.measure(ctx, o)
		if err != nil {
			return nil, errors.Join(err, ctx.Err())
		}
		figures = append(figures, more...)
	}
	slices.SortStableFunc(figures, func(a, b figure) int { return slices.Index(rows, a.row) - slices.Index(rows, b.row) })
	return figures, nil
}

// progress tells what is being measured; it goes where it is not mixed with the table.
func progress(format string, v ...any) { fmt.Fprintf(os.Stderr, format+"\n", v...) }
