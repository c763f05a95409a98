package connector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandemhq/tandem/pkg/secrets"
)

// CodeGrantRevoked says that an authorization has ended at the vendor.
const CodeGrantRevoked = "authorization_revoked"

// Authorizer is a connector whose accounts people can connect by OAuth 2.0.
type Authorizer interface {
	Connector
	OAuth() OAuth
}

// App is this platform's app at a vendor.
type App struct {
	// ClientID names us to the vendor; empty where no app is configured, and nobody can authorize us.
	ClientID string
	// Secret reads the client secret.
	Secret func(context.Context) (secrets.Secret, error)
	// HookSecrets reads the secrets that webhooks are signed with, newest first; none where the vendor has none of its own for them.
	HookSecrets func(context.Context) ([]secrets.Secret, error)
	// HookTokens reads the tokens that a vendor has to send with a Challenge, newest first.
	HookTokens func(context.Context) ([]secrets.Secret, error)
}

// OAuth is a vendor's authorization code flow (RFC 6749, section 4.1) as data, with hooks for what is the vendor's own.
type OAuth struct {
	App
	// Scopes are asked for, in the form in which the vendor wants them.
	Scopes []string
	// PKCE sends a challenge with the request (RFC 7636, S256).
	PKCE bool
	// Account is the normal form of the account that somebody names, where the vendor's addresses depend on it: an error for
	// people. Nil where the vendor asks which account it is to be.
	Account func(text string) (string, error)
	// Endpoint is where the flow of an account is.
	Endpoint func(account string) oauth2.Endpoint
	// Authorize are parameters beside those of the standard for the page where a person authorizes us.
	Authorize map[string]string
	// Exchange are parameters beside those of the standard for the exchange of a code.
	Exchange map[string]string
	// CodeIn is the parameter that a callback has its code in; "code" when empty.
	CodeIn string
	// Token asks for credentials in the vendor's own way, where that is not the standard's: an *Error, Unauthorized when there is no
	// such grant any more. Optional.
	Token func(ctx context.Context, secret secrets.Secret, g Grant) (Credentials, error)
	// Early is how long before their end credentials are refreshed; 2 minutes when zero.
	Early time.Duration
	// Verify checks what the vendor says of an account when it sends somebody back. Optional.
	Verify func(secret secrets.Secret, account string, callback url.Values) error
	// Revoke ends the authorization at the vendor: an *Error. Optional.
	Revoke func(ctx context.Context, a Account) error
	// With are other vendors at which the same app and account are one authorization with this, so that Revoke ends theirs too.
	With []string

	HTTP *http.Client
	Now  func() time.Time
}

// RefreshEarly is how long before their end credentials are refreshed, for whoever uses them a while.
func (o OAuth) RefreshEarly() time.Duration { return cmp.Or(o.Early, 2*time.Minute) }

// Grant is what credentials are given for: a code, or those that there were.
type Grant struct {
	Account string
	// Code was sent to Redirect; Verifier goes with the challenge (RFC 7636).
	Code, Redirect, Verifier string
	// Old are the credentials to be refreshed, where there is no code.
	Old Credentials
}

func (o OAuth) config(account, redirect string) oauth2.Config {
	return oauth2.Config{ClientID: o.ClientID, Scopes: o.Scopes, Endpoint: o.Endpoint(account), RedirectURL: redirect}
}

// AuthorizeURL is where a person authorizes us. The verifier is for PKCE.
func (o OAuth) AuthorizeURL(account, redirect, state, verifier string) string {
	var options []oauth2.AuthCodeOption
	if o.PKCE {
		options = append(options, oauth2.S256ChallengeOption(verifier))
	}
	for name, value := range o.Authorize {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	c := o.config(account, redirect)
	return c.AuthCodeURL(state, options...)
}

// Redeem exchanges the code that the vendor has sent a person back with: an *Error.
func (o OAuth) Redeem(ctx context.Context, account, redirect, code, verifier string) (Credentials, error) {
	if o.Token != nil {
		return o.own(ctx, Grant{Account: account, Code: code, Redirect: redirect, Verifier: verifier})
	}
	var options []oauth2.AuthCodeOption
	if o.PKCE {
		options = append(options, oauth2.VerifierOption(verifier))
	}
	for name, value := range o.Exchange {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	ask := func(ctx context.Context, c oauth2.Config) (*oauth2.Token, error) {
		return c.Exchange(ctx, code, options...)
	}
	return o.token(ctx, o.config(account, redirect), ask, "invalid_grant", "invalid_request") // vendors say either of a code that is none
}

// Refresh gets new credentials for those that expire: an *Error, Unauthorized when the authorization has ended. Where the
// vendor rotates refresh tokens, that of the old credentials is spent from then on.
func (o OAuth) Refresh(ctx context.Context, account string, old Credentials) (Credentials, error) {
	if o.Token != nil {
		return o.own(ctx, Grant{Account: account, Old: old})
	}
	ask := func(ctx context.Context, c oauth2.Config) (*oauth2.Token, error) {
		return c.TokenSource(ctx, &oauth2.Token{RefreshToken: old.RefreshToken.Reveal()}).Token()
	}
	return o.token(ctx, o.config(account, ""), ask, "invalid_grant")
}

// own asks for credentials in the vendor's own way.
func (o OAuth) own(ctx context.Context, g Grant) (Credentials, error) {
	secret, err := o.Secret(ctx)
	if err != nil {
		return Credentials{}, fmt.Errorf("read the client secret: %w", err)
	}
	fresh, err := o.Token(ctx, secret, g)
	fresh.Authorized = true
	return fresh, err
}

// token asks for credentials. The errors that ended names say that there is no authorization.
func (o OAuth) token(ctx context.Context, c oauth2.Config, ask func(context.Context, oauth2.Config) (*oauth2.Token, error), ended ...string) (Credentials, error) {
	secret, err := o.Secret(ctx)
	if err != nil {
		return Credentials{}, fmt.Errorf("read the client secret: %w", err)
	}
	c.ClientSecret = secret.Reveal()
	got, err := ask(context.WithValue(ctx, oauth2.HTTPClient, o.HTTP), c)
	if err != nil {
		return Credentials{}, o.refusal(ctx, err, ended)
	}
	fresh := Credentials{AccessToken: secrets.New(got.AccessToken), RefreshToken: secrets.New(got.RefreshToken), Authorized: true}
	if got.ExpiresIn > 0 {
		fresh.ExpiresAt = o.Now().Add(time.Duration(got.ExpiresIn) * time.Second)
	}
	return fresh, nil
}

// refusal is an error of a token endpoint in shared terms (RFC 6749, section 5.2).
func (o OAuth) refusal(ctx context.Context, err error, ended []string) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return unreachable(ctx, err)
	}
	switch status := refused.Response.StatusCode; {
	case slices.Contains(ended, refused.ErrorCode): // whatever the status: some vendors say it with 401
		return &Error{Class: Unauthorized, Code: CodeGrantRevoked, Message: "the vendor does not accept the authorization any more", Cause: err}
	case refused.ErrorCode == "invalid_client" || refused.ErrorCode == "unauthorized_client" || status == http.StatusUnauthorized:
		return &Error{Class: Permanent, Code: CodeRefused, Message: "the vendor does not accept this platform's client id and secret", Cause: err}
	case status < http.StatusMultipleChoices:
		return BadAnswer("%w", err)
	}
	return statusError(refused.Response, refused.Body, o.Now())
}
