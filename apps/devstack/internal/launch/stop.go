package launch

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tandemhq/tandem/apps/devstack/internal/process"
	"github.com/tandemhq/tandem/apps/devstack/internal/settings"
	"github.com/tandemhq/tandem/apps/devstack/internal/world"
)

// Stop ends the run recorded in the repository's data directory, or what a kill left of it, and says what
// it ended. Processes of others are not touched, nor is a devstack that is to be kept.
func Stop(r Repository, out io.Writer) error {
	known, err := readRecord(r)
	if err != nil {
		return err
	}
	if err := stopLauncher(known, out); err != nil {
		return err
	}
	found, err := ofRun(r, known)
	if err != nil {
		return err
	}
	abandoned, err := orphans(r)
	if err != nil {
		return err
	}
	if err := endAll(append(found, abandoned...), out); err != nil {
		return err
	}
	return removeRecord(r)
}

// stopLauncher asks a launcher that still lives to stop its run, which it does better than anyone.
func stopLauncher(known record, out io.Writer) error {
	all, err := process.List()
	if err != nil {
		return err
	}
	launcher, running := process.Find(all, known.Launcher.PID)
	if !running || !launcher.Same(known.Launcher) || ancestors(all, os.Getpid())[launcher.PID] {
		return nil
	}
	fmt.Fprintf(out, "stopping the run of process %d\n", launcher.PID)
	if err := launcher.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the run: %w", err)
	}
	for _, l := range remaining([]leftover{{launcher, "launcher"}}, cliPatience+guardPatience+5*time.Second) {
		return end([]leftover{l}, 0)
	}
	return nil
}

func endAll(found []leftover, out io.Writer) error {
	if err := end(found, graceful); err != nil {
		return err
	}
	for _, l := range found {
		fmt.Fprintf(out, "ended %s\n", l)
	}
	if len(found) == 0 {
		fmt.Fprintln(out, "nothing is left running")
	}
	return nil
}

// upTimeout is how long a devstack that is to be kept may take to be ready.
const upTimeout = 90 * time.Second

// Up starts a devstack that outlives runs, and waits until it is ready.
func Up(ctx context.Context, r Repository, s settings.Settings, out io.Writer) error {
	s.Data = r.Data
	if !world.Kept(ctx, s) {
		if err := startKept(ctx, r, s); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "The local dependencies run until make down.\n  Inbox  http://localhost:%d/inbox\n  SMTP   %s\n  NATS   %s\n  Logs   %s\n",
		s.Port, s.SMTP(), s.NATS(), relative(r.path("logs")))
	return nil
}

func startKept(ctx context.Context, r Repository, s settings.Settings) error {
	if err := checkPorts(r, s.Ports()); err != nil {
		return err
	}
	if err := os.MkdirAll(r.path("logs"), 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	path := r.path("logs", "devstack.log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("start devstack: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(r.Root, "bin", "devstack"), "serve")
	cmd.Dir = r.Root
	cmd.Env = append(os.Environ(), keptVariable+"=true", "TANDEM_DATA="+r.Data, "TANDEM_END_WITH_PARENT=false")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the terminal
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start devstack: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // as long as we live; it outlives us
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	for !world.Kept(ctx, s) {
		select {
		case err := <-ended:
			return fmt.Errorf("devstack has ended (%s); its log is %s%s", outcome(err), path, quote(tail(path, "")))
		case <-ctx.Done():
			return fmt.Errorf("devstack is not ready: %w; its log is %s%s", ctx.Err(), path, quote(tail(path, "")))
		case <-time.After(pollEvery):
		}
	}
	return nil
}

// Down ends the devstack that Up started, and says what it ended.
func Down(r Repository, out io.Writer) error {
	found, err := ofKept(r)
	if err != nil {
		return err
	}
	return endAll(found, out)
}
