package telemetry

import (
	"context"
	"io"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/identity"
)

// NewLogger writes JSON lines with the trace, request and organization that the context belongs to.
func NewLogger(w io.Writer, level slog.Level, appID string) *slog.Logger {
	return slog.New(contextual{Handler: slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})}).With("app_id", appID)
}

// contextual gives each line what its context knows. Of two attributes with one name a line has the later one only, in the place of
// the first: what the line says goes before what With said, and both before the context.
type contextual struct {
	slog.Handler
	with []slog.Attr // of With, which Handler has not been told
}

func (h contextual) Handle(ctx context.Context, r slog.Record) error {
	attrs := fromContext(ctx)
	place := map[string]int{}
	for i, a := range attrs {
		place[a.Key] = i
	}
	add := func(a slog.Attr) bool {
		if i, there := place[a.Key]; there && a.Key != "" {
			attrs[i] = a
			return true
		}
		place[a.Key] = len(attrs)
		attrs = append(attrs, a)
		return true
	}
	for _, a := range h.with {
		add(a)
	}
	r.Attrs(add)
	line := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	line.AddAttrs(attrs...)
	return h.Handler.Handle(ctx, line)
}

func fromContext(ctx context.Context) (attrs []slog.Attr) {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		attrs = append(attrs, slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	if id := call.RequestID(ctx); id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	if organization := identity.Organization(ctx); organization != "" {
		attrs = append(attrs, slog.String("organization", organization))
	}
	return attrs
}

func (h contextual) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextual{h.Handler, slices.Concat(h.with, attrs)}
}

// WithGroup puts what follows into an object of its own, where names begin anew.
func (h contextual) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return contextual{h.Handler.WithAttrs(h.with).WithGroup(name), nil}
}
