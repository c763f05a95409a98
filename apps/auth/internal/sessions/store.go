package sessions

import (
	"context"
	"fmt"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/store"
)

// session is the document of one sign-in: the head of its refresh-token family.
type session struct {
	User         string `json:"user"`
	Organization string `json:"organization"`
	Scope        Scope  `json:"scope,omitempty"`
	// AMR are the methods by which the user proved who they are; Strong says that they are two factors.
	AMR       []string `json:"amr,omitempty"`
	Strong    bool     `json:"strong,omitempty"`
	Address   string   `json:"address,omitempty"`
	UserAgent string   `json:"user_agent,omitempty"`
	// Device is the same for all sessions of one device, as far as its user agent tells.
	Device string `json:"device"`

	CreatedAt  store.Time `json:"created_at"`
	LastSeenAt store.Time `json:"last_seen_at"`
	ExpiresAt  store.Time `json:"expires_at"`
	// AuthenticatedAt is when the user proved who they are: before CreatedAt for a session that was begun from another.
	AuthenticatedAt store.Time `json:"authenticated_at"`
	// Life is how long the session lives without use, EndsAt when it ends in any case.
	Life   time.Duration `json:"life"`
	EndsAt *store.Time   `json:"ends_at,omitempty"`
	// RevokedAt is missing while the session lives.
	RevokedAt *store.Time              `json:"revoked_at,omitempty"`
	Reason    authapi.RevocationReason `json:"reason,omitempty"`
	// DeleteAfter is when nothing can be asked of the document any more.
	DeleteAfter store.Time `json:"delete_after"`

	// Family is the key of the tags of all the session's refresh tokens.
	Family []byte `json:"family"`
	// Current is the digest of the latest refresh token, Previous of the one before it.
	Current  []byte `json:"current"`
	Previous []byte `json:"previous,omitempty"`
	// Successor is the latest refresh token, sealed with the one before it.
	Successor []byte     `json:"successor,omitempty"`
	RotatedAt store.Time `json:"rotated_at"`
}

func (s *session) revoked() bool { return s.RevokedAt != nil }

// seen moves the session's end: it got a refresh token at the time now.
func (s *session) seen(now time.Time) {
	s.RotatedAt, s.LastSeenAt, s.ExpiresAt = store.At(now), store.At(now), store.At(now.Add(s.Life))
	if s.EndsAt != nil && s.EndsAt.Before(s.ExpiresAt.Time) {
		s.ExpiresAt = *s.EndsAt
	}
	s.DeleteAfter = store.At(s.ExpiresAt.Add(endedKept))
}

func (s *session) grant(id string) Grant {
	return Grant{Session: id, User: s.User, Organization: s.Organization, Scope: s.Scope, AMR: s.AMR, Strong: s.Strong}
}

const (
	byUser         = "user"
	byDevice       = "device"
	byBegin        = "begin"
	byOrganization = "organization"
	byRevocation   = "revoked"
	byDeletion     = "delete-after"
)

// documents keeps sessions. They belong to no tenant's collection because a refresh token names its
// session before anybody knows whose it is.
type documents struct{ *store.Documents[session] }

func openDocuments(ctx context.Context, db store.DB) (documents, error) {
	d, err := store.System[session](ctx, db, store.Def{Name: "sessions", Indexes: []store.Index{
		{Name: byUser, Fields: []string{"user", "revoked_at", "created_at"}},
		{Name: byDevice, Fields: []string{"user", "device", "created_at"}},
		{Name: byBegin, Fields: []string{"user", "created_at"}},
		{Name: byOrganization, Fields: []string{"organization", "revoked_at", "created_at"}},
		{Name: byRevocation, Fields: []string{"revoked_at"}},
		{Name: byDeletion, Fields: []string{"delete_after"}},
	}})
	if err != nil {
		return documents{}, fmt.Errorf("open the sessions: %w", err)
	}
	return documents{d}, nil
}

// live are the sessions of user that were not revoked, the latest first.
func live(user string) store.Query {
	return store.Query{Index: byUser, Equal: []any{user, nil}, Descending: true}
}

func revokedSince(since time.Time) store.Query {
	return store.Query{Index: byRevocation, Range: store.Range{Field: "revoked_at", From: store.At(since)}}
}

// deleteDue removes what nothing can be asked of any more.
func (d documents) deleteDue(ctx context.Context, now time.Time) error {
	due := store.Query{Index: byDeletion, Range: store.Range{Field: "delete_after", To: store.At(now)}}
	return d.DeleteDue(ctx, due)
}
