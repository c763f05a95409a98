// Package verification proves that e-mail addresses belong to the people who gave them, and moves accounts
// from one address to another when the owners of both agree.
package verification

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	linkBytes   = 32
	linkLife    = 24 * time.Hour
	firstWait   = time.Minute // between two mails to the same address, or asked for by the same person
	longestWait = time.Hour
	sentKept    = 24 * time.Hour // after the last mail
)

// Config is what a Service needs.
type Config struct {
	DB       store.DB
	Accounts *accounts.Accounts
	Mails    *mails.Mails
	// Authenticate is the id of the user who has an address and a password (see auth.Service): 401 invalid_credentials, 429
	// account_locked.
	Authenticate func(ctx context.Context, email, password string) (user string, err error)
	Emit         events.Emitter
	Now          func() time.Time
	NewID        func() string
	// Random is where tokens come from.
	Random io.Reader
}

// Service is the rules of addresses. It is safe for concurrent use.
type Service struct {
	c Config
	documents
}

// Open opens the links and changes in c.DB.
func Open(ctx context.Context, c Config) (*Service, error) {
	d, err := openDocuments(ctx, c.DB)
	if err != nil {
		return nil, err
	}
	return &Service{c, d}, nil
}

// Status is what is known of the address of user.
func (s *Service) Status(ctx context.Context, user string) (*authapi.EmailStatus, error) {
	person, err := s.person(ctx, user)
	if err != nil {
		return nil, err
	}
	status := &authapi.EmailStatus{Email: person.Value.Email}
	if at := person.Value.EmailVerifiedAt; at != nil {
		status.Verified, status.VerifiedAt = true, &at.Time
	}
	changes, err := s.changesOf(ctx, user)
	if err != nil {
		return nil, err
	}
	for _, doc := range changes {
		if c := doc.Value; c.concerns(person.Value) && s.c.Now().Before(c.ExpiresAt.Time) {
			status.Change = view(c)
			break
		}
	}
	return status, nil
}

func view(c change) *authapi.EmailChange {
	return &authapi.EmailChange{
		Email: c.To, AgreedByCurrent: c.FromUnproved || c.LeftAt != nil, AgreedByRequested: c.MovedInAt != nil,
		RequestedAt: c.CreatedAt.Time, ExpiresAt: c.ExpiresAt.Time,
	}
}

// person is the account of user: 404 for one that is gone.
func (s *Service) person(ctx context.Context, user string) (store.Doc[accounts.User], error) {
	person, err := s.c.Accounts.Users.Get(ctx, user)
	if accounts.IsNotFound(err) {
		return person, problem.NotFound("user").Wrap(err)
	}
	if err != nil {
		return person, fmt.Errorf("read the user: %w", err)
	}
	return person, nil
}

// Send has user mailed a link that proves their address. Problems: 409 email_already_verified, 429
// rate_limited.
func (s *Service) Send(ctx context.Context, user string) error {
	person, err := s.person(ctx, user)
	if err != nil {
		return err
	}
	if person.Value.EmailVerifiedAt != nil {
		return problem.New(http.StatusConflict, authapi.CodeEmailAlreadyVerified, "this address is verified already")
	}
	return s.request(ctx, person.Value.Email, authapi.EmailLinkRequestedData{UserID: user})
}

// Resend has the owner of an address mailed a link that proves it, if an account has the address and needs
// that; the answer and the work are the same if not. Problems: 422 validation_failed, 429 rate_limited.
func (s *Service) Resend(ctx context.Context, text string) error {
	email, err := accounts.ParseEmail(text)
	if err != nil {
		return problem.Invalid("body.email", err.Error())
	}
	person, err := s.c.Accounts.UserByEmail(ctx, email)
	if err != nil && !accounts.IsNotFound(err) {
		return fmt.Errorf("look for the user: %w", err)
	}
	return s.request(ctx, email, authapi.EmailLinkRequestedData{UserID: person.ID})
}

// request counts a mail to email, and has it sent.
func (s *Service) request(ctx context.Context, email string, what authapi.EmailLinkRequestedData) error {
	message, err := authapi.EmailLinkRequested.Message(ctx, s.c.Emit, "", what)
	if err != nil {
		return err
	}
	return s.count(ctx, "address:"+email, message)
}

