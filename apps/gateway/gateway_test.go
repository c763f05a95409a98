package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"

	"github.com/tandemhq/tandem/apps/gateway"
	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/telemetry"
	"github.com/tandemhq/tandem/pkg/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// edge is a gateway before a sidecar that answers with home, and the gateway's metrics.
func edge(t *testing.T, home http.HandlerFunc, trusted ...netip.Prefix) *httptest.Server {
	t.Helper()
	sidecar := httptest.NewServer(home)
	t.Cleanup(sidecar.Close)
	base, err := url.Parse(sidecar.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := call.NewHTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	metrics := telemetry.NewMetrics("gateway", "test")
	g := gateway.New(gateway.Config{
		Dapr: &call.Dapr{Sidecar: base, Token: "sesame", HTTP: client, Home: func(g topology.Group) (string, error) {
			switch g {
			case topology.ML:
				return "", errors.New("ml has no home")
			case topology.Onboarding:
				return "gateway", nil
			}
			return "home-of-" + string(g), nil
		}},
		AppID: "gateway", MaxBody: 100, TrustedProxies: trusted, Metrics: metrics, Tracer: sdktrace.NewTracerProvider().Tracer("test"), Log: slog.New(slog.DiscardHandler),
		NewID: func() string { return "made-here" },
	})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			metrics.Handler().ServeHTTP(w, r)
			return
		}
		w.Header().Set(call.HeaderServedBy, "gateway")
		name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/"), "/")
		g.Forward(w, r, topology.Group(name))
	}))
	t.Cleanup(front.Close)
	return front
}

func answer(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set(call.HeaderServedBy, "there")
	w.WriteHeader(http.StatusTeapot)
}

func TestWhatReachesTheHome(t *testing.T) {
	var got *http.Request
	front := edge(t, func(w http.ResponseWriter, r *http.Request) { got = r; answer(w, r) })
	r, err := http.NewRequest(http.MethodGet, front.URL+"/api/auth/one/a%2Fb?q=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer t", "X-Forwarded-For": "6.6.6.6", "Tandem-Timeout": "1", "dapr-api-token": "guess", "dapr-app-id": "somebody-else",
		"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	} {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusTeapot || resp.Header[call.HeaderServedBy] == nil || strings.Join(resp.Header.Values(call.HeaderServedBy), ",") != "there" {
		t.Errorf("answer %d %v", resp.StatusCode, resp.Header)
	}
	wantCounted(t, front, "tandem_http_problems_total{", false) // what the home answers, the home counts
	if got.RequestURI != "/v1.0/invoke/home-of-auth/method/api/auth/one/a%2Fb?q=1" {
		t.Errorf("URI %s", got.RequestURI)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer t", "X-Forwarded-For": "127.0.0.1", "dapr-api-token": "sesame", "dapr-app-id": "", "X-Request-Id": "made-here", "Tandem-Timeout": "", "Tandem-Forwarded-By": "gateway",
	} {
		if value := got.Header.Get(name); value != want {
			t.Errorf("%s is %q, want %q", name, value, want)
		}
	}
	if parent := got.Header.Get("traceparent"); !strings.Contains(parent, "4bf92f3577b34da6a3ce929d0e0e4736") {
		t.Errorf("traceparent %q is not of the client's trace", parent)
	}
}

func TestWhatCannotBeForwarded(t *testing.T) {
	sidecarSays := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"errorCode":"ERR_DIRECT_INVOKE","message":"failed to resolve address"}`)
	}
	chunked := struct{ io.Reader }{strings.NewReader(strings.Repeat("x", 101))} // its length is not known beforehand
	for name, c := range map[string]struct {
		home   http.HandlerFunc
		path   string
		body   io.Reader
		status int
		code   string
	}{
		"no home":           {answer, "/api/ml/x", nil, 503, problem.CodeUnavailable},
		"to itself":         {answer, "/api/onboarding/x", nil, 508, "forward_loop"},
		"the sidecar's no":  {sidecarSays, "/api/auth/x", nil, 503, problem.CodeUnavailable},
		"too large":         {answer, "/api/auth/x", strings.NewReader(strings.Repeat("x", 101)), 413, problem.CodeTooLarge},
		"too large, unsaid": {func(w http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body); answer(w, r) }, "/api/auth/x", chunked, 413, problem.CodeTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			front := edge(t, c.home)
			resp, err := http.Post(front.URL+c.path, "application/json", c.body)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if p := problem.Read(resp); resp.StatusCode != c.status || p.Code != c.code {
				t.Errorf("%d %v, want %d %s", resp.StatusCode, p, c.status, c.code)
			}
			// An alert tells by it that a group does not answer, which the group itself cannot count.
			group, _, _ := strings.Cut(strings.TrimPrefix(c.path, "/api/"), "/")
			wantCounted(t, front, fmt.Sprintf(`tandem_http_problems_total{code=%q,group=%q,module="gateway"} 1`, c.code, group), true)
		})
	}
}

func wantCounted(t *testing.T, front *httptest.Server, series string, want bool) {
	t.Helper()
	resp, err := http.Get(front.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || strings.Contains(string(body), series) != want {
		t.Errorf("%s is counted: %v, want %v (%v)", series, !want, want, err)
	}
}

func TestACircleOfGatewaysIsNoticed(t *testing.T) {
	var front *httptest.Server
	hops := 0
	front = edge(t, func(w http.ResponseWriter, r *http.Request) { // the home forwards to us again
		hops++
		again, err := http.NewRequest(r.Method, front.URL+"/api/auth/x", nil)
		if err != nil {
			t.Error(err)
			return
		}
		again.Header = r.Header
		resp, err := http.DefaultClient.Do(again)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		w.Header().Set(call.HeaderServedBy, "there")
		w.WriteHeader(resp.StatusCode)
	})
	resp, err := http.Get(front.URL + "/api/auth/x")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusLoopDetected || hops != 1 {
		t.Errorf("status %d after %d hops", resp.StatusCode, hops)
	}
}

func TestATrustedProxyIsBelieved(t *testing.T) {
	var got string
	front := edge(t, func(w http.ResponseWriter, r *http.Request) { got = r.Header.Get("X-Forwarded-For"); answer(w, r) }, netip.MustParsePrefix("127.0.0.0/8"))
	r, err := http.NewRequest(http.MethodGet, front.URL+"/api/auth/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", "6.6.6.6, 203.0.113.9")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got != "203.0.113.9" {
		t.Errorf("the client is %q", got)
	}
}

func TestAStreamGoesThroughAndItsClientMayLeave(t *testing.T) {
	left := make(chan struct{})
	front := edge(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(call.HeaderServedBy, "there")
		fmt.Fprint(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(left)
	})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, front.URL+"/api/auth/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, len("data: 1\n\n"))); err != nil { // before the answer has ended
		t.Fatal(err)
	}
	cancel()
	resp.Body.Close()
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		t.Error("the home did not see its client leave")
	}
	http.DefaultClient.CloseIdleConnections()
}
