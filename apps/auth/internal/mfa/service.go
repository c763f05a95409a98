// Package mfa keeps people's second factors: authenticator apps, passkeys, codes by mail and text message,
// recovery codes. It asks for one at sign-in and before operations that need one, and lets a passkey sign in
// by itself.
package mfa

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/sms"
	"github.com/tandemhq/tandem/pkg/store"
)

// recent is how long ago who has no second factor yet may have signed in to set one up: a session that
// somebody else got hold of later is not enough to lock its user out.
const recent = 15 * time.Minute

// SignIn is the one way to tokens, as package signin has it.
type SignIn interface {
	Begin(context.Context, signin.Attempt) (*authapi.SignIn, error)
	Pending(ctx context.Context, challenge string) (signin.Attempt, error)
	Complete(ctx context.Context, challenge, amr string) (*authapi.SignIn, error)
	StepUp(ctx context.Context, p identity.Principal, amr string) (*authapi.Tokens, error)
}

// Policies are what organizations demand of their members.
type Policies interface {
	Of(ctx context.Context, organization string) (authapi.SecurityPolicy, error)
}

// Config is what a Service needs.
type Config struct {
	DB       store.DB
	Accounts *accounts.Accounts
	Factors  *Factors
	Policies Policies
	SignIn   SignIn
	// SignedInAt is when a session of user began: a 404 for one that is not theirs, or has ended.
	SignedInAt   func(ctx context.Context, user, session string) (time.Time, error)
	Sealer       atrest.Sealer
	Mails        *mails.Mails
	SMS          sms.Sender
	RelyingParty RelyingParty
	Emit         events.Emitter
	Now          func() time.Time
	NewID        func() string
	// Random is where secrets, codes and challenges come from.
	Random io.Reader
}

// Service is the rules of second factors. It is safe for concurrent use.
type Service struct {
	c          Config
	web        *webauthn.WebAuthn
	ceremonies ceremonies
	tallies    tallies
}

// Open opens what is under way in c.DB, and checks the relying party.
func Open(ctx context.Context, c Config) (*Service, error) {
	c.RelyingParty = c.RelyingParty.completed()
	web, err := newWebAuthn(c.RelyingParty)
	if err != nil {
		return nil, err
	}
	begun, err := openCeremonies(ctx, c)
	if err != nil {
		return nil, err
	}
	counted, err := openTallies(ctx, c.DB, c.Now)
	if err != nil {
		return nil, err
	}
	return &Service{c, web, begun, counted}, nil
}

// showing is somebody who shows a second factor, and why.
type showing struct {
	user, organization string
	why                purpose
	method             authapi.MFAMethod
	// challenge names what was begun for it; empty where nothing was.
	challenge string
}

// Proof is a second factor as it is shown: a code, or a passkey's answer.
type Proof struct {
	Method     authapi.MFAMethod
	Code       string
	Credential *authapi.PasskeyAssertion
}

// Challenge sends a code, or asks for a passkey, for the sign-in that waits under a challenge. Problems: 401
// challenge_invalid, 409 factor_not_enrolled, 429 too_many_codes, 503 code_not_sent.
func (s *Service) Challenge(ctx context.Context, challenge string, method authapi.MFAMethod) (*authapi.MFAChallenge, error) {
	a, err := s.c.SignIn.Pending(ctx, challenge)
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, showing{a.User, a.Organization, toSignIn, method, challenge})
}

// Verification is a second factor for the sign-in that waits under a challenge.
type Verification struct {
	Challenge string
	Proof
	// Remember asks for a token that makes a second factor unnecessary on this device for a while.
	Remember bool
}

