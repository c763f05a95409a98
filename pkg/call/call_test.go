package call_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// callee is a group that another calls. It is reached by both routes, so each test is said once.
type callee struct {
	http.ServeMux
	seen    *http.Request
	calls   atomic.Int64
	left    chan struct{} // closed when a streaming handler saw its caller leave
	observe []string
}

func newCallee() *callee {
	c := &callee{left: make(chan struct{})}
	c.HandleFunc("GET /api/auth/thing", func(w http.ResponseWriter, r *http.Request) {
		c.seen = r
		writeJSON(w, map[string]string{"name": "thing " + r.URL.Query().Get("q")})
	})
	c.HandleFunc("POST /api/auth/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
	})
	c.HandleFunc("GET /api/auth/one/{id}", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, map[string]string{"name": r.PathValue("id")})
	})
	c.HandleFunc("DELETE /api/auth/thing", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	c.HandleFunc("GET /api/auth/refused", func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.New(http.StatusConflict, "too_late", "the train has left").
			With(problem.Field{Location: "body.train", Message: "has left"}).After(7*time.Second))
	})
	c.HandleFunc("GET /api/auth/troubled", func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.New(http.StatusServiceUnavailable, problem.CodeUnavailable, "the vendor is down").After(time.Second))
	})
	c.HandleFunc("GET /api/auth/page", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })
	c.HandleFunc("GET /api/auth/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c.HandleFunc("GET /api/auth/stream", func(w http.ResponseWriter, r *http.Request) {
		for i := 0; ; i++ {
			fmt.Fprintf(w, "line %d\n", i)
			w.(http.Flusher).Flush()
			if i == 2 {
				<-r.Context().Done()
				close(c.left)
				return
			}
		}
	})
	return c
}

func (c *callee) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.calls.Add(1)
	w.Header().Set(call.HeaderServedBy, "there")
	c.ServeMux.ServeHTTP(w, r)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// sidecar invokes the callee the way Dapr does, or answers in its stead.
func sidecar(t *testing.T, h http.Handler) *call.Dapr {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.EscapedPath(), "/v1.0/invoke/platform/method")
		if !ok || r.Header.Get("dapr-api-token") != "open sesame" {
			http.Error(w, "not an invocation", http.StatusTeapot)
			return
		}
		target, err := url.Parse(path)
		if err != nil {
			t.Error(err)
		}
		target.RawQuery = r.URL.RawQuery
		r.URL = target
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := call.NewHTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	return &call.Dapr{
		Sidecar: base, Token: "open sesame", HTTP: client,
		Home: func(topology.Group) (string, error) { return "platform", nil },
	}
}

func client(c *callee, route call.Route) *call.Client {
	return call.New(call.Config{
		From: "analytics", Declared: []topology.Group{"auth"}, Route: func(topology.Group) call.Route { return route },
		GroupSecret: []byte("secret"), Tracer: sdktrace.NewTracerProvider().Tracer("test"), Now: time.Now,
		Observe: func(_, to topology.Group, route, result string, _ time.Duration) {
			c.observe = append(c.observe, string(to)+" "+route+" "+result)
		},
	})
}

// both runs a test over each route: what passes must be the same, or moving a group changes what it does.
func both(t *testing.T, test func(*testing.T, *callee, *call.Client)) {
	t.Run("direct", func(t *testing.T) {
		c := newCallee()
		test(t, c, client(c, &call.Direct{Handler: c}))
	})
	t.Run("dapr", func(t *testing.T) {
		c := newCallee()
		test(t, c, client(c, sidecar(t, c)))
	})
}

type thing struct {
	Name string `json:"name"`
}

func get(path string) call.Request {
	return call.Request{To: "auth", Method: http.MethodGet, Path: path}
}

func TestAnAnswerComesBackTyped(t *testing.T) {
	both(t, func(t *testing.T, c *callee, client *call.Client) {
		r := get("/api/auth/thing")
		r.Query = url.Values{"q": {"a b&c"}}
		out, err := call.Do[thing](t.Context(), client, r)
		if err != nil || out.Name != "thing a b&c" {
			t.Errorf("got %+v, %v", out, err)
		}
		if len(c.observe) != 1 || !strings.HasSuffix(c.observe[0], " ok") {
			t.Errorf("observed %v", c.observe)
		}
	})
}

