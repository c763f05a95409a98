// Package vault encrypts what a group must be able to read again, such as the credentials of connections, at rest, by envelope: each sealing has a data key of its own,
// which is stored beside it, encrypted with the key-encryption key. Whoever has the database without that key has
// nothing, and a sealed value moved to another connection does not open.
package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/tandemhq/tandem/pkg/secrets"
)

// KeySize is the size of the key-encryption key in bytes.
const KeySize = 32

// readEvery is how old the keys are that a vault works with, at most, so that changing the secrets changes the keys of running
// processes.
const readEvery = time.Minute

// Errors that callers tell apart with errors.Is.
var (
	// ErrOtherKey says that a value was sealed with a key-encryption key that is neither the current nor a former one. The keys
	// are read anew for it, so that it passes when the right key is put back.
	ErrOtherKey = errors.New("sealed with another key-encryption key")
	// ErrTampered says that a value does not open: it was changed, or belongs to another connection.
	ErrTampered = errors.New("sealed value does not open here")
)

// Sealed is an encrypted value as it is stored.
type Sealed struct {
	// Key names the key-encryption key without telling anything of it.
	Key string `json:"key"`
	// Envelope is the encrypted data key and the value encrypted with it.
	Envelope []byte `json:"envelope"`
}

// Equal tells whether two are the same sealing.
func (s Sealed) Equal(o Sealed) bool { return s.Key == o.Key && bytes.Equal(s.Envelope, o.Envelope) }

// FormerSecret is the name of the optional secret with the former values of the one called name, separated by commas, the latest
// first: credentials-keys-previous for credentials-key.
func FormerSecret(name string) string { return strings.TrimSuffix(name, "-key") + "-keys-previous" }

// Vault seals with the current key-encryption key, and opens what that or a former one has sealed. It is safe for concurrent use.
type Vault struct {
	source secrets.Source
	name   string
	now    func() time.Time

	mu      sync.Mutex
	ring    *ring
	readAt  time.Time
	reading bool // by somebody, while others go on with the keys there are
}

// ring is the keys as they were read.
type ring struct {
	current *keyed
	all     map[string]*keyed
	unread  error // why the former keys are not known, or not all
}

// keyed is a key-encryption key, ready for use.
type keyed struct {
	name     string
	envelope tink.AEADWithContext
}

// New makes a vault whose key is the secret called name: a base64 text (standard alphabet) of KeySize bytes. Former keys are in
// the secret FormerSecret(name). They are read when they are first needed, since a process is built before its sidecar answers,
// and again every minute.
func New(source secrets.Source, name string, now func() time.Time) *Vault {
	return &Vault{source: source, name: name, now: now}
}

// Seal encrypts value for the connection of the organization, with the current key.
func (v *Vault) Seal(ctx context.Context, organization, connection string, value []byte) (Sealed, error) {
	r, err := v.keys(ctx)
	if err != nil {
		return Sealed{}, err
	}
	envelope, err := r.current.envelope.EncryptWithContext(ctx, value, owner(organization, connection))
	if err != nil {
		return Sealed{}, fmt.Errorf("seal credentials: %w", err)
	}
	return Sealed{Key: r.current.name, Envelope: envelope}, nil
}

// Open decrypts what was sealed for the same connection of the same organization, with whichever key: ErrOtherKey, ErrTampered.
func (v *Vault) Open(ctx context.Context, organization, connection string, s Sealed) ([]byte, error) {
	k, err := v.key(ctx, s.Key)
	if err != nil {
		return nil, fmt.Errorf("open credentials: %w", err)
	}
	value, err := k.envelope.DecryptWithContext(ctx, s.Envelope, owner(organization, connection))
	if err != nil {
		return nil, fmt.Errorf("open credentials: %w: %w", ErrTampered, err)
	}
	return value, nil
}

// Reseal is what was sealed for the connection of the organization, sealed with the current key; unchanged when it is already.
// Errors as of Open.
func (v *Vault) Reseal(ctx context.Context, organization, connection string, s Sealed) (Sealed, error) {
	r, err := v.keys(ctx)
	if err != nil || s.Key == r.current.name {
		return s, err
	}
	value, err := v.Open(ctx, organization, connection, s)
	if err != nil {
		return s, err
	}
	return v.Seal(ctx, organization, connection, value)
}

// Current is the name of the current key.
func (v *Vault) Current(ctx context.Context) (string, error) {
	r, err := v.keys(ctx)
	if err != nil {
		return "", err
	}
	return r.current.name, nil
}

// Refresh reads the keys anew. After an error those that were there stay.
func (v *Vault) Refresh(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.refresh(ctx)
}

// refresh is Refresh for whoever holds mu.
func (v *Vault) refresh(ctx context.Context) error {
	fresh, err := v.read(ctx, v.ring)
	if err == nil {
		v.ring, v.readAt = fresh, v.now()
	}
	return err
}

// owner is the associated data; the lengths keep one pair of ids from reading as another.
func owner(organization, connection string) []byte {
	return fmt.Appendf(nil, "tandem.credentials %d:%s %d:%s", len(organization), organization, len(connection), connection)
}

// keys are the keys there are, as they were a minute ago at most while the secret store answers.
func (v *Vault) keys(ctx context.Context) (*ring, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ring == nil { // a failure is tried again by the next call
		err := v.refresh(ctx)
		return v.ring, err
	}
	if v.reading || v.now().Sub(v.readAt) < readEvery {
		return v.ring, nil
	}
	v.reading = true
	before := v.ring
	v.mu.Unlock()
	fresh, err := v.read(ctx, before)
	v.mu.Lock()
	v.reading = false
	switch {
	case err == nil:
		v.ring, v.readAt = fresh, v.now()
	case ctx.Err() == nil:
		v.readAt = v.now() // what cannot be read leaves the keys as they are for another minute
	}
	return v.ring, nil
}

// key is the key of that name. For one that is not known the keys are read anew: ErrOtherKey.
func (v *Vault) key(ctx context.Context, name string) (*keyed, error) {
	r, err := v.keys(ctx)
	if err != nil {
		return nil, err
	}
	if k := r.all[name]; k != nil {
		return k, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ring == r { // nobody has read them meanwhile
		if err := v.refresh(ctx); err != nil {
			return nil, fmt.Errorf("%w: %s, not %s: %w", ErrOtherKey, name, r.current.name, err)
		}
	}
	if k := v.ring.all[name]; k != nil {
		return k, nil
	}
	if v.ring.unread != nil {
		return nil, fmt.Errorf("%w: %s, not %s: %w", ErrOtherKey, name, v.ring.current.name, v.ring.unread)
	}
	return nil, fmt.Errorf("%w: %s, not %s", ErrOtherKey, name, v.ring.current.name)
}

// read reads the keys. Some secret stores have no clear word for a secret that is not there: whatever keeps the former keys from
// being read keeps nothing from being sealed, and those of before stay known.
func (v *Vault) read(ctx context.Context, before *ring) (*ring, error) {
	text, err := v.source.Get(ctx, v.name)
	if err != nil {
		return nil, fmt.Errorf("read the key-encryption key: %w", err)
	}
	current, err := newKeyed(text.Reveal())
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", v.name, err)
	}
	r := &ring{current: current, all: map[string]*keyed{}}
	former, err := v.source.Get(ctx, FormerSecret(v.name))
	switch {
	case err == nil:
		for text := range strings.SplitSeq(former.Reveal(), ",") {
			k, err := newKeyed(strings.TrimSpace(text))
			if err != nil {
				return nil, fmt.Errorf("secret %s: %w", FormerSecret(v.name), err)
			}
			r.all[k.name] = k
		}
	case !errors.Is(err, secrets.ErrNotFound):
		r.unread = fmt.Errorf("former keys: %w", err)
		if before != nil {
			maps.Copy(r.all, before.all)
		}
	}
	r.all[current.name] = current
	return r, nil
}

// newKeyed makes a key ready for use. Its error does not quote it.
func newKeyed(text string) (*keyed, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != KeySize {
		return nil, fmt.Errorf("the key-encryption key is not %d bytes of base64", KeySize)
	}
	// The nonce of XChaCha20-Poly1305 is long enough to be random for any number of data keys.
	wrap, err := subtle.NewXChaCha20Poly1305(key)
	if err != nil {
		return nil, fmt.Errorf("use the key-encryption key: %w", err)
	}
	envelope, err := aead.NewKMSEnvelopeAEADWithContext(aead.AES256GCMKeyTemplate(), local{wrap})
	if err != nil {
		return nil, fmt.Errorf("use the key-encryption key: %w", err)
	}
	name := sha256.Sum256(append([]byte("tandem.credentials-key "), key...))
	return &keyed{name: hex.EncodeToString(name[:8]), envelope: envelope}, nil
}

// local makes a key in this process look like one of a key service.
type local struct{ tink.AEAD }

func (l local) EncryptWithContext(_ context.Context, plaintext, associated []byte) ([]byte, error) {
	return l.Encrypt(plaintext, associated)
}

func (l local) DecryptWithContext(_ context.Context, ciphertext, associated []byte) ([]byte, error) {
	return l.Decrypt(ciphertext, associated)
}
