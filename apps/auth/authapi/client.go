package authapi

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Client asks the auth group. Errors are problems, as call.Do describes them.
type Client struct{ *call.Client }

// JWKS is the keys that verify access tokens.
func (c Client) JWKS(ctx context.Context) (JWKS, error) {
	keys, err := call.Do[JWKS](ctx, c.Client, call.Request{
		To: topology.Auth, Method: http.MethodGet, Path: "/api/auth/jwks", AsGroup: true,
	})
	if err != nil {
		return JWKS{}, err
	}
	return *keys, nil
}

// Revocations are the sessions revoked at or after since whose access tokens may be alive still; the
// zero time asks for all of those. Ask next with the answer's AsOf.
func (c Client) Revocations(ctx context.Context, since time.Time) (*Revocations, error) {
	query := url.Values{}
	if !since.IsZero() {
		query.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	return call.Do[Revocations](ctx, c.Client, call.Request{
		To: topology.Auth, Method: http.MethodGet, Path: "/api/auth/revocations", Query: query, AsGroup: true,
	})
}
