package host_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/host/hosttest"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/telemetry"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/world"
)

// notes is a module with a route of each kind.
type notes struct {
	made   atomic.Int64
	fails  atomic.Bool
	kernel group.Kernel
}

type note struct {
	Text string `json:"text" minLength:"1" maxLength:"20"`
}

type noteInput struct{ Body note }

type noteView struct {
	ID   int64  `json:"id"`
	Text string `json:"text"`
	By   string `json:"by"`
}

func (*notes) Name() string { return "notes" }

func (n *notes) Routes(r *group.Routes) {
	group.Get(r, "", n.show, group.Needs("analytics.notes:read"), group.Doc("Show"))
	group.Post(r, "", n.create, group.Needs("analytics.notes:write"), group.Status(http.StatusCreated), group.Doc("Create"))
	group.Post(r, "/token", n.create, group.Needs("analytics.notes:write"), group.Sensitive(), group.Doc("Sign"))
	group.Get(r, "/mine", n.show, group.SignedIn(), group.Doc("Mine"))
	group.Get(r, "/all", n.show, group.Public(), group.Doc("All"))
	group.Get(r, "/bulk", n.show, group.Public(), group.AnyRate(), group.Doc("Much"))
	group.Get(r, "/known", n.show, group.Public(), group.KnowsCaller(), group.Doc("All, and who"))
	group.Get(r, "/inside", n.show, group.Internal())
	group.Get(r, "/panic", n.panic, group.Public(), group.Doc("Panic"))
	group.Get(r, "/secret", n.secret, group.Public(), group.Doc("Fail"))
	group.Get(r, "/slow", n.slow, group.Public(), group.Doc("Slow"))
	group.Post(r, "/{name}/touch", n.touch, group.Needs("analytics.notes:write"), group.Doc("Touch"))
	group.Post(r, "/{name}/tell", n.tell, group.Needs("analytics.notes:write"), group.Action("tell-of"), group.Doc("Leave an entry of one's own"))
	group.Post(r, "/move", n.move, group.Needs("analytics.notes:write"), group.About("note", "query.note"), group.Doc("Move what the query names"))
	group.Post(r, "/copy", n.copy, group.Needs("analytics.notes:write"), group.About("note", "body.note"), group.Doc("Copy what the body names"))
	group.Post(r, "/ask", n.show, group.Needs("analytics.notes:write"), group.ChangesNothing(), group.Doc("Ask by a POST"))
	group.Post(r, "/strong", n.show, group.Needs("analytics.notes:write"), group.StepUp(), group.Doc("Sign with two factors"))
	group.Post(r, "/leave", n.leave, group.Needs("analytics.notes:write"), group.Doc("Wait for the caller to leave"))
	group.Get(r, "/half", n.half, group.Public(), group.Doc("Panic in the middle"))
}

func (n *notes) show(ctx context.Context, _ *struct{}) (*noteView, error) {
	p, _ := identity.From(ctx)
	return &noteView{By: p.Subject}, nil
}

func (n *notes) create(ctx context.Context, in *noteInput) (*noteView, error) {
	if n.fails.Load() {
		return nil, errors.New("the database is on fire")
	}
	p, _ := identity.From(ctx)
	return &noteView{n.made.Add(1), in.Body.Text, p.Subject}, nil
}

func (n *notes) panic(context.Context, *struct{}) (*noteView, error) { panic("boom") }

func (n *notes) secret(context.Context, *struct{}) (*noteView, error) {
	return nil, errors.New("connect to postgres://admin:hunter2@db")
}

func (n *notes) touch(_ context.Context, in *struct {
	Name string `path:"name"`
},
) (*noteView, error) {
	return &noteView{ID: n.made.Add(1), Text: in.Name}, nil
}

// move moves a note, "only" where the query names none.
func (n *notes) move(ctx context.Context, in *struct {
	Note string `query:"note"`
},
) (*noteView, error) {
	if in.Note == "" {
		in.Note = "only"
		audit.On(ctx, "note:only")
	}
	return &noteView{Text: in.Note}, nil
}

