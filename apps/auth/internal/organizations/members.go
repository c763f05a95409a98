package organizations

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/store"
)

// promise is how long a seat is kept for who is about to be a member, which takes milliseconds.
const promise = time.Minute

// Members is a page of who works for an organization, the first joined first. A page may have fewer than limit and still
// not be the last.
func (s *Service) Members(ctx context.Context, organization, cursor string, limit int) (*authapi.Members, error) {
	q := membersOf(organization)
	q.Cursor, q.Limit = cursor, limit
	page, err := s.c.Accounts.Memberships.Find(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list the members: %w", err)
	}
	list := &authapi.Members{Items: []authapi.Member{}, NextCursor: page.Next}
	for _, membership := range page.Items {
		person, err := s.c.Accounts.Users.Get(ctx, membership.Value.User)
		switch {
		case accounts.IsNotFound(err): // about to be erased
		case err != nil:
			return nil, fmt.Errorf("read a member: %w", err)
		default:
			list.Items = append(list.Items, *member(person, membership))
		}
	}
	return list, nil
}

func membersOf(organization string) store.Query {
	return store.Query{Index: accounts.ByOrganization, Equal: []any{organization}}
}

func member(person store.Doc[accounts.User], membership store.Doc[accounts.Membership]) *authapi.Member {
	v, m := person.Value, membership.Value
	return &authapi.Member{
		ID: person.ID, Email: v.Email, EmailVerified: v.EmailVerifiedAt != nil, FirstName: v.FirstName, LastName: v.LastName,
		Roles: m.Roles, JoinedAt: m.CreatedAt.Time, SignedInAt: instant(m.LastUsedAt),
	}
}

// Member is one who works for an organization: 404 not_found.
func (s *Service) Member(ctx context.Context, organization, user string) (*authapi.Member, error) {
	person, membership, err := s.c.Accounts.Member(ctx, organization, user)
	if accounts.IsNotFound(err) || errors.Is(err, store.ErrBadID) {
		return nil, problem.NotFound("member").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read a member: %w", err)
	}
	return member(person, membership), nil
}

// Remove ends the membership of user in by's organization. Their sessions there end with it (see EndSessions). Problems: 404
// not_found, 403 permission_not_held or owners_only, 409 last_owner.
func (s *Service) Remove(ctx context.Context, by identity.Principal, user string) error {
	return s.end(ctx, by, user, "remove-member")
}

// Leave ends p's own membership in their organization, as Remove does.
func (s *Service) Leave(ctx context.Context, p identity.Principal) error {
	return s.end(ctx, p, p.Subject, "leave")
}

func (s *Service) end(ctx context.Context, by identity.Principal, user, verb string) error {
	person, _, err := s.c.Accounts.Member(ctx, by.Organization, user)
	if accounts.IsNotFound(err) || errors.Is(err, store.ErrBadID) {
		return problem.NotFound("member").Wrap(err)
	}
	if err != nil {
		return fmt.Errorf("read the member: %w", err)
	}
	// An invitation that its person has accepted and a crash has left over would let them in again.
	if err := s.withdraw(ctx, by.Organization, person.Value.Email); err != nil {
		return err
	}
	removed, err := authapi.UserRemoved.Message(ctx, s.c.Emit, by.Organization, authapi.UserRemovedData{
		OrganizationID: by.Organization, UserID: user, By: by.Subject, At: s.c.Now().UTC(),
	})
	recorded, err2 := s.record(ctx, by.Organization, verb, "user:"+user, nil)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	return s.c.Roster.Leave(ctx, by, user, removed, recorded)
}

// EndSessions ends those of who was removed from an organization. It takes the event that tells of it, so that they end
// whatever happens to the process that removed them; until then they let nobody in, since they belong to no member.
func (s *Service) EndSessions(ctx context.Context, e events.Event[authapi.UserRemovedData]) error {
	return s.c.Sessions.RevokeIn(ctx, e.Data.UserID, e.Data.OrganizationID, authapi.ByRemoval)
}

// SignOut ends the sessions of a member in by's organization; those in others are none of its business. Problems: 404 not_found,
// 403 permission_not_held or owners_only.
func (s *Service) SignOut(ctx context.Context, by identity.Principal, user string) error {
	m, err := s.Member(ctx, by.Organization, user)
	if err != nil {
		return err
	}
	if err := s.c.Roster.MayGive(ctx, by, m.Roles); err != nil {
		return err
	}
	return s.c.Sessions.RevokeIn(ctx, user, by.Organization, authapi.ByAdministrator)
}

// Join makes user, who has an account, a member of an organization. Whether somebody may let them in was decided before.
// Problems: 402 quota_exceeded, 404 not_found for an organization that is deleted, 409 already_member, 422 for a role that is
// not there.
func (s *Service) Join(ctx context.Context, organization, user string, roles []string) error {
	doc, err := s.organization(ctx, organization)
	if err != nil {
		return err
	}
	if doc.Value.EraseAt != nil {
		return problem.NotFound("organization")
	}
	// Before the limit is looked at: to be told that it is reached would be no news to a member.
	switch _, err := s.c.Accounts.Membership(ctx, organization, user); {
	case err == nil:
		return problem.New(http.StatusConflict, authapi.CodeAlreadyMember, "this user is a member already")
	case !accounts.IsNotFound(err):
		return fmt.Errorf("read the membership: %w", err)
	}
	if err := s.seat(ctx, doc, user); err != nil {
		return err
	}
	if p, _ := identity.From(ctx); p.Subject == "" { // a newcomer, who is let in by nobody else
		ctx = identity.With(ctx, identity.Principal{Subject: user, Organization: organization})
	}
	joined, err := authapi.UserJoined.Message(ctx, s.c.Emit, organization, authapi.UserJoinedData{
		OrganizationID: organization, UserID: user, At: s.c.Now().UTC(),
	})
	recorded, err2 := s.record(ctx, organization, "join", "user:"+user, nil)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	return s.c.Roster.Join(ctx, organization, user, roles, joined, recorded)
}

// seat promises user a place among the members: 402 quota_exceeded. Members are what the memberships say; the document only
// puts those who join at the same time in a row, and keeps a place from when it is promised until its membership is there.
// Promises are looked at before members are counted, so one that becomes a membership meanwhile is counted twice, not missed.
func (s *Service) seat(ctx context.Context, doc store.Doc[accounts.Organization], user string) error {
	all, err := s.limits(ctx, doc.ID, doc.Value.Plan)
	if err != nil {
		return err
	}
	limit := all[quota.Members]
	if limit == quota.Unlimited {
		return nil
	}
	now := s.c.Now()
	return edit(ctx, s.d.seats.In(doc.ID), only, func(v *seats) error {
		promised := map[string]store.Time{}
		for other, until := range v.Promised {
			if other == user || !now.Before(until.Time) {
				continue
			}
			_, err := s.c.Accounts.Membership(ctx, doc.ID, other)
			if accounts.IsNotFound(err) {
				promised[other] = until
			} else if err != nil {
				return fmt.Errorf("look for a promised seat's member: %w", err)
			}
		}
		members, err := s.c.Accounts.Memberships.Count(ctx, membersOf(doc.ID))
		if err != nil {
			return fmt.Errorf("count the members: %w", err)
		}
		if used := members + int64(len(promised)); used >= limit {
			return quota.Exceeded(quota.Members, used, limit)
		}
		promised[user] = store.At(now.Add(promise))
		v.Promised = promised
		return nil
	})
}
