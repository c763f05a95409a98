package mfa

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// registered is an authenticator whose passkey has an id with us, and who registered it.
type registered struct {
	*authenticator
	id string
	as identity.Principal
}

// passkey registers one of a new authenticator.
func (w *world) passkey(t testing.TB, p identity.Principal) registered {
	t.Helper()
	a := newAuthenticator(t)
	enrolled := w.register(t, p, a)
	return registered{a, enrolled.Passkey.ID, principal(t, enrolled.AccessToken)}
}

func (w *world) register(t testing.TB, p identity.Principal, a *authenticator) *authapi.MFAEnrolled {
	t.Helper()
	begun, err := w.BeginPasskey(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	enrolled, err := w.FinishPasskey(t.Context(), p, begun.Challenge, "Ada's phone", a.create(begun.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return enrolled
}

func (w *world) withPasskey(t testing.TB, a *authenticator, change func(*authapi.PasskeyAssertion)) error {
	t.Helper()
	challenge := w.waiting(t)
	begun, err := w.Challenge(t.Context(), challenge, authapi.MFAPasskey)
	if err != nil {
		t.Fatal(err)
	}
	answer := a.get(begun.PublicKey)
	if change != nil {
		change(&answer)
	}
	_, err = w.verify(t, challenge, Proof{Method: authapi.MFAPasskey, Credential: &answer})
	return err
}

func TestSigningInWithAPasskey(t *testing.T) {
	w := newWorld(t)
	p := w.fresh(t)
	a := newAuthenticator(t)
	enrolled := w.register(t, p, a)
	if after := principal(t, enrolled.AccessToken); after.ACR != identity.ACRMultiFactor || !slices.Contains(after.AMR, "hwk") || after.Session != p.Session {
		t.Errorf("enrolling did not count as a second factor: %+v", after)
	}
	if len(enrolled.RecoveryCodes) != 10 || enrolled.Passkey.Name != "Ada's phone" || enrolled.Passkey.Cloned || enrolled.Passkey.BackedUp {
		t.Errorf("%+v", enrolled)
	}
	challenge := w.waiting(t)
	begun, err := w.Challenge(t.Context(), challenge, authapi.MFAPasskey)
	if err != nil {
		t.Fatal(err)
	}
	if begun.PublicKey["rpId"] != "localhost" || begun.PublicKey["userVerification"] != "preferred" || begun.ExpiresIn != 300 || !a.offers(begun.PublicKey, "allowCredentials") {
		t.Errorf("asked for %+v", begun)
	}
	a.flags = present // as a key without a PIN; the password was the other factor
	answer := a.get(begun.PublicKey)
	signedIn, err := w.verify(t, challenge, Proof{Method: authapi.MFAPasskey, Credential: &answer})
	if err != nil {
		t.Fatal(err)
	}
	if after := principal(t, signedIn.AccessToken); strings.Join(after.AMR, " ") != "pwd hwk mfa" || after.ACR != identity.ACRMultiFactor {
		t.Errorf("signed in as %+v", after)
	}
	_, err = w.StepUp(t.Context(), p, challenge, Proof{Method: authapi.MFAPasskey, Credential: &answer})
	want(t, "the answer of a sign-in in a session", err, authapi.CodeSecondFactorInvalid)
	begun, err = w.StepUpChallenge(t.Context(), p, authapi.MFAPasskey)
	if err != nil {
		t.Fatal(err)
	}
	answer = a.get(begun.PublicKey)
	if _, err = w.StepUp(t.Context(), p, begun.Challenge, Proof{Method: authapi.MFAPasskey, Credential: &answer}); err != nil {
		t.Errorf("step up: %v", err)
	}
	list, err := w.Passkeys(t.Context(), "ada")
	if err != nil || len(list.Items) != 1 || list.Items[0].LastUsedAt == nil {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestPasskeysThatAreRefused(t *testing.T) {
	w := newWorld(t)
	p := w.fresh(t)
	a := newAuthenticator(t)
	p = principal(t, w.register(t, p, a).AccessToken)
	stranger := newAuthenticator(t)
	eve := principal(t, w.password(t, "eve", "umbrella", "").AccessToken)
	w.register(t, eve, stranger)
	for _, c := range []struct {
		name   string
		with   func(*authenticator)
		change func(*authapi.PasskeyAssertion)
		code   string
	}{
		{name: "as it is"},
		{name: "another site's page", with: func(a *authenticator) { a.origin = "http://localhost.example:8000" }, code: authapi.CodeSecondFactorInvalid},
		{name: "another port", with: func(a *authenticator) { a.origin = "http://localhost:9000" }, code: authapi.CodeSecondFactorInvalid},
		{name: "another relying party", with: func(a *authenticator) { a.party = "example.com" }, code: authapi.CodeSecondFactorInvalid},
		{name: "nobody present", with: func(a *authenticator) { a.flags = 0 }, code: authapi.CodeSecondFactorInvalid},
		{name: "another user's", with: func(a *authenticator) { *a = *stranger }, code: authapi.CodeSecondFactorInvalid},
		{name: "another user's, under the own id", with: func(a *authenticator) { a.key = stranger.key }, code: authapi.CodeSecondFactorInvalid},
		{name: "a changed signature", change: func(c *authapi.PasskeyAssertion) { c.Response.Signature = c.Response.Signature[:20] }, code: authapi.CodeSecondFactorInvalid},
		{name: "another user's handle", change: func(c *authapi.PasskeyAssertion) { c.Response.UserHandle = b64([]byte("eve")) }, code: authapi.CodeSecondFactorInvalid},
		{name: "rubbish", change: func(c *authapi.PasskeyAssertion) { c.Response.AuthenticatorData = "AAAA" }, code: authapi.CodeSecondFactorInvalid},
		{name: "ids that differ", change: func(c *authapi.PasskeyAssertion) { c.RawID = b64(stranger.id) }, code: authapi.CodeSecondFactorInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			with := a.copied()
			if c.with != nil {
				c.with(with)
			}
			want(t, c.name, w.withPasskey(t, with, c.change), c.code)
			a.counter = max(a.counter, with.counter)
			want(t, "afterwards", w.withPasskey(t, a, nil), "") // or the sixth would be locked out
		})
	}
	want(t, "no answer", func() error {
		_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFAPasskey, Code: "123456"})
		return err
	}(), authapi.CodeSecondFactorInvalid)

	challenge := w.waiting(t)
	begun, err := w.Challenge(t.Context(), challenge, authapi.MFAPasskey)
	if err != nil {
		t.Fatal(err)
	}
	w.Pass(passkeyLife)
	answer := a.get(begun.PublicKey)
	_, err = w.verify(t, challenge, Proof{Method: authapi.MFAPasskey, Credential: &answer})
	want(t, "after five minutes", err, authapi.CodeSecondFactorInvalid)
	_, err = w.BeginPasskey(t.Context(), p)
	want(t, "another", err, "")
}

// The counter of a copy falls behind, and from then on neither is accepted.
func TestACopiedPasskeyIsRefusedFromThenOn(t *testing.T) {
	w := newWorld(t)
	key := w.passkey(t, w.fresh(t))
	stolen := key.copied()
	want(t, "the original", w.withPasskey(t, key.authenticator, nil), "")
	want(t, "the original", w.withPasskey(t, key.authenticator, nil), "")
	want(t, "the copy", w.withPasskey(t, stolen, nil), authapi.CodeSecondFactorInvalid)
	if answer := w.password(t, "ada", "acme", ""); !slices.Equal(answer.Methods, []authapi.MFAMethod{authapi.MFAEmail, authapi.MFARecovery}) {
		t.Errorf("asked for %v, where a password alone is not enough and the passkey is refused", answer.Methods)
	}
	if told := w.told(t); !slices.Contains(told, "cloned passkey") || !slices.Contains(told, "auth.mfa.passkey-cloned denied") {
		t.Errorf("told %q", told)
	}
	list, err := w.Passkeys(t.Context(), "ada")
	if err != nil || !list.Items[0].Cloned {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := w.passwordlessly(t, key.authenticator, nil); problem.Code(err) != authapi.CodeInvalidCredentials {
		t.Errorf("the original alone: %v", err)
	}
}

func TestPasskeysThatDoNotCount(t *testing.T) {
	w := newWorld(t)
	a := newAuthenticator(t)
	a.step = 0 // as those that password managers keep
	w.register(t, w.fresh(t), a)
	for range 3 {
		want(t, "a counter that stays 0", w.withPasskey(t, a, nil), "")
	}
}

func TestAnAnswerGivenManyTimesAtOnceSignsInOnce(t *testing.T) {
	w := newWorld(t)
	key := w.passkey(t, w.fresh(t))
	begun, err := w.BeginPasswordless(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answer := key.get(begun.PublicKey)
	got := atOnce(t, 20, func(int) error {
		_, err := w.FinishPasswordless(t.Context(), Passwordless{Challenge: begun.Challenge, Credential: answer})
		return err
	})
	if got[""] != 1 || got[authapi.CodeInvalidCredentials] != 19 {
		t.Errorf("%v; want one to sign in", got)
	}
}

// Two answers with one counter are two authenticators, also when both come at once.
func TestCopiesAtOnceAreFound(t *testing.T) {
	w := newWorld(t)
	key := w.passkey(t, w.fresh(t))
	challenges, answers := make([]string, 2), make([]authapi.PasskeyAssertion, 2)
	for i, a := range []*authenticator{key.copied(), key.copied()} {
		begun, err := w.BeginPasswordless(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		challenges[i], answers[i] = begun.Challenge, a.get(begun.PublicKey)
	}
	got := atOnce(t, 2, func(i int) error {
		_, err := w.FinishPasswordless(t.Context(), Passwordless{Challenge: challenges[i], Credential: answers[i]})
		return err
	})
	if got[""] != 1 || got[authapi.CodeInvalidCredentials] != 1 {
		t.Errorf("%v; want one to sign in", got)
	}
}

func (w *world) passwordlessly(t testing.TB, a *authenticator, change func(*Passwordless)) (*authapi.SignIn, error) {
	t.Helper()
	begun, err := w.BeginPasswordless(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := Passwordless{Challenge: begun.Challenge, Credential: a.get(begun.PublicKey)}
	if change != nil {
		change(&in)
	}
	return w.FinishPasswordless(t.Context(), in)
}

func TestSigningInWithAPasskeyAlone(t *testing.T) {
	w := newWorld(t)
	key := w.passkey(t, w.fresh(t))
	begun, err := w.BeginPasswordless(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if begun.PublicKey["userVerification"] != "required" || begun.PublicKey["allowCredentials"] != nil {
		t.Errorf("asked for %+v", begun)
	}
	signedIn, err := w.passwordlessly(t, key.authenticator, func(in *Passwordless) { in.Organization, in.Scope = "umbrella", "analytics.*:read" })
	if err != nil {
		t.Fatal(err)
	}
	p := principal(t, signedIn.AccessToken)
	if p.Subject != "ada" || p.Organization != "umbrella" || p.ACR != identity.ACRMultiFactor || strings.Join(p.AMR, " ") != "hwk mfa" ||
		signedIn.RefreshToken == "" || signedIn.Scope != "analytics.*:read" || signedIn.MFARequired {
		t.Errorf("signed in as %+v: %+v", p, signedIn)
	}
	stranger := newAuthenticator(t)
	stranger.handle = []byte("ada")
	nobody := newAuthenticator(t)
	nobody.handle = []byte("\x00nobody")
	for name, c := range map[string]struct {
		with   *authenticator
		change func(*Passwordless)
		code   string
	}{
		"not verified":       {with: func() *authenticator { a := key.copied(); a.flags = present; return a }(), code: authapi.CodeInvalidCredentials},
		"a passkey of none":  {with: stranger, code: authapi.CodeInvalidCredentials},
		"a user of none":     {with: nobody, code: authapi.CodeInvalidCredentials},
		"nobody's":           {with: newAuthenticator(t), code: authapi.CodeInvalidCredentials},
		"another challenge":  {with: key.copied(), change: func(in *Passwordless) { in.Challenge = strings.Repeat("0", 64) }, code: authapi.CodeInvalidCredentials},
		"no answer":          {with: key.copied(), change: func(in *Passwordless) { in.Credential = authapi.PasskeyAssertion{} }, code: authapi.CodeInvalidCredentials},
		"a scope of none":    {with: key.copied(), change: func(in *Passwordless) { in.Scope = "everything" }, code: authapi.CodeInvalidScope},
		"not a member there": {with: key.authenticator, change: func(in *Passwordless) { in.Organization = "elsewhere" }, code: authapi.CodeNoOrganization},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.passwordlessly(t, c.with, c.change)
			want(t, name, err, c.code)
		})
	}
	// The passkey was right twice. Which organization it is for was only asked for, so both have it in their logs.
	shown := 0
	for _, entry := range w.told(t) {
		if entry == "auth.mfa.verify success" {
			shown++
		}
	}
	if shown != 4 {
		t.Errorf("%d passkeys in the logs; want 2 in each of 2: %q", shown, w.told(t))
	}
}

func TestRegistrationsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	p := w.fresh(t)
	a := newAuthenticator(t)
	p = principal(t, w.register(t, p, a).AccessToken)
	eve := principal(t, w.password(t, "eve", "umbrella", "").AccessToken)
	begin := func(p identity.Principal) *authapi.MFAChallenge {
		begun, err := w.BeginPasskey(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return begun
	}
	if begun := begin(p); !a.offers(begun.PublicKey, "excludeCredentials") || begun.PublicKey["attestation"] != "none" {
		t.Errorf("asked for %+v", begun)
	}
	begun := begin(p)
	_, err := w.FinishPasskey(t.Context(), p, begun.Challenge, "Again", a.create(begun.PublicKey))
	want(t, "the same passkey", err, authapi.CodePasskeyRegistered)
	begun = begin(eve)
	_, err = w.FinishPasskey(t.Context(), eve, begun.Challenge, "Mine", a.copied().create(begun.PublicKey))
	want(t, "another user's passkey", err, authapi.CodePasskeyRegistered)
	begun = begin(p)
	_, err = w.FinishPasskey(t.Context(), eve, begun.Challenge, "Mine", newAuthenticator(t).create(begun.PublicKey))
	want(t, "what another user began", err, authapi.CodeSecondFactorInvalid)
	elsewhere := newAuthenticator(t)
	elsewhere.origin = "https://evil.example"
	begun = begin(p)
	_, err = w.FinishPasskey(t.Context(), p, begun.Challenge, "Elsewhere", elsewhere.create(begun.PublicKey))
	want(t, "another site's page", err, authapi.CodeSecondFactorInvalid)
	_, err = w.FinishPasskey(t.Context(), p, begun.Challenge, "Again", newAuthenticator(t).create(begun.PublicKey))
	want(t, "a second answer", err, authapi.CodeSecondFactorInvalid)
	begun = begin(p)
	_, err = w.FinishPasskey(t.Context(), p, begun.Challenge, " \n ", newAuthenticator(t).create(begun.PublicKey))
	want(t, "no name", err, problem.CodeValidation)
	w.Pass(passkeyLife)
	_, err = w.FinishPasskey(t.Context(), p, begun.Challenge, "Late", newAuthenticator(t).create(begun.PublicKey))
	want(t, "too late", err, authapi.CodeSecondFactorInvalid)
	for range maxPasskeys - 1 {
		w.passkey(t, p)
	}
	_, err = w.BeginPasskey(t.Context(), p)
	want(t, "too many", err, authapi.CodeTooManyPasskeys)
}

func TestNamesOfPasskeys(t *testing.T) {
	w := newWorld(t)
	before := w.fresh(t)
	key := w.passkey(t, before)
	_, version, err := w.Passkey(t.Context(), "ada", key.id)
	if err != nil {
		t.Fatal(err)
	}
	at := func(wanted int64) func(int64) error {
		return func(v int64) error {
			if v != wanted {
				return problem.New(412, problem.CodePrecondition, "changed")
			}
			return nil
		}
	}
	view, next, err := w.RenamePasskey(t.Context(), "ada", key.id, "  Key ring ", at(version))
	if err != nil || view.Name != "Key ring" || next == version {
		t.Errorf("%+v, version %d after %d, %v", view, next, version, err)
	}
	_, _, err = w.RenamePasskey(t.Context(), "ada", key.id, "Other", at(version))
	want(t, "an old version", err, problem.CodePrecondition)
	_, _, err = w.RenamePasskey(t.Context(), "eve", key.id, "Mine", at(next))
	want(t, "another user's", err, problem.CodeNotFound)
	_, _, err = w.Passkey(t.Context(), "eve", key.id)
	want(t, "another user's", err, problem.CodeNotFound)
	eve := identity.Principal{Subject: "eve", Organization: "umbrella"}
	want(t, "another user's", w.RemovePasskey(t.Context(), eve, key.id), problem.CodeNotFound)
	want(t, "the own, with a password", w.RemovePasskey(t.Context(), before, key.id), problem.CodeStepUp)
	want(t, "the own", w.RemovePasskey(t.Context(), key.as, key.id), "")
	want(t, "again", w.RemovePasskey(t.Context(), key.as, key.id), problem.CodeNotFound)
}

func TestQueriesHaveIndexes(t *testing.T) {
	w := newWorld(t)
	f, due := w.c.Factors, store.Range{Field: "expires_at", To: store.At(time.Now())}
	for name, explain := range map[string]func() (store.Plan, error){
		byUser: func() (store.Plan, error) {
			return f.passkeys.Explain(t.Context(), store.Query{Index: byUser, Equal: []any{"ada"}}, nil, nil)
		},
		byExpiry: func() (store.Plan, error) {
			return w.ceremonies.Explain(t.Context(), store.Query{Index: byExpiry, Range: due}, nil, nil)
		},
		byDeletion: func() (store.Plan, error) {
			old := due
			old.Field = "delete_after"
			return w.tallies.Explain(t.Context(), store.Query{Index: byDeletion, Range: old}, nil, nil)
		},
	} {
		if plan, err := explain(); err != nil || plan.Index != name || plan.Sorts {
			t.Errorf("%s: %+v, %v", name, plan, err)
		}
	}
}

// FuzzAssertion changes the parts of a right answer: nothing but what was signed may be accepted, and nothing
// may crash.
func FuzzAssertion(f *testing.F) {
	w := newWorld(f)
	key := w.passkey(f, w.fresh(f)).authenticator
	h, err := w.holder(f.Context(), "ada")
	if err != nil {
		f.Fatal(err)
	}
	options, session, err := w.web.BeginLogin(h)
	if err != nil {
		f.Fatal(err)
	}
	var asked map[string]any
	decode(f, encoded(f, options.Response), &asked)
	right := key.get(asked)
	client, data := plain(f, right.Response.ClientDataJSON), plain(f, right.Response.AuthenticatorData)
	f.Add(key.id, client, data, plain(f, right.Response.Signature), key.handle, "public-key")
	f.Add(key.id, []byte("{}"), data[:36], []byte{}, []byte{}, "public-key")
	f.Add([]byte{}, []byte("null"), append(data[:32:32], 0xff), []byte{0x30}, []byte("eve"), "")
	f.Fuzz(func(t *testing.T, id, clientData, authenticatorData, signature, handle []byte, kind string) {
		answer := authapi.PasskeyAssertion{ID: b64(id), RawID: b64(id), Type: kind}
		answer.Response.ClientDataJSON, answer.Response.AuthenticatorData = b64(clientData), b64(authenticatorData)
		answer.Response.Signature, answer.Response.UserHandle = b64(signature), b64(handle)
		parsed, err := parseAssertion(answer)
		if err != nil {
			return
		}
		if len(parsed.RawID) == 0 {
			t.Error("an answer without an id was read")
		}
		if _, err := w.web.ValidateLogin(h, *session, parsed); err != nil {
			return
		}
		if !bytes.Equal(id, key.id) || !bytes.Equal(clientData, client) || !bytes.Equal(authenticatorData, data) {
			t.Errorf("accepted what was not signed: id %x, client data %q, authenticator data %x", id, clientData, authenticatorData)
		}
	})
}

// plain is what a base64url text stands for.
func plain(t testing.TB, text string) []byte {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// FuzzAttestation reads what claims to be a new passkey, and tries to register it.
func FuzzAttestation(f *testing.F) {
	w := newWorld(f)
	h, err := w.holder(f.Context(), "ada")
	if err != nil {
		f.Fatal(err)
	}
	options, session, err := w.web.BeginRegistration(h)
	if err != nil {
		f.Fatal(err)
	}
	var asked map[string]any
	decode(f, encoded(f, options.Response), &asked)
	a := newAuthenticator(f)
	right := a.create(asked)
	client, object := plain(f, right.Response.ClientDataJSON), plain(f, right.Response.AttestationObject)
	f.Add(a.id, client, object, "internal")
	f.Add(a.id, client, cbor(f, map[string]any{"fmt": "packed", "attStmt": map[string]any{"alg": -7, "sig": []byte{1}}, "authData": []byte{}}), "usb")
	f.Add([]byte{}, []byte("{}"), []byte{0xa0}, "")
	f.Fuzz(func(t *testing.T, id, clientData, attestationObject []byte, transport string) {
		answer := authapi.PasskeyAttestation{ID: b64(id), RawID: b64(id), Type: "public-key"}
		answer.Response.ClientDataJSON, answer.Response.AttestationObject = b64(clientData), b64(attestationObject)
		answer.Response.Transports = []string{transport}
		parsed, err := parseAttestation(answer)
		if err != nil {
			return
		}
		made, err := w.web.CreateCredential(h, *session, parsed)
		if err != nil {
			return
		}
		if !bytes.Equal(made.ID, id) || len(made.ID) == 0 || len(made.PublicKey) == 0 {
			t.Errorf("registered %x from the answer of %x", made.ID, id)
		}
	})
}
