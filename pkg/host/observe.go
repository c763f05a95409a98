package host

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/clientaddr"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/telemetry"
)

// maxTimeout bounds what a caller may ask for by header.
const maxTimeout = 10 * time.Minute

// observe gives a request its id, deadline, span, metrics and log line, and turns a panic into a 500.
func (h *Host) observe(o *group.Operation) func(huma.Context, func(huma.Context)) {
	metrics := h.metrics.Route(o.Group, o.Module, o.Method, o.Path)
	attributes := trace.WithAttributes(
		attribute.String("tandem.group", string(o.Group)), attribute.String("tandem.module", o.Module),
		attribute.String("http.request.method", o.Method), attribute.String("http.route", o.Path))
	return func(hc huma.Context, next func(huma.Context)) {
		r, w := humamux.Unwrap(hc)
		began := h.now()
		metrics.Begin()

		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := h.tracer.Start(ctx, o.Route(), trace.WithSpanKind(trace.SpanKindServer), attributes)
		defer span.End()
		id := requestID(r, h.newID)
		w.Header().Set(call.HeaderRequestID, id)
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(w.Header()))
		r.Header.Set(clientaddr.Header, h.clientAddress(r)) // from here on it can be believed
		ctx = call.WithRequestID(ctx, id)
		ctx = audit.WithOrigin(ctx, audit.Origin{Address: r.Header.Get(clientaddr.Header), UserAgent: r.UserAgent()})
		if ms, err := strconv.ParseInt(r.Header.Get(call.HeaderTimeout), 10, 64); err == nil && ms > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, min(time.Duration(ms)*time.Millisecond, maxTimeout))
			defer cancel()
		}

		answer := &answer{humaContext: huma.WithContext(hc, ctx)}
		func() {
			defer func() {
				v := recover()
				if v == nil {
					return
				}
				// huma panics when the answer cannot be written because the caller has stopped waiting.
				if v != http.ErrAbortHandler && ctx.Err() == nil { //nolint:errorlint // panics with it are never wrapped
					h.log.ErrorContext(ctx, "panic", "route", o.Route(), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
				}
				if v == http.ErrAbortHandler || ctx.Err() != nil || answer.status != 0 { //nolint:errorlint // as above
					metrics.End(telemetry.Answer{Status: http.StatusInternalServerError, Code: problem.CodeInternal, Took: h.now().Sub(began), Span: span.SpanContext()})
					panic(http.ErrAbortHandler) //nolint:forbidigo // a half answer must not look like a whole one
				}
				writeProblem(answer, problem.Internal(fmt.Errorf("panic: %v", v)))
			}()
			next(answer)
		}()

		status, took := answer.Status(), h.now().Sub(began)
		metrics.End(telemetry.Answer{Status: status, Code: answer.code, Took: took, Span: span.SpanContext()})
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		level := slog.LevelDebug
		if status >= 500 {
			level = slog.LevelError
			span.SetStatus(codes.Error, http.StatusText(status))
		}
		if h.log.Enabled(ctx, level) {
			h.log.LogAttrs(ctx, level, "request", slog.String("route", o.Route()), slog.Int("status", status),
				slog.Duration("took", took), slog.String("cause", answer.cause))
		}
	}
}

// humaContext is embedded under a name that leaves room for the method Context.
type humaContext huma.Context

// answer remembers what was answered, for metrics and the log line.
type answer struct {
	humaContext
	status int
	code   string // of a problem
	cause  string
}

func (a *answer) SetStatus(status int) {
	if a.status != 0 {
		return // the status is out already; what is left can only end the body
	}
	a.status = status
	a.humaContext.SetStatus(status)
}

// SetReadDeadline does nothing: huma would set one of its own for the body, and leave it set (see boundBody).
func (a *answer) SetReadDeadline(time.Time) error { return nil }

// Status is what was answered; a stream that set none answered 200.
func (a *answer) Status() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

// Unwrap lets humamux find the request.
func (a *answer) Unwrap() huma.Context { return a.humaContext }

// requestID is the caller's id when it is one that can be logged as it is, else a new one.
func requestID(r *http.Request, newID func() string) string {
	id := r.Header.Get(call.HeaderRequestID)
	if len(id) == 0 || len(id) > 100 {
		return newID()
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return newID()
		}
	}
	return id
}

// writeProblem answers with p, marked with the request's trace, and leaves its cause for the log.
func writeProblem(hc huma.Context, p *problem.Problem) {
	p = finish(hc, p)
	for name, values := range p.GetHeaders() {
		hc.SetHeader(name, values[0])
	}
	hc.SetHeader("Content-Type", problem.ContentType)
	hc.SetStatus(p.Status)
	// The client may be gone; there is nobody left to tell.
	_ = json.NewEncoder(hc.BodyWriter()).Encode(p)
}

// finish gives p the request's trace id and hands its cause to the log line.
func finish(hc huma.Context, p *problem.Problem) *problem.Problem {
	marked := *p
	if span := trace.SpanContextFromContext(hc.Context()); span.IsValid() && marked.TraceID == "" {
		marked.TraceID = span.TraceID().String()
	}
	if a := answerOf(hc); a != nil {
		a.code, a.cause = p.Code, p.Error()
	}
	return &marked
}

// answerOf finds the answer that hc gives, which may be wrapped.
func answerOf(hc huma.Context) *answer {
	for hc != nil {
		if a, ok := hc.(*answer); ok {
			return a
		}
		u, ok := hc.(interface{ Unwrap() huma.Context })
		if !ok {
			return nil
		}
		hc = u.Unwrap()
	}
	return nil
}
