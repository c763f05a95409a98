// Package sso lets members of an organization sign in by its own identity provider, OIDC or SAML 2.0.
//
// An organization's provider speaks for people whose e-mail address is in a domain that the organization has proved to be its
// own, and for nobody else. A person has one account whatever organizations they work for, so a provider that could name any
// address could take any account.
package sso

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/atrest"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/apps/auth/internal/sso/oidc"
	"github.com/tandemhq/tandem/apps/auth/internal/sso/outbound"
	"github.com/tandemhq/tandem/apps/auth/internal/sso/saml"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/redirect"
	"github.com/tandemhq/tandem/pkg/store"
)

// Resolver looks TXT records up, as net.Resolver does.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Roster knows who works for an organization, as what (see rbac.Service).
type Roster interface {
	// MayGive refuses roles that by cannot give: 422, 403 permission_not_held or owners_only.
	MayGive(ctx context.Context, by identity.Principal, roles []string) error
	// Of are the roles of a member, with the version of the membership: 404.
	Of(ctx context.Context, organization, user string) (*authapi.MemberRoles, int64, error)
	// Assign makes roles all that user has in by's organization, if match likes the version of the membership, and tells that
	// access has changed: 404, 422, 403, 409 last_owner, and match's own errors.
	Assign(ctx context.Context, by identity.Principal, user string, roles []string, match func(version int64) error) error
}

// SignIns gives tokens to who has proved who they are (see signin.Service).
type SignIns interface {
	Begin(ctx context.Context, a signin.Attempt) (*authapi.SignIn, error)
}

// Policies are what organizations demand of their members (see policy.Service).
type Policies interface {
	Of(ctx context.Context, organization string) (authapi.SecurityPolicy, error)
}

// Config is what a Service needs.
type Config struct {
	DB       store.DB
	Accounts *accounts.Accounts
	Policies Policies
	SignIns  SignIns
	Roster   Roster
	// Join makes a user a member (see organizations.Service): 402 quota_exceeded, 404, 409 already_member, 422.
	Join     func(ctx context.Context, organization, user string, roles []string) error
	Sealer   atrest.Sealer
	Resolver Resolver
	// BaseURL is the origin of the API as browsers see it, e.g. "https://api.example.com". Identity providers know it.
	BaseURL string
	// ReturnOrigins are the origins, e.g. "https://app.example.com", of the pages that browsers may be sent to with a one-time code.
	ReturnOrigins []string
	// AllowInsecure lets identity providers be anywhere and without TLS, for development.
	AllowInsecure bool
	Emit          events.Emitter
	Now           func() time.Time
	NewID         func() string
	// Random is where states, codes and tokens come from.
	Random io.Reader
	Log    *slog.Logger
}

// Service is the rules of single sign-on. It is safe for concurrent use.
type Service struct {
	c      Config
	d      documents
	policy outbound.Policy
	http   *http.Client
	oidc   *oidc.Party
}

// Open opens what the module keeps in c.DB. A base URL or origin that is none is an error.
func Open(ctx context.Context, c Config) (*Service, error) {
	for _, origin := range append([]string{c.BaseURL}, c.ReturnOrigins...) {
		if u, err := url.Parse(origin); err != nil || origin == "" || redirect.Origin(u) != origin {
			return nil, fmt.Errorf("%q is no origin such as https://app.example.com", origin)
		}
	}
	d, err := openDocuments(ctx, c.DB)
	if err != nil {
		return nil, err
	}
	policy := outbound.Policy{AllowInsecure: c.AllowInsecure}
	client := policy.Client()
	return &Service{c, d, policy, client, oidc.New(client, policy.Check, c.Now)}, nil
}

func (s *Service) url(parts ...string) string {
	return s.c.BaseURL + "/api/auth/sso/" + strings.Join(parts, "/")
}

func (s *Service) serviceProvider(connection string) saml.ServiceProvider {
	return saml.ServiceProvider{EntityID: s.url("saml", connection, "metadata"), ACS: s.url("saml", connection, "acs")}
}

// random is 256 bits, in hexadecimal.
func (s *Service) random() (string, error) {
	secret := make([]byte, 32)
	if _, err := io.ReadFull(s.c.Random, secret); err != nil {
		return "", fmt.Errorf("make a secret: %w", err)
	}
	return fmt.Sprintf("%x", secret), nil
}

// record is an entry of the organization's audit log, of what its administrators do.
func (s *Service) record(ctx context.Context, organization, verb, resource string, details map[string]string) (store.Message, error) {
	return audit.Message(ctx, s.c.Emit, organization, audit.Entry{Action: "auth.sso." + verb, Resource: resource, Details: details})
}

// Forget deletes sign-ins that were not completed, codes that were not redeemed and assertions that are too old to come again.
func (s *Service) Forget(ctx context.Context) error {
	now := s.c.Now()
	err := errors.Join(forget(ctx, s.d.flows, now), forget(ctx, s.d.tickets, now), forget(ctx, s.d.assertions, now))
	if err != nil {
		return fmt.Errorf("forget federated sign-ins: %w", err)
	}
	return nil
}
