package sso

import (
	"context"
	"mime"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/apps/auth/internal/sso/saml"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// Module is the routes of single sign-on.
type Module struct{ service *Service }

// NewModule serves s.
func NewModule(s *Service) *Module { return &Module{s} }

// Name is "sso".
func (m *Module) Name() string { return "sso" }

// maxConnection bounds the settings of a connection, metadata included.
const maxConnection = saml.MaxMetadata + 64<<10

// maxResponse bounds the form that brings a SAML response: base64 grows where its characters are escaped.
const maxResponse = 2 * saml.MaxResponse

// Routes binds the module's routes.
func (m *Module) Routes(r *group.Routes) {
	read, write := group.Needs("auth.sso:read"), group.Needs("auth.sso:write")
	group.Get(r, "/connections", m.connections, read, group.Doc("List the organization's connections to identity providers", "The oldest first."))
	group.Post(r, "/connections", m.create, write, group.Action("create-connection"), group.StepUp(), group.MaxBody(maxConnection), group.Status(http.StatusCreated), group.Problems(http.StatusUnprocessableEntity), group.Doc("Connect an identity provider", "The provider is asked what it is: it must answer at a public address. Whose provider it is can sign in as any member, so it takes who could make an administrator; owners sign in by it only if an owner has saved it. Nobody becomes an owner by a connection."))
	group.Get(r, "/connections/{id}", m.connection, read, group.Problems(http.StatusNotFound), group.Doc("Read a connection", "A client secret is never shown."))
	group.Put(r, "/connections/{id}", m.replace, write, group.Action("update-connection"), group.StepUp(), group.MaxBody(maxConnection), group.Problems(http.StatusNotFound, http.StatusPreconditionFailed, http.StatusUnprocessableEntity), group.Doc("Change a connection", "Without a client secret the one that is kept stays, as long as issuer and client stay; likewise SAML metadata. Another issuer knows nobody whom the one before knew."))
	group.Delete(r, "/connections/{id}", m.delete, write, group.Action("delete-connection"), group.StepUp(), group.Problems(http.StatusNotFound), group.Doc("Remove a connection", "Accounts and memberships stay."))
	group.Delete(r, "/connections/{id}/identities/{user}", m.unlink, write, group.Action("unlink"), group.StepUp(), group.Problems(http.StatusNotFound), group.Doc("Forget as whom a member comes by a connection", "An account is one identity at a provider. After an address was given to somebody else there, this lets them in."))

	group.Get(r, "/domains", m.domains, read, group.Doc("List the organization's e-mail domains", "The oldest first."))
	group.Post(r, "/domains", m.claim, write, group.Action("claim-domain"), group.Status(http.StatusCreated), group.Problems(http.StatusUnprocessableEntity), group.Doc("Add an e-mail domain", "Publish the TXT record of the answer at the domain, then verify it. Only people with an address in a verified domain sign in by the organization's connections."))
	group.Post(r, "/domains/{domain}/verify", m.verify, write, group.Action("verify-domain"), group.StepUp(), group.Problems(http.StatusNotFound, http.StatusConflict), group.Doc("Prove that a domain is the organization's", "A domain is one organization's: 409 `domain_taken` where another was first."))
	group.Delete(r, "/domains/{domain}", m.disown, write, group.Action("disown-domain"), group.StepUp(), group.Problems(http.StatusNotFound), group.Doc("Remove an e-mail domain", "People with an address there no longer sign in by the organization's connections."))

	group.Post(r, "/discover", m.discover, group.Public(), group.Problems(http.StatusUnprocessableEntity), group.Doc("How people with an e-mail address sign in", "Only the domain is looked at, so the answer is the same whether anybody has the address."))
	group.Get(r, "/{connection}/start", m.start, group.Public(), group.Sensitive(), group.Problems(http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusBadGateway), group.Doc("Begin to sign in", "With `return_to` a browser is sent to the identity provider (302) and in the end to return_to with `code`, or with `error`, a problem's code. Let return_to carry a value of its own and compare it when it comes back; `code_challenge` binds the code to whoever began.", "Without `return_to` the answer names the provider's URL and a handle. Whoever brings the provider's answer to the callback or assertion consumer service with the handle in X-SSO-Handle gets the tokens in the answer."))
	group.Get(r, "/oidc/{connection}/callback", m.callback, group.Public(), group.AnyQuery(), group.Sensitive(), group.Problems(http.StatusUnauthorized, http.StatusForbidden, http.StatusBadGateway), group.Doc("End a sign-in by OIDC", "The redirect URL, each connection's own, to which OpenID providers send browsers back. It works once, within 10 minutes, for the browser or client that began."))
	group.Post(r, "/token", m.redeem, group.Public(), group.Sensitive(), group.Problems(http.StatusUnauthorized, http.StatusForbidden), group.Doc("Redeem the one-time code of a sign-in", "It is good for a minute, once."))
	group.Post(r, "/saml/{connection}/acs", m.respond, group.Public(), group.Sensitive(), group.MaxBody(maxResponse), group.Problems(http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUnsupportedMediaType), group.Doc("End a sign-in by SAML", "The assertion consumer service, to which browsers post the provider's response. Assertions must be signed, with SHA-256 or better, and are good once."))
	group.Stream(r, "/saml/{connection}/metadata", m.metadata, group.Public(), group.Problems(http.StatusNotFound), group.Doc("Metadata of the service provider", "For the administrator of a SAML identity provider: application/samlmetadata+xml."))
}

// ListInput is the query of a list.
type ListInput struct {
	Cursor string `query:"cursor" maxLength:"1000" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"Items a page" example:"20"`
}

func (m *Module) connections(ctx context.Context, in *ListInput) (*authapi.SSOConnections, error) {
	return m.service.Connections(ctx, identity.Organization(ctx), in.Cursor, in.Limit)
}

// ConnectionBody is a connection as somebody wants it.
type ConnectionBody struct {
	Name    string    `json:"name" minLength:"1" maxLength:"100" doc:"What people read before they sign in" example:"Acme Okta"`
	Enabled bool      `json:"enabled" doc:"Whether people can sign in by it"`
	OIDC    *OIDCBody `json:"oidc,omitempty" doc:"An OpenID provider; either this or saml"`
	SAML    *SAMLBody `json:"saml,omitempty" doc:"A SAML identity provider; either this or oidc"`
	authapi.SSOProvisioning
}

// OIDCBody is an OpenID provider.
type OIDCBody struct {
	Issuer       string   `json:"issuer" minLength:"1" maxLength:"500" doc:"Issuer, an https URL, exactly as the provider writes it" example:"https://acme.okta.com"`
	ClientID     string   `json:"client_id" minLength:"1" maxLength:"500" example:"0oa1tandem"`
	ClientSecret *string  `json:"client_secret,omitempty" maxLength:"1000" writeOnly:"true" doc:"Kept encrypted and never shown; empty for a public client" example:"s3cr3t"`
	Scopes       []string `json:"scopes,omitempty" maxItems:"20" doc:"Asked for beside openid; profile and email without it" example:"[\"profile\",\"email\",\"groups\"]"`
	TrustEmail   bool     `json:"trust_email,omitempty" doc:"Take its e-mail addresses for verified where it does not say so. Only where people cannot choose their address there"`
}

// SAMLBody is a SAML identity provider.
type SAMLBody struct {
	MetadataURL    string `json:"metadata_url,omitempty" maxLength:"1000" doc:"Where its metadata is, an https URL; read anew every day" example:"https://idp.acme.example/metadata"`
	Metadata       string `json:"metadata,omitempty" maxLength:"524288" doc:"Its metadata, where that has no URL" example:"<EntityDescriptor …"`
	AllowInitiated bool   `json:"allow_idp_initiated,omitempty" doc:"Let people come from the provider without having been sent there. Then whoever can make somebody's browser post can sign them in as somebody else"`
}

func (b ConnectionBody) settings() Settings {
	s := Settings{Name: b.Name, Enabled: b.Enabled, SSOProvisioning: b.SSOProvisioning}
	if b.OIDC != nil {
		s.OIDC = &OIDCSettings{Issuer: b.OIDC.Issuer, ClientID: b.OIDC.ClientID, Scopes: b.OIDC.Scopes, TrustEmail: b.OIDC.TrustEmail}
		if b.OIDC.ClientSecret != nil {
			secret := secrets.New(*b.OIDC.ClientSecret)
			s.OIDC.Secret = &secret
		}
	}
	if b.SAML != nil {
		s.SAML = &SAMLSettings{MetadataURL: b.SAML.MetadataURL, Metadata: b.SAML.Metadata, AllowInitiated: b.SAML.AllowInitiated}
	}
	return s
}

// CreateInput is a new connection.
type CreateInput struct{ Body ConnectionBody }

// Created is a new connection, with where it is.
type Created struct {
	Location string `header:"Location" doc:"Where the connection is"`
	ETag     string `header:"ETag" doc:"Version of the connection; give it to If-Match when you change it"`
	Body     *authapi.SSOConnection
}

func (m *Module) create(ctx context.Context, in *CreateInput) (*Created, error) {
	view, version, err := m.service.Create(ctx, principal(ctx), in.Body.settings())
	if err != nil {
		return nil, err
	}
	return &Created{Location: "/api/auth/sso/connections/" + view.ID, ETag: group.AtVersion(view, version).ETag, Body: view}, nil
}

func principal(ctx context.Context) identity.Principal {
	p, _ := identity.From(ctx)
	return p
}

// ConnectionInput names a connection.
type ConnectionInput struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the connection" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
}

