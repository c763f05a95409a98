// Package stripe connects Stripe accounts: the connector over the REST API, by restricted keys and by OAuth of Connect, and the
// live read of the balance.
package stripe

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// Vendor is the vendor's name in routes and records.
const Vendor = "stripe"

// Version is the API's version that the requests were written for, sent with each: that of the OpenAPI document in stripe-mock
// v0.203.0. Without it Stripe answers in the version of the account.
const Version = "2026-08-26.dahlia"

const (
	// maxPage is the most objects that a list has (docs.stripe.com/api/pagination).
	maxPage = 100
	// lookBack covers the differences of clocks and the delay with which lists and events show what is new.
	lookBack = time.Hour
	// scope is what an authorization is for. Nothing is written.
	scope = "read_only"
)

// Connector reads accounts.
type Connector struct {
	web connector.Web
	app connector.App
}

// NewConnector makes a connector.
func NewConnector(w connector.Web, app connector.App) *Connector { return &Connector{w, app} }

// Vendor implements connector.Connector.
func (c *Connector) Vendor() string { return Vendor }

// Streams implements connector.Connector.
func (c *Connector) Streams() []connector.Stream {
	return []connector.Stream{
		{Name: integrationsapi.KindPayments, PageSize: maxPage, LookBack: lookBack, Pull: pull[charge](c, charges)},
		{Name: integrationsapi.KindCustomers, PageSize: maxPage, LookBack: lookBack, Pull: pull[customer](c, customers)},
	}
}

// Limits implements connector.Limited: that of live mode (docs.stripe.com/rate-limits). No answer tells it.
func (c *Connector) Limits() []connector.Limit {
	return []connector.Limit{{Windows: []connector.Window{{Requests: 100, Per: time.Second}}}}
}

// Key implements connector.Keyed.
func (c *Connector) Key() connector.Key {
	return connector.Key{
		Doc: "A restricted key, made in the Stripe Dashboard under Developers, API keys, with read access to Accounts, Balance, Balance transaction sources, " +
			"Charges and Refunds, Customers, Disputes and Events; a secret key is taken, too",
		Example: "rk_live_…",
	}
}

// OAuth implements connector.Authorizer: OAuth of Connect (docs.stripe.com/connect/oauth-reference). The access token speaks for the
// account with the scope that was given, and no longer than that is so; it does not expire by itself. A refresh gives another one
// and replaces the refresh token.
func (c *Connector) OAuth() connector.OAuth {
	connect := c.web.API("connect.stripe.com")
	return connector.OAuth{
		App:    c.app,
		Scopes: []string{scope},
		Endpoint: func(string) oauth2.Endpoint {
			return oauth2.Endpoint{
				AuthURL: c.web.Page("connect.stripe.com") + "/oauth/authorize", TokenURL: connect + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams,
			}
		},
		Revoke: c.revoke,
		HTTP:   c.web.HTTP, Now: c.web.Now,
	}
}

// revoke takes our app out of the account, which ends all of its tokens there. It is the platform that asks, so the client secret,
// which is its secret key, goes along rather than the account's token.
func (c *Connector) revoke(ctx context.Context, a connector.Account) error {
	if a.Name == "" { // it was never kept
		identity, err := c.Identify(ctx, a)
		if err != nil {
			return err
		}
		a.Name = identity.Account
	}
	secret, err := c.app.Secret(ctx)
	if err != nil {
		return fmt.Errorf("read the client secret: %w", err)
	}
	form := url.Values{"client_id": {c.app.ClientID}, "stripe_user_id": {a.Name}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.web.API("connect.stripe.com")+"/oauth/deauthorize", strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("address Stripe: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	authorize(r, secret)
	return c.web.Fetch(r, nil)
}

// authorize signs a request with a key or token.
func authorize(r *http.Request, token secrets.Secret) {
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
	r.Header.Set("Accept", "application/json")
}

// get reads an object or a list: an *Error.
func (c *Connector) get(ctx context.Context, a connector.Account, path string, query url.Values, into any) error {
	address := c.web.API("api.stripe.com") + "/v1/" + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("address Stripe: %w", err)
	}
	authorize(r, a.Credentials.AccessToken)
	r.Header.Set("Stripe-Version", Version)
	return c.web.Fetch(r, into)
}

var (
	accountID = regexp.MustCompile(`^acct_[A-Za-z0-9_]{1,100}$`)
	objectID  = regexp.MustCompile(`^[A-Za-z]+_[A-Za-z0-9_]{1,200}$`)
)

// Identify implements connector.Connector.
func (c *Connector) Identify(ctx context.Context, a connector.Account) (connector.Identity, error) {
	var got struct {
		ID              string `json:"id"`
		DefaultCurrency string `json:"default_currency"`
		Email           string `json:"email"`
		BusinessProfile struct {
			Name string `json:"name"`
		} `json:"business_profile"`
		Settings struct {
			Dashboard struct {
				DisplayName string `json:"display_name"`
				TimeZone    string `json:"timezone"`
			} `json:"dashboard"`
		} `json:"settings"`
	}
	if err := c.get(ctx, a, "account", nil, &got); err != nil {
		return connector.Identity{}, err
	}
	if !accountID.MatchString(got.ID) {
		return connector.Identity{}, connector.BadAnswer("%.60q is no id of an account", got.ID)
	}
	identity := connector.Identity{
		ID: got.ID, Account: got.ID, Title: got.ID, Currency: strings.ToUpper(got.DefaultCurrency), TimeZone: got.Settings.Dashboard.TimeZone, Scopes: []string{},
	}
	for _, title := range []string{got.Email, got.BusinessProfile.Name, got.Settings.Dashboard.DisplayName} { // the best is last
		if title != "" {
			identity.Title = title
		}
	}
	if a.Credentials.Authorized {
		identity.Scopes = []string{scope}
	}
	return identity, nil
}
