package endpoint_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/endpoint"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// seen is what reached a server.
type seen struct{ uri, authorization, token, body string }

func server(t *testing.T, answer func(w http.ResponseWriter)) (address string, got *seen) {
	t.Helper()
	got = &seen{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what is missing fails the test
		*got = seen{r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("dapr-api-token"), string(body)}
		answer(w)
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func TestNamesHaveNoDots(t *testing.T) {
	if got := endpoint.Name("api.stripe.com"); got != "endpoint-api-stripe-com" {
		t.Error(got)
	}
}

func TestWhichRequestsGoThroughTheSidecar(t *testing.T) {
	done := func(w http.ResponseWriter) { w.WriteHeader(http.StatusTeapot) }
	sidecar, through := server(t, done)
	vendor, direct := server(t, done)
	transport, err := endpoint.NewTransport(http.DefaultTransport, endpoint.Sidecar{URL: sidecar, Token: secrets.New("open sesame")}, []string{"api.example.com"},
		func(host string) string { return vendor + "/vendors/" + host })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		through    string // the path at the sidecar, empty for a direct call
	}{
		{"a path and a query as it is", "/vendors/api.example.com/v1/charges?limit=7&a=List(urn%3Ali%3A1)", "/v1.0/invoke/endpoint-api-example-com/method/v1/charges?limit=7&a=List(urn%3Ali%3A1)"},
		{"a method behind a colon", "/vendors/api.example.com/v25/customers/1/ads:search", "/v1.0/invoke/endpoint-api-example-com/method/v25/customers/1/ads:search"},
		{"another host", "/vendors/api.example.org/v1/charges", ""},
		{"a host whose name begins so", "/vendors/api.example.community/v1", ""},
		{"a slash at the end, which would be lost", "/vendors/api.example.com/v1/token/", ""},
		{"a path that would be decoded", "/vendors/api.example.com/v1/a%2Fb", ""},
	} {
		*through, *direct = seen{}, seen{}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, vendor+c.path, strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer token")
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		want, got, other := seen{c.path, "Bearer token", "", "body"}, direct, through
		if c.through != "" {
			want, got, other = seen{c.through, "Bearer token", "open sesame", "body"}, through, direct
		}
		if *got != want || *other != (seen{}) || resp.StatusCode != http.StatusTeapot || r.Header.Get("dapr-api-token") != "" {
			t.Errorf("%s: %+v, want %+v; the other way %+v; status %d", c.name, *got, want, *other, resp.StatusCode)
		}
	}
}

func TestErrorsOfTheSidecarAreNotTheHosts(t *testing.T) {
	for _, c := range []struct {
		name, body string
		status     int
		own        bool
	}{
		{"the host cannot be reached", `{"errorCode":"ERR_DIRECT_INVOKE","message":"Get \"https://host/token?client_secret=s3cret\": dial"}`, 500, true},
		{"the host's own", `{"errorCode":"internal","message":"no"}`, 500, false},
		{"the host's own page", `<html>` + strings.Repeat("x", 40_000), 502, false},
		{"a refusal", `{"errorCode":"ERR_MINE"}`, 400, false},
	} {
		address, _ := server(t, func(w http.ResponseWriter) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		transport, err := endpoint.NewTransport(http.DefaultTransport, endpoint.Sidecar{URL: address}, []string{"h"}, func(string) string { return "http://h" })
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://h/token?client_secret=s3cret", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(r)
		if (err != nil) != c.own || err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != c.body || resp.StatusCode != c.status || err != nil {
			t.Errorf("%s: %d, %d bytes, %v", c.name, resp.StatusCode, len(body), err)
		}
	}
}
