package vendor

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// bindWrites binds what the connector can have done at its vendor.
func (m *Module) bindWrites(r *group.Routes, read, write, of group.Option) {
	problems := group.Problems(404, 409, 422, 502, 503)
	if w, ok := m.Connector.(connector.ContactWriter); ok {
		c := contacts{m, w}
		group.Post(r, "/contacts", c.create, write, of, group.Action("enter-contact"), group.Status(http.StatusCreated), problems,
			group.Doc("Enter a contact at the vendor", "It is among the records at once, except for somebody who was erased here. Somebody whose address the vendor has already is left alone: 409, vendor_has_it."))
		group.Patch(r, "/contacts/{contact_id}", c.update, write, of, group.Action("change-contact"), problems,
			group.Doc("Change a contact at the vendor", "What is left out stays as it is. The records have the change at once. Somebody whom the vendor does not have any more: 404, vendor_lacks_it."))
	}
	if w, ok := m.Connector.(connector.DealWriter); ok {
		d := deals{m, w}
		group.Get(r, "/pipelines", d.pipelines, read, of, problems,
			group.Doc("List the pipelines that deals go through, with their stages", "The vendor is asked; nothing is kept."))
		group.Post(r, "/deals", d.create, write, of, group.Action("enter-deal"), group.Status(http.StatusCreated), problems,
			group.Doc("Enter a deal at the vendor", "It is among the records at once, in the account's currency."))
		group.Patch(r, "/deals/{deal_id}", d.update, write, of, group.Action("change-deal"), problems,
			group.Doc("Change a deal at the vendor", "What is left out stays as it is. The records have the change at once."))
	}
	if s, ok := m.Connector.(connector.EventSender); ok {
		group.Post(r, "/events", events{m, s}.send, write, of, group.Action("send-event"), group.Status(http.StatusAccepted), problems,
			group.Doc("Tell the vendor what somebody did", "Automations that wait for such an event begin with it. The vendor takes it up some moments later."))
	}
	if a, ok := m.Connector.(connector.Automator); ok {
		all := automations{m, a.Automations()}
		name := all.of.Name
		group.Get(r, "/"+name, all.list, read, of, problems,
			group.Doc("List the vendor's "+name, "What the vendor does by itself with contacts. The vendor is asked; nothing is kept."))
		if all.of.Enroll != nil {
			group.Post(r, "/"+name+"/{automation_id}/enrollments", all.enroll, write, of, group.Action("enroll"), problems,
				group.Doc("Enroll a contact in one of the "+name, "It begins for the contact at once, whether it has been through it or not, as far as the vendor's settings allow that."))
		}
	}
}

// vendorID is how vendors write ids of what can be written about. It becomes a part of addresses.
var vendorID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// Within finds the vendor's id in a record's, which the connection's begins, and the connection: that of a request, where it says one. What
// is no record of it is not found, as one of somebody else's is: a problem that says what was meant.
func Within(what, record, connection string) (id, of string, err error) {
	of, id, _ = strings.Cut(record, ":")
	if !vendorID.MatchString(id) || !vendorID.MatchString(of) || connection != "" && connection != of {
		return "", "", problem.NotFound(what)
	}
	return id, of, nil
}

// push has something done at the vendor, and keeps what came of it: it is in the records before the next sync. When that fails, it is
// there with it all the same, so nobody is told that it has not been done.
func (m *Module) push(ctx context.Context, id string, do func(a connector.Account) (connector.Records, error)) error {
	var made connector.Records
	organization := identity.Organization(ctx)
	_, err := m.connections.Ask(ctx, organization, m.Name(), id, connection.ForWrite, func(a connector.Account) (err error) {
		made, err = do(a)
		return err
	})
	if err != nil {
		return err
	}
	if _, err := m.records.Put(ctx, organization, made); err != nil {
		m.log.WarnContext(ctx, "what was written at the vendor comes with the next sync only", "vendor", m.Name(), "error", err)
	}
	return nil
}

// contacts is the routes of a vendor at which contacts can be entered.
type contacts struct {
	*Module
	vendor connector.ContactWriter
}

// NewContactInput is somebody to be entered at the vendor.
type NewContactInput struct {
	ConnectionInput
	Body struct {
		Email string `json:"email" format:"email" minLength:"3" maxLength:"254" pattern:"^[^\\s<>@]+@[^\\s<>@]+$" patternDescription:"an address alone, without a name" doc:"E-mail address" example:"ada@example.com"`
		ContactBody
	}
}

