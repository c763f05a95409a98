package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/tandemhq/tandem/pkg/daprtest"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

func TestMain(m *testing.M) {
	if relayAsChild() || consumerAsChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

type changed struct {
	Page  int   `json:"page"`
	Minor int64 `json:"minor"`
}

var recordsChanged = events.Topic[changed]{Name: "integrations.records.changed"}

// world is one group's database and emitter, on a clock that a test moves.
type world struct {
	db      store.DB
	emitter events.Emitter
	clock   *clock
}

type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func newWorld(t testing.TB, group topology.Group, path string) *world {
	t.Helper()
	db, err := store.OpenSQLite(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w := &world{db: db, clock: &clock{}}
	w.clock.advance(time.Duration(time.Now().UnixNano()))
	var ids atomic.Int64
	w.emitter = events.Emitter{Group: group, Now: w.clock.now, NewID: func() string {
		return fmt.Sprintf("%s-%d-%d", group, time.Now().UnixNano(), ids.Add(1))
	}}
	return w
}

func (w *world) consumer(t testing.TB, handlers ...events.Handler) *events.Consumer {
	t.Helper()
	return w.consumerWith(t, events.ConsumerOptions{Handlers: handlers})
}

func (w *world) consumerWith(t testing.TB, o events.ConsumerOptions) *events.Consumer {
	t.Helper()
	o.Emitter, o.DB = w.emitter, w.db
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c, err := events.NewConsumer(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) message(t testing.TB, data changed) store.Message {
	t.Helper()
	m, err := recordsChanged.Message(context.Background(), w.emitter, "org", data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func start(t testing.TB, c *events.Consumer) {
	t.Helper()
	if err := c.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// seen counts deliveries by page.
type seen struct {
	mu    sync.Mutex
	pages map[int]int
	order []int
}

func (s *seen) add(page int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages == nil {
		s.pages = map[int]int{}
	}
	s.pages[page]++
	s.order = append(s.order, page)
}

func (s *seen) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.order)
}

func TestTheMessageOfAnEvent(t *testing.T) {
	w := newWorld(t, topology.Integrations, filepath.Join(t.TempDir(), "db"))
	id, _ := trace.TraceIDFromHex("4bf92f3577b34da6a3ce929d0e0e4736")
	span, _ := trace.SpanIDFromHex("00f067aa0ba902b7")
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: trace.FlagsSampled}))
	m, err := recordsChanged.Message(ctx, w.emitter, "org", changed{Page: 3})
	if err != nil {
		t.Fatal(err)
	}
	var wire map[string]any
	if err := json.Unmarshal(m.Data, &wire); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"specversion": "1.0", "id": m.ID, "type": "integrations.records.changed", "source": "/integrations", "organization": "org",
		"traceparent": someTrace, "time": w.clock.now().Format(time.RFC3339Nano), "datacontenttype": "application/json",
	} {
		if wire[name] != want {
			t.Errorf("%s is %v, want %v", name, wire[name], want)
		}
	}
	raw, err := events.Decode(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	want := events.Meta{ID: m.ID, Type: recordsChanged.Name, Source: topology.Integrations, Organization: "org", Time: w.clock.now(), TraceParent: someTrace}
	if raw.Meta != want || m.Topic != "tandem.integrations.records.changed" {
		t.Errorf("topic %s, %+v", m.Topic, raw.Meta)
	}
	if got := trace.SpanContextFromContext(raw.TraceContext(t.Context())); got.TraceID() != id {
		t.Errorf("trace %v", got)
	}

	for _, name := range []string{"", "records", "Integrations.records", "a..b", ".a.b", "a.b.", "a-b.c", "a.b c", "a.>", "a.*"} {
		if _, err := (events.Topic[changed]{Name: name}).Message(t.Context(), w.emitter, "", changed{}); err == nil {
			t.Errorf("topic %q was accepted", name)
		}
	}
	if _, err := (events.Topic[string]{Name: "a.b"}).Message(t.Context(), w.emitter, "", strings.Repeat("x", events.MaxEvent)); err == nil {
		t.Error("an event that no broker takes was accepted")
	}
}

// An event is handled in its own trace, whoever brings it, and linked to what it was made in. So it is when it is tried again.
func TestTheSpansOfAnEvent(t *testing.T) {
	w := newWorld(t, topology.Analytics, filepath.Join(t.TempDir(), "db"))
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")
	fail := true
	c := w.consumerWith(t, events.ConsumerOptions{Tracer: tracer, Handlers: []events.Handler{
		events.On(recordsChanged, func(ctx context.Context, _ events.Event[changed]) error {
			if got := trace.SpanContextFromContext(ctx); got.TraceID().String() != someTrace[3:35] || got.SpanID().String() == someTrace[36:52] {
				t.Errorf("the handler is in %v", got)
			}
			if fail {
				return errors.New("busy")
			}
			return nil
		})}})
	m, err := recordsChanged.Message(propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": someTrace}),
		w.emitter, "org", changed{})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, events.Route(topology.Analytics, recordsChanged.Name), bytes.NewReader(m.Data))
	r.Header.Set("Traceparent", someTrace[:36]+"00000000000000aa-01") // the sidecar's span
	c.ServeHTTP(httptest.NewRecorder(), r)
	fail = false
	w.clock.advance(time.Hour)
	if err := c.RetryParked(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := recorder.Ended()
	if len(ended) != 2 {
		t.Fatalf("%d spans", len(ended))
	}
	for i, want := range []struct {
		parent string
		status codes.Code
	}{{"00000000000000aa", codes.Error}, {someTrace[36:52], codes.Unset}} {
		s := ended[i]
		if s.Name() != "process integrations.records.changed" || s.SpanKind() != trace.SpanKindConsumer || s.Status().Code != want.status ||
			s.Parent().SpanID().String() != want.parent || len(s.Links()) != 1 || s.Links()[0].SpanContext.SpanID().String() != someTrace[36:52] {
			t.Errorf("attempt %d: %s, %v, %v, within %v, linked to %v", i+1, s.Name(), s.SpanKind(), s.Status(), s.Parent().SpanID(), s.Links())
		}
	}
}

// TestDeliveries delivers an event by a script of handler errors, then lets time pass: the broker is answered once and for
// all, and what failed is tried again without it.
func TestDeliveries(t *testing.T) {
	failure := errors.New("the store is busy")
	const drop, retry, success = events.Drop, events.Retry, events.Success
	for _, test := range []struct {
		name     string
		handler  []error // of each call
		verdict  events.Verdict
		outcomes []events.Verdict
		dead     int64
		pause    time.Duration // before each further attempt
	}{
		{"once", []error{nil}, success, []events.Verdict{success}, 0, time.Second},
		{"tried again", []error{failure, failure, nil}, success, []events.Verdict{retry, retry, success}, 0, 3 * time.Second},
		{"poison", []error{events.Poison(failure)}, drop, []events.Verdict{drop}, 1, time.Second},
		{"poison in a wrapper", []error{fmt.Errorf("roll up: %w", events.Poison(failure))}, drop, []events.Verdict{drop}, 1, time.Second},
		{"poison at last", []error{failure, events.Poison(failure)}, success, []events.Verdict{retry, drop}, 1, 2 * time.Second},
		{"given up", []error{failure, failure, failure}, success, []events.Verdict{retry, retry, drop}, 1, events.GiveUpAfter/2 + time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, topology.Analytics, filepath.Join(t.TempDir(), "db"))
			calls := 0
			var outcomes []events.Verdict
			c := w.consumerWith(t, events.ConsumerOptions{
				Observe: func(topic string, outcome events.Verdict, _ time.Time) { outcomes = append(outcomes, outcome) },
				Handlers: []events.Handler{events.On(recordsChanged, func(_ context.Context, e events.Event[changed]) error {
					calls++
					if e.Data.Page != 7 || e.Organization != "org" {
						t.Errorf("got %+v", e)
					}
					return test.handler[calls-1]
				})},
			})
			m := w.message(t, changed{Page: 7})
			if got := c.Deliver(t.Context(), m.Topic, m.Data); got != test.verdict {
				t.Errorf("delivered: %s, want %s", got, test.verdict)
			}
			for i := range 5 {
				if got := c.Deliver(t.Context(), m.Topic, m.Data); got != success {
					t.Errorf("a duplicate: %s", got)
				}
				if err := c.RetryParked(t.Context()); err != nil { // at once again it is not due
					t.Fatal(err)
				}
				if want := min(i+1, len(test.handler)); calls != want {
					t.Errorf("handled %d times, want %d", calls, want)
				}
				w.clock.advance(test.pause)
				if err := c.RetryParked(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if fmt.Sprint(outcomes) != fmt.Sprint(test.outcomes) {
				t.Errorf("outcomes %v, want %v", outcomes, test.outcomes)
			}
			dead, err := c.DeadLetters().Count(t.Context())
			if err != nil || dead != test.dead {
				t.Errorf("%d dead letters, %v", dead, err)
			}
			if n, err := c.Parked(t.Context()); err != nil || n != 0 {
				t.Errorf("%d parked, %v", n, err)
			}
		})
	}
}

// TestAParkedEventIsTriedLessAndLessOften counts the attempts of the time before an event is given up.
func TestAParkedEventIsTriedLessAndLessOften(t *testing.T) {
	w := newWorld(t, topology.Analytics, filepath.Join(t.TempDir(), "db"))
	var at []time.Duration
	begun := w.clock.now()
	c := w.consumer(t, events.On(recordsChanged, func(context.Context, events.Event[changed]) error {
		at = append(at, w.clock.now().Sub(begun))
		return errors.New("the store is busy")
	}))
	m := w.message(t, changed{})
	c.Deliver(t.Context(), m.Topic, m.Data)
	for w.clock.now().Sub(begun) < events.GiveUpAfter+10*time.Minute {
		w.clock.advance(time.Second)
		if err := c.RetryParked(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Parked(t.Context()); err != nil || n != 1 {
			break
		}
	}
	if len(at) < 15 || len(at) > 25 || at[1] > 3*time.Second || at[len(at)-1] < events.GiveUpAfter || at[len(at)-1] > events.GiveUpAfter+6*time.Minute {
		t.Errorf("tried at %v", at)
	}
	if n, err := c.DeadLetters().Count(t.Context()); err != nil || n != 1 {
		t.Errorf("%d dead letters, %v", n, err)
	}
}

// TestWhatCannotBeParkedIsTheBrokers takes the database away.
func TestWhatCannotBeParkedIsTheBrokers(t *testing.T) {
	w := newWorld(t, topology.Analytics, filepath.Join(t.TempDir(), "db"))
	c := w.consumer(t, events.On(recordsChanged, func(context.Context, events.Event[changed]) error {
		return errors.Join(errors.New("no database"), w.db.Close())
	}))
	m := w.message(t, changed{})
	if got := c.Deliver(t.Context(), m.Topic, m.Data); got != events.Retry {
		t.Error(got)
	}
}

// TestAParkedEventOfARemovedTopicIsKept replaces the group by a version without the handler.
func TestAParkedEventOfARemovedTopicIsKept(t *testing.T) {
	w := newWorld(t, topology.Analytics, filepath.Join(t.TempDir(), "db"))
	c := w.consumer(t, events.On(recordsChanged, func(context.Context, events.Event[changed]) error { return errors.New("no") }))
	m := w.message(t, changed{})
	c.Deliver(t.Context(), m.Topic, m.Data)
	without := w.consumer(t)
	w.clock.advance(events.RememberFor + time.Hour) // nor may it be forgotten after a long pause
	if err := errors.Join(without.Prune(t.Context()), without.RetryParked(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := without.DeadLetters().Replay(t.Context(), m.ID); err == nil {
		t.Error("replayed by no handler")
	}
	if letter, err := without.DeadLetters().Get(t.Context(), m.ID); err != nil || letter.Attempts != 3 {
		t.Errorf("%+v, %v", letter, err)
	}
}

// TestWhatATenantSeesOfAnError never is the error itself.
func TestWhatATenantSeesOfAnError(t *testing.T) {
	cause := errors.New("dial mongodb://root:hunter2@db")
	for _, test := range []struct {
		name   string
		handle func() error
		want   string
	}{
		{"an error", func() error { return events.Poison(cause) }, "internal: a handler of the event failed; the log has the cause"},
		{"a panic", func() error { panic(cause) }, "internal: a handler of the event failed; the log has the cause"},
		{"a problem", func() error {
			return fmt.Errorf("x: %w", problem.New(403, "connection_revoked", "The shop closed.").Wrap(cause))
		}, "connection_revoked: The shop closed."},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, topology.Analytics, filepath.Join(t.TempDir(), "db"))
			var log strings.Builder
			c := w.consumerWith(t, events.ConsumerOptions{
				Log:      slog.New(slog.NewTextHandler(&log, nil)),
				Handlers: []events.Handler{events.On(recordsChanged, func(context.Context, events.Event[changed]) error { return test.handle() })},
			})
			m := w.message(t, changed{})
			c.Deliver(t.Context(), m.Topic, m.Data)
			w.clock.advance(2 * events.GiveUpAfter)
			if err := c.RetryParked(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				letter, err := c.DeadLetters().Get(t.Context(), m.ID)
				if err != nil || letter.Reason != test.want {
					t.Errorf("%q, %v; want %q", letter.Reason, err, test.want)
				}
				if err := c.DeadLetters().Replay(t.Context(), m.ID); err == nil {
					t.Error("replayed")
				}
			}
			announced, err := w.db.Outbox().Pending(t.Context(), 1)
			if err != nil || len(announced) != 1 || strings.Contains(string(announced[0].Data), "hunter2") {
				t.Errorf("announced %s, %v", announced, err)
			}
			if !strings.Contains(log.String(), "hunter2") {
				t.Error("the log lacks the cause")
			}
		})
	}
}

func TestWhatCannotBeDecodedIsADeadLetter(t *testing.T) {
	for _, body := range []string{
		`no json`, `[]`, `{}`, `{"specversion":"0.3","id":"1","type":"t"}`, `{"specversion":"1.0","type":"t"}`,
		`{"specversion":"1.0","id":"1","type":"t","data":"not an object"}`, `{"specversion":"1.0","id":"1","type":"t","time":"yesterday"}`,
		`{"specversion":"1.0","id":"` + strings.Repeat("x", 500) + `","type":"t"}`,
	} {
		w := newWorld(t, topology.Analytics, filepath.Join(t.TempDir(), "db"))
		c := w.consumer(t, events.On(recordsChanged, func(context.Context, events.Event[changed]) error {
			t.Errorf("%s was handled", body)
			return nil
		}))
		if got := c.Deliver(t.Context(), recordsChanged.Wire(), []byte(body)); got != events.Drop {
			t.Errorf("%.80s: %s", body, got)
		}
		page, err := c.DeadLetters().List(t.Context(), "", 0, "")
		if err != nil || len(page.Letters) != 1 || string(page.Letters[0].Event) != body || page.Letters[0].Reason != "undecodable: the event is not in the expected form" {
			t.Errorf("%.80s: %+v, %v", body, page, err)
		}
	}
}

func TestAPanicIsAnError(t *testing.T) {
	w := newWorld(t, topology.Analytics, filepath.Join(t.TempDir(), "db"))
	c := w.consumer(t, events.On(recordsChanged, func(context.Context, events.Event[changed]) error { panic("oh") }))
	m := w.message(t, changed{})
	if got := c.Deliver(t.Context(), m.Topic, m.Data); got != events.Success {
		t.Error(got)
	}
	if n, err := c.Parked(t.Context()); err != nil || n != 1 {
		t.Errorf("%d parked, %v", n, err)
	}
}

// TestTwoDeliveriesAtOnce lets a second delivery come while the first is being handled, and another after a crash.
func TestTwoDeliveriesAtOnce(t *testing.T) {
	w := newWorld(t, topology.Analytics, filepath.Join(t.TempDir(), "db"))
	begun, finish := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	c := w.consumer(t, events.On(recordsChanged, func(context.Context, events.Event[changed]) error {
		if calls.Add(1) == 1 {
			close(begun)
			<-finish
		}
		return nil
	}))
	m := w.message(t, changed{})
	first := make(chan events.Verdict)
	go func() { first <- c.Deliver(t.Context(), m.Topic, m.Data) }()
	<-begun
	if got := c.Deliver(t.Context(), m.Topic, m.Data); got != events.Retry {
		t.Errorf("while the first is at work: %s", got)
	}
	w.clock.advance(time.Minute) // the first has crashed, for all that can be known
	if got := c.Deliver(t.Context(), m.Topic, m.Data); got != events.Success {
		t.Errorf("after its claim: %s", got)
	}
	close(finish)
	if got := <-first; got != events.Retry {
		t.Errorf("the first, overtaken: %s", got)
	}
	if calls.Load() != 2 {
		t.Errorf("handled %d times", calls.Load())
	}
}

func TestDeadLettersCanBeSeenAndReplayed(t *testing.T) {
	w := newWorld(t, topology.Analytics, filepath.Join(t.TempDir(), "db"))
	broken := true
	handled := 0
	c := w.consumer(t, events.On(recordsChanged, func(context.Context, events.Event[changed]) error {
		if broken {
			return events.Poison(errors.New("cannot be"))
		}
		handled++
		return nil
	}))
	var ids []string
	for range 3 {
		m := w.message(t, changed{Page: 1})
		ids = append(ids, m.ID)
		w.clock.advance(time.Second)
		if got := c.Deliver(t.Context(), m.Topic, m.Data); got != events.Drop {
			t.Fatal(got)
		}
	}
	dead := c.DeadLetters()
	page, err := dead.List(t.Context(), "org", 2, "")
	if err != nil || len(page.Letters) != 2 || page.Next == "" || page.Letters[0].ID != ids[2] {
		t.Fatalf("%+v, %v", page, err)
	}
	rest, err := dead.List(t.Context(), "org", 2, page.Next)
	if err != nil || len(rest.Letters) != 1 || rest.Next != "" || rest.Letters[0].ID != ids[0] {
		t.Fatalf("%+v, %v", rest, err)
	}
	letter := rest.Letters[0]
	if letter.Topic != recordsChanged.Name || letter.Organization != "org" || !strings.HasPrefix(letter.Reason, "internal: ") || letter.Attempts != 1 {
		t.Errorf("%+v", letter)
	}
	if err := dead.Replay(t.Context(), ids[0]); err == nil || !strings.Contains(err.Error(), "cannot be") {
		t.Errorf("replayed in vain: %v", err)
	}
	if letter, err := dead.Get(t.Context(), ids[0]); err != nil || letter.Attempts != 2 {
		t.Errorf("%+v, %v", letter, err)
	}
	broken = false
	if err := dead.Replay(t.Context(), ids[0]); err != nil || handled != 1 {
		t.Errorf("handled %d times, %v", handled, err)
	}
	if err := dead.Discard(t.Context(), ids[1]); err != nil {
		t.Error(err)
	}
	for _, id := range []string{ids[0], ids[1], "", "none"} {
		if err := dead.Replay(t.Context(), id); !errors.Is(err, events.ErrNoDeadLetter) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if n, err := dead.Count(t.Context()); err != nil || n != 1 {
		t.Errorf("%d left, %v", n, err)
	}
	announced, err := w.db.Outbox().Pending(t.Context(), 10)
	if err != nil || len(announced) != 3 || announced[0].Topic != events.Dead(topology.Analytics).Wire() || announced[0].Topic != "tandem.dead.analytics" {
		t.Fatalf("announced %+v, %v", announced, err)
	}
	raw, err := events.Decode(announced[0].Data)
	if err != nil || raw.ID == ids[0] || !strings.Contains(string(raw.Data), ids[0]) {
		t.Errorf("%+v %s, %v", raw, raw.Data, err)
	}
}

func TestOldIDsAreForgotten(t *testing.T) {
	w := newWorld(t, topology.Analytics, filepath.Join(t.TempDir(), "db"))
	calls := 0
	c := w.consumer(t, events.On(recordsChanged, func(context.Context, events.Event[changed]) error { calls++; return nil }))
	m := w.message(t, changed{})
	for _, step := range []struct {
		pass  time.Duration
		calls int
	}{{0, 1}, {events.RememberFor - time.Hour, 1}, {2 * time.Hour, 2}} {
		w.clock.advance(step.pass)
		if err := c.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Deliver(t.Context(), m.Topic, m.Data)
		if calls != step.calls {
			t.Errorf("after %s: handled %d times, want %d", step.pass, calls, step.calls)
		}
	}
}

func TestWhatASidecarAsks(t *testing.T) {
	w := newWorld(t, topology.Analytics, filepath.Join(t.TempDir(), "db"))
	c := w.consumer(t, events.On(recordsChanged, func(_ context.Context, e events.Event[changed]) error {
		if e.Data.Page == 0 {
			return events.Poison(errors.New("no page"))
		}
		return nil
	}), events.On(recordsChanged, func(context.Context, events.Event[changed]) error { return nil }))
	subscriptions, err := json.Marshal(c.Subscriptions())
	if err != nil || string(subscriptions) != `[{"pubsubname":"events-analytics-integrations-records-changed","topic":"tandem.integrations.records.changed","route":"/dapr/events/analytics/tandem.integrations.records.changed"}]` {
		t.Errorf("%s, %v", subscriptions, err)
	}
	post := func(path string, body io.Reader) string {
		answer := httptest.NewRecorder()
		c.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, path, body))
		return fmt.Sprint(answer.Code, strings.TrimSpace(answer.Body.String()))
	}
	route := c.Subscriptions()[0].Route
	for _, test := range []struct{ path, body, want string }{
		{route, string(w.message(t, changed{Page: 1}).Data), `200{"status":"SUCCESS"}`},
		{route, string(w.message(t, changed{}).Data), `200{"status":"DROP"}`},
		// A route of a newer version: answered with 404, Dapr would drop it.
		{"/dapr/events/analytics/tandem.other.topic", string(w.message(t, changed{}).Data), `200{"status":"RETRY"}`},
		{route, strings.Repeat("x", 9<<20), `200{"status":"RETRY"}`},
	} {
		if got := post(test.path, strings.NewReader(test.body)); got != test.want {
			t.Errorf("%s: %s, want %s", test.path, got, test.want)
		}
	}
}

