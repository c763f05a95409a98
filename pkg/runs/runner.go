package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Options is what a Runner works with. Group, DB, Executor, Owner, Now and Log are required.
type Options struct {
	// Group owns the runs.
	Group topology.Group
	// DB is the group's database.
	DB store.DB
	// Executor calls the steps. It is shared by the groups of a process.
	Executor Executor
	// Owner names this process, differently after each start: a lease of the process before must not look like ours.
	Owner string
	// Now is the clock. Those of processes that may host the group must agree to a fraction of Lease.
	Now func() time.Time
	// Pause waits for a while of that clock; for one of a real clock when nil.
	Pause func(ctx context.Context, d time.Duration) error
	// Log hears of failures and adoptions.
	Log *slog.Logger
	// Context prepares a step's context, such as by naming who acts. Optional.
	Context func(ctx context.Context, run Run) context.Context
	// Lease is how long a run is left alone after the process that works on it was last heard of; 10 s when zero.
	Lease time.Duration
	// Observe counts. Optional.
	Observe Observer
	// Tracer makes the spans of steps. Optional.
	Tracer trace.Tracer
}

// Observer hears what becomes of runs, by several goroutines at once.
type Observer interface {
	Started(kind string)
	Stepped(kind string, took time.Duration, err error)
	Finished(kind, status string, took time.Duration)
}

// unobserved hears nothing.
type unobserved struct{}

func (unobserved) Started(string)                         {}
func (unobserved) Stepped(string, time.Duration, error)   {}
func (unobserved) Finished(string, string, time.Duration) {}

// ended tells the observer of a run whose end has been stored, if it has ended.
func (r *Runner) ended(run Run) {
	if run.Status.Final() {
		r.Observe.Finished(run.Kind, string(run.Status), run.FinishedAt.Sub(run.CreatedAt.Time))
	}
}

// Runner starts, reads and cancels a group's runs. It is safe for concurrent use.
type Runner struct {
	Options
	kinds map[string]Kind
	docs  *store.Documents[Run]

	mu     sync.Mutex
	active map[string]context.CancelCauseFunc // runs whose step is at work in this process
}

const (
	defaultLease       = 10 * time.Second
	defaultMaxFailures = 12
	launchTimeout      = 3 * time.Second
)

// NewRunner opens a group's runs. Nothing is driven before a Supervisor starts.
func NewRunner(ctx context.Context, o Options) (*Runner, error) {
	if o.Group == "" || o.DB == nil || o.Executor == nil || o.Owner == "" || o.Now == nil || o.Log == nil {
		return nil, errors.New("open runs: group, database, executor, owner, clock and log are required")
	}
	if o.Lease == 0 {
		o.Lease = defaultLease
	}
	if o.Pause == nil {
		o.Pause = pause
	}
	if o.Context == nil {
		o.Context = func(ctx context.Context, _ Run) context.Context { return ctx }
	}
	if o.Observe == nil {
		o.Observe = unobserved{}
	}
	if o.Tracer == nil {
		o.Tracer = noop.Tracer{}
	}
	docs, err := store.System[Run](ctx, o.DB, store.Def{Name: "runs", Indexes: []store.Index{
		{Name: "due", Fields: []string{"kind", "due_at"}},
		{Name: "awaited", Fields: []string{"kind", "awaited_at"}},
		{Name: "history", Fields: []string{"organization", "kind", "created_at"}},
		{Name: "about", Fields: []string{"organization", "kind", "about", "created_at"}},
	}, Owner: "history"})
	if err != nil {
		return nil, fmt.Errorf("open runs of %s: %w", o.Group, err)
	}
	return &Runner{Options: o, docs: docs, kinds: map[string]Kind{}, active: map[string]context.CancelCauseFunc{}}, nil
}

// Register declares the kinds of run that the group executes, before the Supervisor starts.
func (r *Runner) Register(kinds ...Kind) error {
	for _, k := range kinds {
		_, twice := r.kinds[k.Name]
		switch {
		case !kindPattern.MatchString(k.Name):
			return fmt.Errorf("kind of run %q of %s: want lower-case letters, digits, \".\" and \"-\"", k.Name, r.Group)
		case twice:
			return fmt.Errorf("kind of run %q of %s is declared twice", k.Name, r.Group)
		case k.Step == nil:
			return fmt.Errorf("kind of run %q of %s has no step", k.Name, r.Group)
		}
		if k.MaxFailures == 0 {
			k.MaxFailures = defaultMaxFailures
		}
		r.kinds[k.Name] = k
	}
	return nil
}

