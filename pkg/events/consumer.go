package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Verdict is what a consumer answers to a delivery, in Dapr's words.
type Verdict string

const (
	// Success says that the event has been dealt with, now or before.
	Success Verdict = "SUCCESS"
	// Retry asks for the event again, later.
	Retry Verdict = "RETRY"
	// Drop says that the event cannot be handled; it is among the dead letters.
	Drop Verdict = "DROP"
)

const (
	// HandleTimeout bounds the handling of one event. It is well below the sidecar's delivery timeout of 8 s, so that what
	// became of the event is written and the answer still reaches it. Long work belongs in a run.
	HandleTimeout = 4500 * time.Millisecond
	// claimTime is how long an event is left to the process that began to handle it; after a crash it is free then.
	claimTime = 2 * HandleTimeout
	// GiveUpAfter is how long an event is retried before it is a dead letter, if no ConsumerOptions say otherwise.
	GiveUpAfter = time.Hour
	// RememberFor is how long the id of a handled event is remembered.
	RememberFor = 7 * 24 * time.Hour

	// A parked event's pauses double from the first to the longest.
	firstPause   = time.Second
	longestPause = 5 * time.Minute

	pruneEvery   = time.Hour
	parkedPoll   = time.Second
	parkedSlow   = 10 * time.Second
	maxEventBody = 8 << 20
)

// ConsumerOptions is what a Consumer works with. Emitter, DB and Log are required.
type ConsumerOptions struct {
	// Emitter names the group, and announces its dead letters.
	Emitter Emitter
	// DB is the group's database, with the ids of handled events and the dead letters.
	DB store.DB
	// Handlers are what the group takes. Several may take the same topic; they succeed or are retried together.
	Handlers []Handler
	// Context prepares a handler's context, such as by naming who acts. The event's trace is in it already. Optional.
	Context func(ctx context.Context, event Meta) context.Context
	// GiveUpAfter is how long an event is retried before it is a dead letter; the constant of that name when zero.
	GiveUpAfter time.Duration
	// Observe hears the outcome of each attempt to handle an event, to count them: Success, Retry for one that failed and
	// is tried again, Drop for a new dead letter. A duplicate is no attempt. The topic is one that the group takes, or
	// took; happened is when what the event tells of happened, zero for an event that cannot be read. It is called by
	// several goroutines at once. Optional.
	Observe func(topic string, outcome Verdict, happened time.Time)
	// Tracer makes the spans of events that are handled. Optional.
	Tracer trace.Tracer
	Log    *slog.Logger
}

// Consumer takes the events of one group, from its sidecar as an http.Handler or from a Local bus. It is a component:
// started, it tries parked events again and forgets old ids. It is safe for concurrent use.
//
// An event that fails is parked, which is to say kept with its receipt in the group's database, and acknowledged: left to
// the broker it would hold one of the few places of events under way, and be tried between those of other tenants. Only
// what cannot be parked, the database being down, is left to the broker, which then brings nothing new either.
type Consumer struct {
	ConsumerOptions
	group    topology.Group
	handlers map[string][]Handler // by topic name
	topics   []string
	receipts *store.Documents[receipt]
	dead     *DeadLetters
	cancel   context.CancelFunc
	done     chan struct{}
}

// receipt is what is known of an event that was delivered.
type receipt struct {
	Done bool `json:"done,omitempty"`
	// ClaimedUntil is when another delivery may handle the event, unless done.
	ClaimedUntil store.Time `json:"claimed_until,omitzero"`
	// FailedAt is when it failed first.
	FailedAt store.Time `json:"failed_at,omitzero"`
	Attempts int        `json:"attempts"`
	ForgetAt store.Time `json:"forget_at"`
	// Parked is the event itself while it is the database and no longer the broker that keeps it.
	Parked *parked `json:"parked,omitempty"`
}

// parked is an event that failed and is tried again.
type parked struct {
	Topic        string     `json:"topic"`
	Organization string     `json:"organization,omitempty"`
	Event        []byte     `json:"event"`
	DueAt        store.Time `json:"due_at"`
}

