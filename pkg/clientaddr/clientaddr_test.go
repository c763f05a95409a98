package clientaddr_test

import (
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/tandemhq/tandem/pkg/clientaddr"
)

func TestOf(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct {
		remote, header, want string
	}{
		{"203.0.113.9:5000", "", "203.0.113.9"},
		{"203.0.113.9:5000", "6.6.6.6", "203.0.113.9"}, // a client writes what it likes
		{"10.0.0.1:5000", "203.0.113.9", "203.0.113.9"},
		{"10.0.0.1:5000", "6.6.6.6, 203.0.113.9", "203.0.113.9"},
		{"10.0.0.1:5000", "203.0.113.9, 10.0.0.2", "203.0.113.9"},
		{"10.0.0.1:5000", "10.0.0.3, 10.0.0.2", "10.0.0.3"}, // all of it inside
		{"10.0.0.1:5000", "", "10.0.0.1"},
		{"[::ffff:10.0.0.1]:5000", "203.0.113.9", "203.0.113.9"},
		{"10.0.0.1:5000", "rubbish", "rubbish"},
		{"pipe", "203.0.113.9", "pipe"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		if c.header != "" {
			r.Header.Set(clientaddr.Header, c.header)
		}
		if got := clientaddr.Of(r, trusted); got != c.want {
			t.Errorf("from %s with %q: %s, want %s", c.remote, c.header, got, c.want)
		}
	}
}