// Verify lets in who shows a second factor. Problems: 401 challenge_invalid, 401 second_factor_invalid, 409
// factor_not_enrolled, 429 factor_locked; as of signin.Service.Complete.
func (s *Service) Verify(ctx context.Context, in Verification) (*authapi.MFASignIn, error) {
	a, err := s.c.SignIn.Pending(ctx, in.Challenge)
	if err != nil {
		return nil, err
	}
	at := showing{a.User, a.Organization, toSignIn, in.Method, in.Challenge}
	if err := s.show(ctx, at, in.Proof); err != nil {
		return nil, err
	}
	signedIn, err := s.c.SignIn.Complete(ctx, in.Challenge, amr[in.Method])
	if err != nil {
		return nil, err
	}
	answer := &authapi.MFASignIn{SignIn: *signedIn}
	if !in.Remember {
		return answer, nil
	}
	rules, err := s.c.Policies.Of(ctx, a.Organization)
	if err != nil {
		return nil, err
	}
	if rules.MFA.RememberDays > 0 {
		answer.DeviceToken, err = s.remember(ctx, a, rules.MFA.RememberDays)
	}
	return answer, err
}

// StepUpChallenge sends a code, or asks for a passkey, for the session of p. Problems: 409
// factor_not_enrolled, 429 too_many_codes, 503 code_not_sent.
func (s *Service) StepUpChallenge(ctx context.Context, p identity.Principal, method authapi.MFAMethod) (*authapi.MFAChallenge, error) {
	challenge, err := s.ceremonies.challenge()
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, showing{p.Subject, p.Organization, toStepUp, method, challenge})
}

// StepUp gives an access token that has shown a second factor (RFC 9470). The session's refresh token stays
// as it is. Problems: 401 second_factor_invalid, 409 factor_not_enrolled, 429 factor_locked.
func (s *Service) StepUp(ctx context.Context, p identity.Principal, challenge string, proof Proof) (*authapi.SignIn, error) {
	at := showing{p.Subject, p.Organization, toStepUp, proof.Method, challenge}
	if err := s.show(ctx, at, proof); err != nil {
		return nil, err
	}
	return s.stepUp(ctx, p, proof.Method)
}

func (s *Service) stepUp(ctx context.Context, p identity.Principal, method authapi.MFAMethod) (*authapi.SignIn, error) {
	tokens, err := s.c.SignIn.StepUp(ctx, p, amr[method])
	if err != nil {
		return nil, err
	}
	return &authapi.SignIn{
		AccessToken: tokens.AccessToken, TokenType: tokens.TokenType, ExpiresIn: tokens.ExpiresIn, Scope: tokens.Scope,
	}, nil
}

// begin sends what a factor needs to be shown.
func (s *Service) begin(ctx context.Context, at showing) (*authapi.MFAChallenge, error) {
	if err := s.mayShow(ctx, at); err != nil {
		return nil, err
	}
	switch at.method {
	case authapi.MFAPasskey:
		return s.beginProof(ctx, at)
	case authapi.MFAEmail:
		return s.send(ctx, at.user, at.method, at.why, at.challenge, "")
	case authapi.MFASMS:
		f, err := s.c.Factors.of(ctx, at.user)
		if err != nil {
			return nil, err
		}
		if f.SMS == nil {
			return nil, notEnrolled()
		}
		return s.send(ctx, at.user, at.method, at.why, at.challenge, f.SMS.Number)
	default:
		return nil, problem.Invalid("body.method", "nothing is sent for this method; show it right away")
	}
}

// mayShow tells whether a factor can be shown at all: 409 factor_not_enrolled.
func (s *Service) mayShow(ctx context.Context, at showing) error {
	_, counting, err := s.counting(ctx, at.user, at.organization)
	if err != nil {
		return err
	}
	if !slices.Contains(counting, at.method) {
		return notEnrolled()
	}
	return nil
}

// counting are the rules of an organization for second factors, and those of user's that count there. Who has
// none that counts is sent codes by mail where the organization takes them, as everybody has an address: it
// lets them in to set up another.
func (s *Service) counting(ctx context.Context, user, organization string) (authapi.MFAPolicy, []authapi.MFAMethod, error) {
	rules, err := s.c.Policies.Of(ctx, organization)
	if err != nil {
		return rules.MFA, nil, err
	}
	own, err := s.c.Factors.Methods(ctx, user)
	if err != nil {
		return rules.MFA, nil, err
	}
	return rules.MFA, orEmail(rules.MFA, accepted(rules.MFA, own)), nil
}

