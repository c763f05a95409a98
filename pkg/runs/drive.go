package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	// slice is how long Drive goes on with steps before it reports back.
	slice = time.Second
	// shortWait is a wait that is not worth a trip to the executor.
	shortWait = 250 * time.Millisecond
	// stepTimeout ends a step that has hung; steps are meant to take seconds.
	stepTimeout = 5 * time.Minute

	firstPause   = time.Second
	longestPause = 5 * time.Minute
)

// Reasons why this execution must not go on with a run.
var (
	errNotOurs   = errors.New("the run belongs to another execution")
	errLeaseLost = errors.New("the lease on the run was lost")
	errStopping  = errors.New("the process is stopping")
)

// waiting is the reason why this execution cannot go on with a run yet.
type waiting time.Duration

func (w waiting) Error() string { return fmt.Sprintf("the run goes on in %s", time.Duration(w)) }

// Drive executes a slice of the run: see the type Drive. An error means that the run could not be read or written; the
// same call later goes on.
func (r *Runner) Drive(ctx context.Context, key Key) (Outcome, error) {
	if !r.enter(key.Run) {
		// The executor calls again although it has not heard from the first call: its process was restarted under us.
		return Outcome{Wait: r.Lease / 10}, nil
	}
	defer r.leave(key.Run)
	for end := r.Now().Add(slice); ; {
		run, err := r.acquire(ctx, key)
		var wait waiting
		switch {
		case errors.Is(err, errNotOurs):
			return Outcome{Done: true}, nil
		case errors.As(err, &wait):
			if time.Duration(wait) > shortWait {
				return Outcome{Wait: time.Duration(wait)}, nil
			}
			if err := r.Pause(ctx, time.Duration(wait)); err != nil {
				return Outcome{}, err
			}
			continue
		case err != nil:
			return Outcome{}, err
		}
		if err := r.step(ctx, key, run); err != nil {
			if errors.Is(err, errNotOurs) {
				return Outcome{Done: true}, nil
			}
			return Outcome{}, err
		}
		if ctx.Err() != nil {
			return Outcome{}, r.release(ctx, key)
		}
		if !r.Now().Before(end) {
			return Outcome{}, nil
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// enter claims the run within this process.
func (r *Runner) enter(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, busy := r.active[id]; busy {
		return false
	}
	r.active[id] = nil
	return true
}

func (r *Runner) leave(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.active, id)
}

// acquire takes or keeps the lease on the run, unless it is not this execution's turn: errNotOurs, waiting.
func (r *Runner) acquire(ctx context.Context, key Key) (Run, error) {
	// Most often the lease is ours from the step before, and long enough for one more.
	if doc, err := r.docs.Get(ctx, key.Run); err == nil && r.turn(doc.Value, key) == nil && doc.Value.Status == Running &&
		doc.Value.WakeAt.IsZero() && doc.Value.Lease.Owner == r.Owner && doc.Value.Lease.Until.Sub(r.Now()) > r.Lease/2 {
		return doc.Value, nil
	}
	doc, err := r.docs.Update(ctx, key.Run, func(run *Run) ([]store.Message, error) {
		if err := r.turn(*run, key); err != nil {
			return nil, err
		}
		if run.StartedAt.IsZero() {
			run.StartedAt = store.At(r.Now())
		}
		run.Status, run.WakeAt = Running, store.Time{}
		r.extend(run)
		return nil, nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return Run{}, errNotOurs
	}
	if err != nil {
		return Run{}, fmt.Errorf("lease run %s: %w", key.Run, err)
	}
	return doc.Value, nil
}

// turn tells whether this execution may do a step of the run now.
func (r *Runner) turn(run Run, key Key) error {
	now := r.Now()
	switch {
	case run.Status.Final() || run.Attempt != key.Attempt || r.kinds[run.Kind].Step == nil: // a kind of a newer version
		return errNotOurs
	case run.Lease.Owner != "" && run.Lease.Owner != r.Owner && run.Lease.Until.After(now):
		return waiting(run.Lease.Until.Sub(now))
	case run.WakeAt.After(now): // timers have been early
		return waiting(run.WakeAt.Sub(now))
	}
	return nil
}

// extend makes the lease ours, from now.
func (r *Runner) extend(run *Run) {
	until := r.Now().Add(r.Lease)
	run.Lease = Lease{Owner: r.Owner, Until: store.At(until)}
	run.DueAt = due(until)
}

// mine tells whether this execution still holds the lease on the run.
func (r *Runner) mine(run *Run, key Key) error {
	if run.Status.Final() || run.Attempt != key.Attempt || run.Lease.Owner != r.Owner {
		return errNotOurs
	}
	return nil
}

// step does one step under the lease and records what became of it: errNotOurs when that no longer counts.
func (r *Runner) step(ctx context.Context, key Key, run Run) error {
	began := r.Now()
	next, failure := r.call(ctx, key, run)
	if ctx.Err() == nil { // a step that the process's end cut short says nothing
		r.Observe.Stepped(run.Kind, r.Now().Sub(began), failure)
	}
	if failure != nil && errors.Is(failure, errLeaseLost) {
		return errNotOurs
	}
	if failure != nil && ctx.Err() != nil {
		return r.release(ctx, key)
	}
	var cursor, progress json.RawMessage
	if failure == nil {
		if cursor, failure = encode(next.Cursor, run.Cursor); failure == nil {
			progress, failure = encode(next.Progress, run.Progress)
		}
	}
	jitter := 0.8 + 0.4*rand.Float64() // outside the change, which may run several times
	// What was done is recorded even when the process has begun to stop meanwhile.
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Lease)
	defer cancel()
	doc, err := r.docs.Update(writing, run.ID, func(run *Run) ([]store.Message, error) {
		if err := r.mine(run, key); err != nil {
			return nil, err
		}
		if failure != nil {
			return r.failed(writing, run, failure, jitter)
		}
		run.Cursor, run.Progress = cursor, progress
		run.Steps++
		run.Failures, run.Stalls, run.Error = 0, 0, nil
		switch {
		case next.Done:
			_, _ = r.finish(writing, run, Succeeded, nil) // it has neither messages nor an error for a success
		case next.Wait > 0 && !run.Woken:
			r.wait(run, next.Wait)
			run.AwaitedAt = due(run.WakeAt.Time)
		default:
			r.extend(run)
			run.AwaitedAt = due(r.Now())
		}
		run.Woken = false
		return next.Messages, nil
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return errNotOurs
	case err != nil && !errors.Is(err, errNotOurs):
		return fmt.Errorf("record step of run %s: %w", run.ID, err)
	case err == nil:
		r.ended(doc.Value)
	}
	return err
}

func encode(value any, before json.RawMessage) (json.RawMessage, error) {
	if value == nil {
		return before, nil
	}
	body, err := json.Marshal(value)
	if err != nil {
		return nil, Permanent(fmt.Errorf("encode what the step returned: %w", err))
	}
	return body, nil
}

// failed records a step's error: the run is tried again later, or fails.
func (r *Runner) failed(ctx context.Context, run *Run, failure error, jitter float64) ([]store.Message, error) {
	var final permanent
	var named interface{ RetryAfter() time.Duration }
	r.Log.WarnContext(ctx, "step of a run failed", "group", r.Group, "kind", run.Kind, "run", run.ID,
		"organization", run.Organization, "failures", run.Failures+1, "error", failure)
	run.Error = publicError(failure)
	if errors.As(failure, &final) {
		return r.finish(ctx, run, Failed, run.Error)
	}
	if errors.As(failure, &named) && named.RetryAfter() > 0 {
		r.wait(run, named.RetryAfter())
		return nil, nil
	}
	run.Failures++
	if run.Failures >= r.kinds[run.Kind].MaxFailures {
		return r.finish(ctx, run, Failed, run.Error)
	}
	r.wait(run, time.Duration(jitter*float64(min(firstPause<<min(run.Failures-1, 20), longestPause))))
	return nil, nil
}

// publicError is what the run's owner sees of an error: the message of a problem, never a cause.
func publicError(err error) *Error {
	var p *problem.Problem
	if errors.As(err, &p) {
		return &Error{Code: p.Code, Message: p.Detail}
	}
	return &Error{Code: CodeFailed, Message: "a step of the run failed; the log has the cause"}
}

// wait gives the lease back until the run goes on.
func (r *Runner) wait(run *Run, d time.Duration) {
	at := r.Now().Add(d)
	run.Lease, run.WakeAt = Lease{}, store.At(at)
	run.DueAt = due(at.Add(r.Lease))
}

// release gives the lease back because the process stops, so that another home can go on at once.
func (r *Runner) release(ctx context.Context, key Key) error {
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), launchTimeout)
	defer cancel()
	_, err := r.docs.Update(writing, key.Run, func(run *Run) ([]store.Message, error) {
		if err := r.mine(run, key); err != nil {
			return nil, err
		}
		run.Lease, run.DueAt = Lease{}, due(r.Now())
		return nil, nil
	})
	if err != nil {
		return err
	}
	return errStopping
}

// call runs the step, and renews the lease while it does. The lease lost, the step is cancelled and errLeaseLost returned.
func (r *Runner) call(ctx context.Context, key Key, run Run) (next Next, err error) {
	ctx, cancelTimeout := context.WithTimeout(ctx, stepTimeout)
	defer cancelTimeout()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.mu.Lock()
	r.active[run.ID] = cancel
	r.mu.Unlock()

	renewed := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(renewed)
		r.renew(ctx, key, run.Lease.Until.Time, stop, cancel)
	}()
	defer func() {
		close(stop)
		<-renewed
		if errors.Is(context.Cause(ctx), errLeaseLost) {
			err = errLeaseLost
		}
	}()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	stepContext, span := r.Tracer.Start(run.traced(ctx), "run "+run.Kind, trace.WithAttributes(
		attribute.String("tandem.group", string(r.Group)), attribute.String("tandem.run", run.ID), attribute.Int("tandem.run.step", run.Steps)))
	defer func() {
		if err != nil {
			span.SetStatus(codes.Error, "step failed") // the log has the cause
		}
		span.End()
	}()
	return r.kinds[run.Kind].Step(r.Context(stepContext, run), run)
}

// renew extends the lease every third of its time, until stop. When it is lost, or has ended without an answer from the
// store, the step is cancelled.
func (r *Runner) renew(ctx context.Context, key Key, until time.Time, stop <-chan struct{}, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(r.Lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		writing, done := context.WithTimeout(context.WithoutCancel(ctx), r.Lease/3)
		doc, err := r.docs.Update(writing, key.Run, func(run *Run) ([]store.Message, error) {
			if err := r.mine(run, key); err != nil {
				return nil, err
			}
			r.extend(run)
			return nil, nil
		})
		done()
		switch {
		case err == nil:
			until = doc.Value.Lease.Until.Time
		case errors.Is(err, errNotOurs) || errors.Is(err, store.ErrNotFound) || !r.Now().Before(until):
			cancel(errLeaseLost)
			return
		}
	}
}
