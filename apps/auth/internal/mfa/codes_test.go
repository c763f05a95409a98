package mfa

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

func TestCodesByTextMessage(t *testing.T) {
	w := newWorld(t)
	p := w.fresh(t)
	sent, err := w.BeginSMS(t.Context(), p, number)
	if err != nil || sent.SentTo != "+44•••••••000" || sent.ExpiresIn != 600 || sent.Method != authapi.MFASMS {
		t.Fatalf("%+v, %v", sent, err)
	}
	text := w.texts[0]
	if code := w.texted(t); text.To != number || !strings.HasSuffix(text.Text, "\n\n@localhost #"+code) {
		t.Errorf("text message %+v", text)
	}
	if answer := w.password(t, "ada", "acme", ""); answer.MFARequired {
		t.Error("a number that was not confirmed counts")
	}
	eve := principal(t, w.password(t, "eve", "umbrella", "").AccessToken)
	_, err = w.ConfirmCodes(t.Context(), eve, authapi.MFASMS, sent.Challenge, w.texted(t))
	want(t, "another user", err, authapi.CodeSecondFactorInvalid)
	enrolled, err := w.ConfirmCodes(t.Context(), p, authapi.MFASMS, sent.Challenge, w.texted(t))
	if err != nil || len(enrolled.RecoveryCodes) != 10 || principal(t, enrolled.AccessToken).ACR != identity.ACRMultiFactor {
		t.Fatalf("%+v, %v", enrolled, err)
	}
	_, err = w.ConfirmCodes(t.Context(), principal(t, enrolled.AccessToken), authapi.MFASMS, sent.Challenge, w.texted(t))
	want(t, "the code again", err, authapi.CodeSecondFactorInvalid)

	w.Pass(time.Minute)
	challenge := w.waiting(t)
	if _, err := w.Challenge(t.Context(), challenge, authapi.MFASMS); err != nil {
		t.Fatal(err)
	}
	signedIn, err := w.verify(t, challenge, Proof{Method: authapi.MFASMS, Code: w.texted(t)})
	if err != nil || strings.Join(principal(t, signedIn.AccessToken).AMR, " ") != "pwd sms mfa" {
		t.Errorf("%+v, %v", signedIn, err)
	}
	view, err := w.Show(t.Context(), p)
	if err != nil || view.SMS.LastUsedAt == nil || !view.SMS.LastUsedAt.Equal(w.Now()) {
		t.Errorf("%+v, %v", view, err)
	}
}

func TestCodesByMail(t *testing.T) {
	w := newWorld(t)
	p := w.fresh(t)
	sent, err := w.BeginEmail(t.Context(), p)
	if err != nil || sent.SentTo != "a•••@example.com" || w.mails[0].To != "ada@example.com" {
		t.Fatalf("%+v, %v, %+v", sent, err, w.mails)
	}
	if _, err := w.ConfirmCodes(t.Context(), p, authapi.MFAEmail, sent.Challenge, w.mailed(t)); err != nil {
		t.Fatal(err)
	}
	w.Pass(time.Minute)
	begun, err := w.StepUpChallenge(t.Context(), p, authapi.MFAEmail)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := w.StepUp(t.Context(), p, begun.Challenge, Proof{Method: authapi.MFAEmail, Code: w.mailed(t)})
	if err != nil || !slices.Contains(principal(t, answer.AccessToken).AMR, "email") {
		t.Errorf("%+v, %v", answer, err)
	}
}

// A code is good for what it was sent for, once and for ten minutes.
func TestCodesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	p := w.fresh(t)
	w.telephone(t, p)
	var challenge string
	send := func() string {
		t.Helper()
		w.Pass(time.Hour)
		challenge = w.waiting(t)
		if _, err := w.Challenge(t.Context(), challenge, authapi.MFASMS); err != nil {
			t.Fatal(err)
		}
		return w.texted(t)
	}
	show := func(challenge, code string) error {
		_, err := w.verify(t, challenge, Proof{Method: authapi.MFASMS, Code: code})
		return err
	}
	code := send()
	want(t, "another sign-in", show(w.waiting(t), code), authapi.CodeSecondFactorInvalid)
	_, err := w.StepUp(t.Context(), p, challenge, Proof{Method: authapi.MFASMS, Code: code})
	want(t, "a session", err, authapi.CodeSecondFactorInvalid)
	want(t, "no code", show(challenge, ""), authapi.CodeSecondFactorInvalid)
	want(t, "the sign-in that it was sent for", show(challenge, code), "")

	code = send()
	w.Pass(codeLife - time.Millisecond)
	want(t, "just in time", show(challenge, code), "")
	code = send()
	first := challenge
	w.Pass(time.Minute)
	if _, err := w.Challenge(t.Context(), challenge, authapi.MFASMS); err != nil {
		t.Fatal(err)
	}
	if code != w.texted(t) { // else one in a million
		want(t, "a code that another has replaced", show(first, code), authapi.CodeSecondFactorInvalid)
	}
	want(t, "the one that has replaced it", show(first, w.texted(t)), "")
}

