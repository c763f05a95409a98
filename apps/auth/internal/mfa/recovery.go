package mfa

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	recoveryCodes     = 10
	recoveryCodeBytes = 10 // 80 bits
	recoverySaltBytes = 16
	recoveryGroup     = 4 // characters between two hyphens
)

// recoveryEncoding is Crockford's base 32: nothing in it looks like something else.
var recoveryEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// recoveryKit is what is stored of recovery codes: a salted hash of each that was not used yet. They have
// fewer than 112 bits, hence the salt (OWASP ASVS 4.0.3, 2.6.2).
type recoveryKit struct {
	Salt      []byte     `json:"salt"`
	Digests   [][]byte   `json:"digests"`
	CreatedAt store.Time `json:"created_at"`
}

// newRecoveryKit makes codes, and what is stored of them.
func newRecoveryKit(random io.Reader, now store.Time) (*recoveryKit, []string, error) {
	kit := &recoveryKit{Salt: make([]byte, recoverySaltBytes), CreatedAt: now}
	drawn := make([]byte, recoveryCodes*recoveryCodeBytes)
	for _, part := range [][]byte{kit.Salt, drawn} {
		if _, err := io.ReadFull(random, part); err != nil {
			return nil, nil, fmt.Errorf("make recovery codes: %w", err)
		}
	}
	var written []string
	for i := range recoveryCodes {
		code := recoveryEncoding.EncodeToString(drawn[i*recoveryCodeBytes : (i+1)*recoveryCodeBytes])
		kit.Digests = append(kit.Digests, kit.digest(code))
		written = append(written, grouped(code))
	}
	return kit, written, nil
}

func grouped(code string) string {
	var groups []string
	for ; len(code) > recoveryGroup; code = code[recoveryGroup:] {
		groups = append(groups, code[:recoveryGroup])
	}
	return strings.Join(append(groups, code), "-")
}

// plainCode undoes what people make of a code when they type it.
var plainCode = strings.NewReplacer("-", "", " ", "", "o", "0", "i", "1", "l", "1")

func (k *recoveryKit) digest(code string) []byte {
	mac := hmac.New(sha256.New, k.Salt)
	mac.Write([]byte(plainCode.Replace(strings.ToLower(code))))
	return mac.Sum(nil)
}

// use takes a code out of the kit, or tells that it is not in it. It takes as long either way.
func (k *recoveryKit) use(code string) bool {
	digest, at := k.digest(code), -1
	for i, d := range k.Digests {
		if subtle.ConstantTimeCompare(d, digest) == 1 {
			at = i
		}
	}
	if at >= 0 {
		k.Digests = append(k.Digests[:at], k.Digests[at+1:]...)
	}
	return at >= 0
}

// proveRecovery accepts a recovery code, once. Whoever needs one may have lost a device, so none is
// remembered any longer.
func (s *Service) proveRecovery(ctx context.Context, at showing, code string) error {
	messages, err := s.entry(ctx, at, audit.Entry{})
	if err != nil {
		return err
	}
	told, err := s.told(ctx, at.user, authapi.MFARecovery, authapi.MFAUsed)
	if err != nil {
		return err
	}
	_, err = s.c.Factors.users.Update(ctx, at.user, func(f *factors) ([]store.Message, error) {
		if f.Recovery == nil || !f.Recovery.use(code) {
			return nil, wrong(errors.New("no recovery code, or one that was used"))
		}
		return append(messages, told), nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return wrong(err)
	}
	if err != nil {
		return err
	}
	return s.c.Factors.forgetDevices(ctx, at.user)
}

// RenewRecovery makes new recovery codes; those before are no longer good. Problems: as of mayChange; 409
// factor_not_enrolled for who has no other second factor to recover from the loss of.
func (s *Service) RenewRecovery(ctx context.Context, p identity.Principal) (*authapi.RecoveryCodes, error) {
	kit, written, err := newRecoveryKit(s.c.Random, store.At(s.c.Now()))
	if err != nil {
		return nil, err
	}
	keys, err := s.c.Factors.passkeysOf(ctx, p.Subject)
	if err != nil {
		return nil, err
	}
	messages, err := s.changed(ctx, p, authapi.MFARecovery, authapi.MFARenewed, "renew-recovery-codes", "")
	if err != nil {
		return nil, err
	}
	err = s.c.Factors.change(ctx, p.Subject, func(f *factors) ([]store.Message, error) {
		if f.alone() && len(keys) == 0 {
			return nil, problem.New(http.StatusConflict, authapi.CodeFactorNotEnrolled, "set up another second factor first")
		}
		if err := mayChange(p, methods(*f, keys)); err != nil {
			return nil, err
		}
		f.Recovery = kit
		return messages, nil
	})
	if err != nil {
		return nil, fmt.Errorf("renew recovery codes: %w", err)
	}
	return &authapi.RecoveryCodes{Codes: written}, nil
}
