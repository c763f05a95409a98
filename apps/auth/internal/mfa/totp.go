package mfa

import (
	"context"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	totpSecretBytes = 20 // as RFC 4226 recommends (section 4, R6)
	totpStep        = 30 * time.Second
	totpDigits      = otp.DigitsSix
)

// totpOptions are what every authenticator app supports; with HMAC, SHA-1 is still sound (RFC 6238, section 1.2).
var totpOptions = totp.ValidateOpts{Period: uint(totpStep / time.Second), Digits: totpDigits, Algorithm: otp.AlgorithmSHA1}

var totpEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// totpStepOf is the step of the secret's code at now, or one before or after it, for clocks that differ and
// codes that are typed late (RFC 6238, section 5.2). It takes as long whether there is one or not.
func totpStepOf(secret []byte, code string, now time.Time) (step int64, found bool, err error) {
	text := totpEncoding.EncodeToString(secret)
	for _, skew := range []time.Duration{-totpStep, 0, totpStep} {
		at := now.Add(skew)
		want, err := totp.GenerateCodeCustom(text, at, totpOptions)
		if err != nil {
			return 0, false, fmt.Errorf("work out a code: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, found = at.Unix()/int64(totpStep/time.Second), true
		}
	}
	return step, found, nil
}

// totpCeremony is where the secret of an app waits to be confirmed: the user names it, and no other is
// waiting beside it.
func totpCeremony(user string) string {
	return ceremonyID(toEnrol, string(authapi.MFATOTP), user)
}

// BeginTOTP makes a secret for an authenticator app. It counts once a code of it was confirmed; until then
// an app that was set up before still counts. Problems: as of mayEnrol.
func (s *Service) BeginTOTP(ctx context.Context, p identity.Principal) (*authapi.TOTPSecret, error) {
	if err := s.mayEnrol(ctx, p, authapi.MFATOTP); err != nil {
		return nil, err
	}
	person, err := s.person(ctx, p.Subject)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, totpSecretBytes)
	if _, err := io.ReadFull(s.c.Random, secret); err != nil {
		return nil, fmt.Errorf("make a secret: %w", err)
	}
	sealed, err := s.c.Sealer.Seal(ctx, totpOwner(p.Subject), secret)
	if err != nil {
		return nil, fmt.Errorf("seal a secret: %w", err)
	}
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: s.c.RelyingParty.Name, AccountName: person.Value.Email, Secret: secret,
		Period: totpOptions.Period, Digits: totpDigits, Algorithm: totpOptions.Algorithm,
	})
	if err != nil {
		return nil, fmt.Errorf("write a secret down: %w", err)
	}
	if err := s.ceremonies.begin(ctx, totpCeremony(p.Subject), ceremony{User: p.Subject, Secret: sealed}, secretLife); err != nil {
		return nil, err
	}
	return &authapi.TOTPSecret{Secret: key.Secret(), URI: key.URL(), ExpiresIn: seconds(secretLife)}, nil
}

// totpOwner is what a sealed secret belongs to.
func totpOwner(user string) string { return "totp:" + user }

// ConfirmTOTP enrols the app whose secret was made last, in the place of one that was enrolled before.
// Problems: as of mayEnrol; 422 second_factor_invalid for a code that is not the secret's.
func (s *Service) ConfirmTOTP(ctx context.Context, p identity.Principal, code string) (*authapi.MFAEnrolled, error) {
	if err := s.mayEnrol(ctx, p, authapi.MFATOTP); err != nil {
		return nil, err
	}
	doc, err := s.ceremonies.of(ctx, totpCeremony(p.Subject), p.Subject)
	if err != nil {
		return nil, enrolling(err)
	}
	secret, err := s.c.Sealer.Open(ctx, totpOwner(p.Subject), doc.Value.Secret)
	if err != nil {
		return nil, fmt.Errorf("open a secret: %w", err)
	}
	step, found, err := totpStepOf(secret, code, s.c.Now())
	if err == nil && !found {
		err = errNoCeremony
	}
	if err == nil {
		err = s.ceremonies.end(ctx, doc)
	}
	if err != nil {
		return nil, enrolling(err)
	}
	now := store.At(s.c.Now())
	return s.enrol(ctx, p, authapi.MFATOTP, func(f *factors) (again bool) {
		again = f.TOTP != nil
		f.TOTP = &totpFactor{Secret: doc.Value.Secret, EnrolledAt: now, LastUsedAt: &now, LastStep: step}
		return again
	})
}

// proveTOTP accepts a code of the user's app, each step's once (RFC 6238, section 5.2).
func (s *Service) proveTOTP(ctx context.Context, at showing, code string) error {
	f, err := s.c.Factors.of(ctx, at.user)
	if err != nil {
		return err
	}
	if f.TOTP == nil {
		return wrong(errors.New("no authenticator app"))
	}
	secret, err := s.c.Sealer.Open(ctx, totpOwner(at.user), f.TOTP.Secret)
	if err != nil {
		return fmt.Errorf("open a secret: %w", err)
	}
	step, found, err := totpStepOf(secret, code, s.c.Now())
	if err != nil {
		return err
	}
	if !found {
		return wrong(errors.New("not a code of this time"))
	}
	message, err := s.entry(ctx, at, audit.Entry{})
	if err != nil {
		return err
	}
	now := store.At(s.c.Now())
	_, err = s.c.Factors.users.Update(ctx, at.user, func(current *factors) ([]store.Message, error) {
		if current.TOTP == nil || !current.TOTP.EnrolledAt.Equal(f.TOTP.EnrolledAt.Time) || step <= current.TOTP.LastStep {
			return nil, wrong(errors.New("a code of this step was used"))
		}
		current.TOTP.LastStep, current.TOTP.LastUsedAt = step, &now
		return message, nil
	})
	return err
}

// amr are the words for methods in the claim of that name (RFC 8176).
var amr = map[authapi.MFAMethod]string{
	authapi.MFAPasskey: signin.Passkey, authapi.MFATOTP: signin.OTP, authapi.MFAEmail: signin.Email,
	authapi.MFASMS: signin.SMS, authapi.MFARecovery: signin.Recovery,
}
