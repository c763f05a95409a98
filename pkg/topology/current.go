package topology

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Current is the topology in force. Readers ask it for every call instead of keeping a copy, which is
// what lets a group move while processes run. It is safe for concurrent use.
type Current struct {
	value atomic.Pointer[Topology]
}

// NewCurrent returns a Current that begins with t.
func NewCurrent(t Topology) *Current {
	c := &Current{}
	c.Replace(t)
	return c
}

// Get returns the topology in force.
func (c *Current) Get() Topology { return *c.value.Load() }

// Replace puts t in force.
func (c *Current) Replace(t Topology) { c.value.Store(&t) }

// Home returns the app-id that hosts the group now; see [Topology.Home].
func (c *Current) Home(g Group) (string, error) { return c.Get().Home(g) }

// FileOptions configure a [File]. The zero value is the default.
type FileOptions struct {
	// Every is the time between two looks at the file; 1 s when zero.
	Every time.Duration
	// Report is told, once for each distinct cause, why the file's content is not in force. The
	// topology before it stays. It runs on the watching goroutine.
	Report func(error)
	// Changed is told of each replacement made after Start. It runs on the watching goroutine.
	Changed func(from, to Topology)
}

// File keeps a [Current] equal to the content of TANDEM_TOPOLOGY_FILE, which a person edits on a
// laptop and a ConfigMap mounts in Kubernetes. It polls: a ConfigMap is swapped by symbolic links, for
// which notifications differ between systems.
type File struct {
	path    string
	current *Current
	options FileOptions
	seen    []byte // content at the last look
	taken   []byte // content in force
	cancel  context.CancelFunc
	done    chan struct{}
}

// NewFile returns a File that is not watching yet.
func NewFile(path string, current *Current, options FileOptions) *File {
	if options.Every <= 0 {
		options.Every = time.Second
	}
	return &File{path: path, current: current, options: options}
}

// Start puts the file's topology in force and begins to watch. A file that is missing or invalid at
// this moment is an error and nothing is watched. A File is started once.
func (f *File) Start(context.Context) error {
	if f.done != nil {
		return fmt.Errorf("watch topology file %s: already started", f.path)
	}
	content, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("read topology file: %w", err)
	}
	t, err := parseFile(content)
	if err != nil {
		return fmt.Errorf("topology file %s: %w", f.path, err)
	}
	f.seen, f.taken = content, content
	f.current.Replace(t)

	ctx, cancel := context.WithCancel(context.Background())
	f.cancel, f.done = cancel, make(chan struct{})
	go f.watch(ctx)
	return nil
}

// Stop ends the watch and waits for it, or returns the context's error. Without Start it does nothing.
func (f *File) Stop(ctx context.Context) error {
	if f.done == nil {
		return nil
	}
	f.cancel()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop watching topology file: %w", ctx.Err())
	}
}

func (f *File) watch(ctx context.Context) {
	defer close(f.done)
	ticker := time.NewTicker(f.options.Every)
	defer ticker.Stop()
	reported := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := f.look()
		if err == nil {
			reported = ""
			continue
		}
		if err.Error() != reported && f.options.Report != nil {
			f.options.Report(err)
		}
		reported = err.Error()
	}
}

// look takes new content only when two looks in a row found the same: an editor that truncates and
// writes would otherwise be read half-way, and half a topology can be a valid one.
func (f *File) look() error {
	content, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("read topology file: %w", err)
	}
	settled := bytes.Equal(content, f.seen)
	f.seen = content
	if !settled || bytes.Equal(content, f.taken) {
		return nil
	}
	t, err := parseFile(content)
	if err != nil {
		return fmt.Errorf("topology file %s: %w", f.path, err)
	}
	f.taken = content
	if from := f.current.Get(); from != t {
		f.current.Replace(t)
		if f.options.Changed != nil {
			f.options.Changed(from, t)
		}
	}
	return nil
}

// parseFile reads pairs as Parse does, on one line or several, with lines that begin with # left out.
// A file must be complete: to lose a home by an edit is a mistake.
func parseFile(content []byte) (Topology, error) {
	var pairs []string
	for line := range strings.Lines(string(content)) {
		line = strings.Trim(line, " \t\r\n,")
		if line != "" && !strings.HasPrefix(line, "#") {
			pairs = append(pairs, line)
		}
	}
	t, err := Parse(strings.Join(pairs, ","))
	if err != nil {
		return Topology{}, err
	}
	if err := t.Complete(); err != nil {
		return Topology{}, errors.Join(errors.New("incomplete topology"), err)
	}
	return t, nil
}
