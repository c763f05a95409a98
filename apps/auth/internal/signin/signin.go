// Package signin is the one way from a proof of identity to tokens: whoever has checked a password, a
// passkey or an identity provider's answer comes here, and either gets tokens or is told which second
// factor is missing.
package signin

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/apps/auth/internal/keys"
	"github.com/tandemhq/tandem/apps/auth/internal/policy"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// Methods by which a person has proved who they are (RFC 8176). Federated is not in its registry.
const (
	Password  = "pwd"
	OTP       = "otp"
	Passkey   = "hwk"
	SMS       = "sms"
	Email     = "email"
	Recovery  = "kba"
	MFA       = "mfa"
	Federated = "fed"
)

// challengeLife is how long a sign-in waits for its second factor.
const challengeLife = 10 * time.Minute

// Factors are the second factors that users have enrolled.
type Factors interface {
	// Methods are those of user, in the order in which they are to be offered; none for who has none.
	Methods(ctx context.Context, user string) ([]authapi.MFAMethod, error)
	// Remembered tells whether device was remembered for user in organization within the last so many days.
	Remembered(ctx context.Context, organization, user, device string, days int) (bool, error)
}

// Config is what a Service needs.
type Config struct {
	DB       store.DB
	Accounts *accounts.Accounts
	Policies *policy.Service
	Sessions *sessions.Service
	Access   *access.Service
	Factors  Factors
	Key      *keys.Ring
	Emit     events.Emitter
	Now      func() time.Time
	NewID    func() string
	Random   io.Reader
	// Metrics takes the series tandem_auth_sign_ins_total. Optional.
	Metrics prometheus.Registerer
}

// Service is the rules of sign-ins. It is safe for concurrent use.
type Service struct {
	c        Config
	pending  *store.Documents[pending]
	outcomes *prometheus.CounterVec
}

const byExpiry = "expires-at"

// Open opens the sign-ins under way in c.DB.
func Open(ctx context.Context, c Config) (*Service, error) {
	d, err := store.System[pending](ctx, c.DB, store.Def{Name: "pending_sign_ins", Indexes: []store.Index{
		{Name: byExpiry, Fields: []string{"expires_at"}},
	}})
	if err != nil {
		return nil, fmt.Errorf("open the pending sign-ins: %w", err)
	}
	s := &Service{c, d, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tandem_auth_sign_ins_total", Help: "People who proved who they are, by the proof (AMR), the second factor if one was shown, and what followed: signed_in, second_factor_required, or a problem's code.",
	}, []string{"method", "factor", "outcome"})}
	if c.Metrics != nil {
		if err := c.Metrics.Register(s.outcomes); err != nil {
			return nil, fmt.Errorf("register the metrics of sign-ins: %w", err)
		}
	}
	return s, nil
}

// Attempt is a person who has proved who they are, and what they ask for.
type Attempt struct {
	User string
	// Organization may be empty: the one signed in to last, or joined first.
	Organization string
	// AMR are the proofs given, e.g. Password.
	AMR []string
	// Strong says that the proofs already are two factors, as those of a passkey that verified its user.
	Strong bool
	Scope  sessions.Scope
	// RememberMe lets the session live 30 days without use, else 7.
	RememberMe bool
	// Device is the token of a remembered device, "" without one.
	Device string
	// AuthenticatedAt is when the proofs were given; now when zero.
	AuthenticatedAt time.Time
}

// pending is an attempt that waits for its second factor.
type pending struct {
	Attempt   Attempt    `json:"attempt"`
	ExpiresAt store.Time `json:"expires_at"`
}

// Begin lets a person in, or names the second factors of which one is missing. Problems: 403 no_organization for
// who works for none, or not for the one asked for; email_not_verified; sso_required; account_disabled.
func (s *Service) Begin(ctx context.Context, a Attempt) (*authapi.SignIn, error) {
	in, err := s.begin(ctx, a)
	outcome := "signed_in"
	switch {
	case err != nil:
		outcome = problem.From(err).Code
	case in.MFARequired:
		outcome = "second_factor_required"
	}
	method, factor := a.proofs()
	s.outcomes.WithLabelValues(method, factor, outcome).Inc()
	return in, err
}

