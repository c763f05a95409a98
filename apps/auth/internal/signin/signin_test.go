package signin_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"slices"
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
	"github.com/tandemhq/tandem/apps/auth/internal/policy"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

// factors are those of everybody, and the device that is remembered in acme.
type factors struct{ methods []authapi.MFAMethod }

func (f *factors) Methods(context.Context, string) ([]authapi.MFAMethod, error) {
	return slices.Clone(f.methods), nil
}

func (f *factors) Remembered(_ context.Context, organization, _, device string, _ int) (bool, error) {
	return organization == "acme" && device == "laptop", nil
}

type fixture struct {
	*authtest.World
	*signin.Service
	accounts *accounts.Accounts
	policies *policy.Service
	factors  *factors
}

// open is a world in which ada owns acme, and is a viewer of umbrella since later.
func open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{World: authtest.New(t), factors: &factors{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	f.accounts, err = accounts.Open(t.Context(), f.DB)
	must(err)
	f.policies, err = policy.Open(t.Context(), f.DB)
	must(err)
	s, err := sessions.Open(t.Context(), sessions.Config{DB: f.DB, Emit: f.Emit(), Now: f.Now, NewID: f.NewID, Random: rand.Reader})
	must(err)
	allowed, err := access.Open(t.Context(), access.Config{DB: f.DB, Accounts: f.accounts, Now: f.Now})
	must(err)
	ring, err := keys.NewRing(t.Context(), func(context.Context) (keys.Signing, error) {
		return keys.New(secrets.New(base64.StdEncoding.EncodeToString(make([]byte, ed25519.SeedSize))), secrets.Secret{})
	}, f.Now, slog.New(slog.DiscardHandler))
	must(err)
	f.Service, err = signin.Open(t.Context(), signin.Config{
		DB: f.DB, Accounts: f.accounts, Policies: f.policies, Sessions: s, Access: allowed, Factors: f.factors, Key: ring, Emit: f.Emit(),
		Now: f.Now, NewID: f.NewID, Random: rand.Reader,
	})
	must(err)
	_, err = f.accounts.Users.Insert(t.Context(), "ada", accounts.User{Email: "ada@example.com", CreatedAt: store.At(f.Now())})
	must(err)
	for _, m := range []accounts.Membership{
		{User: "ada", Organization: "acme", Roles: []string{"owner"}, CreatedAt: store.At(f.Now())},
		{User: "ada", Organization: "umbrella", Roles: []string{"viewer"}, CreatedAt: store.At(f.Now().Add(time.Hour))},
	} {
		_, err = f.accounts.Memberships.Insert(t.Context(), accounts.MembershipID(m.Organization, m.User), m)
		must(err)
	}
	return f
}

func (f *fixture) demand(t *testing.T, organization string, change func(*authapi.SecurityPolicy)) {
	t.Helper()
	p := authapi.DefaultPolicy()
	change(&p)
	if _, err := f.policies.Set(t.Context(), organization, p, -1); err != nil {
		t.Fatal(err)
	}
}

func claims(t *testing.T, in *authapi.SignIn) (c identity.Claims) {
	t.Helper()
	if _, _, err := jwt.NewParser().ParseUnverified(in.AccessToken, &c); err != nil {
		t.Fatalf("%+v: %v", in, err)
	}
	return c
}

func password(organization string) signin.Attempt {
	return signin.Attempt{User: "ada", Organization: organization, AMR: []string{signin.Password}}
}

func TestTheOrganizationSignedInTo(t *testing.T) {
	f := open(t)
	for _, c := range []struct{ asked, want string }{{"", "acme"}, {"umbrella", "umbrella"}, {"", "umbrella"}, {"acme", "acme"}, {"", "acme"}} {
		in, err := f.Begin(t.Context(), password(c.asked))
		if err != nil {
			t.Fatal(err)
		}
		if got := claims(t, in); got.Organization != c.want {
			t.Errorf("asked for %q: %s, want %s", c.asked, got.Organization, c.want)
		}
		f.Pass(time.Minute)
	}
	if _, err := f.Begin(t.Context(), password("elsewhere")); problem.Code(err) != authapi.CodeNoOrganization {
		t.Errorf("another's organization: %v", err)
	}
	if _, err := f.Begin(t.Context(), signin.Attempt{User: "nobody"}); problem.Code(err) != authapi.CodeNoOrganization {
		t.Errorf("nobody: %v", err)
	}
}

func TestWhatAnOrganizationDemands(t *testing.T) {
	all := authapi.DefaultPolicy().MFA.Methods
	for name, c := range map[string]struct {
		policy  func(*authapi.SecurityPolicy)
		methods []authapi.MFAMethod // that the user has
		attempt signin.Attempt
		offered []authapi.MFAMethod // none for tokens
		code    string
	}{
		"nothing":                    {func(*authapi.SecurityPolicy) {}, nil, password("acme"), nil, ""},
		"what the user has":          {func(*authapi.SecurityPolicy) {}, []authapi.MFAMethod{authapi.MFATOTP}, password("acme"), []authapi.MFAMethod{authapi.MFATOTP}, ""},
		"a method that counts":       {func(p *authapi.SecurityPolicy) { p.MFA.Methods = []authapi.MFAMethod{authapi.MFAPasskey} }, []authapi.MFAMethod{authapi.MFAPasskey, authapi.MFATOTP}, password("acme"), []authapi.MFAMethod{authapi.MFAPasskey}, ""},
		"a factor of a role":         {func(p *authapi.SecurityPolicy) { p.MFA.RequiredRoles = []string{"owner"} }, nil, password("acme"), []authapi.MFAMethod{authapi.MFAEmail}, ""},
		"a factor of another role":   {func(p *authapi.SecurityPolicy) { p.MFA.RequiredRoles = []string{"viewer"} }, nil, password("acme"), nil, ""},
		"a factor of everybody":      {func(p *authapi.SecurityPolicy) { p.MFA.RequiredRoles = []string{"*"} }, nil, password("umbrella"), []authapi.MFAMethod{authapi.MFAEmail}, ""},
		"a passkey nobody has":       {func(p *authapi.SecurityPolicy) { p.MFA.RequiredRoles, p.MFA.Methods = []string{"*"}, all[:1] }, nil, password("acme"), nil, authapi.CodeMFANotEnrolled},
		"a passkey, which was shown": {func(p *authapi.SecurityPolicy) { p.MFA.RequiredRoles, p.MFA.Methods = []string{"*"}, all[:1] }, all, signin.Attempt{User: "ada", Organization: "acme", AMR: []string{signin.Passkey}, Strong: true}, nil, ""},
		"a passkey, by telephone":    {func(p *authapi.SecurityPolicy) { p.MFA.RequiredRoles, p.MFA.Methods = []string{"*"}, all[:1] }, all, signin.Attempt{User: "ada", Organization: "acme", AMR: []string{signin.Password, signin.SMS}, Strong: true}, all[:1], ""},
		"a remembered device":        {func(*authapi.SecurityPolicy) {}, all, signin.Attempt{User: "ada", Organization: "acme", AMR: []string{signin.Password}, Device: "laptop"}, nil, ""},
		"no remembered device":       {func(p *authapi.SecurityPolicy) { p.MFA.RememberDays = 0 }, all, signin.Attempt{User: "ada", Organization: "acme", AMR: []string{signin.Password}, Device: "laptop"}, all, ""},
		"a device of another":        {func(*authapi.SecurityPolicy) {}, all, signin.Attempt{User: "ada", Organization: "umbrella", AMR: []string{signin.Password}, Device: "laptop"}, all, ""},
		"a verified address":         {func(p *authapi.SecurityPolicy) { p.RequireVerifiedEmail = true }, nil, password("acme"), nil, authapi.CodeEmailNotVerified},
		"its identity provider":      {func(p *authapi.SecurityPolicy) { p.EnforceSSO = true }, nil, password("umbrella"), nil, authapi.CodeSSORequired},
		"its provider, of owners":    {func(p *authapi.SecurityPolicy) { p.EnforceSSO = true }, nil, password("acme"), nil, ""},
		"its provider, which vouches": {func(p *authapi.SecurityPolicy) { p.EnforceSSO, p.RequireVerifiedEmail = true, true }, nil,
			signin.Attempt{User: "ada", Organization: "umbrella", AMR: []string{signin.Federated}}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			f.factors.methods = c.methods
			f.demand(t, c.attempt.Organization, c.policy)
			in, err := f.Begin(t.Context(), c.attempt)
			switch {
			case c.code != "":
				if problem.Code(err) != c.code {
					t.Errorf("%+v, %v; want %s", in, err, c.code)
				}
			case err != nil:
				t.Error(err)
			case len(c.offered) > 0:
				if !in.MFARequired || !slices.Equal(in.Methods, c.offered) || in.AccessToken != "" || in.RefreshToken != "" {
					t.Errorf("%+v; want a challenge for %v", in, c.offered)
				}
			case in.MFARequired || in.AccessToken == "":
				t.Errorf("%+v; want tokens", in)
			}
		})
	}
}

