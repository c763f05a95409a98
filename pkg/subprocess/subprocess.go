// Package subprocess runs programs beside a test: their output goes to a file, they end with the test or with the process that it runs in,
// and a test that fails shows what they said last.
package subprocess

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/parentdeath"
)

const (
	startTime = 60 * time.Second
	// lastWords is how much of the output a test shows, in bytes.
	lastWords = 6000
)

// Process is a program that was started, until Kill or the end of its test.
type Process struct {
	// Cmd has the process's state once it has ended.
	Cmd *exec.Cmd
	// Ended is closed when the process has ended.
	Ended <-chan struct{}

	log  string
	once sync.Once
}

// Start starts cmd with its output in the file log, which is made. At the end of t it gets SIGTERM and as long as grace to end, then SIGKILL;
// without grace SIGKILL at once.
func Start(t testing.TB, cmd *exec.Cmd, log string, grace time.Duration) *Process {
	t.Helper()
	p, err := start(cmd, log)
	if err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	t.Cleanup(func() {
		if grace > 0 {
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
			select {
			case <-p.Ended:
			case <-time.After(grace):
			}
		}
		p.Kill()
		if t.Failed() {
			said := p.Log()
			t.Logf("%s said last:\n%s", filepath.Base(cmd.Path), said[max(0, len(said)-lastWords):])
		}
	})
	return p
}

func start(cmd *exec.Cmd, log string) (*Process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = out, out
	waited, err := parentdeath.Spawn(cmd, syscall.SIGKILL, false)
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-waited // cmd has what it says
		_ = out.Close()
	}()
	return &Process{Cmd: cmd, Ended: ended, log: log}, nil
}

// Await waits until ready returns no error. A process that ends before fails t.
func (p *Process) Await(t testing.TB, ready func() error) {
	t.Helper()
	eventually.Succeeds(t, startTime, filepath.Base(p.Cmd.Path)+" is ready", func() error {
		select {
		case <-p.Ended:
			t.Fatalf("%s ended before it was ready: %v", p.Cmd.Path, p.Cmd.ProcessState)
		default:
		}
		return ready()
	})
}

// Kill ends the process by SIGKILL and waits for its end.
func (p *Process) Kill() {
	p.once.Do(func() { _ = p.Cmd.Process.Kill() }) // it may have ended already
	<-p.Ended
}

// Stop asks the process to end by SIGTERM and waits for its end.
func (p *Process) Stop() {
	_ = p.Cmd.Process.Signal(syscall.SIGTERM)
	<-p.Ended
}

// Log is what the process has written so far.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
