package runs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tandemhq/tandem/pkg/drain"
	"github.com/tandemhq/tandem/pkg/topology"
)

// errorPause is how long an executor waits after a slice that could not be read or written.
const errorPause = time.Second

// Local executes runs in this process, a goroutine each, for tests and for a process without a sidecar. It keeps nothing:
// after a restart the supervisor adopts what was under way.
type Local struct {
	log    *slog.Logger
	drives map[topology.Group]Drive

	mu       sync.Mutex
	stopped  bool
	launched map[Key]bool
	running  sync.WaitGroup
	ctx      context.Context
	cancel   context.CancelFunc
}

// NewLocal makes an executor.
func NewLocal(log *slog.Logger) *Local {
	ctx, cancel := context.WithCancel(context.Background())
	return &Local{log: log, drives: map[topology.Group]Drive{}, launched: map[Key]bool{}, ctx: ctx, cancel: cancel}
}

// Host implements Executor.
func (l *Local) Host(group topology.Group, drive Drive) { l.drives[group] = drive }

// Start implements Executor.
func (l *Local) Start(context.Context) error { return nil }

// Launch implements Executor.
func (l *Local) Launch(_ context.Context, key Key) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	drive := l.drives[key.Group]
	switch {
	case l.stopped:
		return errors.New("launch run: the executor has stopped")
	case drive == nil:
		return fmt.Errorf("launch run: group %s is not hosted here", key.Group)
	case l.launched[key]:
		return nil
	}
	l.launched[key] = true
	l.running.Go(func() {
		l.run(key, drive)
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.launched, key)
	})
	return nil
}

func (l *Local) run(key Key, drive Drive) {
	for l.ctx.Err() == nil {
		outcome, err := drive(l.ctx, key)
		if err != nil && l.ctx.Err() == nil {
			l.log.WarnContext(l.ctx, "drive run", "run", key.String(), "error", err)
			outcome.Wait = errorPause
		}
		if outcome.Done {
			return
		}
		_ = pause(l.ctx, outcome.Wait) // the loop sees why it ended early
	}
}

// Stop implements Executor.
func (l *Local) Stop(ctx context.Context) error {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.cancel()
	return drain.Wait(ctx, &l.running, "the executor of runs")
}
