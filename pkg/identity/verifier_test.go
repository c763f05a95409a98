package identity_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

// issuer is an auth group with one key, a clock and a list of ended sessions.
type issuer struct {
	key     ed25519.PrivateKey
	now     time.Time
	ended   string
	fetches atomic.Int64
	down    bool
}

var groupSecret = []byte("a secret of thirty-two bytes....")

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{key: key, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (i *issuer) verifier() *identity.Verifier {
	return identity.NewVerifier(identity.VerifierConfig{
		Keys: func(context.Context) (identity.JWKS, error) {
			i.fetches.Add(1)
			if i.down {
				return identity.JWKS{}, errors.New("down")
			}
			return identity.JWKS{Keys: []identity.JWK{identity.NewJWK("k1", i.key.Public().(ed25519.PublicKey))}}, nil
		},
		GroupSecret: groupSecret,
		Revoked:     func(s string) bool { return s == i.ended },
		Now:         func() time.Time { return i.now },
	})
}

func (i *issuer) claims() identity.Claims {
	return identity.Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: identity.Issuer, Audience: jwt.ClaimStrings{identity.UserAudience}, Subject: "u1",
			IssuedAt: jwt.NewNumericDate(i.now), ExpiresAt: jwt.NewNumericDate(i.now.Add(15 * time.Minute)),
		},
		Organization: "o1", Session: "s1", Roles: []string{"owner"}, Scope: "a.b:read c.d:write",
	}
}

func (i *issuer) sign(t testing.TB, c identity.Claims, keyID string) string {
	t.Helper()
	token, err := identity.Sign(c, keyID, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAVerifierIsReadyOnceItHasHadTheKeys(t *testing.T) {
	i := newIssuer(t)
	i.down = true
	v := i.verifier()
	if err := v.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "keys of access tokens") {
		t.Errorf("without keys: %v", err)
	}
	i.down = false
	if err := v.Ready(t.Context()); err != nil {
		t.Errorf("with keys: %v", err)
	}
	i.down = true
	if err := v.Ready(t.Context()); err != nil || i.fetches.Load() != 2 {
		t.Errorf("once it has had them: %v, after %d fetches", err, i.fetches.Load())
	}
}

func TestVerifyReadsThePrincipal(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier()
	token := i.sign(t, i.claims(), "k1")
	for range 2 { // the second time from memory
		p, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if p.Subject != "u1" || p.Organization != "o1" || p.Session != "s1" || len(p.Scope) != 2 || p.Token != token {
			t.Fatalf("principal %+v", p)
		}
	}
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("%d fetches of the keys, want 1", n)
	}
	i.now = i.now.Add(15*time.Minute + 6*time.Second)
	if _, err := v.Verify(t.Context(), token); problem.Code(err) != problem.CodeTokenExpired {
		t.Errorf("a remembered token lives on after its end: %v", err)
	}
}

func TestVerifyRefusesForgeries(t *testing.T) {
	i := newIssuer(t)
	other := newIssuer(t)
	good := i.sign(t, i.claims(), "k1")
	change := func(edit func(*identity.Claims)) string {
		c := i.claims()
		edit(&c)
		return i.sign(t, c, "k1")
	}
	none := jwt.NewWithClaims(jwt.SigningMethodNone, i.claims())
	none.Header["kid"] = "k1"
	unsigned, err := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	// The public key as an HMAC secret: accepted by verifiers that let the token choose the method.
	confused := jwt.NewWithClaims(jwt.SigningMethodHS256, i.claims())
	confused.Header["kid"] = "k1"
	confusedToken, err := confused.SignedString([]byte(i.key.Public().(ed25519.PublicKey)))
	if err != nil {
		t.Fatal(err)
	}
	group, err := identity.SignGroup("analytics", "o1", []byte("another secret, another secret.."), i.now)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"nothing":             "",
		"no token":            "abc",
		"alg none":            unsigned,
		"method confusion":    confusedToken,
		"another's key":       other.sign(t, other.claims(), "k1"),
		"unknown key":         i.sign(t, i.claims(), "k2"),
		"a user as a group":   i.sign(t, i.claims(), "groups"),
		"a group's wrong key": group,
		"wrong issuer":        change(func(c *identity.Claims) { c.Issuer = "elsewhere" }),
		"wrong audience":      change(func(c *identity.Claims) { c.Audience = jwt.ClaimStrings{"elsewhere"} }),
		"audience of groups":  change(func(c *identity.Claims) { c.Audience = jwt.ClaimStrings{identity.GroupAudience} }),
		"no end":              change(func(c *identity.Claims) { c.ExpiresAt = nil }),
		"not yet issued":      change(func(c *identity.Claims) { c.IssuedAt = jwt.NewNumericDate(i.now.Add(time.Hour)) }),
		"broken signature":    good[:len(good)-4] + "AAAA",
		"changed claims":      strings.Replace(good, ".", ".e30", 1),
	} {
		if p, err := i.verifier().Verify(t.Context(), token); problem.Code(err) != problem.CodeTokenInvalid {
			t.Errorf("%s: principal %+v, error %v", name, p, err)
		}
	}
}

func TestVerifyGroupTokens(t *testing.T) {
	i := newIssuer(t)
	token, err := identity.SignGroup("analytics", "o1", groupSecret, i.now)
	if err != nil {
		t.Fatal(err)
	}
	p, err := i.verifier().Verify(t.Context(), token)
	if err != nil || p.Group != "analytics" || p.Organization != "o1" {
		t.Fatalf("principal %+v, error %v", p, err)
	}
}

