package rbac

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

func (g grant) inForce(now time.Time) bool { return g.ExpiresAt == nil || now.Before(g.ExpiresAt.Time) }

func (g grant) expiry() *time.Time {
	if g.ExpiresAt == nil {
		return nil
	}
	return &g.ExpiresAt.Time
}

func grantView(doc store.Doc[grant]) authapi.ResourceGrant {
	g := doc.Value
	return authapi.ResourceGrant{
		ID: doc.ID, UserID: g.User, Permission: g.Permission, Resource: g.Resource, ExpiresAt: g.expiry(),
		CreatedBy: g.CreatedBy, CreatedAt: g.CreatedAt.Time,
	}
}

// NewGrant is a permission on one resource that a member is to have.
type NewGrant struct {
	User       string
	Permission string
	Resource   string
	// ExpiresAt is nil for a grant that does not end by itself.
	ExpiresAt *time.Time
}

// Grant gives a member of by's organization a permission on one resource. Problems: 422 for a user who is no member, a permission that
// is malformed or that no operation needs, or an end that has passed; 403 permission_not_held; 409 limit_reached.
func (s *Service) Grant(ctx context.Context, by identity.Principal, in NewGrant) (*authapi.ResourceGrant, error) {
	permissions, err := ParsePermissions("body.permission", []string{in.Permission})
	if err != nil {
		return nil, err
	}
	if err := s.Needed(ctx, "body.permission", permissions); err != nil {
		return nil, err
	}
	now := s.c.Now()
	g := grant{User: in.User, Permission: in.Permission, Resource: in.Resource, CreatedBy: by.Subject, CreatedAt: store.At(now)}
	if in.ExpiresAt != nil {
		end := store.At(*in.ExpiresAt)
		g.ExpiresAt = &end
	}
	if !g.inForce(now) {
		return nil, problem.Invalid("body.expires_at", "want a time to come")
	}
	if err := s.mayGrant(ctx, by, g); err != nil {
		return nil, err
	}
	id := s.c.NewID()
	messages, err := s.tell(ctx, authapi.RoleChangedData{OrganizationID: by.Organization, Change: authapi.GrantGiven, UserID: in.User, Grant: id},
		map[string]string{"grant": id, "permission": in.Permission, "resource": in.Resource})
	if err != nil {
		return nil, err
	}
	doc, err := s.d.grants.In(by.Organization).Insert(ctx, id, g, messages...)
	if err != nil {
		return nil, fmt.Errorf("give a grant: %w", err)
	}
	// Who left meanwhile may have left before this grant was there to be withdrawn; it must not wait for their return.
	if err := s.stillMember(ctx, by.Organization, in.User); err != nil {
		return nil, errors.Join(err, s.withdraw(ctx, by.Organization, doc))
	}
	v := grantView(doc)
	return &v, nil
}

func (s *Service) stillMember(ctx context.Context, organization, user string) error {
	c, err := s.d.charter(ctx, organization)
	if err != nil {
		return err
	}
	_, _, err = s.member(ctx, c, organization, user)
	if errors.Is(err, store.ErrNotFound) {
		return problem.Invalid("body.user_id", "no such member").Wrap(err)
	}
	return err
}

