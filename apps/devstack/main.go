// Command devstack is the world outside the platform, on a laptop: event broker, mails, Dapr's placement
// and scheduler and the vendors' sandbox. It also starts and stops runs of the platform under the Dapr
// CLI. It is never part of a deployment.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/tandemhq/tandem/apps/devstack/internal/controlplane"
	"github.com/tandemhq/tandem/apps/devstack/internal/settings"
	"github.com/tandemhq/tandem/apps/devstack/internal/world"
	"github.com/tandemhq/tandem/pkg/parentdeath"
)

const usage = `devstack is the world outside the platform, on a laptop.

  devstack serve [--keep]   serve events, mails, placement, scheduler and the sandbox
  devstack guard            hold placement and scheduler (started by serve)
`

func main() {
	// Not NotifyContext with a stop after the first: the signal of a parent's death comes twice.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "devstack:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("say what to do\n\n%s", usage)
	}
	s, err := settings.Parse()
	if err != nil {
		return err
	}
	switch arguments[0] {
	case "serve":
		return serve(ctx, s, arguments[1:])
	case "guard":
		return controlplane.Guard(ctx, s)
	case "help", "-h", "--help":
		fmt.Print(usage)
		return nil
	default:
		return fmt.Errorf("unknown command %q\n\n%s", arguments[0], usage)
	}
}

func serve(ctx context.Context, s settings.Settings, arguments []string) error {
	keep := len(arguments) == 1 && arguments[0] == "--keep"
	if len(arguments) > 0 && !keep {
		return fmt.Errorf("serve takes --keep or nothing, not %q", arguments)
	}
	if parentdeath.Asked() {
		if err := parentdeath.Terminate(ctx, os.Getppid()); err != nil {
			return err
		}
	}
	return world.Serve(ctx, world.Options{
		Settings: s,
		Log:      slog.New(slog.NewJSONHandler(os.Stdout, nil)),
		Keep:     keep,
	})
}
