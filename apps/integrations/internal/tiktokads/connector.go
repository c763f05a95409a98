// Package tiktokads connects TikTok Ads: the connector over TikTok's API for Business, with tokens that last until they are revoked.
package tiktokads

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// Vendor is the vendor's name in routes and records.
const Vendor = "tiktok-ads"

// Version is the API's that the requests were written for (github.com/tiktok/tiktok-business-api-sdk).
const Version = "v1.3"

// host is that of the API and of the page where people authorize us.
const host = "business-api.tiktok.com"

const (
	// maxPage is the most that a page holds.
	maxPage = 1000
	// described is how many advertisers TikTok describes at once.
	described = 100
	// window is how many days a report by day covers at most.
	window = 30
)

// Connector reads advertisers.
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
		Accounts: c.Accounts, Campaigns: c.campaigns, CampaignsPage: maxPage, Days: c.report, DaysPage: maxPage, Window: window, Narrow: true, Now: c.web.Now,
	}.Streams()
}

// Limits implements connector.Limited: those of an app of the basic level, of which other apps have more. No answer tells them.
func (c *Connector) Limits() []connector.Limit {
	return []connector.Limit{{Windows: []connector.Window{{Requests: 10, Per: time.Second}, {Requests: 600, Per: time.Minute}}}}
}

// Identify implements connector.Connector. The account is the TikTok for Business user who has authorized us. TikTok tells the scopes
// when it gives the token, and not again.
func (c *Connector) Identify(ctx context.Context, a connector.Account) (connector.Identity, error) {
	var user struct {
		ID   json.Number `json:"core_user_id"`
		Name string      `json:"display_name"`
	}
	if err := c.get(ctx, a, "user/info/", url.Values{}, &user); err != nil {
		return connector.Identity{}, err
	}
	if !isNumber(user.ID.String()) {
		return connector.Identity{}, connector.BadAnswer("%.60q is no id of a user", user.ID)
	}
	return connector.Identity{ID: user.ID.String(), Account: user.ID.String(), Title: user.Name, Scopes: []string{}}, nil
}

// Accounts implements connector.Lister. An advertiser that TikTok lists and does not describe has neither currency nor time zone: it
// cannot be read, and people can leave it out.
func (c *Connector) Accounts(ctx context.Context, a connector.Account) ([]connector.SubAccount, error) {
	secret, err := c.app.Secret(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the client secret: %w", err)
	}
	var listed struct {
		List []struct {
			ID   string `json:"advertiser_id"`
			Name string `json:"advertiser_name"`
		} `json:"list"`
	}
	// TikTok takes the secret nowhere else.
	if err := c.get(ctx, a, "oauth2/advertiser/get/", url.Values{"app_id": {c.app.ClientID}, "secret": {secret.Reveal()}}, &listed); err != nil {
		return nil, err
	}
	all := make([]connector.SubAccount, len(listed.List))
	at := map[string]int{}
	for i, one := range listed.List {
		if !isNumber(one.ID) {
			return nil, connector.BadAnswer("%.60q is no id of an advertiser", one.ID)
		}
		all[i], at[one.ID] = connector.SubAccount{ID: one.ID, Name: one.Name}, i
	}
	for some := range slices.Chunk(listed.List, described) {
		var ids []string
		for _, one := range some {
			ids = append(ids, one.ID)
		}
		var details struct {
			List []struct {
				ID              string `json:"advertiser_id"`
				Name            string `json:"name"`
				Currency        string `json:"currency"`
				TimeZone        string `json:"timezone"`
				DisplayTimeZone string `json:"display_timezone"`
			} `json:"list"`
		}
		query := url.Values{"advertiser_ids": {array(ids...)}, "fields": {array("advertiser_id", "name", "currency", "timezone", "display_timezone")}}
		if err := c.get(ctx, a, "advertiser/info/", query, &details); err != nil {
			return nil, err
		}
		for _, one := range details.List {
			i, known := at[one.ID]
			if !known {
				return nil, connector.BadAnswer("an advertiser %.60q that was not asked for", one.ID)
			}
			zone := one.DisplayTimeZone // of a place; the other may be an offset only
			if zone == "" {
				zone = one.TimeZone
			}
			all[i] = connector.SubAccount{ID: one.ID, Name: one.Name, Currency: one.Currency, TimeZone: zone}
		}
	}
	return all, nil
}
