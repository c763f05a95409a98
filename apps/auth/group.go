// Package auth is the auth service: who may act, for which organization, and in which session.
package auth

import (
	"context"
	"net/url"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/apikeys"
	"github.com/tandemhq/tandem/apps/auth/internal/audit"
	"github.com/tandemhq/tandem/apps/auth/internal/auth"
	"github.com/tandemhq/tandem/apps/auth/internal/legal"
	"github.com/tandemhq/tandem/apps/auth/internal/mfa"
	"github.com/tandemhq/tandem/apps/auth/internal/organizations"
	"github.com/tandemhq/tandem/apps/auth/internal/passwords"
	"github.com/tandemhq/tandem/apps/auth/internal/rbac"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/apps/auth/internal/sso"
	"github.com/tandemhq/tandem/apps/auth/internal/verification"
	recorded "github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/vault"
)

// PasswordCost is what one password hash costs.
type PasswordCost = passwords.Params

// SealingKeySecret is the name of the secret that second factors and the secrets of identity providers are encrypted
// with: 32 bytes of base64. Former values of it are in the optional secret "auth-sealing-keys-previous" (see vault.FormerSecret).
const SealingKeySecret = "auth-sealing-key"

// Config is what the group can be told.
type Config struct {
	// Passwords is the cost of a password's hash: 19 MiB and two passes when zero. Tests make it cheap.
	Passwords PasswordCost
	// WebURL is the address of the web application, which links in mails lead to and which passkeys belong to;
	// http://localhost:8000 when nil.
	WebURL *url.URL
	// APIURL is the address of the API as browsers see it, which identity providers send them back to; WebURL when nil.
	APIURL *url.URL
	// AllowInsecure lets identity providers be anywhere and without TLS, for development.
	AllowInsecure bool
}

func (c Config) completed() Config {
	if c.Passwords == (passwords.Params{}) {
		c.Passwords = passwords.DefaultParams
	}
	if c.WebURL == nil {
		c.WebURL = &url.URL{Scheme: "http", Host: "localhost:8000"}
	}
	if c.APIURL == nil {
		c.APIURL = c.WebURL
	}
	return c
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
			authapi.UserRegistered.Name, authapi.EmailLinkRequested.Name, authapi.AccessChanged.Name, authapi.MFAChanged.Name,
			authapi.PasswordResetRequested.Name, authapi.PasswordChanged.Name, authapi.DeviceAdded.Name,
			authapi.InvitationIssued.Name, authapi.UserRemoved.Name, recorded.Recorded.Name,
		},
	}
	return group.Builder{Spec: spec, Build: func(ctx context.Context, k group.Kernel) (group.Group, error) {
		p, err := c.completed().open(ctx, k)
		if err != nil {
			return group.Group{}, err
		}
		return group.Group{
			Spec: spec,
			Modules: []group.Module{
				auth.NewModule(p.auth, p.sealing), verification.NewModule(p.addresses), mfa.NewModule(p.mfa), rbac.NewModule(p.roles, p.access),
				sessions.NewModule(p.sessions), legal.NewModule(p.legal), organizations.NewModule(p.organizations),
				apikeys.NewModule(p.apiKeys, p.access), sso.NewModule(p.sso), audit.NewModule(p.audit),
			},
			On: []events.Handler{
				events.On(authapi.UserRegistered, p.addresses.Registered),
				events.On(authapi.EmailLinkRequested, p.addresses.Requested),
				events.On(authapi.AccessChanged, p.accessChanged),
				events.On(authapi.MFAChanged, p.mfa.Notify),
				events.On(authapi.PasswordResetRequested, p.auth.SendReset),
				events.On(authapi.PasswordChanged, p.auth.TellChange),
				events.On(authapi.DeviceAdded, p.auth.TellDevice),
				events.On(authapi.InvitationIssued, p.organizations.Mail),
				events.On(authapi.UserRemoved, p.organizations.EndSessions),
				events.On(recorded.Recorded, p.audit.Record),
			},
			Runs:       []runs.Kind{p.audit.RunKind()},
			Background: []group.Component{p.keys, legal.NewCalendar(p.legal, k.Log)},
			Jobs: []jobs.Job{
				{Name: "forget-sessions", Schedule: "@hourly", Run: p.sessions.Forget},
				{Name: "forget-login-failures", Schedule: "@hourly", Run: p.auth.Forget},
				{Name: "forget-sign-ins", Schedule: "@hourly", Run: p.signIn.Forget},
				{Name: "forget-grants", Schedule: "@hourly", Run: p.roles.Forget},
				{Name: "forget-email-links", Schedule: "@hourly", Run: p.addresses.Forget},
				{Name: "forget-access-changes", Schedule: "@hourly", Run: p.access.Forget},
				{Name: "forget-second-factors", Schedule: "@hourly", Run: p.mfa.Forget},
				{Name: "forget-api-keys", Schedule: "@hourly", Run: p.apiKeys.Forget},
				{Name: "forget-invitations", Schedule: "@hourly", Run: p.organizations.Forget},
				{Name: "forget-sso-flows", Schedule: "@hourly", Run: p.sso.Forget},
				{Name: "forget-data-requests", Schedule: "@hourly", Run: p.audit.Forget},
				{Name: "reencrypt-secrets", Schedule: vault.PassEvery, Run: p.reencrypt(k.Log)},
				{Name: "refresh-saml-metadata", Schedule: "@daily", Run: p.sso.RefreshMetadata},
				{Name: "trim-audit-log", Schedule: "@daily", Run: p.audit.Trim},
				{Name: "erase-organizations", Schedule: "@hourly", Run: p.organizations.EraseDue},
			},
		}, nil
	}}
}
