package authapi

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/vault"
)

// Client asks the auth group. Errors are problems, as call.Do describes them.
type Client struct{ *call.Client }

// JWKS is the keys that verify access tokens.
func (c Client) JWKS(ctx context.Context) (JWKS, error) {
	return ask[JWKS](ctx, c, http.MethodGet, "/api/auth/jwks", nil, nil)
}

// Changes are the sessions that ended and the access that changed at or after since, as far as they matter
// to access tokens still; the zero time asks for all of those. Ask next with the answer's AsOf.
func (c Client) Changes(ctx context.Context, since time.Time) (identity.Changes, error) {
	query := url.Values{}
	if !since.IsZero() {
		query.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	return ask[identity.Changes](ctx, c, http.MethodGet, "/api/auth/changes", query, nil)
}

// Access is what a subject, a user's id or "key:<id>", may do in an organization now: 401 token_invalid for
// one that may do nothing any more.
func (c Client) Access(ctx context.Context, organization, subject string) (identity.CurrentAccess, error) {
	query := url.Values{"organization": {organization}, "subject": {subject}}
	return ask[identity.CurrentAccess](ctx, c, http.MethodGet, "/api/auth/access", query, nil)
}

// Sealing tells how second factors and identity providers' secrets are sealed, for operators.
func (c Client) Sealing(ctx context.Context) (vault.Sealing, error) {
	return ask[vault.Sealing](ctx, c, http.MethodGet, "/api/auth/sealing", nil, nil)
}

// APIKey is what an API key stands for: 401 token_invalid or token_expired.
func (c Client) APIKey(ctx context.Context, key string) (identity.APIKey, error) {
	return ask[identity.APIKey](ctx, c, http.MethodPost, "/api/auth/api-keys/verify", nil, map[string]string{"key": key})
}

func ask[T any](ctx context.Context, c Client, method, path string, query url.Values, body any) (T, error) {
	answer, err := call.Do[T](ctx, c.Client, call.Request{
		To: topology.Auth, Method: method, Path: path, Query: query, Body: body, AsGroup: true,
	})
	if err != nil {
		var none T
		return none, err
	}
	return *answer, nil
}