func TestAConsumerIsCheckedWhenItIsMade(t *testing.T) {
	w := newWorld(t, topology.Analytics, filepath.Join(t.TempDir(), "db"))
	for _, h := range []events.Handler{{Topic: "Bad"}, {Topic: "a.b"}} {
		if _, err := events.NewConsumer(t.Context(), events.ConsumerOptions{Emitter: w.emitter, DB: w.db, Handlers: []events.Handler{h}, Log: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("%+v was accepted", h)
		}
	}
	if _, err := events.NewConsumer(t.Context(), events.ConsumerOptions{}); err == nil {
		t.Error("nothing was enough")
	}
}

// TestContract publishes through each bus: what happened reaches both groups that care, whatever is delivered twice or
// fails at first, and nobody else.
func TestContract(t *testing.T) {
	for _, test := range []struct {
		name  string
		start func(t *testing.T, consumers ...*events.Consumer) events.Bus
	}{
		{"local", func(t *testing.T, consumers ...*events.Consumer) events.Bus {
			bus := events.NewLocal()
			for _, c := range consumers {
				bus.Attach(c)
			}
			t.Cleanup(func() {
				if err := bus.Stop(context.Background()); err != nil {
					t.Error(err)
				}
			})
			return bus
		}},
		{"dapr", func(t *testing.T, consumers ...*events.Consumer) events.Bus {
			broker := daprtest.StartBroker(t)
			resources := []string{broker.Publisher(events.PublishComponent)}
			mux := http.NewServeMux()
			all := []events.Subscription{}
			for _, c := range consumers {
				for _, s := range c.Subscriptions() {
					all = append(all, s)
					resources = append(resources, broker.Consumer(s.PubsubName, strings.TrimPrefix(s.PubsubName, "events-"), 200*time.Millisecond))
					mux.Handle(s.Route, c)
				}
			}
			mux.HandleFunc("/dapr/subscribe", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(all) })
			return events.NewDapr(daprtest.Start(t, daprtest.Options{AppID: "some-app", App: mux, Resources: resources}).Client)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			const count = 20
			dir := t.TempDir()
			source := newWorld(t, topology.Integrations, filepath.Join(dir, "source"))
			var first, second seen
			var failed atomic.Int32
			own := newWorld(t, topology.Analytics, filepath.Join(dir, "analytics"))
			own.emitter.Now = time.Now // so that parked events fall due
			analytics := own.consumer(t,
				events.On(recordsChanged, func(ctx context.Context, e events.Event[changed]) error {
					if e.Data.Page%5 == 0 && failed.Add(1) <= 3 {
						return errors.New("not yet")
					}
					first.add(e.Data.Page)
					return nil
				}))
			ml := newWorld(t, topology.ML, filepath.Join(dir, "ml")).consumer(t,
				events.On(recordsChanged, func(ctx context.Context, e events.Event[changed]) error {
					if e.Data.Page == 3 {
						return events.Poison(errors.New("no 3"))
					}
					second.add(e.Data.Page)
					return nil
				}),
				events.On(events.Topic[changed]{Name: "integrations.other"}, func(context.Context, events.Event[changed]) error {
					t.Error("an event of a topic that nobody published")
					return nil
				}))
			start(t, analytics)
			bus := test.start(t, analytics, ml)
			for page := range count {
				m := source.message(t, changed{Page: page, Minor: 9007199254740993})
				for range 2 {
					if err := bus.Publish(t.Context(), m.Topic, m.Data); err != nil {
						t.Fatal(err)
					}
				}
			}
			eventually.Succeeds(t, 20*time.Second, "all is handled", func() error {
				if first.total() < count || second.total() < count-1 {
					return fmt.Errorf("%d and %d handled", first.total(), second.total())
				}
				return nil
			})
			if local, ok := bus.(*events.Local); ok {
				if err := local.Idle(t.Context()); err != nil {
					t.Error(err)
				}
			}
			for page := range count {
				if first.pages[page] != 1 || page != 3 && second.pages[page] != 1 {
					t.Errorf("page %d was handled %d and %d times", page, first.pages[page], second.pages[page])
				}
			}
			eventually.Succeeds(t, 5*time.Second, "the dead letter", func() error {
				if n, err := ml.DeadLetters().Count(t.Context()); err != nil || n != 1 {
					return fmt.Errorf("%d dead letters: %w", n, err)
				}
				return nil
			})
		})
	}
}

