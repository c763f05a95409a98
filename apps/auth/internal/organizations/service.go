// Package organizations is what an organization is to those who run it: its name and its end, who works for it and
// who is invited to, its plan and how much of that is used. It holds the books for the quotas of all groups.
package organizations

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/apps/auth/internal/typed"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// grace is how long a deleted organization can be restored.
const grace = 30 * 24 * time.Hour

// Roster lets people into organizations and out of them. It is rbac's, which decides who may give whom which roles, sees
// to it that somebody owns each organization, and tells that access has changed.
type Roster interface {
	// MayGive refuses roles that by cannot give: 422, 403 permission_not_held or owners_only.
	MayGive(ctx context.Context, by identity.Principal, roles []string) error
	// Join makes user a member, with messages stored in the same step: 409 already_member, 422.
	Join(ctx context.Context, organization, user string, roles []string, messages ...store.Message) error
	// Leave ends the membership of user in by's organization, with messages stored in the same step: 404, 403, 409 last_owner.
	Leave(ctx context.Context, by identity.Principal, user string, messages ...store.Message) error
}

// SignIns gives tokens to who has proved who they are (see signin.Service).
type SignIns interface {
	Begin(ctx context.Context, a signin.Attempt) (*authapi.SignIn, error)
}

// Sessions ends sign-ins (see sessions.Service).
type Sessions interface {
	// RevokeIn ends the sessions of user in an organization; once more changes nothing.
	RevokeIn(ctx context.Context, user, organization string, reason authapi.RevocationReason) error
	// SignedInAt is when the user of a session proved who they are: 404.
	SignedInAt(ctx context.Context, user, session string) (time.Time, error)
}

// Mails brings invitations to people (see mails.Mails).
type Mails interface {
	Invitation(ctx context.Context, to mails.Recipient, in mails.Invitation) error
}

// Config is what a Service needs.
type Config struct {
	DB       store.DB
	Accounts *accounts.Accounts
	Roster   Roster
	SignIns  SignIns
	Sessions Sessions
	Mails    Mails
	// Password checks a new password against the rules of an organization and hashes it: 422 weak_password.
	Password func(ctx context.Context, organization, email, password string) (hash string, err error)
	// DropCredentials takes a user's second factors, passkeys, remembered devices and API keys away.
	DropCredentials func(ctx context.Context, user string) error
	// Erase are what the group's other modules do about all that they keep of an organization and that store.DB's erasure does not
	// know of. They are run again after a failure.
	Erase []func(ctx context.Context, organization string) error
	// ErasePerson erases a user who works for nobody any more, the account included; of one who is gone it is no error.
	ErasePerson func(ctx context.Context, user string) error
	// Groups are those that confirm the erasure of an organization: all there are.
	Groups []topology.Group
	// Plans are those there are, see DefaultPlans.
	Plans Plans
	Emit  events.Emitter
	Now   func() time.Time
	NewID func() string
	// Random is where the tokens of invitations come from.
	Random io.Reader
	Log    *slog.Logger
}

// Service is the rules of organizations. It is safe for concurrent use.
type Service struct {
	c     Config
	d     documents
	turns turns
}

// Open opens what the module keeps in c.DB. Plans that leave something out are an error.
func Open(ctx context.Context, c Config) (*Service, error) {
	if err := c.Plans.check(); err != nil {
		return nil, err
	}
	d, err := openDocuments(ctx, c.DB)
	if err != nil {
		return nil, err
	}
	return &Service{c: c, d: d}, nil
}

func profile(doc store.Doc[accounts.Organization]) *authapi.OrganizationProfile {
	return &authapi.OrganizationProfile{
		ID: doc.ID, Name: doc.Value.Name, Plan: doc.Value.Plan, CreatedAt: doc.Value.CreatedAt.Time, EraseAt: instant(doc.Value.EraseAt),
	}
}

func instant(t *store.Time) *time.Time {
	if t == nil {
		return nil
	}
	return &t.Time
}

// organization is an organization's document: 404 not_found.
func (s *Service) organization(ctx context.Context, id string) (store.Doc[accounts.Organization], error) {
	doc, err := s.c.Accounts.Organizations.Get(ctx, id)
	if accounts.IsNotFound(err) || errors.Is(err, store.ErrBadID) {
		return doc, problem.NotFound("organization").Wrap(err)
	}
	if err != nil {
		return doc, fmt.Errorf("read the organization: %w", err)
	}
	return doc, nil
}

