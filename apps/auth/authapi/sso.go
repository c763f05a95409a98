package authapi

import (
	"time"

	"github.com/tandemhq/tandem/pkg/events"
)

// Codes of the problems of single sign-on.
const (
	// CodeSSOFlowInvalid (401): the sign-in is not under way here: unknown, used, too late, or begun by somebody else.
	CodeSSOFlowInvalid = "sso_flow_invalid"
	// CodeSSORefused (401): what the identity provider sent proves nothing.
	CodeSSORefused = "sso_refused"
	// CodeSSODenied (403): the identity provider did not let the person in.
	CodeSSODenied = "sso_denied"
	// CodeSSOUnreachable (502): the identity provider does not answer as one does.
	CodeSSOUnreachable = "sso_unreachable"
	// CodeSSOAccountRefused (403): the organization's provider cannot speak for this account; the detail says why.
	CodeSSOAccountRefused = "sso_account_refused"
	// CodeSSONotProvisioned (403): the person has no place in the organization, and the connection gives them none.
	CodeSSONotProvisioned = "sso_not_provisioned"
	// CodeSSOCodeInvalid (401): no sign-in waits for this code any more.
	CodeSSOCodeInvalid = "sso_code_invalid"
	// CodeDomainTaken (409): another organization has proved that the domain is its own.
	CodeDomainTaken = "domain_taken"
	// CodeDomainUnproved (409): the domain's DNS does not have the TXT record yet.
	CodeDomainUnproved = "domain_unproved"
)

// SSOProtocol is how a connection talks to its identity provider.
type SSOProtocol string

// The protocols there are.
const (
	OIDC SSOProtocol = "oidc"
	SAML SSOProtocol = "saml"
)

// SSOConnection is an identity provider by which members of an organization sign in.
type SSOConnection struct {
	ID       string      `json:"id" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
	Name     string      `json:"name" doc:"What people read before they sign in" example:"Acme Okta"`
	Protocol SSOProtocol `json:"protocol" enum:"oidc,saml" example:"oidc"`
	Enabled  bool        `json:"enabled" doc:"Whether people can sign in by it"`
	OIDC     *SSOOIDC    `json:"oidc,omitempty" doc:"The provider, for oidc"`
	SAML     *SSOSAML    `json:"saml,omitempty" doc:"The provider, for saml"`
	Owners   bool        `json:"owners" doc:"Whether owners can sign in by it: it was saved last by one of them"`
	SSOProvisioning
	CreatedAt time.Time `json:"created_at" doc:"UTC"`
	UpdatedAt time.Time `json:"updated_at" doc:"UTC"`
}

// SSOOIDC is an OpenID provider. Its client secret is never shown.
type SSOOIDC struct {
	Issuer      string   `json:"issuer" example:"https://acme.okta.com"`
	ClientID    string   `json:"client_id" example:"0oa1tandem"`
	HasSecret   bool     `json:"has_secret" doc:"Whether a client secret is kept"`
	Scopes      []string `json:"scopes" doc:"Asked for beside openid" example:"[\"profile\",\"email\",\"groups\"]"`
	TrustEmail  bool     `json:"trust_email" doc:"Whether its e-mail addresses count as verified where it does not say"`
	RedirectURL string   `json:"redirect_url" doc:"To be registered with the provider" example:"https://api.example.com/api/auth/sso/oidc/0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4/callback"`
}

// SSOSAML is a SAML 2.0 identity provider.
type SSOSAML struct {
	MetadataURL    string           `json:"metadata_url,omitempty" doc:"Where its metadata is read anew every day" example:"https://idp.acme.example/metadata"`
	EntityID       string           `json:"entity_id" example:"https://idp.acme.example/metadata"`
	SignInURL      string           `json:"sign_in_url" example:"https://idp.acme.example/sso"`
	Certificates   []SSOCertificate `json:"certificates" doc:"What assertions are verified with"`
	AllowInitiated bool             `json:"allow_idp_initiated" doc:"Whether people may come from the provider without having been sent there"`
	// The service provider, to be registered with the identity provider.
	ServiceProvider string `json:"service_provider_entity_id" doc:"Entity id and metadata URL of the service provider" example:"https://api.example.com/api/auth/sso/saml/0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4/metadata"`
	ACS             string `json:"acs_url" doc:"Assertion consumer service of the service provider" example:"https://api.example.com/api/auth/sso/saml/0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4/acs"`
}

// SSOCertificate is a certificate of an identity provider.
type SSOCertificate struct {
	SHA256   string    `json:"sha256" doc:"Fingerprint in hexadecimal" example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	NotAfter time.Time `json:"not_after" doc:"When it expires, UTC"`
}