// proofs are the first proof given, and the second factor shown by Complete; empty without.
func (a Attempt) proofs() (method, factor string) {
	if len(a.AMR) > 0 {
		method = a.AMR[0]
	}
	if last := len(a.AMR) - 1; last >= 2 && a.AMR[last] == MFA {
		factor = a.AMR[last-1]
	}
	return method, factor
}

func (s *Service) begin(ctx context.Context, a Attempt) (*authapi.SignIn, error) {
	person, membership, err := s.membership(ctx, a)
	if err != nil {
		return nil, err
	}
	a.Organization = membership.Value.Organization
	rules, err := s.c.Policies.Of(ctx, a.Organization)
	if err != nil {
		return nil, err
	}
	roles := membership.Value.Roles
	switch {
	case person.Value.DisabledAt != nil:
		return nil, problem.New(http.StatusForbidden, authapi.CodeAccountDisabled, "this account has been closed")
	case rules.RequireVerifiedEmail && person.Value.EmailVerifiedAt == nil && !slices.Contains(a.AMR, Federated):
		return nil, problem.New(http.StatusForbidden, authapi.CodeEmailNotVerified, "verify the e-mail address first; the link was mailed, and can be mailed again")
	case rules.EnforceSSO && !slices.Contains(a.AMR, Federated) && !slices.Contains(roles, identity.Owner):
		return nil, problem.New(http.StatusForbidden, authapi.CodeSSORequired, "members of this organization sign in through its identity provider")
	}
	methods, err := s.missing(ctx, a, rules.MFA, roles)
	if err != nil {
		return nil, err
	}
	if methods != nil {
		return s.challenge(ctx, a, methods)
	}
	return s.enter(ctx, a, rules.Sessions, person, membership)
}

// membership picks the organization to sign in to.
func (s *Service) membership(ctx context.Context, a Attempt) (store.Doc[accounts.User], store.Doc[accounts.Membership], error) {
	none := problem.New(http.StatusForbidden, authapi.CodeNoOrganization, "you are a member of no such organization")
	person, err := s.c.Accounts.Users.Get(ctx, a.User)
	if accounts.IsNotFound(err) {
		return person, store.Doc[accounts.Membership]{}, none.Wrap(err)
	}
	if err != nil {
		return person, store.Doc[accounts.Membership]{}, fmt.Errorf("read the user: %w", err)
	}
	if a.Organization != "" {
		m, err := s.c.Accounts.Membership(ctx, a.Organization, a.User)
		if accounts.IsNotFound(err) || errors.Is(err, store.ErrBadID) {
			return person, m, none.Wrap(err)
		}
		if err != nil {
			return person, m, fmt.Errorf("read the membership: %w", err)
		}
		return person, m, nil
	}
	all, err := s.c.Accounts.MembershipsOf(ctx, a.User)
	if err != nil {
		return person, store.Doc[accounts.Membership]{}, err
	}
	if len(all) == 0 {
		return person, store.Doc[accounts.Membership]{}, none
	}
	return person, slices.MaxFunc(all, func(a, b store.Doc[accounts.Membership]) int {
		return lastUsed(a).Compare(lastUsed(b))
	}), nil
}

func lastUsed(m store.Doc[accounts.Membership]) time.Time {
	if m.Value.LastUsedAt == nil {
		return time.Time{}
	}
	return m.Value.LastUsedAt.Time
}

