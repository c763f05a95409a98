package mfa

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/store"
)

// factors is the document of a user's second factors, passkeys aside, under the user's id.
type factors struct {
	TOTP     *totpFactor  `json:"totp,omitempty"`
	Email    *codeFactor  `json:"email,omitempty"`
	SMS      *codeFactor  `json:"sms,omitempty"`
	Recovery *recoveryKit `json:"recovery,omitempty"`
}

// totpFactor is an authenticator app.
type totpFactor struct {
	// Secret is sealed.
	Secret     []byte      `json:"secret"`
	EnrolledAt store.Time  `json:"enrolled_at"`
	LastUsedAt *store.Time `json:"last_used_at,omitempty"`
	// LastStep is the step of the last code that was accepted; only codes of later ones are.
	LastStep int64 `json:"last_step"`
}

// codeFactor is somewhere that codes are sent to.
type codeFactor struct {
	// Number is a telephone number in E.164 form. An e-mail address is the account's.
	Number     string      `json:"number,omitempty"`
	EnrolledAt store.Time  `json:"enrolled_at"`
	LastUsedAt *store.Time `json:"last_used_at,omitempty"`
}

// alone tells whether there is no factor but recovery codes, which are for those who have lost another.
func (f factors) alone() bool { return f.TOTP == nil && f.Email == nil && f.SMS == nil }

// passkey is a WebAuthn credential record (WebAuthn Level 3, section 4) of a user.
type passkey struct {
	User string `json:"user"`
	// Credential is the hash of the credential's id, by which no two are the same.
	Credential string     `json:"credential"`
	Name       string     `json:"name"`
	RawID      []byte     `json:"raw_id"`
	PublicKey  []byte     `json:"public_key"` // COSE (RFC 9052)
	AAGUID     []byte     `json:"aaguid"`
	Transports []string   `json:"transports,omitempty"`
	Flags      byte       `json:"flags"`
	SignCount  uint32     `json:"sign_count"`
	CreatedAt  store.Time `json:"created_at"`

	LastUsedAt *store.Time `json:"last_used_at,omitempty"`
	// ClonedAt is when the signature counter went back; the passkey is refused from then on.
	ClonedAt *store.Time `json:"cloned_at,omitempty"`
}

// device is one that was remembered after a second factor was shown on it.
type device struct {
	User         string     `json:"user"`
	Organization string     `json:"organization"`
	Digest       []byte     `json:"digest"`
	Address      string     `json:"address,omitempty"`
	UserAgent    string     `json:"user_agent,omitempty"`
	CreatedAt    store.Time `json:"created_at"`
	ExpiresAt    store.Time `json:"expires_at"`

	LastUsedAt *store.Time `json:"last_used_at,omitempty"`
}

// Names of the indexes.
const (
	byUser         = "user"
	byOrganization = "organization"
	byCredential   = "credential"
	byExpiry       = "expires-at"
	byDeletion     = "delete-after"
)

// Factors are the second factors that users have enrolled, and the devices that were remembered. It is safe
// for concurrent use.
type Factors struct {
	users    *store.Documents[factors]
	passkeys *store.Documents[passkey]
	devices  *store.Documents[device]
	now      func() time.Time
}

// OpenFactors opens the second factors in db. They are a person's own, so they belong to no organization.
func OpenFactors(ctx context.Context, db store.DB, now func() time.Time) (*Factors, error) {
	f := &Factors{now: now}
	var err error
	if f.users, err = store.System[factors](ctx, db, store.Def{Name: "second_factors"}); err != nil {
		return nil, fmt.Errorf("open the second factors: %w", err)
	}
	f.passkeys, err = store.System[passkey](ctx, db, store.Def{Name: "passkeys", Indexes: []store.Index{
		{Name: byUser, Fields: []string{"user", "created_at"}},
		{Name: byCredential, Fields: []string{"credential"}, Unique: true},
	}})
	if err != nil {
		return nil, fmt.Errorf("open the passkeys: %w", err)
	}
	f.devices, err = store.System[device](ctx, db, store.Def{Name: "remembered_devices", Indexes: []store.Index{
		{Name: byUser, Fields: []string{"user", "created_at"}},
		{Name: byOrganization, Fields: []string{"organization"}},
		{Name: byExpiry, Fields: []string{"expires_at"}},
	}, Owner: byOrganization})
	if err != nil {
		return nil, fmt.Errorf("open the remembered devices: %w", err)
	}
	return f, nil
}

// Methods are the second factors of user, in the order in which they are to be offered: what cannot be
// phished first, and recovery codes last.
func (f *Factors) Methods(ctx context.Context, user string) ([]authapi.MFAMethod, error) {
	doc, err := f.of(ctx, user)
	if err != nil {
		return nil, err
	}
	keys, err := f.passkeysOf(ctx, user)
	if err != nil {
		return nil, err
	}
	return methods(doc, keys), nil
}

// methods are those of a user with keys. Who has nothing but passkeys that are refused is sent codes by mail:
// a password alone must not become enough.
func methods(f factors, keys []store.Doc[passkey]) []authapi.MFAMethod {
	var all []authapi.MFAMethod
	for _, m := range []struct {
		method authapi.MFAMethod
		has    bool
	}{
		{authapi.MFAPasskey, len(usable(keys)) > 0},
		{authapi.MFATOTP, f.TOTP != nil},
		{authapi.MFAEmail, f.Email != nil || len(keys) > 0 && len(usable(keys)) == 0 && f.alone()},
		{authapi.MFASMS, f.SMS != nil},
	} {
		if m.has {
			all = append(all, m.method)
		}
	}
	if len(all) > 0 && f.Recovery != nil && len(f.Recovery.Digests) > 0 {
		all = append(all, authapi.MFARecovery)
	}
	return all
}

// of is the document of user, empty where there is none.
func (f *Factors) of(ctx context.Context, user string) (factors, error) {
	doc, err := f.users.Get(ctx, user)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return factors{}, fmt.Errorf("read the second factors: %w", err)
	}
	return doc.Value, nil
}

// change is store.Documents.Update on the document of user, which is made where there is none.
func (f *Factors) change(ctx context.Context, user string, change func(*factors) ([]store.Message, error)) error {
	for {
		_, err := f.users.Update(ctx, user, change)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		var value factors
		messages, err := change(&value)
		if err != nil {
			return err
		}
		if _, err = f.users.Insert(ctx, user, value, messages...); !errors.Is(err, store.ErrExists) || ctx.Err() != nil {
			return err
		}
	}
}

// passkeysOf are the passkeys of user, the first registered first.
func (f *Factors) passkeysOf(ctx context.Context, user string) ([]store.Doc[passkey], error) {
	var all []store.Doc[passkey]
	err := f.passkeys.Each(ctx, store.Query{Index: byUser, Equal: []any{user}}, func(doc store.Doc[passkey]) error {
		all = append(all, doc)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the passkeys: %w", err)
	}
	return all, nil
}

// usable are those of keys that are not refused.
func usable(keys []store.Doc[passkey]) []store.Doc[passkey] {
	var left []store.Doc[passkey]
	for _, key := range keys {
		if key.Value.ClonedAt == nil {
			left = append(left, key)
		}
	}
	return left
}

// erase deletes everything of user.
func (f *Factors) erase(ctx context.Context, user string) error {
	all := store.Query{Index: byUser, Equal: []any{user}}
	err := errors.Join(
		f.passkeys.DeleteAll(ctx, all),
		f.forgetDevices(ctx, user))
	if err == nil {
		err = gone(f.users.Delete(ctx, user, 0))
	}
	if err != nil {
		return fmt.Errorf("erase the second factors: %w", err)
	}
	return nil
}

// gone is err, unless it says that what was to be deleted is gone already or has changed.
func gone(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}
