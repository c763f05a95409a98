package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tandemhq/tandem/apps/auth/internal/sso/outbound"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// forger is a provider that answers whatever a test wants. (How the party gets on with a real one is tested in package sso.)
type forger struct {
	*httptest.Server
	key, other *ecdsa.PrivateKey

	document map[string]any // discovery
	token    func() string  // ID token for the code
	refused  bool           // of the code
	userinfo map[string]any
	form     url.Values // as the code was redeemed
	asked    int        // for the document
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newForger(t testing.TB) *forger {
	f := &forger{key: newKey(t), other: newKey(t)}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		f.asked++
		answer(w, f.document)
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		point, err := f.key.PublicKey.Bytes()
		if err != nil {
			t.Error(err)
		}
		answer(w, map[string]any{"keys": []map[string]string{{
			"kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "alg": "ES256",
			"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
		}}})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		f.form = r.PostForm
		if f.refused {
			w.WriteHeader(http.StatusBadRequest)
			answer(w, map[string]string{"error": "invalid_grant"})
			return
		}
		tokens := map[string]any{"access_token": "access", "token_type": "Bearer"}
		if f.token != nil {
			tokens["id_token"] = f.token()
		}
		answer(w, tokens)
	})
	mux.HandleFunc("/userinfo", func(w http.ResponseWriter, _ *http.Request) {
		if f.userinfo == nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		answer(w, f.userinfo)
	})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	f.document = map[string]any{
		"issuer": f.URL, "authorization_endpoint": f.URL + "/authorize?tenant=1", "token_endpoint": f.URL + "/token", "jwks_uri": f.URL + "/keys",
		// A provider that offers what must not be taken.
		"id_token_signing_alg_values_supported": []string{"none", "HS256", "ES256"},
	}
	return f
}

func (f *forger) client() Client {
	return Client{Issuer: f.URL, ID: "tandem", Secret: "s3cr3t", RedirectURL: "https://api.example.com/callback", Scopes: []string{"email"}}
}

func (f *forger) claims(changes map[string]any) jwt.MapClaims {
	c := jwt.MapClaims{"iss": f.URL, "aud": "tandem", "sub": "ada", "nonce": "nonce", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "email": "ada@acme.example"}
	maps.Copy(c, changes)
	return c
}

func (f *forger) sign(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = "1"
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func newParty() *Party {
	policy := outbound.Policy{AllowInsecure: true}
	return New(policy.Client(), policy.Check, func() time.Time { return now })
}

func TestAuthorizationURL(t *testing.T) {
	f := newForger(t)
	to, err := newParty().AuthorizationURL(t.Context(), f.client(), "state", "nonce", "verifier")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("verifier"))
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "tandem", "redirect_uri": "https://api.example.com/callback", "scope": "openid email", "state": "state",
		"nonce": "nonce", "code_challenge": base64.RawURLEncoding.EncodeToString(sum[:]), "code_challenge_method": "S256", "tenant": "1",
	} {
		if got := u.Query().Get(name); got != want {
			t.Errorf("%s is %q; want %q", name, got, want)
		}
	}
}

func TestRedeem(t *testing.T) {
	f := newForger(t)
	f.token = func() string {
		return f.sign(t, jwt.SigningMethodES256, f.key, f.claims(map[string]any{"email_verified": true}))
	}
	who, err := newParty().Redeem(t.Context(), f.client(), "code", "verifier", "nonce")
	if err != nil || who.Subject != "ada" || who.Claims["email"] != "ada@acme.example" || !Verified(who.Claims) {
		t.Errorf("%+v, %v", who, err)
	}
	if f.form.Get("code") != "code" || f.form.Get("code_verifier") != "verifier" || f.form.Get("redirect_uri") != "https://api.example.com/callback" {
		t.Errorf("redeemed with %v", f.form)
	}
}

func TestUserInfoFillsIn(t *testing.T) {
	f := newForger(t)
	f.document["userinfo_endpoint"] = f.URL + "/userinfo"
	f.token = func() string { return f.sign(t, jwt.SigningMethodES256, f.key, f.claims(nil)) }
	f.userinfo = map[string]any{"sub": "ada", "email": "eve@acme.example", "groups": []string{"sales"}}
	who, err := newParty().Redeem(t.Context(), f.client(), "code", "verifier", "nonce")
	if groups, _ := who.Claims["groups"].([]any); err != nil || who.Claims["email"] != "ada@acme.example" || len(groups) != 1 {
		t.Errorf("%+v, %v; want the groups, and the address that was signed", who, err)
	}
	f.userinfo["sub"] = "eve"
	if who, err := newParty().Redeem(t.Context(), f.client(), "code", "verifier", "nonce"); !errors.Is(err, ErrRefused) {
		t.Errorf("the claims of somebody else: %+v, %v; want %v", who, err, ErrRefused)
	}
	f.userinfo = nil
	if who, err := newParty().Redeem(t.Context(), f.client(), "code", "verifier", "nonce"); !errors.Is(err, ErrUnreachable) {
		t.Errorf("no claims: %+v, %v; want %v", who, err, ErrUnreachable)
	}
}

