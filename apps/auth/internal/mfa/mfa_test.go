package mfa

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/mail"
	"github.com/tandemhq/tandem/pkg/problem"
)

func TestSigningInWithAnApp(t *testing.T) {
	w := newWorld(t)
	secret, enrolled := w.app(t)
	if p := principal(t, enrolled.AccessToken); p.ACR != identity.ACRMultiFactor || !slices.Contains(p.AMR, signin.OTP) || enrolled.RefreshToken != "" {
		t.Errorf("enrolling did not count as a second factor: %+v", p)
	}
	if len(enrolled.RecoveryCodes) != 10 {
		t.Errorf("%d recovery codes with the first factor", len(enrolled.RecoveryCodes))
	}

	answer := w.password(t, "ada", "acme", "")
	if !answer.MFARequired || !slices.Equal(answer.Methods, []authapi.MFAMethod{authapi.MFATOTP, authapi.MFARecovery}) {
		t.Fatalf("asked for %+v", answer)
	}
	code := w.code(t, secret)
	signedIn, err := w.verify(t, answer.Challenge, Proof{Method: authapi.MFATOTP, Code: code})
	if err != nil {
		t.Fatal(err)
	}
	if p := principal(t, signedIn.AccessToken); p.ACR != identity.ACRMultiFactor || strings.Join(p.AMR, " ") != "pwd otp mfa" || p.Subject != "ada" {
		t.Errorf("signed in as %+v", p)
	}
	if signedIn.RefreshToken == "" || signedIn.DeviceToken != "" {
		t.Errorf("%+v", signedIn)
	}
	_, err = w.verify(t, answer.Challenge, Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
	want(t, "the challenge again", err, authapi.CodeChallengeInvalid)
	_, err = w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: code})
	want(t, "the code again", err, authapi.CodeSecondFactorInvalid)
	_, err = w.verify(t, w.waiting(t), Proof{Method: authapi.MFAPasskey})
	want(t, "a factor that is not set up", err, authapi.CodeFactorNotEnrolled)
	w.Pass(11 * time.Minute)
	_, err = w.verify(t, answer.Challenge, Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
	want(t, "an old challenge", err, authapi.CodeChallengeInvalid)

	wantTold := []string{"auth.auth.sign-in success", "auth.mfa.enrol success", "added totp", "auth.mfa.verify success", "auth.auth.sign-in success", "auth.mfa.verify denied"}
	if told := w.told(t); !slices.Equal(told, wantTold) {
		t.Errorf("told %q; want %q", told, wantTold)
	}
}

// A code of an earlier step than the last is refused too: it may have been overlooked by its thief only.
func TestACodeOfAnEarlierStepIsRefused(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.app(t)
	w.Pass(totpStep)
	earlier := w.code(t, secret)
	w.Pass(totpStep)
	if _, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)}); err != nil {
		t.Fatal(err)
	}
	_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: earlier})
	want(t, "the step before", err, authapi.CodeSecondFactorInvalid)
}

func TestACodeShownManyTimesAtOnceSignsInOnce(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.app(t)
	code, challenges := w.code(t, secret), make([]string, 20)
	for i := range challenges {
		challenges[i] = w.waiting(t)
	}
	got := atOnce(t, len(challenges), func(i int) error {
		_, err := w.verify(t, challenges[i], Proof{Method: authapi.MFATOTP, Code: code})
		return err
	})
	if got[""] != 1 || got[""]+got[authapi.CodeSecondFactorInvalid]+got[authapi.CodeFactorLocked] != len(challenges) {
		t.Errorf("%v; want one to sign in", got)
	}
}

func TestAnAppTakesThePlaceOfAnother(t *testing.T) {
	w := newWorld(t)
	first, enrolled := w.app(t)
	p := principal(t, enrolled.AccessToken)
	made, err := w.BeginTOTP(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.StepUp(t.Context(), p, "", Proof{Method: authapi.MFATOTP, Code: w.code(t, first)}); err != nil {
		t.Errorf("the first before the second is confirmed: %v", err)
	}
	again, err := w.ConfirmTOTP(t.Context(), p, w.code(t, made.Secret))
	if err != nil || len(again.RecoveryCodes) != 0 {
		t.Fatalf("%+v, %v; want no more recovery codes", again, err)
	}
	w.Pass(totpStep)
	_, err = w.StepUp(t.Context(), p, "", Proof{Method: authapi.MFATOTP, Code: w.code(t, first)})
	want(t, "the first", err, authapi.CodeSecondFactorInvalid)
	_, err = w.StepUp(t.Context(), p, "", Proof{Method: authapi.MFATOTP, Code: w.code(t, made.Secret)})
	want(t, "the second", err, "")
	if told := w.told(t); !slices.Contains(told, "renewed totp") {
		t.Errorf("told %q", told)
	}
}

func TestSetUpOfAnApp(t *testing.T) {
	w := newWorld(t)
	p := w.fresh(t)
	_, err := w.ConfirmTOTP(t.Context(), p, "123456")
	want(t, "nothing to confirm", err, authapi.CodeSecondFactorInvalid)
	if problem.From(err).Status != 422 {
		t.Errorf("status %d; want 422", problem.From(err).Status)
	}
	made, err := w.BeginTOTP(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse(made.URI)
	if err != nil || uri.Scheme != "otpauth" || uri.Host != "totp" || uri.Path != "/Tandem:ada@example.com" ||
		uri.Query().Get("secret") != made.Secret || uri.Query().Get("issuer") != "Tandem" || uri.Query().Get("digits") != "6" ||
		uri.Query().Get("period") != "30" || uri.Query().Get("algorithm") != "SHA1" || len(made.Secret) != 32 {
		t.Errorf("URI %s, secret %s, %v", made.URI, made.Secret, err)
	}
	_, err = w.ConfirmTOTP(t.Context(), p, "000000")
	want(t, "a wrong code", err, authapi.CodeSecondFactorInvalid)
	eve := principal(t, w.password(t, "eve", "umbrella", "").AccessToken)
	_, err = w.ConfirmTOTP(t.Context(), eve, w.code(t, made.Secret))
	want(t, "another user", err, authapi.CodeSecondFactorInvalid)
	if signedIn := w.password(t, "ada", "acme", ""); signedIn.MFARequired {
		t.Error("an app that was not confirmed counts")
	}
	w.Pass(secretLife)
	p = w.fresh(t)
	_, err = w.ConfirmTOTP(t.Context(), p, w.code(t, made.Secret))
	want(t, "too late", err, authapi.CodeSecondFactorInvalid)
}

func TestWhoMaySetUpAFactor(t *testing.T) {
	w := newWorld(t)
	old := w.fresh(t)
	w.Pass(recent + time.Second)
	_, err := w.BeginTOTP(t.Context(), old)
	want(t, "an old session without a factor", err, authapi.CodeRecentSignInRequired)
	if header := problem.From(err).GetHeaders().Get("WWW-Authenticate"); !strings.Contains(header, `max_age="900"`) {
		t.Errorf("WWW-Authenticate: %s", header)
	}
	w.demand(t, func(m *authapi.MFAPolicy) { m.Methods = []authapi.MFAMethod{authapi.MFATOTP} })
	_, err = w.BeginEmail(t.Context(), w.fresh(t))
	want(t, "a factor that does not count", err, authapi.CodeFactorNotAllowed)

	// Its access token lives for a moment still, and says that it has shown a factor.
	ended := w.fresh(t)
	ended.ACR = identity.ACRMultiFactor
	if err := w.sessions.Revoke(t.Context(), ended.Subject, ended.Session, authapi.ByPassword); err != nil {
		t.Fatal(err)
	}
	_, err = w.BeginTOTP(t.Context(), ended)
	want(t, "a session that has ended", err, problem.CodeNotFound)

	before := w.fresh(t)
	_, enrolled := w.app(t)
	_, err = w.BeginTOTP(t.Context(), before)
	want(t, "a session without its factor", err, problem.CodeStepUp)
	if header := problem.From(err).GetHeaders().Get("WWW-Authenticate"); !strings.Contains(header, `acr_values="mfa"`) {
		t.Errorf("WWW-Authenticate: %s", header)
	}
	w.Pass(time.Hour)
	_, err = w.BeginTOTP(t.Context(), principal(t, enrolled.AccessToken))
	want(t, "a session with its factor", err, "")
}

// A lax organization must not be the way around the second factor that a strict one demands of the same person.
func TestFactorsAreNotChangedWithLessThanThemselves(t *testing.T) {
	w := newWorld(t)
	secret, enrolled := w.app(t)
	w.demand(t, func(m *authapi.MFAPolicy) { m.Methods = []authapi.MFAMethod{authapi.MFAEmail} })
	p := w.fresh(t) // acme does not count the app, and demands nothing
	begun, err := w.StepUpChallenge(t.Context(), p, authapi.MFAEmail)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := w.StepUp(t.Context(), p, begun.Challenge, Proof{Method: authapi.MFAEmail, Code: w.mailed(t)})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]identity.Principal{"with a password": p, "with a code by mail": principal(t, answer.AccessToken)} {
		_, err := w.BeginEmail(t.Context(), p)
		want(t, "enrol "+name, err, problem.CodeStepUp)
		_, err = w.RenewRecovery(t.Context(), p)
		want(t, "renew "+name, err, problem.CodeStepUp)
		want(t, "remove "+name, w.Remove(t.Context(), p, authapi.MFATOTP), problem.CodeStepUp)
	}
	_, err = w.StepUp(t.Context(), p, "", Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
	want(t, "the app where it does not count", err, authapi.CodeFactorNotEnrolled)
	want(t, "remove with the app", w.Remove(t.Context(), principal(t, enrolled.AccessToken), authapi.MFATOTP), "")
}

func TestFiveFailuresLockAFactor(t *testing.T) {
	w := newWorld(t)
	secret, enrolled := w.app(t)
	for i := range 5 {
		_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: "000000"})
		want(t, fmt.Sprintf("failure %d", i+1), err, authapi.CodeSecondFactorInvalid)
	}
	w.Pass(5 * time.Minute)
	_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
	want(t, "the right code", err, authapi.CodeFactorLocked)
	if p := problem.From(err); p.Status != 429 || p.RetryAfter() != 10*time.Minute {
		t.Errorf("status %d, retry after %v", p.Status, p.RetryAfter())
	}
	_, err = w.StepUp(t.Context(), principal(t, enrolled.AccessToken), "", Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
	want(t, "the right code in a session", err, authapi.CodeFactorLocked)
	_, err = w.verify(t, w.waiting(t), Proof{Method: authapi.MFARecovery, Code: enrolled.RecoveryCodes[0]})
	want(t, "another factor", err, "")
	w.Pass(10 * time.Minute)
	_, err = w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
	want(t, "after 15 minutes", err, "")
	if told := w.told(t); !slices.Contains(told, "locked totp") {
		t.Errorf("the lock was not told: %q", told)
	}
}

func TestASuccessForgetsFailures(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.app(t)
	for range 3 {
		for range 4 {
			_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: "000000"})
			want(t, "a failure", err, authapi.CodeSecondFactorInvalid)
		}
		_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
		want(t, "the right code", err, "")
		w.Pass(totpStep)
	}
}

// However many are made at once, no more guesses are answered than one after the other would be.
func TestGuessesMadeAtOnceAreLockedToo(t *testing.T) {
	w := newWorld(t)
	w.app(t)
	challenge := w.waiting(t)
	got := atOnce(t, 50, func(i int) error {
		_, err := w.verify(t, challenge, Proof{Method: authapi.MFATOTP, Code: fmt.Sprintf("%06d", i)})
		return err
	})
	if got[authapi.CodeSecondFactorInvalid] != 5 || got[authapi.CodeFactorLocked] != 45 {
		t.Errorf("%v; want 5 answers", got)
	}
}

// A used code that comes again must not make failures count from the start.
func TestAUsedCodeDoesNotForgetFailures(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.app(t)
	used := w.code(t, secret)
	if _, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: used}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		code := "000000"
		if i == 3 {
			code = used
		}
		_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: code})
		want(t, "a guess", err, authapi.CodeSecondFactorInvalid)
	}
	_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: "000000"})
	want(t, "one more", err, authapi.CodeFactorLocked)
}

func TestStepUp(t *testing.T) {
	w := newWorld(t)
	before := w.fresh(t)
	secret, _ := w.app(t)
	answer, err := w.StepUp(t.Context(), before, "", Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)})
	if err != nil {
		t.Fatal(err)
	}
	after := principal(t, answer.AccessToken)
	if after.ACR != identity.ACRMultiFactor || after.Session != before.Session || answer.RefreshToken != "" {
		t.Errorf("before %+v, after %+v", before, after)
	}
	for _, method := range []authapi.MFAMethod{authapi.MFAEmail, authapi.MFASMS, authapi.MFAPasskey} {
		_, err := w.StepUpChallenge(t.Context(), before, method)
		want(t, string(method), err, authapi.CodeFactorNotEnrolled)
	}
	_, err = w.StepUpChallenge(t.Context(), before, authapi.MFATOTP)
	want(t, "nothing to send", err, problem.CodeValidation)
}

// Who must show a second factor and has none gets in with a code by mail, to set up another.
func TestAFactorThatEverybodyHas(t *testing.T) {
	w := newWorld(t)
	w.demand(t, func(m *authapi.MFAPolicy) { m.RequiredRoles = []string{"*"} })
	answer := w.password(t, "ada", "acme", "")
	if !slices.Equal(answer.Methods, []authapi.MFAMethod{authapi.MFAEmail}) {
		t.Fatalf("%+v", answer)
	}
	sent, err := w.Challenge(t.Context(), answer.Challenge, authapi.MFAEmail)
	if err != nil || sent.SentTo != "a•••@example.com" || sent.ExpiresIn != 600 || sent.Challenge != answer.Challenge {
		t.Fatalf("%+v, %v", sent, err)
	}
	signedIn, err := w.verify(t, answer.Challenge, Proof{Method: authapi.MFAEmail, Code: w.mailed(t)})
	if err != nil || principal(t, signedIn.AccessToken).ACR != identity.ACRMultiFactor {
		t.Fatalf("%+v, %v", signedIn, err)
	}
	w.Pass(time.Hour)
	if _, err := w.BeginTOTP(t.Context(), principal(t, signedIn.AccessToken)); err != nil {
		t.Errorf("set up another: %v", err)
	}
}

func TestWhatIsNotTheFirstFactorToGo(t *testing.T) {
	w := newWorld(t)
	_, enrolled := w.app(t)
	p := principal(t, enrolled.AccessToken)
	want(t, "what is not there", w.Remove(t.Context(), p, authapi.MFASMS), problem.CodeNotFound)
	w.demand(t, func(m *authapi.MFAPolicy) {
		m.RequiredRoles, m.Methods = []string{"owner"}, []authapi.MFAMethod{authapi.MFATOTP, authapi.MFAPasskey, authapi.MFARecovery}
	})
	want(t, "the last", w.Remove(t.Context(), p, authapi.MFATOTP), authapi.CodeLastFactor)
	elsewhere := p
	elsewhere.Organization = "umbrella"
	want(t, "the last, from elsewhere", w.Remove(t.Context(), elsewhere, authapi.MFATOTP), authapi.CodeLastFactor)
	key := w.passkey(t, p)
	want(t, "one of two", w.Remove(t.Context(), p, authapi.MFATOTP), "")
	want(t, "the other", w.RemovePasskey(t.Context(), key.as, key.id), authapi.CodeLastFactor)
	w.demand(t, func(m *authapi.MFAPolicy) { m.RequiredRoles = nil })
	want(t, "the last that nobody demands", w.RemovePasskey(t.Context(), key.as, key.id), "")
	view, err := w.Show(t.Context(), p)
	if err != nil || len(view.Methods) != 0 || view.RecoveryCodes != 0 {
		t.Errorf("%+v, %v; want nothing left", view, err)
	}
	if signedIn := w.password(t, "ada", "acme", ""); signedIn.MFARequired {
		t.Errorf("asked for %v", signedIn.Methods)
	}
}

func TestShow(t *testing.T) {
	w := newWorld(t)
	w.demand(t, func(m *authapi.MFAPolicy) { m.RequiredRoles = []string{"admin"} })
	view, err := w.Show(t.Context(), w.fresh(t))
	if err != nil || view.Required || len(view.Methods) != 0 || view.Methods == nil || view.Passkeys == nil || len(view.Allowed) != 5 {
		t.Errorf("%+v, %v", view, err)
	}
	_, enrolled := w.app(t)
	p := principal(t, enrolled.AccessToken)
	w.telephone(t, p)
	w.demand(t, func(m *authapi.MFAPolicy) { m.RequiredRoles = []string{"owner"} })
	view, err = w.Show(t.Context(), p)
	if err != nil || !view.Required || view.RecoveryCodes != 10 || view.TOTP == nil || view.SMS == nil || view.SMS.Number != "+44•••••••000" || view.Email != nil {
		t.Errorf("%+v, %v", view, err)
	}
	wanted := []authapi.MFAMethod{authapi.MFATOTP, authapi.MFASMS, authapi.MFARecovery}
	if !slices.Equal(view.Methods, wanted) {
		t.Errorf("methods %v; want %v", view.Methods, wanted)
	}
}