// SSOProvisioning says what becomes of people who come by a connection.
type SSOProvisioning struct {
	Provision bool `json:"provision" doc:"Let people in who are no members yet, with an account made for them where they have none"`
	// Attributes are where e-mail address and name are found, where that is not the usual place.
	Attributes SSOAttributes `json:"attributes,omitempty" doc:"Claims or attributes that hold a person's data, where they are not the usual ones"`
	Roles      SSORoles      `json:"roles"`
}

// SSOAttributes name the claims or SAML attributes that hold a person's data. Empty is the usual one.
type SSOAttributes struct {
	Email     string `json:"email,omitempty" maxLength:"200" doc:"E-mail address" example:"upn"`
	FirstName string `json:"first_name,omitempty" maxLength:"200" doc:"First name" example:"given_name"`
	LastName  string `json:"last_name,omitempty" maxLength:"200" doc:"Last name" example:"family_name"`
}

// SSORoles says as what people come.
type SSORoles struct {
	Claim   string        `json:"claim,omitempty" maxLength:"200" doc:"Path of the claim, or name of the SAML attribute, that has a person's groups. Without it roles are given once, when somebody is let in" example:"realm_access.roles"`
	Table   []SSORoleRule `json:"table,omitempty" maxItems:"100" doc:"Which group gives which role"`
	Default string        `json:"default,omitempty" maxLength:"64" doc:"Role of who is in none of the groups; without it they are not let in" example:"member"`
}

// SSORoleRule gives a role to those whose claim has a value.
type SSORoleRule struct {
	Value string `json:"value" minLength:"1" maxLength:"500" doc:"Value of the claim" example:"marketing-leads"`
	Role  string `json:"role" minLength:"1" maxLength:"64" doc:"Role that it gives; owner is given by people only" example:"manager"`
}

// SSOConnections is a page of connections, the oldest first.
type SSOConnections struct {
	Items      []SSOConnection `json:"items"`
	NextCursor string          `json:"next_cursor,omitempty" doc:"The next page's cursor; missing on the last page" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// SSODomain is an e-mail domain that an organization says is its own.
type SSODomain struct {
	Domain     string     `json:"domain" example:"acme.example"`
	Verified   bool       `json:"verified" doc:"Whether the organization has proved it"`
	TXT        string     `json:"txt_record" doc:"TXT record to publish at the domain before verifying it" example:"tandem-domain-verification=4fWlM1y3…"`
	CreatedAt  time.Time  `json:"created_at" doc:"UTC"`
	VerifiedAt *time.Time `json:"verified_at,omitempty" doc:"UTC"`
}

// SSODomains is a page of domains, the oldest first.
type SSODomains struct {
	Items      []SSODomain `json:"items"`
	NextCursor string      `json:"next_cursor,omitempty" doc:"The next page's cursor; missing on the last page" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// SSODiscovery says how people with an e-mail address of some domain sign in. It is the same whether anybody has the address.
type SSODiscovery struct {
	Required    bool        `json:"required" doc:"Whether the domain's organization wants its members to sign in by a connection only"`
	Connections []SSOChoice `json:"connections" doc:"None where the domain is no organization's"`
}

// SSOChoice is a connection to sign in by.
type SSOChoice struct {
	ID       string      `json:"id" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
	Name     string      `json:"name" example:"Acme Okta"`
	Protocol SSOProtocol `json:"protocol" enum:"oidc,saml" example:"oidc"`
	StartURL string      `json:"start_url" doc:"Where a browser goes, with return_to" example:"https://api.example.com/api/auth/sso/0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4/start"`
}

// SSOStart is a sign-in that has begun.
type SSOStart struct {
	URL       string `json:"url" doc:"Where the person goes to sign in" example:"https://acme.okta.com/oauth2/v1/authorize?…"`
	Handle    string `json:"handle,omitempty" doc:"Proves, in the header X-SSO-Handle of the call that ends the sign-in, that it is the client that began it" example:"mGq3…"`
	ExpiresIn int    `json:"expires_in" doc:"Seconds within which the sign-in must end" example:"600"`
}

// UserProvisioned tells that an identity at an organization's provider belongs to a user from now on, whose account and
// membership may be new (see UserJoined) or not.
var UserProvisioned = events.Topic[UserProvisionedData]{Name: "auth.user.provisioned"}

// UserProvisionedData says who came by which connection.
type UserProvisionedData struct {
	UserID         string    `json:"user_id"`
	OrganizationID string    `json:"organization_id"`
	ConnectionID   string    `json:"connection_id"`
	At             time.Time `json:"at"`
}
