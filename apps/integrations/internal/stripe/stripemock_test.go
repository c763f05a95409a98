package stripe_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/stripe"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/skip"
)

// stripeMock builds and starts Stripe's own mock of its API, which ends with t, and returns its URL. Where it cannot be built t is
// skipped; in CI that fails.
func stripeMock(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "stripe-mock")
	build := exec.CommandContext(t.Context(), "go", "build", "-modfile=test/stripe-mock/go.mod", "-o", program, "github.com/stripe/stripe-mock")
	build.Dir = "../../../.."
	if output, err := build.CombinedOutput(); err != nil {
		skip.Missing(t, fmt.Sprintf("stripe-mock cannot be built: %v\n%s", err, output))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	var output bytes.Buffer
	mock := exec.CommandContext(t.Context(), program, "-http-addr", address, "-strict-version-check")
	mock.Stdout, mock.Stderr = &output, &output
	if err := mock.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- mock.Wait() }()
	t.Cleanup(func() {
		_ = mock.Process.Kill() // fails when it has ended by itself
		<-ended
	})
	for deadline := time.Now().Add(time.Minute); ; {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return "http://" + address
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("stripe-mock ended: %v\n%s", err, output.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("stripe-mock does not answer")
		}
	}
}

// Stripe's mock refuses requests that do not fit its OpenAPI document: paths, parameters, their types, and the version. It answers
// with objects of that version, of which the fields are here what leads to further requests.
func TestRequestsFitStripesOpenAPI(t *testing.T) {
	target, err := url.Parse(stripeMock(t))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var asked []string
	disputed, more := false, false
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Header.Del("Accept-Encoding")
		},
		ModifyResponse: func(resp *http.Response) error {
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, regexp.MustCompile(`(ch|cus|price)_\w+`).ReplaceAllString(resp.Request.URL.Path, "{id}"))
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %s %s", resp.Request.URL, resp.Status, body)
			}
			if disputed {
				body = regexp.MustCompile(`"disputed": ?false`).ReplaceAll(body, []byte(`"disputed":true`))
			}
			if more {
				body = regexp.MustCompile(`"has_more": ?false`).ReplaceAll(body, []byte(`"has_more":true`))
			}
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
			return nil
		},
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	now := func() time.Time { return noon }
	c := stripe.NewConnector(connector.Web{HTTP: server.Client(), Now: now, Hosts: server.URL, Pages: server.URL}, app())
	a := connector.Account{Connection: "c1", Credentials: connector.Credentials{AccessToken: secrets.New("sk_test_123")}}

	if who, err := c.Identify(t.Context(), a); err != nil || !strings.HasPrefix(who.ID, "acct_") || who.Currency == "" {
		t.Errorf("%+v, %v", who, err)
	}
	for _, s := range c.Streams() {
		disputed, more = true, true
		r := connector.Request{Since: noon.Add(-24 * time.Hour), Size: s.PageSize}
		page, err := s.Pull(t.Context(), a, r)
		if err != nil || page.Records.Len() == 0 || page.Next == "" {
			t.Errorf("%s: %+v, %v", s.Name, page, err)
		}
		// The page after, of the same objects, as the mock keeps nothing; then events.
		more = false
		r.Cursor = strings.Replace(page.Next, `"after":"`, `"after":"x`, 1)
		if page, err = s.Pull(t.Context(), a, r); err != nil || page.Next == "" {
			t.Errorf("%s, the second page: %+v, %v", s.Name, page, err)
		}
		r.Cursor = page.Next
		if page, err = s.Pull(t.Context(), a, r); err != nil || page.Next != "" {
			t.Errorf("%s, events: %+v, %v", s.Name, page, err)
		}
	}
	if _, err := c.Balance(t.Context(), a); err != nil {
		t.Error(err)
	}
	slices.Sort(asked)
	want := []string{"/v1/account", "/v1/balance", "/v1/charges", "/v1/charges/{id}", "/v1/customers", "/v1/customers/{id}", "/v1/disputes", "/v1/events"}
	for _, path := range want {
		if !slices.Contains(asked, path) {
			t.Errorf("%s was not asked for, only %q", path, slices.Compact(slices.Clone(asked)))
		}
	}
}
