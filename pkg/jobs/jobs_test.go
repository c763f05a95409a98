package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/tandemhq/tandem/pkg/daprtest"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// clock stands still until a test moves it.
type clock struct {
	mu      sync.Mutex
	at      time.Time
	waiting map[chan time.Time]time.Time
}

func newClock() *clock {
	return &clock{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), waiting: map[chan time.Time]time.Time{}}
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) after(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	fire := make(chan time.Time, 1)
	c.waiting[fire] = c.at.Add(d)
	return fire
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	for fire, at := range c.waiting {
		if !at.After(c.at) {
			fire <- c.at
			delete(c.waiting, fire)
		}
	}
}

func (c *clock) waiters() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

// registrar remembers what it is told.
type registrar struct {
	mu        sync.Mutex
	fail      int
	schedules map[string]string
	deleted   []string
}

func (r *registrar) Schedule(_ context.Context, name, schedule string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail > 0 {
		r.fail--
		return errors.New("down")
	}
	if r.schedules == nil {
		r.schedules = map[string]string{}
	}
	r.schedules[name] = schedule
	return nil
}

func (r *registrar) Delete(_ context.Context, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deleted = append(r.deleted, name)
	return nil
}

func table(job jobs.Job) jobs.Table { return jobs.Table{topology.Analytics: {job}} }

func start(t *testing.T, table jobs.Table, r jobs.Registrar, now func() time.Time) *jobs.Scheduler {
	t.Helper()
	s, err := jobs.NewScheduler(table, r, now, quiet)
	if err == nil {
		err = s.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestFirings fires a job at times after 08:00, and counts its runs.
func TestFirings(t *testing.T) {
	for _, test := range []struct {
		name, schedule string
		at             []time.Duration
		runs           int
	}{
		{"each time it is due", "@every 1m", []time.Duration{0, time.Minute, 2 * time.Minute}, 3},
		{"a little early", "@every 1m", []time.Duration{0, 58 * time.Second, 117 * time.Second}, 3},
		{"a burst of missed ones", "@every 1m", []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second}, 1},
		{"a burst, then the next", "@every 1m", []time.Duration{0, time.Second, 2 * time.Second, time.Minute}, 2},
		{"at a time of day", "0 0 9,10 * * *", []time.Duration{time.Hour, 2 * time.Hour, 25 * time.Hour}, 3},
		{"a time of day missed twice", "@daily", []time.Duration{16 * time.Hour, 16*time.Hour + time.Second, 40 * time.Hour}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			begin, runs := c.now(), 0
			s := start(t, table(jobs.Job{Name: "close-day", Schedule: test.schedule, Run: func(context.Context) error { runs++; return nil }}),
				&registrar{}, c.now)
			for _, at := range test.at {
				c.advance(begin.Add(at).Sub(c.now()))
				if err := s.Fire(t.Context(), "analytics.close-day"); err != nil {
					t.Fatal(err)
				}
			}
			if runs != test.runs {
				t.Errorf("%d runs, want %d", runs, test.runs)
			}
		})
	}
}

func TestAFailureIsToldAndTriedAgain(t *testing.T) {
	failures := []error{errors.New("no"), nil, nil}
	runs := 0
	s := start(t, table(jobs.Job{Name: "j", Schedule: "@hourly", Run: func(context.Context) error {
		runs++
		if runs == 2 {
			panic("oh")
		}
		return failures[runs-1]
	}}), &registrar{}, newClock().now)
	for i, want := range []int{http.StatusInternalServerError, http.StatusInternalServerError, http.StatusOK, http.StatusOK} {
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/job/analytics.j", nil))
		if answer.Code != want {
			t.Errorf("firing %d: %d, want %d", i+1, answer.Code, want)
		}
	}
	if runs != 3 {
		t.Errorf("%d runs", runs)
	}
}

