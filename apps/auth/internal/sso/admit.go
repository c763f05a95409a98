package sso

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// admit is the id of the user who p, proved by the connection's provider, is. It makes what is missing: account, membership,
// and the link between the two sides; each step is found done when a sign-in that ended after it comes again. Problems: 403
// sso_account_refused, 403 sso_not_provisioned, and those of Config.Join.
func (s *Service) admit(ctx context.Context, id string, c connection, p person) (string, error) {
	given, says := roles(c.Roles, p.claims)
	known, linked, err := s.linked(ctx, id, c, p)
	if err != nil {
		return "", err
	}
	if !linked {
		if known, err = s.account(ctx, id, c, p, given); err != nil {
			return "", err
		}
	}
	// Also for who is linked: the domain may be another's by now, or the account have another address.
	if err := s.speaksFor(ctx, c.Organization, known.Value.Email); err != nil {
		return "", err
	}
	if err := s.member(ctx, c, known.ID, given, says); err != nil {
		return "", err
	}
	if !linked {
		if err := s.link(ctx, id, c, p, known.ID); err != nil {
			return "", err
		}
	}
	return known.ID, s.rename(ctx, known, p)
}

func refuseAccount(why string) *problem.Problem {
	return problem.New(http.StatusForbidden, authapi.CodeSSOAccountRefused, why)
}

func notProvisioned(why string) *problem.Problem {
	return problem.New(http.StatusForbidden, authapi.CodeSSONotProvisioned, why)
}

// linked is the user who came as p before, if somebody did who is still there.
func (s *Service) linked(ctx context.Context, id string, c connection, p person) (store.Doc[accounts.User], bool, error) {
	none := store.Doc[accounts.User]{}
	doc, err := s.d.links.Get(ctx, linkID(id, c, p.Subject))
	if errors.Is(err, store.ErrNotFound) {
		return none, false, nil
	}
	if err != nil {
		return none, false, fmt.Errorf("look for an identity: %w", err)
	}
	known, err := s.c.Accounts.Users.Get(ctx, doc.Value.User)
	if accounts.IsNotFound(err) {
		if err := s.d.links.Delete(ctx, doc.ID, 0); err != nil && !errors.Is(err, store.ErrNotFound) {
			return none, false, fmt.Errorf("forget an identity: %w", err)
		}
		return none, false, nil
	}
	if err != nil {
		return none, false, fmt.Errorf("read the user of an identity: %w", err)
	}
	return known, true, nil
}

// account is the one with p's address, made if there is none. It belongs to p only if the organization owns the domain and
// its provider vouches for the address.
func (s *Service) account(ctx context.Context, id string, c connection, p person, given []string) (store.Doc[accounts.User], error) {
	none := store.Doc[accounts.User]{}
	email, err := accounts.ParseEmail(p.Email)
	if err != nil {
		return none, refuseAccount("the identity provider names no e-mail address").Wrap(err)
	}
	if !p.Verified {
		return none, refuseAccount("the identity provider does not say that the e-mail address is verified")
	}
	if err := s.speaksFor(ctx, c.Organization, email); err != nil {
		return none, err
	}
	for {
		known, err := s.c.Accounts.UserByEmail(ctx, email)
		if err == nil {
			return known, s.linkable(ctx, known, id, linkID(id, c, p.Subject))
		}
		if !accounts.IsNotFound(err) {
			return none, fmt.Errorf("look for the user: %w", err)
		}
		if !c.Provision || len(given) == 0 {
			return none, notProvisioned("you have no account here; ask an administrator to let you in")
		}
		now := store.At(s.c.Now())
		user := accounts.User{
			Email: email, EmailVerifiedAt: &now, PasswordChangedAt: now, FirstName: p.FirstName, LastName: p.LastName, CreatedAt: now,
		}
		if user.FirstName == "" && user.LastName == "" {
			user.FirstName, _, _ = strings.Cut(email, "@")
		}
		known, err = s.c.Accounts.Users.Insert(ctx, s.c.NewID(), user)
		if errors.Is(err, store.ErrDuplicate) && ctx.Err() == nil {
			continue // they came twice at once, or have just registered
		}
		if err != nil {
			return none, fmt.Errorf("make an account: %w", err)
		}
		return known, nil
	}
}

