// Package records keeps what connectors read, normalized and once each, and lets other groups and users read it.
package records

import (
	"context"
	"fmt"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/store"
)

// Service keeps and reads records. It is safe for concurrent use.
type Service struct {
	orders *store.Collection[integrationsapi.Order]
	emit   events.Emitter
}

// New opens the records.
func New(ctx context.Context, db store.DB, emit events.Emitter) (*Service, error) {
	orders, err := openOrders(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("open records: %w", err)
	}
	return &Service{orders, emit}, nil
}

// Put keeps what a connector read and tells how many records were new or different. Ranges that hold those are told of by
// RecordsChanged, which is stored with the records; nothing is told when nothing changed. Repeating it is harmless.
func (s *Service) Put(ctx context.Context, organization string, records connector.Records) (changed int, err error) {
	if len(records.Orders) == 0 {
		return 0, nil
	}
	puts := make([]store.Put[integrationsapi.Order], len(records.Orders))
	placed := map[string][]time.Time{} // by connection
	for i, o := range records.Orders {
		puts[i] = store.Put[integrationsapi.Order]{ID: o.ID, Value: o}
		placed[o.ConnectionID] = append(placed[o.ConnectionID], o.PlacedAt.Time)
	}
	var messages []store.Message
	for connection, times := range placed {
		for _, r := range rangesOf(times) {
			m, err := integrationsapi.TopicRecordsChanged.Message(ctx, s.emit, organization, integrationsapi.RecordsChanged{
				ConnectionID: connection, Vendor: records.Orders[0].Vendor, Kind: integrationsapi.KindOrders, From: r.From, To: r.To,
			})
			if err != nil {
				return 0, err
			}
			messages = append(messages, m)
		}
	}
	changed, err = s.orders.In(organization).PutMany(ctx, puts, messages...)
	if err != nil {
		return 0, fmt.Errorf("keep orders: %w", err)
	}
	return changed, nil
}

// Orders reads a page of an organization's orders placed in r, of all connections or of one, oldest first:
// store.ErrBadCursor.
func (s *Service) Orders(ctx context.Context, organization, connection string, r Range, cursor string, limit int) (integrationsapi.OrderPage, error) {
	found, err := s.orders.In(organization).Find(ctx, placed(connection, r, cursor, limit))
	if err != nil {
		return integrationsapi.OrderPage{}, fmt.Errorf("read orders: %w", err)
	}
	page := integrationsapi.OrderPage{Items: make([]integrationsapi.Order, len(found.Items)), NextCursor: found.Next}
	for i, doc := range found.Items {
		page.Items[i] = doc.Value
	}
	return page, nil
}
