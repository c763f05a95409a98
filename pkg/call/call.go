// Package call is the one way from a group to another: typed requests over Dapr service invocation,
// or in process where the run configuration says so and the callee is hosted here. Both routes go
// through the callee's whole handler stack and answer with the same problems; they differ in cost only.
package call

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Headers that travel with a call.
const (
	// HeaderRequestID names a request across all hops.
	HeaderRequestID = "X-Request-Id"
	// HeaderTimeout is what is left of the caller's deadline, in whole milliseconds. It is a duration
	// and not an instant, because clocks differ.
	HeaderTimeout = "Tandem-Timeout"
	// HeaderServedBy is the app-id that answered; an answer without it came from a sidecar.
	HeaderServedBy = "Tandem-Served-By"
	// HeaderIdempotencyKey lets a creating POST be repeated.
	HeaderIdempotencyKey = "Idempotency-Key"
)

// DefaultTimeout bounds a call whose context has no deadline.
const DefaultTimeout = 10 * time.Second

const (
	attempts  = 3 // of an idempotent call that did not reach its callee
	firstWait = 50 * time.Millisecond
	maxAnswer = 32 << 20 // bytes of a typed answer
)

// Route carries a request to a group and brings its answer. An error means that no answer came; it
// does not mean that the call never ran.
type Route interface {
	// Name labels the route in metrics: "dapr" or "direct".
	Name() string
	// Do sends r, whose URL has only path and query, to the group.
	Do(r *http.Request, to topology.Group) (*http.Response, error)
}

// Config is what a Client needs.
type Config struct {
	// From is the group that calls.
	From topology.Group
	// Declared are the groups that From may call.
	Declared []topology.Group
	// Route picks how a group is reached now.
	Route func(to topology.Group) Route
	// GroupSecret signs the calls that the group makes on its own behalf.
	GroupSecret []byte
	// Observe is told of every attempt, for metrics.
	Observe func(from, to topology.Group, route, code string, took time.Duration)
	Tracer  trace.Tracer
	Now     func() time.Time
}

// Client makes a group's calls. It is safe for concurrent use.
type Client struct {
	c        Config
	circuits circuits
}

// New is a client for the group c.From.
func New(c Config) *Client { return &Client{c: c} }

// Request is one call.
type Request struct {
	To     topology.Group
	Method string
	// Path begins with /api/<group>; its variable parts are escaped by the caller (url.PathEscape).
	Path  string
	Query url.Values
	// Body is sent as JSON when it is not nil.
	Body any
	// IdempotencyKey makes a POST repeatable, and so retried when it got no answer.
	IdempotencyKey string
	// AsGroup makes the call on the group's own behalf even when a user waits for it.
	AsGroup bool
}

// Do makes the call and reads its answer into Out. Errors are problems: the callee's own, or
// unavailable, timeout, circuit_open, bad_upstream_answer, undeclared_call. An error does not mean
// that the call never ran.
func Do[Out any](ctx context.Context, c *Client, r Request) (*Out, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultTimeout)
		defer cancel()
	}
	resp, err := c.Send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out := new(Out)
	if resp.StatusCode == http.StatusNoContent {
		return out, nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err() // the callee ended because the caller left
		}
		return nil, c.unanswered(ctx, r.To, problem.CodeBadAnswer, err)
	}
	return out, nil
}

// Send makes the call and hands over the answer unread, for downloads and streams. The caller closes
// its body; cancelling ctx ends the callee's work. Errors as in Do.
func (c *Client) Send(ctx context.Context, r Request) (*http.Response, error) {
	if !slices.Contains(c.c.Declared, r.To) {
		return nil, problem.Newf(http.StatusInternalServerError, problem.CodeUndeclaredCall,
			"group %s calls %s without declaring it; add %s to Calls in apps/%s/group.go", c.c.From, r.To, r.To, c.c.From)
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = json.Marshal(r.Body); err != nil {
			return nil, fmt.Errorf("encode the body of %s %s: %w", r.Method, r.Path, err)
		}
	}
	authorization, err := c.authorization(ctx, r)
	if err != nil {
		return nil, err
	}
	repeatable := r.IdempotencyKey != "" || slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete}, r.Method)
	wait := firstWait
	for attempt := 1; ; attempt++ {
		resp, err := c.attempt(ctx, r, body, authorization)
		if err == nil || !repeatable || attempt == attempts || !worthRepeating(err) {
			return resp, err
		}
		select {
		case <-time.After(wait + rand.N(wait)):
			wait *= 4
		case <-ctx.Done():
			return nil, err
		}
	}
}

