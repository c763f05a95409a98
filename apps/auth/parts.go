package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"slices"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/apikeys"
	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/apps/auth/internal/audit"
	"github.com/tandemhq/tandem/apps/auth/internal/auth"
	"github.com/tandemhq/tandem/apps/auth/internal/keys"
	"github.com/tandemhq/tandem/apps/auth/internal/legal"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/apps/auth/internal/mfa"
	"github.com/tandemhq/tandem/apps/auth/internal/organizations"
	"github.com/tandemhq/tandem/apps/auth/internal/passwords"
	"github.com/tandemhq/tandem/apps/auth/internal/policy"
	"github.com/tandemhq/tandem/apps/auth/internal/rbac"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/apps/auth/internal/sso"
	"github.com/tandemhq/tandem/apps/auth/internal/verification"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/vault"
)

// maxHashes bounds the passwords hashed at once; each takes 19 MiB while it lasts.
const maxHashes = 4

// parts are the services of the group's modules.
type parts struct {
	sealer        atrest.Vault
	keys          *keys.Ring
	accounts      *accounts.Accounts
	policies      *policy.Service
	sessions      *sessions.Service
	roles         *rbac.Service
	apiKeys       *apikeys.Service
	legal         *legal.Service
	access        *access.Service
	factors       *mfa.Factors
	signIn        *signin.Service
	mails         *mails.Mails
	auth          *auth.Service
	addresses     *verification.Service
	mfa           *mfa.Service
	organizations *organizations.Service
	sso           *sso.Service
	audit         *audit.Service
}

// open opens the services, each after those that it needs.
func (c Config) open(ctx context.Context, k group.Kernel) (*parts, error) {
	p := &parts{sealer: atrest.NewVault(vault.New(k.Secrets, SealingKeySecret, k.Now))}
	for _, step := range []struct {
		name string
		open func(context.Context, group.Kernel, *parts) error
	}{
		{"documents", c.openDocuments}, {"access", c.openAccess}, {"sign-ins", c.openSignIns}, {"modules", c.openModules},
	} {
		if err := step.open(ctx, k, p); err != nil {
			return nil, fmt.Errorf("open the %s: %w", step.name, err)
		}
	}
	return p, nil
}

// openDocuments opens what needs nothing else.
func (c Config) openDocuments(ctx context.Context, k group.Kernel, p *parts) (err error) {
	if p.keys, err = keys.NewRing(ctx, func(ctx context.Context) (keys.Signing, error) { return signingKey(ctx, k) }, k.Now, k.Log); err != nil {
		return err
	}
	if p.accounts, err = accounts.Open(ctx, k.DB); err != nil {
		return err
	}
	if p.policies, err = policy.Open(ctx, k.DB); err != nil {
		return err
	}
	if p.factors, err = mfa.OpenFactors(ctx, k.DB, k.Now); err != nil {
		return err
	}
	p.sessions, err = sessions.Open(ctx, sessions.Config{DB: k.DB, Emit: k.Emit, Now: k.Now, NewID: k.NewID, Random: rand.Reader})
	if err != nil {
		return err
	}
	p.mails, err = mails.New(k.Mail, c.WebURL)
	return err
}

// openAccess opens what has a say in what members may do.
func (Config) openAccess(ctx context.Context, k group.Kernel, p *parts) (err error) {
	if p.roles, err = rbac.Open(ctx, rbac.Config{DB: k.DB, Accounts: p.accounts, Emit: k.Emit, Now: k.Now, NewID: k.NewID}); err != nil {
		return err
	}
	if p.legal, err = legal.Open(ctx, legal.Config{DB: k.DB, Emit: k.Emit, Now: k.Now}); err != nil {
		return err
	}
	p.apiKeys, err = apikeys.Open(ctx, apikeys.Config{
		DB: k.DB, Emit: k.Emit, Now: k.Now, NewID: k.NewID, SignedInAt: p.sessions.SignedInAt, Needed: p.roles.Needed, Random: rand.Reader, Log: k.Log,
	})
	if err != nil {
		return err
	}
	p.access, err = access.Open(ctx, access.Config{
		DB: k.DB, Accounts: p.accounts, Keys: p.apiKeys, Now: k.Now,
		Sources: []access.Source{p.roles, p.legal, audit.Networks{Policies: p.policies}, access.SourceFunc(p.standing)},
	})
	return err
}

// openSignIns opens the ways to tokens.
func (c Config) openSignIns(ctx context.Context, k group.Kernel, p *parts) (err error) {
	p.signIn, err = signin.Open(ctx, signin.Config{
		DB: k.DB, Accounts: p.accounts, Policies: p.policies, Sessions: p.sessions, Access: p.access, Factors: p.factors, Key: p.keys, Emit: k.Emit,
		Now: k.Now, NewID: k.NewID, Random: rand.Reader, Metrics: k.Metrics,
	})
	if err != nil {
		return err
	}
	hasher, err := passwords.NewArgon2id(c.Passwords, min(runtime.GOMAXPROCS(0), maxHashes), rand.Reader)
	if err != nil {
		return err
	}
	p.auth, err = auth.Open(ctx, auth.Config{
		DB: k.DB, Accounts: p.accounts, SignIn: p.signIn, Sessions: p.sessions, Access: p.access, Policies: p.policies, Leave: p.roles.Leave, DropCredentials: p.dropCredentials,
		Hasher: hasher, Rules: passwords.NewRules(), Mails: p.mails, Random: rand.Reader,
		Key: p.keys, Emit: k.Emit, Now: k.Now, NewID: k.NewID, Log: k.Log,
	})
	if err != nil {
		return err
	}
	p.mfa, err = mfa.Open(ctx, mfa.Config{
		DB: k.DB, Accounts: p.accounts, Factors: p.factors, Policies: p.policies, SignIn: p.signIn, SignedInAt: p.sessions.SignedInAt,
		Sealer: p.sealer, Mails: p.mails, SMS: k.SMS,
		RelyingParty: mfa.RelyingParty{ID: c.WebURL.Hostname(), Origins: []string{origin(c.WebURL)}},
		Emit:         k.Emit, Now: k.Now, NewID: k.NewID, Random: rand.Reader,
	})
	return err
}

// openModules opens the rest.
func (c Config) openModules(ctx context.Context, k group.Kernel, p *parts) (err error) {
	p.addresses, err = verification.Open(ctx, verification.Config{
		DB: k.DB, Accounts: p.accounts, Mails: p.mails, Authenticate: p.auth.Authenticate, Emit: k.Emit, Now: k.Now, NewID: k.NewID, Random: rand.Reader,
	})
	if err != nil {
		return err
	}
	p.organizations, err = organizations.Open(ctx, organizations.Config{
		DB: k.DB, Accounts: p.accounts, Roster: p.roles, SignIns: p.signIn, Sessions: p.sessions, Mails: p.mails,
		Password: p.auth.NewPassword, DropCredentials: p.dropCredentials, Erase: p.eraseOrganization(), ErasePerson: p.erasePerson,
		Groups: topology.Groups(), Plans: organizations.DefaultPlans(),
		Emit: k.Emit, Now: k.Now, NewID: k.NewID, Random: rand.Reader, Log: k.Log,
	})
	if err != nil {
		return err
	}
	p.sso, err = sso.Open(ctx, sso.Config{
		DB: k.DB, Accounts: p.accounts, Policies: p.policies, SignIns: p.signIn, Roster: p.roles, Join: p.organizations.Join,
		Sealer: p.sealer, Resolver: net.DefaultResolver, BaseURL: origin(c.APIURL), ReturnOrigins: []string{origin(c.WebURL)},
		AllowInsecure: c.AllowInsecure,
		Emit:          k.Emit, Now: k.Now, NewID: k.NewID, Random: rand.Reader, Log: k.Log,
	})
	if err != nil {
		return err
	}
	p.audit, err = audit.Open(ctx, audit.Config{
		DB: k.DB, Accounts: p.accounts, Policies: p.policies, Runs: k.Runs, Keepers: p.keepers(), MayErase: p.mayErase,
		Groups: slices.DeleteFunc(topology.Groups(), func(g topology.Group) bool { return g == topology.Auth }),
		Emit:   k.Emit, Now: k.Now, NewID: k.NewID, Random: rand.Reader, Log: k.Log,
	})
	return err
}

// standing is what a deleted organization leaves its members. It is asked through p, since organizations are opened after
// access.
func (p *parts) standing(ctx context.Context, m access.Member, to *identity.Access) error {
	return p.organizations.Contribute(ctx, m, to)
}

