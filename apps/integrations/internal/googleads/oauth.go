package googleads

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// scope lets us read, and is the only one there is.
const scope = "https://www.googleapis.com/auth/adwords"

// tokens is where tokens are given and revoked.
const tokens = "oauth2.googleapis.com"

// OAuth implements connector.Authorizer (https://developers.google.com/identity/protocols/oauth2/web-server). Without prompt=consent
// Google gives a refresh token the first time only. It stays the same until it is revoked, or is not used for half a year. What a
// person allows the app is one authorization, whichever of the two vendors it was for.
func (c *Connector) OAuth() connector.OAuth {
	web := c.client.web
	other := Vendor
	if c.vendor == Vendor {
		other = YouTube
	}
	return connector.OAuth{
		App: c.app, Scopes: []string{scope}, PKCE: true,
		Endpoint: func(string) oauth2.Endpoint {
			return oauth2.Endpoint{AuthURL: web.Page("accounts.google.com") + "/o/oauth2/v2/auth", TokenURL: web.API(tokens) + "/token", AuthStyle: oauth2.AuthStyleInParams}
		},
		Authorize: map[string]string{"access_type": "offline", "prompt": "consent"},
		Revoke:    c.revoke, With: []string{other},
		HTTP: web.HTTP, Now: web.Now,
	}
}

// revoke ends the authorization with all of its tokens.
func (c *Connector) revoke(ctx context.Context, a connector.Account) error {
	token := cmp.Or(a.Credentials.RefreshToken.Reveal(), a.Credentials.AccessToken.Reveal()) // the one lives longer
	body := strings.NewReader(url.Values{"token": {token}}.Encode())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.client.web.API(tokens)+"/revoke", body)
	if err != nil {
		return fmt.Errorf("address Google: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.client.web.Ask(r, nil, func(status int, _ http.Header, body []byte) *connector.Error {
		var said struct {
			Error string `json:"error"`
		}
		if status == http.StatusBadRequest && json.Unmarshal(body, &said) == nil && said.Error == "invalid_token" {
			return &connector.Error{Class: connector.Unauthorized, Code: connector.CodeGrantRevoked, Message: "the authorization has ended already", Cause: errors.New(said.Error)}
		}
		return nil
	})
}
