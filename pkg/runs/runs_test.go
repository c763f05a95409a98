package runs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandemhq/tandem/pkg/daprtest"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

func TestMain(m *testing.M) {
	if runAsChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

const org = "org"

var quiet = slog.New(slog.DiscardHandler)

// process is one process's part: its runner, executor and supervisor on a database that others may share.
type process struct {
	*runs.Runner
	db         store.DB
	supervisor *runs.Supervisor
	executor   runs.Executor
}

var owners atomic.Int64

func newProcess(t testing.TB, path string, executor runs.Executor, lease time.Duration, kinds ...runs.Kind) *process {
	t.Helper()
	return newProcessAt(t, path, executor, lease, time.Now, kinds...)
}

func newProcessAt(t testing.TB, path string, executor runs.Executor, lease time.Duration, now func() time.Time, kinds ...runs.Kind) *process {
	t.Helper()
	db, err := store.OpenSQLite(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p := &process{db: db, executor: executor}
	p.Runner, err = runs.NewRunner(context.Background(), runs.Options{
		Group: topology.Integrations, DB: db, Executor: executor, Owner: fmt.Sprintf("p%d", owners.Add(1)),
		Now: now, Log: quiet, Lease: lease,
	})
	if err == nil {
		err = p.Register(kinds...)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.supervisor = runs.NewSupervisor(executor, 50*time.Millisecond, p.Runner)
	return p
}

func (p *process) start(t testing.TB) *process {
	t.Helper()
	if err := p.supervisor.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop(t) })
	return p
}

func (p *process) stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := p.supervisor.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// ends waits for the run's end.
func (p *process) ends(t testing.TB, id string) runs.Run {
	t.Helper()
	var run runs.Run
	eventually.Succeeds(t, 30*time.Second, "run "+id+" ends", func() error {
		var err error
		if run, err = p.Get(t.Context(), org, id); err != nil {
			return err
		}
		if !run.Status.Final() {
			return fmt.Errorf("it is %s after %d steps, attempt %d, error %v", run.Status, run.Steps, run.Attempt, run.Error)
		}
		return nil
	})
	return run
}

// count is a kind that counts to its input, a step each, and says so in an outbox message at the end.
func count(steps *atomic.Int64) runs.Kind {
	return runs.Kind{Name: "count", Step: func(_ context.Context, run runs.Run) (runs.Next, error) {
		var to, at int
		if err := run.Into(&to, &at); err != nil {
			return runs.Next{}, err
		}
		steps.Add(1)
		at++
		next := runs.Next{Cursor: at, Progress: map[string]int{"counted": at}, Done: at >= to}
		if next.Done {
			next.Messages = []store.Message{{Topic: "tandem.counted", Data: []byte(run.ID)}}
		}
		return next, nil
	}}
}

// onBoth runs the contract with both executors. The factory makes an executor of another process with the same sidecar,
// if there is one.
func onBoth(t *testing.T, contract func(t *testing.T, executor func() runs.Executor)) {
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		contract(t, func() runs.Executor { return runs.NewLocal(quiet) })
	})
	t.Run("dapr", func(t *testing.T) {
		t.Parallel()
		sidecar := startSidecar(t)
		contract(t, func() runs.Executor { return runs.NewDapr(sidecar.Conn, quiet) })
	})
}

func startSidecar(t testing.TB) *daprtest.Sidecar {
	t.Helper()
	return daprtest.Start(t, daprtest.Options{
		AppID: "some-app", Resources: []string{daprtest.State(filepath.Join(t.TempDir(), "state.db"))},
		ControlPlane: daprtest.StartControlPlane(t),
	})
}