// wait is how long nobody may ask for more after so many mails: the longer the more there were.
func wait(count int) time.Duration {
	pause := firstWait
	for range count - 1 {
		if pause *= 2; pause >= longestWait {
			return longestWait
		}
	}
	return pause
}

// count notes a mail for whom it is about, with messages: 429 rate_limited while that is too soon.
func (s *Service) count(ctx context.Context, whom string, messages ...store.Message) error {
	id, now := atrest.Digest(whom), s.c.Now()
	next := func(c sent) sent {
		if !now.Before(c.ExpiresAt.Time) {
			c = sent{}
		}
		c.Count++
		c.NextAt, c.ExpiresAt = store.At(now.Add(wait(c.Count))), store.At(now.Add(sentKept))
		return c
	}
	for {
		_, err := s.sent.Update(ctx, id, func(c *sent) ([]store.Message, error) {
			if early := c.NextAt.Sub(now); early > 0 {
				return nil, problem.New(http.StatusTooManyRequests, problem.CodeRateLimited, "a mail was sent a short while ago; look for it, or try again later").After(early)
			}
			*c = next(*c)
			return messages, nil
		})
		if errors.Is(err, store.ErrNotFound) {
			_, err = s.sent.Insert(ctx, id, next(sent{}), messages...)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, store.ErrExists) && ctx.Err() == nil:
			continue // somebody else was the first
		}
		return fmt.Errorf("count a mail: %w", err)
	}
}

// Change asks both ends to let the account of p move to another address, instead of what was asked for
// before. Whether an account has that address is told to nobody but its owner. An address that was never
// verified has no say, or who mistyped theirs would keep it for ever. Problems: 422 validation_failed, 429
// rate_limited.
func (s *Service) Change(ctx context.Context, p identity.Principal, text string) (*authapi.EmailChange, error) {
	email, err := accounts.ParseEmail(text)
	if err != nil {
		return nil, problem.Invalid("body.email", err.Error())
	}
	person, err := s.person(ctx, p.Subject)
	if err != nil {
		return nil, err
	}
	if email == person.Value.Email {
		return nil, problem.Invalid("body.email", "this is the address of the account already")
	}
	if err := s.count(ctx, "user:"+p.Subject); err != nil {
		return nil, err
	}
	if err := s.count(ctx, "address:"+email); err != nil {
		return nil, err
	}
	if err := s.GiveUp(ctx, p.Subject); err != nil {
		return nil, err
	}
	id, now := s.c.NewID(), s.c.Now()
	c := change{
		User: p.Subject, From: person.Value.Email, To: email, FromUnproved: person.Value.EmailVerifiedAt == nil,
		CreatedAt: store.At(now), ExpiresAt: store.At(now.Add(linkLife)),
	}
	mail, err := authapi.EmailLinkRequested.Message(ctx, s.c.Emit, "", authapi.EmailLinkRequestedData{ChangeID: id})
	if err != nil {
		return nil, err
	}
	entry, err := s.entry(ctx, p.Organization, p.Subject, "request-change")
	if err != nil {
		return nil, err
	}
	if _, err := s.changes.Insert(ctx, id, c, mail, entry); err != nil {
		return nil, fmt.Errorf("ask for a change of address: %w", err)
	}
	return view(c), nil
}

// GiveUp ends what is under way to move the account of user; with nothing under way it changes nothing.
func (s *Service) GiveUp(ctx context.Context, user string) error {
	changes, err := s.changesOf(ctx, user)
	if err != nil {
		return err
	}
	person, err := s.person(ctx, user)
	if err != nil {
		return err
	}
	for _, doc := range changes {
		if doc.Value.From != person.Value.Email {
			continue // it has happened, and the former address is to be told
		}
		if err := s.changes.Delete(ctx, doc.ID, 0); err != nil && !accounts.IsNotFound(err) {
			return fmt.Errorf("give up a change of address: %w", err)
		}
	}
	return nil
}

// Proof is how a caller shows, beside a link, that an account is theirs: by one of its sessions, or by its password.
type Proof struct {
	Caller   identity.Principal
	Password string
}

// write is what a session's token must allow, as it must to have a link mailed.
const write = "auth.auth:write"

