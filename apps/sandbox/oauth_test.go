package sandbox_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox"
)

// app is one that installs itself in the shop demo.
type app struct {
	t   *testing.T
	url string
	now time.Time
}

func newApp(t *testing.T) *app {
	t.Helper()
	a := &app{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	vendor, err := sandbox.New(sandbox.Config{Now: func() time.Time { return a.now }})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(vendor)
	t.Cleanup(server.Close)
	a.url = server.URL + "/shopify/demo"
	return a
}

func (a *app) send(method, path, token string, form url.Values) *http.Response {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Shopify-Access-Token", token)
	resp, err := http.DefaultTransport.RoundTrip(r) // redirects are looked at
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// code is what a click brings.
func (a *app) code() string {
	a.t.Helper()
	back, err := a.send(http.MethodPost, "/admin/oauth/authorize", "", url.Values{
		"client_id": {sandbox.ClientID}, "redirect_uri": {"http://app.example/callback"}, "scope": {"read_orders"}, "state": {"s"},
	}).Location()
	if err != nil || back.Host != "app.example" || back.Query().Get("state") != "s" || back.Query().Get("hmac") == "" {
		a.t.Fatalf("%v, %v", back, err)
	}
	return back.Query().Get("code")
}

type tokens struct {
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	ExpiresIn int    `json:"expires_in"`
	Scope     string `json:"scope"`
	Error     string `json:"error"`
}

// token asks for tokens with more than what every request has.
func (a *app) token(more ...string) tokens {
	a.t.Helper()
	form := url.Values{"client_id": {sandbox.ClientID}, "client_secret": {sandbox.ClientSecret}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	var got tokens
	if err := json.NewDecoder(a.send(http.MethodPost, "/admin/oauth/access_token", "", form).Body).Decode(&got); err != nil {
		a.t.Fatal(err)
	}
	return got
}

func (a *app) redeem(code string, more ...string) tokens {
	return a.token(append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", "http://app.example/callback", "expiring", "1"}, more...)...)
}

func (a *app) refresh(token string) tokens {
	return a.token("grant_type", "refresh_token", "refresh_token", token)
}

// works tells whether the shop takes an access token.
func (a *app) works(token string) bool {
	return a.send(http.MethodPost, "/admin/api/2026-10/graphql.json", token, nil).StatusCode != http.StatusUnauthorized
}

func TestACodeIsGoodOnceForItsApp(t *testing.T) {
	a := newApp(t)
	for name, more := range map[string][]string{
		"another secret": {"client_secret", "guess"}, "another client": {"client_id", "other"}, "another page": {"redirect_uri", "http://evil.example/"},
		"tokens that never expire": {"expiring", "0"},
	} {
		if got := a.redeem(a.code(), more...); got.Access != "" || got.Error == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	code := a.code()
	if got := a.redeem(code); got.Access == "" || got.Refresh == "" || got.ExpiresIn != 3600 || got.Scope != "read_orders" || !a.works(got.Access) {
		t.Errorf("%+v", got)
	}
	if again := a.redeem(code); again.Error != "invalid_grant" {
		t.Errorf("again: %+v", again)
	}
	late := a.code()
	a.now = a.now.Add(11 * time.Minute)
	if got := a.redeem(late); got.Error != "invalid_grant" {
		t.Errorf("late: %+v", got)
	}
	for _, query := range []string{"client_id=other&redirect_uri=http://app.example/", "client_id=" + sandbox.ClientID + "&redirect_uri=javascript:1"} {
		if resp := a.send(http.MethodGet, "/admin/oauth/authorize?"+query, "", nil); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", query, resp.Status)
		}
	}
}

func TestTokensRotateExpireAndEnd(t *testing.T) {
	a := newApp(t)
	first := a.redeem(a.code())
	second := a.refresh(first.Refresh)
	a.refresh(first.Refresh) // as if the answer had not arrived
	lost := a.refresh(first.Refresh)
	if second.Access == first.Access || lost.Access == "" || lost.Access == second.Access {
		t.Errorf("%+v, %+v, %+v", first, second, lost)
	}
	if !a.works(lost.Access) || a.works(first.Access) || a.works(second.Access) {
		t.Error("another token than the last works")
	}
	if got := a.refresh(first.Refresh); got.Error != "invalid_grant" {
		t.Errorf("the old refresh token, once the new access token was used: %+v", got)
	}
	a.now = a.now.Add(time.Hour)
	if a.works(lost.Access) {
		t.Error("it works after an hour")
	}
	last := a.refresh(lost.Refresh)
	if resp := a.send(http.MethodDelete, "/admin/api_permissions/current.json", last.Access, nil); resp.StatusCode != http.StatusOK {
		t.Errorf("uninstall: %s", resp.Status)
	}
	if got := a.refresh(last.Refresh); a.works(last.Access) || got.Error != "invalid_grant" {
		t.Errorf("uninstalled: %+v", got)
	}
}

// TestAnAuthorizationOutlivesTheSandbox restarts it: the app refreshes as before, until it is removed, and no other shop takes its token.
func TestAnAuthorizationOutlivesTheSandbox(t *testing.T) {
	before := newApp(t)
	given := before.redeem(before.code())

	a := newApp(t)
	got := a.refresh(given.Refresh)
	if got.Access == "" || got.Scope != "read_orders" || !a.works(got.Access) {
		t.Fatalf("refreshed after a restart: %+v", got)
	}
	if again := a.refresh(given.Refresh); again.Error != "invalid_grant" {
		t.Errorf("spent since the restart: %+v", again)
	}
	other := newApp(t)
	other.url = strings.TrimSuffix(other.url, "demo") + "other"
	if got := other.refresh(given.Refresh); got.Error != "invalid_grant" {
		t.Errorf("another shop took it: %+v", got)
	}
	for name, token := range map[string]string{"more scopes": strings.Replace(given.Refresh, ".", ".d3JpdGVfb3JkZXJz", 1), "made up": "shprt_a.b.c", "empty": ""} {
		if got := newApp(t).refresh(token); got.Error != "invalid_grant" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if a.send(http.MethodDelete, "/admin/api_permissions/current.json", got.Access, nil); a.works(got.Access) || a.refresh(given.Refresh).Error != "invalid_grant" {
		t.Error("the app was removed, and its tokens work")
	}
}
