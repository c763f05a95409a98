// Package redirect is the browser's half of a flow that sends somebody to another site and back: a cookie that binds the flow to the
// browser that began it, and the pages to which it may go on in the end (RFC 6749, sections 10.12 and 10.15).
package redirect

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Flow is a kind of flow.
type Flow struct {
	// Name tells its cookies from those of other kinds, e.g. "tandem_sso".
	Name string
	// Life is how long somebody has to come back.
	Life time.Duration
	// Secure says that the flow begins and ends on https.
	Secure bool
}

// CookieName is one for each state, so that two tabs do not take each other's. It does not give the state away.
func (f Flow) CookieName(state string) string {
	sum := sha256.Sum256([]byte(state))
	name := f.Name + "_" + hex.EncodeToString(sum[:8])
	if f.Secure {
		return "__Host-" + name
	}
	return name
}

// Cookie gives the browser the secret that binds the flow with a state to it. It comes back with a link from another site, and with
// no other request from one.
func (f Flow) Cookie(state, secret string) *http.Cookie {
	return &http.Cookie{
		Name: f.CookieName(state), Value: secret, Path: "/", MaxAge: int(f.Life / time.Second),
		HttpOnly: true, Secure: f.Secure, SameSite: http.SameSiteLaxMode,
	}
}

// Secret is what a Cookie header has for a state, "" where it has nothing.
func (f Flow) Secret(header, state string) string {
	// A request leaves out what others have set against the standard; http.ParseCookie refuses all cookies then.
	r := http.Request{Header: http.Header{"Cookie": {header}}}
	for _, c := range r.CookiesNamed(f.CookieName(state)) {
		return c.Value
	}
	return ""
}

// Origin is a URL's origin (RFC 6454, section 4), or "" where it has none that browsers could be sent to.
func Origin(u *url.URL) string {
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}

// Allowed tells whether a browser may be sent to a URL: a page of one of the origins. Browsers take a backslash for a slash, and what
// comes back as a parameter must not end up in a fragment.
func Allowed(text string, origins ...string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" || strings.Contains(text, `\`) {
		return false
	}
	origin := Origin(u)
	return origin != "" && slices.Contains(origins, origin)
}

// With is a URL with one more query parameter.
func With(text, name, value string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text // Allowed has refused it
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}
