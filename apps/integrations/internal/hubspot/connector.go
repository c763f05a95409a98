// Package hubspot connects HubSpot accounts: contacts, deals, marketing campaigns and what they are credited with, workflows. Paths and names are those of HubSpot's API
// specifications of Version (github.com/HubSpot/HubSpot-public-api-spec-collection, which is read and not copied, as its licence
// says) and of its documentation, https://developers.hubspot.com/docs.
package hubspot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// Vendor is the vendor's name in routes and records.
const Vendor = "hubspot"

// Version is that of the API, a part of every path.
const Version = "2026-03"

const (
	// searchPage and campaignPage are the most entries of a page of a search and of the campaigns.
	searchPage, campaignPage = 200, 100
	// lookBack covers the delay with which HubSpot's search sees a change, which it puts at a few moments.
	lookBack = 10 * time.Minute
)

// scopes are what the streams need, and the .write ones what entering contacts and deals does. optional are those of what not every
// HubSpot subscription has: workflows, and what campaigns are credited with; people can authorize us without.
var (
	scopes   = []string{"oauth", "crm.objects.contacts.read", "crm.objects.contacts.write", "crm.objects.deals.read", "crm.objects.deals.write", "marketing.campaigns.read"}
	optional = []string{"automation", "marketing.campaigns.revenue.read"}
)

// Connector reads accounts.
type Connector struct {
	web        connector.Web
	app        connector.App
	base, page string
}

// NewConnector makes a connector.
func NewConnector(w connector.Web, app connector.App) *Connector {
	return &Connector{web: w, app: app, base: w.API("api.hubapi.com"), page: w.Page("app.hubspot.com") + "/oauth/authorize"}
}

// Vendor implements connector.Connector.
func (c *Connector) Vendor() string { return Vendor }

// Streams implements connector.Connector. Campaigns cannot be asked for by their last change, and are few: they are read whole.
func (c *Connector) Streams() []connector.Stream {
	return []connector.Stream{
		{Name: integrationsapi.KindContacts, PageSize: searchPage, LookBack: lookBack, Pull: c.contacts},
		{Name: integrationsapi.KindDeals, PageSize: searchPage, LookBack: lookBack, Pull: c.deals},
		{Name: integrationsapi.KindCampaigns, PageSize: campaignPage, Pull: c.campaigns},
	}
}

// told are the headers of all answers but those to searches
// (https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines).
var told = connector.Told{
	Max: "X-HubSpot-RateLimit-Max", Remaining: "X-HubSpot-RateLimit-Remaining", Interval: "X-HubSpot-RateLimit-Interval-Milliseconds",
}

// Limits implements connector.Limited: of searches, which count by themselves, and of everything, of which this is the least that an
// account has: others have up to 250 and say so.
func (c *Connector) Limits() []connector.Limit {
	return []connector.Limit{
		{
			Name: "search", Streams: []string{integrationsapi.KindContacts, integrationsapi.KindDeals}, Path: "/search",
			Windows: []connector.Window{{Requests: 5, Per: time.Second}},
		},
		{Windows: []connector.Window{{Requests: 100, Per: rolling}}, Told: told},
	}
}

// Key implements connector.Keyed.
func (c *Connector) Key() connector.Key {
	return connector.Key{
		Doc:     "The access token of a private app, made in HubSpot under Settings, Integrations, Private Apps, that may read contacts, deals and marketing campaigns, write contacts and deals where they are to be entered, and use automation where they are to be enrolled in workflows",
		Example: "pat-na1-01234567-89ab-cdef-0123-456789abcdef",
	}
}

// OAuth implements connector.Authorizer. Access tokens end after 30 minutes. A refresh does not rotate the refresh token, but its answer
// has one, which is kept.
func (c *Connector) OAuth() connector.OAuth {
	return connector.OAuth{
		App: c.app, Scopes: scopes, PKCE: true, Authorize: map[string]string{"optional_scope": strings.Join(optional, " ")},
		Endpoint: func(string) oauth2.Endpoint {
			return oauth2.Endpoint{AuthURL: c.page, TokenURL: c.base + "/oauth/" + Version + "/token", AuthStyle: oauth2.AuthStyleInParams}
		},
		Revoke: c.revoke,
		HTTP:   c.web.HTTP, Now: c.web.Now,
	}
}