// ContactBody is what else is said of a contact.
type ContactBody struct {
	FirstName string `json:"first_name,omitempty" maxLength:"100" doc:"First name" example:"Ada"`
	LastName  string `json:"last_name,omitempty" maxLength:"100" doc:"Last name" example:"Lovelace"`
	Phone     string `json:"phone,omitempty" maxLength:"50" doc:"Phone number, with the code of its country" example:"+15551234567"`
}

func (b ContactBody) fields(email string) connector.ContactFields {
	return connector.ContactFields{Email: email, FirstName: b.FirstName, LastName: b.LastName, Phone: b.Phone}
}

// CodePersonErased refuses to enter somebody at a vendor whom records would not take.
const CodePersonErased = "person_erased"

// admits is a problem person_erased for the address of somebody who was erased.
func (m *Module) admits(ctx context.Context, email string) error {
	erased, err := m.records.ErasedPersons(ctx, identity.Organization(ctx))
	if err == nil && erased.Has(connector.NormalEmail(email)) {
		err = problem.New(http.StatusConflict, CodePersonErased, "this person was erased; POST /api/integrations/records/persons/readmit lets them in again")
	}
	return err
}

func (c contacts) create(ctx context.Context, in *NewContactInput) (*integrationsapi.Contact, error) {
	if err := c.admits(ctx, in.Body.Email); err != nil {
		return nil, err
	}
	return c.write(ctx, in.ConnectionID, func(a connector.Account) (integrationsapi.Contact, error) {
		return c.vendor.CreateContact(ctx, a, in.Body.fields(in.Body.Email))
	})
}

// ContactInput is what is to be changed of a contact.
type ContactInput struct {
	ConnectionInput
	ContactID string `path:"contact_id" maxLength:"220" doc:"The contact, by its id in the records" example:"0197a3f2-1111-7000-8000-000000000001:51"`
	Body      struct {
		Email string `json:"email,omitempty" format:"email" minLength:"3" maxLength:"254" pattern:"^[^\\s<>@]+@[^\\s<>@]+$" patternDescription:"an address alone, without a name" doc:"E-mail address" example:"ada@example.com"`
		ContactBody
	}
}

func (c contacts) update(ctx context.Context, in *ContactInput) (*integrationsapi.Contact, error) {
	id, of, err := Within("contact", in.ContactID, in.ConnectionID)
	if err != nil {
		return nil, err
	}
	fields := in.Body.fields(in.Body.Email)
	if fields == (connector.ContactFields{}) {
		return nil, problem.Invalid("body", "says nothing that is to be changed")
	}
	if err := c.admits(ctx, in.Body.Email); err != nil {
		return nil, err
	}
	return c.write(ctx, of, func(a connector.Account) (integrationsapi.Contact, error) {
		return c.vendor.UpdateContact(ctx, a, id, fields)
	})
}

func (c contacts) write(ctx context.Context, connection string, do func(connector.Account) (integrationsapi.Contact, error)) (*integrationsapi.Contact, error) {
	var written integrationsapi.Contact
	err := c.push(ctx, connection, func(a connector.Account) (_ connector.Records, err error) {
		written, err = do(a)
		return connector.Records{Contacts: []integrationsapi.Contact{written}}, err
	})
	return &written, err
}

// deals is the routes of a vendor at which deals can be entered.
type deals struct {
	*Module
	vendor connector.DealWriter
}

// PipelinesView is the pipelines of an account.
type PipelinesView struct {
	Items []connector.Pipeline `json:"items" nullable:"false" doc:"The pipelines, as the vendor lists them"`
}

func (d deals) pipelines(ctx context.Context, in *ConnectionInput) (*PipelinesView, error) {
	view := PipelinesView{Items: []connector.Pipeline{}}
	_, err := d.connections.Ask(ctx, identity.Organization(ctx), d.Name(), in.ConnectionID, connection.ForRead, func(a connector.Account) error {
		all, err := d.vendor.Pipelines(ctx, a)
		view.Items = append(view.Items, all...)
		return err
	})
	return &view, err
}

// DealBody is what is said of a deal.
type DealBody struct {
	Stage       string `json:"stage,omitempty" maxLength:"100" doc:"Where it is in the pipeline: a stage's id; the first one of a new deal without it" example:"e93ba61a-53b3-45e7-985a-c7732dbcdb69"`
	Status      string `json:"status,omitempty" enum:"open,won,lost" doc:"What came of it; open for a new deal without it" example:"open"`
	AmountMinor *int64 `json:"amount_minor,omitempty" minimum:"0" maximum:"100000000000000" doc:"What it is worth, in the minor unit of its currency, which is the account's for a new deal" example:"120000"`
	Expected    string `json:"expected_on,omitempty" format:"date" doc:"Day on which it is expected to be closed" example:"1997-04-01"`
}

