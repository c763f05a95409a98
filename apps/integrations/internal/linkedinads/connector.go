// Package linkedinads connects LinkedIn's ad accounts, by the versioned Marketing APIs
// (https://learn.microsoft.com/en-us/linkedin/marketing/).
package linkedinads

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// Vendor is the vendor's name in routes and records.
const Vendor = "linkedin-ads"

// Version is that of the Marketing APIs, a year and month. Each is served for a year at least
// (https://learn.microsoft.com/en-us/linkedin/marketing/versioning).
const Version = "202607"

const host = "api.linkedin.com"

// scopes are what the streams need; a member allows both or none.
var scopes = []string{"r_ads", "r_ads_reporting"}

const (
	// maxPage is the most accounts or campaigns of a page.
	maxPage = 1000
	// maxElements is the most figures of an answer. LinkedIn cuts longer ones off and does not say so.
	maxElements = 15_000
	// window is in days.
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

// Streams implements connector.Connector. An account has 5,000 campaigns at most, which are all read each time.
func (c *Connector) Streams() []connector.Stream {
	return connector.Advertising{
		Accounts: c.Accounts, Campaigns: c.campaigns, CampaignsPage: maxPage, Days: c.days, DaysPage: maxElements, Window: window, Now: c.web.Now,
	}.Streams()
}

// Limits implements connector.Limited. LinkedIn publishes no number and counts by the day
// (https://learn.microsoft.com/en-us/linkedin/shared/api-guide/concepts/rate-limits): this is our own pace.
func (c *Connector) Limits() []connector.Limit {
	return []connector.Limit{{Windows: []connector.Window{{Requests: 600, Per: time.Minute}}}}
}

// OAuth implements connector.Authorizer (https://learn.microsoft.com/en-us/linkedin/shared/authentication/authorization-code-flow).
// Access tokens live for 60 days. Only some apps are given refresh tokens, which live for a year from when the person authorized us,
// however often they are used: with others, or after that, a person has to authorize us again. There is no PKCE, and no way to
// revoke that is documented.
func (c *Connector) OAuth() connector.OAuth {
	return connector.OAuth{
		App: c.app, Scopes: scopes,
		Endpoint: func(string) oauth2.Endpoint {
			page := c.web.Page("www.linkedin.com") + "/oauth/v2/"
			return oauth2.Endpoint{AuthURL: page + "authorization", TokenURL: c.web.API("www.linkedin.com") + "/oauth/v2/accessToken", AuthStyle: oauth2.AuthStyleInParams}
		},
		Early: early, HTTP: c.web.HTTP, Now: c.web.Now,
	}
}

// early is how long before their end tokens are refreshed, so that there is time for trouble.
const early = 24 * time.Hour

// Identify implements connector.Connector: the member who authorized us, and an account as the name for people.
func (c *Connector) Identify(ctx context.Context, a connector.Account) (connector.Identity, error) {
	var got struct {
		Elements []struct {
			User string `json:"user"`
		} `json:"elements"`
	}
	if err := c.get(ctx, a, "adAccountUsers", "q=authenticatedUser", &got); err != nil {
		return connector.Identity{}, err
	}
	if len(got.Elements) == 0 {
		return connector.Identity{}, &connector.Error{
			Class: connector.Permanent, Code: connector.CodeAccountUnavailable, Message: "the LinkedIn member has no ad account",
			Cause: errors.New("no account of the authenticated user"),
		}
	}
	member, ok := strings.CutPrefix(got.Elements[0].User, "urn:li:person:")
	if !ok || member == "" {
		return connector.Identity{}, connector.BadAnswer("%.60q is no member", got.Elements[0].User)
	}
	accounts, err := c.Accounts(ctx, a)
	if err != nil {
		return connector.Identity{}, err
	}
	identity := connector.Identity{ID: member, Account: member, Title: member, Scopes: scopes}
	if len(accounts) > 0 {
		identity.Title = cmp.Or(accounts[0].Name, member)
	}
	return identity, nil
}

// list is a page of what a finder finds.
type list[T any] struct {
	Elements []T `json:"elements"`
	Metadata struct {
		NextPageToken string `json:"nextPageToken"`
	} `json:"metadata"`
}

// find reads a page of what a finder finds; more are parameters of the finder, encoded as Rest.li wants them.
func find[T any](ctx context.Context, c *Connector, a connector.Account, path, more, pageToken string, size int) (list[T], error) {
	query := "q=search&pageSize=" + strconv.Itoa(size) + more
	if pageToken != "" {
		query += "&pageToken=" + escape(pageToken)
	}
	var got list[T]
	if err := c.get(ctx, a, path, query, &got); err != nil {
		return got, err
	}
	if got.Metadata.NextPageToken != "" && got.Metadata.NextPageToken == pageToken {
		return got, connector.BadAnswer("a next page that is this one")
	}
	return got, nil
}

// mostPages bounds what is read at once.
const mostPages = 20

// Accounts implements connector.Lister. Figures are by days of UTC.
func (c *Connector) Accounts(ctx context.Context, a connector.Account) ([]connector.SubAccount, error) {
	type account struct {
		ID       int64  `json:"id"`
		Name     string `json:"name"`
		Currency string `json:"currency"`
	}
	var all []connector.SubAccount
	next := ""
	for range mostPages {
		page, err := find[account](ctx, c, a, "adAccounts", "", next, maxPage)
		if err != nil {
			return nil, err
		}
		for _, one := range page.Elements {
			if one.ID <= 0 {
				return nil, connector.BadAnswer("an ad account without an id")
			}
			all = append(all, connector.SubAccount{ID: strconv.FormatInt(one.ID, 10), Name: one.Name, Currency: one.Currency, TimeZone: "Etc/UTC"})
		}
		if next = page.Metadata.NextPageToken; next == "" {
			return all, nil
		}
	}
	return nil, connector.BadAnswer("more than %d pages of ad accounts", mostPages)
}

// get makes a request with a query that is encoded already: an *Error.
func (c *Connector) get(ctx context.Context, a connector.Account, path, query string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.web.API(host)+"/rest/"+path+"?"+query, http.NoBody)
	if err != nil {
		return fmt.Errorf("address LinkedIn: %w", err)
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Authorization", "Bearer "+a.Credentials.AccessToken.Reveal())
	r.Header.Set("Linkedin-Version", Version)
	r.Header.Set("X-Restli-Protocol-Version", "2.0.0")
	return c.web.Ask(r, into, c.explain)
}

// escape encodes a value in a query for Rest.li, in which what has a meaning in its lists and objects must not be bare
// (https://linkedin.github.io/rest.li/spec/protocol).
func escape(value string) string {
	var b strings.Builder
	for _, x := range []byte(value) {
		if 'a' <= x && x <= 'z' || 'A' <= x && x <= 'Z' || '0' <= x && x <= '9' || strings.IndexByte("-._~", x) >= 0 {
			b.WriteByte(x)
		} else {
			fmt.Fprintf(&b, "%%%02X", x)
		}
	}
	return b.String()
}

// failure is an error as the API tells it.
type failure struct {
	ServiceErrorCode int    `json:"serviceErrorCode"`
	Code             string `json:"code"`
	Message          string `json:"message"`
}

// failed is what an answer says, false where it says nothing.
func failed(body []byte) (f failure, ok bool) {
	ok = json.Unmarshal(body, &f) == nil
	return f, ok
}

// pause is the wait after a refusal, which LinkedIn never says.
const pause = 5 * time.Second

// explain is a connector.Explain. LinkedIn's limits are by the day, of UTC, and say so in the message; what else comes with 429 passes
// sooner (https://learn.microsoft.com/en-us/linkedin/shared/api-guide/concepts/rate-limits).
func (c *Connector) explain(status int, _ http.Header, body []byte) *connector.Error {
	if status != http.StatusTooManyRequests && status != http.StatusUpgradeRequired {
		return nil
	}
	said, ok := failed(body)
	if !ok {
		return nil
	}
	cause := fmt.Errorf("status %d, service error %d, code %.60q: %.200q", status, said.ServiceErrorCode, said.Code, said.Message)
	switch status {
	case http.StatusTooManyRequests:
		wait := pause
		if strings.Contains(said.Message, " DAY limit") {
			now := c.web.Now().UTC()
			wait = max(wait, connector.Seconds(now.Truncate(24*time.Hour).Add(24*time.Hour).Sub(now).Seconds()))
		}
		return &connector.Error{Class: connector.Throttled, Code: connector.CodeThrottled, Message: "LinkedIn asks to wait", Wait: wait, Cause: cause}
	case http.StatusUpgradeRequired:
		return &connector.Error{Class: connector.Permanent, Code: connector.CodeRefused, Message: "LinkedIn does not serve this version of its API any more", Cause: cause}
	}
	return nil
}
