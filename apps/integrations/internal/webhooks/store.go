package webhooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/store"
)

// Status is where a delivery stands.
type Status string

const (
	// Received deliveries are kept and wait to be processed.
	Received Status = "received"
	// Processed deliveries have led to what they mean.
	Processed Status = "processed"
	// Parked deliveries could not be processed, or are for a person.
	Parked Status = "parked"
)

// delivery is a webhook that was accepted, for one connection. What the vendor wrote is not kept: it is read from the vendor again.
type delivery struct {
	Organization string           `json:"organization"`
	ConnectionID string           `json:"connection_id"`
	Vendor       string           `json:"vendor"`
	VendorID     string           `json:"vendor_id"`
	Topic        string           `json:"topic"`
	Streams      []string         `json:"streams,omitempty"`
	Ended        string           `json:"ended,omitempty"`
	ByHand       string           `json:"by_hand,omitempty"`
	Forget       connector.Forget `json:"forget,omitzero"`
	HappenedAt   store.Time       `json:"happened_at"`
	ReceivedAt   store.Time       `json:"received_at"`
	Status       Status           `json:"status"`
	Attempts     int              `json:"attempts"`
	Reason       *Reason          `json:"reason,omitempty"`
	ProcessedAt  *store.Time      `json:"processed_at,omitempty"`
	// DueAt is when it is to be processed; missing when it was, or is parked.
	DueAt *store.Time `json:"due_at,omitempty"`
}

// wish is a sync that deliveries have asked for. There is one at most for a stream of a connection, so that many deliveries are
// one sync.
type wish struct {
	Organization string     `json:"organization"`
	ConnectionID string     `json:"connection_id"`
	Stream       string     `json:"stream"`
	Deliveries   int        `json:"deliveries"`
	Attempts     int        `json:"attempts"`
	DueAt        store.Time `json:"due_at"`
}

type documents struct {
	deliveries *store.Documents[delivery]
	wishes     *store.Documents[wish]
}

func openDocuments(ctx context.Context, db store.DB) (documents, error) {
	deliveries, err := store.System[delivery](ctx, db, store.Def{Name: "webhook-deliveries", Indexes: []store.Index{
		{Name: "due", Fields: []string{"due_at"}},
		{Name: "organization", Fields: []string{"organization", "received_at"}},
		{Name: "received", Fields: []string{"received_at"}},
	}, Owner: "organization"})
	if err != nil {
		return documents{}, err
	}
	wishes, err := store.System[wish](ctx, db, store.Def{Name: "webhook-syncs", Indexes: []store.Index{
		{Name: "due", Fields: []string{"due_at"}},
		{Name: "organization", Fields: []string{"organization"}},
	}, Owner: "organization"})
	return documents{deliveries, wishes}, err
}

// want asks for a sync at a moment, or sooner where one is asked for already.
func (d documents) want(ctx context.Context, p connection.Place, stream string, deliveries int, at time.Time) error {
	id := p.Connection + "." + stream
	for {
		_, err := d.wishes.Insert(ctx, id, wish{Organization: p.Organization, ConnectionID: p.Connection, Stream: stream, Deliveries: deliveries, DueAt: store.At(at)})
		if !errors.Is(err, store.ErrExists) {
			return wrap("ask for a sync", err)
		}
		_, err = d.wishes.Update(ctx, id, func(w *wish) ([]store.Message, error) {
			w.Deliveries += deliveries // and a version that whoever starts the sync of the one before does not delete
			return nil, nil
		})
		if !errors.Is(err, store.ErrNotFound) { // it was started meanwhile
			return wrap("ask for a sync", err)
		}
	}
}

func wrap(doing string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
