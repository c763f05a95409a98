package apikeys

import (
	"context"
	"fmt"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/store"
)

// key is an API key's document.
type key struct {
	Organization string   `json:"organization"`
	Creator      string   `json:"creator"`
	Name         string   `json:"name"`
	Scopes       []string `json:"scopes"`
	Networks     []string `json:"networks,omitempty"`
	// Digest is of the latest secret. Previous is of the one before it, which is good until PreviousUntil.
	Digest        []byte      `json:"digest"`
	Previous      []byte      `json:"previous,omitempty"`
	PreviousUntil *store.Time `json:"previous_until,omitempty"`

	CreatedAt  store.Time  `json:"created_at"`
	RotatedAt  *store.Time `json:"rotated_at,omitempty"`
	ExpiresAt  *store.Time `json:"expires_at,omitempty"`
	LastUsedAt *store.Time `json:"last_used_at,omitempty"`
	RevokedAt  *store.Time `json:"revoked_at,omitempty"`
	// DeleteAfter is missing while the key is good without an end.
	DeleteAfter *store.Time `json:"delete_after,omitempty"`
	// Revision counts the changes that people make; the document's own version counts uses too.
	Revision int64 `json:"revision"`
}

func (k key) status(now time.Time) authapi.APIKeyStatus {
	switch {
	case k.RevokedAt != nil:
		return authapi.APIKeyRevoked
	case k.ExpiresAt != nil && !now.Before(k.ExpiresAt.Time):
		return authapi.APIKeyExpired
	}
	return authapi.APIKeyActive
}

func view(id string, k key, now time.Time) authapi.APIKey {
	v := authapi.APIKey{
		ID: id, Name: k.Name, Status: k.status(now), Scopes: k.Scopes, Networks: k.Networks, CreatedBy: k.Creator, CreatedAt: k.CreatedAt.Time,
		ExpiresAt: instant(k.ExpiresAt), RotatedAt: instant(k.RotatedAt), LastUsedAt: instant(k.LastUsedAt), RevokedAt: instant(k.RevokedAt),
	}
	if v.Networks == nil {
		v.Networks = []string{}
	}
	if k.PreviousUntil != nil && now.Before(k.PreviousUntil.Time) {
		v.PreviousUntil = instant(k.PreviousUntil)
	}
	return v
}

func instant(t *store.Time) *time.Time {
	if t == nil {
		return nil
	}
	return &t.Time
}

const (
	byOrganization = "organization"
	byCreator      = "creator"
	byDeletion     = "delete-after"
)

// documents keeps API keys. They belong to no tenant's collection, because a key names its document before anybody knows
// whose it is.
type documents struct{ *store.Documents[key] }

func openDocuments(ctx context.Context, db store.DB) (documents, error) {
	d, err := store.System[key](ctx, db, store.Def{Name: "api_keys", Indexes: []store.Index{
		{Name: byOrganization, Fields: []string{"organization", "created_at"}},
		{Name: byCreator, Fields: []string{"creator", "revoked_at"}},
		{Name: byDeletion, Fields: []string{"delete_after"}},
	}, Owner: byOrganization})
	if err != nil {
		return documents{}, fmt.Errorf("open the API keys: %w", err)
	}
	return documents{d}, nil
}

// of are the keys of an organization, the latest first.
func of(organization string) store.Query {
	return store.Query{Index: byOrganization, Equal: []any{organization}, Descending: true}
}

// live are the keys that a user has made, anywhere, and that were not revoked.
func live(creator string) store.Query {
	return store.Query{Index: byCreator, Equal: []any{creator, nil}}
}
