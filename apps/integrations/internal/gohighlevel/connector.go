// Package gohighlevel connects locations (sub-accounts) of HighLevel, by OAuth or by a private integration token. What the API says is
// in github.com/GoHighLevel/highlevel-api-docs, apps/v3.
package gohighlevel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
const Vendor = "gohighlevel"

// Version is the API's version that the requests were written for.
const Version = "v3"

const maxPage = 100

// lookBack covers the delay with which the search sees a change.
const lookBack = 10 * time.Minute

// settled is after how long a transaction is taken to change no more: chargebacks come within some four months.
const settled = 180 * 24 * time.Hour

// scopes are what the streams need, and what entering contacts and opportunities and beginning workflows does.
var scopes = []string{
	"contacts.readonly", "contacts.write", "locations.readonly", "opportunities.readonly", "opportunities.write", "payments/transactions.readonly", "workflows.readonly",
}

// Connector reads locations.
type Connector struct {
	web connector.Web
	app connector.App
}

// NewConnector makes a connector.
func NewConnector(w connector.Web, app connector.App) *Connector { return &Connector{w, app} }

// Vendor implements connector.Connector.
func (c *Connector) Vendor() string { return Vendor }

// Streams implements connector.Connector. Opportunities are listed whole every time, as there is no list of those that changed;
// transactions as far back as they may have changed.
func (c *Connector) Streams() []connector.Stream {
	return []connector.Stream{
		{Name: integrationsapi.KindContacts, PageSize: maxPage, LookBack: lookBack, Pull: c.contacts},
		{Name: integrationsapi.KindDeals, PageSize: maxPage, Pull: c.opportunities},
		{Name: integrationsapi.KindPayments, PageSize: maxPage, LookBack: settled, Pull: c.transactions},
	}
}

// Limits implements connector.Limited: of an app in a location (marketplace.gohighlevel.com/docs/other/rate-limits).
func (c *Connector) Limits() []connector.Limit {
	return []connector.Limit{{
		Windows: []connector.Window{{Requests: 100, Per: 10 * time.Second}},
		Told:    connector.Told{Max: "X-RateLimit-Max", Remaining: "X-RateLimit-Remaining", Interval: "X-RateLimit-Interval-Milliseconds"},
	}}
}

var locationID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// Key implements connector.Keyed.
func (c *Connector) Key() connector.Key {
	return connector.Key{
		Doc:     "A private integration token, made in the location's settings under Private Integrations, with the scopes " + strings.Join(scopes, ", "),
		Example: "pit-…",
		Account: "The id of the location, which its Business Profile shows",
		Normal: func(text string) (string, error) {
			if text = strings.TrimSpace(text); !locationID.MatchString(text) {
				return "", errors.New("is no id of a location")
			}
			return text, nil
		},
	}
}

// OAuth implements connector.Authorizer. Access tokens live a day; a refresh token lives a year and is good once. There is no PKCE.
func (c *Connector) OAuth() connector.OAuth {
	return connector.OAuth{
		App:    c.app,
		Scopes: scopes,
		Endpoint: func(string) oauth2.Endpoint {
			return oauth2.Endpoint{AuthURL: c.web.Page("marketplace.gohighlevel.com") + "/v2/oauth/chooselocation", TokenURL: c.base() + "/oauth/token"}
		},
		Token: c.token,
		Early: 10 * time.Minute,
		HTTP:  c.web.HTTP, Now: c.web.Now,
	}
}

func (c *Connector) base() string { return c.web.API("services.leadconnectorhq.com") }

// granted is the answer of the token endpoint. Version v3 writes camel case, those before it snake case.
type granted struct {
	AccessToken   string  `json:"accessToken"`
	RefreshToken  string  `json:"refreshToken"`
	ExpiresIn     float64 `json:"expiresIn"`
	LocationID    string  `json:"locationId"`
	OldAccess     string  `json:"access_token"`
	OldRefresh    string  `json:"refresh_token"`
	OldExpiration float64 `json:"expires_in"`
}

