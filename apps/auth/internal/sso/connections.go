package sso

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/sso/saml"
	"github.com/tandemhq/tandem/apps/auth/internal/typed"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

// Settings are a connection as somebody wants it.
type Settings struct {
	Name    string
	Enabled bool
	OIDC    *OIDCSettings
	SAML    *SAMLSettings
	authapi.SSOProvisioning
}

// OIDCSettings are an OpenID provider.
type OIDCSettings struct {
	Issuer   string
	ClientID string
	// Secret is nil to keep the one that is kept, and empty for a public client.
	Secret     *secrets.Secret
	Scopes     []string
	TrustEmail bool
}

// SAMLSettings are a SAML identity provider, by the URL of its metadata or by the metadata itself.
type SAMLSettings struct {
	MetadataURL    string
	Metadata       string
	AllowInitiated bool
}

// connection is one of organization's: 404.
func (s *Service) connection(ctx context.Context, organization, id string) (store.Doc[connection], error) {
	doc, err := s.d.connections.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) || err == nil && doc.Value.Organization != organization {
		return store.Doc[connection]{}, problem.NotFound("connection").Wrap(err)
	}
	if err != nil {
		return doc, fmt.Errorf("read a connection: %w", err)
	}
	return doc, nil
}

// Connections is a page of an organization's, the oldest first.
func (s *Service) Connections(ctx context.Context, organization, cursor string, limit int) (*authapi.SSOConnections, error) {
	page, err := s.d.connections.Find(ctx, store.Query{Index: byOrganization, Equal: []any{organization}, Cursor: cursor, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list connections: %w", err)
	}
	list := &authapi.SSOConnections{Items: []authapi.SSOConnection{}, NextCursor: page.Next}
	for _, doc := range page.Items {
		view, err := s.view(doc)
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, *view)
	}
	return list, nil
}

// Connection is one of an organization's, with its version: 404.
func (s *Service) Connection(ctx context.Context, organization, id string) (*authapi.SSOConnection, int64, error) {
	doc, err := s.connection(ctx, organization, id)
	if err != nil {
		return nil, 0, err
	}
	view, err := s.view(doc)
	return view, doc.Version, err
}

// Create makes a connection in by's organization, after asking the provider what it is. Problems: 422 validation_failed, 403
// permission_not_held for who has not all that a connection can give.
func (s *Service) Create(ctx context.Context, by identity.Principal, in Settings) (*authapi.SSOConnection, int64, error) {
	id := s.c.NewID()
	c, err := s.settle(ctx, by, id, in, nil)
	if err != nil {
		return nil, 0, err
	}
	recorded, err := s.record(ctx, by.Organization, "create-connection", "sso-connection:"+id, map[string]string{"issuer": c.issuer()})
	if err != nil {
		return nil, 0, err
	}
	doc, err := s.d.connections.Insert(ctx, id, c, recorded)
	if err != nil {
		return nil, 0, fmt.Errorf("make a connection: %w", err)
	}
	view, err := s.view(doc)
	return view, doc.Version, err
}

// Replace makes in of a connection of by's organization whose version match likes. Another provider knows nobody whom the one
// before knew. Problems: as of Create, 404, 412 precondition_failed, and match's own.
func (s *Service) Replace(ctx context.Context, by identity.Principal, id string, in Settings, match func(version int64) error) (*authapi.SSOConnection, int64, error) {
	doc, err := s.connection(ctx, by.Organization, id)
	if err == nil {
		err = match(doc.Version)
	}
	if err != nil {
		return nil, 0, err
	}
	old := doc.Value
	if doc.Value, err = s.settle(ctx, by, id, in, &old); err != nil {
		return nil, 0, err
	}
	if doc.Value.issuer() != old.issuer() {
		if err := s.d.links.DeleteAll(ctx, linksOf(id)); err != nil {
			return nil, 0, fmt.Errorf("forget the identities of the provider before: %w", err)
		}
	}
	recorded, err := s.record(ctx, by.Organization, "update-connection", "sso-connection:"+id, map[string]string{"issuer": doc.Value.issuer()})
	if err != nil {
		return nil, 0, err
	}
	doc, err = s.d.connections.Replace(ctx, doc, recorded)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return nil, 0, problem.New(http.StatusPreconditionFailed, problem.CodePrecondition, "it was changed since it was read; read it again").Wrap(err)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("change a connection: %w", err)
	}
	view, err := s.view(doc)
	return view, doc.Version, err
}

