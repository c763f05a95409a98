package identity

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tandemhq/tandem/pkg/topology"
)

// Issuer and audiences of the two kinds of token. Neither is accepted in the place of the other.
const (
	Issuer        = "tandem"
	UserAudience  = "tandem"
	GroupAudience = "tandem:groups"
)

// groupKeyID is the key id of tokens that groups give each other; they share one secret.
const groupKeyID = "groups"

// groupTokenLife is how long a group's token is good for: one call, with its retries.
const groupTokenLife = 2 * time.Minute

// Claims are those of an access token (RFC 7519, RFC 9068).
type Claims struct {
	jwt.RegisteredClaims
	Organization string   `json:"org"`
	Session      string   `json:"sid,omitempty"`
	Roles        []string `json:"roles,omitempty"`
	// AMR and ACR tell how the session proved who it is (OpenID Connect Core 1.0, section 2).
	AMR []string `json:"amr,omitempty"`
	ACR string   `json:"acr,omitempty"`
	// AccessHash names what the holder might do when the token was made (see Access.Hash).
	AccessHash string `json:"perms,omitempty"`
	// Scope is a list separated by spaces (RFC 6749, section 3.3).
	Scope string `json:"scope,omitempty"`
	// Group is the calling group in a token between groups.
	Group topology.Group `json:"grp,omitempty"`
}

// JWKS is a set of public keys (RFC 7517).
type JWKS struct {
	Keys []JWK `json:"keys" doc:"Public keys that access tokens are verified with"`
}

// JWK is one Ed25519 public key (RFC 8037).
type JWK struct {
	KeyType   string `json:"kty" example:"OKP"`
	Curve     string `json:"crv" example:"Ed25519"`
	KeyID     string `json:"kid" example:"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"`
	Use       string `json:"use" example:"sig"`
	Algorithm string `json:"alg" example:"EdDSA"`
	X         string `json:"x" doc:"The key, base64url without padding" example:"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
}

// NewJWK is the public form of key.
func NewJWK(keyID string, key ed25519.PublicKey) JWK {
	return JWK{KeyType: "OKP", Curve: "Ed25519", KeyID: keyID, Use: "sig", Algorithm: "EdDSA", X: base64.RawURLEncoding.EncodeToString(key)}
}

func (k JWK) public() (ed25519.PublicKey, error) {
	if k.KeyType != "OKP" || k.Curve != "Ed25519" {
		return nil, fmt.Errorf("key %q is %s/%s, not an Ed25519 key", k.KeyID, k.KeyType, k.Curve)
	}
	x, err := base64.RawURLEncoding.DecodeString(k.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("key %q is not %d bytes of base64url", k.KeyID, ed25519.PublicKeySize)
	}
	return x, nil
}

// Sign makes an access token.
func Sign(claims Claims, keyID string, key ed25519.PrivateKey) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	t.Header["kid"] = keyID
	return t.SignedString(key)
}

// GroupSecretName is the name of the secret that groups sign their calls to each other with.
const GroupSecretName = "service-token-key"

// ParseGroupSecret reads that secret.
func ParseGroupSecret(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) < 32 {
		return nil, fmt.Errorf("secret %s is not 32 bytes or more in base64", GroupSecretName)
	}
	return key, nil
}

// SignGroup makes the token with which group acts for organization ("" for what belongs to none).
func SignGroup(group topology.Group, organization string, secret []byte, now time.Time) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: Issuer, Audience: jwt.ClaimStrings{GroupAudience}, Subject: "group:" + string(group),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(groupTokenLife)),
		},
		Organization: organization, Group: group,
	})
	t.Header["kid"] = groupKeyID
	return t.SignedString(secret)
}

func (c Claims) principal(token string) Principal {
	p := Principal{
		Subject: c.Subject, Organization: c.Organization, Session: c.Session, Roles: c.Roles,
		AMR: c.AMR, ACR: c.ACR, AccessHash: c.AccessHash,
		Scope: strings.Fields(c.Scope), Group: c.Group, Token: token,
	}
	if c.IssuedAt != nil {
		p.IssuedAt = c.IssuedAt.Time
	}
	return p
}