// token exchanges a code or a refresh token. Which location it is for is said here only, so the access token is kept with it: see split.
func (c *Connector) token(ctx context.Context, secret secrets.Secret, g connector.Grant) (connector.Credentials, error) {
	form := url.Values{"clientId": {c.app.ClientID}, "clientSecret": {secret.Reveal()}, "userType": {"Location"}}
	if g.Code != "" {
		form.Set("grantType", "authorization_code")
		form.Set("code", g.Code)
		form.Set("redirectUri", g.Redirect)
	} else {
		form.Set("grantType", "refresh_token")
		form.Set("refreshToken", g.Old.RefreshToken.Reveal())
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base()+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return connector.Credentials{}, fmt.Errorf("address HighLevel: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	headers(r)
	var got granted
	if err := c.web.Fetch(r, &got); err != nil {
		return connector.Credentials{}, refusal(err)
	}
	if got.AccessToken == "" {
		got.AccessToken, got.RefreshToken, got.ExpiresIn = got.OldAccess, got.OldRefresh, got.OldExpiration
	}
	switch {
	case got.LocationID == "":
		return connector.Credentials{}, &connector.Error{Class: connector.Permanent, Code: connector.CodeAccountUnavailable, Message: "an agency was authorized; choose one of its locations"}
	case !locationID.MatchString(got.LocationID) || !connector.IsHeaderValue(got.AccessToken) || got.RefreshToken == "" || got.ExpiresIn <= 0:
		return connector.Credentials{}, connector.BadAnswer("tokens that are none, for location %.60q", got.LocationID)
	}
	return connector.Credentials{
		AccessToken: secrets.New(got.LocationID + " " + got.AccessToken), RefreshToken: secrets.New(got.RefreshToken),
		ExpiresAt: c.web.Now().Add(time.Duration(got.ExpiresIn) * time.Second),
	}, nil
}

// refusal is an error of the token endpoint in shared terms. HighLevel says 401 of a client that it does not know, and 400 or 422 of a
// code or refresh token.
func refusal(err error) error {
	var e *connector.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case connector.CodeCredentialsRefused:
		return &connector.Error{Class: connector.Permanent, Code: connector.CodeRefused, Message: "the vendor does not accept this platform's client id and secret", Cause: e}
	case connector.CodeRefused:
		return &connector.Error{Class: connector.Unauthorized, Code: connector.CodeGrantRevoked, Message: "the vendor does not accept the authorization any more", Cause: e}
	}
	return e
}

// split is the location of an account and the token for it.
func split(a connector.Account) (location, token string) {
	if location, token, ok := strings.Cut(a.Credentials.AccessToken.Reveal(), " "); ok {
		return location, token
	}
	return a.Name, a.Credentials.AccessToken.Reveal()
}

func headers(r *http.Request) {
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Version", Version)
}

// get reads something by a query, and post by a body: an *Error.
func (c *Connector) get(ctx context.Context, token, path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, token, path, nil, into)
}

func (c *Connector) post(ctx context.Context, token, path string, body, into any) error {
	return c.write(ctx, http.MethodPost, token, path, body, into)
}

func (c *Connector) write(ctx context.Context, method, token, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	return c.do(ctx, method, token, path, text, into)
}

func (c *Connector) do(ctx context.Context, method, token, path string, body []byte, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, c.base()+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("address HighLevel: %w", err)
	}
	headers(r)
	r.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return c.web.Ask(r, into, explain)
}

// explain is a connector.Explain of what HighLevel says with status 400, whatever is wrong: that somebody of the address is there, with
// who that is, and that what a path names is not. All others mean what their status does in HTTP.
func explain(status int, _ http.Header, body []byte) *connector.Error {
	var said struct {
		Message any `json:"message"` // a list for 422
		Meta    struct {
			ContactID string `json:"contactId"`
		} `json:"meta"`
	}
	readable := json.Unmarshal(body, &said) == nil
	message, _ := said.Message.(string)
	cause := fmt.Errorf("status %d: %.200q", status, body)
	switch {
	case status != http.StatusBadRequest || !readable: // nothing of which this is the place to complain
	case said.Meta.ContactID != "":
		return connector.Exists(cause)
	case strings.Contains(message, "not found"):
		return &connector.Error{Class: connector.Permanent, Code: connector.CodeAccountUnavailable, Message: "HighLevel has no such location, or no such thing in it", Cause: cause}
	}
	return nil
}

// location is what HighLevel says of a location.
type location struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Country  string `json:"country"`
	TimeZone string `json:"timezone"`
}

func (c *Connector) location(ctx context.Context, a connector.Account) (location, error) {
	id, token := split(a)
	var got struct {
		Location location `json:"location"`
	}
	if err := c.get(ctx, token, "/locations/"+url.PathEscape(id), nil, &got); err != nil {
		return location{}, err
	}
	if !locationID.MatchString(got.Location.ID) {
		return location{}, connector.BadAnswer("%.60q is no id of a location", got.Location.ID)
	}
	return got.Location, nil
}

// Identify implements connector.Connector.
func (c *Connector) Identify(ctx context.Context, a connector.Account) (connector.Identity, error) {
	l, err := c.location(ctx, a)
	if err != nil {
		return connector.Identity{}, err
	}
	currency, err := l.currency()
	if err != nil {
		return connector.Identity{}, err
	}
	identity := connector.Identity{ID: l.ID, Account: l.ID, Title: l.Name, Currency: currency, TimeZone: l.TimeZone, Scopes: []string{}}
	if a.Credentials.Authorized {
		identity.Scopes = scopes
	}
	return identity, nil
}
