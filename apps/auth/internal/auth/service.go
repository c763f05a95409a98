// Package auth registers organizations with their owners, signs users in and gives out access tokens.
package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/keys"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/apps/auth/internal/passwords"
	"github.com/tandemhq/tandem/apps/auth/internal/policy"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/apps/auth/internal/typed"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// Config is what a Service needs.
type Config struct {
	DB       store.DB
	Accounts *accounts.Accounts
	SignIn   *signin.Service
	Sessions *sessions.Service
	Access   *access.Service
	Policies *policy.Service
	Hasher   passwords.Hasher
	Rules    passwords.Rules
	Mails    *mails.Mails
	// DropCredentials takes a user's second factors, passkeys, remembered devices and API keys away.
	DropCredentials func(ctx context.Context, user string) error
	// Leave ends a membership (see rbac.Service): 404, 409 last_owner.
	Leave  func(ctx context.Context, by identity.Principal, user string, messages ...store.Message) error
	Random io.Reader
	Key    *keys.Ring
	Emit   events.Emitter
	Now    func() time.Time
	NewID  func() string
	Log    *slog.Logger
}

// Service is the rules of accounts and logins. It is safe for concurrent use.
type Service struct {
	c         Config
	lockout   lockout // by e-mail address
	addresses lockout // by IP address
	resets    *store.Documents[reset]
}

// Open opens the failed logins and the password resets in c.DB.
func Open(ctx context.Context, c Config) (*Service, error) {
	l, err := openLockout(ctx, c.DB, c.Now)
	if err != nil {
		return nil, err
	}
	resets, err := openResets(ctx, c.DB)
	if err != nil {
		return nil, err
	}
	return &Service{c, l, l.ofAddresses(), resets}, nil
}

// NewAccount is an organization and its owner, as they were typed.
type NewAccount struct {
	Organization string
	Email        string
	Password     string
	FirstName    string
	LastName     string
}

// clean checks a and brings it into the form that is stored.
func (a NewAccount) clean(rules passwords.Rules) (NewAccount, error) {
	for _, text := range []struct {
		value    *string
		location string
	}{{&a.Organization, "body.organization.name"}, {&a.FirstName, "body.first_name"}, {&a.LastName, "body.last_name"}} {
		cleaned, err := typed.Name(text.location, *text.value)
		if err != nil {
			return a, err
		}
		*text.value = cleaned
	}
	var err error
	if a.Email, err = accounts.ParseEmail(a.Email); err != nil {
		return a, problem.Invalid("body.email", err.Error())
	}
	if a.Password, err = prepare(a.Password); err != nil {
		return a, err
	}
	return a, rules.Check(a.Password, authapi.PasswordPolicy{}, a.Email, a.Organization)
}

// Register makes an organization and the user who owns it. Problems: 409 email_taken, 422
// validation_failed, 422 weak_password.
func (s *Service) Register(ctx context.Context, in NewAccount) (*authapi.Registration, error) {
	in, err := in.clean(s.c.Rules)
	if err != nil {
		return nil, err
	}
	// The unique index decides; looking first saves the hash, and the organization that nobody would own.
	switch _, err := s.c.Accounts.UserByEmail(ctx, in.Email); {
	case err == nil:
		return nil, emailTaken()
	case !errors.Is(err, store.ErrNotFound):
		return nil, fmt.Errorf("look for the user: %w", err)
	}
	hash, err := s.c.Hasher.Hash(ctx, in.Password)
	if err != nil {
		return nil, err
	}
	now := store.At(s.c.Now())
	// The user comes last, so that a crash in between leaves an organization without one, never a user
	// without an organization.
	org, err := s.c.Accounts.Organizations.Insert(ctx, s.c.NewID(), accounts.Organization{
		Name: in.Organization, Plan: authapi.DefaultPlan, CreatedAt: now,
	})
	if err != nil {
		return nil, fmt.Errorf("register the organization: %w", err)
	}
	id, roles := s.c.NewID(), []string{identity.Owner}
	membership, err := s.c.Accounts.Memberships.Insert(ctx, accounts.MembershipID(org.ID, id), accounts.Membership{
		User: id, Organization: org.ID, Roles: roles, CreatedAt: now,
	})
	if err != nil {
		return nil, fmt.Errorf("register the membership: %w", err)
	}
	message, err := authapi.UserRegistered.Message(ctx, s.c.Emit, org.ID,
		authapi.UserRegisteredData{UserID: id, OrganizationID: org.ID, At: now.Time})
	if err != nil {
		return nil, err
	}
	person, err := s.c.Accounts.Users.Insert(ctx, id, accounts.User{
		Email: in.Email, PasswordHash: hash, PasswordChangedAt: now, FirstName: in.FirstName, LastName: in.LastName, CreatedAt: now,
	}, message)
	if errors.Is(err, store.ErrDuplicate) {
		left := errors.Join(
			s.c.Accounts.Memberships.Delete(ctx, membership.ID, membership.Version),
			s.c.Accounts.Organizations.Delete(ctx, org.ID, org.Version))
		if left != nil {
			s.c.Log.WarnContext(ctx, "an organization without a user stays behind", "organization", org.ID, "error", left)
		}
		return nil, emailTaken().Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("register the user: %w", err)
	}
	return &authapi.Registration{User: accounts.UserView(person, roles), Organization: accounts.OrganizationView(org)}, nil
}

