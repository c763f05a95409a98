package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Personal is the account of a person. Its erasure ends their membership, and the account too when they work for nobody
// else; so it is the last of what is erased.
func (s *Service) Personal() privacy.Personal {
	return privacy.Personal{Export: s.exportAccount, Erase: s.eraseAccount}
}

func (s *Service) exportAccount(ctx context.Context, p privacy.Person) (map[string]any, error) {
	person, membership, err := s.c.Accounts.Member(ctx, p.Organization, p.User)
	if accounts.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("export an account: %w", err)
	}
	return map[string]any{
		"account":    accounts.UserView(person, membership.Value.Roles),
		"membership": map[string]any{"organization_id": p.Organization, "roles": membership.Value.Roles, "since": membership.Value.CreatedAt},
	}, nil
}

func (s *Service) eraseAccount(ctx context.Context, p privacy.Person) (documents int64, err error) {
	by := identity.Principal{Subject: "group:" + string(topology.Auth), Group: topology.Auth, Organization: p.Organization}
	switch err := s.c.Leave(ctx, by, p.User); {
	case problem.Code(err) == problem.CodeNotFound: // they have left
	case err != nil:
		return 0, err
	default:
		documents++
	}
	left, err := s.c.Accounts.MembershipsOf(ctx, p.User)
	if err != nil || len(left) > 0 {
		return documents, err
	}
	erased, err := s.eraseUser(ctx, p.User)
	return documents + erased, err
}

// ErasePerson erases the account of a user who works for nobody any more; of one who is gone it is no error.
func (s *Service) ErasePerson(ctx context.Context, user string) error {
	_, err := s.eraseUser(ctx, user)
	return err
}

func (s *Service) eraseUser(ctx context.Context, user string) (int64, error) {
	person, err := s.c.Accounts.Users.Get(ctx, user)
	if accounts.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the user to erase: %w", err)
	}
	email := person.Value.Email
	if err = errors.Join(s.dropResets(ctx, email), s.lockout.forgive(ctx, email)); err != nil {
		return 0, fmt.Errorf("erase what is kept of a user's sign-ins: %w", err)
	}
	if err := s.c.Accounts.Users.Delete(ctx, user, 0); err != nil && !accounts.IsNotFound(err) {
		return 0, fmt.Errorf("erase the user: %w", err)
	}
	return 1, nil
}

// MayErase refuses to erase the only owner of an organization: 409 last_owner.
func (s *Service) MayErase(ctx context.Context, organization, user string) error {
	owns, others := false, false
	err := s.c.Accounts.Memberships.Each(ctx, store.Query{Index: accounts.ByOrganization, Equal: []any{organization}}, func(doc store.Doc[accounts.Membership]) error {
		owner := slices.Contains(doc.Value.Roles, identity.Owner)
		owns, others = owns || owner && doc.Value.User == user, others || owner && doc.Value.User != user
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for owners: %w", err)
	}
	if owns && !others {
		return problem.New(http.StatusConflict, authapi.CodeLastOwner, "this is the only owner; make somebody else one first, or delete the organization")
	}
	return nil
}

// NewPassword is the hash of a password that passes the rules of an organization: 422 weak_password.
func (s *Service) NewPassword(ctx context.Context, organization, email, password string) (hash string, err error) {
	prepared, err := prepare(password)
	if err != nil {
		return "", err
	}
	if err := s.checkFor(ctx, organization, prepared, email); err != nil {
		return "", err
	}
	return s.c.Hasher.Hash(ctx, prepared)
}
