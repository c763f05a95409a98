// Package hosttest stands in for the auth group where a test hosts other groups.
package hosttest

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Authority signs users in and says what they may do. It is safe for concurrent use.
type Authority struct {
	key ed25519.PrivateKey

	mu      sync.Mutex
	access  map[string]identity.Access // by organization and subject
	changes identity.Changes
}

// NewAuthority is one that knows nobody.
func NewAuthority() *Authority {
	return &Authority{
		key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), access: map[string]identity.Access{},
		changes: identity.Changes{Sessions: []identity.Revocation{}, Access: []identity.AccessChange{}},
	}
}

// For is a, whoever asks.
func (a *Authority) For(*call.Client) host.Authority { return a }

// Token signs subject in to organization with built-in roles, for an hour. The session is "s-" and the
// subject. The token is signed as change leaves it, which may be nil.
func (a *Authority) Token(t testing.TB, organization, subject string, roles []string, change func(*identity.Claims)) string {
	t.Helper()
	may := identity.Access{Permissions: identity.OwnPermissions()}
	builtIn := identity.BuiltInRoles()
	for _, role := range roles {
		may.Permissions = append(may.Permissions, builtIn[role]...)
	}
	a.Set(organization, subject, may)
	now := time.Now()
	claims := identity.Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: identity.Issuer, Audience: jwt.ClaimStrings{identity.UserAudience}, Subject: subject,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour)),
		},
		Organization: organization, Session: "s-" + subject, Roles: roles, AccessHash: may.Hash(),
	}
	if change != nil {
		change(&claims)
	}
	token, err := identity.Sign(claims, "k", a.key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Set says what subject may do in organization from now on, without telling anybody.
func (a *Authority) Set(organization, subject string, may identity.Access) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.access[organization+" "+subject] = may
}

// Change tells every process, when it asks, that the access of subject in organization has changed.
func (a *Authority) Change(organization, subject string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes.Access = append(a.changes.Access, identity.AccessChange{Organization: organization, Subject: subject, ChangedAt: time.Now()})
}

// End tells every process, when it asks, that a session has ended.
func (a *Authority) End(session string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes.Sessions = append(a.changes.Sessions, identity.Revocation{ID: session, RevokedAt: time.Now()})
}

// JWKS is the one key "k".
func (a *Authority) JWKS(context.Context) (identity.JWKS, error) {
	return identity.JWKS{Keys: []identity.JWK{identity.NewJWK("k", a.key.Public().(ed25519.PublicKey))}}, nil
}

// Changes are all there were.
func (a *Authority) Changes(context.Context, time.Time) (identity.Changes, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changes, nil
}

// Access is what was set, or what the roles of the last token carry.
func (a *Authority) Access(_ context.Context, organization, subject string) (identity.CurrentAccess, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	may, known := a.access[organization+" "+subject]
	if !known {
		return identity.CurrentAccess{}, problem.New(http.StatusUnauthorized, problem.CodeTokenInvalid, "nobody of that name")
	}
	return identity.CurrentAccess{Access: may, AsOf: time.Now()}, nil
}

// APIKey knows no keys.
func (a *Authority) APIKey(context.Context, string) (identity.APIKey, error) {
	return identity.APIKey{}, problem.New(http.StatusUnauthorized, problem.CodeTokenInvalid, "no such API key")
}

// Report listens to nobody.
func (a *Authority) Report(context.Context, topology.Group, []*group.Operation) error { return nil }

// TakeQuota grants everything.
func (a *Authority) TakeQuota(context.Context, quota.Claim) error { return nil }

// ReleaseQuota takes back everything.
func (a *Authority) ReleaseQuota(context.Context, quota.Claim) error { return nil }

// ReportCalls finds nobody over a limit.
func (a *Authority) ReportCalls(context.Context, quota.Report) (quota.Standing, error) {
	return quota.Standing{}, nil
}

// Person is nobody.
func (a *Authority) Person(context.Context, string) (privacy.Person, error) {
	return privacy.Person{}, problem.NotFound("data request")
}

// Deliver takes every part.
func (a *Authority) Deliver(context.Context, string, topology.Group, privacy.Part) error { return nil }

// OrganizationErased hears of every end.
func (a *Authority) OrganizationErased(context.Context, string, topology.Group, int64) error {
	return nil
}
