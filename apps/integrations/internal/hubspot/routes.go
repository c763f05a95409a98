package hubspot

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/vendor"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/money"
)

// Routes binds what only HubSpot has.
func (c *Connector) Routes(r *group.Routes, connections *connection.Service) {
	group.Get(r, "/analytics", analytics{c, connections}.read, group.Needs("integrations.hubspot:read"), group.About(integrationsapi.KindConnection, "query.connection_id"), group.Problems(404, 409, 422, 502, 503),
		group.Doc("Read what a marketing campaign is credited with", "Visits, contacts and revenue, as HubSpot attributes them. HubSpot is asked; nothing is kept. Days are of the account's time zone, at most 366 of them."))
}

// analytics asks for connections.
type analytics struct {
	*Connector
	connections *connection.Service
}

// AnalyticsInput is which campaign is asked about, and which days.
type AnalyticsInput struct {
	vendor.ConnectionInput
	CampaignID string `query:"campaign_id" required:"true" maxLength:"220" doc:"The campaign, by its id in the records" example:"0197a3f2-1111-7000-8000-000000000001:9d2b6f0e-6f0f-4f4b-9a55-5a0c1c7d2f11"`
	Model      string `query:"model" enum:"LINEAR,FIRST_INTERACTION,LAST_INTERACTION,FULL_PATH,U_SHAPED,W_SHAPED,TIME_DECAY,J_SHAPED,INVERSE_J_SHAPED" default:"LINEAR" doc:"By which of HubSpot's rules revenue is attributed" example:"U_SHAPED"`
	vendor.Days
}

// AnalyticsView is what a campaign is credited with.
type AnalyticsView struct {
	ConnectionID string `json:"connection_id" doc:"Connection that was asked" example:"0197a3f2-1111-7000-8000-000000000001"`
	CampaignID   string `json:"campaign_id" doc:"The campaign's id in the records" example:"0197a3f2-1111-7000-8000-000000000001:9d2b6f0e-6f0f-4f4b-9a55-5a0c1c7d2f11"`
	From         string `json:"from" format:"date" doc:"First day, inclusive" example:"1997-02-01"`
	To           string `json:"to" format:"date" doc:"Last day, inclusive" example:"1997-02-28"`
	Metrics
	// Revenue is nil where the credentials do not allow it.
	Revenue *Revenue `json:"revenue,omitempty" doc:"What it has sold; missing where the credentials do not allow reading that"`
}

// Metrics are visits and contacts.
type Metrics struct {
	Sessions           int64 `json:"sessions" doc:"Visits to the site" example:"1204"`
	NewFirstTouch      int64 `json:"new_contacts_first_touch" doc:"New contacts whose first visit it brought" example:"31"`
	NewLastTouch       int64 `json:"new_contacts_last_touch" doc:"New contacts whose last visit before they gave their address it brought" example:"25"`
	InfluencedContacts int64 `json:"influenced_contacts" doc:"Contacts, new or known, who had to do with it" example:"140"`
}

// Revenue is what a campaign has sold.
type Revenue struct {
	Model           string `json:"model" doc:"By which of HubSpot's rules it is attributed" example:"LINEAR"`
	Currency        string `json:"currency" doc:"ISO 4217 code" example:"USD"`
	Deals           int64  `json:"deals" doc:"Deals that it had a part in" example:"7"`
	DealAmountMinor int64  `json:"deal_amount_minor" doc:"What those are worth, in the currency's minor unit" example:"900000"`
	RevenueMinor    int64  `json:"revenue_minor" doc:"The part of that which is attributed to it, in the currency's minor unit" example:"225000"`
	Contacts        int64  `json:"contacts" doc:"Contacts of those deals" example:"9"`
}