// copy makes the note "copied" of another, unless that is lost, or newer than this code.
func (n *notes) copy(ctx context.Context, in *struct {
	Body struct {
		Note string `json:"note"`
	}
},
) (*noteView, error) {
	if in.Body.Note == "lost" {
		return nil, problem.NotFound("note")
	}
	if in.Body.Note == "newer" {
		return nil, &store.NewerError{Collection: "notes", Stored: 1}
	}
	audit.On(ctx, "note:copied")
	return &noteView{Text: in.Body.Note}, nil
}

// tell leaves an entry of what it does, but for a note called "lost", of which it gets no further than to make it.
func (n *notes) tell(ctx context.Context, in *struct {
	Name string `path:"name"`
},
) (*noteView, error) {
	m, err := audit.Message(ctx, n.kernel.Emit, identity.Organization(ctx), audit.Entry{Action: "analytics.notes.tell-of", Resource: "note:" + in.Name})
	if err != nil {
		return nil, err
	}
	if in.Name == "lost" {
		return nil, problem.NotFound("note")
	}
	return &noteView{}, n.kernel.DB.Outbox().Add(ctx, m)
}

// leave ends with its caller's patience the first time, and well the second.
func (n *notes) leave(ctx context.Context, _ *struct{}) (*noteView, error) {
	if n.made.Add(1) == 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &noteView{}, nil
}

func (n *notes) half(context.Context, *struct{}) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetStatus(http.StatusOK)
		_, _ = io.WriteString(hc.BodyWriter(), "half of it")
		panic("boom")
	}}, nil
}

