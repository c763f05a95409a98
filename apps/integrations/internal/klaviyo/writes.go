package klaviyo

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/store"
)

// whole has an answer tell of a profile what a sync reads of it.
const whole = "?additional-fields%5Bprofile%5D=subscriptions"

// profileAttributes are those that are said of a contact.
func profileAttributes(f connector.ContactFields) map[string]string {
	return f.Named("email", "first_name", "last_name", "phone_number")
}

// CreateContact implements connector.ContactWriter.
func (c *Connector) CreateContact(ctx context.Context, a connector.Account, f connector.ContactFields) (integrationsapi.Contact, error) {
	var made struct {
		Data profile `json:"data"`
	}
	err := c.client.post(ctx, a, "/api/profiles"+whole, "profile", profileAttributes(f), &made)
	return written(made.Data, a, connector.OfInput(err))
}

// UpdateContact implements connector.ContactWriter.
func (c *Connector) UpdateContact(ctx context.Context, a connector.Account, id string, f connector.ContactFields) (integrationsapi.Contact, error) {
	var changed struct {
		Data profile `json:"data"`
	}
	err := c.client.write(ctx, http.MethodPatch, a, "/api/profiles/"+url.PathEscape(id)+whole, resource{"profile", id, profileAttributes(f)}, &changed)
	return written(changed.Data, a, connector.OfObject(err))
}

func written(p profile, a connector.Account, err error) (integrationsapi.Contact, error) {
	if err != nil {
		return integrationsapi.Contact{}, err
	}
	contact, err := p.contact(a.Connection)
	if err != nil {
		return contact, connector.BadAnswer("profile %.60q, which was written: %w", p.ID, err)
	}
	return contact, nil
}

// SendEvent implements connector.EventSender. Flows that a metric triggers begin with events of it.
func (c *Connector) SendEvent(ctx context.Context, a connector.Account, e connector.NewEvent) error {
	type wrapped struct {
		Data resource `json:"data"`
	}
	who := resource{Type: "profile", ID: e.ContactID, Attributes: connector.ContactFields{Email: e.Email}.Named("email", "", "", "")}
	attributes := struct {
		Properties map[string]any `json:"properties"`
		Time       string         `json:"time,omitempty"`
		Value      json.Number    `json:"value,omitempty"`
		Currency   string         `json:"value_currency,omitempty"`
		UniqueID   string         `json:"unique_id,omitempty"`
		Metric     wrapped        `json:"metric"`
		Profile    wrapped        `json:"profile"`
	}{
		Properties: e.Properties, Currency: e.Currency, UniqueID: e.ID,
		Metric: wrapped{resource{Type: "metric", Attributes: map[string]string{"name": e.Name}}}, Profile: wrapped{who},
	}
	if attributes.Properties == nil {
		attributes.Properties = map[string]any{} // which has to be there
	}
	if !e.At.IsZero() {
		attributes.Time = e.At.UTC().Format(time.RFC3339)
	}
	if e.ValueMinor != nil {
		attributes.Value = json.Number(money.Amount{Minor: *e.ValueMinor, Digits: money.MinorDigits(e.Currency)}.String())
	}
	err := c.client.post(ctx, a, "/api/events", "event", attributes, nil)
	return connector.OfObject(err)
}

// flowsPage is the most flows of a page.
const flowsPage = 50

// Automations implements connector.Automator. A flow cannot be begun by its id: those that a metric triggers begin with an event.
func (c *Connector) Automations() connector.Automations {
	return connector.Automations{Name: "flows", List: c.flows}
}

type flow struct {
	ID         string `json:"id"`
	Attributes struct {
		Name     string    `json:"name"`
		Status   string    `json:"status"`
		Archived bool      `json:"archived"`
		Trigger  string    `json:"trigger_type"`
		Created  time.Time `json:"created"`
		Updated  time.Time `json:"updated"`
	} `json:"attributes"`
}

// flowStatuses are the statuses of flows in shared terms.
var flowStatuses = map[string]string{
	"live": connector.AutomationActive, "manual": connector.AutomationManual, "draft": connector.AutomationDraft,
}