func TestContract(t *testing.T) {
	onBoth(t, func(t *testing.T, executor func() runs.Executor) {
		var steps, busy atomic.Int64
		broken := errors.New("broken")
		var approved atomic.Bool
		cancelled := make(chan struct{}, 1)
		attempts := func(run runs.Run) int { return run.Failures + 1 }
		p := newProcess(t, filepath.Join(t.TempDir(), "db"), executor(), 2*time.Second,
			count(&steps),
			runs.Kind{Name: "flaky", Step: func(_ context.Context, run runs.Run) (runs.Next, error) {
				switch attempts(run) {
				case 1:
					return runs.Next{}, broken
				case 2:
					panic("oh")
				}
				return runs.Next{Done: true}, nil
			}},
			runs.Kind{Name: "throttled", MaxFailures: 1, Step: func(_ context.Context, run runs.Run) (runs.Next, error) {
				if busy.Add(1) <= 3 {
					return runs.Next{}, runs.RetryAfter(100*time.Millisecond, broken)
				}
				return runs.Next{Done: true}, nil
			}},
			runs.Kind{Name: "refused", Step: func(context.Context, runs.Run) (runs.Next, error) {
				return runs.Next{}, runs.Permanent(problem.New(403, "connection_revoked", "The shop took its permission back.").Wrap(broken))
			}, OnFailed: func(_ context.Context, run runs.Run) ([]store.Message, error) {
				return []store.Message{{Topic: "tandem.failed", Data: []byte(run.ID + " " + run.Error.Code)}}, nil
			}},
			runs.Kind{Name: "hopeless", MaxFailures: 2, Step: func(context.Context, runs.Run) (runs.Next, error) {
				return runs.Next{}, broken
			}},
			runs.Kind{Name: "waiting", Step: func(_ context.Context, run runs.Run) (runs.Next, error) {
				if run.Steps == 0 {
					return runs.Next{Wait: 700 * time.Millisecond}, nil
				}
				return runs.Next{Done: true}, nil
			}},
			runs.Kind{Name: "approval", Step: func(context.Context, runs.Run) (runs.Next, error) {
				return runs.Next{Done: approved.Load(), Wait: time.Hour}, nil
			}},
			runs.Kind{Name: "long", Step: func(ctx context.Context, run runs.Run) (runs.Next, error) {
				select {
				case <-ctx.Done():
					cancelled <- struct{}{}
					return runs.Next{}, ctx.Err()
				case <-time.After(20 * time.Second):
					return runs.Next{Done: true}, nil
				}
			}},
			runs.Kind{Name: "patient", Step: func(ctx context.Context, run runs.Run) (runs.Next, error) {
				select { // longer than the lease, which must be renewed
				case <-ctx.Done():
					return runs.Next{}, ctx.Err()
				case <-time.After(2500 * time.Millisecond):
					steps.Add(1)
					return runs.Next{Done: true}, nil
				}
			}},
		).start(t)
		begin := func(t *testing.T, kind, id string, input any) {
			t.Helper()
			if _, err := p.Start(t.Context(), kind, org, id, input); err != nil {
				t.Fatal(err)
			}
		}

		t.Run("steps to the end, once", func(t *testing.T) {
			steps.Store(0)
			begin(t, "count", "c1", 30)
			run := p.ends(t, "c1")
			// Adopted on a slow machine, a step may have been executed twice; it counts once.
			if run.Status != runs.Succeeded || run.Steps != 30 || steps.Load() < 30 || run.Attempt == 1 && steps.Load() > 30 || string(run.Progress) != `{"counted":30}` || run.Error != nil {
				t.Errorf("%d steps executed, %+v", steps.Load(), run)
			}
			if run.StartedAt.Before(run.CreatedAt.Time) || run.FinishedAt.Before(run.StartedAt.Time) || run.DueAt != nil || run.Lease != (runs.Lease{}) {
				t.Errorf("%+v", run)
			}
			again, err := p.Start(t.Context(), "count", org, "c1", 99)
			if err != nil || again.Status != runs.Succeeded || string(again.Input) != "30" {
				t.Errorf("started again: %+v, %v", again, err)
			}
			messages, err := p.db.Outbox().Pending(t.Context(), 10)
			if err != nil || len(messages) != 1 || string(messages[0].Data) != "c1" {
				t.Errorf("%+v, %v", messages, err)
			}
		})
		t.Run("an error and a panic are tried again", func(t *testing.T) {
			begin(t, "flaky", "f1", nil)
			if run := p.ends(t, "f1"); run.Status != runs.Succeeded || run.Failures != 0 {
				t.Errorf("%+v", run)
			}
		})
		t.Run("throttling is obeyed and no failure", func(t *testing.T) {
			begin(t, "throttled", "t1", nil)
			run := p.ends(t, "t1")
			if run.Status != runs.Succeeded || run.FinishedAt.Sub(run.StartedAt.Time) < 300*time.Millisecond {
				t.Errorf("%+v", run)
			}
		})
		t.Run("a permanent error has its code and its message", func(t *testing.T) {
			begin(t, "refused", "r1", nil)
			run := p.ends(t, "r1")
			if run.Status != runs.Failed || *run.Error != (runs.Error{Code: "connection_revoked", Message: "The shop took its permission back."}) {
				t.Errorf("%+v %+v", run, run.Error)
			}
			messages, err := p.db.Outbox().Pending(t.Context(), 10)
			if err != nil || string(messages[len(messages)-1].Data) != "r1 connection_revoked" {
				t.Errorf("%+v, %v", messages, err)
			}
		})
		t.Run("too many errors are the end", func(t *testing.T) {
			begin(t, "hopeless", "h1", nil)
			run := p.ends(t, "h1")
			if run.Status != runs.Failed || run.Error.Code != runs.CodeFailed || strings.Contains(run.Error.Message, "broken") || run.Failures != 2 {
				t.Errorf("%+v %+v", run, run.Error)
			}
		})
		t.Run("a wait", func(t *testing.T) {
			begin(t, "waiting", "w1", nil)
			run := p.ends(t, "w1")
			if took := run.FinishedAt.Sub(run.StartedAt.Time); run.Status != runs.Succeeded || took < 700*time.Millisecond || took > 10*time.Second {
				t.Errorf("took %s, %+v", took, run)
			}
		})
		t.Run("a wait is ended by what it waits for", func(t *testing.T) {
			begin(t, "approval", "a1", nil)
			eventually.Succeeds(t, 10*time.Second, "it waits", func() error {
				if run, err := p.Get(t.Context(), org, "a1"); err != nil || run.WakeAt.IsZero() {
					return fmt.Errorf("%+v, %w", run, err)
				}
				return nil
			})
			approved.Store(true)
			if err := p.Wake(t.Context(), org, "a1"); err != nil {
				t.Fatal(err)
			}
			if run := p.ends(t, "a1"); run.Status != runs.Succeeded {
				t.Errorf("%+v", run)
			}
			if err := p.Wake(t.Context(), org, "a1"); !errors.Is(err, runs.ErrFinished) {
				t.Error(err)
			}
		})
		t.Run("cancelled", func(t *testing.T) {
			begin(t, "long", "l1", nil)
			eventually.Succeeds(t, 10*time.Second, "it runs", func() error {
				if run, err := p.Get(t.Context(), org, "l1"); err != nil || run.Status != runs.Running {
					return fmt.Errorf("%+v, %w", run, err)
				}
				return nil
			})
			run, err := p.Cancel(t.Context(), org, "l1")
			if err != nil || run.Status != runs.Cancelled {
				t.Errorf("%+v, %v", run, err)
			}
			select {
			case <-cancelled:
			case <-time.After(time.Second):
				t.Error("its step was not told")
			}
			if _, err := p.Cancel(t.Context(), org, "l1"); !errors.Is(err, runs.ErrFinished) {
				t.Error(err)
			}
		})
		t.Run("a step longer than the lease keeps it", func(t *testing.T) {
			steps.Store(0)
			begin(t, "patient", "p1", nil)
			if run := p.ends(t, "p1"); run.Status != runs.Succeeded || run.Steps != 1 || run.Attempt == 1 && steps.Load() != 1 || run.Attempt > 2 {
				t.Errorf("%d steps, %+v", steps.Load(), run)
			}
		})
		t.Run("many at once", func(t *testing.T) {
			steps.Store(0)
			const many = 40
			for i := range many {
				begin(t, "count", fmt.Sprint("m", i), 3)
			}
			for i := range many {
				if run := p.ends(t, fmt.Sprint("m", i)); run.Status != runs.Succeeded || run.Steps != 3 {
					t.Errorf("%+v", run)
				}
			}
			if steps.Load() < 3*many {
				t.Errorf("%d steps executed", steps.Load())
			}
		})
	})
}

