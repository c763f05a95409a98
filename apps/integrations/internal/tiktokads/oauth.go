package tiktokads

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// OAuth implements connector.Authorizer. What people allow is set with the app, not asked for. A code brings a token that lasts
// until it is revoked, and there is no other way to one. There is no PKCE (ads.tiktok.com/marketing_api/docs?id=1738373164380162).
func (c *Connector) OAuth() connector.OAuth {
	return connector.OAuth{
		App: c.app,
		Endpoint: func(string) oauth2.Endpoint {
			return oauth2.Endpoint{AuthURL: c.web.Page(host) + "/portal/auth", TokenURL: c.address("oauth2/access_token/")}
		},
		Authorize: map[string]string{"app_id": c.app.ClientID},
		CodeIn:    "auth_code",
		Token:     c.token,
		Revoke:    c.revoke,
		HTTP:      c.web.HTTP, Now: c.web.Now,
	}
}

// token is an OAuth's Token.
func (c *Connector) token(ctx context.Context, secret secrets.Secret, g connector.Grant) (connector.Credentials, error) {
	if g.Code == "" {
		return connector.Credentials{}, revoked(errors.New("TikTok's tokens cannot be refreshed"))
	}
	var got struct {
		AccessToken string `json:"access_token"`
	}
	body := map[string]string{"app_id": c.app.ClientID, "secret": secret.Reveal(), "auth_code": g.Code}
	if err := c.post(ctx, connector.Account{}, "oauth2/access_token/", body, &got, explainToken); err != nil {
		return connector.Credentials{}, err
	}
	if got.AccessToken == "" {
		return connector.Credentials{}, connector.BadAnswer("no access token and no error")
	}
	return connector.Credentials{AccessToken: secrets.New(got.AccessToken)}, nil
}

func revoked(cause error) *connector.Error {
	return &connector.Error{Class: connector.Unauthorized, Code: connector.CodeGrantRevoked, Message: "TikTok does not accept the authorization any more", Cause: cause}
}

// explainToken is explain for the token endpoint, which says 40110 of a code that is none any more, 40002 of one that never was, and
// 40101 of an app and its secret.
func explainToken(status int, header http.Header, body []byte) *connector.Error {
	e := explain(status, header, body)
	if e == nil {
		return nil
	}
	switch got, _ := failed(body); got.Code {
	case 40110, 40002:
		return revoked(e.Cause)
	case 40101:
		e.Message = "TikTok does not accept this platform's app id and secret"
	}
	return e
}

// revoke ends the token (ads.tiktok.com/marketing_api/docs?id=1738373164380162, "Revoke a long-term access token").
func (c *Connector) revoke(ctx context.Context, a connector.Account) error {
	secret, err := c.app.Secret(ctx)
	if err != nil {
		return fmt.Errorf("read the client secret: %w", err)
	}
	body := map[string]string{"app_id": c.app.ClientID, "secret": secret.Reveal(), "access_token": a.Credentials.AccessToken.Reveal()}
	return c.post(ctx, a, "oauth2/revoke_token/", body, nil, explain)
}