// NewConsumer opens a group's consumer. A handler with a malformed topic is an error.
func NewConsumer(ctx context.Context, o ConsumerOptions) (*Consumer, error) {
	group := o.Emitter.Group
	if group == "" || o.DB == nil || o.Log == nil || o.Emitter.Now == nil || o.Emitter.NewID == nil {
		return nil, errors.New("open consumer: emitter, database and log are required")
	}
	if o.GiveUpAfter == 0 {
		o.GiveUpAfter = GiveUpAfter
	}
	if o.Context == nil {
		o.Context = func(ctx context.Context, _ Meta) context.Context { return ctx }
	}
	if o.Observe == nil {
		o.Observe = func(string, Verdict, time.Time) {}
	}
	if o.Tracer == nil {
		o.Tracer = noop.Tracer{}
	}
	c := &Consumer{ConsumerOptions: o, group: group, handlers: map[string][]Handler{}}
	for _, h := range o.Handlers {
		if err := checkName(h.Topic); err != nil {
			return nil, fmt.Errorf("group %s: %w", group, err)
		}
		if h.Handle == nil {
			return nil, fmt.Errorf("group %s: topic %s has no handler", group, h.Topic)
		}
		if c.handlers[h.Topic] == nil {
			c.topics = append(c.topics, h.Topic)
		}
		c.handlers[h.Topic] = append(c.handlers[h.Topic], h)
	}
	var err error
	if c.receipts, err = store.System[receipt](ctx, o.DB, store.Def{Name: "inbox", Indexes: []store.Index{
		{Name: "forget", Fields: []string{"forget_at"}},
		{Name: "parked", Fields: []string{"parked.due_at"}},
		{Name: "organization", Fields: []string{"parked.organization"}},
	}, Owner: "organization"}); err != nil {
		return nil, fmt.Errorf("open consumer of %s: %w", group, err)
	}
	if c.dead, err = openDeadLetters(ctx, c); err != nil {
		return nil, fmt.Errorf("open consumer of %s: %w", group, err)
	}
	return c, nil
}

// Subscriptions are the group's entries in the answer to GET /dapr/subscribe. They name no dead-letter topic: Dapr would
// move an event there at the first delivery that fails for good, a restarting app's included, and JetStream would take it
// for a duplicate of itself.
func (c *Consumer) Subscriptions() []Subscription {
	list := make([]Subscription, len(c.topics))
	for i, topic := range c.topics {
		list[i] = Subscription{PubsubName: Component(c.group, topic), Topic: wirePrefix + topic, Route: Route(c.group, topic)}
	}
	return list
}

// DeadLetters are the events that the group could not handle.
func (c *Consumer) DeadLetters() *DeadLetters { return c.dead }

// ServeHTTP answers a sidecar's delivery to one of the Subscriptions' routes.
func (c *Consumer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	verdict := Retry
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEventBody))
	if err == nil {
		wire := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		verdict = c.Deliver(propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header)), wire, body)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]Verdict{"status": verdict}) // a sidecar that is gone delivers again
}

// Deliver handles an event of a wire topic, unless it has been handled before or is parked. The verdict on one that it
// parks is Success.
func (c *Consumer) Deliver(ctx context.Context, wireTopic string, event []byte) Verdict {
	topic, _ := strings.CutPrefix(wireTopic, wirePrefix)
	if c.handlers[topic] == nil {
		// Not ours to refuse: a newer version of the group may have subscribed.
		c.Log.WarnContext(ctx, "event of a topic that the group does not take", "group", c.group, "topic", topic)
		return Retry
	}
	raw, err := Decode(event)
	if err != nil {
		verdict := c.bury(ctx, topic, Raw{}, event, 1, err)
		c.Observe(topic, verdict, time.Time{})
		return verdict
	}
	claim, verdict := c.claim(ctx, raw.ID)
	if verdict != "" {
		return verdict
	}
	return c.attempt(ctx, claim, topic, raw, event)
}

