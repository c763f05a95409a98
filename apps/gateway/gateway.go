// Package gateway is the public edge: it forwards /api/<group>/… to whichever app-id hosts the group
// now, so that clients keep one base URL in every topology. Streams, downloads and cancellation go
// through it as they are.
package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/clientaddr"
	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/telemetry"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Config is what a Gateway needs.
type Config struct {
	// AppID is this process's own.
	AppID string
	// Dapr reaches the groups that this process does not host.
	Dapr *call.Dapr
	// MaxBody is the largest request body in bytes; a larger one is answered 413 here, because a
	// sidecar would break the connection.
	MaxBody int64
	// TrustedProxies are the load balancers in front, whose word on the client's address counts.
	TrustedProxies []netip.Prefix
	Metrics        *telemetry.Metrics
	Tracer         trace.Tracer
	Log            *slog.Logger
	NewID          func() string
}

// Gateway forwards requests. It is safe for concurrent use.
type Gateway struct {
	c     Config
	proxy *httputil.ReverseProxy
}

type (
	groupKey struct{}
	bodyKey  struct{}
)

// boundedBody remembers that a body was too large: the sidecar, whose request breaks off, answers
// before the transport says so.
type boundedBody struct {
	io.ReadCloser
	exceeded atomic.Bool
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.As(err, new(*http.MaxBytesError)) {
		b.exceeded.Store(true)
	}
	return n, err
}

// errTooLarge ends an answer that a sidecar gave to a body that broke off.
var errTooLarge = errors.New("the body is too large")

// forwardedBy lists the gateways that a request has passed, so that a circle is noticed.
const forwardedBy = "Tandem-Forwarded-By"

// observed remembers the status of an answer. Unwrap keeps streams and deadlines working.
type observed struct {
	http.ResponseWriter
	status int
	code   string // of the problem that the gateway itself answered
}

// refuse answers a problem in the group's stead.
func refuse(w http.ResponseWriter, p *problem.Problem) {
	if o, ok := w.(*observed); ok {
		o.code = p.Code
	}
	problem.Write(w, p)
}

func (o *observed) WriteHeader(status int) {
	if status >= http.StatusOK {
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// New makes a gateway.
func New(c Config) *Gateway {
	g := &Gateway{c: c}
	g.proxy = &httputil.ReverseProxy{
		Rewrite:        g.rewrite,
		Transport:      c.Dapr.HTTP.Transport,
		FlushInterval:  -1, // streams are passed on as they come
		ModifyResponse: g.inspect,
		ErrorHandler:   g.failed,
	}
	return g
}

// Forward sends the request to the home of group.
func (g *Gateway) Forward(w http.ResponseWriter, r *http.Request, group topology.Group) {
	metrics := g.c.Metrics.Route(group, "gateway", r.Method, "/api/"+string(group)+"/…")
	answer := &observed{ResponseWriter: w, status: http.StatusOK}
	w = answer
	metrics.Begin()
	defer func(began time.Time) {
		metrics.End(telemetry.Answer{Status: answer.status, Code: answer.code, Took: time.Since(began)})
	}(time.Now())

	if home, err := g.c.Dapr.Home(group); err == nil && home == g.c.AppID || slices.Contains(r.Header.Values(forwardedBy), g.c.AppID) {
		// Two edges send it to each other, or this one to itself: their topologies differ.
		refuse(w, problem.Newf(http.StatusLoopDetected, "forward_loop", "%s should host %s and does not, or a gateway thinks so", home, group))
		return
	}
	if r.ContentLength > g.c.MaxBody {
		tooLarge(w, g.c.MaxBody)
		return
	}
	body := &boundedBody{ReadCloser: http.MaxBytesReader(w, r.Body, g.c.MaxBody)}
	r.Body = body
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := g.c.Tracer.Start(ctx, "gateway "+string(group), trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	w.Header().Del(call.HeaderServedBy) // the home says that it answered
	g.proxy.ServeHTTP(w, r.WithContext(context.WithValue(context.WithValue(ctx, groupKey{}, group), bodyKey{}, body)))
}

func (g *Gateway) rewrite(p *httputil.ProxyRequest) {
	group, _ := p.In.Context().Value(groupKey{}).(topology.Group)
	// The edge alone knows where a request comes from; what the client says of it counts for nothing.
	p.SetXForwarded()
	p.Out.Header.Set(clientaddr.Header, clientaddr.Of(p.In, g.c.TrustedProxies))
	for _, name := range []string{"dapr-api-token", "dapr-app-id", call.HeaderTimeout} {
		p.Out.Header.Del(name)
	}
	p.Out.Header.Add(forwardedBy, g.c.AppID)
	if p.Out.Header.Get(call.HeaderRequestID) == "" {
		p.Out.Header.Set(call.HeaderRequestID, g.c.NewID())
	}
	propagation.TraceContext{}.Inject(p.In.Context(), propagation.HeaderCarrier(p.Out.Header))
	if err := g.c.Dapr.Address(p.Out, group); err != nil {
		// The transport refuses a URL without a host, which ends in failed with this as its cause.
		p.Out.URL = &url.URL{Scheme: "http", Opaque: err.Error()}
	}
}

// inspect turns what the sidecar says in the group's stead into a problem.
func (g *Gateway) inspect(resp *http.Response) error {
	if body, _ := resp.Request.Context().Value(bodyKey{}).(*boundedBody); body != nil && body.exceeded.Load() {
		return errTooLarge
	}
	if resp.Header.Get(call.HeaderServedBy) != "" || resp.StatusCode < 400 {
		return nil
	}
	group, _ := resp.Request.Context().Value(groupKey{}).(topology.Group)
	return call.Refusal(resp, group)
}

func (g *Gateway) failed(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem.Problem
	group, _ := r.Context().Value(groupKey{}).(topology.Group)
	switch {
	case errors.Is(err, errTooLarge), errors.As(err, new(*http.MaxBytesError)):
		tooLarge(w, g.c.MaxBody)
		return
	case errors.Is(r.Context().Err(), context.Canceled):
		return // the client left; there is nobody to answer
	case errors.As(err, &p):
	default:
		p = call.Unanswered(group, problem.CodeUnavailable, err)
	}
	if span := trace.SpanContextFromContext(r.Context()); span.IsValid() {
		p.TraceID = span.TraceID().String()
	}
	g.c.Log.WarnContext(r.Context(), "forward", "group", group, "path", r.URL.Path, "error", p.Error())
	refuse(w, p)
}

func tooLarge(w http.ResponseWriter, limit int64) {
	w.Header().Set("Connection", "close") // what is left of the body is not read
	refuse(w, problem.Newf(http.StatusRequestEntityTooLarge, problem.CodeTooLarge, "the body is larger than %d bytes", limit))
}

// Document fetches a group's OpenAPI document from its home.
func (g *Gateway) Document(ctx context.Context, group topology.Group) (host.Document, error) {
	var d host.Document
	return d, g.get(ctx, group, "/api/"+string(group)+"/openapi.json", &d)
}

// Ready asks the group's home whether it is ready.
func (g *Gateway) Ready(ctx context.Context, group topology.Group) (host.Health, error) {
	var h host.Health
	return h, g.get(ctx, group, "/api/"+string(group)+"/readyz", &h)
}

func (g *Gateway) get(ctx context.Context, group topology.Group, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, call.DefaultTimeout/2)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	resp, err := g.c.Dapr.Do(r, group)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("read %s of %s: %w", path, group, err)
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return fmt.Errorf("%s of %s: status %d, %.100q", path, group, resp.StatusCode, body)
	}
	return json.Unmarshal(body, into)
}