// Delete removes a connection of an organization, with the identities that came by it; accounts and memberships stay: 404.
func (s *Service) Delete(ctx context.Context, organization, id string) error {
	doc, err := s.connection(ctx, organization, id)
	if err != nil {
		return err
	}
	recorded, err := s.record(ctx, organization, "delete-connection", "sso-connection:"+id, map[string]string{"issuer": doc.Value.issuer()})
	if err != nil {
		return err
	}
	if err := s.d.links.DeleteAll(ctx, linksOf(id)); err != nil {
		return fmt.Errorf("forget the identities of a connection: %w", err)
	}
	if err := s.d.connections.Delete(ctx, id, 0, recorded); err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("delete a connection: %w", err)
	}
	return nil
}

// Unlink lets a member of an organization come by a connection as another identity than before, after an address was given
// to another account at the provider: 404.
func (s *Service) Unlink(ctx context.Context, organization, id, user string) error {
	if _, err := s.connection(ctx, organization, id); err != nil {
		return err
	}
	q := linksOf(id)
	q.Equal = append(q.Equal, user)
	doc, err := s.d.links.First(ctx, q)
	if err == nil {
		var recorded store.Message
		if recorded, err = s.record(ctx, organization, "unlink", "user:"+user, map[string]string{"connection": id}); err != nil {
			return err
		}
		err = s.d.links.Delete(ctx, doc.ID, 0, recorded)
	}
	if errors.Is(err, store.ErrNotFound) {
		return problem.NotFound("identity").Wrap(err)
	}
	if err != nil {
		return fmt.Errorf("forget an identity: %w", err)
	}
	return nil
}

func linksOf(connection string) store.Query {
	return store.Query{Index: byConnection, Equal: []any{connection}}
}

// settle is what in makes of old, which is nil for a new connection.
func (s *Service) settle(ctx context.Context, by identity.Principal, id string, in Settings, old *connection) (connection, error) {
	name, err := typed.Name("body.name", in.Name)
	if err != nil {
		return connection{}, err
	}
	now := store.At(s.c.Now())
	c := connection{
		Organization: by.Organization, Name: name, Enabled: in.Enabled, SSOProvisioning: in.SSOProvisioning,
		CreatedAt: now, UpdatedAt: now,
	}
	if old != nil {
		c.CreatedAt = old.CreatedAt
	}
	if (in.OIDC == nil) == (in.SAML == nil) {
		return c, problem.Invalid("body", "want either oidc or saml")
	}
	if c.Owners, err = s.mayConnect(ctx, by); err != nil {
		return c, err
	}
	if err := s.checkRoles(ctx, by, c.SSOProvisioning); err != nil {
		return c, err
	}
	if in.OIDC != nil {
		c.OIDC, err = s.settleOIDC(ctx, id, *in.OIDC, old)
	} else {
		c.SAML, err = s.settleSAML(ctx, *in.SAML, old)
	}
	return c, err
}

// administrator is the role of who may do everything but make owners.
const administrator = "admin"

// mayConnect refuses who could not make somebody an administrator: whose provider it is can sign in as anybody. It tells
// whether by could make somebody an owner as well.
func (s *Service) mayConnect(ctx context.Context, by identity.Principal) (owners bool, err error) {
	if err := s.c.Roster.MayGive(ctx, by, []string{administrator}); err != nil {
		return false, err
	}
	err = s.c.Roster.MayGive(ctx, by, []string{identity.Owner})
	if problem.Code(err) == authapi.CodeOwnersOnly {
		return false, nil
	}
	return err == nil, err
}

