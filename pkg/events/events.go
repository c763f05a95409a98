// Package events carries what happened in one group to the groups that care, as CloudEvents 1.0, at least once.
//
// A group declares a Topic in its api package and makes a message of what happened with Topic.Message; the message is
// stored with the change it tells of (see package store) and a Relay publishes it. A group that cares declares
// On(topic, handler); its Consumer gets each event, remembers the ids it has handled, so that a duplicate has no effect,
// parks and tries again what fails, and puts away as a dead letter what it cannot handle.
package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// ContentType is the media type of an event on the wire (CloudEvents 1.0, JSON format).
const ContentType = "application/cloudevents+json"

// Topic names a stream of events whose data is a T.
type Topic[T any] struct {
	// Name is the event's type: lower-case words separated by dots, the first of them the group that publishes, such
	// as "integrations.records.changed". Words have letters and digits only, so that the name of a component made
	// from them is unambiguous.
	Name string
}

// Wire is the topic's name at the broker.
func (t Topic[T]) Wire() string { return wirePrefix + t.Name }

// Message is the event as an outbox message. An empty organization is an event of no tenant. The trace of ctx travels
// with it.
func (t Topic[T]) Message(ctx context.Context, e Emitter, organization string, data T) (store.Message, error) {
	if err := checkName(t.Name); err != nil {
		return store.Message{}, err
	}
	body, err := json.Marshal(data)
	if err != nil {
		return store.Message{}, fmt.Errorf("encode event %s: %w", t.Name, err)
	}
	return e.message(ctx, t.Name, t.Wire(), organization, body)
}

// MaxEvent bounds an event on the wire, in bytes. Brokers refuse larger messages (JetStream at 1 MiB by default), and one
// that is refused would hold up all that come after it.
const MaxEvent = 512 << 10

const wirePrefix = "tandem."

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9]*(\.[a-z][a-z0-9]*)+$`)

func checkName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("topic %q: want lower-case words of letters and digits, separated by dots, the group first", name)
	}
	return nil
}

// Emitter makes a group's events.
type Emitter struct {
	// Group is the source of the events.
	Group topology.Group
	// Now is the clock.
	Now func() time.Time
	// NewID makes ids; an event's id is what brokers and consumers tell duplicates by.
	NewID func() string
}

func (e Emitter) message(ctx context.Context, typ, wire, organization string, data json.RawMessage) (store.Message, error) {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	event := envelope{
		SpecVersion:     "1.0",
		ID:              e.NewID(),
		Source:          "/" + string(e.Group),
		Type:            typ,
		Time:            e.Now().UTC(),
		DataContentType: "application/json",
		Organization:    organization,
		TraceParent:     carrier.Get("traceparent"),
		TraceID:         carrier.Get("traceparent"),
		Data:            data,
	}
	body, err := json.Marshal(event)
	if err != nil {
		return store.Message{}, fmt.Errorf("encode event %s: %w", typ, err)
	}
	if len(body) > MaxEvent {
		return store.Message{}, fmt.Errorf("event %s has %d bytes, %d at most: say where the data is", typ, len(body), MaxEvent)
	}
	return store.Message{ID: event.ID, Topic: wire, Data: body}, nil
}

// Meta is what an event says of itself.
type Meta struct {
	// ID is the same in every delivery of the event.
	ID string
	// Type is the topic's name.
	Type string
	// Source is the group that published.
	Source topology.Group
	// Organization is the tenant, empty for an event of no tenant.
	Organization string
	// Time is when it happened, in UTC.
	Time time.Time
	// TraceParent is the W3C trace context of what caused the event; empty when there was none.
	TraceParent string
}

// Event is an event with its data.
type Event[T any] struct {
	Meta
	Data T
}

// Raw is an event whose data is still JSON.
type Raw struct {
	Meta
	Data json.RawMessage
}

// Handler takes the events of one topic.
type Handler struct {
	// Topic is the topic's name.
	Topic string
	// Handle takes one event. An error brings the event again, later; inside Poison it makes the event a dead letter.
	// The same event may come again after a crash, and another process may handle an earlier or later one at the same
	// time: what a handler writes must be the same however often and in whatever order events come.
	Handle func(ctx context.Context, event Raw) error
}

// On makes a Handler that decodes the events' data. Data that does not decode is a dead letter.
func On[T any](topic Topic[T], handle func(context.Context, Event[T]) error) Handler {
	return Handler{Topic: topic.Name, Handle: func(ctx context.Context, raw Raw) error {
		event := Event[T]{Meta: raw.Meta}
		if err := json.Unmarshal(raw.Data, &event.Data); err != nil {
			return Poison(fmt.Errorf("data of %s: %w: %w", topic.Name, errUndecodable, err))
		}
		return handle(ctx, event)
	}}
}

// Poison marks an error that will be the same however often the event comes.
func Poison(err error) error { return poison{err} }

type poison struct{ error }

func (p poison) Unwrap() error { return p.error }

// IsPoison tells whether err or one that it wraps was marked by Poison.
func IsPoison(err error) bool {
	var p poison
	return errors.As(err, &p)
}

// envelope is the wire form.
type envelope struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype,omitempty"`
	Organization    string    `json:"organization,omitempty"`
	TraceParent     string    `json:"traceparent,omitempty"`
	// TraceID repeats TraceParent: Dapr overwrites the trace context of an event that does not have it.
	TraceID string          `json:"traceid,omitempty"`
	Data    json.RawMessage `json:"data"`
}

// Decode reads an event from its wire form.
func Decode(event []byte) (Raw, error) {
	var e envelope
	if err := json.Unmarshal(event, &e); err != nil {
		return Raw{}, fmt.Errorf("%w: %w", errUndecodable, err)
	}
	switch {
	case e.SpecVersion != "1.0":
		return Raw{}, fmt.Errorf("%w: specversion %q is not 1.0", errUndecodable, e.SpecVersion)
	case e.ID == "" || e.Type == "":
		return Raw{}, fmt.Errorf("%w: it has no id or no type", errUndecodable)
	case len(e.ID) > maxID || strings.ContainsFunc(e.ID, unicode.IsControl):
		// It could not be remembered, and would come again for ever.
		return Raw{}, fmt.Errorf("%w: id %.40q of %d bytes", errUndecodable, e.ID, len(e.ID))
	}
	source := e.Source
	if len(source) > 0 && source[0] == '/' {
		source = source[1:]
	}
	return Raw{
		Meta: Meta{
			ID: e.ID, Type: e.Type, Source: topology.Group(source), Organization: e.Organization,
			Time: e.Time.UTC(), TraceParent: e.TraceParent,
		},
		Data: e.Data,
	}, nil
}

const maxID = 200

var errUndecodable = errors.New("undecodable event")

// TraceContext is ctx with the trace that the event belongs to.
func (m Meta) TraceContext(ctx context.Context) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": m.TraceParent})
}

// within is ctx in the trace that the event belongs to. A ctx that is in it already, within a sidecar's span, stays there.
func (m Meta) within(ctx context.Context) context.Context {
	cause := m.TraceContext(ctx)
	if trace.SpanContextFromContext(cause).TraceID() == trace.SpanContextFromContext(ctx).TraceID() {
		return ctx
	}
	return cause
}

// messaging are the attributes of a span that sends or processes an event (OpenTelemetry's semantic conventions for messaging).
func messaging(operation, topic, id string) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "dapr"), attribute.String("messaging.operation.type", operation),
		attribute.String("messaging.destination.name", topic), attribute.String("messaging.message.id", id),
	}
}
