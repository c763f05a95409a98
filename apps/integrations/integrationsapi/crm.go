package integrationsapi

import "github.com/tandemhq/tandem/pkg/store"

// Contact is somebody whom marketing or sales know, whether they ever bought or not.
type Contact struct {
	ID           string     `json:"id" doc:"Unique in the organization, the same in every sync; what contact_ids of a deal name" example:"0197a3f2-1111-7000-8000-000000000001:51"`
	ConnectionID string     `json:"connection_id" doc:"Connection that the contact came through" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string     `json:"vendor" doc:"Vendor that the contact came from" example:"hubspot"`
	Email        string     `json:"email,omitempty" doc:"E-mail address, normalized; missing where the vendor has none" example:"ada@example.com"`
	Phone        string     `json:"phone,omitempty" doc:"Phone number as the vendor has it" example:"+15551234567"`
	FirstName    string     `json:"first_name,omitempty" doc:"First name" example:"Ada"`
	LastName     string     `json:"last_name,omitempty" doc:"Last name" example:"Lovelace"`
	CreatedAt    store.Time `json:"created_at" format:"date-time" doc:"When the vendor came to know the contact, UTC" example:"1997-03-01T12:00:00.000000Z"`
	UpdatedAt    store.Time `json:"updated_at" format:"date-time" doc:"When the vendor last changed the contact, UTC" example:"1997-03-01T12:00:00.000000Z"`
	// Stage is how far the contact is on the way to buying, in the vendor's words.
	Stage string `json:"stage,omitempty" doc:"How far the contact is on the way to buying, in the vendor's words" example:"lead"`
	// Subscribed is nil where the vendor does not say.
	Subscribed *bool `json:"subscribed,omitempty" doc:"Whether marketing mail may be sent; missing where the vendor does not say" example:"true"`
}

// Head implements Record.
func (c Contact) Head() Head {
	return Head{ID: c.ID, ConnectionID: c.ConnectionID, Vendor: c.Vendor, At: c.CreatedAt}
}

// Deal is a sale that somebody works on.
type Deal struct {
	ID           string     `json:"id" doc:"Unique in the organization, the same in every sync" example:"0197a3f2-1111-7000-8000-000000000001:9001"`
	ConnectionID string     `json:"connection_id" doc:"Connection that the deal came through" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string     `json:"vendor" doc:"Vendor that the deal came from" example:"hubspot"`
	Name         string     `json:"name" doc:"What it is about" example:"Lamps for the new office"`
	Pipeline     string     `json:"pipeline,omitempty" doc:"The series of stages that it goes through, in the vendor's words" example:"default"`
	Stage        string     `json:"stage" doc:"Where it is in those, in the vendor's words" example:"appointmentscheduled"`
	ContactIDs   []string   `json:"contact_ids,omitempty" doc:"Whom it is with: ids of contacts" example:"[\"0197a3f2-1111-7000-8000-000000000001:51\"]"`
	CreatedAt    store.Time `json:"created_at" format:"date-time" doc:"When it was entered, UTC" example:"1997-03-01T12:00:00.000000Z"`
	UpdatedAt    store.Time `json:"updated_at" format:"date-time" doc:"When the vendor last changed it, UTC" example:"1997-03-01T12:00:00.000000Z"`
	// ClosedAt is when it was won or lost, or is expected to be.
	ClosedAt    *store.Time `json:"closed_at,omitempty" format:"date-time" doc:"When it was won or lost, or is expected to be, UTC"`
	AmountMinor int64       `json:"amount_minor" doc:"What it is worth, in the currency's minor unit" example:"120000"`
	Currency    string      `json:"currency" doc:"ISO 4217 code" example:"USD"`
	// Status is one of the Deal… constants.
	Status string `json:"status" enum:"open,won,lost,unknown" doc:"What came of it" example:"open"`
}

// What came of a deal.
const (
	DealOpen    = "open"
	DealWon     = "won"
	DealLost    = "lost"
	DealUnknown = "unknown"
)

// Head implements Record.
func (d Deal) Head() Head {
	return Head{ID: d.ID, ConnectionID: d.ConnectionID, Vendor: d.Vendor, At: d.CreatedAt}
}
