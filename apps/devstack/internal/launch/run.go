package launch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tandemhq/tandem/apps/devstack/internal/lock"
	"github.com/tandemhq/tandem/apps/devstack/internal/process"
	"github.com/tandemhq/tandem/apps/devstack/internal/world"
	"github.com/tandemhq/tandem/pkg/parentdeath"
)

const (
	lookEvery    = 250 * time.Millisecond
	probeTimeout = 2 * time.Second
	// cliPatience is how long the CLI may take to stop. While it is still starting applications it does
	// not listen, and is not waited for: it would stop them by SIGKILL too.
	cliPatience = 5 * time.Second
	// guardPatience is how long what the CLI does not stop may take: the guard and its children.
	guardPatience = 20 * time.Second
)

// Options are what a run needs.
type Options struct {
	Repository Repository
	// File is the run file.
	File string
	// Installed uses the Dapr found on the machine instead of the repository's.
	Installed bool
	// Out gets the progress. With Terminal it is a terminal, and the line of what is starting is
	// rewritten in place.
	Out      io.Writer
	Terminal bool
	// Signals are the wishes to stop. The first ends the context of Run too; a second one means now.
	Signals <-chan os.Signal
}

// Run runs a run file under the Dapr CLI until ctx ends, and then stops it. An application, a sidecar or
// the CLI that ends by itself stops everything and is the error. However a run ends, Run has seen every
// process of it end before it returns, or says which do not.
func Run(ctx context.Context, o Options) error {
	file, err := readRunFile(o.File)
	if err != nil {
		return err
	}
	program, environment, err := o.Repository.cli(ctx, o.Installed)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Repository.path("logs"), 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	held, err := lock.Try(o.Repository.path("run.lock"))
	if err != nil {
		return fmt.Errorf("another run uses %s (make stop ends it): %w", o.Repository.Data, err)
	}
	ports := file.ports()
	if s, found := file.devstack(); found && world.Kept(ctx, s) {
		for port := range s.Ports() {
			delete(ports, port)
		}
	}
	if err := checkPorts(o.Repository, ports); err != nil {
		return errors.Join(err, held.Release())
	}
	r := &run{Options: o, file: file, progress: progress{out: o.Out, terminal: o.Terminal}, began: time.Now()}
	return errors.Join(r.run(ctx, program, environment), held.Release())
}

// run is one run of the CLI.
type run struct {
	Options
	file     runFile
	progress progress
	record   record
	began    time.Time

	cli   *exec.Cmd
	ended <-chan error // yields the CLI's end, once
	ready map[string]bool
	up    bool // every application is ready
}

func (r *run) run(ctx context.Context, program string, environment []string) error {
	output, err := os.OpenFile(r.cliLog(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("start the Dapr CLI: %w", err)
	}
	r.cli = exec.Command(program, "run", "-f", r.file.Path)
	r.cli.Env = append(environmentOf(os.Environ(), r.Repository), environment...)
	// A file, not a pipe: the CLI must outlive neither us nor a reader that does not read.
	r.cli.Stdout, r.cli.Stderr = output, output
	r.ended, err = parentdeath.Spawn(r.cli, syscall.SIGTERM, true)
	if err := errors.Join(err, output.Close()); err != nil {
		return fmt.Errorf("start the Dapr CLI: %w", err)
	}
	r.ready = map[string]bool{}
	r.record.RunFile = r.file.Path
	failure := r.watch(ctx)
	return errors.Join(failure, r.stop(failure))
}

// environmentOf is the environment of the CLI, which reaches applications and sidecars. Tokens in a run
// file would reach the applications only, and protect nothing.
func environmentOf(own []string, r Repository) []string {
	kept := slices.DeleteFunc(slices.Clone(own), func(entry string) bool {
		return strings.HasPrefix(entry, keptVariable+"=")
	})
	for _, token := range []string{"APP_API_TOKEN", "DAPR_API_TOKEN"} {
		if os.Getenv(token) == "" {
			kept = append(kept, token+"="+rand.Text())
		}
	}
	return append(kept,
		"DAPR_HOST_IP=127.0.0.1", // what resolvers hand out
		runVariable+"="+r.Data)
}

// watch waits until ctx ends, which is no error, or something of the run does.
func (r *run) watch(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := r.look(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-r.ended:
			r.ended = nil
			return fmt.Errorf("the Dapr CLI has ended (%s); its output is in %s%s",
				outcome(err), r.cliLog(), quote(tail(r.cliLog(), "")))
		case <-tick.C:
		}
	}
}