// Credentials are what a user signs in with, and from where.
type Credentials struct {
	Email    string
	Password string
	// Organization is the one to sign in to; empty for the one signed in to last.
	Organization string
	// RememberMe lets the session live 30 days without use, else 7.
	RememberMe bool
	// Device is the token of a remembered device, which needs no second factor; "" without one.
	Device string
	// Scope narrows the session's tokens where it is not empty.
	Scope string
}

// Login starts a session, or names the second factors of which one is missing. Problems: 401
// invalid_credentials, in the same words and after the same work whether the user exists or not; 429
// account_locked; 422 invalid_scope; 422 validation_failed; and those of signin.Service.Begin.
func (s *Service) Login(ctx context.Context, in Credentials) (*authapi.SignIn, error) {
	scope, err := sessions.ParseScope(in.Scope)
	if err != nil {
		return nil, err
	}
	email, err := accounts.ParseEmail(in.Email)
	if err != nil {
		return nil, problem.Invalid("body.email", err.Error())
	}
	person, password, err := s.authenticate(ctx, email, in.Password)
	if err != nil {
		return nil, err
	}
	if password.outdated {
		s.rehash(ctx, person, password.prepared)
	}
	return s.c.SignIn.Begin(ctx, signin.Attempt{
		User: person.ID, Organization: in.Organization, AMR: []string{signin.Password}, Scope: scope,
		RememberMe: in.RememberMe, Device: in.Device,
	})
}

type checkedPassword struct {
	prepared string
	outdated bool
}

// Authenticate is the id of the user who has a normalized address and a password. Problems: 401 invalid_credentials and 429
// account_locked, as of Login.
func (s *Service) Authenticate(ctx context.Context, email, password string) (user string, err error) {
	person, _, err := s.authenticate(ctx, email, password)
	return person.ID, err
}

// authenticate checks a password, unless too many were wrong of the e-mail address or from where the request comes.
func (s *Service) authenticate(ctx context.Context, email, typed string) (store.Doc[accounts.User], checkedPassword, error) {
	none, address := store.Doc[accounts.User]{}, audit.OriginOf(ctx).Address
	if err := s.addresses.open(ctx, address); err != nil {
		return none, checkedPassword{}, err
	}
	if err := s.lockout.open(ctx, email); err != nil {
		return none, checkedPassword{}, err
	}
	person, password, err := s.checkPassword(ctx, email, typed)
	if address != "" && problem.Code(err) == authapi.CodeInvalidCredentials {
		if locked := s.addresses.failed(ctx, address); locked != nil {
			return none, checkedPassword{}, locked
		}
	}
	return person, password, err
}

func (s *Service) checkPassword(ctx context.Context, email, typed string) (store.Doc[accounts.User], checkedPassword, error) {
	person, err := s.c.Accounts.UserByEmail(ctx, email)
	known := err == nil
	if !known && !errors.Is(err, store.ErrNotFound) {
		return person, checkedPassword{}, fmt.Errorf("look for the user: %w", err)
	}
	hash := s.c.Hasher.Dummy()
	known = known && person.Value.PasswordHash != "" // else the person has other ways to sign in
	if known {
		hash = person.Value.PasswordHash
	}
	prepared, err := passwords.Prepare(typed)
	if err != nil {
		prepared = typed // nobody has such a password; finding that out takes as long as for any other
	}
	ok, outdated, err := s.c.Hasher.Verify(ctx, hash, prepared)
	if err != nil {
		return person, checkedPassword{}, fmt.Errorf("verify a password: %w", err)
	}
	if !ok || !known {
		if err := s.lockout.failed(ctx, email); err != nil {
			return person, checkedPassword{}, err
		}
		return person, checkedPassword{}, problem.New(http.StatusUnauthorized, authapi.CodeInvalidCredentials,
			"the e-mail address or the password is wrong")
	}
	return person, checkedPassword{prepared, outdated}, s.lockout.succeeded(ctx, email)
}

