// Package endpoint calls hosts outside by way of the sidecar: as Dapr's HTTPEndpoint resources, to which its resiliency policies apply and
// which its metrics count.
//
// What Dapr 1.18.1 does with such a call, read in its source and tried: method, query, body, status and all headers but those of the hop are
// passed as they are, Authorization too, dapr-api-token not; answers are streamed; an answer of 4xx or 5xx is passed whole and counts as a
// failure for a circuit breaker. Paths are decoded and cleaned, so that a slash at the end is lost. Redirects are followed. A call by the
// address of a host instead of the name of a resource would send the host the app's own token, and is not made.
package endpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/tandemhq/tandem/pkg/secrets"
)

// Name is that of a host's resource. It has no dots, behind which Dapr takes a name for a namespace.
func Name(host string) string { return "endpoint-" + strings.ReplaceAll(host, ".", "-") }

// Sidecar is where the sidecar is. Its zero value is none.
type Sidecar struct {
	// URL is its HTTP API's: http://127.0.0.1:3500.
	URL string
	// Token opens it; empty where it is open.
	Token secrets.Secret
}

// Transport sends requests to some hosts by way of the sidecar, and all others by another transport, which also reaches the sidecar.
type Transport struct {
	http.RoundTripper
	sidecar   *url.URL
	token     secrets.Secret
	addresses []address
}

// address is where a host is, as its resource has it.
type address struct {
	base *url.URL
	name string
}

// NewTransport sends requests below the base URLs of hosts by way of the sidecar; base tells that of a host, which its resource has.
func NewTransport(direct http.RoundTripper, s Sidecar, hosts []string, base func(host string) string) (*Transport, error) {
	sidecar, err := url.Parse(s.URL)
	if err != nil || sidecar.Host == "" {
		return nil, fmt.Errorf("the sidecar's address %q is none", s.URL)
	}
	t := &Transport{RoundTripper: direct, sidecar: sidecar, token: s.Token}
	for _, host := range hosts {
		of, err := url.Parse(base(host))
		if err != nil || of.Host == "" {
			return nil, fmt.Errorf("the address %q of %s is none", base(host), host)
		}
		t.addresses = append(t.addresses, address{of, Name(host)})
	}
	return t, nil
}

// RoundTrip implements http.RoundTripper. That the sidecar could not reach the host is an error, as it is without one.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, a := range t.addresses {
		rest, below := strings.CutPrefix(r.URL.Path, a.base.Path)
		if !below || r.URL.Scheme != a.base.Scheme || r.URL.Host != a.base.Host || !strings.HasPrefix(rest, "/") {
			continue
		}
		if path.Clean(rest) != rest || r.URL.EscapedPath() != r.URL.Path {
			break // the host would get another path
		}
		return t.invoke(r, a.name, rest)
	}
	return t.RoundTripper.RoundTrip(r)
}

func (t *Transport) invoke(r *http.Request, name, rest string) (*http.Response, error) {
	through := r.Clone(r.Context())
	to := *t.sidecar
	to.Path, to.RawQuery = "/v1.0/invoke/"+name+"/method"+rest, r.URL.RawQuery
	through.URL, through.Host = &to, ""
	if !t.token.Empty() {
		through.Header.Set("dapr-api-token", t.token.Reveal())
	}
	resp, err := t.RoundTripper.RoundTrip(through)
	if err != nil {
		return nil, fmt.Errorf("call the sidecar: %w", err)
	}
	resp.Request = r
	if resp.StatusCode < http.StatusInternalServerError {
		return resp, nil
	}
	return own(resp, name)
}

// mostOwn is more bytes than an error of the sidecar has.
const mostOwn = 16 << 10

// own tells an error of the sidecar from one of the host, which is passed on. Its text has the address with the query, in which there may
// be secrets, so only its code is told.
func own(resp *http.Response, name string) (*http.Response, error) {
	begin, err := io.ReadAll(io.LimitReader(resp.Body, mostOwn))
	var said struct {
		Code string `json:"errorCode"`
	}
	if err == nil && len(begin) < mostOwn && json.Unmarshal(begin, &said) == nil && strings.HasPrefix(said.Code, "ERR_") {
		resp.Body.Close()
		return nil, fmt.Errorf("the sidecar did not reach %s: %.60s", name, said.Code)
	}
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = failed{err}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), rest), resp.Body}
	return resp, nil
}

// failed is a body that cannot be read on.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }
