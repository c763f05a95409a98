package mfa

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/apps/auth/internal/typed"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// maxPasskeys is how many a user may have.
const maxPasskeys = 20

// RelyingParty is who passkeys are made for (WebAuthn Level 3, section 4). A passkey works for its relying
// party alone, so ID must never change.
type RelyingParty struct {
	// ID is the domain of the web application, or one above it; "localhost" when empty.
	ID string
	// Name is what people know it by; "Tandem" when empty. Authenticator apps show it too.
	Name string
	// Origins are where the web application is served; http://localhost:8000 when none is named and ID is
	// localhost.
	Origins []string
}

func (r RelyingParty) completed() RelyingParty {
	if r.ID == "" {
		r.ID = "localhost"
	}
	if r.Name == "" {
		r.Name = "Tandem"
	}
	if len(r.Origins) == 0 && r.ID == "localhost" {
		r.Origins = []string{"http://localhost:8000"}
	}
	return r
}

// newWebAuthn checks the relying party.
func newWebAuthn(r RelyingParty) (*webauthn.WebAuthn, error) {
	timeout := webauthn.TimeoutConfig{Timeout: passkeyLife, TimeoutUVD: passkeyLife}
	web, err := webauthn.New(&webauthn.Config{
		RPID: r.ID, RPDisplayName: r.Name, RPOrigins: r.Origins,
		AttestationPreference: protocol.PreferNoAttestation, // which make of authenticator it is does not matter
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
		// Password managers answer extensions that nobody asked for; nothing here reads them.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("relying party of passkeys: %w", err)
	}
	return web, nil
}

// holder is a user as package webauthn sees one.
type holder struct {
	user accounts.User
	id   string
	keys []store.Doc[passkey]
}

func (h holder) WebAuthnID() []byte   { return []byte(h.id) }
func (h holder) WebAuthnName() string { return h.user.Email }
func (h holder) WebAuthnDisplayName() string {
	return strings.TrimSpace(h.user.FirstName + " " + h.user.LastName)
}

func (h holder) WebAuthnCredentials() []webauthn.Credential {
	var all []webauthn.Credential
	for _, key := range h.keys {
		v := key.Value
		c := webauthn.Credential{
			ID: v.RawID, PublicKey: v.PublicKey, Flags: webauthn.NewCredentialFlags(protocol.AuthenticatorFlags(v.Flags)),
			Authenticator: webauthn.Authenticator{AAGUID: v.AAGUID, SignCount: v.SignCount},
		}
		for _, t := range v.Transports {
			c.Transport = append(c.Transport, protocol.AuthenticatorTransport(t))
		}
		all = append(all, c)
	}
	return all
}

// holder is a user with their passkeys.
func (s *Service) holder(ctx context.Context, user string) (holder, error) {
	person, err := s.person(ctx, user)
	if err != nil {
		return holder{}, err
	}
	keys, err := s.c.Factors.passkeysOf(ctx, user)
	return holder{person.Value, user, keys}, err
}

// BeginPasskey asks an authenticator for a new passkey. Problems: as of mayEnrol; 409 too_many_passkeys.
func (s *Service) BeginPasskey(ctx context.Context, p identity.Principal) (*authapi.MFAChallenge, error) {
	if err := s.mayEnrol(ctx, p, authapi.MFAPasskey); err != nil {
		return nil, err
	}
	h, err := s.holder(ctx, p.Subject)
	if err != nil {
		return nil, err
	}
	if len(h.keys) >= maxPasskeys {
		return nil, problem.Newf(http.StatusConflict, authapi.CodeTooManyPasskeys, "you have %d passkeys; remove one first", len(h.keys))
	}
	random, err := s.webauthnChallenge()
	if err != nil {
		return nil, err
	}
	var known []protocol.CredentialDescriptor
	for _, c := range h.WebAuthnCredentials() {
		known = append(known, c.Descriptor())
	}
	options, session, err := s.web.BeginRegistration(h, webauthn.WithExclusions(known),
		func(o *protocol.PublicKeyCredentialCreationOptions) error { o.Challenge = random; return nil })
	if err != nil {
		return nil, fmt.Errorf("begin the registration of a passkey: %w", err)
	}
	return s.beginPasskey(ctx, toEnrol, "", p.Subject, session, options.Response)
}

// beginPasskey keeps what the answer of an authenticator must fit, under challenge or a new one.
func (s *Service) beginPasskey(ctx context.Context, why purpose, challenge, user string, session *webauthn.SessionData, options any) (*authapi.MFAChallenge, error) {
	answer := &authapi.MFAChallenge{Challenge: challenge, Method: authapi.MFAPasskey, ExpiresIn: seconds(passkeyLife)}
	text, err := json.Marshal(options)
	if err == nil {
		err = json.Unmarshal(text, &answer.PublicKey)
	}
	if err != nil {
		return nil, fmt.Errorf("write the options of a passkey: %w", err)
	}
	if challenge == "" {
		if answer.Challenge, err = s.ceremonies.challenge(); err != nil {
			return nil, err
		}
	}
	id := ceremonyID(why, string(authapi.MFAPasskey), answer.Challenge)
	return answer, s.ceremonies.begin(ctx, id, ceremony{User: user, Passkey: session}, passkeyLife)
}

func (s *Service) webauthnChallenge() ([]byte, error) {
	random := make([]byte, challengeBytes)
	if _, err := io.ReadFull(s.c.Random, random); err != nil {
		return nil, fmt.Errorf("make a challenge: %w", err)
	}
	return random, nil
}

// FinishPasskey registers the passkey that an authenticator has made (WebAuthn Level 3, section 7.1).
// Problems: as of mayEnrol; 422 second_factor_invalid, 409 passkey_registered.
func (s *Service) FinishPasskey(ctx context.Context, p identity.Principal, challenge, name string, answer authapi.PasskeyAttestation) (*authapi.MFAEnrolled, error) {
	if err := s.mayEnrol(ctx, p, authapi.MFAPasskey); err != nil {
		return nil, err
	}
	name, err := typed.Name("body.name", name)
	if err != nil {
		return nil, err
	}
	made, err := s.registered(ctx, p.Subject, challenge, answer)
	if err != nil {
		return nil, enrolling(err)
	}
	id, now := s.c.NewID(), store.At(s.c.Now())
	key := passkey{
		User: p.Subject, Credential: credentialHash(made.ID), Name: name, RawID: made.ID, PublicKey: made.PublicKey,
		AAGUID: made.Authenticator.AAGUID, Flags: byte(made.Flags.ProtocolValue()), SignCount: made.Authenticator.SignCount,
		CreatedAt: now, LastUsedAt: &now,
	}
	for _, t := range made.Transport {
		key.Transports = append(key.Transports, string(t))
	}
	messages, err := s.changed(ctx, p, authapi.MFAPasskey, authapi.MFAAdded, "enrol", "passkey:"+id)
	if err != nil {
		return nil, err
	}
	doc, err := s.c.Factors.passkeys.Insert(ctx, id, key, messages...)
	if errors.Is(err, store.ErrDuplicate) {
		return nil, problem.New(http.StatusConflict, authapi.CodePasskeyRegistered, "this passkey is registered already").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("keep a passkey: %w", err)
	}
	enrolled, err := s.strengthen(ctx, p, authapi.MFAPasskey, nil)
	if err == nil {
		view := passkeyView(doc)
		enrolled.Passkey = &view
	}
	return enrolled, err
}

// registered is the credential in an authenticator's answer, if it fits what was asked: errNoCeremony.
func (s *Service) registered(ctx context.Context, user, challenge string, answer authapi.PasskeyAttestation) (*webauthn.Credential, error) {
	c, err := s.ceremonies.take(ctx, ceremonyID(toEnrol, string(authapi.MFAPasskey), challenge), user)
	if err != nil {
		return nil, err
	}
	parsed, err := parseAttestation(answer)
	if err != nil {
		return nil, err
	}
	made, err := s.web.CreateCredential(holder{id: user}, *c.Passkey, parsed)
	if err != nil {
		return nil, errors.Join(errNoCeremony, err)
	}
	return made, nil
}

// parseAttestation reads an authenticator's answer to a registration: errNoCeremony for what is none.
func parseAttestation(answer authapi.PasskeyAttestation) (*protocol.ParsedCredentialCreationData, error) {
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, errors.Join(errNoCeremony, err)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(text)
	if err != nil {
		return nil, errors.Join(errNoCeremony, err)
	}
	return parsed, nil
}

// parseAssertion reads an authenticator's answer to a sign-in: errNoCeremony for what is none.
func parseAssertion(answer authapi.PasskeyAssertion) (*protocol.ParsedCredentialAssertionData, error) {
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, errors.Join(errNoCeremony, err)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(text)
	if err != nil {
		return nil, errors.Join(errNoCeremony, err)
	}
	return parsed, nil
}

// credentialHash keeps long ids out of the index.
func credentialHash(id []byte) string {
	sum := sha256.Sum256(id)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// beginProof asks the user's authenticators for a signature.
func (s *Service) beginProof(ctx context.Context, at showing) (*authapi.MFAChallenge, error) {
	h, err := s.holder(ctx, at.user)
	if err != nil {
		return nil, err
	}
	h.keys = usable(h.keys)
	random, err := s.webauthnChallenge()
	if err != nil {
		return nil, err
	}
	options, session, err := s.web.BeginLogin(h, webauthn.WithChallenge(random))
	if err != nil {
		return nil, fmt.Errorf("ask for a passkey: %w", err)
	}
	return s.beginPasskey(ctx, at.why, at.challenge, at.user, session, options.Response)
}

// provePasskey accepts the signature that was asked for (WebAuthn Level 3, section 7.2), once.
func (s *Service) provePasskey(ctx context.Context, at showing, answer *authapi.PasskeyAssertion) error {
	if answer == nil {
		return wrong(errors.New("no passkey's answer"))
	}
	c, err := s.ceremonies.take(ctx, ceremonyID(at.why, string(authapi.MFAPasskey), at.challenge), at.user)
	if errors.Is(err, errNoCeremony) {
		return wrong(err)
	}
	if err != nil {
		return err
	}
	parsed, err := parseAssertion(*answer)
	if err != nil {
		return wrong(err)
	}
	h, err := s.holder(ctx, at.user)
	if err != nil {
		return err
	}
	h.keys = usable(h.keys)
	if _, err := s.web.ValidateLogin(h, *c.Passkey, parsed); err != nil {
		return wrong(err)
	}
	return s.used(ctx, at, h, parsed)
}

// used notes the use of a passkey whose signature was right, unless its counter went back: then another
// authenticator may hold it as well, and it is refused from then on (WebAuthn Level 3, section 6.1.1).
func (s *Service) used(ctx context.Context, at showing, h holder, parsed *protocol.ParsedCredentialAssertionData) error {
	id := ""
	for _, key := range h.keys {
		if key.Value.Credential == credentialHash(parsed.RawID) {
			id = key.ID
		}
	}
	resource := "passkey:" + id
	accepted, err := s.entry(ctx, at, audit.Entry{Resource: resource})
	if err != nil {
		return err
	}
	refused, err := s.entry(ctx, at, audit.Entry{Action: "auth.mfa.passkey-cloned", Resource: resource, Result: audit.Denied})
	if err != nil {
		return err
	}
	told, err := s.told(ctx, at.user, authapi.MFAPasskey, authapi.MFACloned)
	if err != nil {
		return err
	}
	now, cloned := store.At(s.c.Now()), false
	authenticator := parsed.Response.AuthenticatorData
	_, err = s.c.Factors.passkeys.Update(ctx, id, func(k *passkey) ([]store.Message, error) {
		counter := webauthn.Authenticator{SignCount: k.SignCount}
		counter.UpdateCounter(authenticator.Counter)
		switch cloned = counter.CloneWarning; {
		case k.ClonedAt != nil:
			return nil, wrong(errors.New("a passkey that was cloned"))
		case cloned:
			k.ClonedAt = &now
			return append(refused, told), nil
		}
		flags := webauthn.NewCredentialFlags(protocol.AuthenticatorFlags(k.Flags)).Update(authenticator.Flags)
		k.SignCount, k.Flags, k.LastUsedAt = counter.SignCount, byte(flags.ProtocolValue()), &now
		return accepted, nil
	})
	switch {
	case errors.Is(err, store.ErrNotFound): // removed meanwhile
		return wrong(err)
	case err != nil:
		return err
	case cloned:
		return wrong(errors.New("the signature counter went back"))
	}
	return nil
}

// BeginPasswordless asks whatever passkey a browser has for us to sign in.
func (s *Service) BeginPasswordless(ctx context.Context) (*authapi.MFAChallenge, error) {
	random, err := s.webauthnChallenge()
	if err != nil {
		return nil, err
	}
	options, session, err := s.web.BeginDiscoverableLogin(
		webauthn.WithChallenge(random), webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, fmt.Errorf("ask for a passkey: %w", err)
	}
	return s.beginPasskey(ctx, toSignInAlone, "", "", session, options.Response)
}

// Passwordless is a passkey's answer to BeginPasswordless, and what its user asks for.
type Passwordless struct {
	Challenge    string
	Credential   authapi.PasskeyAssertion
	Organization string
	Scope        string
	RememberMe   bool
}

// FinishPasswordless signs in whoever holds the passkey. That it verified its user makes it two factors: the
// passkey, and what it was unlocked with. Problems: 401 invalid_credentials; as of signin.Service.Begin.
func (s *Service) FinishPasswordless(ctx context.Context, in Passwordless) (*authapi.SignIn, error) {
	scope, err := sessions.ParseScope(in.Scope)
	if err != nil {
		return nil, err
	}
	user, err := s.passwordless(ctx, in)
	if errors.Is(err, errNoCeremony) || problem.Code(err) == authapi.CodeSecondFactorInvalid {
		return nil, problem.New(http.StatusUnauthorized, authapi.CodeInvalidCredentials, "this passkey does not sign in here").Wrap(err)
	}
	if err != nil {
		return nil, err
	}
	return s.c.SignIn.Begin(ctx, signin.Attempt{
		User: user, Organization: in.Organization, AMR: []string{signin.Passkey, signin.MFA}, Strong: true, Scope: scope,
		RememberMe: in.RememberMe,
	})
}

// passwordless is the user whose passkey answered: errNoCeremony.
func (s *Service) passwordless(ctx context.Context, in Passwordless) (string, error) {
	c, err := s.ceremonies.take(ctx, ceremonyID(toSignInAlone, string(authapi.MFAPasskey), in.Challenge), "")
	if err != nil {
		return "", err
	}
	parsed, err := parseAssertion(in.Credential)
	if err != nil {
		return "", err
	}
	var h holder
	var failed error
	_, _, err = s.web.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
		h, failed = s.holder(ctx, string(handle))
		h.keys = usable(h.keys)
		return h, failed
	}, *c.Passkey, parsed)
	switch {
	case failed != nil && !accounts.IsNotFound(failed) && !errors.Is(failed, store.ErrBadID):
		return "", failed
	case err != nil:
		return "", errors.Join(errNoCeremony, err)
	}
	return h.id, s.used(ctx, showing{user: h.id, why: toSignInAlone, method: authapi.MFAPasskey}, h, parsed)
}

// Passkeys are those of user, the first registered first.
func (s *Service) Passkeys(ctx context.Context, user string) (*authapi.Passkeys, error) {
	keys, err := s.c.Factors.passkeysOf(ctx, user)
	if err != nil {
		return nil, err
	}
	return &authapi.Passkeys{Items: passkeyViews(keys)}, nil
}

func passkeyViews(keys []store.Doc[passkey]) []authapi.Passkey {
	views := []authapi.Passkey{}
	for _, key := range keys {
		views = append(views, passkeyView(key))
	}
	return views
}

func passkeyView(doc store.Doc[passkey]) authapi.Passkey {
	v := doc.Value
	return authapi.Passkey{
		ID: doc.ID, Name: v.Name, BackedUp: protocol.AuthenticatorFlags(v.Flags).HasBackupState(), Cloned: v.ClonedAt != nil,
		CreatedAt: v.CreatedAt.Time, LastUsedAt: timeOf(v.LastUsedAt),
	}
}

// Passkey is a passkey of user with its version: 404 for one that is none of theirs.
func (s *Service) Passkey(ctx context.Context, user, id string) (*authapi.Passkey, int64, error) {
	doc, err := s.passkeyOf(ctx, user, id)
	if err != nil {
		return nil, 0, err
	}
	view := passkeyView(doc)
	return &view, doc.Version, nil
}

