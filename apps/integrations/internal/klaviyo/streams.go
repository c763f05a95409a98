package klaviyo

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/store"
)

var errNoID, errNoTime = errors.New("it has no id"), errors.New("it has no time")

// changed is a filter of what changed at a time or after it. For profiles there is only an operator that leaves its operand out.
func changed(field string, since time.Time) string {
	return "greater-than(" + field + "," + since.UTC().Add(-time.Second).Truncate(time.Second).Format(time.RFC3339) + ")"
}

// list are the parameters of a page of a list in the order of a field.
func list(sort, cursor string, size int, filters ...string) url.Values {
	query := url.Values{"sort": {sort}, "page[size]": {strconv.Itoa(size)}}
	if len(filters) > 0 {
		query.Set("filter", strings.Join(filters, ","))
	}
	if cursor != "" {
		query.Set("page[cursor]", cursor)
	}
	return query
}

type profile struct {
	ID         string `json:"id"`
	Attributes struct {
		Email         string     `json:"email"`
		Phone         string     `json:"phone_number"`
		FirstName     string     `json:"first_name"`
		LastName      string     `json:"last_name"`
		Created       *time.Time `json:"created"`
		Updated       *time.Time `json:"updated"`
		Subscriptions *struct {
			Email *struct {
				Marketing *struct {
					CanReceive *bool `json:"can_receive_email_marketing"`
				} `json:"marketing"`
			} `json:"email"`
		} `json:"subscriptions"`
	} `json:"attributes"`
}

// contact is the profile as every vendor's contacts are kept. Whether mail may be sent is not consent but the absence of a suppression,
// as Klaviyo itself decides it.
func (p profile) contact(connection string) (integrationsapi.Contact, error) {
	of := p.Attributes
	if p.ID == "" {
		return integrationsapi.Contact{}, errNoID
	}
	if of.Created == nil || of.Updated == nil {
		return integrationsapi.Contact{}, errNoTime
	}
	c := integrationsapi.Contact{
		ID: connection + ":" + p.ID, ConnectionID: connection, Vendor: Vendor, Email: connector.NormalEmail(of.Email), Phone: of.Phone,
		FirstName: of.FirstName, LastName: of.LastName, CreatedAt: store.At(*of.Created), UpdatedAt: store.At(*of.Updated),
	}
	if s := of.Subscriptions; s != nil && s.Email != nil && s.Email.Marketing != nil {
		c.Subscribed = s.Email.Marketing.CanReceive
	}
	return c, nil
}

// profiles is a Stream's Pull.
func (c *Connector) profiles(ctx context.Context, a connector.Account, r connector.Request) (connector.Page, error) {
	var filters []string
	if !r.Since.IsZero() {
		filters = append(filters, changed("updated", r.Since))
	}
	query := list("updated", r.Cursor, r.Size, filters...)
	query.Set("additional-fields[profile]", "subscriptions")
	query.Set("fields[profile]", "email,phone_number,first_name,last_name,created,updated,subscriptions")
	var got struct {
		Data  []connector.Row[profile] `json:"data"`
		Links links                    `json:"links"`
	}
	if err := c.client.get(ctx, a, "/api/profiles", query, &got); err != nil {
		return connector.Page{}, err
	}
	var page connector.Page
	for _, row := range got.Data {
		connector.Add(&page, &page.Records.Contacts, row, row.Value.ID, func(p profile) (integrationsapi.Contact, error) { return p.contact(a.Connection) })
		if at := row.Value.Attributes.Updated; at != nil && at.After(page.Changed) {
			page.Changed = store.At(*at).Time
		}
	}
	var err error
	page.Next, err = got.Links.cursor("page[cursor]", r.Cursor)
	return page, err
}

type campaign struct {
	ID         string `json:"id"`
	Attributes struct {
		Name        string     `json:"name"`
		Status      string     `json:"status"`
		Archived    bool       `json:"archived"`
		SendTime    *time.Time `json:"send_time"`
		ScheduledAt *time.Time `json:"scheduled_at"`
		CreatedAt   time.Time  `json:"created_at"`
		UpdatedAt   time.Time  `json:"updated_at"`
	} `json:"attributes"`
	Relationships struct {
		Messages struct {
			Data []struct {
				ID string `json:"id"`
			} `json:"data"`
		} `json:"campaign-messages"`
	} `json:"relationships"`
}

