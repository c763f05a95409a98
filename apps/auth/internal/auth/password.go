package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/apps/auth/internal/passwords"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	// freshSignIn is how long after a sign-in the password can be changed without giving the old one.
	freshSignIn = 5 * time.Minute
	// resetLife is how long a mailed token sets a new password.
	resetLife = 30 * time.Minute
	// resetsAnHour is how many resets of one address are heeded within an hour.
	resetsAnHour = 5

	byAddress = "email"
	byToken   = "token"
	byEnd     = "expires-at"
)

// reset is somebody's wish for a new password.
type reset struct {
	// Email is normalized; there may be no user who has it.
	Email string `json:"email"`
	// Token is the digest of the token that was mailed; nil until then.
	Token     *string    `json:"token,omitempty"`
	CreatedAt store.Time `json:"created_at"`
	ExpiresAt store.Time `json:"expires_at"`
}

func openResets(ctx context.Context, db store.DB) (*store.Documents[reset], error) {
	d, err := store.System[reset](ctx, db, store.Def{Name: "password_resets", Indexes: []store.Index{
		{Name: byAddress, Fields: []string{"email", "created_at"}},
		{Name: byToken, Fields: []string{"token"}, Unique: true},
		{Name: byEnd, Fields: []string{"expires_at"}},
	}})
	if err != nil {
		return nil, fmt.Errorf("open the password resets: %w", err)
	}
	return d, nil
}

// ChangePassword gives p's user a new password and ends their other sessions. Problems: 401
// invalid_credentials, 429 account_locked, 403 reauthentication_required without the current password in a
// session older than five minutes, 422 weak_password or password_unchanged.
func (s *Service) ChangePassword(ctx context.Context, p identity.Principal, current, next string) error {
	person, err := s.c.Accounts.Users.Get(ctx, p.Subject)
	if err != nil {
		return fmt.Errorf("read the user: %w", err)
	}
	switch {
	case current != "":
		if _, _, err := s.authenticate(ctx, person.Value.Email, current); err != nil {
			return err
		}
	default:
		fresh, err := s.c.Sessions.BeganWithin(ctx, p.Session, freshSignIn)
		if err != nil {
			return err
		}
		// Whoever runs an organization's identity provider can sign in there as anybody who works for it. That must not
		// become a password that opens the other organizations that these people work for; a mailed token may set one.
		if !fresh || slices.Contains(p.AMR, signin.Federated) {
			return problem.New(http.StatusForbidden, authapi.CodeReauthenticate, "give the current password, or sign in again first, or have a token mailed")
		}
	}
	prepared, err := s.acceptable(ctx, person, next)
	if err != nil {
		return err
	}
	// Only a password that could be set is compared, so that a wrong guess of the old one does not go unseen: it replaces it.
	if person.Value.PasswordHash != "" {
		same, _, err := s.c.Hasher.Verify(ctx, person.Value.PasswordHash, prepared)
		if err != nil {
			return fmt.Errorf("compare with the old password: %w", err)
		}
		if same {
			return problem.New(http.StatusUnprocessableEntity, authapi.CodePasswordUnchanged, "this is the password already; choose another").
				With(problem.Field{Location: "body.password", Message: "is the old one"})
		}
	}
	if err := s.setPassword(ctx, person, prepared, false); err != nil {
		return err
	}
	return s.c.Sessions.RevokeAll(ctx, person.ID, p.Session, authapi.ByPassword)
}

// prepare is the password as it is hashed: 422 weak_password.
func prepare(password string) (string, error) {
	prepared, err := passwords.Prepare(password)
	if err != nil {
		return "", passwords.Weak("is empty or has control characters").Wrap(err)
	}
	return prepared, nil
}

// acceptable is the password as it is hashed, if it passes the rules of all organizations of the person.
func (s *Service) acceptable(ctx context.Context, person store.Doc[accounts.User], password string) (string, error) {
	prepared, err := prepare(password)
	if err != nil {
		return "", err
	}
	memberships, err := s.c.Accounts.MembershipsOf(ctx, person.ID)
	if err != nil {
		return "", err
	}
	for _, m := range memberships {
		if err := s.checkFor(ctx, m.Value.Organization, prepared, person.Value.Email); err != nil {
			return "", err
		}
	}
	return prepared, nil
}

