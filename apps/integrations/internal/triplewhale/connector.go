// Package triplewhale connects Triple Whale: what its pixel attributes to the campaigns of every advertising platform by day, and, asked
// as people want them, orders with the clicks that led to them, revenue, creatives and return on ad spend. Of figures by day the platforms
// are the source: Triple Whale has them at second hand, so that theirs and these are not to be added up.
//
// Paths and fields are those of the vendor's reference (https://triplewhale.readme.io/reference), tables and columns those of its data
// dictionary (https://triplewhale.readme.io/docs).
package triplewhale

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// Vendor is the vendor's name in routes and records.
const Vendor = "triplewhale"

// Version is the API's; it has no dated ones (https://triplewhale.readme.io/reference/introduction-to-the-triple-whale-api).
const Version = "v2"

const (
	// maxRows is how many rows of a query are asked for at once. No limit is documented, but that there is one on an answer's size.
	maxRows = 1000
	// window is how many days a query of figures covers: those that an incremental sync reads again, and today, at once.
	window = 31
	// beginning is before everything that can have been imported.
	beginning = "1990-01-01"
	// recent is how many days of orders are looked through first for what a shop's currency and time zone are.
	recent = 90
)

// scopes are what reading needs; offline_access gives a refresh token (https://triplewhale.readme.io/reference/oauth-scopes).
var scopes = []string{"ads-metrics:read", "attribution:read", "offline_access"}

// Connector reads shops.
type Connector struct {
	web  connector.Web
	app  connector.App
	base string
	page string
}

// NewConnector makes a connector.
func NewConnector(w connector.Web, app connector.App) *Connector {
	const host, path = "api.triplewhale.com", "/api/" + Version
	return &Connector{web: w, app: app, base: w.API(host) + path, page: w.Page(host) + path}
}

// Vendor implements connector.Connector.
func (c *Connector) Vendor() string { return Vendor }

// Streams implements connector.Connector.
func (c *Connector) Streams() []connector.Stream {
	return connector.Advertising{
		Accounts: c.readable, Campaigns: c.campaigns, CampaignsPage: maxRows, Days: c.days, DaysPage: maxRows, Window: window, Narrow: true, Now: c.web.Now,
	}.Streams()
}

// Limits implements connector.Limited. Operations have limits of their own, which some answers tell; this is what the documentation's
// examples have.
func (c *Connector) Limits() []connector.Limit {
	return []connector.Limit{{
		Windows: []connector.Window{{Requests: 100, Per: time.Minute}}, Told: connector.Told{Policy: "RateLimit-Policy"},
	}}
}

// shopName is a shop's domain, which is its id. It goes into bodies only.
var shopName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)

// Key implements connector.Keyed. A key belongs to a person, and opens every shop of theirs: which one is meant has to be said.
func (c *Connector) Key() connector.Key {
	return connector.Key{
		Doc:     "An API key, made in Triple Whale under Data, APIs, with the scopes Pixel Attribution: Read and Data Out",
		Example: "0123abcd-4567-89ab-cdef-0123456789ab",
		Account: "The shop's domain, as Triple Whale has it under Settings, Store",
		Normal: func(text string) (string, error) {
			name := strings.ToLower(strings.TrimSpace(text))
			if len(name) > 253 || !shopName.MatchString(name) {
				return "", errors.New("want a shop's domain, such as demo.myshopify.com")
			}
			return name, nil
		},
	}
}

// OAuth implements connector.Authorizer (https://triplewhale.readme.io/reference/quick-start-oauth-flow). Tokens last as long as the
// answer says; a refresh may bring another refresh token, which counts from then on.
func (c *Connector) OAuth() connector.OAuth {
	return connector.OAuth{
		App: c.app, Scopes: scopes,
		Endpoint: func(string) oauth2.Endpoint {
			return oauth2.Endpoint{AuthURL: c.page + "/auth/oauth2/auth", TokenURL: c.base + "/auth/oauth2/token", AuthStyle: oauth2.AuthStyleInParams}
		},
		Revoke: c.revoke,
		HTTP:   c.web.HTTP, Now: c.web.Now,
	}
}

