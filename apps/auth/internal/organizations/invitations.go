package organizations

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/apps/auth/internal/typed"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	invitationLife = 7 * 24 * time.Hour
	// mailsADay bounds the invitations that an organization mails on one day (UTC): their addresses are strangers'.
	mailsADay = 100
	// firstPause is how long after its mail an invitation can be mailed again; each further mail doubles it.
	firstPause = time.Minute
	// claimed is how long a token is left to who is redeeming it; after a crash it can be redeemed again then.
	claimed    = time.Minute
	tokenBytes = 32
)

// Invite invites the person with an address to by's organization; the mail follows. Problems: 402 quota_exceeded when nobody
// could join, 403 permission_not_held or owners_only, 409 already_member or already_invited, 422 validation_failed, 429
// rate_limited.
func (s *Service) Invite(ctx context.Context, by identity.Principal, address string, roles []string) (*authapi.Invitation, error) {
	email, err := accounts.ParseEmail(address)
	if err != nil {
		return nil, problem.Invalid("body.email", err.Error())
	}
	roles = slices.Compact(slices.Sorted(slices.Values(roles)))
	if err := s.c.Roster.MayGive(ctx, by, roles); err != nil {
		return nil, err
	}
	if err := s.invitable(ctx, by.Organization, email); err != nil {
		return nil, err
	}
	if err := s.spend(ctx, by.Organization); err != nil {
		return nil, err
	}
	now := s.c.Now()
	id, v := s.c.NewID(), invitation{
		Organization: by.Organization, Email: email, Roles: roles, InvitedBy: by.Subject, For: waitsFor(by.Organization, email),
		CreatedAt: store.At(now), ExpiresAt: store.At(now.Add(invitationLife)), Mails: 1, AskedAt: store.At(now),
	}
	messages, err := s.issue(ctx, id, v, "invite")
	if err != nil {
		return nil, err
	}
	doc, err := s.d.invitations.Insert(ctx, id, v, messages...)
	if errors.Is(err, store.ErrDuplicate) {
		return nil, problem.New(http.StatusConflict, authapi.CodeAlreadyInvited, "an invitation to this address waits to be accepted").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("keep an invitation: %w", err)
	}
	return invitationView(doc), nil
}

// invitable tells whether the person with an address could join, and makes room for their invitation.
func (s *Service) invitable(ctx context.Context, organization, email string) error {
	person, err := s.c.Accounts.UserByEmail(ctx, email)
	if err == nil {
		_, err = s.c.Accounts.Membership(ctx, organization, person.ID)
	}
	switch {
	case err == nil:
		return problem.New(http.StatusConflict, authapi.CodeAlreadyMember, "this person is a member already")
	case !accounts.IsNotFound(err):
		return fmt.Errorf("look for the person to invite: %w", err)
	}
	if err := s.seatsLeft(ctx, organization); err != nil {
		return err
	}
	// One that has expired waits for its deletion only.
	waiting, err := s.d.invitations.First(ctx, store.Query{Index: byFor, Equal: []any{waitsFor(organization, email)}})
	if err == nil && s.expired(waiting.Value) {
		err = s.d.invitations.Delete(ctx, waiting.ID, waiting.Version)
	}
	if err != nil && !accounts.IsNotFound(err) && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("make room for an invitation: %w", err)
	}
	return nil
}

func (s *Service) expired(v invitation) bool { return !s.c.Now().Before(v.ExpiresAt.Time) }

// spend takes one mail from the organization's budget of the day: 429 rate_limited.
func (s *Service) spend(ctx context.Context, organization string) error {
	now := s.c.Now().UTC()
	return edit(ctx, s.d.budgets.In(organization), only, func(b *budget) error {
		if day := now.Format(time.DateOnly); b.Day != day {
			*b = budget{Day: day}
		}
		if b.Mails >= mailsADay {
			tomorrow := now.Truncate(24 * time.Hour).Add(24 * time.Hour)
			return problem.Newf(http.StatusTooManyRequests, problem.CodeRateLimited, "more than %d invitations in a day", mailsADay).After(tomorrow.Sub(now))
		}
		b.Mails++
		return nil
	})
}