func (b DealBody) fields(name, pipeline string) (connector.DealFields, error) {
	d := connector.DealFields{Name: name, Pipeline: pipeline, Stage: b.Stage, Status: b.Status, AmountMinor: b.AmountMinor}
	if b.Expected != "" {
		day, err := time.Parse(time.DateOnly, b.Expected)
		if err != nil {
			return d, problem.Invalid("body.expected_on", "want a date such as 1997-04-01")
		}
		d.Expected = day
	}
	return d, nil
}

// NewDealInput is a deal to be entered at the vendor.
type NewDealInput struct {
	ConnectionInput
	Body struct {
		Name      string `json:"name" minLength:"1" maxLength:"200" doc:"What it is about" example:"Lamps for the new office"`
		Pipeline  string `json:"pipeline" minLength:"1" maxLength:"100" doc:"The pipeline's id" example:"VDm7RPYC2GLUvdpKmBfC"`
		ContactID string `json:"contact_id" minLength:"1" maxLength:"220" doc:"Whom it is with: the contact's id in the records" example:"0197a3f2-1111-7000-8000-000000000001:51"`
		DealBody
	}
}

func (d deals) create(ctx context.Context, in *NewDealInput) (*integrationsapi.Deal, error) {
	contact, of, err := Within("contact", in.Body.ContactID, in.ConnectionID)
	if err != nil {
		return nil, err
	}
	fields, err := in.Body.fields(in.Body.Name, in.Body.Pipeline)
	if err != nil {
		return nil, err
	}
	fields.ContactID = contact
	return d.write(ctx, of, func(a connector.Account) (integrationsapi.Deal, error) { return d.vendor.CreateDeal(ctx, a, fields) })
}

// DealInput is what is to be changed of a deal.
type DealInput struct {
	ConnectionInput
	DealID string `path:"deal_id" maxLength:"220" doc:"The deal, by its id in the records" example:"0197a3f2-1111-7000-8000-000000000001:9001"`
	Body   struct {
		Name     string `json:"name,omitempty" maxLength:"200" doc:"What it is about" example:"Lamps for the new office"`
		Pipeline string `json:"pipeline,omitempty" maxLength:"100" doc:"The pipeline's id" example:"VDm7RPYC2GLUvdpKmBfC"`
		DealBody
	}
}

func (d deals) update(ctx context.Context, in *DealInput) (*integrationsapi.Deal, error) {
	id, of, err := Within("deal", in.DealID, in.ConnectionID)
	if err != nil {
		return nil, err
	}
	fields, err := in.Body.fields(in.Body.Name, in.Body.Pipeline)
	if err != nil {
		return nil, err
	}
	if fields == (connector.DealFields{}) {
		return nil, problem.Invalid("body", "says nothing that is to be changed")
	}
	return d.write(ctx, of, func(a connector.Account) (integrationsapi.Deal, error) {
		return d.vendor.UpdateDeal(ctx, a, id, fields)
	})
}

func (d deals) write(ctx context.Context, connection string, do func(connector.Account) (integrationsapi.Deal, error)) (*integrationsapi.Deal, error) {
	var written integrationsapi.Deal
	err := d.push(ctx, connection, func(a connector.Account) (_ connector.Records, err error) {
		written, err = do(a)
		return connector.Records{Deals: []integrationsapi.Deal{written}}, err
	})
	return &written, err
}

// events is the route of a vendor that can be told what people do.
type events struct {
	*Module
	vendor connector.EventSender
}

// NewEventInput is something that somebody did.
type NewEventInput struct {
	ConnectionInput
	Body struct {
		Name       string         `json:"name" minLength:"1" maxLength:"128" doc:"The vendor's metric; one that there is not yet is made" example:"Booked a demonstration"`
		ContactID  string         `json:"contact_id,omitempty" maxLength:"220" doc:"Who did it: the contact's id in the records" example:"0197a3f2-1111-7000-8000-000000000001:51"`
		Email      string         `json:"email,omitempty" format:"email" maxLength:"254" pattern:"^[^\\s<>@]+@[^\\s<>@]+$" patternDescription:"an address alone, without a name" doc:"Who did it, in the place of contact_id: an address, of which the vendor makes a contact where it has none" example:"ada@example.com"`
		EventID    string         `json:"event_id,omitempty" maxLength:"100" doc:"Makes that the event counts once, also when it is sent again" example:"demonstration-4711"`
		At         string         `json:"at,omitempty" format:"date-time" doc:"When; now without it" example:"1997-03-01T12:00:00Z"`
		ValueMinor *int64         `json:"value_minor,omitempty" minimum:"0" maximum:"100000000000000" doc:"What it is worth, in the currency's minor unit" example:"9900"`
		Currency   string         `json:"currency,omitempty" pattern:"^[A-Z]{3}$" doc:"ISO 4217 code, with a value" example:"USD"`
		Properties map[string]any `json:"properties,omitempty" doc:"What else is to be known of it, as messages of automations can show it" example:"{\"city\":\"Graz\"}"`
	}
}

