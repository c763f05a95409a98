package topology_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandemhq/tandem/pkg/topology"
)

func TestFileMovesAGroupWhileRunning(t *testing.T) {
	defer goleak.VerifyNone(t)
	path := filepath.Join(t.TempDir(), "topology")
	write(t, path, "# one process\n*=platform\n")

	reports := make(chan error, 8)
	changes := make(chan topology.Topology, 8)
	current := topology.NewCurrent(topology.Topology{})
	file := topology.NewFile(path, current, topology.FileOptions{
		Every:   time.Millisecond,
		Report:  func(err error) { reports <- err },
		Changed: func(_, to topology.Topology) { changes <- to },
	})
	if err := file.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := current.Get().String(); got != "*=platform" {
		t.Fatalf("after Start: %s", got)
	}

	write(t, path, "integrations=integrations,\n*=platform\n")
	if got := receive(t, changes).String(); got != "integrations=integrations,*=platform" {
		t.Errorf("changed to %s", got)
	}

	for _, broken := range []struct{ content, want string }{
		{"billing=platform\n", `"billing=platform"`},
		{"auth=platform\n", "group ml"},
		{"# nothing\n", "empty"},
	} {
		write(t, path, broken.content)
		if err := receive(t, reports); !strings.Contains(err.Error(), broken.want) {
			t.Errorf("report of %q: %v, want %q", broken.content, err, broken.want)
		}
		if home, err := current.Home(topology.Integrations); err != nil || home != "integrations" {
			t.Errorf("after %q: integrations lives in %q, %v", broken.content, home, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, reports); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("report of a removed file: %v", err)
	}

	write(t, path, "*=platform\n")
	if got := receive(t, changes).String(); got != "*=platform" {
		t.Errorf("changed to %s", got)
	}
	if err := file.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(reports) > 0 {
		t.Errorf("the same cause was reported again: %v", <-reports)
	}
}

func TestFileRefusesToStart(t *testing.T) {
	defer goleak.VerifyNone(t)
	missing := filepath.Join(t.TempDir(), "missing")
	invalid := filepath.Join(t.TempDir(), "invalid")
	write(t, invalid, "auth=\n")
	before, err := topology.Named(topology.Hybrid)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{missing, invalid} {
		current := topology.NewCurrent(before)
		file := topology.NewFile(path, current, topology.FileOptions{})
		if err := file.Start(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Start: %v, want an error that names %s", err, path)
		}
		if current.Get() != before {
			t.Errorf("the topology is now %s", current.Get())
		}
		if err := file.Stop(context.Background()); err != nil {
			t.Errorf("Stop without Start: %v", err)
		}
	}
}

// write replaces a file as a whole: what watches it would report one that is cut short.
func write(t *testing.T, path, content string) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(5 * time.Second):
		t.Fatal("nothing within 5 s")
		panic("unreachable")
	}
}