func anyVersion(int64) error { return nil }

// change edits an organization whose version match likes, and stores it with the messages that tell of it; nothing is stored
// without messages. Problems: 404 not_found, and the errors of match and edit.
func (s *Service) change(ctx context.Context, id string, match func(version int64) error, edit func(*accounts.Organization) ([]store.Message, error)) (store.Doc[accounts.Organization], error) {
	for {
		doc, err := s.organization(ctx, id)
		if err == nil {
			err = match(doc.Version)
		}
		if err != nil {
			return doc, err
		}
		messages, err := edit(&doc.Value)
		if err != nil || len(messages) == 0 {
			return doc, err
		}
		doc, err = s.c.Accounts.Organizations.Replace(ctx, doc, messages...)
		switch {
		case err == nil:
			return doc, nil
		case accounts.IsNotFound(err):
			return doc, problem.NotFound("organization").Wrap(err)
		case !errors.Is(err, store.ErrConflict) || ctx.Err() != nil:
			return doc, fmt.Errorf("change the organization: %w", err)
		}
	}
}

// Profile is an organization with its version: 404 not_found.
func (s *Service) Profile(ctx context.Context, organization string) (*authapi.OrganizationProfile, int64, error) {
	doc, err := s.organization(ctx, organization)
	if err != nil {
		return nil, 0, err
	}
	return profile(doc), doc.Version, nil
}

// Rename gives an organization whose version match likes another name. Problems: 404 not_found, 422 validation_failed, and
// match's own.
func (s *Service) Rename(ctx context.Context, organization, name string, match func(version int64) error) (*authapi.OrganizationProfile, int64, error) {
	name, err := typed.Name("body.name", name)
	if err != nil {
		return nil, 0, err
	}
	doc, err := s.change(ctx, organization, match, func(o *accounts.Organization) ([]store.Message, error) {
		if o.Name == name {
			return nil, nil
		}
		o.Name = name
		return s.updated(ctx, organization, o, "rename")
	})
	if err != nil {
		return nil, 0, err
	}
	return profile(doc), doc.Version, nil
}

// updated are the messages that tell of a change of o.
func (s *Service) updated(ctx context.Context, id string, o *accounts.Organization, verb string) ([]store.Message, error) {
	updated, err := authapi.OrganizationUpdated.Message(ctx, s.c.Emit, id, authapi.OrganizationUpdatedData{
		OrganizationID: id, EraseAt: instant(o.EraseAt), At: s.c.Now().UTC(),
	})
	recorded, err2 := s.record(ctx, id, verb, "organization:"+id, nil)
	return []store.Message{updated, recorded}, errors.Join(err, err2)
}

// Delete has the organization of p, who must own it, erased after 30 days. Until then its members can do nothing, and an owner
// can restore it. Once more changes nothing. Problems: 403 owners_only, 404 not_found.
func (s *Service) Delete(ctx context.Context, p identity.Principal) (*authapi.OrganizationProfile, error) {
	return s.setErasure(ctx, p, "delete", func(o *accounts.Organization, now time.Time) (bool, error) {
		if o.EraseAt != nil {
			return false, nil
		}
		at := store.At(now.Add(grace))
		o.EraseAt = &at
		return true, nil
	})
}

// Restore undoes Delete. Problems: 403 owners_only, 404 not_found, 409 organization_erasing when the 30 days are over.
func (s *Service) Restore(ctx context.Context, p identity.Principal) (*authapi.OrganizationProfile, error) {
	return s.setErasure(ctx, p, "restore", func(o *accounts.Organization, now time.Time) (bool, error) {
		switch {
		case o.EraseAt == nil:
			return false, nil
		case !now.Before(o.EraseAt.Time):
			return false, problem.New(http.StatusConflict, authapi.CodeErasing, "the organization is being erased")
		}
		o.EraseAt = nil
		return true, nil
	})
}

