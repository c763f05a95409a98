package rbac

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/store"
)

// charter is the one document that decides about an organization's roles. Roles of its own are in it, and assignments pass
// through it on their way to the memberships. So whatever must hold for all members together (somebody owns the
// organization, no member has a role that is gone) is checked against one version of the charter and decided by replacing
// that version: of two that would break it together, the second finds another version and checks again.
type charter struct {
	// Roles are the organization's own, by name.
	Roles map[string]role `json:"roles,omitempty"`
	// Pending are assignments that are in force and not yet in the memberships, by user (see Service.settle).
	Pending map[string]assignment `json:"pending,omitempty"`
	// Sequence numbers the versions of roles, so that a role made anew is none that was read before.
	Sequence int64 `json:"sequence"`
}

// role is one that an organization made for itself.
type role struct {
	Description string     `json:"description"`
	Permissions []string   `json:"permissions"`
	Version     int64      `json:"version"`
	CreatedAt   store.Time `json:"created_at"`
	UpdatedAt   store.Time `json:"updated_at"`
}

// assignment is what a user becomes in the organization.
type assignment struct {
	ID string `json:"id"`
	// Roles are none for who leaves.
	Roles []string   `json:"roles,omitempty"`
	At    store.Time `json:"at"`
}

func (a assignment) leaves() bool { return len(a.Roles) == 0 }

// grant is a permission on one resource.
type grant struct {
	User       string      `json:"user"`
	Permission string      `json:"permission"`
	Resource   string      `json:"resource"`
	ExpiresAt  *store.Time `json:"expires_at,omitempty"`
	CreatedBy  string      `json:"created_by"`
	CreatedAt  store.Time  `json:"created_at"`
}

const (
	charterID  = "charter"
	byUser     = "user"
	byResource = "resource"
	byExpiry   = "expires-at"
)

// documents keeps charters, grants and the groups' catalogues of permissions.
type documents struct {
	charters   *store.Collection[charter]
	grants     *store.Collection[grant]
	catalogues *store.Documents[authapi.Catalogue] // by group
}

func openDocuments(ctx context.Context, db store.DB) (d documents, err error) {
	if d.charters, err = store.Tenant[charter](ctx, db, store.Def{Name: "role_charters"}); err != nil {
		return d, fmt.Errorf("open the charters: %w", err)
	}
	if d.grants, err = store.Tenant[grant](ctx, db, store.Def{Name: "grants", Indexes: []store.Index{
		{Name: byUser, Fields: []string{"user", "resource", "created_at"}},
		{Name: byResource, Fields: []string{"resource", "created_at"}},
		{Name: byExpiry, Fields: []string{"expires_at"}},
	}}); err != nil {
		return d, fmt.Errorf("open the grants: %w", err)
	}
	if d.catalogues, err = store.System[authapi.Catalogue](ctx, db, store.Def{Name: "permission_catalogues"}); err != nil {
		return d, fmt.Errorf("open the catalogues of permissions: %w", err)
	}
	return d, nil
}

// charter is the organization's; an empty one when nothing was ever decided.
func (d documents) charter(ctx context.Context, organization string) (charter, error) {
	doc, err := d.charters.In(organization).Get(ctx, charterID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return charter{}, fmt.Errorf("read the charter: %w", err)
	}
	return doc.Value, nil
}

// decide lets edit change the organization's charter, on the version that it was shown; edit runs again when
// another decision came between. Its error is returned as it is.
func (d documents) decide(ctx context.Context, organization string, edit func(*charter) ([]store.Message, error)) error {
	charters := d.charters.In(organization)
	for {
		var refused error
		_, err := charters.Update(ctx, charterID, func(c *charter) ([]store.Message, error) {
			var messages []store.Message
			messages, refused = edit(c)
			return messages, refused
		})
		switch {
		case err == nil:
			return nil
		case refused != nil && errors.Is(err, refused):
			return refused
		case !errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("change the charter: %w", err)
		}
		if _, err := charters.Insert(ctx, charterID, charter{}); err != nil && !errors.Is(err, store.ErrExists) {
			return fmt.Errorf("begin the charter: %w", err)
		}
	}
}