func TestAClosedAccountIsNotLetIn(t *testing.T) {
	f := open(t)
	now := store.At(f.Now())
	_, err := f.accounts.Users.Update(t.Context(), "ada", func(u *accounts.User) ([]store.Message, error) {
		u.DisabledAt = &now
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Begin(t.Context(), password("acme")); problem.Code(err) != authapi.CodeAccountDisabled {
		t.Errorf("%v; want %s", err, authapi.CodeAccountDisabled)
	}
}

// A challenge is good for one sign-in, within ten minutes, which then carries both proofs.
func TestCompletingAChallenge(t *testing.T) {
	f := open(t)
	f.factors.methods = []authapi.MFAMethod{authapi.MFATOTP}
	begin := func() string {
		t.Helper()
		in, err := f.Begin(t.Context(), password("acme"))
		if err != nil || in.Challenge == "" {
			t.Fatalf("%+v, %v", in, err)
		}
		return in.Challenge
	}
	challenge := begin()
	if a, err := f.Pending(t.Context(), challenge); err != nil || a.User != "ada" || a.Organization != "acme" {
		t.Errorf("pending %+v, %v", a, err)
	}
	var winners atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			in, err := f.Complete(t.Context(), challenge, signin.OTP)
			switch {
			case err == nil:
				winners.Add(1)
				if c := claims(t, in); c.ACR != identity.ACRMultiFactor || !slices.Equal(c.AMR, []string{"pwd", "otp", "mfa"}) || c.AccessHash == "" {
					t.Errorf("claims %+v; want two factors and the access's name", c)
				}
			case problem.Code(err) != authapi.CodeChallengeInvalid:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := winners.Load(); n != 1 {
		t.Errorf("%d sign-ins of one challenge", n)
	}
	late := begin()
	f.Pass(10 * time.Minute)
	for _, c := range []string{late, "made up", ""} {
		if _, err := f.Complete(t.Context(), c, signin.OTP); problem.Code(err) != authapi.CodeChallengeInvalid {
			t.Errorf("challenge %.8q: %v", c, err)
		}
	}
	if err := f.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Pending(t.Context(), late); problem.Code(err) != authapi.CodeChallengeInvalid {
		t.Errorf("a forgotten challenge: %v", err)
	}
}

func TestStepUpKeepsTheRefreshToken(t *testing.T) {
	f := open(t)
	in, err := f.Begin(t.Context(), password("acme"))
	if err != nil {
		t.Fatal(err)
	}
	before := claims(t, in)
	tokens, err := f.StepUp(t.Context(), identity.Principal{Subject: "ada", Session: before.Session}, signin.OTP)
	if err != nil || tokens.RefreshToken != "" {
		t.Fatalf("%+v, %v; want an access token only", tokens, err)
	}
	if c := claims(t, &authapi.SignIn{AccessToken: tokens.AccessToken}); c.ACR != identity.ACRMultiFactor || c.Session != before.Session {
		t.Errorf("claims %+v; want two factors in the same session", c)
	}
}