// missing are the second factors of which one must still be shown; nil when none must.
func (s *Service) missing(ctx context.Context, a Attempt, rules authapi.MFAPolicy, roles []string) ([]authapi.MFAMethod, error) {
	if a.Strong && a.counts(rules.Methods) {
		return nil, nil
	}
	enrolled, err := s.c.Factors.Methods(ctx, a.User)
	if err != nil {
		return nil, err
	}
	allowed := slices.DeleteFunc(enrolled, func(m authapi.MFAMethod) bool { return !slices.Contains(rules.Methods, m) })
	required := slices.ContainsFunc(rules.RequiredRoles, func(role string) bool { return role == "*" || slices.Contains(roles, role) })
	switch {
	case len(allowed) == 0 && required && slices.Contains(rules.Methods, authapi.MFAEmail):
		allowed = []authapi.MFAMethod{authapi.MFAEmail} // everybody has an address; it lets them in to enrol another
	case len(allowed) == 0 && required:
		return nil, problem.New(http.StatusForbidden, authapi.CodeMFANotEnrolled,
			"this organization demands a second factor and you have none that counts; ask an administrator")
	case len(allowed) == 0:
		return nil, nil
	}
	if a.Device != "" && rules.RememberDays > 0 {
		remembered, err := s.c.Factors.Remembered(ctx, a.Organization, a.User, a.Device, rules.RememberDays)
		if err != nil || remembered {
			return nil, err
		}
	}
	return allowed, nil
}

// factorOf is the kind of second factor that a proof is of.
var factorOf = map[string]authapi.MFAMethod{
	Passkey: authapi.MFAPasskey, OTP: authapi.MFATOTP, Email: authapi.MFAEmail, SMS: authapi.MFASMS, Recovery: authapi.MFARecovery,
}

// counts tells whether one of the attempt's proofs is a second factor that counts in the organization; those of an identity
// provider are its own affair, and a mailed code is what is asked of who has nothing else.
func (a Attempt) counts(methods []authapi.MFAMethod) bool {
	return slices.ContainsFunc(a.AMR, func(proof string) bool {
		return proof == Federated || slices.Contains(methods, factorOf[proof])
	})
}

// challenge keeps the attempt until its second factor comes.
func (s *Service) challenge(ctx context.Context, a Attempt, methods []authapi.MFAMethod) (*authapi.SignIn, error) {
	secret := make([]byte, 32)
	if _, err := io.ReadFull(s.c.Random, secret); err != nil {
		return nil, fmt.Errorf("make a challenge: %w", err)
	}
	challenge := hex.EncodeToString(secret)
	a.Device = "" // it has been looked at, and is nobody's to read in the database
	_, err := s.pending.Insert(ctx, atrest.Digest(challenge), pending{a, store.At(s.c.Now().Add(challengeLife))})
	if err != nil {
		return nil, fmt.Errorf("keep a sign-in under way: %w", err)
	}
	return &authapi.SignIn{MFARequired: true, Challenge: challenge, Methods: methods, ExpiresIn: int(challengeLife / time.Second)}, nil
}

// Pending is the attempt that waits under a challenge: 401 challenge_invalid.
func (s *Service) Pending(ctx context.Context, challenge string) (Attempt, error) {
	doc, err := s.pending.Get(ctx, atrest.Digest(challenge))
	if accounts.IsNotFound(err) || err == nil && !s.c.Now().Before(doc.Value.ExpiresAt.Time) {
		return Attempt{}, challengeInvalid().Wrap(err)
	}
	if err != nil {
		return Attempt{}, fmt.Errorf("read a sign-in under way: %w", err)
	}
	return doc.Value.Attempt, nil
}

// Complete ends the attempt under a challenge, whose second factor has been shown by method amr. Of two
// that complete one challenge, one gets 401 challenge_invalid. Problems as of Begin.
func (s *Service) Complete(ctx context.Context, challenge, amr string) (*authapi.SignIn, error) {
	a, err := s.Pending(ctx, challenge)
	if err != nil {
		return nil, err
	}
	err = s.pending.Delete(ctx, atrest.Digest(challenge), 0)
	if accounts.IsNotFound(err) {
		return nil, challengeInvalid().Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("end a sign-in under way: %w", err)
	}
	a.AMR = append(a.AMR, amr, MFA)
	a.Strong = true
	return s.Begin(ctx, a)
}

func challengeInvalid() *problem.Problem {
	return problem.New(http.StatusUnauthorized, authapi.CodeChallengeInvalid, "this sign-in is no longer under way; sign in again")
}