// revoke ends an authorization by its refresh token.
func (c *Connector) revoke(ctx context.Context, a connector.Account) error {
	secret, err := c.app.Secret(ctx)
	if err != nil {
		return fmt.Errorf("read the client secret: %w", err)
	}
	form := url.Values{
		"client_id": {c.app.ClientID}, "client_secret": {secret.Reveal()}, "token": {a.Credentials.RefreshToken.Reveal()}, "token_type_hint": {"refresh_token"},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/oauth/"+Version+"/token/revoke", strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("address HubSpot: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.web.Ask(r, nil, c.explain)
}

// details are what HubSpot says of an account.
type details struct {
	PortalID int64  `json:"portalId"`
	TimeZone string `json:"timeZone"`
	Currency string `json:"companyCurrency"`
}

func (c *Connector) details(ctx context.Context, a connector.Account) (d details, err error) {
	if err = c.get(ctx, a, "/account-info/"+Version+"/details", nil, &d); err == nil && d.PortalID == 0 {
		err = connector.BadAnswer("an account without an id")
	}
	return d, err
}

// Identify implements connector.Connector. HubSpot has no name of an account that keys may read.
func (c *Connector) Identify(ctx context.Context, a connector.Account) (connector.Identity, error) {
	d, err := c.details(ctx, a)
	if err != nil {
		return connector.Identity{}, err
	}
	id := strconv.FormatInt(d.PortalID, 10)
	identity := connector.Identity{ID: id, Account: id, Title: "HubSpot account " + id, Currency: d.Currency, TimeZone: d.TimeZone}
	if a.Credentials.Authorized {
		identity.Scopes = slices.Clone(scopes) // all or none
	}
	return identity, nil
}

func (c *Connector) get(ctx context.Context, a connector.Account, path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("address HubSpot: %w", err)
	}
	return c.send(r, a, into)
}

func (c *Connector) post(ctx context.Context, a connector.Account, path string, body, into any) error {
	return c.write(ctx, http.MethodPost, a, path, body, into)
}

func (c *Connector) write(ctx context.Context, method string, a connector.Account, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("address HubSpot: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	return c.send(r, a, into)
}

func (c *Connector) send(r *http.Request, a connector.Account, into any) error {
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Authorization", "Bearer "+a.Credentials.AccessToken.Reveal())
	return c.web.Ask(r, into, c.explain)
}

const (
	// statusMigrating is while an account moves to another place, for as long as Retry-After says.
	statusMigrating = 477
	// unlocked is how long HubSpot asks to leave alone what is locked, and secondly and rolling how long its limits count.
	unlocked, secondly, rolling = 2 * time.Second, time.Second, 10 * time.Second
	// daily is how long a limit of a day is left alone before it is tried again: its day ends at an hour that answers do not tell.
	daily = time.Hour
)

// explain reads refusals of which HubSpot says in its own way how long they last. All others mean what their status does in HTTP.
func (c *Connector) explain(status int, header http.Header, body []byte) *connector.Error {
	wait := connector.RetryAfter(header, c.web.Now())
	switch status {
	case http.StatusTooManyRequests:
		var said struct {
			Policy string `json:"policyName"`
		}
		_ = json.Unmarshal(body, &said) // without a policy, the limit that everything counts for
		switch {
		case wait > 0:
		case said.Policy == "DAILY":
			wait = daily
		case strings.HasPrefix(said.Policy, "SECONDLY"): // of searches
			wait = secondly
		default:
			if wait = told.Wait(header); wait == 0 {
				wait = rolling
			}
		}
	case http.StatusConflict:
		return connector.Exists(fmt.Errorf("%.200q", body))
	case http.StatusLocked:
		wait = max(wait, unlocked)
	case statusMigrating:
		wait = max(wait, rolling)
	default:
		return nil
	}
	return &connector.Error{
		Class: connector.Throttled, Code: connector.CodeThrottled, Message: "HubSpot asks to wait", Wait: wait,
		Cause: fmt.Errorf("status %d: %.200q", status, body),
	}
}

var errIncomplete = errors.New("it has no id or no time")
