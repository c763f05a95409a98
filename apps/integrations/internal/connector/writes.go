package connector

import (
	"context"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/store"
)

// What a connector can have done at its vendor, each a kind of its own: who implements one has its routes (see package vendor). Ids
// are the vendor's own. Errors are an *Error: CodeInputRefused where the vendor does not take what is said, CodeMissing where it does
// not have what is meant. None of them is tried again by itself where it may have been done already.

// ContactWriter is a connector that can enter contacts at its vendor, and change them. Both return the contact as it is there
// then, as a sync would read it.
type ContactWriter interface {
	Connector
	// CreateContact enters somebody: CodeExists where the vendor has somebody of that address.
	CreateContact(ctx context.Context, a Account, c ContactFields) (integrationsapi.Contact, error)
	// UpdateContact changes what is said of somebody; what is empty stays.
	UpdateContact(ctx context.Context, a Account, id string, c ContactFields) (integrationsapi.Contact, error)
}

// ContactFields are what is said of a contact. One that is entered has an Email.
type ContactFields struct{ Email, FirstName, LastName, Phone string }

// Named are the fields that are not empty, by the vendor's names of them.
func (c ContactFields) Named(email, first, last, phone string) map[string]string {
	named := map[string]string{}
	for name, text := range map[string]string{email: c.Email, first: c.FirstName, last: c.LastName, phone: c.Phone} {
		if text != "" {
			named[name] = text
		}
	}
	return named
}

// DealWriter is a connector that can enter deals at its vendor, and change them. Both return the deal as it is there then.
type DealWriter interface {
	Connector
	// Pipelines are the series of stages that deals go through.
	Pipelines(ctx context.Context, a Account) ([]Pipeline, error)
	// CreateDeal enters one, which has a Name, a Pipeline and a ContactID.
	CreateDeal(ctx context.Context, a Account, d DealFields) (integrationsapi.Deal, error)
	// UpdateDeal changes what is said of one; what is empty stays. ContactID cannot be changed.
	UpdateDeal(ctx context.Context, a Account, id string, d DealFields) (integrationsapi.Deal, error)
}

// DealFields are what is said of a deal.
type DealFields struct {
	Name, Pipeline, Stage, ContactID string
	// Status is integrationsapi.DealOpen, DealWon or DealLost.
	Status string
	// AmountMinor is in the minor unit of its currency, the account's for a new one; nil where nothing is said.
	AmountMinor *int64
	// Expected is the day on which it is expected to be closed; zero where nothing is said.
	Expected time.Time
}

// Pipeline is a series of stages that deals go through.
type Pipeline struct {
	ID     string  `json:"id" doc:"The vendor's id, which pipeline of a deal is" example:"VDm7RPYC2GLUvdpKmBfC"`
	Name   string  `json:"name" doc:"Name for people" example:"Sales"`
	Stages []Stage `json:"stages" nullable:"false" doc:"Its stages in their order"`
}

// Stage is where a deal can be in a pipeline.
type Stage struct {
	ID   string `json:"id" doc:"The vendor's id, which stage of a deal is" example:"e93ba61a-53b3-45e7-985a-c7732dbcdb69"`
	Name string `json:"name" doc:"Name for people" example:"Proposal sent"`
}

// Automator is a connector whose vendor does things by itself with contacts.
type Automator interface {
	Connector
	Automations() Automations
}

// Automations are what a vendor does by itself.
type Automations struct {
	// Name is the vendor's for them, as in routes: "workflows".
	Name string
	// List is a page of them, of at most size.
	List func(ctx context.Context, a Account, cursor string, size int) (list []Automation, next string, err error)
	// Enroll puts a contact into one of them, which begins with it. Nil where they begin by events only (see EventSender).
	Enroll func(ctx context.Context, a Account, automation, contact string) error
}

// Automation is something that a vendor does by itself.
type Automation struct {
	ID   string `json:"id" doc:"The vendor's id" example:"585051946"`
	Name string `json:"name" doc:"Name for people" example:"Welcome"`
	// Status is one of the Automation… constants.
	Status string `json:"status" enum:"active,manual,draft,paused,archived,unknown" doc:"Whether it runs; manual: it runs, and what it sends waits for somebody" example:"active"`
	// Trigger is in the vendor's words.
	Trigger string `json:"trigger,omitempty" doc:"What begins it, in the vendor's words; missing where the vendor does not say" example:"Metric"`
	// Enrolls tells whether Enroll works for it.
	Enrolls   bool       `json:"enrolls" doc:"Whether contacts can be enrolled in it"`
	CreatedAt store.Time `json:"created_at" format:"date-time" doc:"When it was made, UTC" example:"1997-03-01T12:00:00.000000Z"`
	UpdatedAt store.Time `json:"updated_at" format:"date-time" doc:"When it was last changed, UTC" example:"1997-03-01T12:00:00.000000Z"`
}

// Whether an automation runs.
const (
	AutomationActive   = "active"
	AutomationManual   = "manual"
	AutomationDraft    = "draft"
	AutomationPaused   = "paused"
	AutomationArchived = "archived"
	AutomationUnknown  = "unknown"
)

// EventSender is a connector whose vendor can be told what somebody did, by which automations begin.
type EventSender interface {
	Connector
	// SendEvent tells it. The vendor takes it up later.
	SendEvent(ctx context.Context, a Account, e NewEvent) error
}

// NewEvent is something that somebody did.
type NewEvent struct {
	// Name is that of the vendor's metric.
	Name string
	// ContactID or else Email is who did it; of an address that the vendor does not know, it makes a contact.
	ContactID, Email string
	// ID makes that an event that is sent again counts once; empty where it need not.
	ID string
	// At is when; zero for now.
	At time.Time
	// ValueMinor is what it is worth in the minor unit of Currency, nil where it is worth nothing.
	ValueMinor *int64
	Currency   string
	Properties map[string]any
}
