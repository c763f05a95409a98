// Package oidc is a relying party of customers' OpenID providers: discovery, the authorization code flow with PKCE, and the
// claims of who signed in (OpenID Connect Core 1.0, RFC 9700).
package oidc

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	// discoveryKept is how long a provider's discovery document is believed. Its keys are looked up anew whenever a token
	// names one that is not known.
	discoveryKept = time.Hour
	maxProviders  = 1000 // documents kept
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrUnreachable says that the provider does not answer as one does.
	ErrUnreachable = errors.New("the OpenID provider cannot be asked")
	// ErrRefused says that what came for a sign-in proves nothing: a code that the provider does not know, or a token that is
	// not for this client, this sign-in or this moment.
	ErrRefused = errors.New("the OpenID provider's answer is refused")
)

// algorithms sign ID tokens here, whatever a provider says that it supports: public-key signatures, never none or HMAC.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// Client is what this platform is to a provider.
type Client struct {
	Issuer string
	ID     string
	// Secret is empty for a public client.
	Secret      string
	RedirectURL string
	// Scopes are asked for beside openid.
	Scopes []string
}

// Party asks providers. It is safe for concurrent use.
type Party struct {
	http  *http.Client
	now   func() time.Time
	check func(url string) error

	mu        sync.Mutex
	providers map[string]discovered
}

type discovered struct {
	*oidc.Provider
	until time.Time
}

// New is a party that asks with c. Browsers are sent only to URLs that check lets pass.
func New(c *http.Client, check func(url string) error, now func() time.Time) *Party {
	return &Party{http: c, now: now, check: check, providers: map[string]discovered{}}
}

// Discover reads anew what a provider says of itself: ErrUnreachable.
func (p *Party) Discover(ctx context.Context, issuer string) error {
	_, err := p.discover(ctx, issuer)
	return err
}

func (p *Party) discover(ctx context.Context, issuer string) (*oidc.Provider, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, p.http), issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: discover %s: %w", ErrUnreachable, issuer, err)
	}
	if err := p.check(provider.Endpoint().AuthURL); err != nil {
		return nil, fmt.Errorf("%w: authorization endpoint of %s: %w", ErrUnreachable, issuer, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.providers) >= maxProviders {
		clear(p.providers)
	}
	p.providers[issuer] = discovered{provider, p.now().Add(discoveryKept)}
	return provider, nil
}

func (p *Party) provider(ctx context.Context, issuer string) (*oidc.Provider, error) {
	p.mu.Lock()
	known, ok := p.providers[issuer]
	p.mu.Unlock()
	if ok && p.now().Before(known.until) {
		return known.Provider, nil
	}
	return p.discover(ctx, issuer)
}

func (c Client) config(provider *oidc.Provider) *oauth2.Config {
	endpoint := provider.Endpoint()
	if c.Secret == "" {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID: c.ID, ClientSecret: c.Secret, Endpoint: endpoint, RedirectURL: c.RedirectURL,
		Scopes: append([]string{oidc.ScopeOpenID}, c.Scopes...),
	}
}

// AuthorizationURL is where a browser goes to sign in: ErrUnreachable.
func (p *Party) AuthorizationURL(ctx context.Context, c Client, state, nonce, verifier string) (string, error) {
	provider, err := p.provider(ctx, c.Issuer)
	if err != nil {
		return "", err
	}
	return c.config(provider).AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), nil
}

// Answers refuses an authorization response that is not the issuer's own: one that names another issuer, or none although the
// provider says that it always names itself (RFC 9207, section 2.4). ErrUnreachable, ErrRefused.
func (p *Party) Answers(ctx context.Context, issuer, named string) error {
	provider, err := p.provider(ctx, issuer)
	if err != nil {
		return err
	}
	var says struct {
		NamesItself bool `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&says); err != nil {
		return fmt.Errorf("%w: read what %s says of itself: %w", ErrUnreachable, issuer, err)
	}
	if named == issuer || named == "" && !says.NamesItself {
		return nil
	}
	return fmt.Errorf("%w: it is from %.200q, and not from %s", ErrRefused, named, issuer)
}

// Identity is who signed in.
type Identity struct {
	// Subject is unique and never given to another at the issuer.
	Subject string
	// Claims are those of the ID token and, where it has none of a name, of the UserInfo endpoint.
	Claims map[string]any
}

// Redeem exchanges a code for who signed in: ErrUnreachable, ErrRefused.
func (p *Party) Redeem(ctx context.Context, c Client, code, verifier, nonce string) (Identity, error) {
	provider, err := p.provider(ctx, c.Issuer)
	if err != nil {
		return Identity{}, err
	}
	ctx = oidc.ClientContext(ctx, p.http)
	tokens, err := c.config(provider).Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return Identity{}, fmt.Errorf("%w: exchange the code: %w", kind(err), err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return Identity{}, fmt.Errorf("%w: no ID token came for the code", ErrRefused)
	}
	token, err := provider.Verifier(&oidc.Config{ClientID: c.ID, SupportedSigningAlgs: algorithms, Now: p.now}).Verify(ctx, raw)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: verify the ID token: %w", ErrRefused, err)
	}
	claims, err := p.claims(token, c.ID, nonce)
	if err != nil {
		return Identity{}, err
	}
	if provider.UserInfoEndpoint() == "" {
		return Identity{token.Subject, claims}, nil
	}
	// With an access token on its way, the claims of scopes are the endpoint's (Core, section 5.4).
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return Identity{}, fmt.Errorf("%w: ask for the user's claims: %w", ErrUnreachable, err)
	}
	all := map[string]any{}
	if info.Subject != token.Subject { // Core, section 5.3.2
		return Identity{}, fmt.Errorf("%w: the user's claims are of somebody else", ErrRefused)
	}
	if err := info.Claims(&all); err != nil {
		return Identity{}, fmt.Errorf("%w: read the user's claims: %w", ErrRefused, err)
	}
	maps.Copy(all, claims)
	return Identity{token.Subject, all}, nil
}

// claims are those of a token whose issuer, audience, times and signature were verified.
func (p *Party) claims(token *oidc.IDToken, client, nonce string) (map[string]any, error) {
	var own struct {
		AuthorizedParty string `json:"azp"`
	}
	claims := map[string]any{}
	if err := errors.Join(token.Claims(&own), token.Claims(&claims)); err != nil {
		return nil, fmt.Errorf("%w: read the ID token's claims: %w", ErrRefused, err)
	}
	switch {
	case token.Subject == "":
		return nil, fmt.Errorf("%w: the ID token names no subject", ErrRefused)
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		return nil, fmt.Errorf("%w: the ID token is for another sign-in", ErrRefused)
	case own.AuthorizedParty != client && (own.AuthorizedParty != "" || len(token.Audience) > 1): // Core, section 3.1.3.7
		return nil, fmt.Errorf("%w: the ID token was issued to %q", ErrRefused, own.AuthorizedParty)
	}
	return claims, nil
}

// kind tells a provider that refuses a code from one that cannot be asked.
func kind(err error) error {
	var answer *oauth2.RetrieveError
	if errors.As(err, &answer) && answer.Response.StatusCode < http.StatusInternalServerError {
		return ErrRefused
	}
	return ErrUnreachable
}

// Verified tells whether claims say that the e-mail address is the subject's. Some providers write it as a text.
func Verified(claims map[string]any) bool {
	switch v := claims["email_verified"].(type) {
	case bool:
		return v
	case string:
		return v == "true"
	}
	return false
}
