package metaads

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// scope is what the streams need.
const scope = "ads_read"

// early is how long before its end a token is exchanged. Nobody can exchange one that has ended, so that there is time for trouble.
const early = 10 * 24 * time.Hour

// OAuth implements connector.Authorizer. A code brings a token of an hour or two, which is exchanged for one of about 60 days; that
// one is exchanged for another while it lives, since there are no refresh tokens. There is no PKCE
// (developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived).
func (c *Connector) OAuth() connector.OAuth {
	return connector.OAuth{
		App:    c.app,
		Scopes: []string{scope},
		Endpoint: func(string) oauth2.Endpoint {
			return oauth2.Endpoint{AuthURL: c.web.Page(pageHost) + "/" + Version + "/dialog/oauth", TokenURL: c.address("oauth/access_token")}
		},
		Token:  c.token,
		Early:  early,
		Revoke: c.revoke,
		HTTP:   c.web.HTTP, Now: c.web.Now,
	}
}

// token is an OAuth's Token. What refreshes the token is the token.
func (c *Connector) token(ctx context.Context, secret secrets.Secret, g connector.Grant) (connector.Credentials, error) {
	old := g.Old.RefreshToken.Reveal()
	if g.Code != "" {
		short, err := c.ask(ctx, secret, url.Values{"redirect_uri": {g.Redirect}, "code": {g.Code}})
		if err != nil {
			return connector.Credentials{}, err
		}
		old = short.AccessToken
	}
	long, err := c.ask(ctx, secret, url.Values{"grant_type": {"fb_exchange_token"}, "fb_exchange_token": {old}})
	if err != nil {
		return connector.Credentials{}, err
	}
	fresh := connector.Credentials{AccessToken: secrets.New(long.AccessToken), RefreshToken: secrets.New(long.AccessToken)}
	if long.ExpiresIn > 0 { // tokens of system users may have no end
		fresh.ExpiresAt = c.web.Now().Add(time.Duration(long.ExpiresIn) * time.Second)
	}
	return fresh, nil
}

type granted struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
}

// ask asks the token endpoint, in a body, where no log has the secret. Meta documents the parameters for GET and takes them by POST,
// as every standard client sends them.
func (c *Connector) ask(ctx context.Context, secret secrets.Secret, form url.Values) (granted, error) {
	form.Set("client_id", c.app.ClientID)
	form.Set("client_secret", secret.Reveal())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address("oauth/access_token"), strings.NewReader(form.Encode()))
	if err != nil {
		return granted{}, fmt.Errorf("address Meta: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	var got granted
	if err := c.web.Ask(r, &got, explainToken); err != nil {
		return granted{}, err
	}
	if got.AccessToken == "" {
		return granted{}, connector.BadAnswer("no access token and no error")
	}
	return got, nil
}

// explainToken is explain for the token endpoint, which says 100 of a code that is none, 101 of an app and, like of any trouble, 1 of a
// secret that is wrong.
func explainToken(status int, header http.Header, body []byte) *connector.Error {
	f, ok := failed(body)
	if !ok {
		return nil
	}
	switch {
	case f.Code == 190 || f.Code == 100:
		return &connector.Error{Class: connector.Unauthorized, Code: connector.CodeGrantRevoked, Message: "Meta does not accept the authorization any more", Cause: f.cause()}
	case f.Code == 101 || f.Code == 1 && !f.Transient && status < http.StatusInternalServerError:
		return &connector.Error{Class: connector.Permanent, Code: connector.CodeRefused, Message: "Meta does not accept this platform's app id and secret", Cause: f.cause()}
	}
	return explain(status, header, body)
}

// revoke takes all permissions of the app back, which ends all of its tokens for the person
// (developers.facebook.com/docs/facebook-login/guides/permissions/request-revoke).
func (c *Connector) revoke(ctx context.Context, a connector.Account) error {
	return c.send(ctx, http.MethodDelete, a, "me/permissions", url.Values{}, nil)
}