// accepted are those of own that an organization takes.
func accepted(rules authapi.MFAPolicy, own []authapi.MFAMethod) []authapi.MFAMethod {
	var all []authapi.MFAMethod
	for _, m := range own {
		if slices.Contains(rules.Methods, m) {
			all = append(all, m)
		}
	}
	return all
}

func orEmail(rules authapi.MFAPolicy, counting []authapi.MFAMethod) []authapi.MFAMethod {
	if len(counting) == 0 && slices.Contains(rules.Methods, authapi.MFAEmail) {
		return []authapi.MFAMethod{authapi.MFAEmail}
	}
	return counting
}

// show accepts a second factor once. Five failures in a row lock it for 15 minutes: 429 factor_locked. A
// showing counts as a failure until it was right, so that of many at once no more than five are looked at.
func (s *Service) show(ctx context.Context, at showing, proof Proof) error {
	if err := s.mayShow(ctx, at); err != nil {
		return err
	}
	key := "try:" + at.user + ":" + string(at.method)
	count, wait, err := s.tallies.take(ctx, key, tries)
	if err != nil {
		return err
	}
	if wait > 0 {
		return locked(wait)
	}
	switch at.method {
	case authapi.MFAPasskey:
		err = s.provePasskey(ctx, at, proof.Credential)
	case authapi.MFATOTP:
		err = s.proveTOTP(ctx, at, proof.Code)
	case authapi.MFARecovery:
		err = s.proveRecovery(ctx, at, proof.Code)
	default:
		err = s.proveCode(ctx, at, at.method, proof.Code)
	}
	if problem.Code(err) == authapi.CodeSecondFactorInvalid {
		return errors.Join(err, s.refused(ctx, at, count >= tries.most))
	}
	if err != nil {
		return fmt.Errorf("check a second factor: %w", err)
	}
	return s.tallies.clear(ctx, key)
}

// refused tells of a wrong second factor, and of its lock.
func (s *Service) refused(ctx context.Context, at showing, nowLocked bool) error {
	messages, err := s.entry(ctx, at, audit.Entry{Result: audit.Denied, Code: authapi.CodeSecondFactorInvalid})
	if err != nil {
		return err
	}
	if nowLocked {
		told, err := s.told(ctx, at.user, at.method, authapi.MFALocked)
		if err != nil {
			return err
		}
		messages = append(messages, told)
	}
	if err := s.c.DB.Outbox().Add(ctx, messages...); err != nil {
		return fmt.Errorf("tell of a wrong second factor: %w", err)
	}
	return nil
}