func (m *Module) connection(ctx context.Context, in *ConnectionInput) (*group.Versioned[authapi.SSOConnection], error) {
	view, version, err := m.service.Connection(ctx, identity.Organization(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return group.AtVersion(view, version), nil
}

// ReplaceInput is a connection as it is to be.
type ReplaceInput struct {
	ConnectionInput
	group.IfMatch
	Body ConnectionBody
}

func (m *Module) replace(ctx context.Context, in *ReplaceInput) (*group.Versioned[authapi.SSOConnection], error) {
	view, version, err := m.service.Replace(ctx, principal(ctx), in.ID, in.Body.settings(), in.Check)
	if err != nil {
		return nil, err
	}
	return group.AtVersion(view, version), nil
}

func (m *Module) delete(ctx context.Context, in *ConnectionInput) (*group.None, error) {
	return nil, m.service.Delete(ctx, identity.Organization(ctx), in.ID)
}

// IdentityInput names a connection and a member.
type IdentityInput struct {
	ConnectionInput
	User string `path:"user" maxLength:"64" doc:"Id of the member" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
}

func (m *Module) unlink(ctx context.Context, in *IdentityInput) (*group.None, error) {
	return nil, m.service.Unlink(ctx, identity.Organization(ctx), in.ID, in.User)
}

func (m *Module) domains(ctx context.Context, in *ListInput) (*authapi.SSODomains, error) {
	return m.service.Domains(ctx, identity.Organization(ctx), in.Cursor, in.Limit)
}

// ClaimInput is a domain that is the organization's.
type ClaimInput struct {
	Body struct {
		Domain string `json:"domain" minLength:"3" maxLength:"253" example:"acme.example"`
	}
}

func (m *Module) claim(ctx context.Context, in *ClaimInput) (*authapi.SSODomain, error) {
	return m.service.Claim(ctx, identity.Organization(ctx), in.Body.Domain)
}

// DomainInput names a domain.
type DomainInput struct {
	Domain string `path:"domain" maxLength:"253" example:"acme.example"`
}

func (m *Module) verify(ctx context.Context, in *DomainInput) (*authapi.SSODomain, error) {
	return m.service.VerifyDomain(ctx, identity.Organization(ctx), in.Domain)
}

func (m *Module) disown(ctx context.Context, in *DomainInput) (*group.None, error) {
	return nil, m.service.Disown(ctx, identity.Organization(ctx), in.Domain)
}

// DiscoverInput is somebody's e-mail address.
type DiscoverInput struct {
	Body struct {
		Email string `json:"email" minLength:"3" maxLength:"254" example:"ada@acme.example"`
	}
}

func (m *Module) discover(ctx context.Context, in *DiscoverInput) (*authapi.SSODiscovery, error) {
	return m.service.Discover(ctx, in.Body.Email)
}

// StartInput is by which connection to sign in, and what then.
type StartInput struct {
	Connection string `path:"connection" maxLength:"64" doc:"Id of the connection" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
	ReturnTo   string `query:"return_to" maxLength:"2000" doc:"Where a browser goes in the end; its origin must be one of the platform's pages" example:"https://app.example.com/signed-in?state=xyz"`
	Challenge  string `query:"code_challenge" pattern:"^[A-Za-z0-9_-]{43}$" doc:"SHA-256 of the code_verifier that the code is to be redeemed with, in base64url (RFC 7636)" example:"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"`
}

// StartOutput sends a browser to the provider, or tells a client where that is.
type StartOutput struct {
	Status       int
	Location     string `header:"Location" doc:"The provider's URL, for a browser"`
	SetCookie    string `header:"Set-Cookie" doc:"Binds the sign-in to the browser"`
	CacheControl string `header:"Cache-Control"`
	Body         *authapi.SSOStart
}

func (m *Module) start(ctx context.Context, in *StartInput) (*StartOutput, error) {
	begun, err := m.service.Start(ctx, in.Connection, in.ReturnTo, in.Challenge)
	if err != nil {
		return nil, err
	}
	out := &StartOutput{
		Status: http.StatusOK, CacheControl: "no-store",
		Body: &authapi.SSOStart{URL: begun.URL, Handle: begun.Handle, ExpiresIn: int(flowLife.Seconds())},
	}
	if begun.Cookie != nil {
		out.Status, out.Location, out.SetCookie = http.StatusFound, begun.URL, begun.Cookie.String()
	}
	return out, nil
}

// ClientInput is who brings a provider's answer.
type ClientInput struct {
	Cookies string `header:"Cookie" hidden:"true"`
	Handle  string `header:"X-SSO-Handle" maxLength:"100" doc:"Handle of a client that began without return_to"`
}

func (in ClientInput) client() Client { return Client(in) }

// CallbackInput is an OpenID provider's answer. Of the parameters that providers add the common ones are named here, and
// ignored (RFC 6749, section 4.1.2).
type CallbackInput struct {
	ClientInput
	Connection       string `path:"connection" maxLength:"64" doc:"Id of the connection" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
	State            string `query:"state" maxLength:"200" doc:"State of the sign-in" example:"5f2b6f1c11…"`
	Code             string `query:"code" maxLength:"4096" doc:"The provider's code" example:"SplxlOBeZQQYbYS6WxSbIA"`
	Error            string `query:"error" maxLength:"200" doc:"The provider's reason not to let somebody in" example:"access_denied"`
	Issuer           string `query:"iss" maxLength:"500" doc:"The provider (RFC 9207)" example:"https://acme.okta.com"`
	ErrorDescription string `query:"error_description" hidden:"true"`
	ErrorURI         string `query:"error_uri" hidden:"true"`
	SessionState     string `query:"session_state" hidden:"true"`
	Scope            string `query:"scope" hidden:"true"`
	AuthUser         string `query:"authuser" hidden:"true"`
	HostedDomain     string `query:"hd" hidden:"true"`
	Prompt           string `query:"prompt" hidden:"true"`
	ClientInfo       string `query:"client_info" hidden:"true"`
}

// EndOutput sends a browser back to the page that began, or gives a client its tokens.
type EndOutput struct {
	Status       int
	Location     string `header:"Location" doc:"The page that began, for a browser, with a one-time code or an error"`
	CacheControl string `header:"Cache-Control"`
	Body         *authapi.SignIn
}

func ended(o *Outcome, err error) (*EndOutput, error) {
	if err != nil {
		return nil, err
	}
	if o.SignIn != nil {
		return &EndOutput{Status: http.StatusOK, CacheControl: "no-store", Body: o.SignIn}, nil
	}
	return &EndOutput{Status: http.StatusSeeOther, Location: o.Location, CacheControl: "no-store", Body: &authapi.SignIn{ExpiresIn: int(codeLife.Seconds())}}, nil
}

func (m *Module) callback(ctx context.Context, in *CallbackInput) (*EndOutput, error) {
	return ended(m.service.Callback(ctx, Callback{Connection: in.Connection, State: in.State, Code: in.Code, Error: in.Error, Issuer: in.Issuer}, in.client()))
}

// RespondInput is a SAML provider's answer, a form with SAMLResponse and RelayState.
type RespondInput struct {
	ClientInput
	Connection  string `path:"connection" maxLength:"64" doc:"Id of the connection" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
	ContentType string `header:"Content-Type" hidden:"true"`
	RawBody     []byte `contentType:"application/x-www-form-urlencoded"`
}

func (m *Module) respond(ctx context.Context, in *RespondInput) (*EndOutput, error) {
	if kind, _, err := mime.ParseMediaType(in.ContentType); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, problem.New(http.StatusUnsupportedMediaType, problem.CodeMediaType, "want application/x-www-form-urlencoded")
	}
	form, err := url.ParseQuery(string(in.RawBody))
	if err != nil {
		return nil, problem.New(http.StatusBadRequest, problem.CodeBadRequest, "the body is no form").Wrap(err)
	}
	return ended(m.service.Respond(ctx, Response{
		Connection: in.Connection, Response: form.Get("SAMLResponse"), Relay: form.Get("RelayState"),
	}, in.client()))
}

// RedeemInput is a one-time code and what is asked for.
type RedeemInput struct {
	Body struct {
		Code       string `json:"code" maxLength:"100" writeOnly:"true" doc:"The code that came to return_to" example:"5f2b6f1c11…"`
		Verifier   string `json:"code_verifier,omitempty" maxLength:"128" writeOnly:"true" doc:"What code_challenge was made from (RFC 7636)" example:"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"`
		Scope      string `json:"scope,omitempty" maxLength:"1000" doc:"Permission patterns, separated by spaces, that the tokens are narrowed to (RFC 6749, section 3.3)" example:"analytics.*:read"`
		RememberMe bool   `json:"remember_me,omitempty" doc:"Keep the session for 30 days without use, else 7"`
		Device     string `json:"device_token,omitempty" maxLength:"200" doc:"Token of a remembered device, which needs no second factor" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d.mGq3…"`
	}
}

func (m *Module) redeem(ctx context.Context, in *RedeemInput) (*authapi.SignIn, error) {
	scope, err := sessions.ParseScope(in.Body.Scope)
	if err != nil {
		return nil, err
	}
	return m.service.Redeem(ctx, Redemption{
		Code: in.Body.Code, Verifier: in.Body.Verifier, Scope: scope, RememberMe: in.Body.RememberMe, Device: in.Body.Device,
	})
}

// MetadataInput names a connection.
type MetadataInput struct {
	Connection string `path:"connection" maxLength:"64" doc:"Id of the connection" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
}

func (m *Module) metadata(ctx context.Context, in *MetadataInput) (*huma.StreamResponse, error) {
	text, err := m.service.Metadata(ctx, in.Connection)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", "application/samlmetadata+xml")
		_, _ = hc.BodyWriter().Write(text) // the client may be gone; there is nobody left to tell
	}}, nil
}
