package events

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// ErrNoDeadLetter says that there is no dead letter with an id.
var ErrNoDeadLetter = errors.New("no such dead letter")

// DeadLetter is an event that a group could not handle.
type DeadLetter struct {
	// ID is the event's, or made from its bytes when it had none that could be read.
	ID string `json:"id" example:"0199b1f2-8a11-7c02-9d2e-5f1e0a7b4c3d"`
	// Topic is the topic's name.
	Topic string `json:"topic" example:"integrations.records.changed"`
	// Organization is the tenant, when the event said one.
	Organization string `json:"organization" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
	// Reason is what may be told of the error of the last attempt: a problem's code and message, or a fixed sentence. The
	// log has the error itself.
	Reason string `json:"reason" example:"internal: a handler of the event failed; the log has the cause"`
	// Attempts counts deliveries and replays.
	Attempts int        `json:"attempts" example:"24"`
	DiedAt   store.Time `json:"died_at" example:"2026-01-02T03:04:05Z"`
	// Event is the event as it came. It is not in announcements.
	Event []byte `json:"event,omitempty" example:"eyJzcGVjdmVyc2lvbiI6IjEuMCJ9"`
}

// Dead is the topic on which a group announces its dead letters, for whoever watches over them.
func Dead(group topology.Group) Topic[DeadLetter] {
	return Topic[DeadLetter]{Name: "dead." + string(group)}
}

// DeadLetters are the events that a group could not handle, until they are replayed or discarded.
type DeadLetters struct {
	consumer *Consumer
	docs     *store.Documents[DeadLetter]
}

func openDeadLetters(ctx context.Context, c *Consumer) (*DeadLetters, error) {
	docs, err := store.System[DeadLetter](ctx, c.DB, store.Def{Name: "dead_letters", Indexes: []store.Index{
		{Name: "died", Fields: []string{"organization", "died_at"}},
	}, Owner: "died"})
	if err != nil {
		return nil, err
	}
	return &DeadLetters{c, docs}, nil
}

func (d *DeadLetters) add(ctx context.Context, topic string, raw Raw, event []byte, attempts int, cause error) error {
	letter := DeadLetter{
		ID: raw.ID, Topic: topic, Organization: raw.Organization, Reason: reason(cause), Attempts: attempts,
		DiedAt: store.At(d.consumer.Emitter.Now()), Event: event,
	}
	if letter.ID == "" {
		sum := sha256.Sum256(event)
		letter.ID = "sha256-" + hex.EncodeToString(sum[:16])
	}
	announced := letter
	announced.Event = nil
	message, err := Dead(d.consumer.group).Message(ctx, d.consumer.Emitter, letter.Organization, announced)
	if err != nil {
		return err
	}
	if _, err := d.docs.Insert(ctx, letter.ID, letter, message); !errors.Is(err, store.ErrExists) {
		return err
	}
	return nil // it came again before its end was remembered
}

// reason is what the event's organization sees of an error: the message of a problem, never a cause.
func reason(err error) string {
	var p *problem.Problem
	switch {
	case errors.As(err, &p):
		return p.Code + ": " + p.Detail
	case errors.Is(err, errUndecodable):
		return "undecodable: the event is not in the expected form"
	}
	return problem.CodeInternal + ": a handler of the event failed; the log has the cause"
}

// Page is a part of a list of dead letters.
type Page struct {
	Letters []DeadLetter
	// Next is the cursor of the following page, empty after the last.
	Next string
}

// List reads an organization's dead letters, the newest first, limit a page (50 when 0): store.ErrBadCursor. Those of no
// organization are listed under "".
func (d *DeadLetters) List(ctx context.Context, organization string, limit int, cursor string) (Page, error) {
	found, err := d.docs.Find(ctx, store.Query{Index: "died", Equal: []any{organization}, Descending: true, Limit: limit, Cursor: cursor})
	if err != nil {
		return Page{}, fmt.Errorf("list dead letters: %w", err)
	}
	page := Page{Next: found.Next, Letters: make([]DeadLetter, len(found.Items))}
	for i, doc := range found.Items {
		page.Letters[i] = doc.Value
	}
	return page, nil
}

// Count is how many dead letters there are, of all organizations and of none. An undecodable event is of none, and List
// shows it to no tenant, so somebody should watch this number.
func (d *DeadLetters) Count(ctx context.Context) (int64, error) {
	return d.docs.Count(ctx, store.Query{})
}

// Replay handles a dead letter again, here and now, and removes it when that succeeds: ErrNoDeadLetter, or the handler's
// error. It is not published again, as other groups have handled it already and brokers know its id.
func (d *DeadLetters) Replay(ctx context.Context, id string) error {
	doc, err := d.get(ctx, id)
	if err != nil {
		return err
	}
	raw, err := Decode(doc.Value.Event)
	if err == nil {
		err = d.consumer.handle(ctx, doc.Value.Topic, raw)
	}
	if err == nil {
		return d.Discard(ctx, id)
	}
	_, updateErr := d.docs.Update(ctx, id, func(l *DeadLetter) ([]store.Message, error) {
		l.Attempts++
		l.Reason = reason(err)
		return nil, nil
	})
	return fmt.Errorf("replay dead letter %s: %w", id, errors.Join(err, updateErr))
}

// Discard removes a dead letter: ErrNoDeadLetter.
func (d *DeadLetters) Discard(ctx context.Context, id string) error {
	err := d.docs.Delete(ctx, id, 0)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		return fmt.Errorf("discard %.100q: %w", id, ErrNoDeadLetter)
	}
	return err
}

// Get reads one dead letter: ErrNoDeadLetter.
func (d *DeadLetters) Get(ctx context.Context, id string) (DeadLetter, error) {
	doc, err := d.get(ctx, id)
	return doc.Value, err
}

func (d *DeadLetters) get(ctx context.Context, id string) (store.Doc[DeadLetter], error) {
	doc, err := d.docs.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		return doc, fmt.Errorf("dead letter %.100q: %w", id, ErrNoDeadLetter)
	}
	return doc, err
}
