// Package keys signs access tokens.
package keys

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// Secret is the name of the secret that access tokens are signed with: the seed of an Ed25519 key, 32
// bytes in standard base64.
const Secret = "access-token-key"

// PreviousSecret is the name of the optional secret with former values of Secret, separated by
// commas. Nothing is signed with them, and what they signed is accepted until it expires.
const PreviousSecret = "access-token-keys-previous"

// Signing signs access tokens.
type Signing struct {
	id       string
	private  ed25519.PrivateKey
	previous []identity.JWK
}

// New makes the key of a seed, and accepts what the previous seeds, separated by commas, have
// signed. An empty secret is no previous seed.
func New(seed, previous secrets.Secret) (Signing, error) {
	key, err := fromSeed(seed.Reveal())
	if err != nil {
		return Signing{}, fmt.Errorf("secret %s: %w", Secret, err)
	}
	if previous.Empty() {
		return key, nil
	}
	for text := range strings.SplitSeq(previous.Reveal(), ",") {
		former, err := fromSeed(strings.TrimSpace(text))
		if err != nil {
			return Signing{}, fmt.Errorf("secret %s: %w", PreviousSecret, err)
		}
		if former.id != key.id { // the current one is still among them when a change is taken back
			key.previous = append(key.previous, former.public())
		}
	}
	return key, nil
}

func fromSeed(text string) (Signing, error) {
	// The cause is left out: it would quote the secret's bytes.
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(decoded) != ed25519.SeedSize {
		return Signing{}, errSeed
	}
	private := ed25519.NewKeyFromSeed(decoded)
	id, err := thumbprint(private.Public().(ed25519.PublicKey))
	if err != nil {
		return Signing{}, err
	}
	return Signing{id: id, private: private}, nil
}

var errSeed = errors.New("want an Ed25519 seed: 32 bytes in standard base64")

// thumbprint names a key by what it is (RFC 7638, with the members that RFC 8037 requires).
func thumbprint(key ed25519.PublicKey) (string, error) {
	jwk := identity.NewJWK("", key)
	canonical, err := json.Marshal(struct { // the members in lexical order
		Curve   string `json:"crv"`
		KeyType string `json:"kty"`
		X       string `json:"x"`
	}{jwk.Curve, jwk.KeyType, jwk.X})
	if err != nil {
		return "", fmt.Errorf("encode a key: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// JWKS is what verifies tokens of the key and of those before it.
func (k Signing) JWKS() identity.JWKS {
	return identity.JWKS{Keys: append([]identity.JWK{k.public()}, k.previous...)}
}

func (k Signing) public() identity.JWK {
	return identity.NewJWK(k.id, k.private.Public().(ed25519.PublicKey))
}

// Sign makes an access token of claims.
func (k Signing) Sign(claims identity.Claims) (string, error) {
	token, err := identity.Sign(claims, k.id, k.private)
	if err != nil {
		return "", fmt.Errorf("sign an access token: %w", err)
	}
	return token, nil
}