func (s *Service) mayGrant(ctx context.Context, by identity.Principal, g grant) error {
	if err := s.stillMember(ctx, by.Organization, g.User); err != nil {
		return err
	}
	if err := s.hasToGive(ctx, by, g); err != nil {
		return err
	}
	now, inForce := s.c.Now(), 0
	err := s.d.grants.In(by.Organization).Each(ctx, store.Query{Index: byUser, Equal: []any{g.User}}, func(doc store.Doc[grant]) error {
		if doc.Value.inForce(now) {
			inForce++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("count the grants of a member: %w", err)
	}
	if inForce >= maxGrants {
		return conflict(authapi.CodeLimitReached, fmt.Sprintf("a member has at most %d grants: a role serves better", maxGrants))
	}
	return nil
}

func (s *Service) hasToGive(ctx context.Context, by identity.Principal, g grant) error {
	c, err := s.d.charter(ctx, by.Organization)
	if err != nil {
		return err
	}
	giver, err := s.giver(ctx, c, by)
	if err != nil {
		return err
	}
	return giver.mayGive([]string{g.Permission})
}

// Grants is a page of an organization's grants, of a user and on a resource where these are not "". Expired ones are there until they are
// forgotten.
func (s *Service) Grants(ctx context.Context, organization, user, resource, cursor string, limit int) (*authapi.ResourceGrants, error) {
	q := store.Query{Cursor: cursor, Limit: limit}
	switch {
	case user != "" && resource != "":
		q.Index, q.Equal = byUser, []any{user, resource}
	case user != "":
		q.Index, q.Equal = byUser, []any{user}
	case resource != "":
		q.Index, q.Equal = byResource, []any{resource}
	}
	page, err := s.d.grants.In(organization).Find(ctx, q)
	if errors.Is(err, store.ErrBadCursor) {
		return nil, problem.New(http.StatusBadRequest, problem.CodeBadRequest, "cursor: not one of this list").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	list := &authapi.ResourceGrants{Items: make([]authapi.ResourceGrant, len(page.Items)), NextCursor: page.Next}
	for i, doc := range page.Items {
		list.Items[i] = grantView(doc)
	}
	return list, nil
}

// OneGrant is a grant of the organization: 404.
func (s *Service) OneGrant(ctx context.Context, organization, id string) (*authapi.ResourceGrant, error) {
	doc, err := s.grantDoc(ctx, organization, id)
	if err != nil {
		return nil, err
	}
	v := grantView(doc)
	return &v, nil
}

func (s *Service) grantDoc(ctx context.Context, organization, id string) (store.Doc[grant], error) {
	doc, err := s.d.grants.In(organization).Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		return doc, problem.NotFound("grant").Wrap(err)
	}
	if err != nil {
		return doc, fmt.Errorf("read a grant: %w", err)
	}
	return doc, nil
}

// Withdraw ends a grant of by's organization. Problems: 404, 403 permission_not_held.
func (s *Service) Withdraw(ctx context.Context, by identity.Principal, id string) error {
	doc, err := s.grantDoc(ctx, by.Organization, id)
	if err != nil {
		return err
	}
	if err := s.hasToGive(ctx, by, doc.Value); err != nil {
		return err
	}
	return s.withdraw(ctx, by.Organization, doc)
}

func (s *Service) withdraw(ctx context.Context, organization string, doc store.Doc[grant]) error {
	g := doc.Value
	messages, err := s.tell(ctx, authapi.RoleChangedData{OrganizationID: organization, Change: authapi.GrantWithdrawn, UserID: g.User, Grant: doc.ID},
		map[string]string{"grant": doc.ID, "permission": g.Permission, "resource": g.Resource})
	if err != nil {
		return err
	}
	if err := gone(s.d.grants.In(organization).Delete(ctx, doc.ID, 0, messages...)); err != nil {
		return fmt.Errorf("withdraw a grant: %w", err)
	}
	return nil
}

// withdrawAll ends the grants that user had at the time at. Later ones are those of somebody who has come back.
func (s *Service) withdrawAll(ctx context.Context, organization, user string, at store.Time) error {
	return s.d.grants.In(organization).Each(ctx, store.Query{Index: byUser, Equal: []any{user}}, func(doc store.Doc[grant]) error {
		if doc.Value.CreatedAt.After(at.Time) {
			return nil
		}
		return s.withdraw(ctx, organization, doc)
	})
}

// Forget deletes grants that have expired. They ended by themselves, so there is nothing to tell.
func (s *Service) Forget(ctx context.Context) error {
	expired := store.Query{Index: byExpiry, Range: store.Range{Field: "expires_at", To: store.At(s.c.Now())}}
	err := s.c.Accounts.Organizations.Each(ctx, store.Query{}, func(org store.Doc[accounts.Organization]) error {
		return s.d.grants.In(org.ID).DeleteAll(ctx, expired)
	})
	if err != nil {
		return fmt.Errorf("forget expired grants: %w", err)
	}
	return nil
}