// Start begins a run, or returns the one that was begun with this id: ErrUnknownKind, ErrBadID, ErrOtherRun. The run is
// durable when Start returns; it begins at once if the executor can be reached, else when it can. Messages are stored with
// the record of a new run.
func (r *Runner) Start(ctx context.Context, kind, organization, id string, input any, messages ...store.Message) (Run, error) {
	if _, ok := r.kinds[kind]; !ok {
		return Run{}, fmt.Errorf("start %s run: %w", kind, ErrUnknownKind)
	}
	if !idPattern.MatchString(id) {
		return Run{}, fmt.Errorf("start %s run %.140q: %w", kind, id, ErrBadID)
	}
	body, err := json.Marshal(input)
	if err != nil {
		return Run{}, fmt.Errorf("start %s run: encode input: %w", kind, err)
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	now := r.Now()
	run := Run{
		ID: id, Kind: kind, Organization: organization, Input: body, Status: Queued, Attempt: 1,
		CreatedAt: store.At(now), DueAt: due(now.Add(r.Lease)), AwaitedAt: due(now), TraceParent: carrier.Get("traceparent"),
	}
	if s, ok := input.(Subject); ok {
		run.About = s.About()
	}
	_, err = r.docs.Insert(ctx, id, run, messages...)
	if errors.Is(err, store.ErrExists) {
		doc, err := r.docs.Get(ctx, id)
		if err != nil {
			return Run{}, fmt.Errorf("start %s run: %w", kind, err)
		}
		if doc.Value.Kind != kind || doc.Value.Organization != organization {
			return Run{}, fmt.Errorf("start %s run %s: %w", kind, id, ErrOtherRun)
		}
		return doc.Value, nil
	}
	if err != nil {
		return Run{}, fmt.Errorf("start %s run: %w", kind, err)
	}
	r.Observe.Started(kind)
	r.launch(ctx, run)
	return run, nil
}

// launch hands a run to the executor. When that fails, the run is adopted as soon as it is due.
func (r *Runner) launch(ctx context.Context, run Run) {
	// The caller may leave; the run has begun all the same. Whoever launches it, its trace is that of who asked for it.
	ctx, cancel := context.WithTimeout(run.traced(context.WithoutCancel(ctx)), launchTimeout)
	defer cancel()
	if err := r.Executor.Launch(ctx, r.key(run)); err != nil {
		r.Log.WarnContext(ctx, "launch run: it is adopted later", "group", r.Group, "run", run.ID, "attempt", run.Attempt, "error", err)
	}
}

// traced is ctx in the trace of what asked for the run. A ctx that is in it already, within the executor's own spans, stays there.
func (run Run) traced(ctx context.Context) context.Context {
	asked := propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": run.TraceParent})
	if trace.SpanContextFromContext(asked).TraceID() == trace.SpanContextFromContext(ctx).TraceID() {
		return ctx
	}
	return asked
}

func (r *Runner) key(run Run) Key { return Key{r.Group, run.ID, run.Attempt} }

// Get reads an organization's run: ErrNotFound.
func (r *Runner) Get(ctx context.Context, organization, id string) (Run, error) {
	doc, err := r.docs.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) || err == nil && doc.Value.Organization != organization {
		return Run{}, fmt.Errorf("run %.140q: %w", id, ErrNotFound)
	}
	if err != nil {
		return Run{}, fmt.Errorf("read run: %w", err)
	}
	return doc.Value, nil
}

// Page is a part of a list of runs.
type Page struct {
	Runs []Run
	// Next is the cursor of the following page, empty after the last.
	Next string
}

// List reads an organization's runs of one kind, of those about something when about is not empty (see Subject), newest first, limit a
// page (50 when 0). A cursor that is not of such a list is store.ErrBadCursor.
func (r *Runner) List(ctx context.Context, organization, kind, about string, limit int, cursor string) (Page, error) {
	q := store.Query{Index: "history", Equal: []any{organization, kind}, Descending: true, Limit: limit, Cursor: cursor}
	if about != "" {
		q.Index, q.Equal = "about", append(q.Equal, about)
	}
	found, err := r.docs.Find(ctx, q)
	if err != nil {
		return Page{}, fmt.Errorf("list %s runs: %w", kind, err)
	}
	page := Page{Next: found.Next, Runs: make([]Run, len(found.Items))}
	for i, doc := range found.Items {
		page.Runs[i] = doc.Value
	}
	return page, nil
}

