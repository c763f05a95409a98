package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tandemhq/tandem/pkg/problem"
)

const (
	// clockLeeway forgives clocks that differ between machines.
	clockLeeway = 5 * time.Second
	// keysAgain is the shortest time between two fetches of the key set, so that made-up key ids
	// cannot be used to call the auth group.
	keysAgain = 5 * time.Second
	// keysGood is how long a key is accepted before the set is fetched again: a withdrawn key is good for
	// no longer, unless the auth group cannot be reached.
	keysGood = 5 * time.Minute
	// verifiedMax bounds the tokens whose signature need not be checked again.
	verifiedMax = 10_000
)

// VerifierConfig is what a Verifier needs.
type VerifierConfig struct {
	// Keys fetches the auth group's public keys.
	Keys func(context.Context) (JWKS, error)
	// GroupSecret is the key of tokens between groups; empty refuses them all.
	GroupSecret []byte
	// Revoked tells whether a session has ended; nil means none has.
	Revoked func(session string) bool
	// APIKey asks the auth group what an API key is; nil refuses them all. KeyChanged is when that changed
	// last, as Feed.AccessChanged tells it.
	APIKey     func(ctx context.Context, key string) (APIKey, error)
	KeyChanged func(organization, subject string) time.Time
	// Now is the clock.
	Now func() time.Time
}

// APIKeyPrefix begins every API key, so that it is told from an access token and found by scanners.
const APIKeyPrefix = "tdm_"

// apiKeyGood is how long an API key is known without asking again.
const apiKeyGood = time.Minute

// APIKey is what an API key stands for.
type APIKey struct {
	// ID is the key's; its subject is "key:<id>".
	ID string `json:"id"`
	// Organization is the one that the key belongs to.
	Organization string `json:"organization"`
	// ExpiresAt is when the key ends, in UTC; zero for one that does not.
	ExpiresAt time.Time `json:"expires_at"`
	// AccessHash names what the key may do (see Access.Hash).
	AccessHash string `json:"access_hash"`
	// AsOf is a moment, in UTC, not after the one at which this was read.
	AsOf time.Time `json:"as_of"`
}

// KeySubject is who acts with the API key of an id.
func KeySubject(id string) string { return "key:" + id }

func (k APIKey) principal(token string) Principal {
	return Principal{
		Subject: KeySubject(k.ID), Organization: k.Organization, Key: k.ID,
		IssuedAt: k.AsOf, AccessHash: k.AccessHash, Token: token,
	}
}

// Verifier turns bearer tokens into principals, without asking anybody per request. It is safe for
// concurrent use.
type Verifier struct {
	c     VerifierConfig
	user  *jwt.Parser
	group *jwt.Parser

	mu       sync.Mutex
	keys     map[string]ed25519.PublicKey
	fetched  time.Time // when the key set was last had
	tried    time.Time // when it was last asked for
	fetching chan struct{}
	verified map[[sha256.Size]byte]verified
}

type verified struct {
	principal Principal
	until     time.Time
}

// NewVerifier checks tokens with the keys and clock of c.
func NewVerifier(c VerifierConfig) *Verifier {
	options := func(audience, method string) []jwt.ParserOption {
		return []jwt.ParserOption{
			jwt.WithValidMethods([]string{method}), jwt.WithIssuer(Issuer), jwt.WithAudience(audience),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(clockLeeway), jwt.WithTimeFunc(c.Now),
		}
	}
	return &Verifier{
		c:        c,
		user:     jwt.NewParser(options(UserAudience, jwt.SigningMethodEdDSA.Alg())...),
		group:    jwt.NewParser(options(GroupAudience, jwt.SigningMethodHS256.Alg())...),
		verified: map[[sha256.Size]byte]verified{},
	}
}

// Verify is the principal of token. Errors are problems: 401 token_invalid, token_expired or
// session_revoked, 503 unavailable when the keys cannot be had.
func (v *Verifier) Verify(ctx context.Context, token string) (Principal, error) {
	if strings.HasPrefix(token, APIKeyPrefix) {
		return v.verifyKey(ctx, token)
	}
	digest := sha256.Sum256([]byte(token))
	v.mu.Lock()
	known, ok := v.verified[digest]
	ok = ok && (known.principal.Group != "" || v.c.Now().Sub(v.fetched) < keysGood)
	v.mu.Unlock()
	if !ok || !v.c.Now().Before(known.until) {
		claims, err := v.parse(ctx, token)
		if err != nil {
			return Principal{}, err
		}
		known = verified{claims.principal(token), claims.ExpiresAt.Add(clockLeeway)}
		v.remember(digest, known)
	}
	if known.principal.Session != "" && v.c.Revoked != nil && v.c.Revoked(known.principal.Session) {
		return Principal{}, sessionEnded()
	}
	return known.principal, nil
}