// attempt handles an event under its claim and records what became of it. Retry says that nothing could be recorded.
func (c *Consumer) attempt(ctx context.Context, claim store.Doc[receipt], topic string, raw Raw, event []byte) Verdict {
	ctx = raw.within(ctx)
	err := c.handle(ctx, topic, raw)
	// The answer to what was done counts even if whoever asked has left.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), HandleTimeout)
	defer cancel()
	now, known := c.Emitter.Now(), &claim.Value
	outcome := Success
	switch {
	case err == nil:
	case IsPoison(err), !known.FailedAt.IsZero() && now.Sub(known.FailedAt.Time) >= c.GiveUpAfter:
		outcome = c.bury(ctx, topic, raw, event, known.Attempts, err)
	default:
		c.Log.WarnContext(ctx, "handle event", "group", c.group, "topic", topic, "event", raw.ID,
			"attempts", known.Attempts, "error", err)
		outcome = Retry
	}
	c.Observe(topic, outcome, raw.Time)
	known.ClaimedUntil = store.Time{}
	verdict := outcome
	if outcome == Retry {
		verdict = Success
		if known.FailedAt.IsZero() {
			known.FailedAt = store.At(now)
		}
		known.Parked = &parked{Topic: topic, Organization: raw.Organization, Event: event, DueAt: store.At(now.Add(pauseAfter(known.Attempts)))}
	} else {
		known.Done, known.Parked = true, nil
	}
	if _, err := c.receipts.Replace(ctx, claim); err != nil {
		// Unknown as handled, it comes again when the claim is over, and its handlers find their work done.
		c.Log.WarnContext(ctx, "remember event", "group", c.group, "event", raw.ID, "error", err)
		return Retry
	}
	return verdict
}

// begin begins the span of an attempt to handle an event. It is in the trace of what caused the event, within the sidecar's span where
// the sidecar brings it, and linked to the span that the event was made in.
func (c *Consumer) begin(ctx context.Context, topic string, raw Raw) (context.Context, trace.Span) {
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(append(messaging("process", topic, raw.ID), attribute.String("tandem.group", string(c.group)))...)}
	if cause := trace.SpanContextFromContext(raw.TraceContext(context.Background())); cause.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: cause}))
	}
	return c.Tracer.Start(raw.within(ctx), "process "+topic, options...)
}

// pauseAfter is how long an event is left alone after so many attempts.
func pauseAfter(attempts int) time.Duration {
	return min(firstPause<<min(max(attempts-1, 0), 20), longestPause)
}

// claim makes this delivery the one that handles the event, or answers with the verdict that it does not.
func (c *Consumer) claim(ctx context.Context, id string) (store.Doc[receipt], Verdict) {
	now := c.Emitter.Now()
	first := receipt{ClaimedUntil: store.At(now.Add(claimTime)), Attempts: 1, ForgetAt: store.At(now.Add(RememberFor))}
	doc, err := c.receipts.Insert(ctx, id, first)
	if err == nil {
		return doc, ""
	}
	if errors.Is(err, store.ErrExists) {
		doc, err = c.receipts.Get(ctx, id)
	}
	switch {
	case err != nil:
		c.Log.WarnContext(ctx, "claim event", "group", c.group, "event", id, "error", err)
		return doc, Retry
	case doc.Value.Done, doc.Value.Parked != nil: // parked, it is no longer the broker's
		return doc, Success
	}
	return c.reclaim(ctx, doc)
}

// reclaim is claim for an event whose receipt has been read.
func (c *Consumer) reclaim(ctx context.Context, doc store.Doc[receipt]) (store.Doc[receipt], Verdict) {
	now := c.Emitter.Now()
	if doc.Value.ClaimedUntil.After(now) {
		return doc, Retry
	}
	doc.Value.ClaimedUntil = store.At(now.Add(claimTime))
	doc.Value.Attempts++
	doc, err := c.receipts.Replace(ctx, doc)
	if err != nil { // most likely another delivery was faster
		return doc, Retry
	}
	return doc, ""
}

