// Package googleads connects Google Ads accounts, by the REST form of the Google Ads API. Advertising on YouTube is campaigns of
// the same accounts, so that both connectors are one.
//
// The names of fields and errors are those of the protos in googleapis, google/ads/googleads/v25.
package googleads

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// The vendors' names in routes and records.
const (
	Vendor  = "google-ads"
	YouTube = "youtube-ads"
)

// DeveloperTokenSecret is the name of the secret that names this platform to the API, beside its OAuth client: for both vendors.
const DeveloperTokenSecret = "google-ads-developer-token"

// Version is the API's version that the queries were written for, of July 2026.
const Version = "v25"

const (
	// pageRows is the rows of a page, which the API decides.
	pageRows = 10_000
	// window is in days. Pages that follow are free, only queries count, so it is wide.
	window = 365
)

// Secret reads a secret.
type Secret func(context.Context) (secrets.Secret, error)

// Connector reads the campaigns of one vendor.
type Connector struct {
	client client
	app    connector.App
	vendor string
	// channels limits queries of campaigns to the vendor's.
	channels string
}

// NewConnector makes the connector of Google Ads: all campaigns but those of YouTube.
func NewConnector(w connector.Web, app connector.App, developerToken Secret) *Connector {
	return &Connector{client{w, developerToken}, app, Vendor, "campaign.advertising_channel_type NOT IN ('VIDEO', 'DEMAND_GEN')"}
}

// NewYouTube makes the connector of YouTube.
func NewYouTube(w connector.Web, app connector.App, developerToken Secret) *Connector {
	return &Connector{client{w, developerToken}, app, YouTube, "campaign.advertising_channel_type IN ('VIDEO', 'DEMAND_GEN')"}
}

// Vendor implements connector.Connector.
func (c *Connector) Vendor() string { return c.vendor }

// Streams implements connector.Connector. Campaigns have no time of change that could be asked for, and are few.
func (c *Connector) Streams() []connector.Stream {
	return connector.Advertising{
		Accounts: c.Accounts, Campaigns: c.campaigns, CampaignsPage: pageRows, Days: c.days, DaysPage: pageRows, Window: window, Now: c.client.web.Now,
	}.Streams()
}

// Limits implements connector.Limited. Google publishes none by the second, and refuses when its servers are loaded
// (https://developers.google.com/google-ads/api/docs/best-practices/rate-limits): this is our own pace.
func (c *Connector) Limits() []connector.Limit {
	return []connector.Limit{{Windows: []connector.Window{{Requests: 600, Per: time.Minute}}}}
}

// Identify implements connector.Connector. Google names no person for the scope that is asked for, so an authorization is known by
// the first by number of the customers that it opens by itself and that can be read.
func (c *Connector) Identify(ctx context.Context, a connector.Account) (connector.Identity, error) {
	ids, err := c.client.accessible(ctx, a)
	if err != nil {
		return connector.Identity{}, err
	}
	for _, id := range ids {
		found, err := c.client.customer(ctx, a, id)
		if isUnavailable(err) {
			continue
		}
		if err != nil {
			return connector.Identity{}, err
		}
		return connector.Identity{ID: id, Account: id, Title: cmp.Or(found.Name, id), Scopes: []string{scope}}, nil
	}
	return connector.Identity{}, errNoAccount
}

// Accounts implements connector.Lister: those that the authorization opens by itself, and those below the managers among them.
// Managers have no campaigns.
func (c *Connector) Accounts(ctx context.Context, a connector.Account) ([]connector.SubAccount, error) {
	ids, err := c.client.accessible(ctx, a)
	if err != nil {
		return nil, err
	}
	var all []connector.SubAccount
	add := func(found connector.SubAccount) {
		at := slices.IndexFunc(all, func(one connector.SubAccount) bool { return one.ID == found.ID })
		switch {
		case at < 0:
			all = append(all, found)
		case found.Via == "": // without a detour
			all[at] = found
		}
	}
	for _, id := range ids {
		below, err := c.client.below(ctx, a, id)
		if isUnavailable(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, one := range below {
			add(one)
		}
	}
	slices.SortFunc(all, func(a, b connector.SubAccount) int { return byNumber(a.ID, b.ID) })
	return all, nil
}

var errNoAccount = &connector.Error{
	Class: connector.Permanent, Code: connector.CodeAccountUnavailable, Message: "the authorization opens no Google Ads account that can be read",
	Cause: errors.New("no accessible customer"),
}

// isUnavailable tells of an account among several that it is closed, or not open yet.
func isUnavailable(err error) bool {
	var e *connector.Error
	return errors.As(err, &e) && e.Code == connector.CodeAccountUnavailable
}

// byNumber orders ids.
func byNumber(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) }

// accessible are the ids of the customers that the authorization opens by itself, in the order of their numbers.
func (c *client) accessible(ctx context.Context, a connector.Account) ([]string, error) {
	var got struct {
		ResourceNames []string `json:"resourceNames"`
	}
	if err := c.call(ctx, a, http.MethodGet, "customers:listAccessibleCustomers", "", nil, &got); err != nil {
		return nil, err
	}
	ids := make([]string, len(got.ResourceNames))
	for i, name := range got.ResourceNames {
		id, ok := strings.CutPrefix(name, "customers/")
		if !ok || !isID(id) {
			return nil, connector.BadAnswer("%.60q is no customer", name)
		}
		ids[i] = id
	}
	slices.SortFunc(ids, byNumber)
	return slices.Compact(ids), nil
}

// customer is what there is to know of a customer that is accessible by itself.
func (c *client) customer(ctx context.Context, a connector.Account, id string) (connector.SubAccount, error) {
	rows, err := c.all(ctx, a, id, "SELECT customer.id, customer.descriptive_name, customer.currency_code, customer.time_zone FROM customer")
	if err != nil {
		return connector.SubAccount{}, err
	}
	if len(rows) != 1 || rows[0].Customer.ID != id {
		return connector.SubAccount{}, connector.BadAnswer("%d rows for customer %.20q", len(rows), id)
	}
	return rows[0].Customer.account(""), nil
}

// below are the accounts with campaigns that are reached by way of a customer: those below a manager, or the customer itself.
func (c *client) below(ctx context.Context, a connector.Account, id string) ([]connector.SubAccount, error) {
	rows, err := c.all(ctx, a, id, "SELECT customer_client.id, customer_client.descriptive_name, customer_client.currency_code, customer_client.time_zone, "+
		"customer_client.manager FROM customer_client WHERE customer_client.status = 'ENABLED'")
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 { // the service's description promises rows of managers only
		one, err := c.customer(ctx, a, id)
		return []connector.SubAccount{one}, err
	}
	var list []connector.SubAccount
	for _, r := range rows {
		one := r.CustomerClient
		if !isID(one.ID) {
			return nil, connector.BadAnswer("%.60q is no customer", one.ID)
		}
		if one.Manager {
			continue
		}
		via := id
		if one.ID == id {
			via = ""
		}
		list = append(list, one.account(via))
	}
	return list, nil
}

func isID(id string) bool {
	return id != "" && len(id) <= 20 && strings.Trim(id, "0123456789") == ""
}