// revoke ends an authorization: with its refresh token go the access tokens that came of it (RFC 7009, section 2.1).
func (c *Connector) revoke(ctx context.Context, a connector.Account) error {
	secret, err := c.app.Secret(ctx)
	if err != nil {
		return fmt.Errorf("read the client secret: %w", err)
	}
	form := url.Values{"token": {a.Credentials.RefreshToken.Reveal()}, "client_id": {c.app.ClientID}, "client_secret": {secret.Reveal()}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/auth/oauth2/revoke", strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("address Triple Whale: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.web.Fetch(r, nil)
}

// Identify implements connector.Connector. The account is the shop that a key is for, or the first of those that were authorized. It is
// asked for its figures and its orders, too: a key without the scopes is refused here rather than in the first sync.
func (c *Connector) Identify(ctx context.Context, a connector.Account) (connector.Identity, error) {
	names, err := c.names(ctx, a)
	if err != nil {
		return connector.Identity{}, err
	}
	if !a.Credentials.Authorized { // the answer's fields are not documented; that there is one says that the key is good
		if err := c.get(ctx, a, "/users/api-keys/me", nil); err != nil {
			return connector.Identity{}, err
		}
	}
	of, err := c.describe(ctx, a, names[0])
	if err != nil {
		return connector.Identity{}, err
	}
	identity := connector.Identity{ID: names[0], Account: names[0], Title: names[0], Currency: of.Currency, TimeZone: of.TimeZone, Scopes: []string{}}
	if a.Credentials.Authorized {
		identity.Scopes = slices.Clone(scopes) // all or none: a person cannot take one away
	}
	return identity, nil
}

// names are the shops that the credentials are for: the domain that came with a key, or those that a person granted
// (https://triplewhale.readme.io/reference/api-endpoints-for-oauth-apps).
func (c *Connector) names(ctx context.Context, a connector.Account) ([]string, error) {
	if !a.Credentials.Authorized {
		return []string{a.Name}, nil
	}
	var got struct {
		First string   `json:"accountId"`
		More  []string `json:"additionalShopIds"`
	}
	if err := c.get(ctx, a, "/developers/oauth2/granted-shops", &got); err != nil {
		return nil, err
	}
	var names []string
	for _, name := range append([]string{got.First}, got.More...) {
		if !shopName.MatchString(name) {
			return nil, connector.BadAnswer("%.60q is no shop", name)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// Accounts implements connector.Lister.
func (c *Connector) Accounts(ctx context.Context, a connector.Account) ([]connector.SubAccount, error) {
	names, err := c.names(ctx, a)
	if err != nil {
		return nil, err
	}
	var all []connector.SubAccount
	for _, name := range names {
		of, err := c.describe(ctx, a, name)
		if err != nil {
			return nil, err
		}
		all = append(all, of)
	}
	return all, nil
}

// readable are the accounts without those that cannot be read yet (see describe). Without any, nothing counts as read.
func (c *Connector) readable(ctx context.Context, a connector.Account) ([]connector.SubAccount, error) {
	all, err := c.Accounts(ctx, a)
	return slices.DeleteFunc(all, func(of connector.SubAccount) bool { return of.Currency == "" }), err
}

// describe finds a shop's currency and time zone, which no endpoint tells but its newest orders do. Both are empty for a shop without
// orders, which is not read before it has one: in which currency its figures would be, and which day its days are, nothing says.
func (c *Connector) describe(ctx context.Context, a connector.Account, name string) (connector.SubAccount, error) {
	today := c.web.Now().UTC()
	to := today.AddDate(0, 0, 1).Format(time.DateOnly) // somewhere it is tomorrow already
	for _, from := range []string{today.AddDate(0, 0, -recent).Format(time.DateOnly), beginning} {
		of, err := c.describeBy(ctx, a, name, from, to)
		if err != nil || of.Currency != "" {
			return of, err
		}
	}
	return connector.SubAccount{ID: name, Name: name}, nil
}

// describeBy is describe by the orders of some days, both inclusive.
func (c *Connector) describeBy(ctx context.Context, a connector.Account, name, from, to string) (connector.SubAccount, error) {
	of := connector.SubAccount{ID: name, Name: name}
	var zones []struct {
		Zone string `json:"shop_timezone"`
	}
	err := c.sql(ctx, a, of, "SELECT shop_timezone, MAX(created_at) AS newest FROM orders_table "+
		"WHERE event_date BETWEEN @startDate AND @endDate AND shop_timezone != '' GROUP BY shop_timezone ORDER BY newest DESC LIMIT 1", from, to, &zones)
	if err != nil {
		return of, err
	}
	page, err := c.orders(ctx, a, name, journeys{StartDate: from, EndDate: to, Page: 1, PageSize: 1, ExcludeJourneyData: true})
	if err != nil || len(zones) == 0 || len(page.Orders) == 0 {
		return of, err
	}
	of.TimeZone, of.Currency = zones[0].Zone, page.Orders[0].Currency
	if _, err := time.LoadLocation(of.TimeZone); err != nil || of.TimeZone == "" || !currencyCode.MatchString(of.Currency) {
		return connector.SubAccount{}, connector.BadAnswer("the time zone %.60q or the currency %.20q of %s", of.TimeZone, of.Currency, name)
	}
	return of, nil
}

var currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)