// look notes new processes of the run, and applications that have become ready, and fails for those that
// have gone.
func (r *run) look(ctx context.Context) error {
	all, err := process.List()
	if err != nil {
		return err
	}
	if err := r.note(all); err != nil {
		return err
	}
	for _, known := range r.record.Processes {
		now, found := process.Find(all, known.PID)
		if found && now.Same(known.Process) || known.PPID != r.cli.Process.Pid {
			continue // what an application starts may end, and for a moment shows the application's program
		}
		for _, a := range r.file.Apps {
			if known.Part == a.ID || known.Part == sidecarOf(a.ID) {
				return r.died(a, known)
			}
		}
	}
	if !r.up {
		r.probe(ctx)
	}
	return nil
}

func sidecarOf(id string) string { return "sidecar of " + id }

// note records the descendants of the CLI.
func (r *run) note(all []process.Process) error {
	cli, found := process.Find(all, r.cli.Process.Pid)
	if !found {
		return nil // its end is reported elsewhere
	}
	changed := r.record.add("Dapr CLI", cli)
	if r.record.Launcher.PID == 0 {
		r.record.Launcher, _ = process.Find(all, os.Getpid())
		changed = true
	}
	for _, p := range descendants(all, cli.PID) {
		if p.Program == cli.Program || r.record.part(p) != "" {
			continue // a child that has not become its program yet still shows the CLI's
		}
		part := p.Name() // of a descendant of an application, which has its environment
		if p.PPID == cli.PID {
			if appOf(p) == "" {
				continue // it is becoming its program, whose name is seen before its arguments and environment
			}
			part = describe(p)
		}
		changed = r.record.add(part, p) || changed
		for _, a := range r.file.Apps {
			if part == sidecarOf(a.ID) {
				r.progress.starting(a.ID, time.Since(r.began))
			}
		}
	}
	if !changed {
		return nil
	}
	return r.record.write(r.Repository)
}

func descendants(all []process.Process, pid int) []process.Process {
	var found []process.Process
	for _, p := range all {
		if p.PPID == pid {
			found = append(append(found, p), descendants(all, p.PID)...)
		}
	}
	return found
}

// probe asks the applications that are not ready yet whether they are.
func (r *run) probe(ctx context.Context) {
	for _, a := range r.file.Apps {
		if r.ready[a.ID] || !slices.ContainsFunc(r.record.Processes, func(p recorded) bool { return p.Part == a.ID }) {
			continue
		}
		if isReady(ctx, a) {
			r.ready[a.ID] = true
			r.progress.ready(a, time.Since(r.began))
		}
	}
	if len(r.ready) == len(r.file.Apps) {
		r.up = true
		r.progress.running(r.file, r.Repository, time.Since(r.began))
		return
	}
	r.progress.waiting(time.Since(r.began))
}

// isReady asks an application, and whether its sidecar listens: one that has no use for its sidecar may be
// ready before it.
func isReady(ctx context.Context, a app) bool {
	if a.HTTPPort > 0 && !isTaken(a.HTTPPort) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/readyz", a.Port), nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close() // only the status counts
	return response.StatusCode == http.StatusOK
}

// died says what of the run has gone and what its log ends with.
func (r *run) died(a app, gone recorded) error {
	of, what := "app", a.ID
	if gone.Part != a.ID {
		of, what = "daprd", "the "+gone.Part
	}
	log := a.log(of)
	if log == "" { // it went to the CLI's output
		return fmt.Errorf("%s has ended; its output is in %s%s", what, r.cliLog(), quote(tail(r.cliLog(), a.ID+" ==")))
	}
	awaitEnd(log)
	return fmt.Errorf("%s has ended; its log is %s%s", what, log, quote(tail(log, "")))
}

// stop ends the run and everything that is left of it.
func (r *run) stop(failure error) error {
	r.progress.stopping(failure)
	if failure == nil {
		<-r.Signals // the one that ended the context
	}
	hurry := r.stopCLI()
	left, err := ofRun(r.Repository, r.record)
	if err != nil {
		return err
	}
	if !hurry {
		left = remaining(left, guardPatience)
	}
	if err := end(left, 2*time.Second); err != nil {
		return err // the record stays for make stop
	}
	r.progress.stopped(left)
	return removeRecord(r.Repository)
}

// stopCLI stops the CLI, which stops its applications, and reports whether a second signal came.
func (r *run) stopCLI() (hurry bool) {
	if r.ended != nil {
		patience := cliPatience
		if !r.up {
			patience = 0
		}
		_ = r.cli.Process.Signal(syscall.SIGTERM) // it may have gone
		select {
		case <-r.ended:
		case <-r.Signals:
			hurry = true
		case <-time.After(patience):
		}
	}
	// Whatever is in its group is the CLI or of it; applications and sidecars get no other signal from
	// the CLI either. The guard has a group of its own.
	_ = syscall.Kill(-r.cli.Process.Pid, syscall.SIGKILL)
	return hurry
}

func (r *run) cliLog() string { return r.Repository.path("logs", "dapr.log") }

func outcome(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}
