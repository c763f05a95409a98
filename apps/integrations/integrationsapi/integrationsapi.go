// Package integrationsapi is what other groups may know of integrations: its records, events and a typed client.
package integrationsapi

import (
	"time"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Kinds of resources, as audit entries name them: "<kind>:<id>".
const (
	KindConnection = "connection"
	KindSync       = "sync"
)

// Name is the group's name.
const Name = topology.Integrations

// The kinds of records, as streams, routes and RecordsChanged name them.
const (
	KindOrders           = "orders"
	KindCustomers        = "customers"
	KindProducts         = "products"
	KindPayments         = "payments"
	KindContacts         = "contacts"
	KindDeals            = "deals"
	KindCampaigns        = "campaigns"
	KindPerformance      = "performance"
	KindEmailPerformance = "email_performance"
)

// Record is a normalized record of any kind.
type Record interface {
	Order | Customer | Product | Payment | Contact | Deal | Campaign | Performance | EmailPerformance
	// Head is what records of every kind have.
	Head() Head
	// Valid says what makes the record impossible, such as a negative count.
	Valid() error
}

// Head is what a record of any kind is known by.
type Head struct {
	// ID is unique in the organization and the kind, and the same in every sync.
	ID           string
	ConnectionID string
	Vendor       string
	// At is the record's own time, by which it is read. It never changes.
	At store.Time
	// AccountID is the vendor's id of the account among several that one connection opens; empty where there is one.
	AccountID string
}

// Page is a part of a list of records.
type Page[T Record] struct {
	Items      []T    `json:"items" nullable:"false" doc:"Records by their own time, oldest first"`
	NextCursor string `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// Change is a record that is new or different, or that was removed.
type Change[T Record] struct {
	ID        string     `json:"id" doc:"The record's id" example:"0197a3f2-1111-7000-8000-000000000001:5001"`
	ChangedAt store.Time `json:"changed_at" format:"date-time" doc:"When this platform stored or removed it, UTC" example:"1997-03-01T12:00:00.000000Z"`
	Removed   bool       `json:"removed,omitempty" doc:"It is there no more"`
	Record    *T         `json:"record,omitempty" doc:"The record as it is now; missing where it was removed"`
}

// Changes is a part of what changed.
type Changes[T Record] struct {
	Items      []Change[T] `json:"items" nullable:"false" doc:"Changes in the order in which they were made"`
	NextCursor string      `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last" example:"eyJ1bnRpbCI6IjE5OTctMDMtMDFUMTI6MDA6MDAuMDAwMDAwWiJ9"`
	Watermark  store.Time  `json:"watermark" format:"date-time" doc:"Up to when all pages together have everything: since of the next reading, UTC" example:"1997-03-01T12:00:00.000000Z"`
}

// RecordsChanged tells that records of a kind, in a range of time, are new or different, or were removed. Ranges of one write may be told
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
	// Mode is backfill, incremental or full.
	Mode string `json:"mode"`
	// Status is succeeded, failed or cancelled.
	Status string `json:"status"`
	// Code says why it failed.
	Code string `json:"code,omitempty"`
	// Records counts what was read from the vendor, repeats included; Changed what was new or different.
	Records int `json:"records"`
	Changed int `json:"changed"`
	// Quarantined counts what did not validate.
	Quarantined int `json:"quarantined"`
	// Removed counts what the vendor has no more, of a full sync.
	Removed    int       `json:"removed"`
	FinishedAt time.Time `json:"finished_at"`
}

// ConnectionChanged tells of a connection that was made, made anew or ended.
type ConnectionChanged struct {
	ConnectionID string `json:"connection_id"`
	Vendor       string `json:"vendor"`
	// Account is the vendor's name of what is connected, such as a shop's domain.
	Account string `json:"account"`
}

// WebhookReceived tells that a vendor has told of something. What it leads to, such as a sync, is told by other events.
type WebhookReceived struct {
	ConnectionID string `json:"connection_id"`
	Vendor       string `json:"vendor"`
	// Topic is what happened, in the vendor's words.
	Topic string `json:"topic"`
	// DeliveryID is this platform's id of the delivery.
	DeliveryID string    `json:"delivery_id"`
	ReceivedAt time.Time `json:"received_at"`
}

// The events of the group.
var (
	TopicRecordsChanged         = events.Topic[RecordsChanged]{Name: "integrations.records.changed"}
	TopicSyncFinished           = events.Topic[SyncFinished]{Name: "integrations.sync.finished"}
	TopicConnectionCreated      = events.Topic[ConnectionChanged]{Name: "integrations.connection.created"}
	TopicWebhookReceived        = events.Topic[WebhookReceived]{Name: "integrations.webhook.received"}
	TopicConnectionDisconnected = events.Topic[ConnectionChanged]{Name: "integrations.connection.disconnected"}
)