// subject is an input that says what its run is about.
type subject string

func (s subject) About() string { return string(s) }

// TestReading needs no executor.
func TestReading(t *testing.T) {
	var steps atomic.Int64
	p := newProcess(t, filepath.Join(t.TempDir(), "db"), runs.NewLocal(quiet), time.Second, count(&steps))
	for i := range 5 {
		for _, organization := range []string{org, "other"} {
			if _, err := p.Start(t.Context(), "count", organization, fmt.Sprint(organization, i), 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	for cursor := ""; ; {
		page, err := p.List(t.Context(), org, "count", "", 2, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range page.Runs {
			got = append(got, run.ID)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if want := "org4 org3 org2 org1 org0"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %v", got, want)
	}
	for i, about := range []subject{"a", "b", "a"} {
		if _, err := p.Start(t.Context(), "count", org, fmt.Sprint("about", i), about); err != nil {
			t.Fatal(err)
		}
	}
	if page, err := p.List(t.Context(), org, "count", "a", 1, ""); err != nil || len(page.Runs) != 1 || page.Runs[0].ID != "about2" || page.Next == "" {
		t.Errorf("about a: %+v, %v", page, err)
	} else if page, err = p.List(t.Context(), org, "count", "a", 1, page.Next); err != nil || len(page.Runs) != 1 || page.Runs[0].ID != "about0" || page.Next != "" {
		t.Errorf("about a, the next page: %+v, %v", page, err)
	}
	if _, err := p.List(t.Context(), org, "count", "", 2, "nonsense"); !errors.Is(err, store.ErrBadCursor) {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"get another's":    second(p.Get(t.Context(), org, "other1")),
		"get none":         second(p.Get(t.Context(), org, "none")),
		"get an odd one":   second(p.Get(t.Context(), org, "\n")),
		"cancel another's": second(p.Cancel(t.Context(), org, "other1")),
		"cancel none":      second(p.Cancel(t.Context(), org, "none")),
		"wake another's":   p.Wake(t.Context(), org, "other1"),
	} {
		if !errors.Is(err, runs.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := p.Start(t.Context(), "count", org, "other1", 1); !errors.Is(err, runs.ErrOtherRun) {
		t.Error(err)
	}
	if _, err := p.Start(t.Context(), "unknown", org, "x", 1); !errors.Is(err, runs.ErrUnknownKind) {
		t.Error(err)
	}
	for _, id := range []string{"", "a::b", "a b", "a/b", strings.Repeat("x", 200), ".a"} {
		if _, err := p.Start(t.Context(), "count", org, id, 1); !errors.Is(err, runs.ErrBadID) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if _, err := p.Start(t.Context(), "count", org, "x", func() {}); err == nil {
		t.Error("an input that is no JSON was accepted")
	}
}

func second[T any](_ T, err error) error { return err }

func TestKindsAreChecked(t *testing.T) {
	p := newProcess(t, filepath.Join(t.TempDir(), "db"), runs.NewLocal(quiet), 0)
	step := func(context.Context, runs.Run) (runs.Next, error) { return runs.Next{Done: true}, nil }
	for _, kinds := range [][]runs.Kind{{{Name: "Bad", Step: step}}, {{Name: "empty"}}, {{Name: "twice", Step: step}, {Name: "twice", Step: step}}} {
		if err := p.Register(kinds...); err == nil {
			t.Errorf("%v was accepted", kinds)
		}
	}
	if _, err := runs.NewRunner(t.Context(), runs.Options{}); err == nil {
		t.Error("nothing was enough")
	}
}

// deaf accepts what it is launched and does nothing: an executor whose process has died.
type deaf struct{ runs.Executor }

func (deaf) Launch(context.Context, runs.Key) error { return nil }

// TestAStalledRunIsAdopted begins a run in a process that dies before its first step; another takes it over.
func TestAStalledRunIsAdopted(t *testing.T) {
	onBoth(t, func(t *testing.T, executor func() runs.Executor) {
		path := filepath.Join(t.TempDir(), "db")
		const lease = 1500 * time.Millisecond
		var dead, alive atomic.Int64
		died := newProcess(t, path, deaf{runs.NewLocal(quiet)}, lease, count(&dead))
		if _, err := died.Start(t.Context(), "count", org, "s1", 10); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		survivor := newProcess(t, path, executor(), lease, count(&alive)).start(t)
		run := survivor.ends(t, "s1")
		if run.Status != runs.Succeeded || run.Steps != 10 || alive.Load() != 10 || run.Attempt < 2 {
			t.Errorf("%d steps, %+v", alive.Load(), run)
		}
		t.Logf("adopted and finished after %s, lease %s, attempt %d", time.Since(begun), lease, run.Attempt)
	})
}

// TestSilence drives a run by hand, under a clock of its own, through what a step may say.
func TestSilence(t *testing.T) {
	var passed atomic.Int64
	passed.Store(1000)
	said := func() (runs.Next, error) { return runs.Next{}, nil }
	p := newProcessAt(t, filepath.Join(t.TempDir(), "db"), deaf{runs.NewLocal(quiet)}, time.Hour, func() time.Time { return time.Unix(passed.Load(), 0) },
		runs.Kind{Name: "k", Step: func(context.Context, runs.Run) (runs.Next, error) { return said() }})
	silent := func(want time.Duration, when string) {
		t.Helper()
		if got, err := p.Silence(t.Context()); err != nil || got["k"] != want || len(got) != 1 {
			t.Errorf("%s: %v, error %v; want %v", when, got, err, want)
		}
	}
	drive := func() {
		t.Helper()
		if _, err := p.Drive(t.Context(), runs.Key{Group: topology.Integrations, Run: "r", Attempt: 1}); err != nil {
			t.Fatal(err)
		}
	}
	silent(0, "no run")
	if _, err := p.Start(t.Context(), "k", org, "r", nil); err != nil {
		t.Fatal(err)
	}
	passed.Add(60)
	silent(time.Minute, "nobody calls the first step")
	said = func() (runs.Next, error) {
		return runs.Next{}, runs.RetryAfter(10*time.Second, errors.New("throttled"))
	}
	drive()
	passed.Add(60)
	silent(2*time.Minute, "the step fails")
	said = func() (runs.Next, error) { return runs.Next{Wait: 5 * time.Minute}, nil }
	drive()
	passed.Add(300)
	silent(0, "it waits as its step asked for")
	passed.Add(60)
	silent(time.Minute, "nobody goes on after the wait")
	said = func() (runs.Next, error) { return runs.Next{Done: true}, nil }
	drive()
	passed.Add(60)
	silent(0, "the run has ended")
}

// TestRunsOfAnUnknownKindHideNoOthers leaves more stalled runs of a kind that was removed than a sweep reads at a time.
func TestRunsOfAnUnknownKindHideNoOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	const lease = time.Second
	var passed, steps atomic.Int64
	now := func() time.Time { return time.Unix(passed.Load(), 0) }
	removed := count(&steps)
	removed.Name = "removed"
	before := newProcessAt(t, path, deaf{runs.NewLocal(quiet)}, lease, now, removed, count(&steps))
	for i := range 120 {
		if _, err := before.Start(t.Context(), "removed", org, fmt.Sprint("r", i), 1); err != nil {
			t.Fatal(err)
		}
	}
	passed.Add(10) // the other is due last
	if _, err := before.Start(t.Context(), "count", org, "c", 1); err != nil {
		t.Fatal(err)
	}
	passed.Add(10)
	after := newProcessAt(t, path, runs.NewLocal(quiet), lease, now, count(&steps)).start(t)
	if run := after.ends(t, "c"); run.Status != runs.Succeeded {
		t.Errorf("%+v", run)
	}
	if run, err := after.Get(t.Context(), org, "r0"); err != nil || run.Status != runs.Queued || run.Attempt != 1 {
		t.Errorf("a run of the kind that was removed: %+v, %v", run, err)
	}
}

// TestTheLease drives one run from two processes by hand, the first of which hangs in a step until its lease has passed.
func TestTheLease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	const lease = time.Hour // by the clock below; nothing is renewed within the test
	var passed atomic.Int64
	now := func() time.Time { return time.Unix(passed.Load(), 0) }
	begun, finish := make(chan struct{}), make(chan struct{})
	var steps atomic.Int64
	step := func(name string, hang bool) runs.Kind {
		return runs.Kind{Name: "k", Step: func(context.Context, runs.Run) (runs.Next, error) {
			steps.Add(1)
			if hang {
				close(begun)
				<-finish
			}
			return runs.Next{Cursor: name, Done: true}, nil
		}}
	}
	first := newProcessAt(t, path, deaf{runs.NewLocal(quiet)}, lease, now, step("first", true))
	other := newProcessAt(t, path, deaf{runs.NewLocal(quiet)}, lease, now, step("other", false))
	if _, err := first.Start(t.Context(), "k", org, "r", nil); err != nil {
		t.Fatal(err)
	}
	key := runs.Key{Group: topology.Integrations, Run: "r", Attempt: 1}
	drive := func(p *process, attempt int) runs.Outcome {
		t.Helper()
		key.Attempt = attempt
		outcome, err := p.Drive(t.Context(), key)
		if err != nil {
			t.Error(err)
		}
		return outcome
	}
	overtaken := make(chan runs.Outcome)
	go func() {
		outcome, err := first.Drive(t.Context(), runs.Key{Group: topology.Integrations, Run: "r", Attempt: 1})
		if err != nil {
			t.Error(err)
		}
		overtaken <- outcome
	}()
	<-begun
	if got := drive(other, 1); got.Done || got.Wait != lease {
		t.Errorf("while the lease is another's: %+v", got)
	}
	if got := drive(first, 1); got.Done || got.Wait == 0 {
		t.Errorf("while the same process is at it: %+v", got)
	}
	passed.Store(int64(lease/time.Second) + 1)
	other.start(t) // it adopts what is due
	eventually.Succeeds(t, 5*time.Second, "the run is adopted", func() error {
		if run, err := other.Get(t.Context(), org, "r"); err != nil || run.Attempt != 2 {
			return fmt.Errorf("attempt %d, %w", run.Attempt, err)
		}
		return nil
	})
	if got := drive(other, 1); !got.Done {
		t.Errorf("an execution of the past: %+v", got)
	}
	if run, err := other.Get(t.Context(), org, "r"); err != nil || run.Steps != 0 || steps.Load() != 1 {
		t.Errorf("it did something: %+v, %v", run, err)
	}
	close(finish)
	if got := <-overtaken; !got.Done {
		t.Errorf("the first, overtaken: %+v", got)
	}
	if run, err := other.Get(t.Context(), org, "r"); err != nil || run.Steps != 0 || run.Status.Final() {
		t.Errorf("the first's result counted: %+v, %v", run, err)
	}
	if got := drive(other, 2); !got.Done {
		t.Errorf("the adopter: %+v", got)
	}
	if run, err := other.Get(t.Context(), org, "r"); err != nil || run.Status != runs.Succeeded || string(run.Cursor) != `"other"` {
		t.Errorf("%+v, %v", run, err)
	}
}

// TestTwoHomes lets two processes host the group at once, as during a move: every step counts once.
func TestTwoHomes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	var steps atomic.Int64
	kind := runs.Kind{Name: "count", Step: func(_ context.Context, run runs.Run) (runs.Next, error) {
		var cursor int
		if err := run.Into(nil, &cursor); err != nil {
			return runs.Next{}, err
		}
		if cursor != run.Steps {
			return runs.Next{}, runs.Permanent(fmt.Errorf("at %d after %d steps", cursor, run.Steps))
		}
		steps.Add(1)
		return runs.Next{Cursor: cursor + 1, Done: cursor == 19}, nil
	}}
	a := newProcess(t, path, runs.NewLocal(quiet), 600*time.Millisecond, kind).start(t)
	b := newProcess(t, path, runs.NewLocal(quiet), 600*time.Millisecond, kind).start(t)
	for i := range 10 {
		home := a
		if i%2 == 1 {
			home = b
		}
		if _, err := home.Start(t.Context(), "count", org, fmt.Sprint("t", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		if run := b.ends(t, fmt.Sprint("t", i)); run.Status != runs.Succeeded || run.Steps != 20 {
			t.Errorf("%+v %+v", run, run.Error)
		}
	}
	if steps.Load() < 200 { // more on a machine so slow that a lease passes
		t.Errorf("%d steps executed", steps.Load())
	}
}

// TestAStoppedProcessHandsItsRunsOver stops one home in the middle of a step; the other goes on without waiting for the
// lease.
func TestAStoppedProcessHandsItsRunsOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	const lease = 20 * time.Second
	begun := make(chan struct{})
	var once sync.Once
	kind := runs.Kind{Name: "hand-over", Step: func(ctx context.Context, run runs.Run) (runs.Next, error) {
		first := false
		once.Do(func() { first = true })
		if !first {
			return runs.Next{Done: true}, nil
		}
		close(begun)
		<-ctx.Done()
		return runs.Next{}, ctx.Err()
	}}
	a := newProcess(t, path, runs.NewLocal(quiet), lease, kind).start(t)
	if _, err := a.Start(t.Context(), "hand-over", org, "o1", nil); err != nil {
		t.Fatal(err)
	}
	<-begun
	b := newProcess(t, path, runs.NewLocal(quiet), lease, kind).start(t)
	a.stop(t)
	stopped := time.Now()
	run := b.ends(t, "o1")
	if took := time.Since(stopped); run.Status != runs.Succeeded || run.Failures != 0 || took > 5*time.Second {
		t.Errorf("after %s: %+v", took, run)
	}
}

// TestTheRecordIsReadableJSON guards the stored form, which a newer version must still read.
func TestTheRecordIsReadableJSON(t *testing.T) {
	at := store.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	body, err := json.Marshal(runs.Run{
		ID: "r", Kind: "k", Organization: "o", Input: json.RawMessage(`1`), Cursor: json.RawMessage(`2`), Status: runs.Running,
		Attempt: 1, CreatedAt: at, DueAt: &at, Lease: runs.Lease{Owner: "p", Until: at},
	})
	want := `{"id":"r","kind":"k","organization":"o","input":1,"cursor":2,"status":"running","steps":0,"attempt":1,"created_at":"2026-01-02T03:04:05.000000Z","lease":{"owner":"p","until":"2026-01-02T03:04:05.000000Z"},"due_at":"2026-01-02T03:04:05.000000Z"}`
	if err != nil || string(body) != want {
		t.Errorf("%s, %v", body, err)
	}
}