// RenamePasskey gives a passkey of user another name, if check agrees with its version, and tells its new
// one. Problems: 404, 422 validation_failed, and those of check.
func (s *Service) RenamePasskey(ctx context.Context, user, id, name string, check func(version int64) error) (*authapi.Passkey, int64, error) {
	name, err := typed.Name("body.name", name)
	if err != nil {
		return nil, 0, err
	}
	for {
		doc, err := s.passkeyOf(ctx, user, id)
		if err != nil {
			return nil, 0, err
		}
		if err := check(doc.Version); err != nil {
			return nil, 0, err
		}
		doc.Value.Name = name
		doc, err = s.c.Factors.passkeys.Replace(ctx, doc)
		switch {
		case err == nil:
			view := passkeyView(doc)
			return &view, doc.Version, nil
		case errors.Is(err, store.ErrConflict) && ctx.Err() == nil:
			continue // it was used meanwhile
		}
		return nil, 0, fmt.Errorf("rename a passkey: %w", err)
	}
}

// passkeyOf is a passkey of user: 404 for one that is none of theirs.
func (s *Service) passkeyOf(ctx context.Context, user, id string) (store.Doc[passkey], error) {
	doc, err := s.c.Factors.passkeys.Get(ctx, id)
	if err == nil && doc.Value.User != user || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		return store.Doc[passkey]{}, problem.NotFound("passkey").Wrap(err)
	}
	if err != nil {
		return doc, fmt.Errorf("read a passkey: %w", err)
	}
	return doc, nil
}

