package vendor

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Tokens are what a vendor gives for an authorization.
type Tokens struct {
	// Prefix begins access tokens.
	Prefix string
	// Access and Refresh are how long access and refresh tokens live; access tokens without end when zero, no refresh tokens at all
	// when Refresh is.
	Access, Refresh time.Duration
	// First is how long an access token lives that was given for a code, where that is not Access.
	First time.Duration
	// Rotates tells that a refresh token is good once.
	Rotates bool
	// PKCE tells that a challenge has to come with the request (RFC 7636, S256).
	PKCE bool
}

const codeLife = 5 * time.Minute

// token is what a code or token says. It is signed, so that it outlives the sandbox that gave it.
type token struct {
	Kind    string `json:"k"` // code, access or refresh
	Account string `json:"a"`
	Scopes  string `json:"s"`
	ID      string `json:"i"`
	// Given and Until are in Unix milliseconds; Until is 0 for one without end.
	Given int64 `json:"g"`
	Until int64 `json:"u,omitempty"`
	// Redirect and Challenge are those of a code.
	Redirect  string `json:"r,omitempty"`
	Challenge string `json:"c,omitempty"`
}

// grants is what has become of an account's tokens. After a restart all are good again that were not at their end by themselves.
type grants struct {
	// revoked and expired are when all tokens, or all access tokens, that were given until then ended.
	revoked, expired int64
	// spent are the ids of codes and refresh tokens that are good once.
	spent map[string]bool
}

// Revoke ends all tokens of an account.
func (a *Account) Revoke(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grants.revoked = now.UnixMilli()
}

func (a *Account) expire(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grants.expired = now.UnixMilli()
}

// good tells whether a token has not been ended; once spends it.
func (a *Account) good(t token, now time.Time, once bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.Given <= a.grants.revoked || t.Kind == "access" && t.Given <= a.grants.expired || t.Until != 0 && now.UnixMilli() >= t.Until || a.grants.spent[t.ID] {
		return false
	}
	if once {
		if a.grants.spent == nil {
			a.grants.spent = map[string]bool{}
		}
		a.grants.spent[t.ID] = true
	}
	return true
}

func (v *Vendor) sign(t token) string {
	text, err := json.Marshal(t)
	if err != nil {
		return ""
	}
	body := base64.RawURLEncoding.EncodeToString(text)
	return body + "." + v.mac(body)
}

func (v *Vendor) mac(body string) string {
	mac := hmac.New(sha256.New, []byte(v.Name+"/"+v.ClientSecret))
	mac.Write([]byte(body))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// read is a token of a kind as it was signed.
func (v *Vendor) read(kind, text string) (token, bool) {
	body, mac, found := strings.Cut(text, ".")
	if !found || subtle.ConstantTimeCompare([]byte(mac), []byte(v.mac(body))) != 1 {
		return token{}, false
	}
	var t token
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || json.Unmarshal(raw, &t) != nil || t.Kind != kind {
		return token{}, false
	}
	return t, true
}

// accountOf is whose a token or key is, nil when nobody's; accepted tells that it is good.
func (v *Vendor) accountOf(text string) (a *Account, accepted bool) {
	if t, ok := v.read("access", strings.TrimPrefix(text, v.Tokens.Prefix)); ok {
		if a, known := v.Account(t.Account); known {
			return a, a.good(t, v.Now(), false)
		}
	}
	if rest, ok := strings.CutPrefix(text, v.KeyPrefix); ok && v.KeyPrefix != "" {
		name, more, _ := strings.Cut(rest, "_")
		if a, known := v.Account(name); known {
			return a, more != "revoked"
		}
	}
	return nil, false
}

// Granted are the tokens of an authorization.
type Granted struct {
	Account         *Account
	Access, Refresh string // Refresh is empty where there are none
	Scopes          string
	// ExpiresIn is the seconds that Access lives, 0 without end.
	ExpiresIn int
}

// Grant answers a request to a token endpoint in the words of the standard (RFC 6749, sections 4.1.3, 5.2 and 6): what is granted, or
// the refusal. app tells whether the app has proved who it is; a code needs a PKCE verifier of the pattern, none where it is nil.
func (v *Vendor) Grant(r *http.Request, app bool, verifier *regexp.Regexp) (granted Granted, refused *Answer) {
	no := func(status int, code string) (Granted, *Answer) {
		return Granted{}, &Answer{Status: status, Body: map[string]string{"error": code}}
	}
	if !app {
		return no(http.StatusUnauthorized, "invalid_client")
	}
	var good bool
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		proof := ""
		if verifier != nil {
			proof = r.PostFormValue("code_verifier")
		}
		if r.PostFormValue("redirect_uri") == "" || verifier != nil && !verifier.MatchString(proof) {
			return no(http.StatusBadRequest, "invalid_request")
		}
		granted, good = v.Redeem(r.PostFormValue("code"), r.PostFormValue("redirect_uri"), proof)
	case "refresh_token":
		granted, good = v.Refresh(r.PostFormValue("refresh_token"))
	default:
		return no(http.StatusBadRequest, "unsupported_grant_type")
	}
	if !good {
		return no(http.StatusBadRequest, "invalid_grant")
	}
	return granted, nil
}