// issue are the messages that have an invitation mailed.
func (s *Service) issue(ctx context.Context, id string, v invitation, verb string) ([]store.Message, error) {
	issued, err := authapi.InvitationIssued.Message(ctx, s.c.Emit, v.Organization, authapi.InvitationIssuedData{InvitationID: id})
	recorded, err2 := s.record(ctx, v.Organization, verb, "invitation:"+id, map[string]string{"roles": strings.Join(v.Roles, " ")})
	return []store.Message{issued, recorded}, errors.Join(err, err2)
}

func invitationView(doc store.Doc[invitation]) *authapi.Invitation {
	v := doc.Value
	return &authapi.Invitation{
		ID: doc.ID, Email: v.Email, Roles: v.Roles, InvitedBy: v.InvitedBy,
		CreatedAt: v.CreatedAt.Time, SentAt: instant(v.SentAt), ExpiresAt: v.ExpiresAt.Time,
	}
}

// Invitations is a page of those of an organization that wait, the latest first. A page may have fewer than limit and still not
// be the last.
func (s *Service) Invitations(ctx context.Context, organization, cursor string, limit int) (*authapi.Invitations, error) {
	page, err := s.d.invitations.Find(ctx, store.Query{
		Index: byOrganization, Equal: []any{organization}, Descending: true, Cursor: cursor, Limit: limit,
	})
	if err != nil {
		return nil, fmt.Errorf("list invitations: %w", err)
	}
	list := &authapi.Invitations{Items: []authapi.Invitation{}, NextCursor: page.Next}
	for _, doc := range page.Items {
		if !s.expired(doc.Value) {
			list.Items = append(list.Items, *invitationView(doc))
		}
	}
	return list, nil
}

// Resend has an invitation of by's organization mailed again, with another token, and lets it live for another 7 days; the link
// in the mail before works no more. Problems: 403 permission_not_held or owners_only, 404 not_found, 429 rate_limited.
func (s *Service) Resend(ctx context.Context, by identity.Principal, id string) (*authapi.Invitation, error) {
	doc, err := s.invitation(ctx, by.Organization, id)
	if err != nil {
		return nil, err
	}
	if err := s.c.Roster.MayGive(ctx, by, doc.Value.Roles); err != nil {
		return nil, err
	}
	// Within the pause nothing is spent; the update asks again.
	if err := s.pausing(doc.Value); err != nil {
		return nil, err
	}
	if err := s.spend(ctx, by.Organization); err != nil {
		return nil, err
	}
	doc, err = s.d.invitations.Update(ctx, id, func(v *invitation) ([]store.Message, error) {
		if err := s.pausing(*v); err != nil {
			return nil, err
		}
		now := s.c.Now()
		v.Mails, v.AskedAt, v.ExpiresAt = v.Mails+1, store.At(now), store.At(now.Add(invitationLife))
		return s.issue(ctx, id, *v, "resend-invitation")
	})
	if accounts.IsNotFound(err) {
		return nil, problem.NotFound("invitation").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("resend an invitation: %w", err)
	}
	return invitationView(doc), nil
}

// pausing refuses to mail an invitation again too soon: 429 rate_limited.
func (s *Service) pausing(v invitation) error {
	pause := firstPause << min(v.Mails-1, 10)
	if wait := v.AskedAt.Add(pause).Sub(s.c.Now()); wait > 0 {
		return problem.New(http.StatusTooManyRequests, problem.CodeRateLimited, "this invitation was mailed a moment ago").After(wait)
	}
	return nil
}

// invitation is one of an organization that waits: 404 not_found.
func (s *Service) invitation(ctx context.Context, organization, id string) (store.Doc[invitation], error) {
	doc, err := s.d.invitations.Get(ctx, id)
	if accounts.IsNotFound(err) || errors.Is(err, store.ErrBadID) || err == nil && (doc.Value.Organization != organization || s.expired(doc.Value)) {
		return doc, problem.NotFound("invitation").Wrap(err)
	}
	if err != nil {
		return doc, fmt.Errorf("read an invitation: %w", err)
	}
	return doc, nil
}

