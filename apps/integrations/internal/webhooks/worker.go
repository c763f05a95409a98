package webhooks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

const (
	// look is how often the worker looks for what is due without being woken.
	look = time.Second
	// gather is how long after the first delivery the worker waits for others to process with it.
	gather = 100 * time.Millisecond
	// coalesce is how long after the first delivery its sync is started, so that those that follow are read by it, too.
	coalesce = 2 * time.Second
	// running is how long a sync waits for one that runs.
	running = 3 * time.Second
	// page is how many deliveries are processed in one step. Whoever wants to keep one waits for the step.
	page = 100
	// maxAttempts bounds how often something is tried; the pauses in between double, from a second on.
	maxAttempts = 8
)

// Reason is why a delivery is parked, or is tried again.
type Reason struct {
	Code    string `json:"code" doc:"Stable code" example:"connection_disconnected"`
	Message string `json:"message" doc:"What happened, or what somebody has to do, for people" example:"the connection was disconnected; connect again"`
}

// Start begins to process deliveries, those of earlier processes first.
func (s *Service) Start(ctx context.Context) error {
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.ended = make(chan struct{})
	go s.work(ctx)
	return nil
}

// Stop ends it, and waits for deliveries that are being kept. What is not processed is by the next process.
func (s *Service) Stop(ctx context.Context) error {
	if s.cancel == nil {
		return nil
	}
	s.cancel()
	select {
	case <-s.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.batches.idle()
	return nil
}

func (s *Service) work(ctx context.Context) {
	defer close(s.ended)
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = s.process(ctx); err != nil && ctx.Err() == nil {
				s.Log.ErrorContext(ctx, "process webhooks", "error", err)
			}
		}
		if err := s.start(ctx); err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "start the syncs that webhooks ask for", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.wake:
			select {
			case <-ctx.Done():
				return
			case <-time.After(gather):
			}
		}
	}
}

// due selects a page of what is due by now.
func (s *Service) due() store.Query {
	return store.Query{Index: "due", Range: store.Range{Field: "due_at", To: store.At(s.Now().Add(time.Microsecond))}, Limit: page}
}

// asked is how often deliveries of a page ask for a sync.
type asked map[connection.Place]map[string]int

// process takes a page of deliveries that are due through what they mean, and tells whether there may be more. A crash before its end
// leaves them due; what they mean is the same the second time.
func (s *Service) process(ctx context.Context) (more bool, err error) {
	due, err := s.documents.deliveries.Find(ctx, s.due())
	if err != nil || len(due.Items) == 0 {
		return false, wrap("find the webhooks that are due", err)
	}
	outcomes := make([]error, len(due.Items))
	syncs, connections := asked{}, map[connection.Place]connection.Connection{}
	for i, doc := range due.Items {
		outcomes[i] = s.handle(ctx, doc.Value, connections, syncs)
	}
	at := s.Now()
	failed := map[connection.Place]error{}
	for place, streams := range syncs {
		for stream, n := range streams {
			if err := s.want(ctx, place, stream, n, at.Add(coalesce)); err != nil {
				failed[place] = err
			}
		}
	}
	puts := make([]store.Put[delivery], len(due.Items))
	var messages []store.Message
	for i, doc := range due.Items {
		d := doc.Value
		if outcomes[i] == nil {
			outcomes[i] = failed[connection.Place{Organization: d.Organization, Connection: d.ConnectionID}]
		}
		s.settle(ctx, doc.ID, &d, outcomes[i])
		puts[i] = store.Put[delivery]{ID: doc.ID, Value: d}
		if d.DueAt == nil {
			told, err := s.told(ctx, doc.ID, d)
			if err != nil {
				return false, err
			}
			messages = append(messages, told)
		}
	}
	if _, err := s.documents.deliveries.PutMany(ctx, puts, messages...); err != nil {
		return false, wrap("note which webhooks are processed", err)
	}
	return len(due.Items) == page, nil
}

