// Package controlplane runs Dapr's placement and scheduler on ports of their own, on loopback, held by a
// guard.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tandemhq/tandem/apps/devstack/internal/guard"
	"github.com/tandemhq/tandem/apps/devstack/internal/lock"
	"github.com/tandemhq/tandem/apps/devstack/internal/settings"
	"github.com/tandemhq/tandem/pkg/parentdeath"
)

const (
	// previousStop is how long a guard waits for that of the run before to stop its children.
	previousStop = 2*guard.Grace + 2*time.Second
	// readyTimeout is how long both may take to be ready, the guard before them included.
	readyTimeout = previousStop + 30*time.Second
	pollEvery    = 50 * time.Millisecond
	// parentVariable tells the guard who started it: asking would race with that one's death.
	parentVariable = "TANDEM_GUARD_PARENT"
)

// Running is a guard with its children.
type Running struct {
	cmd *exec.Cmd
	// gone is closed when the guard has ended.
	gone chan struct{}
	err  error
	log  string
}

// Start runs the guard, which is this program with the argument "guard", and waits until placement and
// scheduler are ready.
func Start(ctx context.Context, s settings.Settings) (*Running, error) {
	for _, child := range children(s) {
		if _, err := os.Stat(child.Path); err != nil {
			return nil, fmt.Errorf("find %s: %w (make build builds it; dapr init --slim installs it)", child.Name, err)
		}
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	path := s.Path("logs", "guard.log")
	// A file, not our output: that is a pipe to the CLI, whose end would kill the guard by SIGPIPE
	// just when it has children to stop.
	log, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	cmd := exec.Command(program, "guard")
	// Without the CLI's APP_ID: the guard is none of its applications.
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "APP_ID=") }),
		parentVariable+"="+strconv.Itoa(os.Getpid()))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := errors.Join(cmd.Start(), log.Close()); err != nil {
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	r := &Running{cmd: cmd, gone: make(chan struct{}), log: path}
	go func() {
		r.err = cmd.Wait()
		close(r.gone)
	}()
	if err := r.awaitReady(ctx, s); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// Gone is closed when the guard has ended, with its children.
func (r *Running) Gone() <-chan struct{} { return r.gone }

// Err says why the guard ended by itself.
func (r *Running) Err() error {
	said, err := os.ReadFile(r.log)
	if text := strings.TrimSpace(string(said)); err == nil && text != "" {
		return errors.New(text)
	}
	return fmt.Errorf("the guard of placement and scheduler ended: %w; its log is %s", r.err, r.log)
}

// Stop tells the guard to stop its children and waits until it has.
func (r *Running) Stop() error {
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may have gone
	select {
	case <-r.gone:
		return nil
	case <-time.After(previousStop):
		return fmt.Errorf("the guard (process %d) does not stop; its log is %s", r.cmd.Process.Pid, r.log)
	}
}

func (r *Running) awaitReady(ctx context.Context, s settings.Settings) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		waitingFor := r.unready(ctx, s)
		if waitingFor == nil {
			return nil
		}
		select {
		case <-r.gone:
			return r.Err()
		case <-ctx.Done():
			return fmt.Errorf("wait for placement and scheduler: %w; their logs are in %s", waitingFor, s.Path("logs"))
		case <-time.After(pollEvery):
		}
	}
}

// unready says what is not ready yet, nil if all is.
func (r *Running) unready(ctx context.Context, s settings.Settings) error {
	// Without the lock, what answers may be what the guard of the run before is stopping.
	if holder := lock.Holder(lockPath(s)); holder != r.cmd.Process.Pid {
		return fmt.Errorf("process %d, the guard of another run, still holds %s", holder, lockPath(s))
	}
	for _, address := range []string{s.Placement(), s.Scheduler()} {
		connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		_ = connection.Close() // nothing was sent
	}
	for _, address := range []string{s.PlacementHealth(), s.SchedulerHealth()} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
		if err != nil {
			return err
		}
		response, err := (&http.Client{Timeout: time.Second}).Do(request)
		if err != nil {
			return err
		}
		_ = response.Body.Close() // nothing was read
		if response.StatusCode >= 300 {
			return fmt.Errorf("%s answers %s", request.URL, response.Status)
		}
	}
	return nil
}

// Guard is what the process that Start began does: it holds placement and scheduler until ctx ends or its
// parent does.
func Guard(ctx context.Context, s settings.Settings) error {
	if parent, err := strconv.Atoi(os.Getenv(parentVariable)); err == nil {
		if err := parentdeath.Terminate(ctx, parent); err != nil {
			return err
		}
	}
	wait, cancel := context.WithTimeout(ctx, previousStop)
	defer cancel()
	held, err := lock.Acquire(wait, lockPath(s))
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to stop before anything began
		}
		return fmt.Errorf("placement and scheduler of another run use %s: %w", s.Data, err)
	}
	return errors.Join(guard.Hold(ctx, children(s)), held.Release())
}

func lockPath(s settings.Settings) string { return s.Path("guard.lock") }

func children(s settings.Settings) []guard.Child {
	const placementID, schedulerID = "dapr-placement-0", "dapr-scheduler-server-0"
	return []guard.Child{{
		Name: "placement",
		Path: filepath.Join(s.DaprBin, "placement"),
		Log:  s.Path("logs", "placement.log"),
		Args: flags(
			listen("", s.Placement()),
			listen("healthz-", s.PlacementHealth()),
			listen("metrics-", s.PlacementMetrics()),
			[]string{"--id=" + placementID, "--initial-cluster=" + placementID + "=" + s.PlacementPeer()},
		),
	}, {
		Name: "scheduler",
		Path: filepath.Join(s.DaprBin, "scheduler"),
		Log:  s.Path("logs", "scheduler.log"),
		Args: flags(
			listen("", s.Scheduler()),
			listen("healthz-", s.SchedulerHealth()),
			listen("metrics-", s.SchedulerMetrics()),
			listen("etcd-client-", s.EtcdClient()),
			[]string{
				"--id=" + schedulerID,
				"--etcd-initial-cluster=" + schedulerID + "=http://" + s.EtcdPeer(),
				"--etcd-data-dir=" + s.Path("scheduler"),
				// The address it tells sidecars to connect to.
				"--override-broadcast-host-port=" + s.Scheduler(),
			},
		),
	}}
}

func flags(groups ...[]string) []string {
	var all []string
	for _, group := range groups {
		all = append(all, group...)
	}
	return all
}

// listen is a pair of flags for an address: Dapr's services take host and port apart.
func listen(prefix, address string) []string {
	host, port, _ := net.SplitHostPort(address) // made by settings
	return []string{"--" + prefix + "listen-address=" + host, "--" + prefix + "port=" + port}
}
