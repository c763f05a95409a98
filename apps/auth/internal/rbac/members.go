package rbac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// member is a user's membership, and the roles that they have by it or by an assignment that is pending in c: a 404
// problem that wraps store.ErrNotFound for who is no member, or is leaving.
func (s *Service) member(ctx context.Context, c charter, organization, user string) (store.Doc[accounts.Membership], []string, error) {
	doc, err := s.c.Accounts.Membership(ctx, organization, user)
	a, pending := c.Pending[user]
	switch {
	case accounts.IsNotFound(err), errors.Is(err, store.ErrBadID), err == nil && pending && a.leaves():
		return doc, nil, problem.NotFound("member").Wrap(errors.Join(err, store.ErrNotFound))
	case err != nil:
		return doc, nil, fmt.Errorf("read the membership: %w", err)
	case pending:
		return doc, a.Roles, nil
	}
	return doc, doc.Value.Roles, nil
}

// Of are the roles of a member, with the version of the membership: 404.
func (s *Service) Of(ctx context.Context, organization, user string) (*authapi.MemberRoles, int64, error) {
	c, err := s.d.charter(ctx, organization)
	if err != nil {
		return nil, 0, err
	}
	doc, roles, err := s.member(ctx, c, organization, user)
	if err != nil {
		return nil, 0, err
	}
	return &authapi.MemberRoles{UserID: user, Roles: roles, Permissions: s.permissions(c, roles)}, doc.Version, nil
}

// Assign makes roles all that user has in by's organization, if match likes the version of the membership. Problems: 404, 422
// for a role that is not there, 403 permission_not_held or owners_only, 409 last_owner, and match's own.
func (s *Service) Assign(ctx context.Context, by identity.Principal, user string, roles []string, match func(version int64) error) error {
	roles = slices.Compact(slices.Sorted(slices.Values(roles)))
	return s.change(ctx, by.Organization, user, func(c *charter) (*assignment, []store.Message, error) {
		doc, had, err := s.member(ctx, *c, by.Organization, user)
		if err == nil {
			err = match(doc.Version)
		}
		if err == nil {
			err = s.known(*c, roles)
		}
		if err != nil || same(had, roles) {
			return nil, nil, err
		}
		if err := s.mayChange(ctx, *c, by, user, had, roles); err != nil {
			return nil, nil, err
		}
		messages, err := s.tell(ctx, authapi.RoleChangedData{
			OrganizationID: by.Organization, Change: authapi.RolesAssigned, UserID: user, Roles: roles,
		}, map[string]string{"before": strings.Join(had, " "), "after": strings.Join(roles, " ")})
		return &assignment{Roles: roles}, messages, err
	})
}

// MayGive refuses roles that by could not assign: 422 for one that is not there, 403 permission_not_held or owners_only. Ask
// before inviting somebody.
func (s *Service) MayGive(ctx context.Context, by identity.Principal, roles []string) error {
	c, err := s.d.charter(ctx, by.Organization)
	if err != nil {
		return err
	}
	if err := s.known(c, roles); err != nil {
		return err
	}
	g, err := s.giver(ctx, c, by)
	if err != nil {
		return err
	}
	return s.mayGiveRoles(g, c, roles)
}

// Join makes user a member of organization, with messages stored in the same write. Whether somebody may let them in was
// decided before (see MayGive). Problems: 409 already_member, 422 for a role that is not there.
func (s *Service) Join(ctx context.Context, organization, user string, roles []string, messages ...store.Message) error {
	roles = slices.Compact(slices.Sorted(slices.Values(roles)))
	c, err := s.d.charter(ctx, organization)
	if err != nil {
		return err
	}
	if err := s.known(c, roles); err != nil {
		return err
	}
	if err := s.settle(ctx, organization, user); err != nil { // who was leaving has left before they come back
		return err
	}
	told, err := s.tell(ctx, authapi.RoleChangedData{
		OrganizationID: organization, Change: authapi.MemberJoined, UserID: user, Roles: roles,
	}, nil)
	if err != nil {
		return err
	}
	doc, err := s.c.Accounts.Memberships.Insert(ctx, accounts.MembershipID(organization, user), accounts.Membership{
		User: user, Organization: organization, Roles: roles, CreatedAt: store.At(s.c.Now()),
	}, append(told, messages...)...)
	if errors.Is(err, store.ErrExists) {
		return conflict(authapi.CodeAlreadyMember, "this user is a member already").Wrap(err)
	}
	if err != nil {
		return fmt.Errorf("join an organization: %w", err)
	}
	return s.confirm(ctx, organization, doc)
}