// linkable refuses an account that might be somebody else's: one whose address was never proved may have been made by whoever
// wants to share it, and one that is another identity already is somebody who had the address before.
func (s *Service) linkable(ctx context.Context, known store.Doc[accounts.User], id, as string) error {
	if known.Value.EmailVerifiedAt == nil {
		return refuseAccount("an account has this e-mail address and never confirmed it; set a new password by mail first, which also removes what somebody else may have set up")
	}
	q := linksOf(id)
	q.Equal = append(q.Equal, known.ID)
	other, err := s.d.links.First(ctx, q)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && other.ID == as: // they came twice at once
		return nil
	case err != nil:
		return fmt.Errorf("look for another identity: %w", err)
	}
	return otherIdentity()
}

func otherIdentity() *problem.Problem {
	return refuseAccount("another identity at this provider came to this account before; ask an administrator")
}

// speaksFor refuses addresses outside of the organization's own domains.
func (s *Service) speaksFor(ctx context.Context, organization, email string) error {
	owner, err := s.ownerOf(ctx, domainOf(email))
	if err == nil && owner != organization {
		return refuseAccount("the organization has not proved that the domain of this e-mail address is its own")
	}
	return err
}

var errRolesMoved = errors.New("the membership was changed at the same time")

// member lets a user into the organization, or brings their roles up to date.
func (s *Service) member(ctx context.Context, c connection, user string, given []string, says bool) error {
	if says && len(given) == 0 {
		return notProvisioned("none of your groups has a place here; ask an administrator")
	}
	for {
		has, version, err := s.c.Roster.Of(ctx, c.Organization, user)
		switch {
		case errors.Is(err, store.ErrNotFound):
			err = s.join(ctx, c, user, given)
			if problem.Code(err) == authapi.CodeAlreadyMember && ctx.Err() == nil {
				continue
			}
			return err
		case err != nil:
			return err
		case slices.Contains(has.Roles, identity.Owner): // whom people made an owner, no claim unmakes
			if !c.Owners {
				return refuseAccount("owners sign in by a connection that an owner has set up; save it as one")
			}
			return nil
		case !says:
			return nil
		}
		as := identity.Principal{Subject: "group:" + string(topology.Auth), Organization: c.Organization, Group: topology.Auth}
		err = s.c.Roster.Assign(ctx, as, user, given, func(now int64) error {
			if now != version {
				return errRolesMoved
			}
			return nil
		})
		if !errors.Is(err, errRolesMoved) || ctx.Err() != nil {
			return rolesGone(err)
		}
	}
}

func (s *Service) join(ctx context.Context, c connection, user string, given []string) error {
	if !c.Provision || len(given) == 0 {
		return notProvisioned("you are no member of this organization; ask an administrator to let you in")
	}
	return rolesGone(s.c.Join(ctx, c.Organization, user, given))
}

// rolesGone explains to who signs in that the connection gives what is not there any more.
func rolesGone(err error) error {
	if problem.Code(err) == problem.CodeValidation {
		return notProvisioned("the organization's connection gives a role that is not there; ask an administrator").Wrap(err)
	}
	return err
}

// link notes that p is a user, and tells of it.
func (s *Service) link(ctx context.Context, id string, c connection, p person, user string) error {
	now := store.At(s.c.Now())
	provisioned, err := authapi.UserProvisioned.Message(ctx, s.c.Emit, c.Organization, authapi.UserProvisionedData{
		UserID: user, OrganizationID: c.Organization, ConnectionID: id, At: now.Time,
	})
	if err != nil {
		return err
	}
	recorded, err := audit.Message(ctx, s.c.Emit, c.Organization, audit.Entry{
		Action: "auth.sso.link", Actor: audit.Actor{Subject: user}, Resource: "sso-connection:" + id,
	})
	if err != nil {
		return err
	}
	_, err = s.d.links.Insert(ctx, linkID(id, c, p.Subject), link{id, c.Organization, user, now}, provisioned, recorded)
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrDuplicate) {
		var same store.Doc[link]
		same, err = s.d.links.Get(ctx, linkID(id, c, p.Subject))
		if errors.Is(err, store.ErrNotFound) || err == nil && same.Value.User != user {
			return otherIdentity()
		}
	}
	if err != nil {
		return fmt.Errorf("note an identity: %w", err)
	}
	return nil
}

// rename makes the account's name what the provider calls the person.
func (s *Service) rename(ctx context.Context, known store.Doc[accounts.User], p person) error {
	_, err := s.c.Accounts.Users.Update(ctx, known.ID, func(u *accounts.User) ([]store.Message, error) {
		if p.FirstName != "" {
			u.FirstName = p.FirstName
		}
		if p.LastName != "" {
			u.LastName = p.LastName
		}
		return nil, nil
	})
	if err != nil {
		return fmt.Errorf("bring an account up to date: %w", err)
	}
	return nil
}