func TestARevokedSessionIsRefusedThoughItsTokenIsRemembered(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier()
	token := i.sign(t, i.claims(), "k1")
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	i.ended = "s1"
	if _, err := v.Verify(t.Context(), token); problem.Code(err) != problem.CodeSessionRevoked {
		t.Errorf("error %v", err)
	}
}

func TestUnknownKeysAreNotAskedForAgainAndAgain(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier()
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() { _, _ = v.Verify(t.Context(), i.sign(t, i.claims(), "made-up")) })
	}
	wait.Wait()
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("50 tokens with a made-up key made %d fetches", n)
	}
	i.now = i.now.Add(6 * time.Second)
	_, _ = v.Verify(t.Context(), i.sign(t, i.claims(), "made-up"))
	if n := i.fetches.Load(); n != 2 {
		t.Errorf("%d fetches after the pause, want 2: a rotated key would never be seen", n)
	}
}

func TestAWithdrawnKeyIsGoodForMinutesOnly(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier()
	claims := i.claims()
	claims.ExpiresAt = jwt.NewNumericDate(i.now.Add(time.Hour))
	token := i.sign(t, claims, "k1")
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	i.down = true // while auth is down, what is known is good
	i.now = i.now.Add(6 * time.Minute)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Errorf("auth is down: %v", err)
	}
	i.down, i.key = false, newIssuer(t).key
	i.now = i.now.Add(6 * time.Second)
	if _, err := v.Verify(t.Context(), token); problem.Code(err) != problem.CodeTokenInvalid {
		t.Errorf("the key was withdrawn: %v", err)
	}
}

func TestWithoutKeysTheAnswerIsUnavailable(t *testing.T) {
	i := newIssuer(t)
	i.down = true
	_, err := i.verifier().Verify(t.Context(), i.sign(t, i.claims(), "k1"))
	if p := problem.From(err); p.Status != http.StatusServiceUnavailable || p.RetryAfter() == 0 {
		t.Errorf("got %v", err)
	}
}

// FuzzVerify holds that nothing is accepted which was not signed with the key of its kind, for its audience: neither a text as it
// comes, nor any header and claims with what a forger could sign them with.
func FuzzVerify(f *testing.F) {
	i := &issuer{key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	public, wrong := i.key.Public().(ed25519.PublicKey), ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	mac := func(key []byte, text string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	encode := base64.RawURLEncoding.EncodeToString
	user, err := identity.Sign(i.claims(), "k1", i.key)
	if err != nil {
		f.Fatal(err)
	}
	group, err := identity.SignGroup("analytics", "o1", groupSecret, i.now)
	if err != nil {
		f.Fatal(err)
	}
	for _, token := range []string{user, group, user[:len(user)-1], user[:strings.LastIndexByte(user, '.')+1], "a.b.c", "..", ""} {
		parts := append(strings.Split(token, "."), "", "")
		header, _ := base64.RawURLEncoding.DecodeString(parts[0])
		claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
		f.Add(token, string(header), string(claims))
	}
	const claims = `{"iss":"tandem","aud":"tandem","sub":"u1","org":"o1","exp":1772370000}`
	for _, header := range []string{
		`{"alg":"none","kid":"k1"}`, `{"alg":"HS256","kid":"k1"}`, `{"alg":"EdDSA","kid":"k2"}`, `{"alg":"EdDSA","kid":"groups"}`,
		`{"alg":"EdDSA","kid":1}`, `{"alg":"EdDSA","kid":"k1","jwk":{"kty":"OKP"},"x":"` + strings.Repeat("x", 1<<12) + `"}`,
	} {
		f.Add("", header, claims)
	}
	f.Add("", `{"alg":"EdDSA","kid":"k1"}`, strings.Replace(claims, `"aud":"tandem"`, `"aud":"tandem:groups"`, 1))
	f.Add("", `{"alg":"HS256","kid":"groups"}`, claims)

	v := i.verifier()
	accepts := func(t *testing.T, token string) bool {
		_, err := v.Verify(t.Context(), token)
		if err != nil && problem.From(err).Status != http.StatusUnauthorized {
			t.Errorf("%q: %v; want a 401", token, err)
		}
		return err == nil
	}
	f.Fuzz(func(t *testing.T, token, header, claims string) {
		if accepts(t, token) {
			signed := token[:strings.LastIndexByte(token, '.')]
			signature, err := base64.RawURLEncoding.DecodeString(token[len(signed)+1:])
			if err != nil || !ed25519.Verify(public, []byte(signed), signature) && !hmac.Equal(signature, mac(groupSecret, signed)) {
				t.Errorf("%q was accepted and is signed by nobody", token)
			}
		}
		signed := encode([]byte(header)) + "." + encode([]byte(claims))
		for name, signature := range map[string][]byte{
			"nothing": nil, "a wrong key": ed25519.Sign(wrong, []byte(signed)), "the public key as a secret": mac(public, signed), "no secret": mac(nil, signed),
		} {
			if token := signed + "." + encode(signature); accepts(t, token) {
				t.Errorf("%s, %s: accepted with %s", header, claims, name)
			}
		}
		for audience, signature := range map[string][]byte{
			identity.UserAudience: ed25519.Sign(i.key, []byte(signed)), identity.GroupAudience: mac(groupSecret, signed),
		} {
			if !accepts(t, signed+"."+encode(signature)) {
				continue
			}
			var of identity.Claims
			if err := json.Unmarshal([]byte(claims), &of); err != nil || !slices.Contains(of.Audience, audience) || !of.ExpiresAt.After(i.now.Add(-time.Minute)) {
				t.Errorf("%s, %s: accepted for %s, %v", header, claims, audience, err)
			}
		}
	})
}