// confirm takes a new member into account for whoever deletes one of their roles at this moment: either they find another
// version of the charter and so the member, or the role is gone already and nobody joins.
func (s *Service) confirm(ctx context.Context, organization string, doc store.Doc[accounts.Membership]) error {
	if !slices.ContainsFunc(doc.Value.Roles, func(role string) bool { return s.builtIn[role] == nil }) {
		return nil
	}
	err := s.d.decide(ctx, organization, func(c *charter) ([]store.Message, error) {
		c.Sequence++
		return nil, s.known(*c, doc.Value.Roles)
	})
	if problem.Code(err) != problem.CodeValidation {
		return err
	}
	return errors.Join(err, s.remove(ctx, organization, doc))
}

// Leave ends the membership of user in by's organization, with messages stored in the same step. Members leave by
// themselves or are removed by who has all that they have. Problems: 404, 403 permission_not_held or owners_only, 409
// last_owner.
func (s *Service) Leave(ctx context.Context, by identity.Principal, user string, messages ...store.Message) error {
	return s.change(ctx, by.Organization, user, func(c *charter) (*assignment, []store.Message, error) {
		_, had, err := s.member(ctx, *c, by.Organization, user)
		if err != nil {
			return nil, nil, err
		}
		if err := s.mayChange(ctx, *c, by, user, had, nil); err != nil {
			return nil, nil, err
		}
		told, err := s.tell(ctx, authapi.RoleChangedData{
			OrganizationID: by.Organization, Change: authapi.MemberLeft, UserID: user,
		}, nil)
		return &assignment{}, append(told, messages...), err
	})
}

// known refuses roles that the organization does not have, and none or too many of them.
func (s *Service) known(c charter, roles []string) error {
	if len(roles) == 0 || len(roles) > maxMemberRoles {
		return problem.Invalid("body.roles", fmt.Sprintf("want 1 to %d roles", maxMemberRoles))
	}
	for i, name := range roles {
		if !s.exists(c, name) {
			return problem.Invalid(fmt.Sprintf("body.roles[%d]", i), fmt.Sprintf("no such role: %q", name))
		}
	}
	return nil
}

// mayChange refuses a change of user's roles that by may not make, or that leaves nobody who owns the organization.
func (s *Service) mayChange(ctx context.Context, c charter, by identity.Principal, user string, had, roles []string) error {
	if by.Subject != user || len(roles) > 0 { // everybody may leave
		g, err := s.giver(ctx, c, by)
		if err != nil {
			return err
		}
		if err := s.mayGiveRoles(g, c, without(roles, had)); err != nil {
			return err
		}
		if err := s.mayGiveRoles(g, c, without(had, roles)); err != nil {
			return err
		}
	}
	if !slices.Contains(had, identity.Owner) || slices.Contains(roles, identity.Owner) {
		return nil
	}
	others, err := s.holders(ctx, c, by.Organization, identity.Owner, 1, func(other string) (bool, error) {
		if other == user {
			return false, nil
		}
		person, err := s.c.Accounts.Users.Get(ctx, other)
		return err == nil && person.Value.DisabledAt == nil, gone(err)
	})
	if err == nil && len(others) == 0 {
		return conflict(authapi.CodeLastOwner, "an organization needs an owner: make somebody else one first")
	}
	return err
}

// without is all of list that is not in drop.
func without(list, drop []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(x string) bool { return slices.Contains(drop, x) })
}

