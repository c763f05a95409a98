// Package connectortest holds connectors against the simulated vendors, in process.
package connectortest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// Sandbox is the simulated vendors, and how a connector reaches them.
type Sandbox struct {
	// Web and App are for the connector's constructor.
	Web connector.Web
	App connector.App
	// Now is the time, of the vendors and of the connector.
	Now time.Time

	t    *testing.T
	base string
}

// New starts the vendors, at noon of a day in November 2026.
func New(t *testing.T) *Sandbox {
	t.Helper()
	s := &Sandbox{t: t, Now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	now := func() time.Time { return s.Now }
	handler, err := sandbox.New(sandbox.Config{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client := connector.NewHTTPClient(10 * time.Second)
	t.Cleanup(client.CloseIdleConnections)
	s.base = server.URL
	s.Web = connector.Web{HTTP: client, Now: now, Hosts: server.URL + "/vendors/{host}", Pages: server.URL + "/vendors/{host}"}
	s.App = connector.App{
		ClientID: sandbox.ClientID,
		Secret:   func(context.Context) (secrets.Secret, error) { return secrets.New(sandbox.ClientSecret), nil },
	}
	return s
}

// AppOf is this platform's app at a vendor, with the secrets of its webhooks.
func (s *Sandbox) AppOf(vendor string) connector.App {
	return connector.NewApp(vendor, sandbox.ClientID, secrets.Map(sandbox.Secrets()).Get)
}

// redirect is where vendors send people back to.
const redirect = "https://app.example/callback"

// verifier is for PKCE, as long as has to be (RFC 7636, section 4.1).
const verifier = "a-verifier-of-forty-three-characters-or-more"

// Allow clicks on the vendor's page, for the account of that name, and returns what the page sends back.
func (s *Sandbox) Allow(c connector.Authorizer, name string) url.Values {
	s.t.Helper()
	page, query, _ := strings.Cut(c.OAuth().AuthorizeURL("", redirect, "the-state", verifier), "?")
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, page, strings.NewReader(query+"&account="+name))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.Web.HTTP.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil || !strings.HasPrefix(back.String(), redirect) || back.Query().Get("state") != "the-state" {
		s.t.Fatalf("%s: sent back to %v, %v", resp.Status, back, err)
	}
	return back.Query()
}

// Redeem is Redeem of the connector's OAuth for a code.
func (s *Sandbox) Redeem(c connector.Authorizer, code string) (connector.Credentials, error) {
	return c.OAuth().Redeem(s.t.Context(), "", redirect, code, verifier)
}

// Connect authorizes the connector for the account of that name.
func (s *Sandbox) Connect(c connector.Authorizer, name string) connector.Account {
	s.t.Helper()
	codeIn := c.OAuth().CodeIn
	if codeIn == "" {
		codeIn = "code"
	}
	credentials, err := s.Redeem(c, s.Allow(c, name).Get(codeIn))
	if err != nil {
		s.t.Fatal(err)
	}
	return connector.Account{Connection: "c1", Name: name, Credentials: credentials}
}

// Admin asks the admin API of the simulated vendor about an account; body may be nil.
func (s *Sandbox) Admin(method, vendor, name, path string, body any) []byte {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.base+"/sandbox/vendors/"+vendor+"/"+name+"/"+path, bytes.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.Web.HTTP.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= http.StatusBadRequest {
		s.t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, got, err)
	}
	return got
}

// Fault sets one.
func (s *Sandbox) Fault(vendor, name string, fault map[string]any) {
	s.t.Helper()
	s.Admin(http.MethodPost, vendor, name, "faults", fault)
}

// Stream is the connector's of that name.
func Stream(t *testing.T, c connector.Connector, name string) connector.Stream {
	t.Helper()
	for _, s := range c.Streams() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("%s has no stream of %s", c.Vendor(), name)
	return connector.Stream{}
}

// Pull reads a stream to its end in pages of a size.
func Pull(t *testing.T, stream connector.Stream, a connector.Account, since time.Time, size int) (pages []connector.Page) {
	t.Helper()
	r := connector.Request{Since: since, Size: size}
	for range 10_000 {
		page, err := stream.Pull(t.Context(), a, r)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, page)
		if page.Next == "" {
			return pages
		}
		r.Cursor = page.Next
	}
	t.Fatal("no end after 10,000 pages")
	return nil
}

// ReadTo is the latest time up to which pages say that something has been read.
func ReadTo(pages ...connector.Page) (to time.Time) {
	for _, page := range pages {
		for _, changed := range append(slices.Collect(maps.Values(page.ChangedOf)), page.Changed) {
			if changed.After(to) {
				to = changed
			}
		}
	}
	return to
}

// Exact holds records of a kind, by the vendor's ids, against what the simulated vendor says that the account has.
func (s *Sandbox) Exact(vendor, name, kind string, records map[string]any) {
	s.t.Helper()
	var truth map[string]map[string]map[string]any
	if err := json.Unmarshal(s.Admin(http.MethodGet, vendor, name, "truth", nil), &truth); err != nil {
		s.t.Fatal(err)
	}
	if len(truth[kind]) == 0 || len(records) != len(truth[kind]) {
		s.t.Errorf("%d %s, the vendor has %d", len(records), kind, len(truth[kind]))
	}
	for id, want := range truth[kind] {
		text, err := json.Marshal(records[id])
		if err != nil {
			s.t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			s.t.Fatal(err)
		}
		for field, value := range want {
			if fmt.Sprint(got[field]) != fmt.Sprint(value) {
				s.t.Fatalf("%s %s has %s %v, at the vendor %v", kind, id, field, got[field], value)
			}
		}
	}
}