// messages are the ids of its messages, and its own.
func (c campaign) messages() []string {
	ids := []string{c.ID}
	for _, m := range c.Relationships.Messages.Data {
		if m.ID != c.ID {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// campaignStatuses are the statuses of Klaviyo's campaigns in shared terms, but those that begin with Cancelled.
var campaignStatuses = map[string]string{
	"Draft": integrationsapi.CampaignDraft, "Preparing to schedule": integrationsapi.CampaignScheduled, "Scheduled": integrationsapi.CampaignScheduled,
	"Queued without Recipients": integrationsapi.CampaignScheduled, "Preparing to send": integrationsapi.CampaignActive,
	"Adding Recipients": integrationsapi.CampaignActive, "Sending": integrationsapi.CampaignActive, "Sending Segments": integrationsapi.CampaignActive,
	"Variations Sent": integrationsapi.CampaignActive, "Sent": integrationsapi.CampaignEnded,
}

func (c campaign) status() string {
	status, known := campaignStatuses[c.Attributes.Status]
	switch {
	case c.Attributes.Archived:
		return integrationsapi.CampaignArchived
	case known:
		return status
	case strings.HasPrefix(c.Attributes.Status, "Cancelled"):
		return integrationsapi.CampaignEnded
	}
	return integrationsapi.CampaignUnknown
}

func (c campaign) normal(a connector.Account, channel string) (integrationsapi.Campaign, error) {
	of := c.Attributes
	if c.ID == "" {
		return integrationsapi.Campaign{}, errNoID
	}
	if of.CreatedAt.IsZero() || of.UpdatedAt.IsZero() {
		return integrationsapi.Campaign{}, errNoTime
	}
	started := of.CreatedAt
	if of.SendTime != nil {
		started = *of.SendTime
	} else if of.ScheduledAt != nil {
		started = *of.ScheduledAt
	}
	return integrationsapi.Campaign{
		ID: a.Connection + ":" + c.ID, ConnectionID: a.Connection, Vendor: Vendor, AccountID: a.Name, Name: of.Name, Channel: channel,
		StartedAt: store.At(started), Status: c.status(),
	}, nil
}

// channels are those of campaigns, which can only be listed by them.
var channels = []connector.SubAccount{{ID: integrationsapi.ChannelEmail}, {ID: integrationsapi.ChannelSMS}}

// byChannel is a ByAccount's List: campaigns are read of one channel after the other.
func byChannel(context.Context, connector.Account) ([]connector.SubAccount, error) {
	return channels, nil
}

// campaigns is a ByAccount's Read.
func (c *Connector) campaigns(ctx context.Context, a connector.Account, channel connector.SubAccount, r connector.Request) (connector.Page, error) {
	got, next, err := c.listCampaigns(ctx, a, channel.ID, r.Cursor, r.Size, r.Since)
	if err != nil {
		return connector.Page{}, err
	}
	page := connector.Page{Next: next}
	for _, row := range got {
		connector.Add(&page, &page.Records.Campaigns, row, row.Value.ID, func(of campaign) (integrationsapi.Campaign, error) { return of.normal(a, channel.ID) })
		if at := row.Value.Attributes.UpdatedAt; at.After(page.Changed) {
			page.Changed = at
		}
	}
	return page, nil
}

// listCampaigns is a page of the campaigns of a channel with the ids of their messages, in the order of their last change.
func (c *Connector) listCampaigns(ctx context.Context, a connector.Account, channel, cursor string, size int, since time.Time) (all []connector.Row[campaign], next string, err error) {
	filters := []string{"equals(messages.channel,'" + channel + "')"}
	if !since.IsZero() {
		filters = append(filters, changed("updated_at", since))
	}
	query := list("updated_at", cursor, size, filters...)
	query.Set("include", "campaign-messages") // or else their ids are not there
	query.Set("fields[campaign-message]", "created_at")
	var got struct {
		Data  []connector.Row[campaign] `json:"data"`
		Links links                     `json:"links"`
	}
	if err = c.client.get(ctx, a, "/api/campaigns", query, &got); err != nil {
		return nil, "", err
	}
	next, err = got.Links.cursor("page[cursor]", cursor)
	return got.Data, next, err
}