func TestRefusedTokens(t *testing.T) {
	f := newForger(t)
	public, err := x509.MarshalPKIXPublicKey(&f.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(changes map[string]any) func() string {
		return func() string { return f.sign(t, jwt.SigningMethodES256, f.key, f.claims(changes)) }
	}
	for name, token := range map[string]func() string{
		"no token": nil,
		"no JWT":   func() string { return "token" },
		"alg none": func() string {
			return f.sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, f.claims(nil))
		},
		"HMAC with the key":   func() string { return f.sign(t, jwt.SigningMethodHS256, public, f.claims(nil)) },
		"HMAC, the secret":    func() string { return f.sign(t, jwt.SigningMethodHS256, []byte("s3cr3t"), f.claims(nil)) },
		"another key":         func() string { return f.sign(t, jwt.SigningMethodES256, f.other, f.claims(nil)) },
		"another payload":     func() string { return swapped(t, signed(nil)(), signed(map[string]any{"sub": "eve"})()) },
		"no signature":        func() string { return strings.Join(strings.Split(signed(nil)(), ".")[:2], ".") + "." },
		"another issuer":      signed(map[string]any{"iss": "https://idp.other.example"}),
		"another audience":    signed(map[string]any{"aud": "other"}),
		"no audience":         signed(map[string]any{"aud": nil}),
		"issued to another":   signed(map[string]any{"azp": "other"}),
		"two, issued to none": signed(map[string]any{"aud": []string{"tandem", "other"}}),
		"expired":             signed(map[string]any{"exp": now.Add(-time.Second).Unix()}),
		"never expires":       signed(map[string]any{"exp": nil}),
		"not valid yet":       signed(map[string]any{"nbf": now.Add(time.Hour).Unix()}),
		"another nonce":       signed(map[string]any{"nonce": "other"}),
		"no nonce":            signed(map[string]any{"nonce": nil}),
		"no subject":          signed(map[string]any{"sub": ""}),
	} {
		f.token = token
		if who, err := newParty().Redeem(t.Context(), f.client(), "code", "verifier", "nonce"); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %+v, %v; want %v", name, who, err, ErrRefused)
		}
	}
	f.token = signed(map[string]any{"aud": []string{"tandem", "other"}, "azp": "tandem"})
	if who, err := newParty().Redeem(t.Context(), f.client(), "code", "verifier", "nonce"); err != nil {
		t.Errorf("two audiences, issued to us: %+v, %v", who, err)
	}
	f.refused = true
	if _, err := newParty().Redeem(t.Context(), f.client(), "code", "verifier", "nonce"); !errors.Is(err, ErrRefused) {
		t.Errorf("a code that is none: %v; want %v", err, ErrRefused)
	}
}

// swapped is the first token with the second one's payload.
func swapped(t *testing.T, a, b string) string {
	t.Helper()
	parts := strings.Split(a, ".")
	parts[1] = strings.Split(b, ".")[1]
	return strings.Join(parts, ".")
}

func TestProvidersThatAreNone(t *testing.T) {
	for name, change := range map[string]func(*forger){
		"another issuer":     func(f *forger) { f.document["issuer"] = f.URL + "/" },
		"no issuer":          func(f *forger) { delete(f.document, "issuer") },
		"nowhere to sign in": func(f *forger) { delete(f.document, "authorization_endpoint") },
		"a script":           func(f *forger) { f.document["authorization_endpoint"] = "javascript:alert(1)" },
		"gone":               func(f *forger) { f.Close() },
	} {
		f := newForger(t)
		change(f)
		if err := newParty().Discover(t.Context(), f.URL); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v; want %v", name, err, ErrUnreachable)
		}
	}
}

// A provider that says that it names itself in its answers always does (RFC 9207).
func TestWhoseAnAnswerIs(t *testing.T) {
	for _, c := range []struct {
		namesItself any
		named       string // F for the provider itself
		want        error
	}{
		{nil, "", nil},
		{nil, "F", nil},
		{nil, "https://other.example", ErrRefused},
		{false, "", nil},
		{true, "F", nil},
		{true, "", ErrRefused},
		{true, "https://other.example", ErrRefused},
		{"yes", "F", ErrUnreachable},
	} {
		f := newForger(t)
		if c.namesItself != nil {
			f.document["authorization_response_iss_parameter_supported"] = c.namesItself
		}
		named := strings.Replace(c.named, "F", f.URL, 1)
		if err := newParty().Answers(t.Context(), f.URL, named); !errors.Is(err, c.want) {
			t.Errorf("supported: %v, iss: %q: %v; want %v", c.namesItself, c.named, err, c.want)
		}
	}
}

func TestDocumentIsKeptForAnHour(t *testing.T) {
	f, at := newForger(t), now
	policy := outbound.Policy{AllowInsecure: true}
	p := New(policy.Client(), policy.Check, func() time.Time { return at })
	for _, c := range []struct {
		pass time.Duration
		want int
	}{{0, 1}, {discoveryKept - time.Second, 1}, {time.Second, 2}} {
		at = at.Add(c.pass)
		if _, err := p.AuthorizationURL(t.Context(), f.client(), "state", "nonce", "verifier"); err != nil || f.asked != c.want {
			t.Errorf("after %v: asked %d times, %v; want %d", at.Sub(now), f.asked, err, c.want)
		}
	}
	if err := p.Discover(t.Context(), f.URL); err != nil || f.asked != 3 {
		t.Errorf("asked %d times, %v; want anew", f.asked, err)
	}
}

func TestVerified(t *testing.T) {
	for _, c := range []struct {
		value any
		want  bool
	}{{true, true}, {"true", true}, {false, false}, {"false", false}, {nil, false}, {1.0, false}, {"TRUE", false}, {[]any{true}, false}} {
		if got := Verified(map[string]any{"email_verified": c.value}); got != c.want {
			t.Errorf("%#v: %t", c.value, got)
		}
	}
}
