package gohighlevel

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/store"
)

// contactBody is what a request says of a contact.
func contactBody(f connector.ContactFields) map[string]string {
	return f.Named("email", "firstName", "lastName", "phone")
}

// CreateContact implements connector.ContactWriter. Where the location allows two contacts of one address, there are two then. What
// the answer leaves out, reading the contact anew tells; when that fails it is there all the same.
func (c *Connector) CreateContact(ctx context.Context, a connector.Account, f connector.ContactFields) (integrationsapi.Contact, error) {
	location, token := split(a)
	body := contactBody(f)
	body["locationId"] = location
	var made struct {
		Contact contact `json:"contact"`
	}
	if err := c.post(ctx, token, "/contacts/", body, &made); err != nil {
		return integrationsapi.Contact{}, connector.OfInput(err)
	}
	if whole, err := c.contact(ctx, token, made.Contact.ID); err == nil {
		made.Contact = whole
	}
	return written(made.Contact, a)
}

// UpdateContact implements connector.ContactWriter.
func (c *Connector) UpdateContact(ctx context.Context, a connector.Account, id string, f connector.ContactFields) (integrationsapi.Contact, error) {
	_, token := split(a)
	if err := c.write(ctx, http.MethodPut, token, "/contacts/"+url.PathEscape(id), contactBody(f), nil); err != nil {
		return integrationsapi.Contact{}, connector.OfObject(err)
	}
	changed, err := c.contact(ctx, token, id)
	if err != nil {
		return integrationsapi.Contact{}, err
	}
	return written(changed, a)
}

// contact reads one.
func (c *Connector) contact(ctx context.Context, token, id string) (contact, error) {
	var got struct {
		Contact contact `json:"contact"`
	}
	err := c.get(ctx, token, "/contacts/"+url.PathEscape(id), nil, &got)
	return got.Contact, connector.OfObject(err)
}

func written(o contact, a connector.Account) (integrationsapi.Contact, error) {
	contact, err := o.normal(a.Connection)
	if err != nil {
		return contact, connector.BadAnswer("contact %.60q, which was written: %w", o.ID, err)
	}
	return contact, nil
}

// Pipelines implements connector.DealWriter. Of stages the specification says that they are a list; they have these fields.
func (c *Connector) Pipelines(ctx context.Context, a connector.Account) ([]connector.Pipeline, error) {
	location, token := split(a)
	type entry struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	var got struct {
		Pipelines []struct {
			entry
			Stages []entry `json:"stages"`
		} `json:"pipelines"`
	}
	if err := c.get(ctx, token, "/opportunities/pipelines", url.Values{"locationId": {location}}, &got); err != nil {
		return nil, err
	}
	var all []connector.Pipeline
	for _, p := range got.Pipelines {
		if p.ID == "" {
			return nil, connector.BadAnswer("pipeline %.60q: %w", p.Name, errNoID)
		}
		one := connector.Pipeline{ID: p.ID, Name: p.Name, Stages: []connector.Stage{}}
		for _, s := range p.Stages {
			one.Stages = append(one.Stages, connector.Stage{ID: s.ID, Name: s.Name})
		}
		all = append(all, one)
	}
	return all, nil
}

// CreateDeal implements connector.DealWriter. A deal is an opportunity here.
func (c *Connector) CreateDeal(ctx context.Context, a connector.Account, d connector.DealFields) (integrationsapi.Deal, error) {
	if d.Status == "" {
		d.Status = integrationsapi.DealOpen
	}
	return c.writeDeal(ctx, a, http.MethodPost, "/opportunities/", d)
}

// UpdateDeal implements connector.DealWriter.
func (c *Connector) UpdateDeal(ctx context.Context, a connector.Account, id string, d connector.DealFields) (integrationsapi.Deal, error) {
	return c.writeDeal(ctx, a, http.MethodPut, "/opportunities/"+url.PathEscape(id), d)
}