// Redeem gives tokens for a code, once.
func (v *Vendor) Redeem(code, redirect, verifier string) (Granted, bool) {
	t, ok := v.read("code", code)
	if !ok || t.Redirect != redirect && redirect != "" {
		return Granted{}, false
	}
	if t.Challenge != "" {
		sum := sha256.Sum256([]byte(verifier))
		if base64.RawURLEncoding.EncodeToString(sum[:]) != t.Challenge {
			return Granted{}, false
		}
	}
	a, known := v.Account(t.Account)
	if !known || !a.good(t, v.Now(), true) {
		return Granted{}, false
	}
	life := v.Tokens.Access
	if v.Tokens.First > 0 {
		life = v.Tokens.First
	}
	return v.grant(a, t.Scopes, "", life), true
}

// Refresh gives tokens for a refresh token.
func (v *Vendor) Refresh(refresh string) (Granted, bool) {
	t, ok := v.read("refresh", refresh)
	a, known := v.Account(t.Account)
	if !ok || !known || !a.good(t, v.Now(), v.Tokens.Rotates) {
		return Granted{}, false
	}
	if v.Tokens.Rotates {
		refresh = ""
	}
	return v.grant(a, t.Scopes, refresh, v.Tokens.Access), true
}

// Exchange gives a new access token for one that is good, where the vendor has no refresh tokens.
func (v *Vendor) Exchange(access string) (Granted, bool) {
	a, accepted := v.accountOf(access)
	t, ok := v.read("access", strings.TrimPrefix(access, v.Tokens.Prefix))
	if !accepted || !ok {
		return Granted{}, false
	}
	return v.grant(a, t.Scopes, "", v.Tokens.Access), true
}

// grant makes tokens, of which the access token lives for life; refresh stays where it is given.
func (v *Vendor) grant(a *Account, scopes, refresh string, life time.Duration) Granted {
	now := v.Now()
	a.mu.Lock()
	given := max(now.UnixMilli(), a.grants.revoked+1, a.grants.expired+1)
	a.mu.Unlock()
	of := func(kind string, life time.Duration) string {
		t := token{Kind: kind, Account: a.Name, Scopes: scopes, ID: rand.Text(), Given: given}
		if life > 0 {
			t.Until = now.Add(life).UnixMilli()
		}
		return v.sign(t)
	}
	g := Granted{Account: a, Access: v.Tokens.Prefix + of("access", life), Refresh: refresh, Scopes: scopes, ExpiresIn: int(life.Seconds())}
	if v.Tokens.Refresh > 0 && refresh == "" {
		g.Refresh = of("refresh", v.Tokens.Refresh)
	}
	return g
}

// Scopes are what a token allows, as they were asked for; none for a key.
func (v *Vendor) Scopes(access string) string {
	t, _ := v.read("access", strings.TrimPrefix(access, v.Tokens.Prefix))
	return t.Scopes
}

// App tells whether these are the id and the secret of the app.
func (v *Vendor) App(id, secret string) bool { return id == v.ClientID && secret == v.ClientSecret }

