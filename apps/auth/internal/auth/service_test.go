package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/authtest"
	"github.com/tandemhq/tandem/apps/auth/internal/keys"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/apps/auth/internal/passwords"
	"github.com/tandemhq/tandem/apps/auth/internal/policy"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/mail"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

// cheap makes tests fast; what is tested does not depend on the cost.
var cheap = passwords.Params{Memory: 8, Passes: 1, Threads: 1}

const goodPassword = "three blind mice in a row"

// counted counts what is hashed, and against what.
type counted struct {
	passwords.Hasher
	hashes, verified, dummies atomic.Int64
}

func (c *counted) Hash(ctx context.Context, password string) (string, error) {
	c.hashes.Add(1)
	return c.Hasher.Hash(ctx, password)
}

func (c *counted) Verify(ctx context.Context, hash, password string) (bool, bool, error) {
	c.verified.Add(1)
	if hash == c.Dummy() {
		c.dummies.Add(1)
	}
	return c.Hasher.Verify(ctx, hash, password)
}

type fixture struct {
	*authtest.World
	*Service
	hasher *counted

	seed, previous secrets.Secret
	factors        factors
	sent           outgoing
}

// everything is what every member may do here.
type everything struct{}

func (everything) Contribute(_ context.Context, _ access.Member, to *identity.Access) error {
	to.Permissions = []string{"*:*"}
	return nil
}

// factors are the second factors of everybody here.
type factors struct {
	methods    []authapi.MFAMethod
	remembered string
}

func (f *factors) Methods(context.Context, string) ([]authapi.MFAMethod, error) {
	return slices.Clone(f.methods), nil
}

func (f *factors) drop(context.Context, string) error {
	f.methods = nil
	return nil
}

func (f *factors) Remembered(_ context.Context, _, _, device string, _ int) (bool, error) {
	return device == f.remembered, nil
}

func newSeed(t testing.TB) secrets.Secret {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		t.Fatal(err)
	}
	return secrets.New(base64.StdEncoding.EncodeToString(seed))
}

