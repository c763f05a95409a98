// Package records keeps what connectors read, normalized and once each, and lets other groups and users read it. Every kind of
// record is kept in the same way.
package records

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/store"
)

// Service has the records of every kind. It is safe for concurrent use.
type Service struct {
	Orders           *Kind[integrationsapi.Order]
	Customers        *Kind[integrationsapi.Customer]
	Products         *Kind[integrationsapi.Product]
	Payments         *Kind[integrationsapi.Payment]
	Contacts         *Kind[integrationsapi.Contact]
	Deals            *Kind[integrationsapi.Deal]
	Campaigns        *Kind[integrationsapi.Campaign]
	Performance      *Kind[integrationsapi.Performance]
	EmailPerformance *Kind[integrationsapi.EmailPerformance]

	policies *store.Documents[policy]
	erased   *store.Collection[erasedPerson]
}

// New opens the records.
func New(ctx context.Context, db store.DB, emit events.Emitter) (*Service, error) {
	byEmail := store.Index{Name: "email", Fields: []string{"email"}}
	policies, err := openPolicies(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("open for how long records are kept: %w", err)
	}
	erased, err := openErased(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("open who was erased: %w", err)
	}
	s := &Service{policies: policies, erased: erased}
	err = errors.Join(
		open(ctx, db, policies, emit, &s.Orders, integrationsapi.KindOrders, "placed_at", "orders", "time of placement"),
		open(ctx, db, policies, emit, &s.Customers, integrationsapi.KindCustomers, "created_at", "customers", "when their vendor came to know them", byEmail),
		open(ctx, db, policies, emit, &s.Products, integrationsapi.KindProducts, "created_at", "products", "when they were entered"),
		open(ctx, db, policies, emit, &s.Payments, integrationsapi.KindPayments, "created_at", "payments", "when they were asked for", byEmail),
		open(ctx, db, policies, emit, &s.Contacts, integrationsapi.KindContacts, "created_at", "contacts", "when their vendor came to know them", byEmail),
		open(ctx, db, policies, emit, &s.Deals, integrationsapi.KindDeals, "created_at", "deals", "when they were entered"),
		open(ctx, db, policies, emit, &s.Campaigns, integrationsapi.KindCampaigns, "started_at", "campaigns", "their beginning"),
		open(ctx, db, policies, emit, &s.Performance, integrationsapi.KindPerformance, "day", "what campaigns did on a day", "day"),
		open(ctx, db, policies, emit, &s.EmailPerformance, integrationsapi.KindEmailPerformance, "day", "what came of mailings on a day", "day"),
	)
	if err != nil {
		return nil, fmt.Errorf("open records: %w", err)
	}
	s.Customers.personal = personal[integrationsapi.Customer]{func(c *integrationsapi.Customer) *string { return &c.Email }, true}
	s.Contacts.personal = personal[integrationsapi.Contact]{func(c *integrationsapi.Contact) *string { return &c.Email }, true}
	s.Payments.personal = personal[integrationsapi.Payment]{func(p *integrationsapi.Payment) *string { return &p.Email }, false}
	s.Customers.erased, s.Contacts.erased, s.Payments.erased = erased, erased, erased
	return s, nil
}

// Put keeps what a connector read and tells how many records were new or different. Ranges that hold those are told of by
// RecordsChanged, which is stored with the records; nothing is told when nothing changed. Repeating it is harmless.
func (s *Service) Put(ctx context.Context, organization string, records connector.Records) (changed int, err error) {
	for _, put := range []func() (int, error){
		func() (int, error) { return s.Orders.put(ctx, organization, records.Orders) },
		func() (int, error) { return s.Customers.put(ctx, organization, records.Customers) },
		func() (int, error) { return s.Products.put(ctx, organization, records.Products) },
		func() (int, error) { return s.Payments.put(ctx, organization, records.Payments) },
		func() (int, error) { return s.Contacts.put(ctx, organization, records.Contacts) },
		func() (int, error) { return s.Deals.put(ctx, organization, records.Deals) },
		func() (int, error) { return s.Campaigns.put(ctx, organization, records.Campaigns) },
		func() (int, error) { return s.Performance.put(ctx, organization, records.Performance) },
		func() (int, error) { return s.EmailPerformance.put(ctx, organization, records.EmailPerformance) },
	} {
		n, err := put()
		if err != nil {
			return 0, err
		}
		changed += n
	}
	return changed, nil
}

// putAtOnce is how many records are written in one step at most: others who write wait for that long.
const putAtOnce = 500

func (k *Kind[T]) put(ctx context.Context, organization string, records []T) (changed int, err error) {
	if records, err = k.keeps(ctx, organization, records); err != nil {
		return 0, err
	}
	records, met, err := k.admitted(ctx, organization, records)
	if err == nil {
		err = k.castOut(ctx, organization, met)
	}
	if err != nil {
		return 0, err
	}
	for some := range slices.Chunk(records, putAtOnce) {
		n, err := k.putSome(ctx, organization, some)
		if err != nil {
			return 0, err
		}
		changed += n
	}
	// Who was erased while these were written is not among what the erasure has found.
	if _, met, err = k.admitted(ctx, organization, records); err == nil {
		err = k.castOut(ctx, organization, met)
	}
	return changed, err
}

func (k *Kind[T]) putSome(ctx context.Context, organization string, records []T) (changed int, err error) {
	puts := make([]store.Put[T], len(records))
	times := map[string][]time.Time{} // by connection
	for i, r := range records {
		head := r.Head()
		puts[i] = store.Put[T]{ID: head.ID, Value: r}
		times[head.ConnectionID] = append(times[head.ConnectionID], head.At.Time)
	}
	messages, err := k.tell(ctx, organization, records[0].Head().Vendor, times)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, putTime)
	defer cancel()
	changed, err = k.documents.In(organization).PutMany(ctx, puts, messages...)
	if err != nil {
		return 0, fmt.Errorf("keep %s: %w", k.name, err)
	}
	return changed, nil
}

// tell makes the events of changes of a vendor's records, from the records' own times by connection.
func (k *Kind[T]) tell(ctx context.Context, organization, vendor string, byConnection map[string][]time.Time) ([]store.Message, error) {
	var messages []store.Message
	for connection, times := range byConnection {
		for _, r := range rangesOf(times) {
			m, err := integrationsapi.TopicRecordsChanged.Message(ctx, k.emit, organization, integrationsapi.RecordsChanged{
				ConnectionID: connection, Vendor: vendor, Kind: k.name, From: r.From, To: r.To,
			})
			if err != nil {
				return nil, err
			}
			messages = append(messages, m)
		}
	}
	return messages, nil
}

// Page reads a page of an organization's records in r, of all connections or of one, oldest first: store.ErrBadCursor.
func (k *Kind[T]) Page(ctx context.Context, organization, connection string, r Range, cursor string, limit int) (integrationsapi.Page[T], error) {
	found, err := k.documents.In(organization).Find(ctx, k.within(connection, r, cursor, limit))
	if err != nil {
		return integrationsapi.Page[T]{}, fmt.Errorf("read %s: %w", k.name, err)
	}
	page := integrationsapi.Page[T]{Items: make([]T, len(found.Items)), NextCursor: found.Next}
	for i, doc := range found.Items {
		page.Items[i] = doc.Value
	}
	return page, nil
}