// TestOneRunAtATime fires during a run: what came due meanwhile is done by one more run.
func TestOneRunAtATime(t *testing.T) {
	c := newClock()
	begun, finish := make(chan struct{}), make(chan struct{})
	var running, runs atomic.Int32
	s := start(t, table(jobs.Job{Name: "j", Schedule: "@every 1m", Run: func(context.Context) error {
		if running.Add(1) > 1 {
			t.Error("two runs at once")
		}
		defer running.Add(-1)
		if runs.Add(1) == 1 {
			close(begun)
			<-finish
		}
		return nil
	}}), &registrar{}, c.now)
	first := make(chan error)
	go func() { first <- s.Fire(t.Context(), "analytics.j") }()
	<-begun
	c.advance(3 * time.Minute)
	for range 3 {
		if err := s.Fire(t.Context(), "analytics.j"); err != nil {
			t.Error(err)
		}
	}
	close(finish)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if runs.Load() != 2 {
		t.Errorf("%d runs", runs.Load())
	}
}

func TestAFiringForElsewhereEndsItsSchedule(t *testing.T) {
	r := &registrar{}
	s := start(t, table(jobs.Job{Name: "j", Schedule: "@hourly", Run: func(context.Context) error { return nil }}), r, newClock().now)
	for _, name := range []string{"ml.retrain", "analytics.gone", "j"} {
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/job/"+name, nil))
		if answer.Code != http.StatusOK || r.deleted[len(r.deleted)-1] != name {
			t.Errorf("%s: %d, ended %v", name, answer.Code, r.deleted)
		}
	}
}

func TestRegistrationIsRepeatedUntilItSucceeds(t *testing.T) {
	r := &registrar{fail: 2}
	start(t, table(jobs.Job{Name: "j", Schedule: "@hourly", Run: func(context.Context) error { return nil }}), r, time.Now)
	eventually.Holds(t, 5*time.Second, "it is registered", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.schedules["analytics.j"] == "@hourly"
	})
}

func TestStopEndsARun(t *testing.T) {
	begun := make(chan struct{})
	s, err := jobs.NewScheduler(table(jobs.Job{Name: "j", Schedule: "@hourly", Run: func(ctx context.Context) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}}), &registrar{}, time.Now, quiet)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Fire(context.Background(), "analytics.j") }()
	<-begun
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := s.Fire(t.Context(), "analytics.j"); err == nil {
		t.Error("it ran after the end")
	}
}

func TestJobsAreChecked(t *testing.T) {
	run := func(context.Context) error { return nil }
	for _, list := range [][]jobs.Job{
		{{Name: "Bad", Schedule: "@daily", Run: run}}, {{Name: "j", Schedule: "@daily"}}, {{Name: "j", Schedule: "", Run: run}},
		{{Name: "j", Schedule: "* * * * *", Run: run}}, {{Name: "j", Schedule: "@every 10ms", Run: run}}, {{Name: "j", Schedule: "@every -1m", Run: run}},
		{{Name: "j", Schedule: "@sometimes", Run: run}}, {{Name: "j", Schedule: "TZ=Europe/Paris @daily", Run: run}},
		{{Name: "j", Schedule: "@daily", Run: run}, {Name: "j", Schedule: "@daily", Run: run}},
	} {
		if _, err := jobs.NewScheduler(jobs.Table{topology.Auth: list}, &registrar{}, time.Now, quiet); err == nil {
			t.Errorf("%q with schedule %q was accepted", list[0].Name, list[0].Schedule)
		}
	}
}