func TestACodeSentOnceSignsInOnce(t *testing.T) {
	w := newWorld(t)
	w.telephone(t, w.fresh(t))
	w.Pass(time.Minute)
	challenge := w.waiting(t)
	if _, err := w.Challenge(t.Context(), challenge, authapi.MFASMS); err != nil {
		t.Fatal(err)
	}
	code := w.texted(t)
	got := atOnce(t, 20, func(int) error {
		_, err := w.verify(t, challenge, Proof{Method: authapi.MFASMS, Code: code})
		return err
	})
	if got[""] != 1 {
		t.Errorf("%v; want one to sign in", got)
	}
}

func TestHowOftenCodesAreSent(t *testing.T) {
	w := newWorld(t)
	p := w.fresh(t)
	w.telephone(t, p)
	send := func() error {
		_, err := w.Challenge(t.Context(), w.waiting(t), authapi.MFASMS)
		return err
	}
	want(t, "at once", send(), authapi.CodeTooManyCodes)
	if err := problem.From(send()); err.Status != 429 || err.RetryAfter() != time.Minute {
		t.Errorf("status %d, retry after %v", err.Status, err.RetryAfter())
	}
	for i := range 4 {
		w.Pass(time.Minute)
		want(t, fmt.Sprintf("number %d", i+2), send(), "")
	}
	w.Pass(2 * time.Minute)
	if err := problem.From(send()); err.Code != authapi.CodeTooManyCodes || err.RetryAfter() != 58*time.Minute {
		t.Errorf("the sixth: %v, retry after %v", err, err.RetryAfter())
	}
	if len(w.texts) != 5 {
		t.Errorf("%d text messages", len(w.texts))
	}
	w.Pass(58 * time.Minute)
	want(t, "an hour later", send(), "")
	w.Pass(time.Minute)
	got := atOnce(t, 20, func(int) error {
		_, err := w.StepUpChallenge(t.Context(), p, authapi.MFASMS)
		return err
	})
	if got[""] != 1 || got[authapi.CodeTooManyCodes] != 19 {
		t.Errorf("many at once: %v; want one", got)
	}
}

// Nobody's telephone rings all day because strangers type its number.
func TestHowOftenAStrangersTelephoneRings(t *testing.T) {
	w := newWorld(t)
	ada, eve := w.fresh(t), principal(t, w.password(t, "eve", "umbrella", "").AccessToken)
	if _, err := w.BeginSMS(t.Context(), ada, number); err != nil {
		t.Fatal(err)
	}
	_, err := w.BeginSMS(t.Context(), eve, number)
	want(t, "from another account", err, authapi.CodeTooManyCodes)
	for range 4 {
		w.Pass(time.Hour)
		if _, err := w.BeginSMS(t.Context(), w.fresh(t), number); err != nil {
			t.Fatal(err)
		}
	}
	w.Pass(2 * time.Hour)
	eve = principal(t, w.password(t, "eve", "umbrella", "").AccessToken)
	_, err = w.BeginSMS(t.Context(), eve, number)
	want(t, "the sixth of a day", err, authapi.CodeTooManyCodes)
	w.Pass(time.Minute)
	_, err = w.BeginSMS(t.Context(), eve, "+441632960001")
	want(t, "another number", err, "")
}

func TestGuessingTheCodeOfANumber(t *testing.T) {
	w := newWorld(t)
	p := w.fresh(t)
	sent, err := w.BeginSMS(t.Context(), p, number)
	if err != nil {
		t.Fatal(err)
	}
	wrong := "000000"
	if w.texted(t) == wrong {
		wrong = "000001"
	}
	got := atOnce(t, 20, func(int) error {
		_, err := w.ConfirmCodes(t.Context(), p, authapi.MFASMS, sent.Challenge, wrong)
		return err
	})
	if got[authapi.CodeSecondFactorInvalid] != 5 || got[authapi.CodeFactorLocked] != 15 {
		t.Errorf("%v; want 5 answers", got)
	}
	_, err = w.ConfirmCodes(t.Context(), p, authapi.MFASMS, sent.Challenge, w.texted(t))
	want(t, "the right code", err, authapi.CodeFactorLocked)
}

func TestACodeThatCouldNotBeSent(t *testing.T) {
	w := newWorld(t)
	w.fails = errDown
	_, err := w.BeginEmail(t.Context(), w.fresh(t))
	want(t, "a mail", err, authapi.CodeCodeNotSent)
	if problem.From(err).Status != 503 {
		t.Errorf("status %d", problem.From(err).Status)
	}
	_, err = w.BeginSMS(t.Context(), w.fresh(t), number)
	want(t, "a text message", err, authapi.CodeCodeNotSent)
}

func TestNumbers(t *testing.T) {
	w := newWorld(t)
	p := w.fresh(t)
	for _, text := range []string{"", "0163296", "+0163296", "+44 1632 960000", "+44163296000012345", "+441632960000\n", "00441632960000"} {
		_, err := w.BeginSMS(t.Context(), p, text)
		want(t, text, err, problem.CodeValidation)
	}
	if len(w.texts) != 0 {
		t.Errorf("%d text messages", len(w.texts))
	}
	for address, shown := range map[string]string{"a@example.com": "a•••@example.com", "ünal@example.com": "ü•••@example.com"} {
		if got := maskEmail(address); got != shown {
			t.Errorf("%s is shown as %s", address, got)
		}
	}
	if got := maskNumber("+4912345"); got != "+49••345" {
		t.Errorf("shown as %s", got)
	}
}
