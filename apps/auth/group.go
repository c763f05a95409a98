// Package auth is the auth service: who may act, for which organization, and in which session.
package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/auth"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/topology"
)

// maxHashes bounds the passwords hashed at once; each takes 19 MiB while it lasts.
const maxHashes = 4

// PasswordCost is what one password hash costs.
type PasswordCost = auth.Params

// Config is what the group can be told.
type Config struct {
	// Passwords is the cost of a password's hash: 19 MiB and two passes when zero. Tests make it cheap.
	Passwords PasswordCost
}

// Builder makes the auth group. It needs the secret "access-token-key": the seed of an Ed25519 key, 32
// bytes in standard base64. Former values of it in the optional secret "access-token-keys-previous",
// separated by commas, let live tokens outlast a change of the key.
func Builder(c Config) group.Builder {
	spec := group.Spec{
		Name:     topology.Auth,
		Summary:  "Organizations, their users, sign-in and sessions.",
		Calls:    nil,
		Consumes: []string{authapi.UserRegistered.Name},
	}
	return group.Builder{Spec: spec, Build: func(ctx context.Context, k group.Kernel) (group.Group, error) {
		signIns, err := sessions.Open(ctx, sessions.Config{DB: k.DB, Emit: k.Emit, Now: k.Now, NewID: k.NewID, Random: rand.Reader})
		if err != nil {
			return group.Group{}, err
		}
		accounts, err := c.open(ctx, k, signIns)
		if err != nil {
			return group.Group{}, err
		}
		welcome, err := auth.NewWelcome(accounts, k.Mail)
		if err != nil {
			return group.Group{}, err
		}
		return group.Group{
			Spec:    spec,
			Modules: []group.Module{auth.NewModule(accounts), sessions.NewModule(signIns)},
			On:      []events.Handler{events.On(authapi.UserRegistered, welcome.Send)},
			Jobs: []jobs.Job{
				{Name: "forget-sessions", Schedule: "@hourly", Run: signIns.Forget},
				{Name: "forget-login-failures", Schedule: "@hourly", Run: accounts.Forget},
			},
		}, nil
	}}
}

func (c Config) open(ctx context.Context, k group.Kernel, signIns *sessions.Service) (*auth.Service, error) {
	if c.Passwords == (auth.Params{}) {
		c.Passwords = auth.DefaultParams
	}
	hasher, err := auth.NewArgon2id(c.Passwords, min(runtime.GOMAXPROCS(0), maxHashes), rand.Reader)
	if err != nil {
		return nil, err
	}
	seed, err := k.Secrets.Get(ctx, auth.KeySecret)
	if err != nil {
		return nil, fmt.Errorf("read the key of access tokens: %w", err)
	}
	previous, err := k.Secrets.Get(ctx, auth.PreviousKeysSecret)
	if err != nil && !errors.Is(err, secrets.ErrNotFound) {
		// The store has just answered, and some have no clear word for a secret that is not there. Without
		// the former keys clients refresh their access tokens, which is better than no sign-in at all.
		k.Log.WarnContext(ctx, "previous keys of access tokens are not read; tokens that they signed are refused", "error", err)
	}
	key, err := auth.NewSigningKey(seed, previous)
	if err != nil {
		return nil, err
	}
	return auth.Open(ctx, auth.Config{
		DB: k.DB, Sessions: signIns, Hasher: hasher, Key: key,
		Emit: k.Emit, Now: k.Now, NewID: k.NewID, Log: k.Log,
	})
}
