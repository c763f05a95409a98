package oauth_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/oauth2"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/oauth"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/host/hosttest"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/vault"
)

// acme is a vendor that takes PKCE, knows one account and asks nobody which, and signs nothing.
type acme struct {
	url      string
	clientID string
	asked    url.Values // at the token endpoint
	quirks   func(*connector.OAuth)
}

func (*acme) Vendor() string              { return "acme" }
func (*acme) Streams() []connector.Stream { return nil }

func (*acme) Identify(_ context.Context, a connector.Account) (connector.Identity, error) {
	return connector.Identity{ID: "7", Account: "acme-account", Currency: "EUR", Scopes: []string{a.Credentials.AccessToken.Reveal()}}, nil
}

func (v *acme) OAuth() connector.OAuth {
	o := connector.OAuth{
		App:    connector.App{ClientID: v.clientID, Secret: func(context.Context) (secrets.Secret, error) { return secrets.New("hush"), nil }},
		Scopes: []string{"read", "write"}, PKCE: true,
		Endpoint: func(string) oauth2.Endpoint {
			return oauth2.Endpoint{AuthURL: "https://acme.example/authorize", TokenURL: v.url, AuthStyle: oauth2.AuthStyleInParams}
		},
		HTTP: http.DefaultClient, Now: time.Now,
	}
	if v.quirks != nil {
		v.quirks(&o)
	}
	return o
}

func (v *acme) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	v.asked = r.PostForm
	w.Header().Set("Content-Type", "application/json")
	if r.PostForm.Get("code") != "good" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
		return
	}
	fmt.Fprint(w, `{"access_token":"access","refresh_token":"refresh","token_type":"bearer","expires_in":3600}`)
}

type fixture struct {
	*oauth.Service
	vendor *acme
	db     store.DB
	path   string // of the database
	now    time.Time
	may    identity.Access
	ended  error // why who began may do nothing any more
}

