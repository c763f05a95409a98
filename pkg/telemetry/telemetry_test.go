package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/topology"
)

func TestALogLineSaysWhatItBelongsTo(t *testing.T) {
	provider, err := NewTracerProvider(t.Context(), TraceConfig{Ratio: 1, AppID: "insights"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := provider.Tracer("test").Start(context.Background(), "work")
	ctx = call.WithRequestID(identity.With(ctx, identity.Principal{Organization: "o1"}), "r1")
	var out bytes.Buffer
	NewLogger(&out, slog.LevelInfo, "insights").With("group", "ml").InfoContext(ctx, "done")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"app_id": "insights", "group": "ml", "organization": "o1", "request_id": "r1", "trace_id": span.SpanContext().TraceID().String(),
	} {
		if line[name] != want {
			t.Errorf("%s is %v, want %s", name, line[name], want)
		}
	}
}

// A name is in a line once, whoever has said it: JSON with two of a name is read differently by every reader.
func TestALogLineHasEachNameOnce(t *testing.T) {
	ctx := identity.With(context.Background(), identity.Principal{Organization: "o1"})
	for name, c := range map[string]struct {
		log  func(*slog.Logger)
		want string
	}{
		"With and the line":         {func(l *slog.Logger) { l.With("group", "ml").InfoContext(ctx, "m", "group", "auth") }, `"organization":"o1","app_id":"a","group":"auth"}`},
		"the context and the line":  {func(l *slog.Logger) { l.InfoContext(ctx, "m", "organization", "o2") }, `"organization":"o2","app_id":"a"}`},
		"With twice":                {func(l *slog.Logger) { l.With("group", "ml").With("group", "auth").Info("m") }, `"app_id":"a","group":"auth"}`},
		"the line twice":            {func(l *slog.Logger) { l.Info("m", "n", 1, "n", 2) }, `"app_id":"a","n":2}`},
		"within an object, again":   {func(l *slog.Logger) { l.With("n", 1).WithGroup("of").Info("m", "n", 2) }, `"app_id":"a","n":1,"of":{"n":2}}`},
		"one logger, several lines": {func(l *slog.Logger) { l = l.With("n", 1); l.Info("m", "n", 2); l.Info("m", "x", 3) }, `"app_id":"a","n":1,"x":3}`},
	} {
		var out bytes.Buffer
		c.log(NewLogger(&out, slog.LevelInfo, "a"))
		if line := strings.TrimSpace(out.String()); !strings.HasSuffix(line, `"msg":"m",`+c.want) {
			t.Errorf("%s: %s; want %s", name, line, c.want)
		}
	}
}

func TestSeriesAreOfGroupsAndRoutesNotOfProcesses(t *testing.T) {
	m := NewMetrics("insights", "v1")
	r := m.Route(topology.ML, "models", "GET", "/api/ml/models/{id}")
	r.Begin()
	r.End(Answer{Status: 404, Code: "not_found", Took: time.Millisecond})
	m.ObserveCall(topology.ML, topology.Auth, "dapr", "ok", time.Millisecond)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`tandem_http_requests_total{group="ml",method="GET",module="models",route="/api/ml/models/{id}",status="404"} 1`,
		`tandem_http_in_flight{group="ml"} 0`,
		`tandem_call_total{from="ml",result="ok",route="dapr",to="auth"} 1`,
		`tandem_info{app_id="insights",version="v1"} 1`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func TestWhoMayReadTheMetrics(t *testing.T) {
	for _, c := range []struct {
		token, authorization string
		status               int
	}{
		{"", "", 200},
		{"", "Bearer anything", 200},
		{"sesame", "Bearer sesame", 200},
		{"sesame", "bearer sesame", 200},
		{"sesame", "", 401},
		{"sesame", "Bearer ", 401},
		{"sesame", "Bearer sesam", 401},
		{"sesame", "Bearer sesame ", 401},
		{"sesame", "Basic sesame", 401},
		{"sesame", "sesame", 401},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Authorization", c.authorization)
		Bearer(secrets.New(c.token), NewMetrics("insights", "v1").Handler()).ServeHTTP(w, r)
		if w.Code != c.status || (c.status == 200) != strings.Contains(w.Body.String(), "tandem_info") {
			t.Errorf("token %q, authorization %q: %d %.60s; want %d", c.token, c.authorization, w.Code, w.Body, c.status)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (c.status == 401) != (challenge == "Bearer") {
			t.Errorf("authorization %q: %d with WWW-Authenticate %q", c.authorization, w.Code, challenge)
		}
	}
}

func TestCallRates(t *testing.T) {
	c := callRates{edges: map[edge]*rate{}}
	now := time.Unix(1000, 0)
	for range 600 { // ten a second, for as long as a minute
		now = now.Add(100 * time.Millisecond)
		c.count(topology.ML, topology.Auth, now)
	}
	got := c.list(now)
	// After one time constant a steady rate is seen as 1 − 1/e of itself.
	if len(got) != 1 || got[0].Total != 600 || got[0].PerSecond < 6.2 || got[0].PerSecond > 6.5 {
		t.Fatalf("rates %+v", got)
	}
	if later := c.list(now.Add(10 * time.Minute)); later[0].PerSecond > 0.001 || later[0].Total != 600 {
		t.Errorf("ten minutes later: %+v", later)
	}
}

func TestASampledRequestsTimeNamesItsTraceAndItsProblem(t *testing.T) {
	m := NewMetrics("insights", "v1")
	r := m.Route(topology.ML, "models", "GET", "/api/ml/models")
	for _, sampled := range []bool{false, true} {
		c := trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}}
		if sampled {
			c.TraceFlags = trace.FlagsSampled
		}
		r.Begin()
		r.End(Answer{Status: 404, Code: "not_found", Took: time.Millisecond, Span: trace.NewSpanContext(c)})
		request := httptest.NewRequest("GET", "/metrics", nil)
		request.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, request)
		if has := strings.Contains(w.Body.String(), `trace_id="01000000000000000000000000000000"`); has != sampled {
			t.Errorf("sampled %v: the trace is named %v", sampled, has)
		}
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if want := `tandem_http_problems_total{code="not_found",group="ml",module="models"} 2`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("no %s", want)
	}
}