// entry is what the audit logs are told of a showing: that of the organization, or of all that the user works
// for where none was named yet.
func (s *Service) entry(ctx context.Context, at showing, e audit.Entry) ([]store.Message, error) {
	if e.Action == "" {
		e.Action = "auth.mfa.verify"
	}
	if e.Resource == "" {
		e.Resource = "user:" + at.user
	}
	e.Details = map[string]string{"method": string(at.method), "purpose": string(at.why)}
	if _, known := identity.From(ctx); !known || at.why != toStepUp {
		e.Actor = audit.Actor{Subject: at.user}
	}
	logs := []string{at.organization}
	if at.organization == "" {
		memberships, err := s.c.Accounts.MembershipsOf(ctx, at.user)
		if err != nil {
			return nil, err
		}
		logs = nil
		for _, m := range memberships {
			logs = append(logs, m.Value.Organization)
		}
	}
	var messages []store.Message
	for _, organization := range logs {
		m, err := audit.Message(ctx, s.c.Emit, organization, e)
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	return messages, nil
}

// told is the event that has the user told of a change by mail.
func (s *Service) told(ctx context.Context, user string, method authapi.MFAMethod, change authapi.MFAChange) (store.Message, error) {
	return authapi.MFAChanged.Message(ctx, s.c.Emit, "", authapi.MFAChangedData{
		UserID: user, Method: method, Change: change, At: s.c.Now().UTC(),
	})
}

// changed tells the user and the audit log of a change that p made.
func (s *Service) changed(ctx context.Context, p identity.Principal, method authapi.MFAMethod, change authapi.MFAChange, verb, resource string) ([]store.Message, error) {
	if resource == "" {
		resource = "user:" + p.Subject
	}
	entry, err := audit.Message(ctx, s.c.Emit, p.Organization, audit.Entry{
		Action: "auth.mfa." + verb, Resource: resource, Details: map[string]string{"method": string(method)},
	})
	if err != nil {
		return nil, err
	}
	told, err := s.told(ctx, p.Subject, method, change)
	return []store.Message{entry, told}, err
}

// mayChange tells whether p may change second factors, of which the user has own: once the session has shown
// one of them. What an organization takes instead of them does not do, for they let their user into other
// organizations too. Problem: 401 step_up_required.
func mayChange(p identity.Principal, own []authapi.MFAMethod) error {
	shown := p.ACR == identity.ACRMultiFactor && slices.ContainsFunc(own, func(m authapi.MFAMethod) bool { return slices.Contains(p.AMR, amr[m]) })
	if !shown {
		return problem.New(http.StatusUnauthorized, problem.CodeStepUp, "show a second factor of yours first: POST /api/auth/mfa/step-up").
			Header("WWW-Authenticate", `Bearer error="insufficient_user_authentication", acr_values="mfa"`) // RFC 9470, section 3
	}
	return nil
}

// mayEnrol tells whether p may set up a factor: as of mayChange, or, for who has none, soon after signing in.
// Problems: 401 step_up_required, 401 recent_sign_in_required, 403 factor_not_allowed.
func (s *Service) mayEnrol(ctx context.Context, p identity.Principal, method authapi.MFAMethod) error {
	rules, err := s.c.Policies.Of(ctx, p.Organization)
	if err != nil {
		return err
	}
	if !slices.Contains(rules.MFA.Methods, method) {
		return problem.New(http.StatusForbidden, authapi.CodeFactorNotAllowed, "your organization does not accept this kind of second factor")
	}
	own, err := s.c.Factors.Methods(ctx, p.Subject)
	if err != nil {
		return err
	}
	if len(own) > 0 {
		return mayChange(p, own)
	}
	// Whoever runs an organization's identity provider can sign in there as anybody who works for it. That must not become
	// a factor that opens the other organizations that these people work for.
	if slices.Contains(p.AMR, signin.Federated) {
		return problem.New(http.StatusForbidden, authapi.CodeFactorNotAllowed, "you signed in through an identity provider; set a password by mail and sign in with it first")
	}
	// Asked first: the access token of a session that has just ended, with the factors of who had it, is good for seconds more.
	at, err := s.c.SignedInAt(ctx, p.Subject, p.Session)
	if err != nil {
		return err
	}
	if p.ACR != identity.ACRMultiFactor && s.c.Now().Sub(at) > recent {
		return problem.New(http.StatusUnauthorized, authapi.CodeRecentSignInRequired, "sign in again to set up a second factor").
			Header("WWW-Authenticate", fmt.Sprintf(`Bearer error="insufficient_user_authentication", max_age="%d"`, seconds(recent)))
	}
	return nil
}

// enrol adds to the factors of p by add, which tells whether it replaces one.
func (s *Service) enrol(ctx context.Context, p identity.Principal, method authapi.MFAMethod, add func(*factors) (again bool)) (*authapi.MFAEnrolled, error) {
	added, err := s.changed(ctx, p, method, authapi.MFAAdded, "enrol", "")
	if err != nil {
		return nil, err
	}
	renewed, err := s.changed(ctx, p, method, authapi.MFARenewed, "enrol", "")
	if err != nil {
		return nil, err
	}
	return s.strengthen(ctx, p, method, func(f *factors) []store.Message {
		if add(f) {
			return renewed
		}
		return added
	})
}

// strengthen ends an enrolment: it has shown a second factor, so the session has it, and who had no recovery
// codes gets some. Add, which may be nil, changes the user's document in the same write.
func (s *Service) strengthen(ctx context.Context, p identity.Principal, method authapi.MFAMethod, add func(*factors) []store.Message) (*authapi.MFAEnrolled, error) {
	kit, written, err := newRecoveryKit(s.c.Random, store.At(s.c.Now()))
	if err != nil {
		return nil, err
	}
	answer := &authapi.MFAEnrolled{}
	err = s.c.Factors.change(ctx, p.Subject, func(f *factors) ([]store.Message, error) {
		var messages []store.Message
		if add != nil {
			messages = add(f)
		}
		answer.RecoveryCodes = nil
		if f.Recovery == nil {
			f.Recovery, answer.RecoveryCodes = kit, written
		}
		return messages, nil
	})
	if err != nil {
		return nil, fmt.Errorf("enrol a second factor: %w", err)
	}
	signedIn, err := s.stepUp(ctx, p, method)
	if err != nil {
		return nil, err
	}
	answer.SignIn = *signedIn
	return answer, nil
}

// Remove removes the user's authenticator app, or codes by mail or text message. Problems: as of mayChange;
// 404 for what is not set up, 409 last_factor.
func (s *Service) Remove(ctx context.Context, p identity.Principal, method authapi.MFAMethod) error {
	keys, err := s.c.Factors.passkeysOf(ctx, p.Subject)
	if err != nil {
		return err
	}
	messages, err := s.changed(ctx, p, method, authapi.MFARemoved, "remove", "")
	if err != nil {
		return err
	}
	last := false
	_, err = s.c.Factors.users.Update(ctx, p.Subject, func(f *factors) ([]store.Message, error) {
		own, missing := methods(*f, keys), true
		switch method {
		case authapi.MFATOTP:
			missing, f.TOTP = f.TOTP == nil, nil
		case authapi.MFAEmail:
			missing, f.Email = f.Email == nil, nil
		case authapi.MFASMS:
			missing, f.SMS = f.SMS == nil, nil
		}
		if missing {
			return nil, problem.NotFound("second factor")
		}
		if err := mayChange(p, own); err != nil {
			return nil, err
		}
		last = f.alone() && len(keys) == 0
		return messages, s.notTheLast(ctx, p.Subject, methods(*f, keys))
	})
	if errors.Is(err, store.ErrNotFound) {
		return problem.NotFound("second factor").Wrap(err)
	}
	if err != nil {
		return fmt.Errorf("remove a second factor: %w", err)
	}
	if last {
		return s.withoutFactors(ctx, p.Subject)
	}
	return nil
}

// withoutFactors ends what means nothing without a second factor: recovery codes and remembered devices.
func (s *Service) withoutFactors(ctx context.Context, user string) error {
	err := s.c.Factors.change(ctx, user, func(f *factors) ([]store.Message, error) {
		if f.alone() {
			f.Recovery = nil
		}
		return nil, nil
	})
	if err != nil {
		return fmt.Errorf("remove the recovery codes: %w", err)
	}
	return s.c.Factors.forgetDevices(ctx, user)
}

// notTheLast refuses to leave the user without a second factor that lets them into an organization that
// demands one: 409 last_factor.
func (s *Service) notTheLast(ctx context.Context, user string, left []authapi.MFAMethod) error {
	memberships, err := s.c.Accounts.MembershipsOf(ctx, user)
	if err != nil {
		return err
	}
	for _, m := range memberships {
		rules, err := s.c.Policies.Of(ctx, m.Value.Organization)
		if err != nil {
			return err
		}
		if required(rules.MFA, m.Value.Roles) && len(orEmail(rules.MFA, accepted(rules.MFA, left))) == 0 {
			return problem.New(http.StatusConflict, authapi.CodeLastFactor, "an organization of yours demands a second factor; set up another one first")
		}
	}
	return nil
}

// required tells whether members with these roles need a second factor.
func required(rules authapi.MFAPolicy, roles []string) bool {
	return slices.ContainsFunc(rules.RequiredRoles, func(r string) bool { return r == "*" || slices.Contains(roles, r) })
}

// Show is what the user of p has set up.
func (s *Service) Show(ctx context.Context, p identity.Principal) (*authapi.MFA, error) {
	rules, err := s.c.Policies.Of(ctx, p.Organization)
	if err != nil {
		return nil, err
	}
	f, err := s.c.Factors.of(ctx, p.Subject)
	if err != nil {
		return nil, err
	}
	keys, err := s.c.Factors.passkeysOf(ctx, p.Subject)
	if err != nil {
		return nil, err
	}
	own := view(f, keys)
	own.Allowed, own.Required = rules.MFA.Methods, required(rules.MFA, p.Roles)
	return own, nil
}

// view is what a user sees of their factors.
func view(f factors, keys []store.Doc[passkey]) *authapi.MFA {
	v := &authapi.MFA{Methods: methods(f, keys), Allowed: []authapi.MFAMethod{}, Passkeys: passkeyViews(keys)}
	if v.Methods == nil {
		v.Methods = []authapi.MFAMethod{}
	}
	if f.TOTP != nil {
		v.TOTP = &authapi.MFAEnrolment{EnrolledAt: f.TOTP.EnrolledAt.Time, LastUsedAt: timeOf(f.TOTP.LastUsedAt)}
	}
	if f.Email != nil {
		v.Email = &authapi.MFAEnrolment{EnrolledAt: f.Email.EnrolledAt.Time, LastUsedAt: timeOf(f.Email.LastUsedAt)}
	}
	if f.SMS != nil {
		v.SMS = &authapi.MFAEnrolment{EnrolledAt: f.SMS.EnrolledAt.Time, LastUsedAt: timeOf(f.SMS.LastUsedAt), Number: maskNumber(f.SMS.Number)}
	}
	if f.Recovery != nil {
		v.RecoveryCodes = len(f.Recovery.Digests)
	}
	return v
}

// person is the user with an id: 404 with store.ErrNotFound inside for one who is gone.
func (s *Service) person(ctx context.Context, user string) (store.Doc[accounts.User], error) {
	doc, err := s.c.Accounts.Users.Get(ctx, user)
	if accounts.IsNotFound(err) {
		return doc, problem.NotFound("user").Wrap(err)
	}
	if err != nil {
		return doc, fmt.Errorf("read the user: %w", err)
	}
	return doc, nil
}

// Forget deletes what is under way no more, counts no more, and devices whose time has come.
func (s *Service) Forget(ctx context.Context) error {
	due := store.Query{Index: byExpiry, Range: store.Range{Field: "expires_at", To: store.At(s.c.Now())}}
	err := errors.Join(s.ceremonies.forget(ctx), s.tallies.forget(ctx), s.c.Factors.devices.DeleteDue(ctx, due))
	if err != nil {
		return fmt.Errorf("forget ceremonies of second factors: %w", err)
	}
	return nil
}

// Erase deletes everything that is kept of a user.
func (s *Service) Erase(ctx context.Context, user string) error { return s.c.Factors.erase(ctx, user) }

// wrong says that a second factor is not accepted; why is for the log.
func wrong(why error) error {
	return problem.New(http.StatusUnauthorized, authapi.CodeSecondFactorInvalid, "this second factor is wrong, used up or too old").Wrap(why)
}

// enrolling is err as who sets a factor up is told of it.
func enrolling(err error) error {
	if !errors.Is(err, errNoCeremony) {
		return err
	}
	return problem.New(http.StatusUnprocessableEntity, authapi.CodeSecondFactorInvalid, "this is wrong, or no longer waited for; correct it, or begin again").Wrap(err)
}

func locked(wait time.Duration) error {
	return problem.New(http.StatusTooManyRequests, authapi.CodeFactorLocked, "too many failures with this second factor; try again later, or use another").After(wait)
}

func notEnrolled() error {
	return problem.New(http.StatusConflict, authapi.CodeFactorNotEnrolled, "you have no such second factor that counts in this organization")
}

func timeOf(t *store.Time) *time.Time {
	if t == nil {
		return nil
	}
	return &t.Time
}