// Silence is, by kind, for how long the run that has been waiting longest for a step to be finished has been doing so, without the
// pauses that its steps asked for; zero where none waits. It grows while steps fail, hang or are not called.
func (r *Runner) Silence(ctx context.Context) (map[string]time.Duration, error) {
	now, silence := r.Now(), map[string]time.Duration{}
	for kind := range r.kinds {
		found, err := r.docs.Find(ctx, store.Query{
			Index: "awaited", Equal: []any{kind}, Range: store.Range{Field: "awaited_at", To: store.At(now)}, Limit: 1,
		})
		if err != nil {
			return nil, fmt.Errorf("look for silent %s runs: %w", kind, err)
		}
		silence[kind] = 0
		for _, doc := range found.Items {
			if since := doc.Value.AwaitedAt; since != nil {
				silence[kind] = max(0, now.Sub(since.Time))
			}
		}
	}
	return silence, nil
}

// Cancel ends an organization's run: ErrNotFound, ErrFinished. A step at work elsewhere is told within a third of the
// lease; what it returns then is not kept.
func (r *Runner) Cancel(ctx context.Context, organization, id string) (Run, error) {
	doc, err := r.docs.Update(ctx, id, func(run *Run) ([]store.Message, error) {
		if run.Organization != organization {
			return nil, ErrNotFound
		}
		if run.Status.Final() {
			return nil, ErrFinished
		}
		return r.finish(ctx, run, Cancelled, nil)
	})
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		err = ErrNotFound
	}
	if err != nil {
		return Run{}, fmt.Errorf("cancel run %.140q: %w", id, err)
	}
	r.ended(doc.Value)
	r.interrupt(id, context.Canceled)
	return doc.Value, nil
}

// Wake ends an organization's run's wait, for a step that waits for something that has happened: ErrNotFound, ErrFinished.
// If a step is at work, another follows it at once.
func (r *Runner) Wake(ctx context.Context, organization, id string) error {
	woken := false
	doc, err := r.docs.Update(ctx, id, func(run *Run) ([]store.Message, error) {
		woken = false
		switch {
		case run.Organization != organization:
			return nil, ErrNotFound
		case run.Status.Final():
			return nil, ErrFinished
		case run.WakeAt.IsZero():
			run.Woken = true // a step at work may have looked already, and be about to wait
			return nil, nil
		}
		woken = true
		// A new execution, as the one there is sleeps in its executor.
		r.adopt(run, 0)
		run.AwaitedAt = due(r.Now())
		return nil, nil
	})
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("wake run %.140q: %w", id, err)
	}
	if woken {
		r.launch(ctx, doc.Value)
	}
	return nil
}

// adopt makes a run ready for a new execution, to be adopted again when nothing is heard of that one for the lease, longer
// each time: an executor that needs half a minute to begin must not be overtaken for ever.
func (r *Runner) adopt(run *Run, stalls int) {
	run.Attempt++
	run.Stalls = stalls
	run.Lease, run.WakeAt = Lease{}, store.Time{}
	run.DueAt = due(r.Now().Add(r.Lease << min(stalls, 5)))
}

// finish makes run final and returns the messages that tell of it.
func (r *Runner) finish(ctx context.Context, run *Run, status Status, cause *Error) ([]store.Message, error) {
	run.Status, run.Error = status, cause
	run.FinishedAt = store.At(r.Now())
	run.Lease, run.WakeAt, run.DueAt, run.AwaitedAt = Lease{}, store.Time{}, nil, nil
	onFailed := r.kinds[run.Kind].OnFailed
	if status == Succeeded || onFailed == nil {
		return nil, nil
	}
	messages, err := onFailed(ctx, *run)
	if err != nil {
		return nil, fmt.Errorf("tell of the end of run %s: %w", run.ID, err)
	}
	return messages, nil
}

// interrupt cancels the run's step, if it is at work in this process.
func (r *Runner) interrupt(id string, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel := r.active[id]; cancel != nil {
		cancel(cause)
	}
}

func due(t time.Time) *store.Time {
	at := store.At(t)
	return &at
}