// HandleToken serves a token endpoint, which checks the app by itself. The code or token that a request is about tells whose faults
// it meets, before anything is spent.
func (v *Vendor) HandleToken(mux *http.ServeMux, pattern string, about func(r *http.Request) string, handle func(r *http.Request) Answer) {
	method, path, _ := strings.Cut(pattern, " ")
	mux.HandleFunc(method+" /vendors/"+path, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		a := v.whose(about(r))
		if a == nil {
			a = &Account{} // nobody's
		}
		v.serve(w, r, a, path, func() (Answer, bool) { return handle(r), true })
	})
}

// whose is the account of a code or token of any kind, good or not; nil when it is none of ours.
func (v *Vendor) whose(text string) *Account {
	for _, kind := range []string{"code", "access", "refresh"} {
		if t, ok := v.read(kind, strings.TrimPrefix(text, v.Tokens.Prefix)); ok {
			a, _ := v.Account(t.Account)
			return a
		}
	}
	return nil
}

var consentPage = template.Must(template.New("consent").Parse(`<!DOCTYPE html>
<html lang="en"><head><title>Authorize</title></head><body>
<h1>{{.Vendor}}: authorize {{.ClientID}}</h1>
<p>It will be able to: {{.Scopes}}</p>
<form method="post">
<p><label>Account <input name="account" value="{{.Account}}"></label></p>
{{range $name, $values := .Query}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">
{{end}}{{end}}<button type="submit">Allow</button>
</form></body></html>
`))

// Page is the page on which people authorize the app.
type Page struct {
	// Path is its host and path: "www.facebook.com/{version}/dialog/oauth".
	Path string
	// Client and Scope are the parameters of the app's id and of the scopes; "client_id" and "scope" when empty. Code is that of the
	// code which goes back.
	Client, Scope, Code string
}

// HandlePage serves the page, and the click on it. The account is "demo" unless another is written into the form.
func (v *Vendor) HandlePage(mux *http.ServeMux, p Page) {
	name := func(given, fallback string) string {
		if given == "" {
			return fallback
		}
		return given
	}
	client, scope, code := name(p.Client, "client_id"), name(p.Scope, "scope"), name(p.Code, "code")
	asked := func(w http.ResponseWriter, r *http.Request) (redirect *url.URL, ok bool) {
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		if r.ParseForm() != nil {
			http.Error(w, "the form cannot be read", http.StatusBadRequest)
			return nil, false
		}
		redirect, err := url.Parse(r.Form.Get("redirect_uri"))
		switch {
		case r.Form.Get(client) != v.ClientID || err != nil || redirect.Host == "" || !strings.HasPrefix(redirect.Scheme, "http"):
			http.Error(w, "the client id or the redirect_uri is not that of an app", http.StatusBadRequest)
			return nil, false
		case v.Tokens.PKCE && (r.Form.Get("code_challenge") == "" || r.Form.Get("code_challenge_method") != "S256"):
			http.Error(w, "a code_challenge of method S256 is required", http.StatusBadRequest)
			return nil, false
		}
		return redirect, true
	}
	mux.HandleFunc("GET /vendors/"+p.Path, func(w http.ResponseWriter, r *http.Request) {
		if _, ok := asked(w, r); !ok {
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = consentPage.Execute(w, map[string]any{"Vendor": v.Name, "ClientID": v.ClientID, "Scopes": r.Form.Get(scope), "Account": "demo", "Query": r.URL.Query()})
	})
	mux.HandleFunc("POST /vendors/"+p.Path, func(w http.ResponseWriter, r *http.Request) {
		redirect, ok := asked(w, r)
		if !ok {
			return
		}
		a, known := v.Account(name(r.PostForm.Get("account"), "demo"))
		if !known {
			http.Error(w, "there is no such account", http.StatusBadRequest)
			return
		}
		now := v.Now()
		back := redirect.Query()
		back.Set("state", r.Form.Get("state"))
		back.Set(code, v.sign(token{
			Kind: "code", Account: a.Name, Scopes: r.Form.Get(scope), ID: rand.Text(), Given: now.UnixMilli(), Until: now.Add(codeLife).UnixMilli(),
			Redirect: r.Form.Get("redirect_uri"), Challenge: r.Form.Get("code_challenge"),
		}))
		redirect.RawQuery = back.Encode()
		http.Redirect(w, r, redirect.String(), http.StatusFound)
	})
}