// AcceptedView says that the vendor has taken something up.
type AcceptedView struct {
	ConnectionID string `json:"connection_id" doc:"Connection through which it was told" example:"0197a3f2-1111-7000-8000-000000000001"`
}

func (e events) send(ctx context.Context, in *NewEventInput) (*AcceptedView, error) {
	b, of := in.Body, in.ConnectionID
	event := connector.NewEvent{Name: b.Name, Email: b.Email, ID: b.EventID, ValueMinor: b.ValueMinor, Currency: b.Currency, Properties: b.Properties}
	if (b.ContactID == "") == (b.Email == "") {
		return nil, problem.Invalid("body", "wants either contact_id or email")
	}
	if (b.ValueMinor == nil) != (b.Currency == "") {
		return nil, problem.Invalid("body.currency", "goes with value_minor")
	}
	var err error
	if b.ContactID != "" {
		if event.ContactID, of, err = Within("contact", b.ContactID, of); err != nil {
			return nil, err
		}
	}
	if b.At != "" {
		if event.At, err = time.Parse(time.RFC3339, b.At); err != nil {
			return nil, problem.Invalid("body.at", "want an instant such as 1997-03-01T12:00:00Z")
		}
	}
	c, err := e.connections.Ask(ctx, identity.Organization(ctx), e.Name(), of, connection.ForWrite, func(a connector.Account) error { return e.vendor.SendEvent(ctx, a, event) })
	return &AcceptedView{c.ID}, err
}

// automations is the routes of a vendor that does things by itself.
type automations struct {
	*Module
	of connector.Automations
}

// ListInput is a page of what a connection is asked for.
type ListInput struct {
	ConnectionInput
	PageInput
}

// AutomationsView is a page of automations.
type AutomationsView struct {
	Items      []connector.Automation `json:"items" nullable:"false" doc:"The automations, as the vendor lists them"`
	NextCursor string                 `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last" example:"NTI1Cg=="`
}

func (o automations) list(ctx context.Context, in *ListInput) (*AutomationsView, error) {
	view := AutomationsView{}
	_, err := o.connections.Ask(ctx, identity.Organization(ctx), o.Name(), in.ConnectionID, connection.ForRead, func(a connector.Account) error {
		all, next, err := o.of.List(ctx, a, in.Cursor, in.Limit)
		view.Items, view.NextCursor = append([]connector.Automation{}, all...), next
		return err
	})
	return &view, err
}

// EnrollInput is a contact to be enrolled in an automation.
type EnrollInput struct {
	ConnectionInput
	AutomationID string `path:"automation_id" maxLength:"100" doc:"The automation, by the vendor's id" example:"585051946"`
	Body         struct {
		ContactID string `json:"contact_id" minLength:"1" maxLength:"220" doc:"The contact's id in the records" example:"0197a3f2-1111-7000-8000-000000000001:51"`
	}
}

// EnrolledView is who was enrolled in what.
type EnrolledView struct {
	ConnectionID string     `json:"connection_id" doc:"Connection whose vendor has it" example:"0197a3f2-1111-7000-8000-000000000001"`
	AutomationID string     `json:"automation_id" doc:"The automation, by the vendor's id" example:"585051946"`
	ContactID    string     `json:"contact_id" doc:"The contact's id in the records" example:"0197a3f2-1111-7000-8000-000000000001:51"`
	EnrolledAt   store.Time `json:"enrolled_at" format:"date-time" doc:"When, UTC" example:"1997-03-01T12:00:00.000000Z"`
}

func (o automations) enroll(ctx context.Context, in *EnrollInput) (*EnrolledView, error) {
	contact, of, err := Within("contact", in.Body.ContactID, in.ConnectionID)
	if err == nil && !vendorID.MatchString(in.AutomationID) {
		err = problem.NotFound("automation")
	}
	if err != nil {
		return nil, err
	}
	_, err = o.connections.Ask(ctx, identity.Organization(ctx), o.Name(), of, connection.ForWrite, func(a connector.Account) error {
		return o.of.Enroll(ctx, a, in.AutomationID, contact)
	})
	return &EnrolledView{of, in.AutomationID, in.Body.ContactID, store.At(o.connections.Now())}, err
}