// checkRoles refuses roles that by cannot give. Ownership is given by people, never by a claim.
func (s *Service) checkRoles(ctx context.Context, by identity.Principal, p authapi.SSOProvisioning) error {
	var roles []string
	for i, rule := range p.Roles.Table {
		if rule.Role == identity.Owner {
			return problem.Invalid(fmt.Sprintf("body.roles.table[%d].role", i), "owners are made by owners, not by an identity provider")
		}
		roles = append(roles, rule.Role)
	}
	switch {
	case p.Roles.Default == identity.Owner:
		return problem.Invalid("body.roles.default", "owners are made by owners, not by an identity provider")
	case p.Roles.Default != "":
		roles = append(roles, p.Roles.Default)
	case p.Provision && p.Roles.Claim == "":
		return problem.Invalid("body.roles.default", "without a claim that says more, new members need a role")
	}
	if p.Roles.Claim == "" && len(p.Roles.Table) > 0 {
		return problem.Invalid("body.roles.claim", "whose values are in the table?")
	}
	slices.Sort(roles)
	for _, role := range slices.Compact(roles) { // one by one: a member may not have as many as a table
		if err := s.c.Roster.MayGive(ctx, by, []string{role}); err != nil {
			return err
		}
	}
	return nil
}

func secretOwner(connection string) string { return "sso-connection:" + connection }

func (s *Service) settleOIDC(ctx context.Context, id string, in OIDCSettings, old *connection) (*oidcProvider, error) {
	p := &oidcProvider{Issuer: in.Issuer, ClientID: in.ClientID, Scopes: in.Scopes, TrustEmail: in.TrustEmail}
	if p.Scopes == nil {
		p.Scopes = []string{"profile", "email"}
	}
	if err := s.policy.Check(p.Issuer); err != nil {
		return nil, problem.Invalid("body.oidc.issuer", err.Error())
	}
	switch {
	case in.Secret == nil && old != nil && old.OIDC != nil && old.OIDC.Issuer == p.Issuer && old.OIDC.ClientID == p.ClientID:
		p.Secret = old.OIDC.Secret
	case in.Secret == nil && old != nil && old.OIDC != nil && old.OIDC.Secret != nil:
		// Else whoever may change the issuer would be sent the secret.
		return nil, problem.Invalid("body.oidc.client_secret", "another issuer or client needs its secret to be given anew")
	case in.Secret != nil && !in.Secret.Empty():
		sealed, err := s.c.Sealer.Seal(ctx, secretOwner(id), []byte(in.Secret.Reveal()))
		if err != nil {
			return nil, fmt.Errorf("seal a client secret: %w", err)
		}
		p.Secret = sealed
	}
	if err := s.oidc.Discover(ctx, p.Issuer); err != nil {
		return nil, problem.Invalid("body.oidc.issuer", "no OpenID provider of this name answers at a public address").Wrap(err)
	}
	return p, nil
}

func (s *Service) settleSAML(ctx context.Context, in SAMLSettings, old *connection) (*samlProvider, error) {
	p := &samlProvider{MetadataURL: in.MetadataURL, AllowInitiated: in.AllowInitiated}
	var err error
	switch {
	case in.MetadataURL != "" && in.Metadata != "":
		return nil, problem.Invalid("body.saml", "want the metadata or its URL, not both")
	case in.MetadataURL != "":
		p.Provider, err = s.metadataAt(ctx, in.MetadataURL)
		if err != nil {
			return nil, problem.Invalid("body.saml.metadata_url", "no metadata of a SAML identity provider at this address, or it is not public").Wrap(err)
		}
	case in.Metadata != "":
		p.Provider, err = s.metadata([]byte(in.Metadata))
		if err != nil {
			return nil, problem.Invalid("body.saml.metadata", err.Error())
		}
	case old != nil && old.SAML != nil && old.SAML.MetadataURL == "":
		p.Provider = old.SAML.Provider
	default:
		return nil, problem.Invalid("body.saml", "want the metadata or its URL")
	}
	return p, nil
}