func TestAPathThatWouldChangeOnTheWayIsNotFound(t *testing.T) {
	both(t, func(t *testing.T, c *callee, client *call.Client) {
		for _, id := range []string{"a/b", "..", "a b", "%2e", "é"} {
			if _, err := call.Do[thing](t.Context(), client, get("/api/auth/one/"+url.PathEscape(id))); problem.Code(err) != problem.CodeNoRoute {
				t.Errorf("%q: %v", id, err)
			}
		}
		if c.calls.Load() != 0 {
			t.Errorf("%d calls were made", c.calls.Load())
		}
		out, err := call.Do[thing](t.Context(), client, get("/api/auth/one/a.b:c@d"))
		if err != nil || out.Name != "a.b:c@d" {
			t.Errorf("got %+v, %v", out, err)
		}
	})
}

func TestABodyTravelsAndNoBodyIsFine(t *testing.T) {
	both(t, func(t *testing.T, _ *callee, client *call.Client) {
		out, err := call.Do[thing](t.Context(), client, call.Request{To: "auth", Method: http.MethodPost, Path: "/api/auth/echo", Body: thing{strings.Repeat("x", 1<<20)}})
		if err != nil || len(out.Name) != 1<<20 {
			t.Errorf("a megabyte came back as %v", err)
		}
		if _, err := call.Do[thing](t.Context(), client, call.Request{To: "auth", Method: http.MethodDelete, Path: "/api/auth/thing"}); err != nil {
			t.Errorf("204: %v", err)
		}
	})
}

func TestWhoAsksAndForHowLongTravels(t *testing.T) {
	both(t, func(t *testing.T, c *callee, client *call.Client) {
		ctx := call.WithRequestID(t.Context(), "req-1")
		ctx = identity.With(ctx, identity.Principal{Subject: "u1", Organization: "o1", Token: "the user's own"})
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if _, err := call.Do[thing](ctx, client, get("/api/auth/thing")); err != nil {
			t.Fatal(err)
		}
		h := c.seen.Header
		if h.Get("Authorization") != "Bearer the user's own" || h.Get(call.HeaderRequestID) != "req-1" || h.Get("traceparent") == "" {
			t.Errorf("headers %v", h)
		}
		if ms, err := strconv.Atoi(h.Get(call.HeaderTimeout)); err != nil || ms < 1 || ms > 3000 {
			t.Errorf("timeout header %q", h.Get(call.HeaderTimeout))
		}
		if p, ok := identity.From(c.seen.Context()); ok {
			t.Errorf("the caller's context leaked into the callee: %+v", p)
		}
		if _, err := call.Do[thing](identity.AsGroup(t.Context(), "analytics", "o2"), client, get("/api/auth/thing")); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(c.seen.Header.Get("Authorization"), "user") {
			t.Error("work in the background went out with a user's token")
		}
	})
}

func TestAProblemComesBackTyped(t *testing.T) {
	both(t, func(t *testing.T, c *callee, client *call.Client) {
		_, err := call.Do[thing](t.Context(), client, get("/api/auth/refused"))
		var p *problem.Problem
		if !errors.As(err, &p) || p.Status != http.StatusConflict || p.Code != "too_late" || len(p.Errors) != 1 || p.RetryAfter() != 7*time.Second {
			t.Fatalf("got %#v", err)
		}
		if c.calls.Load() != 1 {
			t.Errorf("the callee's own refusal was repeated %d times", c.calls.Load())
		}
	})
}