// Revoke takes an invitation of by's organization back: 404 not_found.
func (s *Service) Revoke(ctx context.Context, by identity.Principal, id string) error {
	if _, err := s.invitation(ctx, by.Organization, id); err != nil {
		return err
	}
	recorded, err := s.record(ctx, by.Organization, "revoke-invitation", "invitation:"+id, nil)
	if err != nil {
		return err
	}
	err = s.d.invitations.Delete(ctx, id, 0, recorded)
	if accounts.IsNotFound(err) {
		return problem.NotFound("invitation").Wrap(err)
	}
	if err != nil {
		return fmt.Errorf("revoke an invitation: %w", err)
	}
	return nil
}

// withdraw deletes the invitation of an address to an organization, if there is one.
func (s *Service) withdraw(ctx context.Context, organization, email string) error {
	err := s.d.invitations.DeleteDue(ctx, store.Query{Index: byFor, Equal: []any{waitsFor(organization, email)}})
	if err != nil {
		return fmt.Errorf("withdraw an invitation: %w", err)
	}
	return nil
}

// Mail mails the invitation that the event tells of, with a new token. After a crash it may be mailed twice; the link in the
// latest mail is the one that works.
func (s *Service) Mail(ctx context.Context, e events.Event[authapi.InvitationIssuedData]) error {
	token := make([]byte, tokenBytes)
	if _, err := io.ReadFull(s.c.Random, token); err != nil {
		return fmt.Errorf("make the token of an invitation: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString(token)
	now := store.At(s.c.Now())
	doc, err := s.d.invitations.Update(ctx, e.Data.InvitationID, func(v *invitation) ([]store.Message, error) {
		if !s.expired(*v) {
			v.Token, v.SentAt = atrest.Digest(text), &now
		}
		return nil, nil
	})
	if accounts.IsNotFound(err) || err == nil && s.expired(doc.Value) {
		return nil // revoked, accepted or expired meanwhile
	}
	if err != nil {
		return fmt.Errorf("give an invitation its token: %w", err)
	}
	v := doc.Value
	to, err := s.organization(ctx, v.Organization)
	if accounts.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	by := "Somebody who manages it" // an API key, or a user who is gone
	switch person, err := s.c.Accounts.Users.Get(ctx, v.InvitedBy); {
	case err == nil:
		by = person.Value.FirstName + " " + person.Value.LastName
	case !accounts.IsNotFound(err):
		return fmt.Errorf("read who invites: %w", err)
	}
	return s.c.Mails.Invitation(ctx, mails.Recipient{Email: v.Email}, mails.Invitation{
		Organization: to.Value.Name, InvitedBy: by, Role: strings.Join(v.Roles, ", "),
		Link: mails.Link{Token: text, ExpiresAt: v.ExpiresAt.Time},
	})
}

// redeemable is the invitation with a token: 404 invitation_invalid. The index finds what has the digest or nothing, so the time
// that it takes tells nothing of other tokens.
func (s *Service) redeemable(ctx context.Context, token string) (store.Doc[invitation], store.Doc[accounts.Organization], error) {
	var to store.Doc[accounts.Organization]
	doc, err := s.d.invitations.First(ctx, store.Query{Index: byToken, Equal: []any{atrest.Digest(token)}})
	if err == nil && s.expired(doc.Value) {
		return doc, to, invitationInvalid()
	}
	if err == nil {
		to, err = s.organization(ctx, doc.Value.Organization)
	}
	if accounts.IsNotFound(err) || err == nil && to.Value.EraseAt != nil {
		return doc, to, invitationInvalid().Wrap(err)
	}
	if err != nil {
		return doc, to, fmt.Errorf("look for the invitation: %w", err)
	}
	return doc, to, nil
}

func invitationInvalid() *problem.Problem {
	return problem.New(http.StatusNotFound, authapi.CodeInvitationInvalid, "this invitation was accepted or revoked, has expired, or never was; ask for another")
}

// Offer is what the holder of a token is offered: 404 invitation_invalid. The token came to the invited address, so its holder
// may know whether that has an account.
func (s *Service) Offer(ctx context.Context, token string) (*authapi.InvitationOffer, error) {
	doc, to, err := s.redeemable(ctx, token)
	if err != nil {
		return nil, err
	}
	person, works, err := s.works(ctx, doc.Value.Email)
	if err != nil {
		return nil, err
	}
	return &authapi.InvitationOffer{
		Organization: to.Value.Name, Email: doc.Value.Email, Roles: doc.Value.Roles, ExpiresAt: doc.Value.ExpiresAt.Time,
		HasAccount: works || person.Value.DisabledAt != nil,
	}, nil
}

// works is the user with an address, zero for none, and whether they work for anybody. Who does not cannot sign in.
func (s *Service) works(ctx context.Context, email string) (store.Doc[accounts.User], bool, error) {
	person, err := s.c.Accounts.UserByEmail(ctx, email)
	if accounts.IsNotFound(err) {
		return store.Doc[accounts.User]{}, false, nil
	}
	if err != nil {
		return person, false, fmt.Errorf("look for the invited person: %w", err)
	}
	all, err := s.c.Accounts.MembershipsOf(ctx, person.ID)
	return person, len(all) > 0, err
}

// Accept makes p's user, whose address must be the invited one, a member; that proves the address. Of two that redeem a token at
// once, one gets 404. Problems: 402 quota_exceeded, 403 invitation_for_other, 404 invitation_invalid, 409 already_member.
func (s *Service) Accept(ctx context.Context, p identity.Principal, token string) (*authapi.MyOrganization, error) {
	doc, _, err := s.redeemable(ctx, token)
	if err != nil {
		return nil, err
	}
	person, err := s.c.Accounts.Users.Get(ctx, p.Subject)
	if err != nil {
		return nil, fmt.Errorf("read the invited person: %w", err)
	}
	if person.Value.Email != doc.Value.Email {
		return nil, problem.New(http.StatusForbidden, authapi.CodeInvitationForOther,
			"this invitation is for another e-mail address than that of your account")
	}
	err = s.redeem(ctx, doc.ID, doc.Value.Token, func() error {
		_, err := s.c.Accounts.Users.Update(ctx, person.ID, func(u *accounts.User) ([]store.Message, error) {
			if u.Email == doc.Value.Email && u.EmailVerifiedAt == nil {
				now := store.At(s.c.Now())
				u.EmailVerifiedAt = &now
			}
			return nil, nil
		})
		if err != nil {
			return fmt.Errorf("note that the address is proved: %w", err)
		}
		return s.Join(ctx, doc.Value.Organization, person.ID, doc.Value.Roles)
	})
	if err != nil {
		return nil, err
	}
	membership, err := s.c.Accounts.Membership(ctx, doc.Value.Organization, person.ID)
	if err != nil {
		return nil, fmt.Errorf("read the new membership: %w", err)
	}
	return s.mine(ctx, p, membership)
}

// redeem lets join use up a token: 404 invitation_invalid while somebody else is at it. The invitation is deleted when join
// has succeeded, or had before a crash; after another error its token can be redeemed again.
func (s *Service) redeem(ctx context.Context, id, token string, join func() error) error {
	now := s.c.Now()
	until := store.At(now.Add(claimed))
	doc, err := s.d.invitations.Update(ctx, id, func(v *invitation) ([]store.Message, error) {
		if v.Token != token || s.expired(*v) || v.ClaimedUntil != nil && now.Before(v.ClaimedUntil.Time) {
			return nil, invitationInvalid()
		}
		v.ClaimedUntil = &until
		return nil, nil
	})
	if accounts.IsNotFound(err) {
		return invitationInvalid().Wrap(err)
	}
	if err != nil {
		return fmt.Errorf("claim an invitation: %w", err)
	}
	err = join()
	// The claim is given up also when the client has left.
	ctx = context.WithoutCancel(ctx)
	if err != nil && problem.Code(err) != authapi.CodeAlreadyMember {
		_, freed := s.d.invitations.Update(ctx, id, func(v *invitation) ([]store.Message, error) {
			v.ClaimedUntil = nil
			return nil, nil
		})
		if freed != nil && !accounts.IsNotFound(freed) {
			s.c.Log.WarnContext(ctx, "an invitation can be redeemed again in a minute only", "invitation", id, "error", freed)
		}
		return err
	}
	// Revoking it at the last moment comes too late; that it was resent does not matter.
	if deleted := s.d.invitations.Delete(ctx, doc.ID, 0); deleted != nil && !accounts.IsNotFound(deleted) {
		return fmt.Errorf("end an accepted invitation: %w", deleted)
	}
	return err
}

// Newcomer is who joins by an invitation without an account, as it was typed.
type Newcomer struct {
	FirstName string
	LastName  string
	Password  string
}

// Register makes an account for the address of an invitation, which counts as proved, and its user a member. A person who has an
// account and works for nobody cannot sign in: they register again and keep the account, with the new password, but nothing that
// was set up in it before its address was ever proved. Problems: 402
// quota_exceeded, 404 invitation_invalid, 409 email_taken for who can sign in and accept, 422 validation_failed or
// weak_password.
func (s *Service) Register(ctx context.Context, token string, in Newcomer) (*authapi.Registration, error) {
	doc, to, err := s.redeemable(ctx, token)
	if err != nil {
		return nil, err
	}
	if in.FirstName, err = typed.Name("body.first_name", in.FirstName); err != nil {
		return nil, err
	}
	if in.LastName, err = typed.Name("body.last_name", in.LastName); err != nil {
		return nil, err
	}
	hash, err := s.c.Password(ctx, to.ID, doc.Value.Email, in.Password)
	if err != nil {
		return nil, err
	}
	now := store.At(s.c.Now())
	var person store.Doc[accounts.User]
	err = s.redeem(ctx, doc.ID, doc.Value.Token, func() error {
		person, err = s.enrol(ctx, accounts.User{
			Email: doc.Value.Email, EmailVerifiedAt: &now, PasswordHash: hash, PasswordChangedAt: now,
			FirstName: in.FirstName, LastName: in.LastName, CreatedAt: now,
		})
		if err != nil {
			return err
		}
		return s.Join(ctx, to.ID, person.ID, doc.Value.Roles)
	})
	if err != nil {
		return nil, err
	}
	return &authapi.Registration{User: accounts.UserView(person, doc.Value.Roles), Organization: accounts.OrganizationView(to)}, nil
}

// enrol makes the account of who is about to join: 409 email_taken. A crash leaves one that works for nobody, which the next
// attempt takes over.
func (s *Service) enrol(ctx context.Context, u accounts.User) (store.Doc[accounts.User], error) {
	taken := problem.New(http.StatusConflict, authapi.CodeEmailTaken, "there is an account with this e-mail address: sign in and accept the invitation")
	person, works, err := s.works(ctx, u.Email)
	if err != nil {
		return person, err
	}
	if person.ID == "" {
		person, err = s.c.Accounts.Users.Insert(ctx, s.c.NewID(), u)
		if errors.Is(err, store.ErrDuplicate) {
			return person, taken.Wrap(err)
		}
		if err != nil {
			return person, fmt.Errorf("register the invited person: %w", err)
		}
		return person, nil
	}
	if works || person.Value.DisabledAt != nil {
		return person, taken
	}
	if person.Value.EmailVerifiedAt == nil { // somebody else may have registered with this address
		if err := s.c.DropCredentials(ctx, person.ID); err != nil {
			return person, err
		}
	}
	person, err = s.c.Accounts.Users.Update(ctx, person.ID, func(old *accounts.User) ([]store.Message, error) {
		if old.Email != u.Email || old.DisabledAt != nil {
			return nil, taken
		}
		old.PasswordHash, old.PasswordChangedAt, old.FirstName, old.LastName = u.PasswordHash, u.PasswordChangedAt, u.FirstName, u.LastName
		old.EmailVerifiedAt = u.EmailVerifiedAt
		return nil, nil
	})
	if err != nil {
		return person, fmt.Errorf("register the invited person again: %w", err)
	}
	return person, nil
}

// Forget deletes invitations that have expired.
func (s *Service) Forget(ctx context.Context) error {
	due := store.Query{Index: byExpiry, Range: store.Range{Field: "expires_at", To: store.At(s.c.Now())}}
	if err := s.d.invitations.DeleteDue(ctx, due); err != nil {
		return fmt.Errorf("forget invitations: %w", err)
	}
	return s.forgetUsage(ctx)
}