func open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{vendor: &acme{clientID: "us"}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), may: identity.Access{Permissions: []string{"integrations.*:write"}}}
	server := httptest.NewServer(f.vendor)
	t.Cleanup(server.Close)
	f.vendor.url = server.URL
	f.path = filepath.Join(t.TempDir(), "integrations.db")
	f.db = f.open(t)
	now := func() time.Time { return f.now }
	emit := events.Emitter{Group: integrationsapi.Name, Now: now, NewID: uuid.NewString}
	keys := secrets.Map{"credentials-key": base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, vault.KeySize))}
	connections, err := connection.New(t.Context(), connection.Options{
		DB: f.db, Vault: vault.New(keys, "credentials-key", now), Connectors: []connector.Connector{f.vendor},
		Emit: emit, Quota: quota.NewClient(hosttest.NewAuthority()), Every: time.Hour, Now: now, NewID: uuid.NewString,
	})
	if err != nil {
		t.Fatal(err)
	}
	api := &url.URL{Scheme: "https", Host: "api.example.com"}
	current := func(_ context.Context, p identity.Principal) (identity.Principal, error) {
		p.Access = &f.may
		return p, f.ended
	}
	f.Service, err = oauth.New(t.Context(), oauth.Options{
		DB: f.db, Connections: connections, API: api, Pages: []string{api.String()}, Current: current, Emit: emit, Now: now, Random: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// open is one more process's database.
func (f *fixture) open(t *testing.T) store.DB {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), f.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// ada acts.
func ada(ctx context.Context) context.Context {
	return identity.With(ctx, identity.Principal{Subject: "ada", Organization: "o1", Session: "s1"})
}

// begin is where ada is sent to, and the cookie.
func (f *fixture) begin(t *testing.T, returnTo string) (asked url.Values, cookie string) {
	t.Helper()
	begun, err := f.Begin(ada(t.Context()), f.vendor, "", returnTo)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(begun.URL)
	if err != nil || u.Host != "acme.example" {
		t.Fatalf("%s, %v", begun.URL, err)
	}
	if c := begun.Cookie; !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || !strings.HasPrefix(c.Name, "__Host-") {
		t.Errorf("cookie %+v", c)
	}
	return u.Query(), begun.Cookie.Name + "=" + begun.Cookie.Value
}

func answer(asked url.Values, pairs ...string) url.Values {
	q := url.Values{"state": {asked.Get("state")}}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q
}

func TestTheCodeIsBoundByPKCE(t *testing.T) {
	f := open(t)
	asked, _ := f.begin(t, "")
	for name, want := range map[string]string{
		"client_id": "us", "scope": "read write", "response_type": "code", "code_challenge_method": "S256",
		"redirect_uri": "https://api.example.com/api/integrations/acme/oauth/callback",
	} {
		if got := asked.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	c, created, err := f.Finish(ada(t.Context()), f.vendor, answer(asked, "code", "good"))
	if err != nil || !created || c.Account != "acme-account" || !c.Authorized || c.Scopes[0] != "access" {
		t.Errorf("%+v, %t, %v", c, created, err)
	}
	sum := sha256.Sum256([]byte(f.vendor.asked.Get("code_verifier")))
	if asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
		t.Errorf("the verifier %q is not that of the challenge", f.vendor.asked.Get("code_verifier"))
	}
	if f.vendor.asked.Get("client_secret") != "hush" || f.vendor.asked.Get("redirect_uri") != asked.Get("redirect_uri") {
		t.Errorf("asked %v", f.vendor.asked)
	}
}

func TestAnAuthorizationEndsAfterTenMinutes(t *testing.T) {
	f := open(t)
	asked, _ := f.begin(t, "")
	f.now = f.now.Add(10*time.Minute - time.Millisecond)
	if _, _, err := f.Finish(ada(t.Context()), f.vendor, answer(asked, "code", "good")); err != nil {
		t.Errorf("just in time: %v", err)
	}
	asked, cookie := f.begin(t, "")
	f.now = f.now.Add(10 * time.Minute)
	if _, _, err := f.Finish(ada(t.Context()), f.vendor, answer(asked, "code", "good")); problem.Code(err) != oauth.CodeState {
		t.Errorf("too late: %v", err)
	}
	if _, _, err := f.FinishInBrowser(t.Context(), f.vendor, answer(asked, "code", "good"), cookie); problem.Code(err) != oauth.CodeState {
		t.Errorf("too late in a browser: %v", err)
	}
}

func TestWhatABrowserIsToldOfARefusal(t *testing.T) {
	f := open(t)
	for _, c := range []struct{ name, key, value, code string }{
		{"denied", "error", "access_denied", oauth.CodeDenied},
		{"nothing", "x", "y", oauth.CodeDenied},
		{"a code that is none", "code", "bad", connector.CodeGrantRevoked},
	} {
		asked, cookie := f.begin(t, "https://api.example.com/connections")
		to, _, err := f.FinishInBrowser(t.Context(), f.vendor, answer(asked, c.key, c.value), cookie)
		if err != nil || to != "https://api.example.com/connections?error="+c.code {
			t.Errorf("%s: %s, %v", c.name, to, err)
		}
		asked, cookie = f.begin(t, "")
		if _, _, err := f.FinishInBrowser(t.Context(), f.vendor, answer(asked, c.key, c.value), cookie); problem.Code(err) != c.code {
			t.Errorf("%s without a page: %v", c.name, err)
		}
	}
}

func TestWhoMayNotConnectAnyMoreDoesNotInABrowser(t *testing.T) {
	for name, change := range map[string]func(*fixture){
		"signed out":             func(f *fixture) { f.ended = problem.New(http.StatusUnauthorized, problem.CodeSessionRevoked, "ended") },
		"without the permission": func(f *fixture) { f.may = identity.Access{Permissions: []string{"integrations.*:read"}} },
	} {
		f := open(t)
		asked, cookie := f.begin(t, "https://api.example.com/")
		change(f)
		to, _, err := f.FinishInBrowser(t.Context(), f.vendor, answer(asked, "code", "good"), cookie)
		if err != nil || to != "https://api.example.com/?error="+oauth.CodeState || f.vendor.asked != nil {
			t.Errorf("%s: sent to %s, %v; the vendor was asked %v", name, to, err, f.vendor.asked)
		}
	}
	f := open(t)
	asked, cookie := f.begin(t, "")
	f.ended = problem.New(http.StatusServiceUnavailable, problem.CodeUnavailable, "auth is away")
	if _, _, err := f.FinishInBrowser(t.Context(), f.vendor, answer(asked, "code", "good"), cookie); problem.Code(err) != problem.CodeUnavailable {
		t.Errorf("while nobody can say: %v", err)
	}
}

func TestTheLogSaysWhoAuthorizedInABrowser(t *testing.T) {
	f := open(t)
	for _, code := range []string{"good", "bad"} {
		asked, cookie := f.begin(t, "https://api.example.com/")
		if _, _, err := f.FinishInBrowser(t.Context(), f.vendor, answer(asked, "code", code), cookie); err != nil {
			t.Fatal(err)
		}
	}
	messages, err := f.db.Outbox().Pending(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	var logged []string
	for _, m := range messages {
		if m.Topic == audit.Recorded.Wire() {
			logged = append(logged, string(m.Data))
		}
	}
	if len(logged) != 2 || !strings.Contains(logged[0], `"subject":"ada"`) || !strings.Contains(logged[0], `"result":"success"`) || !strings.Contains(logged[1], `"result":"failure"`) {
		t.Errorf("logged %q", logged)
	}
}

// Where a vendor has another name for the code, that which the standard has is none; and what it gives may have no end.
func TestAVendorMayHaveItsOwnWayOfCodesAndTokens(t *testing.T) {
	f := open(t)
	f.vendor.quirks = func(o *connector.OAuth) {
		o.CodeIn = "auth_code"
		o.Token = func(_ context.Context, secret secrets.Secret, g connector.Grant) (connector.Credentials, error) {
			if g.Code != "good" || secret.Reveal() != "hush" {
				t.Errorf("asked for %+v with %q", g, secret.Reveal())
			}
			return connector.Credentials{AccessToken: secrets.New("for ever")}, nil
		}
	}
	asked, _ := f.begin(t, "")
	if _, _, err := f.Finish(ada(t.Context()), f.vendor, answer(asked, "code", "good")); problem.Code(err) != oauth.CodeDenied {
		t.Errorf("with the code in another parameter: %v", err)
	}
	asked, _ = f.begin(t, "")
	c, created, err := f.Finish(ada(t.Context()), f.vendor, answer(asked, "auth_code", "good", "code", "another"))
	if err != nil || !created || !c.Authorized || c.Refreshable || !c.ExpiresAt.IsZero() || c.Scopes[0] != "for ever" {
		t.Errorf("%+v, %t, %v", c, created, err)
	}
}

func TestAVendorWithoutAnAppIsNotAuthorized(t *testing.T) {
	f := open(t)
	f.vendor.clientID = ""
	if _, err := f.Begin(ada(t.Context()), f.vendor, "", ""); problem.Code(err) != oauth.CodeNotConfigured {
		t.Errorf("%v", err)
	}
}

func TestWhatNobodyFinishedIsForgotten(t *testing.T) {
	f := open(t)
	attempts, err := store.System[map[string]any](t.Context(), f.open(t), store.Def{Name: "authorizations", Indexes: []store.Index{
		{Name: "expires-at", Fields: []string{"expires_at"}}, {Name: "organization", Fields: []string{"organization"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	left := func() int64 {
		t.Helper()
		n, err := attempts.Count(t.Context(), store.Query{Index: "expires-at"})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	f.begin(t, "")
	f.now = f.now.Add(11 * time.Minute)
	f.begin(t, "")
	if err := f.Forget(t.Context()); err != nil || left() != 1 {
		t.Errorf("%d left, %v", left(), err)
	}
	if n, err := f.db.EraseOrganization(t.Context(), "o1"); err != nil || n != 1 || left() != 0 {
		t.Errorf("erased %d with the organization, %d left, %v", n, left(), err)
	}
}