// proves refuses who does not show that they are person: 403 email_link_needs_sign_in, 401 invalid_credentials, 429
// account_locked. Whoever reads a mailbox and has neither did not set the account up. If their link alone proved the address,
// who did would stay in it, with the password that they chose and whatever else they sign in with.
func (s *Service) proves(ctx context.Context, by Proof, person store.Doc[accounts.User]) error {
	if by.Caller.Subject == person.ID && by.Caller.Session != "" && by.Caller.Can(write) {
		return nil
	}
	needed := problem.New(http.StatusForbidden, authapi.CodeEmailLinkNeedsSignIn,
		"sign in to the account that asked for this link, or give its password; if you did not set it up, or do not know its password, have a new one mailed (POST /api/auth/password/reset-request), which also removes what somebody else may have set up")
	if by.Password == "" {
		return needed
	}
	user, err := s.c.Authenticate(ctx, person.Value.Email, by.Password)
	if err == nil && user != person.ID { // the address has moved on meanwhile
		return needed
	}
	return err
}

// Confirm does what a link is for. One that proves an address, the first or a new one, wants a proof of whose the account is
// (see proves), and stays good without. Of two that use one link, one gets 410 email_link_invalid. Another problem: 409
// email_taken, when an account got the new address while both ends were asked.
func (s *Service) Confirm(ctx context.Context, token string, by Proof) (*authapi.EmailConfirmation, error) {
	id := atrest.Digest(token)
	doc, err := s.links.Get(ctx, id)
	if accounts.IsNotFound(err) || err == nil && !s.c.Now().Before(doc.Value.ExpiresAt.Time) {
		return nil, linkInvalid().Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read a link: %w", err)
	}
	var result authapi.EmailConfirmationResult
	if l := doc.Value; l.Purpose == toVerify {
		result, err = authapi.EmailVerified, s.verify(ctx, l, by)
	} else {
		result, err = s.agree(ctx, l, by)
	}
	if accounts.IsNotFound(err) { // the user, or the change, is gone
		return nil, linkInvalid().Wrap(err)
	}
	if err != nil {
		return nil, err
	}
	// What the link was for is done and stays done: using it again is refused with or without its document.
	if err := s.links.Delete(ctx, id, 0); err != nil && !accounts.IsNotFound(err) {
		return nil, fmt.Errorf("delete a used link: %w", err)
	}
	return &authapi.EmailConfirmation{Result: result}, nil
}

// verify notes that the address of a link's user is theirs. The account decides who is first.
func (s *Service) verify(ctx context.Context, l link, by Proof) error {
	person, err := s.c.Accounts.Users.Get(ctx, l.User)
	if err != nil {
		return fmt.Errorf("read the user to verify: %w", err)
	}
	if !l.proves(person.Value) {
		return linkInvalid()
	}
	if err := s.proves(ctx, by, person); err != nil {
		return err
	}
	at := store.At(s.c.Now())
	messages, err := s.tell(ctx, l.User, at.Time, false)
	if err != nil {
		return err
	}
	_, err = s.c.Accounts.Users.Update(ctx, l.User, func(u *accounts.User) ([]store.Message, error) {
		if !l.proves(*u) {
			return nil, linkInvalid()
		}
		u.EmailVerifiedAt = &at
		return messages, nil
	})
	if err != nil {
		return fmt.Errorf("verify an address: %w", err)
	}
	return nil
}

// agree notes that one end of a change agrees, and lets it happen when the other has.
func (s *Service) agree(ctx context.Context, l link, by Proof) (authapi.EmailConfirmationResult, error) {
	if l.Purpose == toMoveIn {
		if err := s.moves(ctx, l.Change, by); err != nil {
			return "", err
		}
	}
	now := store.At(s.c.Now())
	var both bool
	doc, err := s.changes.Update(ctx, l.Change, func(c *change) ([]store.Message, error) {
		mine, other := c.ends(l.Purpose)
		both = *other != nil || l.Purpose == toMoveIn && c.FromUnproved
		switch {
		case both: // then the account decides who is first
		case *mine != nil:
			return nil, linkInvalid()
		default:
			*mine = &now
		}
		return nil, nil
	})
	if err != nil {
		return "", fmt.Errorf("agree to a change of address: %w", err)
	}
	if !both {
		return authapi.EmailChangeAgreed, nil
	}
	return authapi.EmailChanged, s.move(ctx, doc.ID, doc.Value)
}

// moves refuses who does not show that they are the user whom a change is of.
func (s *Service) moves(ctx context.Context, id string, by Proof) error {
	doc, err := s.changes.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("read the change of address: %w", err)
	}
	person, err := s.c.Accounts.Users.Get(ctx, doc.Value.User)
	if err != nil {
		return fmt.Errorf("read the user to move: %w", err)
	}
	if !doc.Value.concerns(person.Value) {
		return linkInvalid()
	}
	return s.proves(ctx, by, person)
}

