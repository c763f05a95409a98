package outbound

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestPublicAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "93.184.216.34": true, "2606:4700::1111": true, "2a00:1450:4001::1": true,

		"127.0.0.1": false, "127.8.8.8": false, "0.0.0.0": false, "0.1.2.3": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "192.0.0.8": false, "192.0.2.1": false, "198.18.0.1": false,
		"198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false, "192.88.99.1": false,

		"::": false, "::1": false, "fe80::1": false, "fec0::1": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false, "::ffff:8.8.8.8": true,
		"64:ff9b::a9fe:a9fe": false, "64:ff9b:1::1": false, "2002:7f00:1::": false, "2001::1": false, "2001:db8::1": false, "100::1": false, "fe80::1%eth0": false,
	} {
		if got := public(netip.MustParseAddr(address)); got != want {
			t.Errorf("public(%s) = %t", address, got)
		}
	}
}

func TestCheck(t *testing.T) {
	for text, want := range map[string]struct{ secure, insecure bool }{
		"https://id.example.com":                      {true, true},
		"https://id.example.com:8443/realms/acme?x=1": {true, true},
		"http://id.example.com":                       {false, true},
		"ftp://id.example.com":                        {false, false},
		"file:///etc/passwd":                          {false, false},
		"javascript:alert(1)":                         {false, false},
		"//id.example.com":                            {false, false},
		"id.example.com":                              {false, false},
		"https://":                                    {false, false},
		"https://user:password@id.example.com":        {false, false},
		"https://id.example.com/#fragment":            {false, false},
		"https://id.example.com\r\nX-Injected: 1":     {false, false},
		"https:id.example.com":                        {false, false},
		"https://[::1":                                {false, false},
		"HTTPS://id.example.com/.well-known/openid":   {true, true},
	} {
		if got := (Policy{}).Check(text) == nil; got != want.secure {
			t.Errorf("Check(%q) = %t", text, got)
		}
		if got := (Policy{AllowInsecure: true}).Check(text) == nil; got != want.insecure {
			t.Errorf("insecure Check(%q) = %t", text, got)
		}
	}
}

func get(t *testing.T, c *http.Client, url string) (int, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}

// A server that only this machine should reach is not reached, by address or by name.
func TestThePlatformsOwnNetworkIsOutOfReach(t *testing.T) {
	reached := false
	own := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer own.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(own.URL, "https://"), ":")
	for _, url := range []string{own.URL, "https://localhost:" + port, "https://[::1]:" + port, "https://0.0.0.0:" + port, "https://2130706433:" + port,
		"https://[::ffff:127.0.0.1]:" + port, "https://169.254.169.254/latest/meta-data"} {
		if _, _, err := get(t, Policy{}.Client(), url); err == nil {
			t.Errorf("%s was reached", url)
		} else if !errors.Is(err, ErrAddress) && !strings.Contains(err.Error(), "lookup 2130706433") {
			t.Errorf("%s: %v; want %v", url, err, ErrAddress)
		}
	}
	if reached {
		t.Error("a request arrived")
	}
	if _, _, err := get(t, Policy{}.Client(), strings.Replace(own.URL, "https", "http", 1)); !errors.Is(err, ErrURL) {
		t.Errorf("without TLS: %v; want %v", err, ErrURL)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	followed := false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if followed = r.URL.Path != "/"; !followed {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}
	}))
	defer s.Close()
	status, _, err := get(t, Policy{AllowInsecure: true}.Client(), s.URL)
	if err != nil || status != http.StatusFound || followed {
		t.Errorf("%d, %v, followed %t; want the redirect itself", status, err, followed)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	size := maxBody
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), size)) }))
	defer s.Close()
	c := Policy{AllowInsecure: true}.Client()
	if _, body, err := get(t, c, s.URL); err != nil || len(body) != maxBody {
		t.Errorf("%d bytes, %v; want all %d", len(body), err, maxBody)
	}
	size++
	if _, body, err := get(t, c, s.URL); !errors.Is(err, ErrTooLarge) || len(body) != maxBody {
		t.Errorf("%d bytes, %v; want %v", len(body), err, ErrTooLarge)
	}
}