// handle does what a delivery means, or notes in syncs what it asks for. A problem parks the delivery; another error has it tried again.
func (s *Service) handle(ctx context.Context, d delivery, connections map[connection.Place]connection.Connection, syncs asked) error {
	place := connection.Place{Organization: d.Organization, Connection: d.ConnectionID}
	ctx = identity.AsGroup(ctx, topology.Integrations, d.Organization)
	c, known := connections[place]
	if !known {
		var err error
		if c, err = s.Connections.Get(ctx, d.Organization, d.ConnectionID); err != nil {
			return err
		}
		connections[place] = c
	}
	switch {
	case d.Forget.Everything && c.Usable() == nil:
		return problem.New(http.StatusConflict, CodeByHand, "the vendor asks to erase all data of an account that was connected again since; disconnect it if that is still so, and process this again")
	case d.Forget != connector.Forget{}:
		return s.Persons.Forget(ctx, d.Organization, d.ConnectionID, d.Forget)
	case d.ByHand != "":
		return problem.New(http.StatusConflict, CodeByHand, d.ByHand)
	case d.Ended != "":
		delete(connections, place) // it changes
		return s.Connections.Ended(ctx, place, d.HappenedAt.Time, d.Ended)
	case len(d.Streams) == 0:
		return nil // nothing that is read here
	}
	if err := c.Usable(); err != nil {
		return err
	}
	if syncs[place] == nil {
		syncs[place] = map[string]int{}
	}
	for _, stream := range d.Streams {
		syncs[place][stream]++
	}
	return nil
}

// settle notes in d what became of an attempt to process it.
func (s *Service) settle(ctx context.Context, id string, d *delivery, outcome error) {
	now := store.At(s.Now())
	d.Attempts++
	if outcome == nil {
		d.Status, d.Reason, d.ProcessedAt, d.DueAt = Processed, nil, &now, nil
		return
	}
	var p *problem.Problem
	switch {
	case errors.As(outcome, &p) && p.Status < http.StatusInternalServerError:
		d.Status, d.Reason, d.DueAt = Parked, &Reason{p.Code, p.Detail}, nil
	case d.Attempts >= maxAttempts:
		d.Status, d.Reason, d.DueAt = Parked, &Reason{CodeFailed, fmt.Sprintf("it could not be processed in %d attempts", d.Attempts)}, nil
	default:
		next := store.At(now.Add(pause(d.Attempts)))
		d.Reason, d.DueAt = &Reason{CodeFailed, "it could not be processed yet; it is tried again"}, &next
	}
	s.Log.WarnContext(ctx, "a webhook was not processed", "delivery", id, "vendor", d.Vendor, "topic", d.Topic, "attempt", d.Attempts, "parked", d.DueAt == nil, "error", outcome)
}

// pause is how long to wait after so many attempts.
func pause(attempts int) time.Duration { return time.Second << (attempts - 1) }

// told makes the event of a delivery. Its id is the delivery's, so that processing it twice tells of it once.
func (s *Service) told(ctx context.Context, id string, d delivery) (store.Message, error) {
	emit := s.Emit
	emit.NewID = func() string { return id }
	return integrationsapi.TopicWebhookReceived.Message(ctx, emit, d.Organization, integrationsapi.WebhookReceived{
		ConnectionID: d.ConnectionID, Vendor: d.Vendor, Topic: d.Topic, DeliveryID: id, ReceivedAt: d.ReceivedAt.Time,
	})
}

// start begins the syncs that are asked for and due.
func (s *Service) start(ctx context.Context) error {
	due, err := s.wishes.Find(ctx, s.due())
	if err != nil {
		return wrap("find the syncs that webhooks ask for", err)
	}
	var failures []error
	for _, doc := range due.Items {
		failures = append(failures, s.startOne(ctx, doc))
	}
	return errors.Join(failures...)
}

func (s *Service) startOne(ctx context.Context, doc store.Doc[wish]) error {
	w := doc.Value
	_, err := s.Syncs.Start(identity.AsGroup(ctx, topology.Integrations, w.Organization), w.Organization, sync.Input{
		ConnectionID: w.ConnectionID, Stream: w.Stream, Mode: sync.Incremental, Scheduled: true,
	})
	later := func(after time.Duration) error {
		doc.Value.DueAt = store.At(s.Now().Add(after))
		_, err := s.wishes.Replace(ctx, doc)
		return unlessMoved(err)
	}
	var p *problem.Problem
	switch {
	case err == nil:
		// A delivery that came while it was started has changed the version; its sync is the next.
		return unlessMoved(s.wishes.Delete(ctx, doc.ID, doc.Version))
	case problem.Code(err) == sync.CodeRunning:
		return later(running) // it may have read past the change already
	case errors.As(err, &p) && p.Status < http.StatusInternalServerError || w.Attempts+1 >= maxAttempts:
		// The connection is gone or needs attention; the schedule reads what changed when it works again.
		s.Log.WarnContext(ctx, "a sync that webhooks ask for was given up", "connection", w.ConnectionID, "stream", w.Stream, "error", err)
		return unlessMoved(s.wishes.Delete(ctx, doc.ID, 0))
	}
	doc.Value.Attempts++
	return errors.Join(err, later(pause(doc.Value.Attempts)))
}

// unlessMoved drops the errors of a wish that somebody else has changed.
func unlessMoved(err error) error {
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return wrap("note that a sync was started", err)
}