func TestWhatGroupsDoIsCounted(t *testing.T) {
	m := NewMetrics("insights", "v1")
	m.ObserveEvent(topology.ML, "a.b", "SUCCESS", true, -time.Second) // clocks of processes differ a little
	m.ObserveEvent(topology.ML, "a.b", "RETRY", false, time.Hour)
	m.ObservePublished(topology.ML, "a.b", errors.New("no broker"))
	m.ObserveJob(topology.ML, "train", time.Second, nil)
	runs := m.Runs(topology.ML)
	runs.Started("fit")
	runs.Finished("fit", "failed", time.Minute)
	m.WatchEvents(topology.ML, Waiting{
		Parked: func() (int64, error) { return 1, nil }, Dead: func() (int64, error) { return 0, errors.New("no database") },
		Unpublished: func() (time.Duration, error) { return 90 * time.Second, nil },
	})
	m.WatchRuns(topology.ML, func() (map[string]time.Duration, error) { return map[string]time.Duration{"fit": time.Hour}, nil })
	m.WatchRuns(topology.Auth, func() (map[string]time.Duration, error) { return nil, errors.New("no database") })
	m.WatchStore(topology.ML, func() (used, free int64, err error) { return 4096, 8192, nil })
	m.WatchStore(topology.Auth, func() (used, free int64, err error) { return 0, 0, nil }) // elsewhere
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`tandem_events_consumed_total{group="ml",topic="a.b",verdict="RETRY"} 1`,
		`tandem_event_lag_seconds_count{group="ml",topic="a.b"} 1`, `tandem_event_lag_seconds_sum{group="ml",topic="a.b"} 0`,
		`tandem_events_published_total{group="ml",result="error",topic="a.b"} 1`,
		`tandem_jobs_total{group="ml",job_name="train",result="ok"} 1`, `tandem_runs_started_total{group="ml",kind="fit"} 1`,
		`tandem_run_seconds_sum{group="ml",kind="fit"} 60`, `tandem_outbox_oldest_seconds{group="ml"} 90`, `tandem_events_parked{group="ml"} 1`,
		`tandem_runs_silent_seconds{group="ml",kind="fit"} 3600`, `tandem_store_used_bytes{group="ml"} 4096`, `tandem_store_free_bytes{group="ml"} 8192`,
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	for _, not := range []string{"tandem_events_dead_letters{", `tandem_runs_silent_seconds{group="auth"`, `tandem_store_free_bytes{group="auth"`} {
		if strings.Contains(w.Body.String(), not) {
			t.Errorf("what could not be read is told: %s", not)
		}
	}
}

// The ratio is that of new traces; one that was begun elsewhere is recorded as its beginner says.
func TestWhatIsSampled(t *testing.T) {
	var exported atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var request tracepb.ExportTraceServiceRequest
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil {
			t.Error(err)
		}
		for _, s := range request.ResourceSpans[0].ScopeSpans {
			exported.Add(int64(len(s.Spans)))
		}
	}))
	defer collector.Close()
	begun := func(flags trace.TraceFlags) context.Context {
		return trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: flags, Remote: true}))
	}
	for _, c := range []struct {
		name     string
		ratio    float64
		ctx      context.Context
		min, max int64
	}{
		{"none", 0, t.Context(), 0, 0},
		{"a quarter", 0.25, t.Context(), 150, 350},
		{"all", 1, t.Context(), 1000, 1000},
		{"begun to be recorded", 0, begun(trace.FlagsSampled), 1000, 1000},
		{"begun not to be recorded", 1, begun(0), 0, 0},
	} {
		exported.Store(0)
		provider, err := NewTracerProvider(t.Context(), TraceConfig{Endpoint: collector.URL, Ratio: c.ratio, AppID: "insights"})
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			_, span := provider.Tracer("test").Start(c.ctx, "work")
			span.End()
		}
		if err := provider.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := exported.Load(); n < c.min || n > c.max {
			t.Errorf("%s: %d of 1000 were recorded, want %d to %d", c.name, n, c.min, c.max)
		}
	}
}
