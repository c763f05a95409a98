package runs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tandemhq/tandem/pkg/store"
)

// DefaultSweep is how often a Supervisor looks for runs to adopt.
const DefaultSweep = 2 * time.Second

// Supervisor runs the executor of a process, and adopts the runs that nobody works on any more: at start, then
// periodically. It is a component: made by NewSupervisor, started once, stopped once.
type Supervisor struct {
	executor Executor
	runners  []*Runner
	every    time.Duration
	cancel   context.CancelFunc
	swept    sync.WaitGroup
}

// NewSupervisor drives the runs of runners, which all have executor as theirs; every is DefaultSweep when zero.
func NewSupervisor(executor Executor, every time.Duration, runners ...*Runner) *Supervisor {
	if every == 0 {
		every = DefaultSweep
	}
	return &Supervisor{executor: executor, runners: runners, every: every}
}

// Start starts the executor and the search for stalled runs.
func (s *Supervisor) Start(ctx context.Context) error {
	for _, r := range s.runners {
		s.executor.Host(r.Group, r.Drive)
	}
	if err := s.executor.Start(ctx); err != nil {
		return fmt.Errorf("start the executor of runs: %w", err)
	}
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, r := range s.runners {
		s.swept.Go(func() { r.sweepEvery(ctx, s.every) })
	}
	return nil
}

// Stop ends the search, then the executor.
func (s *Supervisor) Stop(ctx context.Context) error {
	if s.cancel == nil {
		return nil
	}
	s.cancel()
	s.swept.Wait() // each of its calls ends with its context
	return s.executor.Stop(ctx)
}

func (r *Runner) sweepEvery(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := r.sweep(ctx); err != nil && ctx.Err() == nil {
			r.Log.WarnContext(ctx, "look for stalled runs", "group", r.Group, "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

var errHeardOf = errors.New("somebody else was first")

// sweep adopts the runs that are due. It looks for each kind by itself: runs of a kind that is unknown here are of a newer
// or an older version, which adopts them itself, and however many they are they hide no others.
func (r *Runner) sweep(ctx context.Context) error {
	var failures []error
	for kind := range r.kinds {
		failures = append(failures, r.sweepKind(ctx, kind))
	}
	return errors.Join(failures...)
}

// sweepKind adopts runs of one kind; those beyond the first page are adopted by the next sweeps.
func (r *Runner) sweepKind(ctx context.Context, kind string) error {
	stalled, err := r.docs.Find(ctx, store.Query{
		Index: "due", Equal: []any{kind}, Range: store.Range{Field: "due_at", To: store.At(r.Now())}, Limit: 100,
	})
	if err != nil {
		return err
	}
	for _, doc := range stalled.Items {
		adopted, err := r.docs.Update(ctx, doc.ID, func(run *Run) ([]store.Message, error) {
			if run.DueAt == nil || run.DueAt.After(r.Now()) {
				return nil, errHeardOf
			}
			r.adopt(run, run.Stalls+1)
			return nil, nil
		})
		if errors.Is(err, errHeardOf) || errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		r.Log.InfoContext(ctx, "adopt run", "group", r.Group, "kind", kind, "run", doc.ID,
			"attempt", adopted.Value.Attempt, "last owner", doc.Value.Lease.Owner)
		r.launch(ctx, adopted.Value)
	}
	return nil
}
