package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tandemhq/tandem/pkg/drain"
	"github.com/tandemhq/tandem/pkg/topology"
)

const (
	// checkEvery is how often the schedules are looked after: a scheduler may have lost its data.
	checkEvery   = 5 * time.Minute
	firstRetry   = 200 * time.Millisecond
	longestRetry = 30 * time.Second
	callTimeout  = 5 * time.Second
)

// errStopped answers a firing that comes when the process stops; it is fired again elsewhere.
var errStopped = errors.New("the process is stopping")

// Scheduler keeps the schedules of the hosted groups' jobs and runs the jobs when they fire. It is a component: started
// once, stopped once. It is safe for concurrent use.
type Scheduler struct {
	// Observe hears of each run of a job. Set it before Start. Optional.
	Observe func(group topology.Group, job string, took time.Duration, err error)
	// Tracer makes the spans of runs of jobs. Set it before Start. Optional.
	Tracer trace.Tracer

	registrar Registrar
	now       func() time.Time
	log       *slog.Logger
	jobs      map[string]*scheduled

	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	stopped bool
	work    sync.WaitGroup
}

type scheduled struct {
	Job
	group topology.Group
	times cron.Schedule

	mu      sync.Mutex
	running bool
	again   bool      // a firing came during a run
	last    time.Time // start of the last run that succeeded
}

// NewScheduler checks the jobs: one that is declared twice or wrongly is an error.
func NewScheduler(table Table, registrar Registrar, now func() time.Time, log *slog.Logger) (*Scheduler, error) {
	s := &Scheduler{Tracer: noop.Tracer{}, registrar: registrar, now: now, log: log, jobs: map[string]*scheduled{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for group, list := range table {
		for _, job := range list {
			if err := job.check(); err != nil {
				return nil, fmt.Errorf("job of %s: %w", group, err)
			}
			name := Name(group, job.Name)
			if s.jobs[name] != nil {
				return nil, fmt.Errorf("job %s of %s is declared twice", job.Name, group)
			}
			times, err := parse(job.Schedule)
			if err != nil {
				return nil, err
			}
			s.jobs[name] = &scheduled{Job: job, group: group, times: times}
		}
	}
	return s, nil
}

// Start registers the schedules, in the background and until it succeeds: the registrar may not answer before this
// process does.
func (s *Scheduler) Start(context.Context) error {
	if len(s.jobs) > 0 {
		s.work.Go(s.keep)
	}
	return nil
}

// Stop ends the jobs at work and waits for them. Their schedules stay, for whoever hosts the groups next.
func (s *Scheduler) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.cancel()
	return drain.Wait(ctx, &s.work, "jobs")
}

func (s *Scheduler) keep() {
	retry := firstRetry
	for {
		wait := checkEvery
		if err := s.register(); err != nil && s.ctx.Err() == nil {
			s.log.WarnContext(s.ctx, "register schedules", "error", err, "again in", retry.String())
			wait, retry = retry, min(2*retry, longestRetry)
		} else {
			retry = firstRetry
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (s *Scheduler) register() error {
	for name, job := range s.jobs {
		ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
		err := s.registrar.Schedule(ctx, name, job.Schedule)
		cancel()
		if err != nil {
			return fmt.Errorf("schedule %s: %w", name, err)
		}
	}
	return nil
}

// ServeHTTP answers a sidecar's POST /job/<name>. An error answer makes Dapr fire again soon.
func (s *Scheduler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/job/")
	if err := s.Fire(propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header)), name); err != nil {
		http.Error(w, "the job failed", http.StatusInternalServerError)
	}
}

// Fire runs a job and waits for its end, or for that of ctx. A firing during a run makes one more run follow; one that
// comes when the job has done what was due, as the missed ones after a pause do, is nothing. A job that no hosted group
// has lives elsewhere, or no more: its schedule here ends.
func (s *Scheduler) Fire(ctx context.Context, name string) error {
	job := s.jobs[name]
	if job == nil {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		s.log.InfoContext(ctx, "end a schedule of a job that is not hosted here", "job", name)
		return s.registrar.Delete(ctx, name)
	}
	if !job.begin(s.now()) {
		return nil
	}
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		job.end(time.Time{}, time.Time{})
		return errStopped
	}
	done := make(chan error, 1)
	s.work.Go(func() { done <- s.run(trace.SpanContextFromContext(ctx), job) })
	s.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin claims the job, unless it is running or has nothing due.
func (j *scheduled) begin(now time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.running {
		j.again = true
		return false
	}
	if !j.isDue(now) {
		return false
	}
	j.running = true
	return true
}

// isDue tells whether a time of the schedule has come since the last run, or nearly: firings are a little early or late.
func (j *scheduled) isDue(now time.Time) bool {
	if j.last.IsZero() {
		return true
	}
	next := j.times.Next(j.last.UTC())
	return next.Sub(now) <= next.Sub(j.last)/5
}

// end gives the job back, unless a firing during the run asks for another run.
func (j *scheduled) end(succeeded, now time.Time) (again bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !succeeded.IsZero() {
		j.last = succeeded
	}
	again = j.again && !succeeded.IsZero() && j.isDue(now)
	j.again, j.running = false, again
	return again
}

// run runs a job until nothing asks for another run. The firing may stop waiting; the job is in its trace all the same.
func (s *Scheduler) run(firing trace.SpanContext, job *scheduled) error {
	for {
		started := s.now()
		err := s.call(trace.ContextWithRemoteSpanContext(s.ctx, firing), job)
		if s.Observe != nil {
			s.Observe(job.group, job.Name, s.now().Sub(started), err)
		}
		succeeded := started
		if err != nil {
			s.log.WarnContext(s.ctx, "job failed", "group", job.group, "job", job.Name, "error", err)
			succeeded = time.Time{}
		}
		if !job.end(succeeded, s.now()) {
			return err
		}
	}
}

func (s *Scheduler) call(ctx context.Context, job *scheduled) (err error) {
	ctx, span := s.Tracer.Start(ctx, "job "+job.Name, trace.WithAttributes(attribute.String("tandem.group", string(job.group))))
	defer func() {
		if err != nil {
			span.SetStatus(codes.Error, "failed") // the log has the cause
		}
		span.End()
	}()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return job.Run(ctx)
}