// move gives the account its new address. The unique index decides whose an address is.
func (s *Service) move(ctx context.Context, id string, c change) error {
	at := store.At(s.c.Now())
	messages, err := s.tell(ctx, c.User, at.Time, true)
	if err != nil {
		return err
	}
	mail, err := authapi.EmailLinkRequested.Message(ctx, s.c.Emit, "", authapi.EmailLinkRequestedData{ChangeID: id})
	if err != nil {
		return err
	}
	_, err = s.c.Accounts.Users.Update(ctx, c.User, func(u *accounts.User) ([]store.Message, error) {
		if !c.concerns(*u) {
			return nil, linkInvalid()
		}
		u.Email, u.EmailVerifiedAt = c.To, &at
		return append(messages, mail), nil
	})
	if errors.Is(err, store.ErrDuplicate) {
		taken := problem.New(http.StatusConflict, authapi.CodeEmailTaken, "a user has this e-mail address already").Wrap(err)
		if err := s.changes.Delete(ctx, id, 0); err != nil && !accounts.IsNotFound(err) {
			return fmt.Errorf("give up a change of address: %w", err)
		}
		return taken
	}
	if err != nil {
		return fmt.Errorf("change an address: %w", err)
	}
	return nil
}

// tell is what the organizations of user hear, and what goes into their logs, when the address of user is
// proved and, where moved says so, a new one.
func (s *Service) tell(ctx context.Context, user string, at time.Time, moved bool) ([]store.Message, error) {
	memberships, err := s.c.Accounts.MembershipsOf(ctx, user)
	if err != nil {
		return nil, err
	}
	var all []store.Message
	for _, m := range memberships {
		organization := m.Value.Organization
		verified, err := authapi.UserVerified.Message(ctx, s.c.Emit, organization, authapi.UserVerifiedData{UserID: user, OrganizationID: organization, At: at})
		if err != nil {
			return nil, err
		}
		action := "verify"
		if moved {
			action = "change"
			changed, err := authapi.UserEmailChanged.Message(ctx, s.c.Emit, organization, authapi.UserEmailChangedData{UserID: user, OrganizationID: organization, At: at})
			if err != nil {
				return nil, err
			}
			all = append(all, changed)
		}
		entry, err := s.entry(ctx, organization, user, action)
		if err != nil {
			return nil, err
		}
		all = append(all, verified, entry)
	}
	return all, nil
}

// entry is for an organization's log. The actor is the user also where a link is all that was shown.
func (s *Service) entry(ctx context.Context, organization, user, verb string) (store.Message, error) {
	e := audit.Entry{Action: "auth.email-verification." + verb, Resource: "user:" + user}
	if p, signedIn := identity.From(ctx); !signedIn || p.Subject == "" {
		e.Actor.Subject = user
	}
	return audit.Message(ctx, s.c.Emit, organization, e)
}

// newLink makes a token and keeps its digest.
func (s *Service) newLink(ctx context.Context, l link) (mails.Link, error) {
	random := make([]byte, linkBytes)
	if _, err := io.ReadFull(s.c.Random, random); err != nil {
		return mails.Link{}, fmt.Errorf("make a link: %w", err)
	}
	token, expires := base64.RawURLEncoding.EncodeToString(random), s.c.Now().Add(linkLife)
	l.ExpiresAt = store.At(expires)
	if _, err := s.links.Insert(ctx, atrest.Digest(token), l); err != nil {
		return mails.Link{}, fmt.Errorf("keep a link: %w", err)
	}
	return mails.Link{Token: token, ExpiresAt: expires}, nil
}

// Forget deletes links, changes and counts of mails that have expired.
func (s *Service) Forget(ctx context.Context) error {
	now := s.c.Now()
	err := errors.Join(deleteExpired(ctx, s.links, now), deleteExpired(ctx, s.changes, now), deleteExpired(ctx, s.sent, now))
	if err != nil {
		return fmt.Errorf("forget expired links: %w", err)
	}
	return nil
}

func linkInvalid() *problem.Problem {
	return problem.New(http.StatusGone, authapi.CodeEmailLinkInvalid, "this link was used or has expired; have another one mailed")
}
