package call

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Dapr reaches groups by service invocation through this process's sidecar. The HTTP API keeps status,
// headers and streams; the SDK's invoke keeps none of them.
type Dapr struct {
	// Sidecar is the base URL of the sidecar's HTTP API, e.g. http://127.0.0.1:3500.
	Sidecar *url.URL
	// Token opens the sidecar's API; empty when it is open.
	Token string
	// Home is the app-id that hosts a group now.
	Home func(topology.Group) (string, error)
	HTTP *http.Client
}

// Name is "dapr".
func (d *Dapr) Name() string { return "dapr" }

// Do sends r to the app-id that hosts the group. What the sidecar says in the callee's stead comes
// back as a problem: unavailable or timeout.
func (d *Dapr) Do(r *http.Request, to topology.Group) (*http.Response, error) {
	if err := d.Address(r, to); err != nil {
		return nil, Unanswered(to, problem.CodeUnavailable, err)
	}
	resp, err := d.HTTP.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.Header.Get(HeaderServedBy) == "" && resp.StatusCode >= 400 {
		return nil, Refusal(resp, to)
	}
	return resp, nil
}

// Address points r at the sidecar, to be invoked on the group's home. The path stays as it came,
// escapes included.
func (d *Dapr) Address(r *http.Request, to topology.Group) error {
	home, err := d.Home(to)
	if err != nil {
		return err
	}
	prefix := "/v1.0/invoke/" + home + "/method"
	target := *d.Sidecar
	target.Path, target.RawPath = prefix+r.URL.Path, prefix+r.URL.EscapedPath()
	target.RawQuery = r.URL.RawQuery
	r.URL, r.Host = &target, target.Host
	if d.Token != "" {
		r.Header.Set("dapr-api-token", d.Token)
	}
	return nil
}

// Refusal is what the sidecar answered in the callee's stead, as a problem. It closes the body.
func Refusal(resp *http.Response, to topology.Group) *problem.Problem {
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what there is of it explains the refusal
	var refusal struct {
		ErrorCode string `json:"errorCode"`
		Message   string `json:"message"`
	}
	_ = json.Unmarshal(body, &refusal) // a body in another form is quoted as it is
	cause := errors.New("sidecar: " + resp.Status + ": " + string(body))
	switch {
	case strings.Contains(refusal.Message, "deadline exceeded"), strings.Contains(refusal.Message, "timeout"):
		return Unanswered(to, problem.CodeTimeout, cause)
	default:
		return Unanswered(to, problem.CodeUnavailable, cause)
	}
}

// NewHTTPClient is a client for the sidecar: connections are kept, nothing is redirected, and only the
// context of a request bounds it, because streams may last.
func NewHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
			MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
