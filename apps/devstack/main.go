// Command devstack is the world outside the platform, on a laptop: event broker, mails, Dapr's placement
// and scheduler and the vendors' sandbox. It also starts and stops runs of the platform under the Dapr
// CLI. It is never part of a deployment.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/tandemhq/tandem/apps/devstack/internal/controlplane"
	"github.com/tandemhq/tandem/apps/devstack/internal/launch"
	"github.com/tandemhq/tandem/apps/devstack/internal/settings"
	"github.com/tandemhq/tandem/apps/devstack/internal/world"
	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/parentdeath"
)

const usage = `devstack is the world outside the platform, on a laptop, and starts and stops the platform there.

  devstack serve              serve events, mails, placement, scheduler and the sandbox
  devstack run -f FILE        run a run file under the Dapr CLI; DAPR=installed uses that of the machine
  devstack stop               end a run, or what a killed one left
  devstack up, devstack down  keep what serve serves running between runs
  devstack guard              hold placement and scheduler (started by serve)

run, stop, up and down take --data DIR, where runs are recorded (.tandem in the repository).
`

var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// lastWords is how long the Dapr CLI, which sets APP_ID, gets to read why this program ends: it stops
// reading when the program has ended, read or not.
const lastWords = 200 * time.Millisecond

func main() {
	// It stays registered: the signal of a parent's death comes more than once.
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals...)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "devstack:", err)
		if os.Getenv("APP_ID") != "" {
			time.Sleep(lastWords)
		}
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
		return serve(ctx, s)
	case "guard":
		return controlplane.Guard(ctx, s)
	case "run", "stop", "up", "down":
		return launcher(ctx, s, arguments[0], arguments[1:])
	case "help", "-h", "--help":
		fmt.Print(usage)
		return nil
	default:
		return fmt.Errorf("unknown command %q\n\n%s", arguments[0], usage)
	}
}

func serve(ctx context.Context, s settings.Settings) error {
	if parentdeath.Asked() {
		if err := parentdeath.Terminate(ctx, os.Getppid()); err != nil {
			return err
		}
	}
	vendors, err := env.ParseAs[sandbox.Config]()
	if err != nil {
		return fmt.Errorf("read the environment: %w", err)
	}
	vendors.Now = time.Now
	simulated, err := sandbox.New(vendors)
	if err != nil {
		return err
	}
	return world.Serve(ctx, world.Options{
		Settings: s,
		Sandbox:  simulated,
		Log:      slog.New(slog.NewJSONHandler(os.Stdout, nil)),
	})
}

func launcher(ctx context.Context, s settings.Settings, name string, arguments []string) error {
	flags := flag.NewFlagSet("devstack "+name, flag.ContinueOnError)
	file := flags.String("f", "dapr/monolith.yaml", "the run file")
	data := flags.String("data", ".tandem", "the `directory` where runs are recorded, in the repository")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	repository, err := launch.FindRepository(".", *data)
	if err != nil {
		return err
	}
	switch name {
	case "run":
		signals := make(chan os.Signal, 2)
		signal.Notify(signals, stopSignals...)
		return launch.Run(ctx, launch.Options{
			Repository: repository, File: *file, Installed: os.Getenv("DAPR") == "installed",
			Out: os.Stdout, Terminal: isTerminal(os.Stdout), Signals: signals,
		})
	case "stop":
		return launch.Stop(repository, os.Stdout)
	case "up":
		return launch.Up(ctx, repository, s, os.Stdout)
	default:
		return launch.Down(repository, os.Stdout)
	}
}

func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
