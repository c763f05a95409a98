// Package auth is the auth service: who may act, for which organization, and in which session.
package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"runtime"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/access"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/auth"
	"github.com/tandemhq/tandem/apps/auth/internal/keys"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/apps/auth/internal/passwords"
	"github.com/tandemhq/tandem/apps/auth/internal/policy"
	"github.com/tandemhq/tandem/apps/auth/internal/rbac"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/apps/auth/internal/verification"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/topology"
)

// maxHashes bounds the passwords hashed at once; each takes 19 MiB while it lasts.
const maxHashes = 4

// PasswordCost is what one password hash costs.
type PasswordCost = passwords.Params

// Config is what the group can be told.
type Config struct {
	// Passwords is the cost of a password's hash: 19 MiB and two passes when zero. Tests make it cheap.
	Passwords PasswordCost
	// WebURL is the address of the web application, which links in mails lead to; http://localhost:8000
	// when nil.
	WebURL *url.URL
}

// Builder makes the auth group. It needs the secret "access-token-key": the seed of an Ed25519 key, 32
// bytes in standard base64. Former values of it in the optional secret "access-token-keys-previous",
// separated by commas, let live tokens outlast a change of the key.
func Builder(c Config) group.Builder {
	spec := group.Spec{
		Name:    topology.Auth,
		Summary: "Organizations, their users, sign-in and sessions.",
		Calls:   nil,
		Consumes: []string{
			authapi.UserRegistered.Name, authapi.EmailLinkRequested.Name, authapi.AccessChanged.Name,
			authapi.PasswordResetRequested.Name, authapi.PasswordChanged.Name, authapi.DeviceAdded.Name,
		},
	}
	return group.Builder{Spec: spec, Build: func(ctx context.Context, k group.Kernel) (group.Group, error) {
		p, err := c.open(ctx, k)
		if err != nil {
			return group.Group{}, err
		}
		return group.Group{
			Spec: spec,
			Modules: []group.Module{
				auth.NewModule(p.auth), sessions.NewModule(p.sessions), rbac.NewModule(p.roles, p.access),
				verification.NewModule(p.addresses),
			},
			On: []events.Handler{
				events.On(authapi.UserRegistered, p.addresses.Registered),
				events.On(authapi.EmailLinkRequested, p.addresses.Requested),
				events.On(authapi.AccessChanged, p.accessChanged),
				events.On(authapi.PasswordResetRequested, p.auth.SendReset),
				events.On(authapi.PasswordChanged, p.auth.TellChange),
				events.On(authapi.DeviceAdded, p.auth.TellDevice),
			},
			Background: []group.Component{p.keys},
			Jobs: []jobs.Job{
				{Name: "forget-sessions", Schedule: "@hourly", Run: p.sessions.Forget},
				{Name: "forget-login-failures", Schedule: "@hourly", Run: p.auth.Forget},
				{Name: "forget-sign-ins", Schedule: "@hourly", Run: p.signIn.Forget},
				{Name: "forget-grants", Schedule: "@hourly", Run: p.roles.Forget},
				{Name: "forget-email-links", Schedule: "@hourly", Run: p.addresses.Forget},
				{Name: "forget-access-changes", Schedule: "@hourly", Run: p.access.Forget},
			},
		}, nil
	}}
}

// parts are the services of the group's modules.
type parts struct {
	keys     *keys.Ring
	accounts *accounts.Accounts
	policies *policy.Service
	sessions *sessions.Service
	access   *access.Service
	signIn   *signin.Service
	auth     *auth.Service

	roles     *rbac.Service
	addresses *verification.Service
}

// accessChanged first brings to an end what was decided of somebody's roles, so that every process that hears
// of the change asks what is in force.
func (p parts) accessChanged(ctx context.Context, e events.Event[authapi.AccessChangedData]) error {
	return errors.Join(p.roles.Settle(ctx, e), p.access.Changed(ctx, e))
}

func (c Config) open(ctx context.Context, k group.Kernel) (p parts, err error) {
	if c.WebURL == nil {
		c.WebURL = &url.URL{Scheme: "http", Host: "localhost:8000"}
	}
	if c.Passwords == (passwords.Params{}) {
		c.Passwords = passwords.DefaultParams
	}
	hasher, err := passwords.NewArgon2id(c.Passwords, min(runtime.GOMAXPROCS(0), maxHashes), rand.Reader)
	if err != nil {
		return p, err
	}
	if p.keys, err = keys.NewRing(ctx, func(ctx context.Context) (keys.Signing, error) { return signingKey(ctx, k) }, k.Now, k.Log); err != nil {
		return p, err
	}
	if p.accounts, err = accounts.Open(ctx, k.DB); err != nil {
		return p, err
	}
	if p.policies, err = policy.Open(ctx, k.DB); err != nil {
		return p, err
	}
	if p.sessions, err = sessions.Open(ctx, sessions.Config{DB: k.DB, Emit: k.Emit, Now: k.Now, NewID: k.NewID, Random: rand.Reader}); err != nil {
		return p, err
	}
	if p.roles, err = rbac.Open(ctx, rbac.Config{DB: k.DB, Accounts: p.accounts, Emit: k.Emit, Now: k.Now, NewID: k.NewID}); err != nil {
		return p, err
	}
	if p.access, err = access.Open(ctx, access.Config{DB: k.DB, Accounts: p.accounts, Sources: []access.Source{p.roles}, Now: k.Now}); err != nil {
		return p, err
	}
	p.signIn, err = signin.Open(ctx, signin.Config{
		DB: k.DB, Accounts: p.accounts, Policies: p.policies, Sessions: p.sessions, Access: p.access, Factors: noFactors{}, Key: p.keys,
		Now: k.Now, NewID: k.NewID, Random: rand.Reader,
	})
	if err != nil {
		return p, err
	}
	letters, err := mails.New(k.Mail, c.WebURL)
	if err != nil {
		return p, err
	}
	p.addresses, err = verification.Open(ctx, verification.Config{
		DB: k.DB, Accounts: p.accounts, Mails: letters, Emit: k.Emit, Now: k.Now, NewID: k.NewID, Random: rand.Reader,
	})
	if err != nil {
		return p, err
	}
	p.auth, err = auth.Open(ctx, auth.Config{
		DB: k.DB, Accounts: p.accounts, SignIn: p.signIn, Sessions: p.sessions, Access: p.access, Policies: p.policies,
		Hasher: hasher, Rules: passwords.NewRules(), Mails: letters, Random: rand.Reader,
		Key: p.keys, Emit: k.Emit, Now: k.Now, NewID: k.NewID, Log: k.Log,
	})
	return p, err
}

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

// noFactors is nobody's second factor.
type noFactors struct{}

func (noFactors) Methods(context.Context, string) ([]authapi.MFAMethod, error)  { return nil, nil }
func (noFactors) Remembered(context.Context, string, string, int) (bool, error) { return false, nil }