func sessionEnded() error {
	return unauthenticated(problem.CodeSessionRevoked, "this session has ended; sign in again")
}

// verifyKey asks for each API key once a minute, and when Feed says that something of it has changed.
func (v *Verifier) verifyKey(ctx context.Context, key string) (Principal, error) {
	if v.c.APIKey == nil {
		return Principal{}, unauthenticated(problem.CodeTokenInvalid, "API keys are not accepted here")
	}
	digest := sha256.Sum256([]byte(key))
	v.mu.Lock()
	known, ok := v.verified[digest]
	v.mu.Unlock()
	p := known.principal
	if ok && v.c.Now().Before(known.until) && v.c.KeyChanged(p.Organization, p.Subject).Before(p.IssuedAt) {
		return p, nil
	}
	k, err := v.c.APIKey(ctx, key)
	if err != nil {
		return Principal{}, err
	}
	until := v.c.Now().Add(apiKeyGood)
	if !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(until) {
		until = k.ExpiresAt
	}
	known = verified{k.principal(key), until}
	v.remember(digest, known)
	return known.principal, nil
}

func (v *Verifier) remember(digest [sha256.Size]byte, entry verified) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.verified) >= verifiedMax {
		clear(v.verified) // a full check of each live token costs less than keeping an order of use
	}
	v.verified[digest] = entry
}

func (v *Verifier) parse(ctx context.Context, token string) (*Claims, error) {
	parser, key := v.user, func(t *jwt.Token) (any, error) { return v.key(ctx, t) }
	if keyID(token) == groupKeyID && len(v.c.GroupSecret) > 0 {
		parser, key = v.group, func(*jwt.Token) (any, error) { return v.c.GroupSecret, nil }
	}
	claims := &Claims{}
	_, err := parser.ParseWithClaims(token, claims, key)
	var p *problem.Problem
	switch {
	case err == nil:
		return claims, nil
	case errors.As(err, &p):
		return nil, p
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, unauthenticated(problem.CodeTokenExpired, "the access token has expired; refresh it")
	default:
		return nil, unauthenticated(problem.CodeTokenInvalid, "the access token is not valid").Wrap(err)
	}
}

// keyID reads the header of an unverified token, only to pick the one parser that may accept it.
func keyID(token string) string {
	encoded, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	var header struct {
		KeyID string `json:"kid"`
	}
	if json.Unmarshal(text, &header) != nil {
		return ""
	}
	return header.KeyID
}

func (v *Verifier) key(ctx context.Context, t *jwt.Token) (any, error) {
	id, _ := t.Header["kid"].(string)
	for {
		v.mu.Lock()
		known, ok := v.keys[id]
		if age := v.c.Now().Sub(v.fetched); ok && (age < keysGood || v.c.Now().Sub(v.tried) < keysAgain) {
			v.mu.Unlock()
			return known, nil
		}
		if wait := v.fetching; wait != nil {
			v.mu.Unlock()
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if v.keys != nil && v.c.Now().Sub(v.fetched) < keysAgain {
			v.mu.Unlock()
			return nil, fmt.Errorf("no key %q in the key set", id)
		}
		done := make(chan struct{})
		v.fetching = done
		v.mu.Unlock()

		keys, err := v.fetch(ctx)

		v.mu.Lock()
		v.fetching, v.tried = nil, v.c.Now()
		if err == nil {
			v.keys, v.fetched = keys, v.tried
			clear(v.verified) // a key may have been withdrawn
		}
		v.mu.Unlock()
		close(done)
		if err != nil && !ok {
			return nil, problem.New(http.StatusServiceUnavailable, problem.CodeUnavailable,
				"access tokens cannot be verified right now").After(time.Second).Wrap(err)
		}
	}
}

// Ready is an error until the auth group's keys have been had once; it asks for them. From then on tokens are verified even
// while the auth group is down.
func (v *Verifier) Ready(ctx context.Context) error {
	had := func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.keys != nil
	}
	if had() {
		return nil
	}
	_, err := v.key(ctx, &jwt.Token{}) // no key has no id, but the set is had then
	if had() {
		return nil
	}
	return fmt.Errorf("the keys of access tokens cannot be had from the auth group: %w", err)
}

func (v *Verifier) fetch(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	set, err := v.c.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	keys := make(map[string]ed25519.PublicKey, len(set.Keys))
	for _, jwk := range set.Keys {
		key, err := jwk.public()
		if err != nil {
			return nil, err
		}
		keys[jwk.KeyID] = key
	}
	return keys, nil
}

func unauthenticated(code, detail string) *problem.Problem {
	return problem.New(http.StatusUnauthorized, code, detail).Header("WWW-Authenticate", `Bearer error="invalid_token"`)
}