func privateKey(t testing.TB, seed secrets.Secret) ed25519.PrivateKey {
	t.Helper()
	decoded, err := base64.StdEncoding.DecodeString(seed.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(decoded)
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{World: authtest.New(t), seed: newSeed(t)}
	f.reopen(t, cheap)
	return f
}

// reopen is another process on the same data, with hashes of another cost.
func (f *fixture) reopen(t testing.TB, p passwords.Params) {
	t.Helper()
	hasher, err := passwords.NewArgon2id(p, 4, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f.hasher = &counted{Hasher: hasher}
	people, err := accounts.Open(t.Context(), f.DB)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := policy.Open(t.Context(), f.DB)
	if err != nil {
		t.Fatal(err)
	}
	allowed, err := access.Open(t.Context(), access.Config{DB: f.DB, Accounts: people, Sources: []access.Source{everything{}}, Now: f.Now})
	if err != nil {
		t.Fatal(err)
	}
	s, err := sessions.Open(t.Context(), sessions.Config{DB: f.DB, Emit: f.Emit(), Now: f.Now, NewID: f.NewID, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.NewRing(t.Context(), func(context.Context) (keys.Signing, error) { return keys.New(f.seed, f.previous) }, f.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	in, err := signin.Open(t.Context(), signin.Config{
		DB: f.DB, Accounts: people, Policies: rules, Sessions: s, Access: allowed, Factors: &f.factors, Key: key, Emit: f.Emit(),
		Now: f.Now, NewID: f.NewID, Random: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	letters, err := mails.New(&f.sent, &url.URL{Scheme: "https", Host: "app.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	f.Service, err = Open(t.Context(), Config{
		DB: f.DB, Accounts: people, SignIn: in, Sessions: s, Access: allowed, Policies: rules, DropCredentials: f.factors.drop, Hasher: f.hasher, Rules: passwords.NewRules(), Mails: letters, Random: rand.Reader, Key: key, Emit: f.Emit(), Now: f.Now, NewID: f.NewID,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func ada() NewAccount {
	return NewAccount{Organization: "Analytical Engines", Email: "ada@example.com", Password: goodPassword, FirstName: "Ada", LastName: "Lovelace"}
}

func (f *fixture) register(t testing.TB, a NewAccount) *authapi.Registration {
	t.Helper()
	r, err := f.Register(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (f *fixture) login(t testing.TB, email, password string) *authapi.SignIn {
	t.Helper()
	tokens, err := f.Login(t.Context(), Credentials{Email: email, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// fails logs in and is told code.
func (f *fixture) fails(t testing.TB, email, password, code string) *problem.Problem {
	t.Helper()
	tokens, err := f.Login(t.Context(), Credentials{Email: email, Password: password})
	if problem.Code(err) != code {
		t.Fatalf("login of %s = %+v, %v; want %s", email, tokens, err, code)
	}
	return problem.From(err)
}

// verifier checks tokens as every process does.
func (f *fixture) verifier() *identity.Verifier {
	return identity.NewVerifier(identity.VerifierConfig{
		Keys: func(context.Context) (identity.JWKS, error) { return f.c.Key.JWKS(), nil },
		Now:  f.Now,
	})
}

func (f *fixture) organizations(t testing.TB) int64 {
	t.Helper()
	n, err := f.c.Accounts.Organizations.Count(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRegister(t *testing.T) {
	f := newFixture(t)
	r := f.register(t, NewAccount{
		Organization: " Analytical Engines ", Email: " Ada@Example.COM ", Password: goodPassword, FirstName: " Ada", LastName: "Lovelace\t",
	})
	wantUser := authapi.User{ID: r.User.ID, Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace", CreatedAt: f.Now()}
	wantOrganization := authapi.Organization{ID: r.Organization.ID, Name: "Analytical Engines", CreatedAt: f.Now()}
	if !slices.Equal(r.User.Roles, []string{"owner"}) {
		t.Errorf("roles %v; want owner", r.User.Roles)
	}
	r.User.Roles = nil
	if fmt.Sprint(r.User) != fmt.Sprint(wantUser) || r.Organization != wantOrganization || r.User.ID == "" || r.User.ID == r.Organization.ID {
		t.Errorf("registered %+v; want %+v, %+v", r, wantUser, wantOrganization)
	}
	out := f.Outbox(t)
	var data authapi.UserRegisteredData
	if len(out) != 1 || out[0].Type != "auth.user.registered" || out[0].Organization != r.Organization.ID {
		t.Fatalf("events %+v; want one auth.user.registered of the organization", out)
	}
	if err := json.Unmarshal(out[0].Data, &data); err != nil {
		t.Fatal(err)
	}
	if want := (authapi.UserRegisteredData{UserID: r.User.ID, OrganizationID: r.Organization.ID, At: f.Now()}); data != want {
		t.Errorf("event %+v; want %+v", data, want)
	}
	doc, err := f.c.Accounts.Users.Get(t.Context(), r.User.ID)
	if err != nil || strings.Contains(doc.Value.PasswordHash, goodPassword) || !strings.HasPrefix(doc.Value.PasswordHash, "$argon2id$") {
		t.Errorf("stored %q, %v; want an Argon2id hash", doc.Value.PasswordHash, err)
	}
}

func TestRefusedRegistrations(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	for _, c := range []struct {
		name           string
		change         func(*NewAccount)
		code, location string
	}{
		{"the same address", func(*NewAccount) {}, authapi.CodeEmailTaken, ""},
		{"another spelling", func(a *NewAccount) { a.Email = "  ADA@EXAMPLE.com" }, authapi.CodeEmailTaken, ""},
		{"no address", func(a *NewAccount) { a.Email = "ada" }, problem.CodeValidation, "body.email"},
		{"two addresses", func(a *NewAccount) { a.Email = "a@example.com,b@example.com" }, problem.CodeValidation, "body.email"},
		{"blank organization", func(a *NewAccount) { a.Organization = " \t" }, problem.CodeValidation, "body.organization.name"},
		{"blank first name", func(a *NewAccount) { a.FirstName = " " }, problem.CodeValidation, "body.first_name"},
		{"control characters", func(a *NewAccount) { a.LastName = "Love\nlace" }, problem.CodeValidation, "body.last_name"},
		{"short password", func(a *NewAccount) { a.Password = "mice" }, authapi.CodeWeakPassword, "body.password"},
		{"password of the organization", func(a *NewAccount) { a.Password = "analyticalengines1" }, authapi.CodeWeakPassword, "body.password"},
		{"password of a short address", func(a *NewAccount) { a.Password = "Ada@example.com" }, authapi.CodeWeakPassword, "body.password"},
		{"password with control characters", func(a *NewAccount) { a.Password = "three blind\x00 mice" }, authapi.CodeWeakPassword, "body.password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := ada()
			c.change(&a)
			r, err := f.Register(t.Context(), a)
			p := problem.From(err)
			if err == nil || p.Code != c.code {
				t.Fatalf("registered %+v, %v; want %s", r, err, c.code)
			}
			if c.location != "" && (p.Status != 422 || len(p.Errors) != 1 || p.Errors[0].Location != c.location) {
				t.Errorf("%d with %+v; want 422 about %s", p.Status, p.Errors, c.location)
			}
			if c.location == "" && p.Status != 409 {
				t.Errorf("status %d; want 409", p.Status)
			}
			if strings.Contains(fmt.Sprintf("%+v", p.Errors)+p.Detail, a.Password) {
				t.Error("the answer repeats the password")
			}
		})
	}
	if n := f.organizations(t); n != 1 {
		t.Errorf("%d organizations; want the first one only", n)
	}
	if n := len(f.Outbox(t)); n != 1 {
		t.Errorf("%d events; want the first one's only", n)
	}
}

// The unique index decides between registrations that all found the address free.
func TestConcurrentRegistrationsHaveOneWinner(t *testing.T) {
	f := newFixture(t)
	var won, lost atomic.Int64
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			switch _, err := f.Register(t.Context(), ada()); {
			case err == nil:
				won.Add(1)
			case problem.Code(err) == authapi.CodeEmailTaken:
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || lost.Load() != 9 || f.organizations(t) != 1 || len(f.Outbox(t)) != 1 {
		t.Errorf("%d won, %d lost, %d organizations, %d events; want 1, 9, 1, 1", won.Load(), lost.Load(), f.organizations(t), len(f.Outbox(t)))
	}
}

func TestLoginGivesTokensThatVerify(t *testing.T) {
	f := newFixture(t)
	r := f.register(t, ada())
	tokens, err := f.Login(t.Context(), Credentials{Email: "ADA@example.com ", Password: goodPassword, Scope: "analytics.*:read  *:write"})
	if err != nil {
		t.Fatal(err)
	}
	if tokens.TokenType != "Bearer" || tokens.ExpiresIn != 900 || tokens.Scope != "analytics.*:read *:write" {
		t.Errorf("tokens = %+v", tokens)
	}
	p, err := f.verifier().Verify(t.Context(), tokens.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	session, _, _ := strings.Cut(tokens.RefreshToken, ".")
	if p.Subject != r.User.ID || p.Organization != r.Organization.ID || p.Session != session || p.Group != "" ||
		!slices.Equal(p.Roles, []string{"owner"}) || !slices.Equal(p.Scope, []string{"analytics.*:read", "*:write"}) {
		t.Errorf("principal = %+v", p)
	}
	if !p.Can("analytics.dashboard:read") || p.Can("integrations.sync:read") {
		t.Error("the scope does not narrow what the owner can do")
	}
	var claims identity.Claims
	if _, _, err := jwt.NewParser().ParseUnverified(tokens.AccessToken, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.ID == "" || !claims.IssuedAt.Equal(f.Now()) || !claims.ExpiresAt.Equal(f.Now().Add(15*time.Minute)) ||
		claims.Issuer != identity.Issuer || !slices.Equal(claims.Audience, jwt.ClaimStrings{identity.UserAudience}) {
		t.Errorf("claims = %+v", claims.RegisteredClaims)
	}
}

func TestForgedAndExpiredTokensAreRefused(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	good := f.login(t, "ada@example.com", goodPassword).AccessToken
	var claims identity.Claims
	if _, _, err := jwt.NewParser().ParseUnverified(good, &claims); err != nil {
		t.Fatal(err)
	}
	own, foreign, id := privateKey(t, f.seed), privateKey(t, newSeed(t)), f.c.Key.JWKS().Keys[0].KeyID
	sign := func(key ed25519.PrivateKey, id string, change func(*identity.Claims)) string {
		changed := claims
		change(&changed)
		token, err := identity.Sign(changed, id, key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	none := jwt.NewWithClaims(jwt.SigningMethodNone, claims)
	none.Header["kid"] = id
	unsigned, err := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	symmetric := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	symmetric.Header["kid"] = id
	confused, err := symmetric.SignedString([]byte(own.Public().(ed25519.PublicKey)))
	if err != nil {
		t.Fatal(err)
	}
	same := func(*identity.Claims) {}
	for name, c := range map[string]struct{ token, code string }{
		"good":           {sign(own, id, same), ""},
		"alg none":       {unsigned, problem.CodeTokenInvalid},
		"public as HMAC": {confused, problem.CodeTokenInvalid},
		"wrong key":      {sign(foreign, id, same), problem.CodeTokenInvalid},
		"unknown key":    {sign(foreign, "another", same), problem.CodeTokenInvalid},
		"audience":       {sign(own, id, func(c *identity.Claims) { c.Audience = jwt.ClaimStrings{identity.GroupAudience} }), problem.CodeTokenInvalid},
		"issuer":         {sign(own, id, func(c *identity.Claims) { c.Issuer = "elsewhere" }), problem.CodeTokenInvalid},
		"expired":        {sign(own, id, func(c *identity.Claims) { c.ExpiresAt = jwt.NewNumericDate(f.Now().Add(-time.Minute)) }), problem.CodeTokenExpired},
		"never expires":  {sign(own, id, func(c *identity.Claims) { c.ExpiresAt = nil }), problem.CodeTokenInvalid},
		"from tomorrow":  {sign(own, id, func(c *identity.Claims) { c.IssuedAt = jwt.NewNumericDate(f.Now().Add(24 * time.Hour)) }), problem.CodeTokenInvalid},
		"truncated":      {good[:len(good)-4], problem.CodeTokenInvalid},
		"refresh token":  {f.login(t, "ada@example.com", goodPassword).RefreshToken, problem.CodeTokenInvalid},
	} {
		if _, err := f.verifier().Verify(t.Context(), c.token); problem.Code(err) != c.code {
			t.Errorf("%s: %v; want %q", name, err, c.code)
		}
	}
	f.Pass(16 * time.Minute)
	if _, err := f.verifier().Verify(t.Context(), good); problem.Code(err) != problem.CodeTokenExpired {
		t.Errorf("after 16 minutes: %v; want token_expired", err)
	}
}

// Whether somebody has an account is neither in the answer nor in the work that was done for it.
func TestUnknownUsersCostWhatWrongPasswordsDo(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	known := f.fails(t, "ada@example.com", "four blind mice in a row", authapi.CodeInvalidCredentials)
	if f.hasher.verified.Load() != 1 || f.hasher.dummies.Load() != 0 {
		t.Fatalf("known user: %d verified, %d dummies; want 1, 0", f.hasher.verified.Load(), f.hasher.dummies.Load())
	}
	unknown := f.fails(t, "eve@example.com", "four blind mice in a row", authapi.CodeInvalidCredentials)
	if f.hasher.verified.Load() != 2 || f.hasher.dummies.Load() != 1 {
		t.Fatalf("unknown user: %d verified, %d dummies; want 2, 1", f.hasher.verified.Load(), f.hasher.dummies.Load())
	}
	if fmt.Sprintf("%+v", known) != fmt.Sprintf("%+v", unknown) {
		t.Errorf("answers differ:\n%+v\n%+v", known, unknown)
	}
	// A password that nobody can have costs the same.
	f.fails(t, "ada@example.com", "with\x00nul", authapi.CodeInvalidCredentials)
	if f.hasher.verified.Load() != 3 {
		t.Errorf("%d verified; want 3", f.hasher.verified.Load())
	}
	if f.hasher.hashes.Load() != 1 {
		t.Errorf("%d hashes made; want the registration's", f.hasher.hashes.Load())
	}
}

func TestLockoutGrows(t *testing.T) {
	for want, counts := range map[time.Duration][]int{
		0: {0, 1, 4}, time.Minute: {5}, 2 * time.Minute: {6}, 4 * time.Minute: {7}, 32 * time.Minute: {10}, time.Hour: {11, 12, 100, 1 << 30},
	} {
		for _, count := range counts {
			if got := (lockout{free: freeFailures, longest: longestLock}).lockFor(count); got != want {
				t.Errorf("after %d failures %v; want %v", count, got, want)
			}
		}
	}
}

func TestLockout(t *testing.T) {
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		t.Run(email, func(t *testing.T) {
			f := newFixture(t)
			f.register(t, ada())
			for range 5 {
				f.fails(t, email, "wrong", authapi.CodeInvalidCredentials)
			}
			for _, lock := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
				verified := f.hasher.verified.Load()
				p := f.fails(t, email, goodPassword, authapi.CodeAccountLocked)
				if p.Status != 429 || p.RetryAfter() != lock {
					t.Fatalf("%d, retry after %v; want 429, %v", p.Status, p.RetryAfter(), lock)
				}
				f.reopen(t, cheap) // a restart forgets nothing
				f.Pass(lock - time.Second)
				if p = f.fails(t, email, goodPassword, authapi.CodeAccountLocked); p.RetryAfter() != time.Second {
					t.Fatalf("retry after %v; want 1s", p.RetryAfter())
				}
				if f.hasher.verified.Load() != 0 || verified == 0 {
					t.Fatal("a locked address costs a hash")
				}
				f.Pass(time.Second)
				f.fails(t, strings.ToUpper(email), "wrong", authapi.CodeInvalidCredentials)
			}
			f.Pass(8 * time.Minute)
			if email == "ada@example.com" {
				f.login(t, email, goodPassword)
				for range 4 { // the count began anew
					f.fails(t, email, "wrong", authapi.CodeInvalidCredentials)
				}
				f.login(t, email, goodPassword)
			}
		})
	}
}

func TestLockIsOneAddresss(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	for range 5 {
		f.fails(t, "eve@example.com", "wrong", authapi.CodeInvalidCredentials)
	}
	f.fails(t, "eve@example.com", "wrong", authapi.CodeAccountLocked)
	f.login(t, "ada@example.com", goodPassword)
}

// Guesses made at once learn no more than guesses made one after the other: five.
func TestConcurrentGuessesAreCounted(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	var invalid, locked atomic.Int64
	var all sync.WaitGroup
	start := make(chan struct{})
	for range 40 {
		all.Go(func() {
			<-start
			switch _, err := f.Login(t.Context(), Credentials{Email: "ada@example.com", Password: "wrong"}); problem.Code(err) {
			case authapi.CodeInvalidCredentials:
				invalid.Add(1)
			case authapi.CodeAccountLocked:
				locked.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	close(start)
	all.Wait()
	if invalid.Load() != 5 || locked.Load() != 35 {
		t.Errorf("%d guesses were answered, %d locked out; want 5, 35", invalid.Load(), locked.Load())
	}
}

// lockingHasher lets others lock the address while a password is being checked.
type lockingHasher struct {
	passwords.Hasher
	meanwhile func()
}

func (h lockingHasher) Verify(ctx context.Context, hash, password string) (bool, bool, error) {
	h.meanwhile()
	return h.Hasher.Verify(ctx, hash, password)
}

func TestRightGuessAmongManyIsNotTold(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	f.c.Hasher = lockingHasher{f.hasher, func() {
		for range 5 {
			if err := f.lockout.failed(t.Context(), "ada@example.com"); err != nil {
				t.Fatal(err)
			}
		}
	}}
	f.fails(t, "ada@example.com", goodPassword, authapi.CodeAccountLocked)
	page, err := f.c.Sessions.List(t.Context(), "id-2", "", "", 10)
	if err != nil || len(page.Items) != 0 {
		t.Errorf("sessions %+v, %v; want none", page, err)
	}
}

func TestFailuresAreForgottenAfterADay(t *testing.T) {
	f := newFixture(t)
	for range 4 {
		f.fails(t, "eve@example.com", "wrong", authapi.CodeInvalidCredentials)
	}
	count := func() int64 {
		n, err := f.lockout.failures.Count(t.Context(), store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	f.Pass(failuresKept - time.Second)
	if err := f.Forget(t.Context()); err != nil || count() != 1 {
		t.Errorf("within a day: %d kept, %v; want 1", count(), err)
	}
	f.Pass(time.Second)
	f.fails(t, "eve@example.com", "wrong", authapi.CodeInvalidCredentials) // due, though not deleted yet
	f.fails(t, "eve@example.com", "wrong", authapi.CodeInvalidCredentials)
	f.Pass(failuresKept + time.Second)
	if err := f.Forget(t.Context()); err != nil || count() != 0 {
		t.Errorf("after a day: %d kept, %v; want none", count(), err)
	}
}

func TestUnknownAddressesAreNotStored(t *testing.T) {
	f := newFixture(t)
	f.fails(t, "eve@example.com", "wrong", authapi.CodeInvalidCredentials)
	err := f.lockout.failures.Each(t.Context(), store.Query{}, func(doc store.Doc[failures]) error {
		text, err := json.Marshal(doc)
		if strings.Contains(string(text), "eve") {
			t.Errorf("stored %s", text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRefusedLogins(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	for _, c := range []struct {
		in   Credentials
		code string
	}{
		{Credentials{Email: "ada", Password: goodPassword}, problem.CodeValidation},
		{Credentials{Email: "ada@example.com", Password: goodPassword, Scope: "everything"}, authapi.CodeInvalidScope},
		{Credentials{Email: "ada@example.com", Password: goodPassword, Scope: "billing.*:read"}, authapi.CodeInvalidScope},
		{Credentials{Email: "ada@example.com", Password: ""}, authapi.CodeInvalidCredentials},
		{Credentials{Email: "ada@example.com", Password: strings.ToUpper(goodPassword)}, authapi.CodeInvalidCredentials},
	} {
		if _, err := f.Login(t.Context(), c.in); problem.Code(err) != c.code {
			t.Errorf("%+v: %v; want %s", c.in, err, c.code)
		}
	}
}

func TestHashFollowsTheParameters(t *testing.T) {
	f := newFixture(t)
	r := f.register(t, ada())
	f.reopen(t, passwords.Params{Memory: 16, Passes: 1, Threads: 1})
	f.fails(t, "ada@example.com", "wrong", authapi.CodeInvalidCredentials)
	if f.hasher.hashes.Load() != 0 {
		t.Fatal("a wrong password changes the hash")
	}
	for range 2 {
		f.login(t, "ada@example.com", goodPassword)
	}
	doc, err := f.c.Accounts.Users.Get(t.Context(), r.User.ID)
	if err != nil || !strings.Contains(doc.Value.PasswordHash, "m=16,") || f.hasher.hashes.Load() != 1 {
		t.Errorf("hash %s after %d hashes, %v; want m=16 after one", doc.Value.PasswordHash, f.hasher.hashes.Load(), err)
	}
}

func TestRefreshFollowsTheUser(t *testing.T) {
	f := newFixture(t)
	r := f.register(t, ada())
	tokens, err := f.Login(t.Context(), Credentials{Email: "ada@example.com", Password: goodPassword, Scope: "analytics.*:read"})
	if err != nil {
		t.Fatal(err)
	}
	f.Pass(time.Hour)
	works := accounts.MembershipID(r.Organization.ID, r.User.ID)
	_, err = f.c.Accounts.Memberships.Update(t.Context(), works, func(m *accounts.Membership) ([]store.Message, error) {
		m.Roles = []string{"viewer"}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	next, err := f.Refresh(t.Context(), tokens.RefreshToken, "analytics.dashboard:read")
	if err != nil || next.RefreshToken == tokens.RefreshToken {
		t.Fatalf("refresh = %+v, %v", next, err)
	}
	p, err := f.verifier().Verify(t.Context(), next.AccessToken)
	if err != nil || !slices.Equal(p.Roles, []string{"viewer"}) || !slices.Equal(p.Scope, []string{"analytics.dashboard:read"}) {
		t.Errorf("principal %+v, %v; want a viewer, narrowed", p, err)
	}
	if _, err := f.Refresh(t.Context(), next.RefreshToken, "nonsense"); problem.Code(err) != authapi.CodeInvalidScope {
		t.Errorf("nonsense scope: %v", err)
	}
	f.Pass(time.Minute)
	if _, err := f.Refresh(t.Context(), tokens.RefreshToken, ""); problem.Code(err) != authapi.CodeRefreshTokenReused {
		t.Errorf("used token: %v; want refresh_token_reused", err)
	}
	if _, err := f.Refresh(t.Context(), "nonsense", ""); problem.Code(err) != authapi.CodeRefreshTokenInvalid {
		t.Errorf("nonsense token: %v; want refresh_token_invalid", err)
	}

	again := f.login(t, "ada@example.com", goodPassword)
	if err := f.c.Accounts.Users.Delete(t.Context(), r.User.ID, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Refresh(t.Context(), again.RefreshToken, ""); problem.Code(err) != authapi.CodeRefreshTokenInvalid {
		t.Errorf("deleted user: %v; want refresh_token_invalid", err)
	}
}

func TestMeAndLogout(t *testing.T) {
	f := newFixture(t)
	r := f.register(t, ada())
	tokens := f.login(t, "ada@example.com", goodPassword)
	p, err := f.verifier().Verify(t.Context(), tokens.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	me, _, err := f.Me(t.Context(), p)
	if err != nil || fmt.Sprint(me.User) != fmt.Sprint(r.User) || me.Organization != r.Organization ||
		!slices.Equal(me.Roles, []string{"owner"}) || me.SessionID != p.Session || me.SessionID == "" {
		t.Errorf("me = %+v, %v", me, err)
	}
	b := ada()
	b.Email = "eve@example.org"
	eve := f.register(t, b)
	for name, changed := range map[string]identity.Principal{
		"another organization": {Subject: p.Subject, Organization: eve.Organization.ID, Session: p.Session},
		"nobody":               {Subject: "id-99", Organization: p.Organization, Session: p.Session},
	} {
		if me, _, err := f.Me(t.Context(), changed); problem.Code(err) != problem.CodeNotFound {
			t.Errorf("%s: %+v, %v; want not_found", name, me, err)
		}
	}
	for range 2 {
		if err := f.Logout(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Refresh(t.Context(), tokens.RefreshToken, ""); problem.Code(err) != authapi.CodeRefreshTokenInvalid {
		t.Errorf("refresh after logout: %v", err)
	}
	out := f.Outbox(t)
	if last := out[len(out)-1]; len(out) != 4 || last.Type != "auth.session.revoked" {
		t.Errorf("%d events, last %s; want two registrations, the sign-in and one auth.session.revoked", len(out), last.Type)
	}
}

// Tokens outlast a change of the key when the former one is kept, and only then.
func TestKeysRotate(t *testing.T) {
	f := newFixture(t)
	f.register(t, ada())
	before := f.login(t, "ada@example.com", goodPassword)
	first := f.seed

	f.seed, f.previous = newSeed(t), secrets.New(newSeed(t).Reveal()+", "+first.Reveal())
	f.reopen(t, cheap)
	after := f.login(t, "ada@example.com", goodPassword)
	for name, token := range map[string]string{"before": before.AccessToken, "after": after.AccessToken} {
		if _, err := f.verifier().Verify(t.Context(), token); err != nil {
			t.Errorf("the token from %s the change: %v", name, err)
		}
	}
	signed, _, err := jwt.NewParser().ParseUnverified(after.AccessToken, &identity.Claims{})
	if err != nil {
		t.Fatal(err)
	}
	if keys := f.c.Key.JWKS().Keys; len(keys) != 3 || keys[0].KeyID != signed.Header["kid"] {
		t.Errorf("key set %+v; want three, the current one first", keys)
	}

	f.previous = f.seed
	f.reopen(t, cheap)
	if _, err := f.verifier().Verify(t.Context(), after.AccessToken); err != nil {
		t.Errorf("a token of the current key, which also is a former one: %v", err)
	}
	if _, err := f.verifier().Verify(t.Context(), before.AccessToken); problem.Code(err) != problem.CodeTokenInvalid {
		t.Errorf("a token of a key that is no longer kept: %v; want %s", err, problem.CodeTokenInvalid)
	}
	if keys := f.c.Key.JWKS().Keys; len(keys) != 1 {
		t.Errorf("%d keys, want each once", len(keys))
	}
}

type outgoing []mail.Message

func (o *outgoing) Send(_ context.Context, m mail.Message) error {
	*o = append(*o, m)
	return nil
}

func TestUsersAreFoundByAnIndex(t *testing.T) {
	f := newFixture(t)
	plan, err := f.c.Accounts.Users.Explain(t.Context(), store.Query{Index: accounts.ByEmail, Equal: []any{"ada@example.com"}}, nil, nil)
	if err != nil || plan.Index != accounts.ByEmail || plan.Sorts {
		t.Errorf("%+v, %v; want the index", plan, err)
	}
}