// enter begins the session.
func (s *Service) enter(ctx context.Context, a Attempt, limits authapi.SessionPolicy, person store.Doc[accounts.User], membership store.Doc[accounts.Membership]) (*authapi.SignIn, error) {
	now := store.At(s.c.Now())
	_, err := s.c.Accounts.Memberships.Update(ctx, membership.ID, func(m *accounts.Membership) ([]store.Message, error) {
		m.LastUsedAt = &now
		entry, err := audit.Message(ctx, s.c.Emit, a.Organization, audit.Entry{
			Action: "auth.auth.sign-in", Actor: audit.Actor{Subject: person.ID}, Details: map[string]string{"methods": strings.Join(a.AMR, " ")},
		})
		return []store.Message{entry}, err
	})
	if err != nil && !accounts.IsNotFound(err) {
		return nil, fmt.Errorf("note the sign-in: %w", err)
	}
	grant, err := s.c.Sessions.Begin(ctx, sessions.SignIn{
		User: person.ID, Organization: a.Organization, Scope: a.Scope, AMR: a.AMR, Strong: a.Strong, AuthenticatedAt: a.AuthenticatedAt,
		RememberMe: a.RememberMe, Idle: time.Duration(limits.IdleMinutes) * time.Minute, Absolute: time.Duration(limits.AbsoluteHours) * time.Hour,
	})
	if err != nil {
		return nil, err
	}
	tokens, err := s.Tokens(ctx, grant)
	if err != nil {
		return nil, err
	}
	return &authapi.SignIn{
		AccessToken: tokens.AccessToken, RefreshToken: tokens.RefreshToken, TokenType: tokens.TokenType,
		ExpiresIn: tokens.ExpiresIn, Scope: tokens.Scope,
	}, nil
}

// StepUp notes that the session of p has shown a second factor by method amr, and gives it an access
// token that says so. The session's refresh token stays as it is, so the answer has none.
func (s *Service) StepUp(ctx context.Context, p identity.Principal, amr string) (*authapi.Tokens, error) {
	grant, err := s.c.Sessions.Strengthen(ctx, p.Subject, p.Session, amr, MFA)
	if err != nil {
		return nil, err
	}
	if len(p.Scope) > 0 {
		grant.Scope = p.Scope // no more than the token that asks has
	}
	return s.Tokens(ctx, grant)
}

// Tokens are those of a session, with what its user may do at this moment. A user who is gone, or no
// longer a member, is a 401 refresh_token_invalid.
func (s *Service) Tokens(ctx context.Context, grant sessions.Grant) (*authapi.Tokens, error) {
	person, membership, err := s.c.Accounts.Member(ctx, grant.Organization, grant.User)
	if accounts.IsNotFound(err) || err == nil && person.Value.DisabledAt != nil {
		return nil, problem.New(http.StatusUnauthorized, authapi.CodeRefreshTokenInvalid, "this user is no longer here").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the user: %w", err)
	}
	now := s.c.Now() // before the access is read: a change in between is after the token, and so heeded
	allowed, err := s.c.Access.Of(ctx, grant.Organization, grant.User)
	if err != nil {
		return nil, err
	}
	token, err := s.c.Key.Sign(identity.Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: identity.Issuer, Audience: jwt.ClaimStrings{identity.UserAudience}, Subject: person.ID,
			ID: s.c.NewID(), IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(authapi.AccessTokenLife)),
		},
		Organization: grant.Organization, Session: grant.Session, Roles: membership.Value.Roles, Scope: grant.Scope.String(),
		AccessHash: allowed.Hash(), AMR: grant.AMR, ACR: grant.ACR(),
	})
	if err != nil {
		return nil, err
	}
	return &authapi.Tokens{
		AccessToken: token, RefreshToken: grant.RefreshToken, TokenType: "Bearer",
		ExpiresIn: int(authapi.AccessTokenLife / time.Second), Scope: grant.Scope.String(),
	}, nil
}

// Forget deletes sign-ins that were never completed.
func (s *Service) Forget(ctx context.Context) error {
	due := store.Query{Index: byExpiry, Range: store.Range{Field: "expires_at", To: store.At(s.c.Now())}}
	if err := s.pending.DeleteDue(ctx, due); err != nil {
		return fmt.Errorf("forget sign-ins under way: %w", err)
	}
	return nil
}