// rehash stores the password's hash with today's parameters. The login does not depend on it.
func (s *Service) rehash(ctx context.Context, person store.Doc[accounts.User], password string) {
	hash, err := s.c.Hasher.Hash(ctx, password)
	if err == nil {
		old := person.Value.PasswordHash
		_, err = s.c.Accounts.Users.Update(ctx, person.ID, func(u *accounts.User) ([]store.Message, error) {
			if u.PasswordHash == old { // else it was changed meanwhile
				u.PasswordHash = hash
			}
			return nil, nil
		})
	}
	if err != nil {
		s.c.Log.WarnContext(ctx, "an outdated password hash stays", "user", person.ID, "error", err)
	}
}

// Refresh takes a refresh token and gives the next pair. Where scope is not empty the access token is
// narrowed to it, within the session's; the session keeps its own (RFC 6749, section 6). Problems: 401
// refresh_token_invalid, refresh_token_expired, refresh_token_reused; 422 invalid_scope.
func (s *Service) Refresh(ctx context.Context, token, scope string) (*authapi.Tokens, error) {
	wanted, err := sessions.ParseScope(scope)
	if err != nil {
		return nil, err
	}
	grant, err := s.c.Sessions.Rotate(ctx, token, wanted)
	if err != nil {
		return nil, err
	}
	return s.c.SignIn.Tokens(ctx, grant)
}

// Logout ends the session of p's token; once more changes nothing.
func (s *Service) Logout(ctx context.Context, p identity.Principal) error {
	return s.c.Sessions.Revoke(ctx, p.Subject, p.Session, authapi.ByLogout)
}

// Me is who p is. A user who is no longer there, or no member any more, is not found.
func (s *Service) Me(ctx context.Context, p identity.Principal) (*authapi.Me, int64, error) {
	person, membership, err := s.c.Accounts.Member(ctx, p.Organization, p.Subject)
	if accounts.IsNotFound(err) {
		return nil, 0, problem.NotFound("user").Wrap(err)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the user: %w", err)
	}
	org, err := s.c.Accounts.Organizations.Get(ctx, p.Organization)
	if accounts.IsNotFound(err) {
		return nil, 0, problem.NotFound("organization").Wrap(err)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the organization: %w", err)
	}
	return &authapi.Me{
		User: accounts.UserView(person, membership.Value.Roles), Organization: accounts.OrganizationView(org),
		Roles: membership.Value.Roles, Scope: strings.Join(p.Scope, " "), SessionID: p.Session, ACR: p.ACR,
	}, person.Version, nil
}

// Forget deletes what is kept of failed logins, a day after the last, and password resets that ended.
func (s *Service) Forget(ctx context.Context) error {
	return errors.Join(s.lockout.forget(ctx), s.forgetResets(ctx))
}

// UpdateProfile changes what the user of p is called, where the user is as they were read: 412
// precondition_failed; 422 validation_failed.
func (s *Service) UpdateProfile(ctx context.Context, p identity.Principal, first, last *string, unchanged group.IfMatch) (*authapi.Me, int64, error) {
	for location, name := range map[string]*string{"body.first_name": first, "body.last_name": last} {
		if name == nil {
			continue
		}
		cleaned, err := typed.Name(location, *name)
		if err != nil {
			return nil, 0, err
		}
		*name = cleaned
	}
	person, err := s.c.Accounts.Users.Get(ctx, p.Subject)
	if accounts.IsNotFound(err) {
		return nil, 0, problem.NotFound("user").Wrap(err)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the user: %w", err)
	}
	if err := unchanged.Check(person.Version); err != nil {
		return nil, 0, err
	}
	if first != nil {
		person.Value.FirstName = *first
	}
	if last != nil {
		person.Value.LastName = *last
	}
	switch _, err = s.c.Accounts.Users.Replace(ctx, person); {
	case errors.Is(err, store.ErrConflict):
		return nil, 0, problem.New(http.StatusPreconditionFailed, problem.CodePrecondition, "it was changed since it was read; read it again").Wrap(err)
	case err != nil:
		return nil, 0, fmt.Errorf("change the profile: %w", err)
	}
	return s.Me(ctx, p)
}

func emailTaken() *problem.Problem {
	return problem.New(http.StatusConflict, authapi.CodeEmailTaken, "a user has this e-mail address already")
}