// worthRepeating are the failures to reach the callee. An open circuit is not: repeating does harm.
func worthRepeating(err error) bool {
	var p *problem.Problem
	return errors.As(err, &p) && p.Code == problem.CodeUnavailable && p.RetryAfter() == 0
}

func (c *Client) attempt(ctx context.Context, r Request, body []byte, authorization string) (*http.Response, error) {
	route := c.c.Route(r.To)
	ctx, span := c.c.Tracer.Start(ctx, "call "+string(r.To), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("tandem.from", string(c.c.From)), attribute.String("tandem.to", string(r.To)),
		attribute.String("tandem.route", route.Name()), attribute.String("http.request.method", r.Method)))
	defer span.End()
	began := c.c.Now()

	resp, err := c.circuits.through(r.To, func() (*http.Response, error) {
		return c.exchange(ctx, route, r, body, authorization)
	})

	code := "ok"
	if err != nil {
		code = problem.From(err).Code
		span.SetStatus(codes.Error, code)
	}
	c.c.Observe(c.c.From, r.To, route.Name(), code, c.c.Now().Sub(began))
	return resp, err
}

func (c *Client) exchange(ctx context.Context, route Route, r Request, body []byte, authorization string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, (&url.URL{Path: "/"}).String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	if req.URL, err = url.Parse(r.Path); err != nil {
		return nil, fmt.Errorf("path %q: %w", r.Path, err)
	}
	if !PlainPath(req.URL) { // no route has it, and on the way it would become another
		return nil, problem.Newf(http.StatusNotFound, problem.CodeNoRoute, "there is no %s %q", r.Method, r.Path)
	}
	req.URL.RawQuery = r.Query.Encode()
	h := req.Header
	h.Set("Authorization", authorization)
	h.Set("Accept", "application/json")
	if body != nil {
		h.Set("Content-Type", "application/json")
	}
	if r.IdempotencyKey != "" {
		h.Set(HeaderIdempotencyKey, r.IdempotencyKey)
	}
	if id := RequestID(ctx); id != "" {
		h.Set(HeaderRequestID, id)
	}
	if deadline, ok := ctx.Deadline(); ok {
		// A context's deadline is one of the machine's clock, whatever clock the process goes by.
		h.Set(HeaderTimeout, strconv.FormatInt(max(1, time.Until(deadline).Milliseconds()), 10))
	}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))

	resp, err := route.Do(req, r.To)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return nil, ctx.Err()
	case err != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded)):
		return nil, c.unanswered(ctx, r.To, problem.CodeTimeout, err)
	case problem.Code(err) != "":
		return nil, err
	case err != nil:
		return nil, c.unanswered(ctx, r.To, problem.CodeUnavailable, err)
	case resp.StatusCode < 400:
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, problem.Read(resp)
}

// authorization is the caller's own token, or the group's when nobody waits for the call.
func (c *Client) authorization(ctx context.Context, r Request) (string, error) {
	p, _ := identity.From(ctx)
	if p.Token != "" && p.Group == "" && !r.AsGroup {
		return "Bearer " + p.Token, nil
	}
	token, err := identity.SignGroup(c.c.From, p.Organization, c.c.GroupSecret, c.c.Now())
	if err != nil {
		return "", fmt.Errorf("sign the call of %s to %s: %w", c.c.From, r.To, err)
	}
	return "Bearer " + token, nil
}

func (c *Client) unanswered(ctx context.Context, to topology.Group, code string, cause error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = problem.CodeTimeout
	}
	return Unanswered(to, code, cause)
}

// Unanswered is the problem of a call that brought no answer of the callee: 504 for timeout, 502 for
// an answer that cannot be read, else 503.
func Unanswered(to topology.Group, code string, cause error) *problem.Problem {
	cause = unanswered{cause}
	switch code {
	case problem.CodeTimeout:
		return problem.Newf(http.StatusGatewayTimeout, code, "%s did not answer in time", to).Wrap(cause)
	case problem.CodeBadAnswer:
		return problem.Newf(http.StatusBadGateway, code, "%s answered in an unexpected form", to).Wrap(cause)
	case problem.CodeCircuitOpen:
		return problem.Newf(http.StatusServiceUnavailable, code, "%s failed too often and is given a rest", to).After(5 * time.Second).Wrap(cause)
	default:
		return problem.Newf(http.StatusServiceUnavailable, problem.CodeUnavailable, "%s cannot be reached", to).Wrap(cause)
	}
}

// unanswered marks a failure of the way to a callee, which its own answers never are.
type unanswered struct{ error }

func (u unanswered) Unwrap() error { return u.error }

type requestIDKey struct{}

// WithRequestID is ctx with the id that names the request across all hops.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID is the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