func (f flow) automation() (connector.Automation, error) {
	of := f.Attributes
	if f.ID == "" || of.Created.IsZero() || of.Updated.IsZero() {
		return connector.Automation{}, connector.BadAnswer("flow %.60q without an id or a time", f.ID)
	}
	status, known := flowStatuses[of.Status]
	switch {
	case of.Archived:
		status = connector.AutomationArchived
	case !known:
		status = connector.AutomationUnknown
	}
	return connector.Automation{ID: f.ID, Name: of.Name, Status: status, Trigger: of.Trigger, CreatedAt: store.At(of.Created), UpdatedAt: store.At(of.Updated)}, nil
}

func (c *Connector) flows(ctx context.Context, a connector.Account, cursor string, size int) (page []connector.Automation, next string, err error) {
	query := list("created", cursor, min(size, flowsPage))
	var got struct {
		Data  []flow `json:"data"`
		Links links  `json:"links"`
	}
	if err := c.client.get(ctx, a, "/api/flows", query, &got); err != nil {
		return nil, "", connector.OfInput(err)
	}
	for _, f := range got.Data {
		one, err := f.automation()
		if err != nil {
			return nil, "", err
		}
		page = append(page, one)
	}
	next, err = got.Links.cursor("page[cursor]", cursor)
	return page, next, err
}

// Event is something that somebody did.
type Event struct {
	ID         string         `json:"id" doc:"Klaviyo's id" example:"3vNQ5pRZbA7"`
	Name       string         `json:"name" doc:"Name of the metric" example:"Placed Order"`
	MetricID   string         `json:"metric_id" doc:"Klaviyo's id of the metric" example:"RESQ6t"`
	ContactID  string         `json:"contact_id" doc:"Who did it: the contact's id in the records" example:"0197a3f2-1111-7000-8000-000000000001:01GDDKASAP8TKDDA2GRZDSVP4H"`
	At         store.Time     `json:"at" format:"date-time" doc:"When, UTC" example:"1997-03-01T12:00:00.000000Z"`
	Properties map[string]any `json:"properties,omitempty" doc:"What else is known of it, as whoever reported it has said" example:"{\"city\":\"Graz\"}"`
}

// EventsQuery selects events; what is empty selects all.
type EventsQuery struct {
	ContactID, MetricID string // the vendor's
	From, To            time.Time
}

// Events asks for a page of the events, the latest first: an *Error.
func (c *Connector) Events(ctx context.Context, a connector.Account, q EventsQuery, cursor string, size int) (page []Event, next string, err error) {
	var filters []string
	if q.ContactID != "" {
		filters = append(filters, "equals(profile_id,"+strconv.Quote(q.ContactID)+")")
	}
	if q.MetricID != "" {
		filters = append(filters, "equals(metric_id,"+strconv.Quote(q.MetricID)+")")
	}
	if !q.From.IsZero() {
		filters = append(filters, "greater-or-equal(datetime,"+q.From.UTC().Format(time.RFC3339)+")")
	}
	if !q.To.IsZero() {
		filters = append(filters, "less-than(datetime,"+q.To.UTC().Format(time.RFC3339)+")")
	}
	query := list("-datetime", cursor, size, filters...)
	query.Set("include", "metric")
	query.Set("fields[metric]", "name")
	var got struct {
		Data []struct {
			ID         string `json:"id"`
			Attributes struct {
				At         time.Time      `json:"datetime"`
				Properties map[string]any `json:"event_properties"`
			} `json:"attributes"`
			Relationships struct{ Metric, Profile relation } `json:"relationships"`
		} `json:"data"`
		Included []named `json:"included"`
		Links    links   `json:"links"`
	}
	if err := c.client.get(ctx, a, "/api/events", query, &got); err != nil {
		return nil, "", connector.OfInput(err)
	}
	names := map[string]string{}
	for _, m := range got.Included {
		names[m.ID] = m.Attributes.Name
	}
	for _, e := range got.Data {
		metric, who := e.Relationships.Metric.Data.ID, e.Relationships.Profile.Data.ID
		if e.ID == "" || metric == "" || who == "" || e.Attributes.At.IsZero() {
			return nil, "", connector.BadAnswer("event %.60q without an id, a metric, a profile or a time", e.ID)
		}
		page = append(page, Event{e.ID, names[metric], metric, a.Connection + ":" + who, store.At(e.Attributes.At), e.Attributes.Properties})
	}
	next, err = got.Links.cursor("page[cursor]", cursor)
	return page, next, err
}

// relation is what a resource belongs to.
type relation struct {
	Data struct {
		ID string `json:"id"`
	} `json:"data"`
}
