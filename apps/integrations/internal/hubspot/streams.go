package hubspot

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/store"
)

var contacts = kind{
	path: "/crm/objects/" + Version + "/contacts", modified: "lastmodifieddate",
	properties: []string{"email", "firstname", "lastname", "phone", "lifecyclestage", "hs_email_optout", "createdate", "lastmodifieddate"},
}

// deals are objects of type 0-3 (https://developers.hubspot.com/docs/api-reference/2026-03/crm/understanding-the-crm).
var deals = kind{
	path: "/crm/objects/" + Version + "/0-3", modified: "hs_lastmodifieddate",
	properties: []string{
		"dealname", "pipeline", "dealstage", "amount", "deal_currency_code", "closedate", "hs_is_closed", "hs_is_closed_won", "createdate", "hs_lastmodifieddate",
	},
}

// contacts is a Stream's Pull.
func (c *Connector) contacts(ctx context.Context, a connector.Account, r connector.Request) (connector.Page, error) {
	at, err := start(r)
	if err != nil {
		return connector.Page{}, err
	}
	found, err := c.search(ctx, a, contacts, at, r.Size)
	if err != nil {
		return connector.Page{}, err
	}
	page := connector.Page{Changed: found.changed, Left: found.left}
	for _, row := range found.objects {
		connector.Add(&page, &page.Records.Contacts, row, row.Value.ID, func(o object) (integrationsapi.Contact, error) { return contactOf(o, a.Connection) })
	}
	page.Next, err = found.next.cursor()
	return page, err
}

// contactOf is a contact as every vendor's are kept. Somebody who has left all mailings is not subscribed; who has not may be, but
// HubSpot asks for a legal basis of which nothing is said here.
func contactOf(o object, connection string) (integrationsapi.Contact, error) {
	if o.ID == "" || o.CreatedAt.IsZero() || o.UpdatedAt.IsZero() {
		return integrationsapi.Contact{}, errIncomplete
	}
	contact := integrationsapi.Contact{
		ID: connection + ":" + o.ID, ConnectionID: connection, Vendor: Vendor, Email: connector.NormalEmail(o.property("email")),
		Phone: o.property("phone"), FirstName: o.property("firstname"), LastName: o.property("lastname"), Stage: o.property("lifecyclestage"),
		CreatedAt: store.At(o.CreatedAt), UpdatedAt: store.At(o.UpdatedAt),
	}
	if left := o.property("hs_email_optout"); left == "true" || left == "false" {
		subscribed := left == "false"
		contact.Subscribed = &subscribed
	}
	return contact, nil
}

// deals is a Stream's Pull.
func (c *Connector) deals(ctx context.Context, a connector.Account, r connector.Request) (connector.Page, error) {
	at, err := start(r)
	if err != nil {
		return connector.Page{}, err
	}
	if at.Currency == "" { // once in a sync
		of, err := c.details(ctx, a)
		if err != nil {
			return connector.Page{}, err
		}
		at.Currency = of.Currency
	}
	found, err := c.search(ctx, a, deals, at, r.Size)
	if err != nil {
		return connector.Page{}, err
	}
	with, err := c.contactsOf(ctx, a, found.objects)
	if err != nil {
		return connector.Page{}, err
	}
	page := connector.Page{Changed: found.changed, Left: found.left}
	for _, row := range found.objects {
		connector.Add(&page, &page.Records.Deals, row, row.Value.ID, func(o object) (integrationsapi.Deal, error) {
			deal, err := dealOf(o, a.Connection, at.Currency)
			for _, id := range with[o.ID] {
				deal.ContactIDs = append(deal.ContactIDs, a.Connection+":"+strconv.FormatInt(id, 10))
			}
			return deal, err
		})
	}
	page.Next, err = found.next.cursor()
	return page, err
}

var errClosed = errors.New("it says neither that it is closed nor that it is not")

func dealOf(o object, connection, currency string) (integrationsapi.Deal, error) {
	if o.CreatedAt.IsZero() || o.UpdatedAt.IsZero() {
		return integrationsapi.Deal{}, errIncomplete
	}
	deal := integrationsapi.Deal{
		ID: connection + ":" + o.ID, ConnectionID: connection, Vendor: Vendor, Name: o.property("dealname"), Pipeline: o.property("pipeline"),
		Stage: o.property("dealstage"), CreatedAt: store.At(o.CreatedAt), UpdatedAt: store.At(o.UpdatedAt), Currency: currency,
	}
	switch won, closed := o.property("hs_is_closed_won"), o.property("hs_is_closed"); {
	case won == "true":
		deal.Status = integrationsapi.DealWon
	case closed == "true":
		deal.Status = integrationsapi.DealLost
	case closed == "false":
		deal.Status = integrationsapi.DealOpen
	default:
		return deal, errClosed
	}
	if own := o.property("deal_currency_code"); own != "" { // of accounts with several currencies
		deal.Currency = own
	}
	if text := o.property("amount"); text != "" {
		amount, err := money.Nearest(text, deal.Currency)
		if err != nil {
			return deal, err
		}
		deal.AmountMinor = amount
	}
	if text := o.property("closedate"); text != "" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return deal, err
		}
		closes := store.At(at)
		deal.ClosedAt = &closes
	}
	return deal, nil
}

