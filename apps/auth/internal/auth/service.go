// Package auth registers organizations with their owners, signs users in and gives out access tokens.
package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/text/unicode/norm"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// owner is the role of who registers an organization.
const owner = "owner"

// Config is what a Service needs.
type Config struct {
	DB       store.DB
	Sessions *sessions.Service
	Hasher   Hasher
	Key      SigningKey
	Emit     events.Emitter
	Now      func() time.Time
	NewID    func() string
	Log      *slog.Logger
}

// Service is the rules of accounts and logins. It is safe for concurrent use.
type Service struct {
	c         Config
	documents documents
	lockout   lockout
}

// Open opens the accounts in c.DB.
func Open(ctx context.Context, c Config) (*Service, error) {
	d, err := openDocuments(ctx, c.DB)
	if err != nil {
		return nil, err
	}
	l, err := openLockout(ctx, c.DB, c.Now)
	if err != nil {
		return nil, err
	}
	return &Service{c, d, l}, nil
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
func (a NewAccount) clean() (NewAccount, error) {
	for _, text := range []struct {
		value    *string
		location string
	}{{&a.Organization, "body.organization.name"}, {&a.FirstName, "body.first_name"}, {&a.LastName, "body.last_name"}} {
		*text.value = strings.TrimSpace(norm.NFC.String(*text.value))
		if *text.value == "" || strings.ContainsFunc(*text.value, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return a, problem.Invalid(text.location, "want text without control characters")
		}
	}
	var err error
	if a.Email, err = parseEmail(a.Email); err != nil {
		return a, problem.Invalid("body.email", err.Error())
	}
	if a.Password, err = preparePassword(a.Password); err != nil {
		return a, weak("is empty or has control characters").Wrap(err)
	}
	return a, checkPassword(a.Password, a.Email, a.Organization)
}

// Register makes an organization and the user who owns it. Problems: 409 email_taken, 422
// validation_failed, 422 weak_password.
func (s *Service) Register(ctx context.Context, in NewAccount) (*authapi.Registration, error) {
	in, err := in.clean()
	if err != nil {
		return nil, err
	}
	// The unique index decides; looking first saves the hash, and the organization that nobody would own.
	switch _, err := s.documents.userByEmail(ctx, in.Email); {
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
	// The organization comes first, so that a crash in between leaves one without a user, never a user
	// without one.
	org, err := s.documents.organizations.Insert(ctx, s.c.NewID(), organization{in.Organization, now})
	if err != nil {
		return nil, fmt.Errorf("register the organization: %w", err)
	}
	id := s.c.NewID()
	message, err := authapi.UserRegistered.Message(ctx, s.c.Emit, org.ID,
		authapi.UserRegisteredData{UserID: id, OrganizationID: org.ID, At: now.Time})
	if err != nil {
		return nil, err
	}
	person, err := s.documents.users.Insert(ctx, id, user{
		Email: in.Email, PasswordHash: hash, FirstName: in.FirstName, LastName: in.LastName,
		Organization: org.ID, Roles: []string{owner}, CreatedAt: now,
	}, message)
	if errors.Is(err, store.ErrDuplicate) {
		if err := s.documents.organizations.Delete(ctx, org.ID, org.Version); err != nil {
			s.c.Log.WarnContext(ctx, "an organization without a user stays behind", "organization", org.ID, "error", err)
		}
		return nil, emailTaken().Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("register the user: %w", err)
	}
	return &authapi.Registration{User: userView(person), Organization: organizationView(org)}, nil
}

// Credentials are what a user signs in with, and from where.
type Credentials struct {
	Email    string
	Password string
	// Scope narrows the session's tokens where it is not empty.
	Scope        string
	ForwardedFor string
	UserAgent    string
}

// Login starts a session. Problems: 401 invalid_credentials, in the same words and after the same work
// whether the user exists or not; 429 account_locked; 422 invalid_scope; 422 validation_failed.
func (s *Service) Login(ctx context.Context, in Credentials) (*authapi.Tokens, error) {
	scope, err := sessions.ParseScope(in.Scope)
	if err != nil {
		return nil, err
	}
	email, err := parseEmail(in.Email)
	if err != nil {
		return nil, problem.Invalid("body.email", err.Error())
	}
	if err := s.lockout.open(ctx, email); err != nil {
		return nil, err
	}
	person, password, err := s.authenticate(ctx, email, in.Password)
	if err != nil {
		return nil, err
	}
	if password.outdated {
		s.rehash(ctx, person, password.prepared)
	}
	grant, err := s.c.Sessions.Begin(ctx, sessions.SignIn{
		User: person.ID, Organization: person.Value.Organization, Scope: scope,
		ForwardedFor: in.ForwardedFor, UserAgent: in.UserAgent,
	})
	if err != nil {
		return nil, err
	}
	return s.tokens(person, grant)
}

type checkedPassword struct {
	prepared string
	outdated bool
}

func (s *Service) authenticate(ctx context.Context, email, typed string) (store.Doc[user], checkedPassword, error) {
	person, err := s.documents.userByEmail(ctx, email)
	known := err == nil
	if !known && !errors.Is(err, store.ErrNotFound) {
		return person, checkedPassword{}, fmt.Errorf("look for the user: %w", err)
	}
	hash := s.c.Hasher.Dummy()
	if known {
		hash = person.Value.PasswordHash
	}
	prepared, err := preparePassword(typed)
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
func (s *Service) rehash(ctx context.Context, person store.Doc[user], password string) {
	hash, err := s.c.Hasher.Hash(ctx, password)
	if err == nil {
		old := person.Value.PasswordHash
		_, err = s.documents.users.Update(ctx, person.ID, func(u *user) ([]store.Message, error) {
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
	person, err := s.documents.users.Get(ctx, grant.User)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem.New(http.StatusUnauthorized, authapi.CodeRefreshTokenInvalid, "this user is no longer here").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the user: %w", err)
	}
	return s.tokens(person, grant)
}

// tokens makes the answer to a login or refresh, with the user's roles of this moment.
func (s *Service) tokens(person store.Doc[user], grant sessions.Grant) (*authapi.Tokens, error) {
	now := s.c.Now()
	access, err := s.c.Key.Sign(identity.Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: identity.Issuer, Audience: jwt.ClaimStrings{identity.UserAudience}, Subject: person.ID,
			ID: s.c.NewID(), IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(authapi.AccessTokenLife)),
		},
		Organization: grant.Organization, Session: grant.Session, Roles: person.Value.Roles, Scope: grant.Scope.String(),
	})
	if err != nil {
		return nil, err
	}
	return &authapi.Tokens{
		AccessToken: access, RefreshToken: grant.RefreshToken, TokenType: "Bearer",
		ExpiresIn: int(authapi.AccessTokenLife / time.Second), Scope: grant.Scope.String(),
	}, nil
}

// Logout ends the session of p's token; once more changes nothing.
func (s *Service) Logout(ctx context.Context, p identity.Principal) error {
	return s.c.Sessions.Revoke(ctx, p.Subject, p.Session, authapi.ByLogout)
}

// Me is who p is. A user who is no longer there is not found.
func (s *Service) Me(ctx context.Context, p identity.Principal) (*authapi.Me, error) {
	person, err := s.documents.users.Get(ctx, p.Subject)
	if errors.Is(err, store.ErrNotFound) || err == nil && person.Value.Organization != p.Organization {
		return nil, problem.NotFound("user").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the user: %w", err)
	}
	org, err := s.documents.organizations.Get(ctx, p.Organization)
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem.NotFound("organization").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the organization: %w", err)
	}
	return &authapi.Me{
		User: userView(person), Organization: organizationView(org),
		Roles: p.Roles, Scope: strings.Join(p.Scope, " "), SessionID: p.Session,
	}, nil
}

// Forget deletes what is kept of failed logins, a day after the last.
func (s *Service) Forget(ctx context.Context) error { return s.lockout.forget(ctx) }

func emailTaken() *problem.Problem {
	return problem.New(http.StatusConflict, authapi.CodeEmailTaken, "a user has this e-mail address already")
}
