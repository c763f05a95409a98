package mfa

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/sms"
	"github.com/tandemhq/tandem/pkg/store"
)

// telephone is a number in E.164 form.
var telephone = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

var codes = big.NewInt(1_000_000) // of six digits

// send makes a code for what is named by challenge, and sends it to the user's address or to number. The code
// before it is no longer good. Problems: 429 too_many_codes, 503 code_not_sent.
func (s *Service) send(ctx context.Context, user string, method authapi.MFAMethod, why purpose, challenge, number string) (*authapi.MFAChallenge, error) {
	person, err := s.person(ctx, user)
	if err != nil {
		return nil, err
	}
	if err := s.bound(ctx, "send:"+user+":"+string(method), sends); err != nil {
		return nil, err
	}
	if why == toEnrol && number != "" {
		if err := s.bound(ctx, "send-to:"+atrest.Digest(number), unconfirmed); err != nil {
			return nil, err
		}
	}
	drawn, err := rand.Int(s.c.Random, codes)
	if err != nil {
		return nil, fmt.Errorf("make a code: %w", err)
	}
	code := fmt.Sprintf("%06d", drawn)
	err = s.ceremonies.begin(ctx, ceremonyID(why, string(method), challenge),
		ceremony{User: user, Code: codeDigest(challenge, code), Number: number}, codeLife)
	if err != nil {
		return nil, err
	}
	answer := &authapi.MFAChallenge{Challenge: challenge, Method: method, ExpiresIn: seconds(codeLife)}
	if method == authapi.MFASMS {
		answer.SentTo = maskNumber(number)
		err = s.c.SMS.Send(ctx, sms.Message{To: number, Text: s.text(code)})
	} else {
		answer.SentTo = maskEmail(person.Value.Email)
		to := mails.Recipient{Email: person.Value.Email, FirstName: person.Value.FirstName}
		err = s.c.Mails.Code(ctx, to, code, s.c.Now().Add(codeLife))
	}
	if err != nil {
		return nil, problem.New(http.StatusServiceUnavailable, authapi.CodeCodeNotSent,
			"the code could not be sent right now; ask for another in a minute, or use another factor").After(sends.gap).Wrap(err)
	}
	return answer, nil
}

// bound is a 429 too_many_codes when key was taken as often as l allows.
func (s *Service) bound(ctx context.Context, key string, l limit) error {
	_, wait, err := s.tallies.take(ctx, key, l)
	if err == nil && wait > 0 {
		err = problem.New(http.StatusTooManyRequests, authapi.CodeTooManyCodes, "codes were sent already; wait before you ask for another").After(wait)
	}
	return err
}

// text is what a telephone shows. Its last line lets browsers fill the code in on our own page only (WICG,
// Origin-bound one-time codes delivered via SMS).
func (s *Service) text(code string) string {
	return fmt.Sprintf("%s is your %s code. It works once, for %d minutes. Nobody will ever ask you for it.\n\n@%s #%s",
		code, s.c.RelyingParty.Name, int(codeLife/time.Minute), s.c.RelyingParty.ID, code)
}

// proveCode accepts the code that was sent for what challenge names, once.
func (s *Service) proveCode(ctx context.Context, at showing, method authapi.MFAMethod, code string) error {
	doc, err := s.ceremonies.of(ctx, ceremonyID(at.why, string(method), at.challenge), at.user)
	if err == nil && !hmac.Equal(doc.Value.Code, codeDigest(at.challenge, code)) {
		err = errNoCeremony
	}
	if err == nil {
		var message []store.Message
		if message, err = s.entry(ctx, at, audit.Entry{}); err == nil {
			err = s.ceremonies.end(ctx, doc, message...)
		}
	}
	if errors.Is(err, errNoCeremony) {
		return wrong(err)
	}
	if err != nil {
		return err
	}
	now := store.At(s.c.Now())
	_, err = s.c.Factors.users.Update(ctx, at.user, func(f *factors) ([]store.Message, error) {
		for _, used := range []*codeFactor{f.Email, f.SMS} {
			if used != nil && (used == f.SMS) == (method == authapi.MFASMS) {
				used.LastUsedAt = &now
			}
		}
		return nil, nil
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) { // who enrolled nothing shows the address that everybody has
		return fmt.Errorf("note the use of a second factor: %w", err)
	}
	return nil
}

// BeginEmail sends a code to the address of the user's account. Problems: as of mayEnrol and send.
func (s *Service) BeginEmail(ctx context.Context, p identity.Principal) (*authapi.MFAChallenge, error) {
	return s.beginCodes(ctx, p, authapi.MFAEmail, "")
}

// BeginSMS sends a code to a telephone number. Problems: as of mayEnrol and send; 422 validation_failed for
// what is no number in E.164 form.
func (s *Service) BeginSMS(ctx context.Context, p identity.Principal, number string) (*authapi.MFAChallenge, error) {
	if !telephone.MatchString(number) {
		return nil, problem.Invalid("body.number", "want an international number such as +441632960000")
	}
	return s.beginCodes(ctx, p, authapi.MFASMS, number)
}

func (s *Service) beginCodes(ctx context.Context, p identity.Principal, method authapi.MFAMethod, number string) (*authapi.MFAChallenge, error) {
	if err := s.mayEnrol(ctx, p, method); err != nil {
		return nil, err
	}
	challenge, err := s.ceremonies.challenge()
	if err != nil {
		return nil, err
	}
	return s.send(ctx, p.Subject, method, toEnrol, challenge, number)
}

// ConfirmCodes enrols the address or number that a code was sent to. Problems: as of mayEnrol; 422
// second_factor_invalid, 429 factor_locked.
func (s *Service) ConfirmCodes(ctx context.Context, p identity.Principal, method authapi.MFAMethod, challenge, code string) (*authapi.MFAEnrolled, error) {
	if err := s.mayEnrol(ctx, p, method); err != nil {
		return nil, err
	}
	key := "enrol:" + p.Subject + ":" + string(method)
	_, wait, err := s.tallies.take(ctx, key, tries)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		return nil, locked(wait)
	}
	doc, err := s.ceremonies.of(ctx, ceremonyID(toEnrol, string(method), challenge), p.Subject)
	if err == nil && !hmac.Equal(doc.Value.Code, codeDigest(challenge, code)) {
		err = errNoCeremony
	}
	if err == nil {
		err = s.ceremonies.end(ctx, doc)
	}
	if err == nil {
		err = s.tallies.clear(ctx, key)
	}
	if err != nil {
		return nil, enrolling(err)
	}
	now := store.At(s.c.Now())
	return s.enrol(ctx, p, method, func(f *factors) (again bool) {
		place := &f.Email
		if method == authapi.MFASMS {
			place = &f.SMS
		}
		again = *place != nil
		*place = &codeFactor{Number: doc.Value.Number, EnrolledAt: now, LastUsedAt: &now}
		return again
	})
}

// maskEmail shows as much of an address as its owner needs to know it.
func maskEmail(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	_, first := utf8.DecodeRuneInString(local)
	return local[:first] + "•••@" + domain
}

// maskNumber shows the beginning and end of a telephone number.
func maskNumber(number string) string {
	return number[:3] + strings.Repeat("•", len(number)-6) + number[len(number)-3:]
}

func seconds(d time.Duration) int { return int(d / time.Second) }