// TestARestartingAppLosesNothing ends the app while events come, and starts it again.
func TestARestartingAppLosesNothing(t *testing.T) {
	const count = 10
	broker := daprtest.StartBroker(t)
	dir := t.TempDir()
	source := newWorld(t, topology.Integrations, filepath.Join(dir, "source"))
	var got seen
	c := newWorld(t, topology.Analytics, filepath.Join(dir, "analytics")).consumer(t,
		events.On(recordsChanged, func(_ context.Context, e events.Event[changed]) error { got.add(e.Data.Page); return nil }))
	s := c.Subscriptions()[0]
	var down atomic.Bool
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/dapr/subscribe":
			_ = json.NewEncoder(w).Encode([]events.Subscription{s})
		case down.Load():
			hijacked, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = hijacked.Close()
			}
		case r.URL.Path == s.Route:
			c.ServeHTTP(w, r)
		}
	})
	sidecar := daprtest.Start(t, daprtest.Options{AppID: "some-app", App: app, Resources: []string{
		broker.Publisher(events.PublishComponent), broker.Consumer(s.PubsubName, "analytics", 300*time.Millisecond),
	}})
	bus := events.NewDapr(sidecar.Client)
	down.Store(true)
	for page := range count {
		m := source.message(t, changed{Page: page})
		if err := bus.Publish(t.Context(), m.Topic, m.Data); err != nil {
			t.Fatal(err)
		}
	}
	eventually.Holds(t, 10*time.Second, "a delivery fails", func() bool {
		return strings.Contains(sidecar.Log(), "Error processing JetStream message")
	})
	down.Store(false)
	eventually.Succeeds(t, 10*time.Second, "all is handled", func() error {
		if got.total() != count {
			return fmt.Errorf("%d handled", got.total())
		}
		return nil
	})
}