func TestLocalByTheClock(t *testing.T) {
	c := newClock()
	local := jobs.NewLocal(c.now, c.after)
	fired := make(chan string)
	local.Attach(func(_ context.Context, name string) error { fired <- name; return nil })
	if err := local.Schedule(t.Context(), "analytics.close-day", "0 30 9 * * *"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := local.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for day := range 3 {
		eventually.Holds(t, time.Second, "it waits", func() bool { return c.waiters() == 1 })
		c.advance(time.Date(2026, 3, 1+day, 9, 29, 59, 0, time.UTC).Sub(c.now()))
		select {
		case <-fired:
			t.Fatal("too early")
		default:
		}
		c.advance(time.Second)
		if name := <-fired; name != "analytics.close-day" {
			t.Error(name)
		}
	}
	if err := local.Delete(t.Context(), "analytics.close-day"); err != nil {
		t.Error(err)
	}
	if err := local.Delete(t.Context(), "none"); err != nil {
		t.Error(err)
	}
}

// TestContract lets schedules fire for real.
func TestContract(t *testing.T) {
	var runs atomic.Int32
	list := table(jobs.Job{Name: "often", Schedule: "@every 1s", Run: func(context.Context) error { runs.Add(1); return nil }})
	contract := func(t *testing.T, r jobs.Registrar) {
		eventually.Holds(t, 20*time.Second, "it runs twice", func() bool { return runs.Load() >= 2 })
		for range 2 {
			if err := r.Delete(context.Background(), "analytics.often"); err != nil {
				t.Error(err)
			}
		}
	}
	t.Run("local", func(t *testing.T) {
		runs.Store(0)
		local := jobs.NewLocal(time.Now, time.After)
		s, err := jobs.NewScheduler(list, local, time.Now, quiet)
		if err != nil {
			t.Fatal(err)
		}
		local.Attach(s.Fire)
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		contract(t, local)
		for _, stop := range []func(context.Context) error{s.Stop, local.Stop} {
			if err := stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("dapr", func(t *testing.T) {
		runs.Store(0)
		var handler atomic.Pointer[jobs.Scheduler]
		sidecar := daprtest.Start(t, daprtest.Options{
			AppID: "some-app", ControlPlane: daprtest.StartControlPlane(t),
			Resources: []string{daprtest.State(filepath.Join(t.TempDir(), "state.db"))},
			App: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if s := handler.Load(); s != nil && r.Method == http.MethodPost {
					s.ServeHTTP(w, r)
				}
			}),
		})
		r := jobs.NewDapr(sidecar.Client)
		// What another home left in this app-id's schedule ends by its first firing.
		if err := r.Schedule(t.Context(), "ml.retrain", "@every 1s"); err != nil {
			t.Fatal(err)
		}
		handler.Store(start(t, list, r, time.Now))
		contract(t, r)
		eventually.Holds(t, 10*time.Second, "the stranger has gone", func() bool {
			_, err := sidecar.Client.GetJob(t.Context(), "ml.retrain")
			return err != nil
		})
		// Registered again as it is, a schedule keeps its count; changed, it is another.
		for _, schedule := range []string{"@every 3s", "@every 3s", "@daily"} {
			if err := r.Schedule(t.Context(), "analytics.kept", schedule); err != nil {
				t.Fatal(err)
			}
			if job, err := sidecar.Client.GetJob(t.Context(), "analytics.kept"); err != nil || *job.Schedule != schedule {
				t.Errorf("%+v, %v", job, err)
			}
		}
	})
}

// A job is in the trace of the firing that the sidecar sends.
func TestTheSpanOfAJob(t *testing.T) {
	const firing = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	recorder := tracetest.NewSpanRecorder()
	s, err := jobs.NewScheduler(jobs.Table{topology.ML: {{Name: "train", Schedule: "@daily", Run: func(ctx context.Context) error {
		if trace.SpanContextFromContext(ctx).TraceID().String() != firing[3:35] {
			t.Error("the job is in another trace")
		}
		return errors.New("no data")
	}}}}, &registrar{}, newClock().now, quiet)
	if err != nil {
		t.Fatal(err)
	}
	s.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")
	r := httptest.NewRequest(http.MethodPost, "/job/ml.train", nil)
	r.Header.Set("Traceparent", firing)
	s.ServeHTTP(httptest.NewRecorder(), r)
	if ended := recorder.Ended(); len(ended) != 1 || ended[0].Name() != "job train" || ended[0].Status().Code != codes.Error ||
		ended[0].Parent().SpanID().String() != firing[36:52] {
		t.Errorf("spans %v", ended)
	}
}