func (s *Service) setErasure(ctx context.Context, p identity.Principal, verb string, set func(*accounts.Organization, time.Time) (bool, error)) (*authapi.OrganizationProfile, error) {
	// The token may be from before the user lost the role.
	membership, err := s.c.Accounts.Membership(ctx, p.Organization, p.Subject)
	if err != nil && !accounts.IsNotFound(err) {
		return nil, fmt.Errorf("read the membership: %w", err)
	}
	if !slices.Contains(membership.Value.Roles, identity.Owner) {
		return nil, problem.New(http.StatusForbidden, authapi.CodeOwnersOnly, "only an owner deletes the organization, or restores it")
	}
	doc, err := s.change(ctx, p.Organization, anyVersion, func(o *accounts.Organization) ([]store.Message, error) {
		if set, err := set(o, s.c.Now()); err != nil || !set {
			return nil, err
		}
		messages, err := s.updated(ctx, p.Organization, o, verb)
		if err != nil {
			return nil, err
		}
		changed, err := authapi.AccessChanged.Message(ctx, s.c.Emit, p.Organization, authapi.AccessChangedData{
			OrganizationID: p.Organization, Reason: "organization " + verb,
		})
		return append(messages, changed), err
	})
	if err != nil {
		return nil, err
	}
	return profile(doc), nil
}

// inGrace is what members of a deleted organization may do still, if they might before.
var inGrace = []string{
	"auth.auth:read", "auth.sessions:read", "auth.sessions:write", "auth.organizations:read", "auth.organizations:delete", "auth.audit:inspect",
}

// Contribute leaves members of a deleted organization what it takes to restore it, and nothing else. It must be the last
// access.Source, since it takes away what others gave.
func (s *Service) Contribute(ctx context.Context, m access.Member, to *identity.Access) error {
	doc, err := s.organization(ctx, m.Organization)
	if err != nil {
		return err
	}
	if doc.Value.EraseAt != nil {
		to.Permissions = slices.DeleteFunc(slices.Clone(inGrace), func(p string) bool { return !to.Can(p) })
		to.Grants, to.EraseAt = nil, instant(doc.Value.EraseAt)
	}
	return nil
}

// Mine is a page of the organizations that p works for, the first joined first. A page may have fewer than limit and still
// not be the last.
func (s *Service) Mine(ctx context.Context, p identity.Principal, cursor string, limit int) (*authapi.MyOrganizations, error) {
	page, err := s.c.Accounts.Memberships.Find(ctx, store.Query{Index: accounts.ByUser, Equal: []any{p.Subject}, Cursor: cursor, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list the organizations of a user: %w", err)
	}
	list := &authapi.MyOrganizations{Items: []authapi.MyOrganization{}, NextCursor: page.Next}
	for _, membership := range page.Items {
		mine, err := s.mine(ctx, p, membership)
		switch {
		case errors.Is(err, store.ErrNotFound): // erased since the page was read
		case err != nil:
			return nil, err
		default:
			list.Items = append(list.Items, *mine)
		}
	}
	return list, nil
}

func (s *Service) mine(ctx context.Context, p identity.Principal, membership store.Doc[accounts.Membership]) (*authapi.MyOrganization, error) {
	doc, err := s.organization(ctx, membership.Value.Organization)
	if err != nil {
		return nil, err
	}
	return &authapi.MyOrganization{
		OrganizationProfile: *profile(doc), Roles: membership.Value.Roles, Current: doc.ID == p.Organization,
		JoinedAt: membership.Value.CreatedAt.Time,
	}, nil
}

// Switch begins a session of p's user in another organization that they work for, with no more scope than p has; the session
// of p goes on. Problems: 404 not_found, 403 sign_in_again, and those of signin.Service.Begin.
func (s *Service) Switch(ctx context.Context, p identity.Principal, organization string) (*authapi.SignIn, error) {
	_, err := s.c.Accounts.Membership(ctx, organization, p.Subject)
	if accounts.IsNotFound(err) || errors.Is(err, store.ErrBadID) {
		return nil, problem.NotFound("organization").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the membership: %w", err)
	}
	// Whoever runs an organization's identity provider can sign in there as anybody who works for it. That must not open
	// the other organizations that these people work for.
	if slices.Contains(p.AMR, signin.Federated) && organization != p.Organization {
		return nil, problem.New(http.StatusForbidden, authapi.CodeSignInAgain,
			"you signed in through an organization's identity provider; sign in to the other organization itself")
	}
	if organization == p.Organization {
		return nil, problem.New(http.StatusConflict, problem.CodeConflict, "you are signed in to this organization")
	}
	at, err := s.c.Sessions.SignedInAt(ctx, p.Subject, p.Session)
	if err != nil {
		return nil, err
	}
	return s.c.SignIns.Begin(ctx, signin.Attempt{
		User: p.Subject, Organization: organization, AuthenticatedAt: at, AMR: p.AMR, Strong: p.ACR == identity.ACRMultiFactor,
		Scope: sessions.Scope(p.Scope),
	})
}
