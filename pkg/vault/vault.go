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
	"sync"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/tandemhq/tandem/pkg/secrets"
)

// KeySize is the size of the key-encryption key in bytes.
const KeySize = 32

// Errors that callers tell apart with errors.Is.
var (
	// ErrOtherKey says that a value was sealed with another key-encryption key. The key is read anew after it, so that it
	// passes when the right key is put back.
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

// Vault seals and opens. It is safe for concurrent use.
type Vault struct {
	key func(context.Context) (secrets.Secret, error)

	mu      sync.Mutex
	current *keyed
}

// keyed is the key-encryption key, ready for use.
type keyed struct {
	name     string
	envelope tink.AEADWithContext
}

// New makes a vault. The key is read when it is first needed, since a process is built before its sidecar answers: a
// base64 text (standard alphabet) of KeySize bytes.
func New(key func(context.Context) (secrets.Secret, error)) *Vault { return &Vault{key: key} }

// Seal encrypts value for the connection of the organization.
func (v *Vault) Seal(ctx context.Context, organization, connection string, value []byte) (Sealed, error) {
	k, err := v.keyed(ctx)
	if err != nil {
		return Sealed{}, err
	}
	envelope, err := k.envelope.EncryptWithContext(ctx, value, owner(organization, connection))
	if err != nil {
		return Sealed{}, fmt.Errorf("seal credentials: %w", err)
	}
	return Sealed{Key: k.name, Envelope: envelope}, nil
}

// Open decrypts what was sealed for the same connection of the same organization: ErrOtherKey, ErrTampered.
func (v *Vault) Open(ctx context.Context, organization, connection string, s Sealed) ([]byte, error) {
	k, err := v.keyed(ctx)
	if err != nil {
		return nil, err
	}
	if s.Key != k.name {
		v.forget(k)
		return nil, fmt.Errorf("open credentials: %w: %s, not %s", ErrOtherKey, s.Key, k.name)
	}
	value, err := k.envelope.DecryptWithContext(ctx, s.Envelope, owner(organization, connection))
	if err != nil {
		return nil, fmt.Errorf("open credentials: %w: %w", ErrTampered, err)
	}
	return value, nil
}

// owner is the associated data; the lengths keep one pair of ids from reading as another.
func owner(organization, connection string) []byte {
	return fmt.Appendf(nil, "tandem.credentials %d:%s %d:%s", len(organization), organization, len(connection), connection)
}

// keyed reads the key once; a failure is tried again by the next call.
func (v *Vault) keyed(ctx context.Context) (*keyed, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.current != nil {
		return v.current, nil
	}
	text, err := v.key(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the key-encryption key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(text.Reveal())
	if err != nil || len(key) != KeySize {
		return nil, fmt.Errorf("the key-encryption key is not %d bytes of base64", KeySize) // the error would quote the key
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
	v.current = &keyed{name: hex.EncodeToString(name[:8]), envelope: envelope}
	return v.current, nil
}

// forget makes the next use read the key again, unless that has been done.
func (v *Vault) forget(k *keyed) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.current == k {
		v.current = nil
	}
}

// local makes a key in this process look like one of a key service.
type local struct{ tink.AEAD }

func (l local) EncryptWithContext(_ context.Context, plaintext, associated []byte) ([]byte, error) {
	return l.Encrypt(plaintext, associated)
}

func (l local) DecryptWithContext(_ context.Context, ciphertext, associated []byte) ([]byte, error) {
	return l.Decrypt(ciphertext, associated)
}
