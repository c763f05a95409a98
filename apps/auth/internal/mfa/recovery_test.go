package mfa

import (
	"regexp"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/problem"
)

func TestRecoveryCodes(t *testing.T) {
	w := newWorld(t)
	secret, enrolled := w.app(t)
	p, written := principal(t, enrolled.AccessToken), enrolled.RecoveryCodes
	shape, seen := regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){3}$`), map[string]bool{}
	for _, code := range written {
		if !shape.MatchString(code) || seen[code] {
			t.Errorf("code %q", code)
		}
		seen[code] = true
	}
	use := func(code string) error {
		_, err := w.verify(t, w.waiting(t), Proof{Method: authapi.MFARecovery, Code: code})
		return err
	}
	remembered, err := w.Verify(t.Context(), Verification{Challenge: w.waiting(t), Proof: Proof{Method: authapi.MFATOTP, Code: w.code(t, secret)}, Remember: true})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "a code", use(written[0]), "")
	want(t, "the same again", use(written[0]), authapi.CodeSecondFactorInvalid)
	want(t, "as it may be typed", use(strings.ToUpper(strings.ReplaceAll(strings.ReplaceAll(written[1], "-", " "), "0", "o"))), "")
	want(t, "none", use(""), authapi.CodeSecondFactorInvalid)
	if answer := w.password(t, "ada", "acme", remembered.DeviceToken); !answer.MFARequired {
		t.Error("the lost device is remembered still")
	}
	view, err := w.Show(t.Context(), p)
	if err != nil || view.RecoveryCodes != 8 {
		t.Errorf("%+v, %v; want 8 codes left", view, err)
	}

	renewed, err := w.RenewRecovery(t.Context(), p)
	if err != nil || len(renewed.Codes) != 10 {
		t.Fatalf("%+v, %v", renewed, err)
	}
	want(t, "a code from before", use(written[2]), authapi.CodeSecondFactorInvalid)
	for _, code := range renewed.Codes {
		want(t, "a new code", use(code), "")
	}
	answer := w.password(t, "ada", "acme", "")
	if len(answer.Methods) != 1 || answer.Methods[0] != authapi.MFATOTP {
		t.Errorf("asked for %v when all codes are used", answer.Methods)
	}
	_, err = w.verify(t, answer.Challenge, Proof{Method: authapi.MFARecovery, Code: renewed.Codes[0]})
	want(t, "without codes", err, authapi.CodeFactorNotEnrolled)
}

func TestARecoveryCodeShownManyTimesAtOnceSignsInOnce(t *testing.T) {
	w := newWorld(t)
	_, enrolled := w.app(t)
	challenges := make([]string, 20)
	for i := range challenges {
		challenges[i] = w.waiting(t)
	}
	got := atOnce(t, len(challenges), func(i int) error {
		_, err := w.verify(t, challenges[i], Proof{Method: authapi.MFARecovery, Code: enrolled.RecoveryCodes[0]})
		return err
	})
	if got[""] != 1 {
		t.Errorf("%v; want one to sign in", got)
	}
}

func TestRecoveryCodesAreForThoseWhoCanLoseSomething(t *testing.T) {
	w := newWorld(t)
	p := w.fresh(t)
	_, err := w.RenewRecovery(t.Context(), p)
	want(t, "without another factor", err, authapi.CodeFactorNotEnrolled)
	key := w.passkey(t, p)
	_, err = w.RenewRecovery(t.Context(), p)
	want(t, "with a password", err, problem.CodeStepUp)
	_, err = w.RenewRecovery(t.Context(), key.as)
	want(t, "with a passkey", err, "")
}
