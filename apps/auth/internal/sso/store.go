package sso

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/apps/auth/internal/sso/saml"
	"github.com/tandemhq/tandem/pkg/store"
)

// connection is an identity provider of an organization: by OIDC or by SAML, whichever is not nil.
type connection struct {
	Organization string        `json:"organization"`
	Name         string        `json:"name"`
	Enabled      bool          `json:"enabled"`
	OIDC         *oidcProvider `json:"oidc,omitempty"`
	SAML         *samlProvider `json:"saml,omitempty"`
	// Owners says that an owner has set it up as it is, so that it may speak for owners.
	Owners bool `json:"owners"`
	authapi.SSOProvisioning
	CreatedAt store.Time `json:"created_at"`
	UpdatedAt store.Time `json:"updated_at"`
}

type oidcProvider struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	// Secret is sealed (see atrest.Sealer); empty for a public client.
	Secret     []byte   `json:"secret,omitempty"`
	Scopes     []string `json:"scopes"`
	TrustEmail bool     `json:"trust_email"`
}

type samlProvider struct {
	// MetadataURL is where Provider is read anew; empty where it was typed.
	MetadataURL    string        `json:"metadata_url,omitempty"`
	Provider       saml.Provider `json:"provider"`
	AllowInitiated bool          `json:"allow_initiated"`
}

func (c connection) protocol() authapi.SSOProtocol {
	if c.OIDC != nil {
		return authapi.OIDC
	}
	return authapi.SAML
}

// issuer is who vouches for people: what they are called there means nothing anywhere else.
func (c connection) issuer() string {
	if c.OIDC != nil {
		return string(authapi.OIDC) + " " + c.OIDC.Issuer
	}
	return string(authapi.SAML) + " " + c.SAML.Provider.EntityID
}

// domain is an e-mail domain that an organization says is its own.
type domain struct {
	Organization string `json:"organization"`
	Domain       string `json:"domain"`
	Token        string `json:"token"`
	// Owned is Domain once it is verified. It is unique, so that a domain is one organization's.
	Owned      *string     `json:"owned,omitempty"`
	CreatedAt  store.Time  `json:"created_at"`
	VerifiedAt *store.Time `json:"verified_at,omitempty"`
}

func domainID(organization, name string) string { return organization + ":" + name }

// link says which user an identity at a connection's provider is. A user is one identity at most there: an address that was
// given to somebody else brings nobody into the account of who had it before.
type link struct {
	Connection   string     `json:"connection"`
	Organization string     `json:"organization"`
	User         string     `json:"user"`
	CreatedAt    store.Time `json:"created_at"`
}

// linkID names the identity that subject is at the provider that c is now. The provider that it was before called others so.
func linkID(id string, c connection, subject string) string {
	return id + ":" + atrest.Digest(c.issuer()+"\n"+subject)
}

// flow is a sign-in under way, under the digest of its state. Nothing in it helps whoever reads the database: what the
// provider must prove is made from a secret that only the browser or client has.
type flow struct {
	Connection string `json:"connection"`
	// Version is the connection's when the flow began. One that has changed since is another one.
	Version int64 `json:"version"`
	// Binding is the digest of that secret.
	Binding string `json:"binding"`
	// ReturnTo is where the browser goes in the end; empty for a client that takes the answer itself.
	ReturnTo  string     `json:"return_to,omitempty"`
	Challenge string     `json:"challenge,omitempty"`
	ExpiresAt store.Time `json:"expires_at"`
}

// ticket is a proved sign-in that waits for its one-time code, under the digest of the code.
type ticket struct {
	User         string `json:"user"`
	Organization string `json:"organization"`
	// Challenge is what the code's verifier must hash to; empty for any.
	Challenge string     `json:"challenge,omitempty"`
	ExpiresAt store.Time `json:"expires_at"`
}

// seen is an assertion that has let somebody in.
type seen struct {
	ExpiresAt store.Time `json:"expires_at"`
}

const (
	byOrganization = "organization"
	byUser         = "user"
	byConnection   = "connection"
	byOwned        = "owned"
	byMetadata     = "metadata-url"
	byExpiry       = "expires-at"
)

// documents keeps all of it. None of the collections is a tenant's: who comes to sign in has no organization yet.
type documents struct {
	connections *store.Documents[connection]
	domains     *store.Documents[domain]
	links       *store.Documents[link]
	flows       *store.Documents[flow]
	tickets     *store.Documents[ticket]
	assertions  *store.Documents[seen]
}

func openDocuments(ctx context.Context, db store.DB) (documents, error) {
	var d documents
	var errs [6]error
	expiry := []store.Index{{Name: byExpiry, Fields: []string{"expires_at"}}}
	d.connections, errs[0] = store.System[connection](ctx, db, store.Def{Name: "sso_connections", Indexes: []store.Index{
		{Name: byOrganization, Fields: []string{"organization", "created_at"}},
		{Name: byMetadata, Fields: []string{"saml.metadata_url"}},
	}, Owner: byOrganization})
	d.domains, errs[1] = store.System[domain](ctx, db, store.Def{Name: "sso_domains", Indexes: []store.Index{
		{Name: byOrganization, Fields: []string{"organization", "created_at"}},
		{Name: byOwned, Fields: []string{"owned"}, Unique: true},
	}, Owner: byOrganization})
	d.links, errs[2] = store.System[link](ctx, db, store.Def{Name: "sso_links", Indexes: []store.Index{
		{Name: byConnection, Fields: []string{"connection", "user"}, Unique: true},
		{Name: byOrganization, Fields: []string{"organization"}},
		{Name: byUser, Fields: []string{"user"}},
	}, Owner: byOrganization})
	d.flows, errs[3] = store.System[flow](ctx, db, store.Def{Name: "sso_flows", Indexes: expiry})
	d.tickets, errs[4] = store.System[ticket](ctx, db, store.Def{Name: "sso_tickets", Indexes: expiry})
	d.assertions, errs[5] = store.System[seen](ctx, db, store.Def{Name: "sso_assertions", Indexes: expiry})
	if err := errors.Join(errs[:]...); err != nil {
		return d, fmt.Errorf("open what single sign-on keeps: %w", err)
	}
	return d, nil
}

// forget deletes what has expired.
func forget[T any](ctx context.Context, d *store.Documents[T], now time.Time) error {
	due := store.Query{Index: byExpiry, Range: store.Range{Field: "expires_at", To: store.At(now)}}
	return d.DeleteAll(ctx, due)
}