// RemovePasskey removes a passkey of the user. Problems: as of mayChange; 404, 409 last_factor.
func (s *Service) RemovePasskey(ctx context.Context, p identity.Principal, id string) error {
	if _, err := s.passkeyOf(ctx, p.Subject, id); err != nil {
		return err
	}
	f, err := s.c.Factors.of(ctx, p.Subject)
	if err != nil {
		return err
	}
	keys, err := s.c.Factors.passkeysOf(ctx, p.Subject)
	if err != nil {
		return err
	}
	if err := mayChange(p, methods(f, keys)); err != nil {
		return err
	}
	var left []store.Doc[passkey]
	for _, key := range keys {
		if key.ID != id {
			left = append(left, key)
		}
	}
	if err := s.notTheLast(ctx, p.Subject, methods(f, left)); err != nil {
		return err
	}
	messages, err := s.changed(ctx, p, authapi.MFAPasskey, authapi.MFARemoved, "remove", "passkey:"+id)
	if err != nil {
		return err
	}
	if err := gone(s.c.Factors.passkeys.Delete(ctx, id, 0, messages...)); err != nil {
		return fmt.Errorf("remove a passkey: %w", err)
	}
	if f.alone() && len(left) == 0 {
		return s.withoutFactors(ctx, p.Subject)
	}
	return nil
}
