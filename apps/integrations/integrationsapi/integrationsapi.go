// Package integrationsapi is what other groups may know of integrations: its records, events and a typed client.
package integrationsapi

import (
	"time"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Name is the group's name.
const Name = topology.Integrations

// The kinds of records, as streams, routes and RecordsChanged name them.
const (
	KindOrders    = "orders"
	KindCustomers = "customers"
	KindProducts  = "products"
)

// Record is a normalized record of any kind.
type Record interface {
	Order | Customer | Product
	// Head is what records of every kind have.
	Head() Head
}

// Head is what a record of any kind is known by.
type Head struct {
	// ID is unique in the organization and the kind, and the same in every sync.
	ID           string
	ConnectionID string
	Vendor       string
	// At is the record's own time, by which it is read. It never changes.
	At store.Time
}

// Order is an order as every vendor's is kept: money in minor units, instants in UTC.
type Order struct {
	// ID is unique in the organization and the same in every sync.
	ID           string `json:"id" doc:"Unique in the organization, the same in every sync" example:"0197a3f2-1111-7000-8000-000000000001:5001"`
	ConnectionID string `json:"connection_id" doc:"Connection that the order came through" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string `json:"vendor" doc:"Vendor that the order came from" example:"shopify"`
	Number       string `json:"number" doc:"The order's number as its buyer knows it" example:"#1001"`
	// CustomerID names the buyer; those of different connections are different. Empty for a guest.
	CustomerID string `json:"customer_id,omitempty" doc:"Buyer, unique in the organization; missing for a guest" example:"0197a3f2-1111-7000-8000-000000000001:4"`
	// PlacedAt never changes for an order.
	PlacedAt  store.Time `json:"placed_at" format:"date-time" doc:"When the buyer placed the order, UTC" example:"1997-03-01T12:00:00.000000Z"`
	UpdatedAt store.Time `json:"updated_at" format:"date-time" doc:"When the vendor last changed the order, UTC" example:"1997-03-01T12:00:00.000000Z"`
	// TotalMinor is the total before returns, with taxes, shipping and discounts.
	TotalMinor int64  `json:"total_minor" doc:"Total before returns, with taxes, shipping and discounts, in the currency's minor unit" example:"2933"`
	Currency   string `json:"currency" doc:"ISO 4217 code" example:"USD"`
	Items      int    `json:"items" doc:"Pieces bought" example:"2"`
	// Status is one of the Order… constants.
	Status      string      `json:"status" enum:"pending,authorized,paid,partially_paid,partially_refunded,refunded,voided,expired,unknown" doc:"How far the payment is" example:"paid"`
	CancelledAt *store.Time `json:"cancelled_at,omitempty" format:"date-time" doc:"When the order was cancelled, UTC; missing when it was not"`
	Test        bool        `json:"test" doc:"Placed to try the shop out; counts nowhere"`
}

// How far the payment of an order is.
const (
	OrderPending           = "pending"
	OrderAuthorized        = "authorized"
	OrderPaid              = "paid"
	OrderPartiallyPaid     = "partially_paid"
	OrderPartiallyRefunded = "partially_refunded"
	OrderRefunded          = "refunded"
	OrderVoided            = "voided"
	OrderExpired           = "expired"
	OrderUnknown           = "unknown"
)

// Head implements Record.
func (o Order) Head() Head { return Head{o.ID, o.ConnectionID, o.Vendor, o.PlacedAt} }

// Customer is somebody whom a vendor keeps as a customer, whether they bought or not.
type Customer struct {
	// ID is what Order.CustomerID names.
	ID           string     `json:"id" doc:"Unique in the organization, the same in every sync; what customer_id of an order names" example:"0197a3f2-1111-7000-8000-000000000001:4"`
	ConnectionID string     `json:"connection_id" doc:"Connection that the customer came through" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string     `json:"vendor" doc:"Vendor that the customer came from" example:"shopify"`
	Email        string     `json:"email,omitempty" doc:"E-mail address, normalized; missing where the vendor has none" example:"ada@example.com"`
	FirstName    string     `json:"first_name,omitempty" doc:"First name" example:"Ada"`
	LastName     string     `json:"last_name,omitempty" doc:"Last name" example:"Lovelace"`
	CreatedAt    store.Time `json:"created_at" format:"date-time" doc:"When the vendor came to know the customer, UTC" example:"1997-03-01T12:00:00.000000Z"`
	UpdatedAt    store.Time `json:"updated_at" format:"date-time" doc:"When the vendor last changed the customer, UTC" example:"1997-03-01T12:00:00.000000Z"`
	// Orders and SpentMinor are the vendor's own count and sum, which may include cancelled orders and tests.
	Orders     int    `json:"orders" doc:"Orders by the vendor's own count" example:"3"`
	SpentMinor int64  `json:"spent_minor" doc:"Spent by the vendor's own sum, in the currency's minor unit" example:"10450"`
	Currency   string `json:"currency" doc:"ISO 4217 code" example:"USD"`
}

// Head implements Record.
func (c Customer) Head() Head { return Head{c.ID, c.ConnectionID, c.Vendor, c.CreatedAt} }

// Product is something that is sold, in one or more variants.
type Product struct {
	ID           string     `json:"id" doc:"Unique in the organization, the same in every sync" example:"0197a3f2-1111-7000-8000-000000000001:7001"`
	ConnectionID string     `json:"connection_id" doc:"Connection that the product came through" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string     `json:"vendor" doc:"Vendor that the product came from" example:"shopify"`
	Title        string     `json:"title" doc:"The product's name" example:"Linen Lamp"`
	Brand        string     `json:"brand,omitempty" doc:"Who makes it" example:"Sandbox Goods"`
	Category     string     `json:"category,omitempty" doc:"The seller's own category" example:"Lamp"`
	CreatedAt    store.Time `json:"created_at" format:"date-time" doc:"When the product was entered, UTC" example:"1997-03-01T12:00:00.000000Z"`
	UpdatedAt    store.Time `json:"updated_at" format:"date-time" doc:"When the vendor last changed the product, UTC" example:"1997-03-01T12:00:00.000000Z"`
	// Status is one of the Product… constants.
	Status string `json:"status" enum:"active,draft,archived,unlisted,unknown" doc:"Whether it is for sale" example:"active"`
	// PriceMinMinor and PriceMaxMinor are the prices of the cheapest and the dearest variant.
	PriceMinMinor int64  `json:"price_min_minor" doc:"Price of the cheapest variant, in the currency's minor unit" example:"2999"`
	PriceMaxMinor int64  `json:"price_max_minor" doc:"Price of the dearest variant, in the currency's minor unit" example:"4999"`
	Currency      string `json:"currency" doc:"ISO 4217 code" example:"USD"`
}

// Whether a product is for sale.
const (
	ProductActive   = "active"
	ProductDraft    = "draft"
	ProductArchived = "archived"
	ProductUnlisted = "unlisted"
	ProductUnknown  = "unknown"
)

// Head implements Record.
func (p Product) Head() Head { return Head{p.ID, p.ConnectionID, p.Vendor, p.CreatedAt} }

// Page is a part of a list of records.
type Page[T Record] struct {
	Items      []T    `json:"items" nullable:"false" doc:"Records by their own time, oldest first"`
	NextCursor string `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// RecordsChanged tells that records of a kind, in a range of time, are new or different. Ranges of one write may be told
// apart in several events, and may hold records that did not change.
type RecordsChanged struct {
	ConnectionID string `json:"connection_id"`
	Vendor       string `json:"vendor"`
	// Kind is one of the Kind… constants.
	Kind string `json:"kind"`
	// From and To bound the records' own time (Head.At), From inclusive, To exclusive, in UTC.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// SyncFinished tells that a sync has ended, well or not. What it changed was told before by RecordsChanged.
type SyncFinished struct {
	RunID        string `json:"run_id"`
	ConnectionID string `json:"connection_id"`
	Stream       string `json:"stream"`
	// Mode is backfill or incremental.
	Mode string `json:"mode"`
	// Status is succeeded, failed or cancelled.
	Status string `json:"status"`
	// Code says why it failed.
	Code string `json:"code,omitempty"`
	// Records counts what was read from the vendor, repeats included; Changed what was new or different.
	Records    int       `json:"records"`
	Changed    int       `json:"changed"`
	FinishedAt time.Time `json:"finished_at"`
}

// ConnectionChanged tells of a connection that was made, made anew or ended.
type ConnectionChanged struct {
	ConnectionID string `json:"connection_id"`
	Vendor       string `json:"vendor"`
	// Account is the vendor's name of what is connected, such as a shop's domain.
	Account string `json:"account"`
}

// The events of the group.
var (
	TopicRecordsChanged         = events.Topic[RecordsChanged]{Name: "integrations.records.changed"}
	TopicSyncFinished           = events.Topic[SyncFinished]{Name: "integrations.sync.finished"}
	TopicConnectionCreated      = events.Topic[ConnectionChanged]{Name: "integrations.connection.created"}
	TopicConnectionDisconnected = events.Topic[ConnectionChanged]{Name: "integrations.connection.disconnected"}
)