// holders are up to limit members who have the role in c and whom count counts. Nobody gets or loses a role without a new
// version of the charter, so the answer holds for as long as that of c does.
func (s *Service) holders(ctx context.Context, c charter, organization, role string, limit int, count func(user string) (bool, error)) ([]string, error) {
	var found []string
	enough := errors.New("enough")
	visit := func(user string, roles []string) error {
		if !slices.Contains(roles, role) {
			return nil
		}
		if ok, err := count(user); err != nil || !ok {
			return err
		}
		if found = append(found, user); len(found) == limit {
			return enough
		}
		return nil
	}
	all := store.Query{Index: accounts.ByOrganization, Equal: []any{organization}}
	err := s.c.Accounts.Memberships.Each(ctx, all, func(doc store.Doc[accounts.Membership]) error {
		if _, pending := c.Pending[doc.Value.User]; pending {
			return nil
		}
		return visit(doc.Value.User, doc.Value.Roles)
	})
	for user, a := range c.Pending {
		if err == nil {
			err = visit(user, a.Roles)
		}
	}
	if err != nil && !errors.Is(err, enough) {
		return nil, fmt.Errorf("look for the members with a role: %w", err)
	}
	return found, nil
}

var errPending = errors.New("another assignment of this user is pending")

// change brings an assignment of user, as decided by decide, into force and then into the membership. One assignment of
// a user is pending at a time: whoever comes next finishes the one before, whose process may have died.
func (s *Service) change(ctx context.Context, organization, user string, decide func(*charter) (*assignment, []store.Message, error)) error {
	for {
		err := s.d.decide(ctx, organization, func(c *charter) ([]store.Message, error) {
			if _, pending := c.Pending[user]; pending {
				return nil, errPending
			}
			a, messages, err := decide(c)
			if a == nil || err != nil {
				return nil, err
			}
			a.ID, a.At = s.c.NewID(), store.At(s.c.Now())
			if c.Pending == nil {
				c.Pending = map[string]assignment{}
			}
			c.Pending[user] = *a
			return messages, nil
		})
		if err != nil && !errors.Is(err, errPending) {
			return err
		}
		if settled := s.settle(ctx, organization, user); settled != nil || err == nil {
			return settled
		}
	}
}

// Settle finishes an assignment whose process died before it was in the membership. It takes the event that tells of
// the assignment.
func (s *Service) Settle(ctx context.Context, e events.Event[authapi.AccessChangedData]) error {
	if e.Data.OrganizationID == "" || e.Data.Subject == "" {
		return nil
	}
	return s.settle(ctx, e.Data.OrganizationID, e.Data.Subject)
}

// settle writes a pending assignment of user into the membership. Several may do so at once, and some late: the membership is
// read before the charter and changed only as it was read, so whoever comes late finds it changed by the assignments since.
func (s *Service) settle(ctx context.Context, organization, user string) error {
	for {
		doc, err := s.c.Accounts.Membership(ctx, organization, user)
		isMember := err == nil
		if err != nil && !accounts.IsNotFound(err) && !errors.Is(err, store.ErrBadID) {
			return fmt.Errorf("read the membership: %w", err)
		}
		c, err := s.d.charter(ctx, organization)
		if err != nil {
			return err
		}
		a, pending := c.Pending[user]
		if !pending {
			return nil
		}
		switch {
		case a.leaves():
			if err = s.withdrawAll(ctx, organization, user, a.At); err == nil && isMember {
				err = s.remove(ctx, organization, doc)
			}
		case isMember && !same(doc.Value.Roles, a.Roles):
			doc.Value.Roles = a.Roles
			_, err = s.c.Accounts.Memberships.Replace(ctx, doc)
		}
		if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("settle an assignment: %w", err)
		}
		return s.d.decide(ctx, organization, func(c *charter) ([]store.Message, error) {
			if c.Pending[user].ID == a.ID {
				delete(c.Pending, user)
			}
			return nil, nil
		})
	}
}

// remove deletes a membership as it was read. Whoever looks at what hangs on it is told once more, now that it is gone.
func (s *Service) remove(ctx context.Context, organization string, doc store.Doc[accounts.Membership]) error {
	m, err := authapi.AccessChanged.Message(ctx, s.c.Emit, organization, authapi.AccessChangedData{
		OrganizationID: organization, Subject: doc.Value.User, Reason: "membership ended",
	})
	if err != nil {
		return err
	}
	return s.c.Accounts.Memberships.Delete(ctx, doc.ID, doc.Version, m)
}

func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
