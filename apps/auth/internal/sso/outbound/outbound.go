// Package outbound makes requests to addresses that customers typed. Such an address must not lead into the platform's
// own network: requests go to public addresses only, whatever a name resolves to at the moment of the connection, over
// TLS, and follow no redirects.
package outbound

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

const (
	timeout = 10 * time.Second // of a whole request
	// maxBody bounds the answers: discovery documents, key sets, tokens and metadata are far smaller.
	maxBody   = 1 << 20
	maxHeader = 64 << 10
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrURL says that a text is no URL that requests may go to.
	ErrURL = errors.New("want an https URL without credentials or fragment")
	// ErrAddress says that a name leads to an address that is not public.
	ErrAddress = errors.New("the address is not public")
	// ErrTooLarge says that an answer is longer than any that is waited for.
	ErrTooLarge = errors.New("the answer is too large")
)

// Policy says where requests may go.
type Policy struct {
	// AllowInsecure lets them go anywhere, without TLS: for development, where identity providers run on the same machine.
	AllowInsecure bool
}

// Check tells whether requests may go to a URL, as far as its text says: ErrURL.
func (p Policy) Check(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return ErrURL
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !p.AllowInsecure) {
		return ErrURL
	}
	return nil
}

// Client makes the requests. Its errors wrap ErrURL, ErrAddress and ErrTooLarge.
func (p Policy) Client() *http.Client {
	dialer := &net.Dialer{Timeout: timeout, Control: p.control}
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: guard{p, &http.Transport{
			// Through a proxy the check would see the proxy's address only.
			Proxy: nil, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: timeout, MaxResponseHeaderBytes: maxHeader, IdleConnTimeout: 30 * time.Second, MaxIdleConnsPerHost: 2,
		}},
	}
}

// control looks at the address after it was resolved, so that a name cannot change its mind between check and use.
func (p Policy) control(_, address string, _ syscall.RawConn) error {
	if p.AllowInsecure {
		return nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrAddress, address)
	}
	if !public(at.Addr()) {
		return fmt.Errorf("%w: %s", ErrAddress, at.Addr())
	}
	return nil
}

// special are the prefixes that lead to no host of the public internet, or to one that the address hides (IANA's registries
// of special-purpose addresses, RFC 6890), beside those that net/netip knows.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

// globalIPv6 is all that has been given out so far; mapped, translated and local addresses are outside it.
var globalIPv6 = netip.MustParsePrefix("2000::/3")

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

func public(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && a.Zone() == "" && (a.Is4() || globalIPv6.Contains(a)) &&
		!slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// guard refuses URLs that no request may go to, and bounds the answers.
type guard struct {
	policy Policy
	next   http.RoundTripper
}

func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := g.policy.Check(r.URL.String()); err != nil {
		return nil, err
	}
	answer, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = &bounded{answer.Body, maxBody}
	return answer, nil
}

// bounded fails where a body is longer than left; one that is cut could read as another one.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}
