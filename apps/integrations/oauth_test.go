package integrations_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/tandemhq/tandem/pkg/identity"
)

// browser is a person's, which keeps the cookies of an authorization and follows no redirect by itself.
type browser struct {
	p      *process
	cookie string
}

func (b browser) get(address string) *http.Response { return b.send(http.MethodGet, address) }

func (b browser) send(method, address string) *http.Response {
	b.p.t.Helper()
	r, err := http.NewRequestWithContext(b.p.t.Context(), method, address, http.NoBody)
	if err != nil {
		b.p.t.Fatal(err)
	}
	if b.cookie != "" {
		r.Header.Set("Cookie", b.cookie)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.p.t.Fatal(err)
	}
	b.p.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// authorize begins, and returns where to click, with the browser that got the cookie.
func (u user) authorize(query string) (string, browser) {
	u.p.t.Helper()
	begun := u.want(200, "GET /shopify/oauth/authorize?"+query, "")
	cookie, _, _ := strings.Cut(begun.header.Get("Set-Cookie"), ";")
	return begun.body["url"].(string), browser{u.p, cookie}
}

// click installs the app on the vendor's page, and returns where that sends the browser.
func (b browser) click(page string) *url.URL {
	b.p.t.Helper()
	resp := b.get(page)
	if html, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || !strings.Contains(string(html), "Install app") {
		b.p.t.Fatalf("%s: %s", resp.Status, html)
	}
	resp = b.send(http.MethodPost, page)
	back, err := resp.Location()
	if err != nil || back.Path != "/api/integrations/shopify/oauth/callback" {
		b.p.t.Fatalf("%s: sent to %v, %v", resp.Status, back, err)
	}
	return back
}

// callback goes where the vendor sent the browser, on this process.
func (b browser) callback(back *url.URL) *http.Response {
	return b.get(b.p.url + back.Path + "?" + back.RawQuery)
}

// install connects a shop by OAuth and returns the connection.
func (u user) install(shop string) string {
	u.p.t.Helper()
	page, b := u.authorize("account=" + shop)
	a := u.do("POST /shopify/oauth/callback", finish(b.click(page).RawQuery))
	if a.status != 200 && a.status != 201 {
		u.p.t.Fatalf("%d %s", a.status, a.text)
	}
	return a.id()
}

func finish(query string) string {
	body, _ := json.Marshal(map[string]string{"query": query})
	return string(body)
}

// admin asks the sandbox itself.
func (p *process) admin(what, body string) []byte {
	p.t.Helper()
	method, path, _ := strings.Cut(what, " ")
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.sandbox+"/sandbox/shopify/demo/"+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		p.t.Fatalf("%s: %s %s", what, resp.Status, text)
	}
	return text
}

// asked counts the requests of a kind that the vendor had.
func (p *process) asked(kind string) int {
	p.t.Helper()
	var counts struct {
		ByOperation map[string]int `json:"by_operation"`
	}
	if err := json.Unmarshal(p.admin("GET requests", ""), &counts); err != nil {
		p.t.Fatal(err)
	}
	return counts.ByOperation[kind]
}