func (s *Service) metadata(text []byte) (saml.Provider, error) {
	p, err := saml.ParseMetadata(text, s.c.Now())
	if err == nil {
		err = s.policy.Check(p.URL) // browsers are sent there
	}
	return p, err
}

func (s *Service) metadataAt(ctx context.Context, url string) (saml.Provider, error) {
	if err := s.policy.Check(url); err != nil {
		return saml.Provider{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return saml.Provider{}, err
	}
	answer, err := s.http.Do(r)
	if err != nil {
		return saml.Provider{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return saml.Provider{}, fmt.Errorf("metadata: status %d", answer.StatusCode)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return saml.Provider{}, err
	}
	return s.metadata(text)
}

// Metadata describes the service provider that a connection is, whether it is enabled or not: 404 for one that is not by SAML.
func (s *Service) Metadata(ctx context.Context, id string) ([]byte, error) {
	doc, err := s.d.connections.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) || err == nil && doc.Value.SAML == nil {
		return nil, problem.NotFound("connection").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("read a connection: %w", err)
	}
	return s.serviceProvider(id).Metadata()
}

// RefreshMetadata reads the metadata of SAML providers anew, so that they can change their keys. What cannot be read, or is
// of another provider, changes nothing.
func (s *Service) RefreshMetadata(ctx context.Context) error {
	published := store.Query{Index: byMetadata, Range: store.Range{Field: "saml.metadata_url", From: ""}}
	err := s.d.connections.Each(ctx, published, func(doc store.Doc[connection]) error {
		fresh, err := s.metadataAt(ctx, doc.Value.SAML.MetadataURL)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && fresh.EntityID != doc.Value.SAML.Provider.EntityID {
			err = fmt.Errorf("metadata: of %q", fresh.EntityID)
		}
		if err != nil {
			s.c.Log.WarnContext(ctx, "metadata of a SAML provider is not read anew", "connection", doc.ID, "error", err)
			return nil
		}
		_, err = s.d.connections.Update(ctx, doc.ID, func(c *connection) ([]store.Message, error) {
			if c.SAML != nil && c.SAML.MetadataURL == doc.Value.SAML.MetadataURL {
				c.SAML.Provider = fresh
			}
			return nil, nil
		})
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read the metadata of SAML providers: %w", err)
	}
	return nil
}

// view is what administrators see of a connection.
func (s *Service) view(doc store.Doc[connection]) (*authapi.SSOConnection, error) {
	c := doc.Value
	v := &authapi.SSOConnection{
		ID: doc.ID, Name: c.Name, Protocol: c.protocol(), Enabled: c.Enabled, Owners: c.Owners, SSOProvisioning: c.SSOProvisioning,
		CreatedAt: c.CreatedAt.Time, UpdatedAt: c.UpdatedAt.Time,
	}
	if c.OIDC != nil {
		v.OIDC = &authapi.SSOOIDC{
			Issuer: c.OIDC.Issuer, ClientID: c.OIDC.ClientID, HasSecret: c.OIDC.Secret != nil, Scopes: c.OIDC.Scopes,
			TrustEmail: c.OIDC.TrustEmail, RedirectURL: s.redirectURL(doc.ID),
		}
		return v, nil
	}
	sp := s.serviceProvider(doc.ID)
	v.SAML = &authapi.SSOSAML{
		MetadataURL: c.SAML.MetadataURL, EntityID: c.SAML.Provider.EntityID, SignInURL: c.SAML.Provider.URL,
		Certificates: []authapi.SSOCertificate{}, AllowInitiated: c.SAML.AllowInitiated, ServiceProvider: sp.EntityID, ACS: sp.ACS,
	}
	for _, der := range c.SAML.Provider.Certificates {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("read a certificate of connection %s: %w", doc.ID, err)
		}
		sum := sha256.Sum256(der)
		v.SAML.Certificates = append(v.SAML.Certificates, authapi.SSOCertificate{SHA256: hex.EncodeToString(sum[:]), NotAfter: certificate.NotAfter.UTC()})
	}
	return v, nil
}
