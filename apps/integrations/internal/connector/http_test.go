package connector_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func fetch(ctx context.Context, t *testing.T, timeout time.Duration, h http.HandlerFunc, into any) error {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := connector.NewHTTPClient(timeout)
	defer client.CloseIdleConnections()
	return connector.Fetch(client, func() time.Time { return noon }, r, into)
}

func TestAnswersAreClassified(t *testing.T) {
	answer := func(status int, contentType, body string, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			for i := 0; i+1 < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	const js = "application/json; charset=utf-8"
	for _, c := range []struct {
		name  string
		h     http.HandlerFunc
		class connector.Class
		wait  time.Duration
	}{
		{"unauthorized", answer(401, js, `{}`), connector.Unauthorized, 0},
		{"forbidden", answer(403, js, `{}`), connector.Permanent, 0},
		{"frozen", answer(402, js, `{}`), connector.Permanent, 0},
		{"unknown account", answer(404, "text/html", `<html>`), connector.Permanent, 0},
		{"refused", answer(400, js, `{}`), connector.Permanent, 0},
		{"moved elsewhere", answer(302, js, `{}`, "Location", "http://127.0.0.1:1/"), connector.Permanent, 0},
		{"throttled for seconds", answer(429, js, `{}`, "Retry-After", "7"), connector.Throttled, 7 * time.Second},
		{"throttled for a fraction", answer(429, js, `{}`, "Retry-After", "2.0"), connector.Throttled, 2 * time.Second},
		{"throttled until", answer(429, js, `{}`, "Retry-After", noon.Add(90*time.Second).Format(http.TimeFormat)), connector.Throttled, 90 * time.Second},
		{"throttled for ages", answer(429, js, `{}`, "Retry-After", "1e300"), connector.Throttled, time.Hour},
		{"throttled for nothing", answer(429, js, `{}`, "Retry-After", "soon"), connector.Throttled, 2 * time.Second},
		{"broken", answer(500, "text/html", `<html>`), connector.Transient, 0},
		{"down", answer(503, js, `{}`, "Retry-After", "3"), connector.Transient, 3 * time.Second},
		{"a page with status 200", answer(200, "text/html", `<html>`), connector.Transient, 0},
		{"cut short", answer(200, js, `{"a":[1,`), connector.Transient, 0},
		{"connection lost half-way", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", js)
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"a":`)
			panic(http.ErrAbortHandler)
		}, connector.Transient, 0},
		{"connection lost at once", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, connector.Transient, 0},
		{"of another type", answer(200, js, `{"a":"x"}`), connector.Permanent, 0},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", js)
			for chunk := make([]byte, 1<<20); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, connector.TooLarge, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var into struct{ A []int }
			err := fetch(t.Context(), t, 5*time.Second, c.h, &into)
			var e *connector.Error
			if !errors.As(err, &e) || e.Class != c.class || e.Wait != c.wait || e.Code == "" || e.Message == "" {
				t.Errorf("%+v (%v), want class %s and wait %s", e, err, c.class, c.wait)
			}
		})
	}
}

func TestAVendorsOwnWordsComeBeforeTheStatus(t *testing.T) {
	for _, c := range []struct {
		status            int
		contentType, body string
		class             connector.Class
	}{
		{200, "application/json", `{"error":1}`, connector.Throttled},
		{500, "application/json", `{"error":1}`, connector.Throttled},
		{500, "application/json", `{}`, connector.Transient},
		{401, "text/html", `{"error":1}`, connector.Unauthorized},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.contentType)
			w.Header().Set("Told", "yes")
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		err = connector.Web{HTTP: server.Client(), Now: time.Now}.Ask(r, nil, func(status int, header http.Header, body []byte) *connector.Error {
			if status == c.status && header.Get("Told") == "yes" && string(body) == `{"error":1}` {
				return &connector.Error{Class: connector.Throttled, Code: connector.CodeThrottled, Message: "wait"}
			}
			return nil
		})
		server.Close()
		if connector.Classify(err).Class != c.class {
			t.Errorf("%d %s %s: %v, want %s", c.status, c.contentType, c.body, err, c.class)
		}
	}
}

func TestASuccessIsDecoded(t *testing.T) {
	var into struct{ A int }
	err := fetch(t.Context(), t, 5*time.Second, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.api+json")
		fmt.Fprint(w, `{"a":3}`)
	}, &into)
	if err != nil || into.A != 3 {
		t.Errorf("%+v, %v", into, err)
	}
}

func TestAnErrorDoesNotTellTheAddress(t *testing.T) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:1/?secret=hush", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if err := connector.Fetch(http.DefaultClient, time.Now, r, nil); err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v", err)
	}
}

func TestAVendorThatHangsIsGivenUp(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	var e *connector.Error
	if err := fetch(t.Context(), t, 20*time.Millisecond, hang, nil); !errors.As(err, &e) || e.Class != connector.Transient {
		t.Errorf("after the timeout: %v, want a transient error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	leave := func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}
	if err := fetch(ctx, t, 5*time.Second, leave, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("after the caller left: %v, want its own cancellation", err)
	}
}
