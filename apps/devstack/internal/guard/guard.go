// Package guard holds processes that must be stopped gracefully whatever happens to the one that needs
// them.
//
// The Dapr CLI stops its applications by SIGKILL. A scheduler that dies that way keeps its lease in etcd,
// and the first workflow of the next run waits about 21 s for it. So devstack starts placement and
// scheduler through a guard: a process in a process group of its own, which the death of its parent
// reaches as SIGTERM and which then stops its children in order. (The same signal set directly on the
// scheduler arrives more than once, because its parent has several threads, and the second aborts its
// graceful stop.)
package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/tandemhq/tandem/pkg/parentdeath"
)

// Child is a process to hold.
type Child struct {
	// Name is how messages call it.
	Name string
	// Path and Args are the program and its arguments.
	Path string
	Args []string
	// Log is the file of its output; that of the run before is kept beside it with ".1" at the end.
	Log string
}

// Grace is how long a child has between SIGTERM and SIGKILL.
const Grace = 5 * time.Second

// tailLines is how much of a failed child's log its error quotes.
const tailLines = 10

// Hold starts the children in order and holds them until ctx ends; then it stops them, the last first,
// each before the next. A child that cannot start or ends by itself stops the others and is the error:
// its name, its last lines and its log file. A ctx that ends while children are still being started
// stops those that were.
func Hold(ctx context.Context, children []Child) error {
	ended := make(chan error, len(children))
	var running []*process
	var failure error
	for _, child := range children {
		if ctx.Err() != nil {
			break
		}
		p, err := start(child, ended)
		if err != nil {
			failure = err
			break
		}
		running = append(running, p)
	}
	if failure == nil {
		select {
		case <-ctx.Done():
		case failure = <-ended:
		}
	}
	for i := len(running) - 1; i >= 0; i-- {
		failure = errors.Join(failure, running[i].stop())
	}
	return failure
}

type process struct {
	child Child
	cmd   *exec.Cmd
	gone  chan struct{}
}

func start(child Child, ended chan<- error) (*process, error) {
	if err := os.Rename(child.Log, child.Log+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("start %s: put the last log aside: %w", child.Name, err)
	}
	log, err := os.OpenFile(child.Log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: open its log: %w", child.Name, err)
	}
	cmd := exec.Command(child.Path, child.Args...)
	cmd.Stdout, cmd.Stderr = log, log
	// A child dies with a guard that is killed itself: then nobody could stop it gracefully.
	waited, err := parentdeath.Spawn(cmd, syscall.SIGKILL, false)
	if err := errors.Join(err, log.Close()); err != nil {
		return nil, fmt.Errorf("start %s: %w", child.Name, err)
	}
	p := &process{child: child, cmd: cmd, gone: make(chan struct{})}
	go func() {
		err := <-waited
		close(p.gone)
		ended <- fmt.Errorf("%s ended (%s); its log is %s%s", child.Name, outcome(err), child.Log, tail(child.Log))
	}()
	return p, nil
}

// stop asks once, waits, and kills what does not listen.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have gone
	select {
	case <-p.gone:
		return nil
	case <-time.After(Grace):
	}
	_ = p.cmd.Process.Kill()
	<-p.gone
	return fmt.Errorf("%s did not stop within %s and was killed; its log is %s", p.child.Name, Grace, p.child.Log)
}

func outcome(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// tail quotes the last lines of a log, each indented, or says nothing.
func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	if len(lines) == 1 && lines[0] == "" {
		return " (empty)"
	}
	return ":\n    " + strings.Join(lines, "\n    ")
}