// RetryParked handles the parked events that are due, one after the other, but for those that another process has begun
// with. Those due first come first.
func (c *Consumer) RetryParked(ctx context.Context) error {
	due := store.Query{Index: "parked", Range: store.Range{Field: "parked.due_at", To: store.At(c.Emitter.Now())}}
	return c.receipts.Each(ctx, due, func(doc store.Doc[receipt]) error {
		p := doc.Value.Parked
		raw, err := Decode(p.Event)
		if err != nil {
			return fmt.Errorf("read parked event %s: %w", doc.ID, err)
		}
		if claim, busy := c.reclaim(ctx, doc); busy == "" {
			c.attempt(context.WithoutCancel(ctx), claim, p.Topic, raw, p.Event) // HandleTimeout bounds it
		}
		return ctx.Err()
	})
}

// Parked is how many events are parked.
func (c *Consumer) Parked(ctx context.Context) (int64, error) {
	return c.receipts.Count(ctx, store.Query{Index: "parked", Range: store.Range{Field: "parked.due_at", From: store.At(time.Unix(0, 0))}})
}

// handle runs the topic's handlers, a panic being an error, as is a topic that this version of the group does not take.
func (c *Consumer) handle(ctx context.Context, topic string, raw Raw) (err error) {
	ctx, cancel := context.WithTimeout(ctx, HandleTimeout)
	defer cancel()
	ctx, span := c.begin(ctx, topic, raw)
	defer func() {
		if err != nil {
			span.SetStatus(codes.Error, "not handled") // the log has the cause
		}
		span.End()
	}()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if c.handlers[topic] == nil {
		return fmt.Errorf("the group does not take %s", topic)
	}
	ctx = c.Context(ctx, raw.Meta)
	for _, h := range c.handlers[topic] {
		if err := h.Handle(ctx, raw); err != nil {
			return err
		}
	}
	return nil
}

// bury puts an event away as a dead letter. While that fails the event comes again.
func (c *Consumer) bury(ctx context.Context, topic string, raw Raw, event []byte, attempts int, cause error) Verdict {
	if err := c.dead.add(ctx, topic, raw, event, attempts, cause); err != nil {
		c.Log.ErrorContext(ctx, "put away a dead letter", "group", c.group, "topic", topic, "event", raw.ID, "cause", cause, "error", err)
		return Retry
	}
	c.Log.ErrorContext(ctx, "event is a dead letter", "group", c.group, "topic", topic, "event", raw.ID, "error", cause)
	return Drop
}

// Start begins to try parked events again and to forget old ids.
func (c *Consumer) Start(ctx context.Context) error {
	ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.done = make(chan struct{})
	go func() {
		defer close(c.done)
		c.run(ctx)
	}()
	return nil
}

func (c *Consumer) run(ctx context.Context) {
	var pruned time.Time
	for wait := parkedPoll; ; {
		if now := c.Emitter.Now(); now.Sub(pruned) >= pruneEvery {
			pruned = now
			if err := c.Prune(ctx); err != nil && ctx.Err() == nil {
				c.Log.WarnContext(ctx, "forget handled events", "group", c.group, "error", err)
			}
		}
		if err := c.RetryParked(ctx); err == nil {
			wait = parkedPoll
		} else if ctx.Err() == nil {
			wait = min(2*wait, parkedSlow)
			c.Log.WarnContext(ctx, "try parked events again", "group", c.group, "error", err, "again in", wait.String())
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

// Stop ends what Start began.
func (c *Consumer) Stop(ctx context.Context) error {
	if c.cancel == nil {
		return nil
	}
	c.cancel()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop consumer of %s: %w", c.group, ctx.Err())
	}
}

// Prune forgets the ids of events that were delivered longer than RememberFor ago, but for those still parked.
func (c *Consumer) Prune(ctx context.Context) error {
	old := store.Query{Index: "forget", Range: store.Range{Field: "forget_at", To: store.At(c.Emitter.Now())}}
	return c.receipts.Each(ctx, old, func(doc store.Doc[receipt]) error {
		if doc.Value.Parked != nil {
			return nil // after a long pause of the group
		}
		if err := c.receipts.Delete(ctx, doc.ID, doc.Version); err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrConflict) {
			return err
		}
		return nil
	})
}