func TestAnAnswerInAnotherFormIsABadAnswer(t *testing.T) {
	both(t, func(t *testing.T, _ *callee, client *call.Client) {
		if _, err := call.Do[thing](t.Context(), client, get("/api/auth/page")); problem.Code(err) != problem.CodeBadAnswer {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheDeadlineEndsACall(t *testing.T) {
	both(t, func(t *testing.T, _ *callee, client *call.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := call.Do[thing](ctx, client, get("/api/auth/slow")); problem.Code(err) != problem.CodeTimeout {
			t.Errorf("got %v", err)
		}
	})
}

func TestAStreamIsReadAsItIsWrittenAndEndsWithItsReader(t *testing.T) {
	both(t, func(t *testing.T, c *callee, client *call.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		resp, err := client.Send(ctx, get("/api/auth/stream"))
		if err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, len("line 0\nline 1\nline 2\n"))
		if _, err := io.ReadFull(resp.Body, buffer); err != nil { // the handler goes on only when we leave
			t.Fatal(err)
		}
		resp.Body.Close()
		cancel()
		select {
		case <-c.left:
		case <-time.After(5 * time.Second):
			t.Error("the handler did not see its reader leave")
		}
	})
}

func TestAnUndeclaredCallNamesBothEnds(t *testing.T) {
	both(t, func(t *testing.T, c *callee, client *call.Client) {
		r := get("/api/ml/thing")
		r.To = "ml"
		_, err := call.Do[thing](t.Context(), client, r)
		if problem.Code(err) != problem.CodeUndeclaredCall || !strings.Contains(err.Error(), "analytics") || !strings.Contains(err.Error(), "ml") {
			t.Errorf("got %v", err)
		}
		if c.calls.Load() != 0 {
			t.Error("it was made all the same")
		}
	})
}

func TestWhatTheSidecarSaysInTheCalleesStead(t *testing.T) {
	for _, c := range []struct {
		message, code string
		calls         int64
	}{
		{"failed to invoke, id: auth, err: dial tcp: connection refused", problem.CodeUnavailable, 3},
		{"context deadline exceeded", problem.CodeTimeout, 1},
	} {
		var calls atomic.Int64
		route := sidecar(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, `{"errorCode":"ERR_DIRECT_INVOKE","message":%q}`, c.message)
		}))
		_, err := call.Do[thing](t.Context(), client(newCallee(), route), get("/api/auth/thing"))
		if problem.Code(err) != c.code || calls.Load() != c.calls {
			t.Errorf("%q: %v after %d calls, want %s after %d", c.message, err, calls.Load(), c.code, c.calls)
		}
		calls.Store(0)
		post := call.Request{To: "auth", Method: http.MethodPost, Path: "/api/auth/echo"}
		if _, err := call.Do[thing](t.Context(), client(newCallee(), route), post); problem.Code(err) != c.code || calls.Load() != 1 {
			t.Errorf("%q: a POST without a key was made %d times (%v)", c.message, calls.Load(), err)
		}
	}
}

func TestASidecarThatIsDown(t *testing.T) {
	route := sidecar(t, http.NotFoundHandler())
	route.Sidecar = &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	if _, err := call.Do[thing](t.Context(), client(newCallee(), route), get("/api/auth/thing")); problem.From(err).Status != http.StatusServiceUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestACalleeThatDoesNotAnswerIsLeftAlone(t *testing.T) {
	both(t, func(t *testing.T, c *callee, client *call.Client) {
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			if _, err := call.Do[thing](ctx, client, get("/api/auth/slow")); problem.Code(err) != problem.CodeTimeout {
				t.Fatalf("got %v", err)
			}
			cancel()
		}
		before := c.calls.Load()
		_, err := call.Do[thing](t.Context(), client, get("/api/auth/thing"))
		if problem.Code(err) != problem.CodeCircuitOpen || problem.From(err).RetryAfter() == 0 || c.calls.Load() != before {
			t.Errorf("got %v after %d calls", err, c.calls.Load()-before)
		}
	})
}

func TestACallersLeavingOpensNoCircuit(t *testing.T) {
	both(t, func(t *testing.T, _ *callee, client *call.Client) {
		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			if _, err := call.Do[thing](ctx, client, get("/api/auth/slow")); !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v", err)
			}
		}
		if _, err := call.Do[thing](t.Context(), client, get("/api/auth/thing")); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

func TestRefusalsOpenNoCircuit(t *testing.T) {
	both(t, func(t *testing.T, _ *callee, client *call.Client) {
		for range 10 {
			if _, err := call.Do[thing](t.Context(), client, get("/api/auth/refused")); problem.Code(err) != "too_late" {
				t.Fatalf("got %v", err)
			}
			// Its own trouble with somebody else is an answer as well.
			if _, err := call.Do[thing](t.Context(), client, get("/api/auth/troubled")); problem.Code(err) != problem.CodeUnavailable {
				t.Fatalf("got %v", err)
			}
		}
	})
}
