package telemetry

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// TraceConfig says where spans go.
type TraceConfig struct {
	// Endpoint is an OTLP/HTTP collector, e.g. http://127.0.0.1:4318; empty keeps spans in the process,
	// where they still give logs and calls their trace id.
	Endpoint string
	// Ratio of new traces that are recorded, 0 to 1; a trace begun elsewhere follows its beginner.
	Ratio float64
	// AppID names the process in its spans.
	AppID   string
	Version string
}

// NewTracerProvider makes the provider of the process's spans. Its Shutdown sends what is left.
func NewTracerProvider(ctx context.Context, c TraceConfig) (*trace.TracerProvider, error) {
	options := []trace.TracerProviderOption{
		trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(c.Ratio))),
		trace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", c.AppID),
			attribute.String("service.namespace", "tandem"),
			attribute.String("service.version", c.Version))),
	}
	if c.Endpoint != "" {
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(c.Endpoint))
		if err != nil {
			return nil, fmt.Errorf("OTLP exporter for %s: %w", c.Endpoint, err)
		}
		options = append(options, trace.WithBatcher(exporter))
	}
	return trace.NewTracerProvider(options...), nil
}
