package jobs

import (
	"context"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/tandemhq/tandem/pkg/drain"
)

// Local keeps schedules in this process, for tests and for a process without a sidecar. It is a component: started once,
// stopped once. A time that passes while the process is down is missed.
type Local struct {
	now    func() time.Time
	after  func(time.Duration) <-chan time.Time
	fire   func(ctx context.Context, name string) error
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	entries map[string]localEntry
}

type localEntry struct {
	schedule string
	stop     context.CancelFunc
}

// NewLocal keeps schedules by a clock: now tells the time, after a channel that receives when a duration has passed.
func NewLocal(now func() time.Time, after func(time.Duration) <-chan time.Time) *Local {
	l := &Local{now: now, after: after, entries: map[string]localEntry{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Attach says who is told when a schedule fires, most often a Scheduler's Fire. It is called before anything is scheduled.
func (l *Local) Attach(fire func(ctx context.Context, name string) error) { l.fire = fire }

// Schedule implements Registrar.
func (l *Local) Schedule(_ context.Context, name, schedule string) error {
	times, err := parse(schedule)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.entries[name]; ok {
		if known.schedule == schedule {
			return nil
		}
		known.stop()
	}
	if l.stopped {
		return errStopped
	}
	ctx, stop := context.WithCancel(l.ctx)
	l.entries[name] = localEntry{schedule, stop}
	at := l.now()
	l.work.Go(func() { l.keep(ctx, name, times, at) })
	return nil
}

// keep fires at each time after at.
func (l *Local) keep(ctx context.Context, name string, times cron.Schedule, at time.Time) {
	for {
		at = times.Next(at.UTC())
		select {
		case <-l.after(at.Sub(l.now())):
		case <-ctx.Done():
			return
		}
		if ctx.Err() != nil {
			return
		}
		_ = l.fire(ctx, name) // whoever runs the job has logged its error; the next time makes up for it
	}
}

// Delete implements Registrar.
func (l *Local) Delete(_ context.Context, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.entries[name]; ok {
		known.stop()
		delete(l.entries, name)
	}
	return nil
}

// Start implements a component's; schedules begin when they are made.
func (l *Local) Start(context.Context) error { return nil }

// Stop ends all schedules.
func (l *Local) Stop(ctx context.Context) error {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.cancel()
	return drain.Wait(ctx, &l.work, "schedules")
}