func TestAShopIsConnectedByOAuthInABrowser(t *testing.T) {
	p := start(t, 60)
	u := p.user("o1", "owner")
	page, b := u.authorize("account=demo&return_to=" + url.QueryEscape("http://localhost:8000/connections?tab=1"))
	resp := b.callback(b.click(page))
	to, err := resp.Location()
	if err != nil || resp.StatusCode != 303 || to.Host != "localhost:8000" || to.Path != "/connections" || to.Query().Get("tab") != "1" {
		t.Fatalf("%s: sent to %v, %v", resp.Status, to, err)
	}
	connection := to.Query().Get("connection_id")
	status := u.want(200, "GET /shopify/status", "")
	if shop := status.body["items"].([]any)[0].(map[string]any); shop["id"] != connection || shop["status"] != "active" || shop["expires_at"] == nil {
		t.Errorf("%s", status.text)
	}
	if u.sync(connection, "backfill").body["records"] != 60.0 {
		t.Error("its orders are not there")
	}
	if a := u.want(200, "POST /shopify/test", ""); a.id() != connection {
		t.Errorf("tested %s", a.text)
	}

	// Without a page to return to, the browser shows what came of it.
	page, b = u.authorize("account=demo")
	if resp := b.callback(b.click(page)); resp.StatusCode != 200 {
		t.Errorf("%s", resp.Status)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if log := p.log.String(); strings.Contains(log, "shpat_") || strings.Contains(log, "shprt_") {
		t.Error("a token is in the log")
	}
}

func TestWhereAnAuthorizationCanLead(t *testing.T) {
	u := start(t, 1).user("o1", "owner")
	for _, query := range []string{
		"account=demo&return_to=" + url.QueryEscape("https://evil.example/"),
		"account=demo&return_to=" + url.QueryEscape("http://localhost:8000@evil.example/"),
		"account=demo&return_to=" + url.QueryEscape("//localhost:8000/"),
		"account=demo&return_to=" + url.QueryEscape(`http://localhost:8000\@evil.example/`),
		"account=demo&return_to=javascript:alert(1)",
		"account=" + url.QueryEscape("evil.example"),
		"account=" + url.QueryEscape("demo.myshopify.com@evil.example"),
		"account=" + url.QueryEscape("demo/../../sandbox"),
		"account=",
	} {
		if a := u.do("GET /shopify/oauth/authorize?"+query, ""); a.status != 422 {
			t.Errorf("%s: %d %s", query, a.status, a.text)
		}
	}
}

func TestAnAuthorizationIsForWhoBeganItAndOnce(t *testing.T) {
	p := start(t, 1)
	u := p.user("o1", "owner")
	invalid := func(what string, status int, text string) {
		t.Helper()
		if status != 422 || !strings.Contains(text, "oauth_state_invalid") {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
	body := func(resp *http.Response) string {
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	page, b := u.authorize("account=demo")
	back := b.click(page)
	elsewhere := user{p, p.authority.Token(t, "o1", "u-o1-owner", []string{"owner"}, func(c *identity.Claims) { c.Session = "another" })}
	for name, other := range map[string]user{"another session": elsewhere, "another user": p.user("o1", "owner", "admin"), "another organization": p.user("o2", "owner")} {
		a := other.do("POST /shopify/oauth/callback", finish(back.RawQuery))
		invalid(name, a.status, a.text)
	}
	_, stranger := u.authorize("account=demo")
	for name, other := range map[string]browser{"no cookie": {p: p}, "the cookie of another": stranger} {
		resp := other.callback(back)
		invalid(name, resp.StatusCode, body(resp))
	}
	for _, query := range []string{"", "state=", "state=" + strings.Repeat("0", 64), "code=1&state=../../x"} {
		a := u.do("POST /shopify/oauth/callback", finish(query+"&shop=demo.myshopify.com"))
		invalid(query, a.status, a.text)
	}
	u.want(201, "POST /shopify/oauth/callback", finish(back.RawQuery))
	resp := b.callback(back)
	invalid("again in the browser", resp.StatusCode, body(resp))
	a := u.do("POST /shopify/oauth/callback", finish(back.RawQuery))
	invalid("again by POST", a.status, a.text)
	if n := p.asked("authorization_code"); n != 1 {
		t.Errorf("%d codes redeemed", n)
	}
}

func TestWhoIsNoMemberAnyMoreConnectsNothing(t *testing.T) {
	p := start(t, 1)
	p.user("o2", "owner").want(200, "GET /shopify/status", "") // what owners may do is known from here on
	u := p.user("o1", "owner")
	page, b := u.authorize("account=demo")
	back := b.click(page)
	p.authority.Set("o1", "u-o1-owner", identity.Access{})
	if resp := b.callback(back); resp.StatusCode != 422 {
		t.Errorf("%s", resp.Status)
	}
	if n := p.asked("authorization_code"); n != 0 {
		t.Errorf("%d codes redeemed", n)
	}
}

func TestAForgedCallbackIsRefused(t *testing.T) {
	p := start(t, 1)
	u := p.user("o1", "owner")
	for name, forge := range map[string]func(url.Values){
		"another code":   func(q url.Values) { q.Set("code", "mine") },
		"another shop":   func(q url.Values) { q.Set("shop", "evil.myshopify.com") },
		"no hmac":        func(q url.Values) { q.Del("hmac") },
		"an empty hmac":  func(q url.Values) { q.Set("hmac", "") },
		"one more field": func(q url.Values) { q.Set("per_user", "1") },
	} {
		page, b := u.authorize("account=demo")
		q := b.click(page).Query()
		forge(q)
		if a := u.do("POST /shopify/oauth/callback", finish(q.Encode())); a.status != 422 || a.code() != "oauth_callback_forged" {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	if n := p.asked("authorization_code"); n != 0 {
		t.Errorf("%d codes redeemed", n)
	}
}

func TestFiftyRefreshesAskTheVendorOnce(t *testing.T) {
	p := start(t, 1)
	u := p.user("o1", "owner")
	connection := u.install("demo")
	p.admin("POST faults", `{"kind":"slow","times":1,"delay_ms":300}`) // the refresh takes a while
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if a := u.do("POST /shopify/oauth/refresh?connection_id="+connection, ""); a.status != 200 {
				t.Errorf("%d %s", a.status, a.text)
			}
		})
	}
	wait.Wait()
	if n := p.asked("refresh_token"); n != 1 {
		t.Errorf("the vendor was asked %d times", n)
	}
	u.want(200, "POST /shopify/test", "") // by the new token
	if n := p.asked("Identify"); n != 2 {
		t.Errorf("identified %d times: the token was refused in between", n)
	}
}

func TestAnExpiredTokenIsRefreshedInTheMiddleOfASync(t *testing.T) {
	p := start(t, 600)
	u := p.user("o1", "owner")
	connection := u.install("demo")
	p.admin("POST tokens/expire", "")
	if a := u.sync(connection, "backfill"); a.body["status"] != "succeeded" || a.body["changed"] != 600.0 {
		t.Errorf("%s", a.text)
	}
	if n := p.asked("refresh_token"); n != 1 {
		t.Errorf("refreshed %d times", n)
	}
}

func TestARefreshWhoseAnswerIsLostIsMadeAgain(t *testing.T) {
	p := start(t, 1)
	u := p.user("o1", "owner")
	u.install("demo")
	p.admin("POST faults", `{"kind":"truncated","times":1}`) // the vendor has rotated the token by then
	if a := u.want(503, "POST /shopify/oauth/refresh", ""); a.code() != "vendor_unavailable" {
		t.Errorf("%s", a.text)
	}
	u.want(200, "POST /shopify/oauth/refresh", "")
	u.want(200, "POST /shopify/test", "")
}

func TestARevokedAuthorizationNeedsAttention(t *testing.T) {
	p := start(t, 1)
	u := p.user("o1", "owner")
	connection := u.install("demo")
	p.admin("DELETE tokens", "")
	if a := u.want(422, "POST /shopify/test", ""); a.code() != "authorization_revoked" {
		t.Errorf("%s", a.text)
	}
	shop := u.want(200, "GET /shopify/status", "").body["items"].([]any)[0].(map[string]any)
	why, _ := shop["problem"].(map[string]any)
	if shop["status"] != "needs_attention" || why["code"] != "authorization_revoked" || why["action"] != "authorize" {
		t.Errorf("%v", shop)
	}
	if a := u.want(409, "POST /sync/runs", `{"connection_id":"`+connection+`","mode":"backfill"}`); a.code() != "connection_needs_attention" {
		t.Errorf("%s", a.text)
	}
	page, b := u.authorize("account=demo")
	if again := u.want(200, "POST /shopify/oauth/callback", finish(b.click(page).RawQuery)); again.id() != connection || again.body["status"] != "active" || again.body["problem"] != nil {
		t.Errorf("authorized again: %s", again.text)
	}
	u.want(200, "POST /shopify/test", "")
}

func TestADisconnectRevokesAtTheVendor(t *testing.T) {
	p := start(t, 1)
	u := p.user("o1", "owner")
	connection := u.install("demo")
	u.want(204, "DELETE /shopify", "")
	shop := u.want(200, "GET /shopify/status", "").body["items"].([]any)[0].(map[string]any)
	if shop["status"] != "disconnected" || shop["problem"] != nil {
		t.Errorf("%v", shop)
	}
	if a := u.want(409, "POST /shopify/oauth/refresh?connection_id="+connection, ""); a.code() != "connection_disconnected" {
		t.Errorf("%s", a.text)
	}

	if n := p.asked("refresh_token"); n != 0 {
		t.Errorf("refreshed %d times", n)
	}

	u.install("demo")
	p.admin("POST tokens/expire", "") // which is not the end of the authorization
	u.want(204, "DELETE /shopify", "")
	if n := p.asked("refresh_token"); n != 1 {
		t.Errorf("refreshed %d times: the app is still installed", n)
	}

	u.install("demo")
	p.admin("POST faults", `{"kind":"error500","times":1}`)
	u.want(204, "DELETE /shopify", "")
	shop = u.want(200, "GET /shopify/status", "").body["items"].([]any)[0].(map[string]any)
	if why, _ := shop["problem"].(map[string]any); shop["status"] != "disconnected" || why["code"] != "authorization_not_revoked" || why["action"] != "remove_app" {
		t.Errorf("a vendor that could not be told: %v", shop)
	}

	u.want(200, "POST /shopify/connect", `{"shop":"demo","access_token":"shpat_topsecret01"}`) // somebody's own, and theirs to end
	p.admin("POST faults", `{"kind":"error500","times":1}`)
	u.want(204, "DELETE /shopify", "")
	if left := string(p.admin("GET faults", "")); !strings.Contains(left, "error500") {
		t.Error("the vendor was told of the end of a token that is not ours to end")
	}
	p.admin("DELETE faults", "")
	u.want(200, "POST /shopify/connect", `{"shop":"demo","access_token":"shpat_topsecret01"}`)
	if a := u.want(409, "POST /shopify/oauth/refresh", ""); a.code() != "connection_not_authorized" {
		t.Errorf("%s", a.text)
	}
}

func TestWhatTheLogCallsTheEndsOfAnAuthorization(t *testing.T) {
	p := start(t, 1)
	var document struct {
		Paths map[string]map[string]struct {
			Action string `json:"x-action"`
		} `json:"paths"`
	}
	if err := json.NewDecoder(browser{p: p}.get(p.url + "/api/integrations/openapi.json").Body).Decode(&document); err != nil {
		t.Fatal(err)
	}
	shopify := "/api/integrations/shopify"
	if got := document.Paths[shopify+"/oauth/callback"]["post"].Action; got != "integrations.shopify.authorize" {
		t.Errorf("a client authorizes as %q", got) // as a browser does
	}
	if got := document.Paths[shopify]["delete"].Action; got != "integrations.shopify.disconnect" {
		t.Errorf("a disconnect is %q", got)
	}
}
