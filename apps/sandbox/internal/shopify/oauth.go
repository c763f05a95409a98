package shopify

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

const (
	codeLife    = 10 * time.Minute
	accessLife  = time.Hour
	refreshLife = 90 * 24 * time.Hour
)

// installation is the app in one shop.
type installation struct {
	codes map[string]code
	// issued are all access tokens that the app was ever given.
	issued map[string]bool
	// access and refresh are the tokens that are good; empty while the app is not installed.
	access, refresh string
	expires         time.Time
	scopes          string
	// spent is the refresh token before, which is good until access is first used.
	spent string
	// removed tells that the app was taken out of the shop since the sandbox started.
	removed bool
}

// code is an installation that waits for the app to come for its token.
type code struct {
	scopes, redirect string
	until            time.Time
}

// accepts reports whether the shop takes an access token now.
func (a *account) accepts(token string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.app.issued[token] {
		return ValidToken(token)
	}
	if token != a.app.access || !now.Before(a.app.expires) {
		return false
	}
	a.app.spent = ""
	return true
}

// issue gives the app new tokens. The refresh token that they were given for is good
// until they are used.
func (s *Server) issue(a *account, spent string, now time.Time) {
	app := &a.app
	if app.issued == nil {
		app.issued = map[string]bool{}
	}
	app.spent, app.refresh = spent, s.refreshToken(a, rand.Text(), app.scopes)
	app.access, app.expires = "shpat_"+rand.Text(), now.Add(accessLife)
	app.issued[app.access] = true
}

const refreshPrefix = "shprt_"

// refreshToken is the shop's with an id. It has the scopes in it and is signed, so that it outlives the sandbox that gave it.
func (s *Server) refreshToken(a *account, id, scopes string) string {
	mac := hmac.New(sha256.New, []byte(s.config.ClientSecret))
	fmt.Fprintf(mac, "%s %s %s", a.shop, id, scopes)
	return refreshPrefix + id + "." + base64.RawURLEncoding.EncodeToString([]byte(scopes)) + "." + hex.EncodeToString(mac.Sum(nil))
}

// outlived tells whether a refresh token is one that an earlier sandbox gave, and for which scopes. Whether it was spent then is
// not known any more.
func (s *Server) outlived(a *account, token string) (scopes string, ok bool) {
	id, rest, _ := strings.Cut(strings.TrimPrefix(token, refreshPrefix), ".")
	encoded, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	none := a.app.access == "" && !a.app.removed
	return string(text), err == nil && none && hmac.Equal([]byte(token), []byte(s.refreshToken(a, id, string(text))))
}

var consentPage = template.Must(template.New("consent").Parse(`<!DOCTYPE html>
<html lang="en"><head><title>Install app</title></head><body>
<h1>Install {{.ClientID}} in {{.Shop}}</h1>
<p>It will be able to: {{.Scopes}}</p>
<form method="post">
{{range $name, $values := .Query}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">
{{end}}{{end}}<button type="submit">Install app</button>
</form></body></html>
`))

// authorization is what an app asks of a shop; false when it was answered.
func (s *Server) authorization(w http.ResponseWriter, r *http.Request) (a *account, asked url.Values, ok bool) {
	a, valid := s.account(r.PathValue("shop"))
	r.Body = http.MaxBytesReader(w, r.Body, vendor.MaxBody)
	if !valid || r.ParseForm() != nil {
		http.Error(w, "Not Found", http.StatusNotFound)
		return nil, nil, false
	}
	redirect, err := url.Parse(r.Form.Get("redirect_uri"))
	if r.Form.Get("client_id") != s.config.ClientID || err != nil || redirect.Host == "" || !strings.HasPrefix(redirect.Scheme, "http") {
		http.Error(w, "Oauth error invalid_request: the client_id or the redirect_uri is not that of an app", http.StatusBadRequest)
		return nil, nil, false
	}
	return a, r.Form, true
}

