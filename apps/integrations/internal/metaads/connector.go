// Package metaads connects Meta Ads: the connector over the Marketing API, with Meta's tokens that are exchanged instead of refreshed.
package metaads

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// Vendor is the vendor's name in routes and records.
const Vendor = "meta-ads"

// Version is the Graph API's that the requests were written for (developers.facebook.com/docs/graph-api/changelog: v26.0 of 2026-07-29,
// served for at least two years).
const Version = "v26.0"

// The hosts of the API, and of the page where people authorize us.
const (
	apiHost  = "graph.facebook.com"
	pageHost = "www.facebook.com"
)

const (
	// accountsPage and accountsPages bound the list of ad accounts.
	accountsPage  = 200
	accountsPages = 50
	// campaignsPage and insightsPage are what Meta answers in time; it may ask for less.
	campaignsPage = 200
	insightsPage  = 1000
	// window keeps one request for insights small enough to be answered at once.
	window = 30
)

// Connector reads ad accounts.
type Connector struct {
	web connector.Web
	app connector.App
}

// NewConnector makes a connector.
func NewConnector(w connector.Web, app connector.App) *Connector { return &Connector{w, app} }

// Vendor implements connector.Connector.
func (c *Connector) Vendor() string { return Vendor }

// Streams implements connector.Connector. Campaigns are few and cannot be listed by their last change: every sync reads them all.
func (c *Connector) Streams() []connector.Stream {
	return connector.Advertising{
		Accounts: c.Accounts, Campaigns: c.campaigns, CampaignsPage: campaignsPage, Days: c.insights, DaysPage: insightsPage, Window: window, Now: c.web.Now,
	}.Streams()
}

// told are the headers of answers and refusals (developers.facebook.com/docs/graph-api/overview/rate-limiting).
var told = connector.Told{
	Usage: []string{"X-Business-Use-Case-Usage", "X-Ad-Account-Usage", "X-App-Usage"},
	Tiers: map[string]connector.Window{"development_access": limited, "standard_access": {Requests: 190_000, Per: time.Hour}},
}

// limited is how often insights may be asked for with limited access, where no campaign is active; with each that is, 400 times more.
var limited = connector.Window{Requests: 600, Per: time.Hour}

// Limits implements connector.Limited.
func (c *Connector) Limits() []connector.Limit {
	return []connector.Limit{{Windows: []connector.Window{limited}, Told: told}}
}

// Identify implements connector.Connector. The account is the person, or the system user, who has authorized us.
func (c *Connector) Identify(ctx context.Context, a connector.Account) (connector.Identity, error) {
	var me struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	if err := c.get(ctx, a, "me", url.Values{"fields": {"id,name"}}, &me); err != nil {
		return connector.Identity{}, err
	}
	if !isNumber(me.ID) {
		return connector.Identity{}, connector.BadAnswer("%.60q is no id of a person", me.ID)
	}
	var permissions struct {
		Data []struct {
			Permission string `json:"permission"`
			Status     string `json:"status"`
		} `json:"data"`
	}
	if err := c.get(ctx, a, "me/permissions", url.Values{}, &permissions); err != nil {
		return connector.Identity{}, err
	}
	identity := connector.Identity{ID: me.ID, Account: me.ID, Title: me.Name, Scopes: []string{}}
	for _, p := range permissions.Data {
		if p.Status == "granted" { // people can decline one by one
			identity.Scopes = append(identity.Scopes, p.Permission)
		}
	}
	if !slices.Contains(identity.Scopes, scope) && !slices.Contains(identity.Scopes, "ads_management") {
		return connector.Identity{}, &connector.Error{
			Class: connector.Permanent, Code: connector.CodePermissionMissing, Message: "the authorization does not include reading advertising accounts",
		}
	}
	return identity, nil
}

// Accounts implements connector.Lister.
func (c *Connector) Accounts(ctx context.Context, a connector.Account) ([]connector.SubAccount, error) {
	var all []connector.SubAccount
	for after, n := "", 0; n < accountsPages; n++ {
		query := url.Values{"fields": {"id,name,currency,timezone_name"}, "limit": {strconv.Itoa(accountsPage)}}
		var got list[struct {
			ID           string `json:"id"`
			Name         string `json:"name"`
			Currency     string `json:"currency"`
			TimeZoneName string `json:"timezone_name"`
		}]
		next, err := c.page(ctx, a, "me/adaccounts", query, after, &got)
		if err != nil {
			return nil, err
		}
		for _, one := range got.Data {
			if !isAccount(one.ID) {
				return nil, connector.BadAnswer("%.60q is no id of an ad account", one.ID)
			}
			all = append(all, connector.SubAccount{ID: one.ID, Name: one.Name, Currency: one.Currency, TimeZone: one.TimeZoneName})
		}
		if next == "" {
			return all, nil
		}
		after = next
	}
	return nil, connector.BadAnswer("more than %d pages of ad accounts", accountsPages)
}