func TestUsersAreToldByMail(t *testing.T) {
	w := newWorld(t)
	w.app(t)
	for method := range nouns {
		for _, change := range []authapi.MFAChange{authapi.MFAAdded, authapi.MFARemoved, authapi.MFARenewed, authapi.MFAUsed, authapi.MFALocked, authapi.MFACloned} {
			what, more := sentences(method, change)
			if !strings.Contains(what, nouns[method]) || strings.HasSuffix(what, ".") || more != "" && !strings.HasSuffix(more, ".") {
				t.Errorf("%s %s: %q, %q", method, change, what, more)
			}
		}
	}
	var told []mail.Message
	for _, e := range w.Outbox(t) {
		if e.Type != authapi.MFAChanged.Name {
			continue
		}
		if err := notifying(w).Handle(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		told = w.mails
	}
	if len(told) != 1 || told[0].To != "ada@example.com" || told[0].Subject != "A new authenticator app was added to your account" {
		t.Errorf("mails: %+v", told)
	}
	if err := w.people.Users.Delete(t.Context(), "ada", 0); err != nil {
		t.Fatal(err)
	}
	for _, e := range w.Outbox(t) {
		if e.Type == authapi.MFAChanged.Name {
			if err := notifying(w).Handle(t.Context(), e); err != nil || len(w.mails) != 1 {
				t.Errorf("a user who is gone: %v, %d mails", err, len(w.mails))
			}
		}
	}
}

// Whoever reads the database or the events gets nothing to sign in with.
func TestNothingSecretIsStoredOrTold(t *testing.T) {
	w := newWorld(t)
	secret, enrolled := w.app(t)
	p := principal(t, enrolled.AccessToken)
	w.telephone(t, p)
	secrets := append([]string{secret, w.texted(t)}, enrolled.RecoveryCodes...)
	challenge := w.waiting(t)
	if _, err := w.Challenge(t.Context(), challenge, authapi.MFASMS); err == nil {
		t.Fatal("a code a minute at most")
	}
	w.Pass(time.Minute)
	if _, err := w.Challenge(t.Context(), challenge, authapi.MFASMS); err != nil {
		t.Fatal(err)
	}
	code := w.texted(t)
	signedIn, err := w.Verify(t.Context(), Verification{Challenge: w.waiting(t), Proof: Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)}, Remember: true})
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, challenge, code, signedIn.DeviceToken, strings.Split(signedIn.DeviceToken, ".")[1])
	raw, err := totpEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, string(raw), base64.StdEncoding.EncodeToString(raw))
	stored := w.kept(t) + w.passing(t)
	for _, e := range w.Outbox(t) {
		stored += string(e.Data) + "\n"
	}
	for _, text := range secrets {
		if strings.Contains(stored, text) || strings.Contains(stored, strings.ReplaceAll(text, "-", "")) {
			t.Errorf("%q is there to read:\n%s", text, stored)
		}
	}
	for _, personal := range []string{"ada@example.com", number} {
		for _, e := range w.Outbox(t) {
			if strings.Contains(string(e.Data), personal) {
				t.Errorf("an event has %s: %s", personal, e.Data)
			}
		}
	}
}

func TestForgettingAndErasing(t *testing.T) {
	w := newWorld(t)
	secret, enrolled := w.app(t)
	p := principal(t, enrolled.AccessToken)
	key := w.passkey(t, p)
	if _, err := w.BeginTOTP(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: "000000"}); err == nil {
		t.Fatal("a guess was right")
	}
	if _, err := w.Verify(t.Context(), Verification{Challenge: w.waiting(t), Proof: Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)}, Remember: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFATOTP, Code: "000000"}); err == nil {
		t.Fatal("a guess was right")
	}
	forget := func() string {
		t.Helper()
		if err := w.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w.passing(t)
	}
	if left := forget(); strings.Count(left, "\n") != 3 {
		t.Errorf("too early: %s", left)
	}
	w.Pass(time.Hour)
	if left := forget(); strings.Count(left, "\n") != 1 || !strings.Contains(left, `"digest"`) {
		t.Errorf("an hour later there is more than the device: %s", left)
	}
	w.Pass(30 * 24 * time.Hour)
	if left := forget(); left != "" {
		t.Errorf("30 days later: %s", left)
	}
	if err := w.Erase(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if left := w.kept(t) + w.passing(t); left != "" {
		t.Errorf("after erasing: %s", left)
	}
	if err := w.Erase(t.Context(), "ada"); err != nil {
		t.Errorf("erasing again: %v", err)
	}
	want(t, "a key that is gone", w.RemovePasskey(t.Context(), p, key.id), problem.CodeNotFound)
}

func TestARelyingPartyThatCannotBe(t *testing.T) {
	for name, party := range map[string]RelyingParty{
		"no origins":   {ID: "example.com"},
		"no domain":    {ID: "https://example.com", Origins: []string{"https://example.com"}},
		"with a port":  {ID: "example.com:443", Origins: []string{"https://example.com"}},
		"what is none": {ID: "exa mple", Origins: []string{"https://example.com"}},
	} {
		if _, err := newWebAuthn(party.completed()); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := newWebAuthn(RelyingParty{}.completed()); err != nil {
		t.Errorf("the default: %v", err)
	}
}