// setPassword stores the hash of a new password.
func (s *Service) setPassword(ctx context.Context, person store.Doc[accounts.User], prepared string, reset bool) error {
	hash, err := s.c.Hasher.Hash(ctx, prepared)
	if err != nil {
		return err
	}
	now := store.At(s.c.Now())
	_, err = s.c.Accounts.Users.Update(ctx, person.ID, func(u *accounts.User) ([]store.Message, error) {
		if u.PasswordHash != person.Value.PasswordHash {
			return nil, problem.New(http.StatusConflict, problem.CodeConflict, "the password was changed meanwhile")
		}
		u.PasswordHash, u.PasswordChangedAt = hash, now
		if reset && u.EmailVerifiedAt == nil {
			u.EmailVerifiedAt = &now // the token came by mail
		}
		return s.told(ctx, person.ID, reset, now)
	})
	if err != nil {
		return fmt.Errorf("set a password: %w", err)
	}
	return s.dropResets(ctx, person.Value.Email) // a token that somebody else has seen must not undo this
}

// told are the messages of a new password: the event, and an entry in the audit log of each organization of the user.
func (s *Service) told(ctx context.Context, user string, reset bool, at store.Time) ([]store.Message, error) {
	m, err := authapi.PasswordChanged.Message(ctx, s.c.Emit, "", authapi.PasswordChangedData{UserID: user, Reset: reset, At: at.Time})
	if err != nil {
		return nil, err
	}
	memberships, err := s.c.Accounts.MembershipsOf(ctx, user)
	if err != nil {
		return nil, err
	}
	messages, action := []store.Message{m}, "auth.auth.change-password"
	if reset {
		action = "auth.auth.reset-password"
	}
	for _, of := range memberships {
		entry, err := audit.Message(ctx, s.c.Emit, of.Value.Organization, audit.Entry{Action: action, Actor: audit.Actor{Subject: user}})
		if err != nil {
			return nil, err
		}
		messages = append(messages, entry)
	}
	return messages, nil
}

// dropResets ends all wishes for a new password of an address.
func (s *Service) dropResets(ctx context.Context, email string) error {
	err := s.resets.Each(ctx, store.Query{Index: byAddress, Equal: []any{email}}, func(doc store.Doc[reset]) error {
		_, err := s.resets.Update(ctx, doc.ID, func(r *reset) ([]store.Message, error) {
			r.Token = nil // it still counts
			return nil, nil
		})
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("end password resets: %w", err)
	}
	return nil
}

func (s *Service) checkFor(ctx context.Context, organization, password, email string) error {
	rules, err := s.c.Policies.Of(ctx, organization)
	if err != nil {
		return err
	}
	org, err := s.c.Accounts.Organizations.Get(ctx, organization)
	if err != nil {
		return fmt.Errorf("read the organization: %w", err)
	}
	return s.c.Rules.Check(password, rules.Password, email, org.Value.Name)
}

// RequestReset asks for a mail with which the user of an address can set a new password. Whether there is
// one makes no difference here: an event takes the wish to where that is looked up.
func (s *Service) RequestReset(ctx context.Context, typed string) error {
	email, err := accounts.ParseEmail(typed)
	if err != nil {
		return problem.Invalid("body.email", err.Error())
	}
	now := s.c.Now()
	lately, err := s.resets.Count(ctx, store.Query{Index: byAddress, Equal: []any{email}, Range: store.Range{Field: "created_at", From: store.At(now.Add(-time.Hour))}})
	if err != nil {
		return fmt.Errorf("count password resets: %w", err)
	}
	if lately >= resetsAnHour {
		return nil // the mails that were sent are in the inbox; more would be a nuisance to its owner
	}
	id := s.c.NewID()
	m, err := authapi.PasswordResetRequested.Message(ctx, s.c.Emit, "", authapi.PasswordResetRequestedData{RequestID: id})
	if err != nil {
		return err
	}
	// An hour, so that it is counted; its token ends earlier.
	_, err = s.resets.Insert(ctx, id, reset{Email: email, CreatedAt: store.At(now), ExpiresAt: store.At(now.Add(time.Hour))}, m)
	if err != nil {
		return fmt.Errorf("note a password reset: %w", err)
	}
	return nil
}

// SendReset mails the token of a reset to the user of its address, if there is one.
func (s *Service) SendReset(ctx context.Context, e events.Event[authapi.PasswordResetRequestedData]) error {
	request, err := s.resets.Get(ctx, e.Data.RequestID)
	if accounts.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read a password reset: %w", err)
	}
	person, err := s.c.Accounts.UserByEmail(ctx, request.Value.Email)
	if accounts.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for the user: %w", err)
	}
	secret := make([]byte, 32)
	if _, err := io.ReadFull(s.c.Random, secret); err != nil {
		return fmt.Errorf("make a reset token: %w", err)
	}
	token := base64.RawURLEncoding.EncodeToString(secret)
	end := s.c.Now().Add(resetLife)
	_, err = s.resets.Update(ctx, request.ID, func(r *reset) ([]store.Message, error) {
		digest := atrest.Digest(token)
		r.Token, r.ExpiresAt = &digest, store.At(end)
		return nil, nil
	})
	if err != nil {
		return fmt.Errorf("keep a reset token: %w", err)
	}
	return s.c.Mails.ResetPassword(ctx, recipient(person), mails.Link{Token: token, ExpiresAt: end})
}