func (n analytics) read(ctx context.Context, in *AnalyticsInput) (*AnalyticsView, error) {
	id, of, err := vendor.Within("campaign", in.CampaignID, in.ConnectionID)
	if err != nil {
		return nil, err
	}
	view := AnalyticsView{ConnectionID: of, CampaignID: in.CampaignID}
	_, err = n.connections.Ask(ctx, identity.Organization(ctx), Vendor, of, connection.ForRead, func(a connector.Account) error {
		d, err := n.details(ctx, a)
		if err != nil {
			return err
		}
		from, to, err := in.Span(n.web.Now(), d.TimeZone)
		if err != nil {
			return err
		}
		view.From, view.To = from.Format(time.DateOnly), to.Format(time.DateOnly)
		if view.Metrics, err = n.Metrics(ctx, a, id, from, to); err != nil {
			return err
		}
		view.Revenue, err = n.Revenue(ctx, a, id, in.Model, d.Currency, from, to)
		if connector.Classify(err).Code == connector.CodePermissionMissing {
			return nil
		}
		return err
	})
	return &view, err
}

// report reads a report of a campaign about some days, both inclusive.
func (c *Connector) report(ctx context.Context, a connector.Account, campaign, name string, from, to time.Time, query url.Values, into any) error {
	query.Set("startDate", from.Format(time.DateOnly))
	query.Set("endDate", to.Format(time.DateOnly))
	err := c.get(ctx, a, "/marketing/campaigns/"+Version+"/"+url.PathEscape(campaign)+"/reports/"+name, query, into)
	return connector.OfObject(err)
}

// Metrics asks for a campaign's visits and contacts from one day to another, both inclusive: an *Error.
func (c *Connector) Metrics(ctx context.Context, a connector.Account, campaign string, from, to time.Time) (Metrics, error) {
	var got struct {
		Sessions   *int64 `json:"sessions"`
		First      *int64 `json:"newContactsFirstTouch"`
		Last       *int64 `json:"newContactsLastTouch"`
		Influenced *int64 `json:"influencedContacts"`
	}
	if err := c.report(ctx, a, campaign, "metrics", from, to, url.Values{}, &got); err != nil {
		return Metrics{}, err
	}
	if got.Sessions == nil || got.First == nil || got.Last == nil || got.Influenced == nil {
		return Metrics{}, connector.BadAnswer("the metrics of a campaign without some of them")
	}
	return Metrics{*got.Sessions, *got.First, *got.Last, *got.Influenced}, nil
}

// Revenue asks for what is attributed to a campaign from one day to another, both inclusive: an *Error. Currency is the account's,
// for an answer of nothing, which has none.
func (c *Connector) Revenue(ctx context.Context, a connector.Account, campaign, model, currency string, from, to time.Time) (*Revenue, error) {
	var got struct {
		Currency string      `json:"currencyCode"`
		Contacts int64       `json:"contactsNumber"`
		Deals    int64       `json:"dealsNumber"`
		Amount   json.Number `json:"dealAmount"`
		Revenue  json.Number `json:"revenueAmount"`
	}
	if err := c.report(ctx, a, campaign, "revenue", from, to, url.Values{"attributionModel": {model}}, &got); err != nil {
		return nil, err
	}
	currency = cmp.Or(got.Currency, currency)
	amount, err := minor(got.Amount, currency)
	if err != nil {
		return nil, connector.BadAnswer("what the deals of a campaign are worth: %w", err)
	}
	revenue, err := minor(got.Revenue, currency)
	if err != nil {
		return nil, connector.BadAnswer("the revenue of a campaign: %w", err)
	}
	return &Revenue{model, currency, got.Deals, amount, revenue, got.Contacts}, nil
}

// minor is an amount that HubSpot writes as a number, a large one with an exponent, in minor units. A missing one is 0.
func minor(amount json.Number, currency string) (int64, error) {
	if amount == "" {
		return 0, nil
	}
	f, err := amount.Float64()
	if err != nil {
		return 0, err
	}
	return money.Nearest(strconv.FormatFloat(f, 'f', -1, 64), currency)
}