// consent is the page on which a shop's owner installs the app.
func (s *Server) consent(w http.ResponseWriter, r *http.Request) {
	a, asked, ok := s.authorization(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = consentPage.Execute(w, map[string]any{"ClientID": s.config.ClientID, "Shop": a.shop, "Scopes": asked.Get("scope"), "Query": asked})
}

// install is the click on that page.
func (s *Server) install(w http.ResponseWriter, r *http.Request) {
	a, asked, ok := s.authorization(w, r)
	if !ok {
		return
	}
	now, granted := s.config.Now(), rand.Text()
	a.mu.Lock()
	if a.app.codes == nil {
		a.app.codes = map[string]code{}
	}
	a.app.codes[granted] = code{asked.Get("scope"), asked.Get("redirect_uri"), now.Add(codeLife)}
	a.mu.Unlock()
	back := url.Values{
		"code": {granted}, "host": {"YWRtaW4uc2hvcGlmeS5jb20"}, "shop": {a.shop + shopSuffix}, "state": {asked.Get("state")},
		"timestamp": {strconv.FormatInt(now.Unix(), 10)},
	}
	mac := hmac.New(sha256.New, []byte(s.config.ClientSecret))
	mac.Write([]byte(back.Encode()))
	back.Set("hmac", hex.EncodeToString(mac.Sum(nil)))
	http.Redirect(w, r, asked.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

// token gives the app its tokens, for a code or a refresh token.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	a, valid := s.account(r.PathValue("shop"))
	r.Body = http.MaxBytesReader(w, r.Body, vendor.MaxBody)
	if !valid || r.ParseForm() != nil {
		writeRaw(w, http.StatusNotFound, `{"errors":"Not Found"}`)
		return
	}
	a.Begin()
	fault, faulty := a.Take(vendor.Error500, vendor.HTML, vendor.Timeout, vendor.Truncated, vendor.Slow, vendor.DropConnection)
	if faulty && !fault.Play(w, r, s.words(a)) {
		return
	}
	kind := r.PostForm.Get("grant_type")
	a.Count(func(c *vendor.Counts) { c.ByOperation[kind]++ })
	if r.PostForm.Get("client_id") != s.config.ClientID || r.PostForm.Get("client_secret") != s.config.ClientSecret {
		writeRaw(w, http.StatusBadRequest, `{"error":"invalid_client","error_description":"the client id or secret is wrong"}`)
		return
	}
	answer, granted := s.grant(a, kind, r.PostForm, s.config.Now())
	if !granted {
		writeRaw(w, http.StatusBadRequest, `{"error":"invalid_grant","error_description":"This request requires an active grant."}`)
		return
	}
	body, err := json.Marshal(answer) //nolint:gosec // G117: tokens are what was asked for
	if err != nil {
		writeRaw(w, http.StatusInternalServerError, `{"errors":"Internal Server Error"}`)
		return
	}
	if faulty && fault.Kind == vendor.Truncated {
		vendor.BreakOff(w, body)
	}
	writeRaw(w, http.StatusOK, string(body))
}

type tokenAnswer struct {
	AccessToken           string `json:"access_token"`
	Scope                 string `json:"scope"`
	ExpiresIn             int    `json:"expires_in"`
	RefreshToken          string `json:"refresh_token"`
	RefreshTokenExpiresIn int    `json:"refresh_token_expires_in"`
}

// grant redeems a code or a refresh token. Only tokens that expire are given, as the
// vendor will have it from 2027 on.
func (s *Server) grant(a *account, kind string, asked url.Values, now time.Time) (tokenAnswer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	app := &a.app
	switch kind {
	case "authorization_code":
		c, known := app.codes[asked.Get("code")]
		delete(app.codes, asked.Get("code"))
		if !known || !now.Before(c.until) || asked.Get("redirect_uri") != c.redirect || asked.Get("expiring") != "1" {
			return tokenAnswer{}, false
		}
		app.scopes = c.scopes
	case "refresh_token":
		token := asked.Get("refresh_token")
		if scopes, ok := s.outlived(a, token); ok {
			app.scopes = scopes
		} else if token == "" || token != app.refresh && token != app.spent {
			return tokenAnswer{}, false
		}
	default:
		return tokenAnswer{}, false
	}
	s.issue(a, asked.Get("refresh_token"), now)
	return tokenAnswer{app.access, app.scopes, int(accessLife.Seconds()), app.refresh, int(refreshLife.Seconds())}, true
}

// uninstall is the app that removes itself.
func (s *Server) uninstall(w http.ResponseWriter, r *http.Request) {
	a, valid := s.account(r.PathValue("shop"))
	if !valid {
		writeRaw(w, http.StatusNotFound, `{"errors":"Not Found"}`)
		return
	}
	a.Begin()
	if fault, faulty := a.Take(vendor.Error500, vendor.HTML, vendor.Timeout, vendor.Slow, vendor.DropConnection); faulty && !fault.Play(w, r, s.words(a)) {
		return
	}
	if !a.accepts(r.Header.Get("X-Shopify-Access-Token"), s.config.Now()) {
		s.refuseToken(w, a)
		return
	}
	a.remove()
	s.tellUninstalled(a)
	writeRaw(w, http.StatusOK, `{}`)
}

// remove takes the app out of the shop: none of its tokens is good any more.
func (a *account) remove() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.app = installation{issued: a.app.issued, removed: true}
}

// expireTokens ends the app's access token before its time.
func (s *Server) expireTokens(a *account, _ *http.Request) (int, any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.app.expires = s.config.Now()
	return http.StatusNoContent, nil, nil
}

// deleteTokens is the shop's owner who removes the app.
func (s *Server) deleteTokens(a *account, _ *http.Request) (int, any, error) {
	a.remove()
	s.tellUninstalled(a)
	return http.StatusNoContent, nil, nil
}