// Reset sets the password that the holder of a mailed token wants, and ends all sessions of the user. Of
// two that redeem one token, one gets 401 reset_token_invalid. Problem: 422 weak_password; the token is good still.
func (s *Service) Reset(ctx context.Context, token, password string) error {
	invalid := problem.New(http.StatusUnauthorized, authapi.CodeResetTokenInvalid, "this link has been used or has expired; ask for another")
	request, err := s.resets.First(ctx, store.Query{Index: byToken, Equal: []any{atrest.Digest(token)}})
	if accounts.IsNotFound(err) || err == nil && !s.c.Now().Before(request.Value.ExpiresAt.Time) {
		return invalid.Wrap(err)
	}
	if err != nil {
		return fmt.Errorf("look for a password reset: %w", err)
	}
	person, err := s.c.Accounts.UserByEmail(ctx, request.Value.Email)
	if accounts.IsNotFound(err) {
		return invalid.Wrap(err)
	}
	if err != nil {
		return fmt.Errorf("look for the user: %w", err)
	}
	prepared, err := s.acceptable(ctx, person, password)
	if err != nil {
		return err
	}
	// Whoever deletes the token has won. After a crash in between, another mail is to be asked for.
	first := person.Value.EmailVerifiedAt == nil
	err = s.resets.Delete(ctx, request.ID, request.Version)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
		return invalid.Wrap(err)
	}
	if err != nil {
		return fmt.Errorf("end a password reset: %w", err)
	}
	// Until now nobody had proved that the address is theirs: what was set up meanwhile may be somebody else's. It goes before
	// the address counts as proved, lest a crash leave it, and again what the password of before has set up in between.
	dropOthers := func() error {
		if !first {
			return nil
		}
		return s.c.DropCredentials(ctx, person.ID)
	}
	if err := dropOthers(); err != nil {
		return err
	}
	if err := s.setPassword(ctx, person, prepared, true); err != nil {
		return err
	}
	if err := s.lockout.forgive(ctx, person.Value.Email); err != nil {
		return err
	}
	if err := s.c.Sessions.RevokeAll(ctx, person.ID, "", authapi.ByPassword); err != nil {
		return err
	}
	return dropOthers()
}

// TellChange mails the user that their password is new, in case it was not them.
func (s *Service) TellChange(ctx context.Context, e events.Event[authapi.PasswordChangedData]) error {
	person, err := s.c.Accounts.Users.Get(ctx, e.Data.UserID)
	if accounts.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the user: %w", err)
	}
	return s.c.Mails.SecurityNotice(ctx, recipient(person), "Your password was changed", "", e.Data.At)
}

// TellDevice mails the user that a new device signed in.
func (s *Service) TellDevice(ctx context.Context, e events.Event[authapi.DeviceAddedData]) error {
	person, err := s.c.Accounts.Users.Get(ctx, e.Data.UserID)
	if accounts.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the user: %w", err)
	}
	began, err := s.c.Sessions.Origin(ctx, e.Data.SessionID)
	if accounts.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.c.Mails.NewDevice(ctx, recipient(person), began)
}

func recipient(person store.Doc[accounts.User]) mails.Recipient {
	return mails.Recipient{Email: person.Value.Email, FirstName: person.Value.FirstName}
}

// forgetResets deletes wishes that ended.
func (s *Service) forgetResets(ctx context.Context) error {
	due := store.Query{Index: byEnd, Range: store.Range{Field: "expires_at", To: store.At(s.c.Now().Add(-time.Hour))}}
	if err := s.resets.DeleteDue(ctx, due); err != nil {
		return fmt.Errorf("forget password resets: %w", err)
	}
	return nil
}
