// Package klaviyo connects Klaviyo accounts: their profiles, campaigns by mail and message, and what came of each campaign by day; flows,
// events and reports as people want them.
// Paths, parameters and names are those of Klaviyo's OpenAPI document, github.com/klaviyo/openapi, openapi/stable.json of Revision.
package klaviyo

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// Vendor is the vendor's name in routes and records.
const Vendor = "klaviyo"

// Revision is that of the API that this package was written for. Klaviyo serves each for two years
// (https://developers.klaviyo.com/en/docs/api_versioning_and_deprecation_policy).
const Revision = "2026-07-15"

const (
	// maxPage is the most profiles or campaigns of a page.
	maxPage = 100
	// maxRows is the most messages of a page of figures.
	maxRows = 500
	// lookBack covers the delay with which a change becomes visible.
	lookBack = 10 * time.Minute
	// lateFor is how long orders go on being attributed to a message.
	lateFor = 28 * 24 * time.Hour
	// history is how many days of figures are read, year the most that Klaviyo adds up at once.
	history, year = 1095, 365
)

// scopes are what the streams and the other reads need, and what entering profiles and telling of events does.
var scopes = []string{"accounts:read", "campaigns:read", "events:read", "events:write", "flows:read", "metrics:read", "profiles:read", "profiles:write"}

// Connector reads accounts.
type Connector struct {
	client  client
	app     connector.App
	page    string
	figures connector.ByAccount
	carries int // see maxCarried
}

// NewConnector makes a connector.
func NewConnector(w connector.Web, app connector.App) *Connector {
	c := &Connector{client: client{web: w, base: w.API("a.klaviyo.com")}, app: app, page: w.Page("www.klaviyo.com") + "/oauth/authorize", carries: maxCarried}
	daily := connector.Daily{History: history, Window: year, Read: c.days, Now: w.Now}
	c.figures = connector.ByAccount{List: c.accounts, Read: daily.Pull}
	return c
}

// Vendor implements connector.Connector.
func (c *Connector) Vendor() string { return Vendor }

// Streams implements connector.Connector.
func (c *Connector) Streams() []connector.Stream {
	return []connector.Stream{
		{Name: integrationsapi.KindContacts, PageSize: maxPage, LookBack: lookBack, Pull: c.profiles},
		{Name: integrationsapi.KindCampaigns, PageSize: maxPage, LookBack: lookBack, Pull: connector.ByAccount{List: byChannel, Read: c.campaigns}.Pull},
		{Name: integrationsapi.KindEmailPerformance, PageSize: maxRows, LookBack: lateFor, History: history * 24 * time.Hour, Pull: c.figures.Pull},
	}
}

// told are the headers of answers; refusals say only when to come again
// (https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling).
var told = connector.Told{Policy: "RateLimit-Limit", Remaining: "RateLimit-Remaining", Reset: "RateLimit-Reset"}

// Limits implements connector.Limited: a burst and a steady limit for each operation, as Klaviyo's OpenAPI has them (x-klaviyo-ratelimit).
// Those that figures need beside the aggregates are few, and may be asked more often.
func (c *Connector) Limits() []connector.Limit {
	limit := func(stream, path string, burst, steady float64) connector.Limit {
		return connector.Limit{
			Name: stream, Streams: []string{stream}, Path: path, Told: told,
			Windows: []connector.Window{{Requests: burst, Per: time.Second}, {Requests: steady, Per: time.Minute}},
		}
	}
	return []connector.Limit{
		limit(integrationsapi.KindContacts, "/api/profiles", 75, 750),
		limit(integrationsapi.KindCampaigns, "/api/campaigns", 10, 150),
		limit(integrationsapi.KindEmailPerformance, "/api/metric-aggregates", 3, 60),
	}
}

// Key implements connector.Keyed.
func (c *Connector) Key() connector.Key {
	return connector.Key{
		Doc:     "A private API key, made in Klaviyo under Settings, API keys, that may read accounts, campaigns, events, flows, metrics and profiles, and write profiles and events where contacts are to be entered and flows to be begun",
		Example: "pk_0123456789abcdef0123456789abcdef01",
	}
}

// OAuth implements connector.Authorizer. Access tokens end after an hour; refresh tokens stay, and end after 90 days without use
// (https://developers.klaviyo.com/en/docs/set_up_oauth).
func (c *Connector) OAuth() connector.OAuth {
	return connector.OAuth{
		App: c.app, Scopes: scopes, PKCE: true,
		Endpoint: func(string) oauth2.Endpoint {
			return oauth2.Endpoint{AuthURL: c.page, TokenURL: c.client.base + "/oauth/token", AuthStyle: oauth2.AuthStyleInHeader}
		},
		Revoke: c.revoke,
		HTTP:   c.client.web.HTTP, Now: c.client.web.Now,
	}
}

// revoke ends an authorization: without its refresh token there will be no access tokens any more.
func (c *Connector) revoke(ctx context.Context, a connector.Account) error {
	secret, err := c.app.Secret(ctx)
	if err != nil {
		return fmt.Errorf("read the client secret: %w", err)
	}
	form := url.Values{"token": {a.Credentials.RefreshToken.Reveal()}, "token_type_hint": {"refresh_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.client.base+"/oauth/revoke", strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("address Klaviyo: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(c.app.ClientID), url.QueryEscape(secret.Reveal())) // RFC 6749, section 2.3.1
	return c.client.web.Fetch(r, nil)
}

// account is whose the credentials are.
func (c *Connector) account(ctx context.Context, a connector.Account) (id, name, currency, zone string, err error) {
	var got struct {
		Data []struct {
			ID         string `json:"id"`
			Attributes struct {
				Contact struct {
					Organization string `json:"organization_name"`
				} `json:"contact_information"`
				TimeZone string `json:"timezone"`
				Currency string `json:"preferred_currency"`
			} `json:"attributes"`
		} `json:"data"`
	}
	if err := c.client.get(ctx, a, "/api/accounts", nil, &got); err != nil {
		return "", "", "", "", err
	}
	if len(got.Data) != 1 || got.Data[0].ID == "" {
		return "", "", "", "", connector.BadAnswer("%d accounts, want the one of the credentials", len(got.Data))
	}
	of := got.Data[0].Attributes
	return got.Data[0].ID, of.Contact.Organization, of.Currency, of.TimeZone, nil
}

// Identify implements connector.Connector.
func (c *Connector) Identify(ctx context.Context, a connector.Account) (connector.Identity, error) {
	id, name, currency, zone, err := c.account(ctx, a)
	if err != nil {
		return connector.Identity{}, err
	}
	identity := connector.Identity{ID: id, Account: id, Title: name, Currency: currency, TimeZone: zone}
	if a.Credentials.Authorized {
		identity.Scopes = slices.Clone(scopes) // all or none: a person cannot take one away
	}
	return identity, nil
}

// accounts is a ByAccount's List: the one that there is, so that its currency and time zone are asked for once in a sync.
func (c *Connector) accounts(ctx context.Context, a connector.Account) ([]connector.SubAccount, error) {
	id, name, currency, zone, err := c.account(ctx, a)
	if err != nil {
		return nil, err
	}
	return []connector.SubAccount{{ID: id, Name: name, Currency: currency, TimeZone: zone}}, nil
}
