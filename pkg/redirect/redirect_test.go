package redirect_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/redirect"
)

func TestTheCookieBindsOneFlow(t *testing.T) {
	for _, secure := range []bool{true, false} {
		f := redirect.Flow{Name: "tandem_test", Life: 10 * time.Minute, Secure: secure}
		c := f.Cookie("state", "secret")
		if c.Secure != secure || strings.HasPrefix(c.Name, "__Host-") != secure || !strings.Contains(c.Name, "tandem_test_") || strings.Contains(c.Name, "state") {
			t.Errorf("secure %t: %s", secure, c)
		}
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 600 || c.Valid() != nil {
			t.Errorf("%s", c)
		}
		for header, want := range map[string]string{
			"a=b; " + c.Name + "=secret; c=d":      "secret",
			c.Name + "=":                           "",
			"a=b":                                  "",
			"":                                     "",
			`prefs={"a":1}; ` + c.Name + "=secret": "secret", // another site's, against the standard
			"=;;":                                  "",
			f.CookieName("another") + "=x":         "",
		} {
			if got := f.Secret(header, "state"); got != want {
				t.Errorf("Cookie: %s: %q; want %q", header, got, want)
			}
		}
	}
}

func TestWhereBrowsersMayGo(t *testing.T) {
	for to, want := range map[string]bool{
		"https://app.example.com/done?x=1": true, "https://app.example.com": true, "https://APP.example.com/x": true, "http://localhost:8000/x": true,
		"https://app.example.com.evil.example/": false, "https://app.example.com@evil.example/": false, "https://evil.example/": false,
		"http://app.example.com/": false, "https://app.example.com:8443/": false, "http://localhost:8001/": false, "//app.example.com/": false,
		"/done": false, "": false, "javascript:alert(1)": false, "https://user@app.example.com/": false, `https://app.example.com\@evil.example/`: false,
		"https://app.example.com/#x": false, "https://app.example.com/\nx": false, `https://app.example.com/a\b`: false,
	} {
		if got := redirect.Allowed(to, "https://app.example.com", "http://localhost:8000"); got != want {
			t.Errorf("%q: %t", to, got)
		}
	}
	if redirect.Allowed("/x", "") || redirect.Allowed("https://app.example.com/") {
		t.Error("it goes where nothing is allowed")
	}
}

func TestOrigin(t *testing.T) {
	for text, want := range map[string]string{
		"https://App.example.com/x?y": "https://app.example.com", "http://localhost:8000": "http://localhost:8000",
		"ftp://app.example.com": "", "https://u@app.example.com": "", "/x": "", "https:///x": "",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := redirect.Origin(u); got != want {
			t.Errorf("%s: %q; want %q", text, got, want)
		}
	}
}

func TestWith(t *testing.T) {
	for text, want := range map[string]string{
		"https://a.example/x":        "https://a.example/x?code=a+b%26c",
		"https://a.example/x?t=1":    "https://a.example/x?code=a+b%26c&t=1",
		"https://a.example/x?code=1": "https://a.example/x?code=a+b%26c",
		"://":                        "://",
	} {
		if got := redirect.With(text, "code", "a b&c"); got != want {
			t.Errorf("%s: %s; want %s", text, got, want)
		}
	}
}
