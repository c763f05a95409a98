package hubspot

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/store"
)

// automationVersion is that of workflows, of which Version has none (PublicApiSpecs/Automation/Automation V4 of the specifications).
// enrollVersion is that of enrollments, the only one that there is of them (https://developers.hubspot.com/docs/methods/workflows/add_contact).
const (
	automationVersion = "v4"
	enrollVersion     = "v2"
)

func properties(f connector.ContactFields) map[string]string {
	return f.Named("email", "firstname", "lastname", "phone")
}

// CreateContact implements connector.ContactWriter. The answer has some of the properties; the contact is read anew to have all, and
// when that fails it is there all the same.
func (c *Connector) CreateContact(ctx context.Context, a connector.Account, f connector.ContactFields) (integrationsapi.Contact, error) {
	var made object
	if err := c.post(ctx, a, contacts.path, map[string]any{"properties": properties(f), "associations": []any{}}, &made); err != nil {
		return integrationsapi.Contact{}, connector.OfInput(err)
	}
	if whole, err := c.contact(ctx, a, made.ID); err == nil {
		made = whole
	}
	return writtenContact(made, a)
}

// UpdateContact implements connector.ContactWriter.
func (c *Connector) UpdateContact(ctx context.Context, a connector.Account, id string, f connector.ContactFields) (integrationsapi.Contact, error) {
	if err := c.write(ctx, http.MethodPatch, a, contacts.path+"/"+url.PathEscape(id), map[string]any{"properties": properties(f)}, nil); err != nil {
		return integrationsapi.Contact{}, connector.OfObject(err)
	}
	changed, err := c.contact(ctx, a, id)
	if err != nil {
		return integrationsapi.Contact{}, err
	}
	return writtenContact(changed, a)
}

// contact reads one.
func (c *Connector) contact(ctx context.Context, a connector.Account, id string) (o object, err error) {
	err = c.get(ctx, a, contacts.path+"/"+url.PathEscape(id), url.Values{"properties": {strings.Join(contacts.properties, ",")}}, &o)
	return o, connector.OfObject(err)
}

func writtenContact(o object, a connector.Account) (integrationsapi.Contact, error) {
	contact, err := contactOf(o, a.Connection)
	if err != nil {
		return contact, connector.BadAnswer("contact %.60q, which was written: %w", o.ID, err)
	}
	return contact, nil
}

// Automations implements connector.Automator.
func (c *Connector) Automations() connector.Automations {
	return connector.Automations{Name: "workflows", List: c.workflows, Enroll: c.enroll}
}

// flow is an automation; of those, workflows are what people know by that name.
type flow struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Type      string    `json:"flowType"`
	Enabled   bool      `json:"isEnabled"`
	Object    string    `json:"objectTypeId"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// contactType is the type of object that contacts are.
const contactType = "0-1"

func (f flow) automation() connector.Automation {
	status := connector.AutomationPaused
	if f.Enabled {
		status = connector.AutomationActive
	}
	return connector.Automation{
		ID: f.ID, Name: f.Name, Status: status, Enrolls: f.Enabled && f.Object == contactType, CreatedAt: store.At(f.CreatedAt), UpdatedAt: store.At(f.UpdatedAt),
	}
}

func (c *Connector) workflows(ctx context.Context, a connector.Account, cursor string, size int) (list []connector.Automation, next string, err error) {
	query := url.Values{"limit": {strconv.Itoa(size)}}
	if cursor != "" {
		query.Set("after", cursor)
	}
	var got struct {
		Results []flow `json:"results"`
		Paging  struct {
			Next *struct {
				After string `json:"after"`
			} `json:"next"`
		} `json:"paging"`
	}
	if err := c.get(ctx, a, "/automation/"+automationVersion+"/flows", query, &got); err != nil {
		return nil, "", connector.OfInput(err)
	}
	for _, f := range got.Results {
		if f.ID == "" || f.CreatedAt.IsZero() || f.UpdatedAt.IsZero() {
			return nil, "", connector.BadAnswer("workflow %.60q: %w", f.ID, errIncomplete)
		}
		if f.Type == "WORKFLOW" {
			list = append(list, f.automation())
		}
	}
	if got.Paging.Next != nil {
		next = got.Paging.Next.After
	}
	return list, next, nil
}

// enroll is Automations.Enroll. HubSpot enrolls by the older id of a workflow and by the contact's address.
func (c *Connector) enroll(ctx context.Context, a connector.Account, automation, contact string) error {
	who, err := c.contact(ctx, a, contact)
	if err != nil {
		return err
	}
	email := who.property("email")
	if email == "" {
		return connector.InputRefused("the contact has no e-mail address, by which HubSpot enrolls contacts", nil)
	}
	var got struct {
		Results []struct {
			WorkflowID int64 `json:"workflowId"`
		} `json:"results"`
	}
	ask := map[string]any{"inputs": []any{map[string]string{"type": "FLOW_ID", "flowId": automation}}}
	if err := c.post(ctx, a, "/automation/"+automationVersion+"/workflow-id-mappings/batch/read", ask, &got); err != nil {
		return connector.OfObject(err)
	}
	if len(got.Results) != 1 { // a 207 without it
		return &connector.Error{Class: connector.Permanent, Code: connector.CodeMissing, Message: "HubSpot has no such workflow, or none that contacts can be enrolled in"}
	}
	path := "/automation/" + enrollVersion + "/workflows/" + strconv.FormatInt(got.Results[0].WorkflowID, 10) + "/enrollments/contacts/" + url.PathEscape(email)
	err = c.post(ctx, a, path, struct{}{}, nil)
	return connector.OfObject(err)
}
