package events

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tandemhq/tandem/pkg/store"
)

const (
	relayBatch   = 128
	relayPoll    = time.Second
	relayLongest = 10 * time.Second
	publishTime  = 5 * time.Second
)

// Relay publishes what waits in a group's outbox, in order. A message leaves the outbox after the broker has taken it, so
// one that was published just before a crash is published again. It is a component: started once, stopped once.
type Relay struct {
	// Observe hears of each attempt to publish, by topic name. Set it before Start. Optional.
	Observe func(topic string, err error)
	// Tracer makes the spans of what is published. Set it before Start. Optional.
	Tracer trace.Tracer

	outbox store.Outbox
	bus    Bus
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{}
	turn   sync.Mutex // one pass at a time, so that the order is kept
}

// NewRelay makes the relay of one group's outbox. Two relays of one outbox, in two processes, are harmless: what both
// publish is one event to the broker and to consumers.
func NewRelay(outbox store.Outbox, bus Bus, log *slog.Logger) *Relay {
	return &Relay{Tracer: noop.Tracer{}, outbox: outbox, bus: bus, log: log}
}

// Start begins to publish.
func (r *Relay) Start(ctx context.Context) error {
	ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	r.done = make(chan struct{})
	go func() {
		defer close(r.done)
		r.run(ctx)
	}()
	return nil
}

// Stop ends the relay. What is left, the message at hand included, is published by the next relay of the outbox.
func (r *Relay) Stop(ctx context.Context) error {
	if r.cancel == nil {
		return nil
	}
	r.cancel()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop relay: %w", ctx.Err())
	}
}

func (r *Relay) run(ctx context.Context) {
	wait := relayPoll
	for {
		switch err := r.Drain(ctx); {
		case err == nil:
			wait = relayPoll
		case ctx.Err() == nil:
			r.log.WarnContext(ctx, "publish events", "error", err, "again in", wait.String())
			// A failing broker is not asked at each write.
			if !sleep(ctx, wait) {
				return
			}
			wait = min(2*wait, relayLongest)
			continue
		}
		timer := time.NewTimer(relayPoll) // what another process left behind wakes nobody here
		select {
		case <-r.outbox.Wake():
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// Drain publishes everything that waits now.
func (r *Relay) Drain(ctx context.Context) error {
	r.turn.Lock()
	defer r.turn.Unlock()
	for {
		messages, err := r.outbox.Pending(ctx, relayBatch)
		if err != nil {
			return err
		}
		if len(messages) == 0 {
			return nil
		}
		if err := r.publish(ctx, messages); err != nil {
			return err
		}
	}
}

// publish publishes messages up to the first that the broker does not take, and forgets those that it took.
func (r *Relay) publish(ctx context.Context, messages []store.Message) error {
	var published []string
	var failed error
	for _, m := range messages {
		if failed = r.publishOne(ctx, m); failed != nil {
			break
		}
		published = append(published, m.ID)
	}
	if len(published) > 0 {
		// Also when the relay is being stopped: they would be published again otherwise.
		forgetting, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTime)
		defer cancel()
		if err := r.outbox.Done(forgetting, published...); err != nil {
			return fmt.Errorf("forget published events: %w", err)
		}
	}
	return failed
}

func (r *Relay) publishOne(ctx context.Context, m store.Message) error {
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	topic := strings.TrimPrefix(m.Topic, wirePrefix)
	raw, _ := Decode(m.Data) // one that cannot be read is the consumers' to refuse
	ctx, span := r.Tracer.Start(raw.TraceContext(ctx), "send "+topic, trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(messaging("send", topic, m.ID)...))
	defer span.End()
	err := r.bus.Publish(ctx, m.Topic, m.Data)
	if err != nil {
		span.SetStatus(codes.Error, "not published")
	}
	if r.Observe != nil {
		r.Observe(topic, err)
	}
	if err != nil {
		return fmt.Errorf("publish %s to %s: %w", m.ID, m.Topic, err)
	}
	return nil
}

// Oldest is when what the oldest event of an outbox tells of happened; zero when none waits.
func Oldest(ctx context.Context, outbox store.Outbox) (time.Time, error) {
	messages, err := outbox.Pending(ctx, 1)
	if err != nil || len(messages) == 0 {
		return time.Time{}, err
	}
	raw, err := Decode(messages[0].Data)
	return raw.Time, err
}

// sleep waits, and tells whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