func (c *Connector) writeDeal(ctx context.Context, a connector.Account, method, path string, d connector.DealFields) (integrationsapi.Deal, error) {
	of, err := c.location(ctx, a)
	if err != nil {
		return integrationsapi.Deal{}, err
	}
	code, err := of.currency()
	if err != nil {
		return integrationsapi.Deal{}, err
	}
	body := map[string]any{}
	for name, text := range map[string]string{
		"name": d.Name, "pipelineId": d.Pipeline, "pipelineStageId": d.Stage, "status": d.Status, "contactId": d.ContactID,
	} {
		if text != "" {
			body[name] = text
		}
	}
	if method == http.MethodPost {
		body["locationId"] = of.ID
	}
	if d.AmountMinor != nil {
		body["monetaryValue"] = json.Number(money.Amount{Minor: *d.AmountMinor, Digits: money.MinorDigits(code)}.String())
	}
	if !d.Expected.IsZero() {
		body["forecastExpectedCloseDate"] = d.Expected.Format(time.DateOnly)
	}
	_, token := split(a)
	var got struct {
		Opportunity opportunity `json:"opportunity"`
	}
	if err := c.write(ctx, method, token, path, body, &got); err != nil {
		return integrationsapi.Deal{}, connector.OfObject(err)
	}
	deal, err := got.Opportunity.normal(a.Connection, code)
	if err != nil {
		return deal, connector.BadAnswer("opportunity %.60q, which was written: %w", got.Opportunity.ID, err)
	}
	return deal, nil
}

// Automations implements connector.Automator.
func (c *Connector) Automations() connector.Automations {
	return connector.Automations{Name: "workflows", List: c.workflows, Enroll: c.enroll}
}

// workflowStatuses are the statuses of workflows in shared terms.
var workflowStatuses = map[string]string{"published": connector.AutomationActive, "draft": connector.AutomationDraft}

// workflows lists them all: HighLevel has no pages of them.
func (c *Connector) workflows(ctx context.Context, a connector.Account, _ string, _ int) (list []connector.Automation, next string, err error) {
	location, token := split(a)
	var got struct {
		Workflows []struct {
			ID        string    `json:"id"`
			Name      string    `json:"name"`
			Status    string    `json:"status"`
			CreatedAt time.Time `json:"createdAt"`
			UpdatedAt time.Time `json:"updatedAt"`
		} `json:"workflows"`
	}
	if err := c.get(ctx, token, "/workflows/", url.Values{"locationId": {location}}, &got); err != nil {
		return nil, "", err
	}
	for _, w := range got.Workflows {
		status, known := workflowStatuses[w.Status]
		switch {
		case w.ID == "":
			return nil, "", connector.BadAnswer("workflow %.60q: %w", w.Name, errNoID)
		case w.CreatedAt.IsZero() || w.UpdatedAt.IsZero():
			return nil, "", connector.BadAnswer("workflow %.60q: %w", w.ID, errNoTime)
		case !known:
			status = connector.AutomationUnknown
		}
		list = append(list, connector.Automation{
			ID: w.ID, Name: w.Name, Status: status, Enrolls: status == connector.AutomationActive, CreatedAt: store.At(w.CreatedAt), UpdatedAt: store.At(w.UpdatedAt),
		})
	}
	return list, "", nil
}

// enroll is Automations.Enroll. The answer says whether it has worked, in one of two spellings.
func (c *Connector) enroll(ctx context.Context, a connector.Account, automation, contact string) error {
	_, token := split(a)
	var got map[string]any
	err := c.post(ctx, token, "/contacts/"+url.PathEscape(contact)+"/workflow/"+url.PathEscape(automation), struct{}{}, &got)
	if err != nil {
		return connector.OfObject(err)
	}
	for _, said := range got {
		if said == false {
			return connector.InputRefused("HighLevel does not put the contact into this workflow", nil)
		}
	}
	return nil
}