// association asks for what an object is associated with, from a page on.
type association struct {
	ID    string `json:"id"`
	After string `json:"after,omitempty"`
}

// none is what an object without associations has in the place of an answer.
const none = "crm.associations.NO_ASSOCIATIONS_FOUND"

// contactsOf are the ids of the contacts of deals, by the deals' ids, in their order.
func (c *Connector) contactsOf(ctx context.Context, a connector.Account, found []connector.Row[object]) (with map[string][]int64, err error) {
	var ask []association
	for _, row := range found {
		if row.Err != nil {
			continue
		}
		ask = append(ask, association{ID: row.Value.ID})
	}
	with = map[string][]int64{}
	for len(ask) > 0 {
		var got struct {
			Results []struct {
				From struct {
					ID string `json:"id"`
				} `json:"from"`
				To []struct {
					ID json.Number `json:"toObjectId"` // a text in the specification, a number in answers
				} `json:"to"`
				Paging struct {
					Next *struct {
						After string `json:"after"`
					} `json:"next"`
				} `json:"paging"`
			} `json:"results"`
			Errors []struct {
				SubCategory string `json:"subCategory"`
			} `json:"errors"`
		}
		if err = c.post(ctx, a, "/crm/associations/"+Version+"/0-3/0-1/batch/read", map[string]any{"inputs": ask}, &got); err != nil {
			return nil, err
		}
		for _, e := range got.Errors { // within a 207
			if e.SubCategory != none {
				return nil, &connector.Error{
					Class: connector.Transient, Code: connector.CodeUnavailable, Message: "HubSpot does not tell the contacts of some deals",
					Cause: errors.New("associations: " + e.SubCategory),
				}
			}
		}
		ask = nil
		for _, of := range got.Results {
			for _, to := range of.To {
				id, err := to.ID.Int64()
				if err != nil {
					return nil, connector.BadAnswer("the contacts of deal %.60q: %w", of.From.ID, err)
				}
				if !slices.Contains(with[of.From.ID], id) {
					with[of.From.ID] = append(with[of.From.ID], id)
				}
			}
			if next := of.Paging.Next; next != nil {
				if next.After == "" || len(of.To) == 0 {
					return nil, connector.BadAnswer("a next page of the contacts of deal %.60q without a way to it", of.From.ID)
				}
				ask = append(ask, association{of.From.ID, next.After})
			}
		}
	}
	for _, ids := range with {
		slices.Sort(ids)
	}
	return with, nil
}

// campaignStatuses are the statuses of HubSpot's campaigns in shared terms.
var campaignStatuses = map[string]string{
	"planned": integrationsapi.CampaignScheduled, "in_progress": integrationsapi.CampaignActive, "active": integrationsapi.CampaignActive,
	"paused": integrationsapi.CampaignPaused, "completed": integrationsapi.CampaignEnded,
}

// campaigns is a Stream's Pull. A campaign has assets of any kind, so its channel is none of those that there are names for.
func (c *Connector) campaigns(ctx context.Context, a connector.Account, r connector.Request) (connector.Page, error) {
	query := url.Values{
		"limit": {strconv.Itoa(r.Size)}, "sort": {"createdAt"}, // those that are made meanwhile come last
		"properties": {"hs_name", "hs_start_date", "hs_campaign_status", "hs_currency_code"},
	}
	if r.Cursor != "" {
		query.Set("after", r.Cursor)
	}
	var got struct {
		Results []connector.Row[object] `json:"results"`
		Paging  struct {
			Next *struct {
				After string `json:"after"`
			} `json:"next"`
		} `json:"paging"`
	}
	if err := c.get(ctx, a, "/marketing/campaigns/"+Version, query, &got); err != nil {
		return connector.Page{}, err
	}
	var page connector.Page
	for _, row := range got.Results {
		connector.Add(&page, &page.Records.Campaigns, row, row.Value.ID, func(o object) (integrationsapi.Campaign, error) { return campaignOf(o, a) })
	}
	if next := got.Paging.Next; next != nil {
		if next.After == "" || next.After == r.Cursor {
			return connector.Page{}, connector.BadAnswer("a next page of campaigns without a way to it")
		}
		page.Next = next.After
	}
	return page, nil
}

func campaignOf(o object, a connector.Account) (integrationsapi.Campaign, error) {
	if o.ID == "" || o.CreatedAt.IsZero() {
		return integrationsapi.Campaign{}, errIncomplete
	}
	campaign := integrationsapi.Campaign{
		ID: a.Connection + ":" + o.ID, ConnectionID: a.Connection, Vendor: Vendor, AccountID: a.Name, Name: o.property("hs_name"),
		Channel: integrationsapi.ChannelOther, StartedAt: store.At(o.CreatedAt), Status: integrationsapi.CampaignUnknown, Currency: o.property("hs_currency_code"),
	}
	if text := o.property("hs_start_date"); text != "" {
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return campaign, err
		}
		campaign.StartedAt = store.At(day)
	}
	if status, known := campaignStatuses[o.property("hs_campaign_status")]; known {
		campaign.Status = status
	}
	return campaign, nil
}