func (n *notes) slow(ctx context.Context, _ *struct{}) (*noteView, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// process is a host of the one group analytics, and the key that signs its users in.
type process struct {
	*host.Host
	notes     *notes
	topology  *topology.Current
	authority *hosttest.Authority
	log       bytes.Buffer
	logMu     sync.Mutex
	config    config.Config
	published chan []byte
}

func (p *process) Write(b []byte) (int, error) {
	p.logMu.Lock()
	defer p.logMu.Unlock()
	return p.log.Write(b)
}

func start(t testing.TB, change func(*config.Config)) *process {
	t.Helper()
	c, err := config.Parse([]string{"TANDEM_DATA=" + t.TempDir(), "APP_ID=insights"})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&c)
	}
	secret := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	p := &process{notes: &notes{}, published: make(chan []byte, 1000), authority: hosttest.NewAuthority(), config: c}
	log := telemetry.NewLogger(p, slog.LevelInfo, c.AppID)
	w := world.NewMemory(c, secrets.Map{"service-token-key": secret}, time.Now, log)
	homes, err := topology.Parse("*=platform,analytics=insights")
	if err != nil {
		t.Fatal(err)
	}
	p.topology = topology.NewCurrent(homes)
	var gateway host.Gateway
	if c.Gateway {
		gateway = edge{}
	}
	spec := group.Spec{Name: topology.Analytics, Calls: []topology.Group{topology.Auth}}
	h, err := host.New(host.Config{
		Config: c, Version: "test", Topology: p.topology, World: recording{w, p}, Gateway: gateway,
		Specs: []group.Spec{spec, {Name: topology.Auth}, {Name: topology.ML, Calls: []topology.Group{topology.Analytics}}, {Name: topology.Onboarding}},
		Builders: []group.Builder{{Spec: spec, Build: func(_ context.Context, k group.Kernel) (group.Group, error) {
			p.notes.kernel = k
			return group.Group{Modules: []group.Module{p.notes}}, nil
		}}},
		Authority: p.authority.For,
		Metrics:   telemetry.NewMetrics(c.AppID, "test"), Tracer: sdktrace.NewTracerProvider().Tracer("test"), Log: log,
		Now: time.Now, NewID: uuid.NewString,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Handler = h.Handler()
	p.Host = h
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// recording keeps the events that are published.
type recording struct {
	*world.Memory
	p *process
}

func (r recording) Bus() events.Bus { return r }

func (r recording) Publish(ctx context.Context, topic string, event []byte) error {
	r.p.published <- event
	return r.Memory.Bus().Publish(ctx, topic, event)
}

func (p *process) token(t testing.TB, roles ...string) string {
	t.Helper()
	return p.authority.Token(t, "o1", strings.Join(append([]string{"u1"}, roles...), "-"), roles, nil)
}

func (p *process) groupToken(t *testing.T, from topology.Group) string {
	t.Helper()
	token, err := identity.SignGroup(from, "o1", bytes.Repeat([]byte{7}, 32), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (p *process) do(method, path, token, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body == "" {
		r.Body = http.NoBody
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	p.Handler().ServeHTTP(w, r)
	return w
}

func code(w *httptest.ResponseRecorder) string {
	var p problem.Problem
	if json.Unmarshal(w.Body.Bytes(), &p) != nil {
		return ""
	}
	return p.Code
}

const base = "/api/analytics/notes"

func TestWhoMayUseAnOperation(t *testing.T) {
	p := start(t, nil)
	viewer, owner, nobody := p.token(t, "viewer"), p.token(t, "owner"), p.token(t)
	declared, undeclared := p.groupToken(t, topology.ML), p.groupToken(t, topology.Onboarding)
	for _, c := range []struct {
		method, path, token string
		status              int
		code                string
	}{
		{"GET", base + "/all", "", 200, ""},
		{"GET", base + "/all", "rubbish", 200, ""},
		{"GET", base + "/known", "", 200, ""},
		{"GET", base + "/known", nobody, 200, ""},
		{"GET", base + "/known", "rubbish", 401, "token_invalid"},
		{"GET", base, "", 401, "unauthenticated"},
		{"GET", base, "rubbish", 401, "token_invalid"},
		{"GET", base, nobody, 403, "permission_denied"},
		{"GET", base, viewer, 200, ""},
		{"POST", base, viewer, 403, "permission_denied"},
		{"POST", base, owner, 201, ""},
		{"GET", base + "/mine", nobody, 200, ""},
		{"GET", base + "/inside", owner, 403, "permission_denied"},
		{"GET", base + "/inside", declared, 200, ""},
		{"GET", base + "/inside", undeclared, 403, "permission_denied"},
		{"GET", base, undeclared, 403, "permission_denied"},
		{"GET", "/api/analytics/nothing", owner, 404, "route_not_found"},
		{"GET", "/api/ml/nothing", owner, 404, "route_not_found"},
		{"GET", "/api/nothing", owner, 404, "route_not_found"},
		{"DELETE", base, owner, 405, "method_not_allowed"},
	} {
		body := ""
		if c.method == "POST" {
			body = `{"text":"x"}`
		}
		if w := p.do(c.method, c.path, c.token, body); w.Code != c.status || code(w) != c.code {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, w.Code, w.Body, c.status, c.code)
		}
	}
}

func TestAPublicOperationMayKnowItsCaller(t *testing.T) {
	p := start(t, nil)
	for path, want := range map[string]string{"/known": `"by":"u1"`, "/all": `"by":""`} {
		if w := p.do("GET", base+path, p.token(t), ""); !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %s; want %s", path, w.Body, want)
		}
	}
}

func TestARevokedSessionIsRefused(t *testing.T) {
	p := start(t, nil)
	token := p.token(t, "owner")
	if w := p.do("GET", base, token, ""); w.Code != 200 {
		t.Fatalf("status %d", w.Code)
	}
	p.authority.End("s-u1-owner")
	deadline := time.Now().Add(5 * time.Second)
	for p.do("GET", base, token, "").Code != 401 {
		if time.Now().After(deadline) {
			t.Fatal("5 s later the session is still good")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestWhatIsWrongWithARequest(t *testing.T) {
	p := start(t, nil)
	token := p.token(t, "owner")
	for name, c := range map[string]struct {
		body   string
		header []string
		status int
		code   string
	}{
		"malformed":     {`{"text":`, nil, 400, "bad_request"},
		"empty":         {"", nil, 400, "bad_request"},
		"unknown field": {`{"text":"x","more":1}`, nil, 422, "validation_failed"},
		"wrong type":    {`{"text":1}`, nil, 422, "validation_failed"},
		"too long":      {`{"text":"` + strings.Repeat("x", 21) + `"}`, nil, 422, "validation_failed"},
		"too large":     {`{"text":"` + strings.Repeat("x", 2<<20) + `"}`, nil, 413, "body_too_large"},
		"another type":  {`<x/>`, []string{"Content-Type", "text/xml"}, 415, "unsupported_media_type"},
	} {
		w := p.do("POST", base, token, c.body, c.header...)
		if w.Code != c.status || code(w) != c.code {
			t.Errorf("%s: %d %s, want %d %s", name, w.Code, w.Body, c.status, c.code)
		}
		if got := w.Header().Get("Content-Type"); got != problem.ContentType {
			t.Errorf("%s: content type %q", name, got)
		}
	}
	if w := p.do("GET", base+"?unheard=of", token, ""); code(w) != "validation_failed" {
		t.Errorf("unknown parameter: %d %s", w.Code, w.Body)
	}
}

func TestDataOfNewerCodeIsAskedForAgain(t *testing.T) {
	p := start(t, nil)
	w := p.do("POST", base+"/copy", p.token(t, "owner"), `{"note":"newer"}`)
	if w.Code != 503 || code(w) != "unavailable" || w.Header().Get("Retry-After") != "5" {
		t.Errorf("answer %d %s, Retry-After: %q", w.Code, w.Body, w.Header().Get("Retry-After"))
	}
}

func TestFailuresHideTheirCauseFromTheCallerAndKeepItForTheLog(t *testing.T) {
	p := start(t, nil)
	w := p.do("GET", base+"/secret", "", "")
	if w.Code != 500 || code(w) != "internal" || strings.Contains(w.Body.String(), "hunter2") {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
	var answer problem.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.TraceID == "" {
		t.Fatalf("no trace id: %v", err)
	}
	p.logMu.Lock()
	log := p.log.String()
	p.logMu.Unlock()
	if !strings.Contains(log, "hunter2") || !strings.Contains(log, answer.TraceID) {
		t.Errorf("the log lacks the cause or the trace: %s", log)
	}
	if w := p.do("GET", base+"/panic", "", ""); w.Code != 500 || code(w) != "internal" || strings.Contains(w.Body.String(), "boom") {
		t.Errorf("panic: %d %s", w.Code, w.Body)
	}
	if w := p.do("GET", base+"/slow", "", "", call.HeaderTimeout, "20"); w.Code != 504 || code(w) != "timeout" {
		t.Errorf("slow: %d %s", w.Code, w.Body)
	}
}

func TestARepeatedPostHasItsEffectOnce(t *testing.T) {
	p := start(t, func(c *config.Config) { c.RateLimit = 0 })
	token := p.token(t, "owner")
	body, key := `{"text":"x"}`, []string{call.HeaderIdempotencyKey, "k1"}
	var answers sync.Map
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			w := p.do("POST", base, token, body, key...)
			for code(w) == "idempotency_in_progress" {
				w = p.do("POST", base, token, body, key...)
			}
			answers.Store(w.Body.String(), w.Code)
		})
	}
	wait.Wait()
	different := 0
	answers.Range(func(_, status any) bool {
		different++
		return status == 201
	})
	if n := p.notes.made.Load(); n != 1 || different != 1 {
		t.Fatalf("20 posts with one key made %d notes and %d different answers", n, different)
	}
	if w := p.do("POST", base, token, `{"text":"y"}`, key...); code(w) != "idempotency_key_reused" {
		t.Errorf("another body: %d %s", w.Code, w.Body)
	}
	// What holds secrets is not kept.
	first, second := p.do("POST", base+"/token", token, body, key...), p.do("POST", base+"/token", token, body, key...)
	if first.Code != 200 || first.Body.String() == second.Body.String() {
		t.Errorf("an answer that holds secrets was kept: %s", second.Body)
	}
	// Another target is another request.
	if w := p.do("POST", base+"/a/touch", token, "", call.HeaderIdempotencyKey, "k3"); w.Code != 200 {
		t.Fatalf("touch a: %d %s", w.Code, w.Body)
	}
	if w := p.do("POST", base+"/b/touch", token, "", call.HeaderIdempotencyKey, "k3"); code(w) != "idempotency_key_reused" {
		t.Errorf("the answer to a was given to b: %d %s", w.Code, w.Body)
	}
	// A failure is not kept: the next attempt is a new one.
	p.notes.fails.Store(true)
	if w := p.do("POST", base, token, body, call.HeaderIdempotencyKey, "k2"); w.Code != 500 {
		t.Fatalf("status %d", w.Code)
	}
	p.notes.fails.Store(false)
	if w := p.do("POST", base, token, body, call.HeaderIdempotencyKey, "k2"); w.Code != 201 {
		t.Errorf("after a failure: %d %s", w.Code, w.Body)
	}
}

func TestACallerThatLeftMayAskAgain(t *testing.T) {
	p := start(t, nil)
	token, key := p.token(t, "owner"), []string{call.HeaderIdempotencyKey, "k", call.HeaderTimeout, "500"}
	if w := p.do("POST", base+"/leave", token, "", key...); w.Code != 504 {
		t.Fatalf("the first: %d %s", w.Code, w.Body)
	}
	if w := p.do("POST", base+"/leave", token, "", key...); w.Code != 200 {
		t.Errorf("the second got the first one's end: %d %s", w.Code, w.Body)
	}
}

func TestAHalfAnswerDoesNotLookLikeAWholeOne(t *testing.T) {
	p := start(t, nil)
	server := httptest.NewServer(p.Handler())
	defer server.Close()
	resp, err := http.Get(server.URL + base + "/half")
	if err != nil {
		return // the connection broke before the headers were out, which is as good
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("it ended well: %q", body)
	}
}

func TestWhoIsBelievedAboutTheClientsAddress(t *testing.T) {
	p := start(t, func(c *config.Config) { c.RateLimit, c.RateBurst, c.AppAPIToken = 0.01, 1, secrets.New("sesame") })
	spoofed := func(address string, more ...string) int {
		return p.do("GET", base+"/all", "", "", append(more, "X-Forwarded-For", address)...).Code
	}
	if first, second := spoofed("1.1.1.1"), spoofed("2.2.2.2"); first != 200 || second != 429 {
		t.Errorf("a client that makes up addresses gets %d and %d, want 200 and 429", first, second)
	}
	if first, second := spoofed("3.3.3.3", "dapr-api-token", "sesame"), spoofed("4.4.4.4", "dapr-api-token", "sesame"); first != 200 || second != 200 {
		t.Errorf("two clients behind the edge get %d and %d, want 200 twice", first, second)
	}
}

func TestRefusalsCountAgainstTheRate(t *testing.T) {
	p := start(t, func(c *config.Config) { c.RateLimit, c.RateBurst = 0.01, 2 })
	var got []int
	for range 4 {
		got = append(got, p.do("GET", base, "guess", "").Code)
	}
	if got[1] != 401 || got[2] != 429 || got[3] != 429 {
		t.Errorf("four guesses got %v", got)
	}
}

func TestTheRateIsPerCaller(t *testing.T) {
	p := start(t, func(c *config.Config) { c.RateLimit, c.RateBurst = 0.01, 3 })
	token := p.token(t, "owner")
	for i := range 3 {
		if w := p.do("GET", base, token, ""); w.Code != 200 || w.Header().Get("RateLimit") == "" {
			t.Fatalf("request %d: %d, headers %v", i, w.Code, w.Header())
		}
	}
	w := p.do("GET", base, token, "")
	if w.Code != 429 || code(w) != "rate_limited" || w.Header().Get("Retry-After") == "" {
		t.Errorf("over the limit: %d %s %v", w.Code, w.Body, w.Header())
	}
	if w := p.do("GET", base+"/all", "", ""); w.Code != 200 {
		t.Errorf("somebody else pays for it: %d", w.Code)
	}
	for i := range 5 {
		if w := p.do("GET", base+"/bulk", "", ""); w.Code != 200 || w.Header().Get("RateLimit") != "" {
			t.Errorf("request %d at any rate: %d, headers %v", i, w.Code, w.Header())
		}
	}
	if w := p.do("GET", base+"/all", "", ""); w.Code != 200 {
		t.Errorf("those count for others: %d", w.Code)
	}
}

func TestOnlyTheSidecarMayCallItsRoutes(t *testing.T) {
	p := start(t, func(c *config.Config) { c.AppAPIToken = secrets.New("sesame") })
	for _, path := range []string{"/dapr/subscribe", "/dapr/config"} {
		if w := p.do("GET", path, p.token(t, "owner"), ""); w.Code != 401 || code(w) != "sidecar_only" {
			t.Errorf("%s without the token: %d", path, w.Code)
		}
		if w := p.do("GET", path, "", "", "dapr-api-token", "sesame", "dapr-caller-app-id", "gateway"); w.Code != 401 {
			t.Errorf("%s by way of another app: %d", path, w.Code)
		}
		if w := p.do("GET", path, "", "", "dapr-api-token", "sesame"); w.Code != 200 {
			t.Errorf("%s with the token: %d %s", path, w.Code, w.Body)
		}
	}
	if w := p.do("POST", "/job/analytics.x", "", "{}"); w.Code != 401 {
		t.Errorf("a job without the token: %d", w.Code)
	}
}

func TestWhatEveryProcessTells(t *testing.T) {
	p := start(t, nil)
	if w := p.do("GET", "/readyz", "", ""); w.Code != 200 || w.Header().Get(call.HeaderServedBy) != "insights" {
		t.Errorf("readyz %d %s", w.Code, w.Body)
	}
	p.do("GET", base+"/all", "", "")
	if w := p.do("GET", "/metrics", "", ""); !strings.Contains(w.Body.String(), `tandem_http_requests_total{group="analytics",method="GET",module="notes",route="/api/analytics/notes/all",status="200"} 1`) {
		t.Errorf("metrics lack the request:\n%.3000s", w.Body)
	}
	if w := p.do("GET", "/metrics", "", ""); !strings.Contains(w.Body.String(), `tandem_events_dead_letters{group="analytics"} 0`) {
		t.Errorf("metrics lack the dead letters:\n%.3000s", w.Body)
	}
	w := p.do("GET", "/openapi.json", "", "")
	if body := w.Body.String(); !strings.Contains(body, base) || strings.Contains(body, "inside") || !strings.Contains(body, "x-permission") {
		t.Errorf("document: %.2000s", body)
	}
	w = p.do("GET", "/docs", "", "")
	if body, _ := io.ReadAll(w.Body); w.Code != 200 || strings.Contains(string(body), `src="http`) || strings.Contains(string(body), `href="http`) {
		t.Errorf("docs page %d fetches from elsewhere: %.2000s", w.Code, body)
	}
	if w := p.do("GET", "/", "", ""); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/docs" {
		t.Errorf("the bare address answers %d, to %q", w.Code, w.Header().Get("Location"))
	}
}

// What can be read can be asked about: HEAD is as GET (RFC 9110, section 9.3.2).
func TestHeadIsAsGet(t *testing.T) {
	p := start(t, nil)
	for _, path := range []string{"/docs", "/openapi.json", "/api/analytics/openapi.json", "/healthz", "/readyz", "/metrics"} {
		get, head := p.do("GET", path, "", ""), p.do("HEAD", path, "", "")
		if head.Code != get.Code || head.Header().Get("Content-Type") != get.Header().Get("Content-Type") {
			t.Errorf("HEAD %s: %d %v; GET %d %v", path, head.Code, head.Header(), get.Code, get.Header())
		}
	}
	if w := p.do("POST", "/openapi.json", "", ""); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /openapi.json: %d, Allow: %s", w.Code, w.Header().Get("Allow"))
	}
}

// edge is a gateway that answers in the home's stead.
type edge struct{ host.Gateway }

func (edge) Forward(w http.ResponseWriter, _ *http.Request, g topology.Group) {
	w.Header().Set(call.HeaderServedBy, "home-of-"+string(g))
}

func TestAMoveTakesEffectAtTheEdgeWithTheTopology(t *testing.T) {
	p := start(t, func(c *config.Config) { c.Gateway = true })
	ask := func(path string) string { return p.do("GET", path, "", "").Header().Get(call.HeaderServedBy) }
	if by := ask(base + "/all"); by != "insights" {
		t.Fatalf("served by %s before the move", by)
	}
	if by := ask("/api/ml/x"); by != "home-of-ml" {
		t.Errorf("a group hosted elsewhere is served by %s", by)
	}
	moved, err := topology.Parse("*=platform,analytics=elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	p.topology.Replace(moved)
	if by := ask(base + "/all"); by != "home-of-analytics" {
		t.Errorf("served by %s after the move", by)
	}
}

func TestBeforeItIsReady(t *testing.T) {
	homes, err := topology.Parse("*=platform")
	if err != nil {
		t.Fatal(err)
	}
	h, err := host.New(host.Config{Topology: topology.NewCurrent(homes), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/api/auth/me", nil))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, headers %v", w.Code, w.Header())
	}
}

func TestWiringErrorsNameBothEnds(t *testing.T) {
	platform, err := topology.Parse("*=platform")
	if err != nil {
		t.Fatal(err)
	}
	partial, err := topology.Parse("analytics=a")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		specs []group.Spec
		homes topology.Topology
		want  []string
	}{
		"twice":     {[]group.Spec{{Name: "auth"}, {Name: "auth"}}, platform, []string{"auth", "twice"}},
		"unknown":   {[]group.Spec{{Name: "ml", Calls: []topology.Group{"nobody"}}}, platform, []string{"ml", "nobody"}},
		"homeless":  {[]group.Spec{{Name: "analytics", Calls: []topology.Group{"auth"}}, {Name: "auth"}}, partial, []string{"analytics", "auth"}},
		"in circle": {[]group.Spec{{Name: "ml", Calls: []topology.Group{"auth"}}, {Name: "auth", Calls: []topology.Group{"ml"}}}, platform, []string{"ml → auth → ml"}},
	} {
		err := host.CheckWiring(c.specs, c.homes)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not name %s", name, err, want)
			}
		}
	}
}

func BenchmarkStack(b *testing.B) {
	p := start(b, func(c *config.Config) { c.RateLimit = 0 })
	token := p.token(b, "owner")
	b.Run("bare mux", func(b *testing.B) {
		bare := http.NewServeMux()
		bare.HandleFunc("GET "+base, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(noteView{})
		})
		r := httptest.NewRequest("GET", base, nil)
		for b.Loop() {
			bare.ServeHTTP(httptest.NewRecorder(), r)
		}
	})
	b.Run("whole stack", func(b *testing.B) {
		r := httptest.NewRequest("GET", base, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		for b.Loop() {
			w := httptest.NewRecorder()
			p.Handler().ServeHTTP(w, r)
			if w.Code != 200 {
				b.Fatal(w.Code)
			}
		}
	})
}
