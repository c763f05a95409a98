// Package atrest keeps what lets somebody in from who has only the database.
package atrest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/vault"
)

// Digest is what is stored of a token that is random enough not to be guessed, or of a text that is too long for an id or not ours
// to keep.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Sealer encrypts what must be read again.
type Sealer interface {
	// Seal encrypts value for owner.
	Seal(ctx context.Context, owner string, value []byte) ([]byte, error)
	// Open decrypts what was sealed for owner; for anybody else that is an error.
	Open(ctx context.Context, owner string, sealed []byte) ([]byte, error)
}

// Vault is a Sealer with keys that can be changed.
type Vault struct{ vault *vault.Vault }

// NewVault seals with the keys of v.
func NewVault(v *vault.Vault) Vault { return Vault{v} }

// Seal implements Sealer.
func (v Vault) Seal(ctx context.Context, owner string, value []byte) ([]byte, error) {
	sealed, err := v.vault.Seal(ctx, string(topology.Auth), owner, value)
	if err != nil {
		return nil, err
	}
	return json.Marshal(sealed)
}

// Open implements Sealer.
func (v Vault) Open(ctx context.Context, owner string, sealed []byte) ([]byte, error) {
	var s vault.Sealed
	if err := json.Unmarshal(sealed, &s); err != nil {
		return nil, fmt.Errorf("read a sealed value: %w", err)
	}
	return v.vault.Open(ctx, string(topology.Auth), owner, s)
}

// Keeper keeps sealed values.
type Keeper interface {
	// Reseal takes all of them to p.
	Reseal(ctx context.Context, p Pass) error
}

// Pass is one through all that is sealed (see vault.Pass).
type Pass struct{ pass *vault.Pass }

// Pass goes through what keepers keep. Without reseal it only counts.
func (v Vault) Pass(ctx context.Context, reseal bool, keepers ...Keeper) (vault.Sealing, error) {
	pass, err := v.vault.Begin(ctx, reseal)
	if err != nil {
		return vault.Sealing{}, err
	}
	for _, k := range keepers {
		if err = k.Reseal(ctx, Pass{pass}); err != nil {
			break
		}
	}
	return pass.End(err)
}

// Value takes what was sealed for owner, with how to store what it is sealed anew (see vault.Pass.Value).
func (p Pass) Value(ctx context.Context, owner string, sealed []byte, store func(fresh []byte) (now []byte, err error)) error {
	var s vault.Sealed
	if err := json.Unmarshal(sealed, &s); err != nil {
		return fmt.Errorf("read the sealed value of %s: %w", owner, err)
	}
	return p.pass.Value(ctx, string(topology.Auth), owner, s, func(fresh vault.Sealed) (*vault.Sealed, error) {
		text, err := json.Marshal(fresh)
		if err != nil {
			return nil, fmt.Errorf("write a sealed value: %w", err)
		}
		if text, err = store(text); err != nil || text == nil {
			return nil, err
		}
		var now vault.Sealed
		err = json.Unmarshal(text, &now)
		return &now, err
	})
}
