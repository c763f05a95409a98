package runs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/dapr/durabletask-go/workflow"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/tandemhq/tandem/pkg/drain"
	"github.com/tandemhq/tandem/pkg/topology"
)

const (
	orchestrator = "tandem.run"
	activity     = "tandem.step"
	// slicesAnInstance is how many slices one history holds; then the instance begins anew with an empty one.
	slicesAnInstance = 50
	firstRetry       = 100 * time.Millisecond
	longestRetry     = 5 * time.Second
)

// Workflow executes runs as Dapr workflows. One workflow serves every kind of run: it calls an activity with the run's
// key, waits as told, and calls again. Its history holds keys and durations; everything else is in the record, so a new
// version of a step never meets an old history.
type Workflow struct {
	client *workflow.Client
	log    *slog.Logger
	drives map[topology.Group]Drive

	ctx     context.Context
	cancel  context.CancelFunc
	mu      sync.Mutex
	stopped bool
	running sync.WaitGroup // the slices at work, and the attempt to connect
}

// NewDapr makes an executor that works through the sidecar at the other end of conn.
func NewDapr(conn grpc.ClientConnInterface, log *slog.Logger) *Workflow {
	ctx, cancel := context.WithCancel(context.Background())
	return &Workflow{
		client: workflow.NewClientWithLogger(conn, chatter{log}),
		log:    log, drives: map[topology.Group]Drive{}, ctx: ctx, cancel: cancel,
	}
}

// Host implements Executor.
func (w *Workflow) Host(group topology.Group, drive Drive) { w.drives[group] = drive }

// Start implements Executor. It does not wait for the sidecar, which waits for this process to listen.
func (w *Workflow) Start(context.Context) error {
	registry := workflow.NewRegistry()
	if err := registry.AddWorkflowN(orchestrator, orchestrate); err != nil {
		return err
	}
	if err := registry.AddActivityN(activity, w.drive); err != nil {
		return err
	}
	w.running.Go(func() { w.connect(registry) })
	return nil
}

// connect makes the client listen to the sidecar, however long that takes; from then on it reconnects by itself, until
// w.ctx ends.
func (w *Workflow) connect(registry *workflow.Registry) {
	for wait := firstRetry; ; wait = min(2*wait, longestRetry) {
		err := w.client.StartWorker(w.ctx, registry)
		if err == nil || w.ctx.Err() != nil {
			return
		}
		w.log.DebugContext(w.ctx, "connect to the sidecar's workflows", "error", err)
		if pause(w.ctx, wait) != nil {
			return
		}
	}
}

// Launch implements Executor.
func (w *Workflow) Launch(ctx context.Context, key Key) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, launchTimeout)
		defer cancel()
	}
	// The client would write the trace into its request in a form that makes every trace a sampled one. The sidecar reads the
	// header as well.
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	ctx = trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	for name, value := range carrier {
		ctx = metadata.AppendToOutgoingContext(ctx, name, value)
	}
	_, err := w.client.ScheduleWorkflow(ctx, orchestrator, workflow.WithInstanceID(key.String()), workflow.WithInput(key))
	return err
}

// Stop implements Executor.
func (w *Workflow) Stop(ctx context.Context) error {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.cancel()
	return drain.Wait(ctx, &w.running, "the executor of runs")
}

// orchestrate is the workflow. It must stay deterministic: a change of what it awaits breaks the histories under way,
// whose runs are then adopted by new instances.
func orchestrate(ctx *workflow.WorkflowContext) (any, error) {
	var key Key
	if err := ctx.GetInput(&key); err != nil {
		return nil, err
	}
	for range slicesAnInstance {
		var outcome Outcome
		if err := ctx.CallActivity(activity, workflow.WithActivityInput(key)).Await(&outcome); err != nil {
			outcome = Outcome{Wait: longestRetry}
		}
		if outcome.Done {
			return nil, nil
		}
		if outcome.Wait > 0 {
			if err := ctx.CreateTimer(outcome.Wait).Await(nil); err != nil {
				return nil, err
			}
		}
	}
	ctx.ContinueAsNew(key)
	return nil, nil
}

// drive is the activity.
func (w *Workflow) drive(activity workflow.ActivityContext) (any, error) {
	var key Key
	if err := activity.GetInput(&key); err != nil {
		return nil, err
	}
	w.mu.Lock()
	if w.stopped {
		w.mu.Unlock()
		return nil, errStopping
	}
	w.running.Add(1)
	w.mu.Unlock()
	defer w.running.Done()

	drive := w.drives[key.Group]
	if drive == nil { // the group has moved; its new home adopts the run
		return Outcome{Done: true}, nil
	}
	ctx, cancel := context.WithCancel(activity.Context())
	defer cancel()
	defer context.AfterFunc(w.ctx, cancel)()
	outcome, err := drive(ctx, key)
	if err != nil {
		if !errors.Is(err, errStopping) {
			w.log.WarnContext(ctx, "drive run", "run", key.String(), "error", err)
		}
		return Outcome{Wait: errorPause}, nil
	}
	return outcome, nil
}