// accessChanged first brings to an end what was decided of somebody's roles, so that every process that hears
// of the change asks what is in force; then those hear whose access follows.
func (p *parts) accessChanged(ctx context.Context, e events.Event[authapi.AccessChangedData]) error {
	return errors.Join(p.roles.Settle(ctx, e), p.access.Changed(ctx, e), p.apiKeys.Follow(p.access)(ctx, e))
}

// mayErase refuses to erase the only owner of an organization, and anybody who has more than who asks for it.
func (p *parts) mayErase(ctx context.Context, organization, user string) error {
	if by, ok := identity.From(ctx); ok && by.Group == "" && by.Subject != user {
		has, _, err := p.roles.Of(ctx, organization, user)
		switch {
		case problem.Code(err) == problem.CodeNotFound: // a former member
		case err != nil:
			return err
		default:
			if err := p.roles.MayGive(ctx, by, has.Roles); err != nil {
				return err
			}
		}
	}
	return p.auth.MayErase(ctx, organization, user)
}

// dropCredentials takes from an account what somebody may have set up who was not its owner.
func (p *parts) dropCredentials(ctx context.Context, user string) error {
	ctx = identity.With(ctx, identity.Principal{Subject: user}) // who else is not known
	return errors.Join(p.mfa.Erase(ctx, user), p.apiKeys.RevokeAll(ctx, user))
}

// keepers are who keeps personal data here; the account goes last.
func (p *parts) keepers() []audit.Keeper {
	return []audit.Keeper{
		{Name: "sessions", Personal: p.sessions.Personal()},
		{Name: "second_factors", Personal: p.mfa.Personal()},
		{Name: "federated_identities", Personal: p.sso.Personal()},
		{Name: "legal", Personal: p.legal.Personal()},
		{Name: "account", Personal: p.auth.Personal()},
		{Name: "former_account", Personal: privacy.Personal{Erase: p.eraseFormer}},
	}
}

// eraseFormer erases what is a person's in no organization, when their account has gone with the last one.
func (p *parts) eraseFormer(ctx context.Context, person privacy.Person) (int64, error) {
	if _, err := p.accounts.Users.Get(ctx, person.User); !accounts.IsNotFound(err) {
		return 0, err
	}
	return 0, p.erasePerson(ctx, person.User)
}

// erasePerson erases a user who works for nobody any more.
func (p *parts) erasePerson(ctx context.Context, user string) error {
	return errors.Join(p.mfa.Erase(ctx, user), p.sso.ErasePerson(ctx, user), p.auth.ErasePerson(ctx, user))
}

// eraseOrganization is what takes more than to delete what an organization owns in the database.
func (p *parts) eraseOrganization() []func(context.Context, string) error {
	return []func(context.Context, string) error{
		p.sessions.EraseOrganization, p.legal.EraseOrganization,
		// Opened after the organizations.
		func(ctx context.Context, organization string) error {
			return p.audit.EraseOrganization(ctx, organization)
		},
	}
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

func signingKey(ctx context.Context, k group.Kernel) (keys.Signing, error) {
	seed, err := k.Secrets.Get(ctx, keys.Secret)
	if err != nil {
		return keys.Signing{}, fmt.Errorf("read the key of access tokens: %w", err)
	}
	previous, err := k.Secrets.Get(ctx, keys.PreviousSecret)
	if err != nil && !errors.Is(err, secrets.ErrNotFound) {
		// The store has just answered, and some have no clear word for a secret that is not there. Without
		// the former keys clients refresh their access tokens, which is better than no sign-in at all.
		k.Log.WarnContext(ctx, "previous keys of access tokens are not read; tokens that they signed are refused", "error", err)
	}
	return keys.New(seed, previous)
}

// sealing counts what is sealed with a former key.
func (p *parts) sealing(ctx context.Context) (vault.Sealing, error) {
	return p.sealer.Pass(ctx, false, p.mfa, p.sso)
}

// reencrypt seals that with the current key, and says so in log.
func (p *parts) reencrypt(log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		count, err := p.sealer.Pass(ctx, true, p.mfa, p.sso)
		count.Log(ctx, log)
		return err
	}
}
