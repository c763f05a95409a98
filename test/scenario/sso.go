package scenario

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

const sso = "/api/auth/sso"

// samlMetadata describes a SAML identity provider that signs with a key of its own (SAML 2.0 Metadata, section 2.4.3).
func samlMetadata(entity string) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("make the key of an identity provider: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", fmt.Errorf("certify the key of an identity provider: %w", err)
	}
	return fmt.Sprintf(`<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID=%q>`+
		`<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">`+
		`<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>%s</X509Certificate></X509Data></KeyInfo></KeyDescriptor>`+
		`<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location=%q/>`+
		`</IDPSSODescriptor></EntityDescriptor>`, entity, base64.StdEncoding.EncodeToString(der), entity+"/sso"), nil
}

// IdentityProvider connects a SAML identity provider. It saves "provider".
func IdentityProvider(entity string) (Step, error) {
	metadata, err := samlMetadata(entity)
	return Step{
		Name: "connect an identity provider", Method: http.MethodPost, Path: sso + "/connections", Want: http.StatusCreated, Body: provider(metadata, true, "member"),
		Has:  map[string]any{"protocol": "saml", "enabled": true, "saml.entity_id": entity, "saml.acs_url": Present},
		Save: map[string]string{"provider": "id"},
	}, err
}

func provider(metadata string, enabled bool, role string) map[string]any {
	return map[string]any{
		"name": "Our directory", "enabled": enabled, "provision": false, "roles": map[string]any{"default": role}, "saml": map[string]any{"metadata": metadata},
	}
}

// IdentityProviders is about connecting an organization with its identity provider, and how people come to it. What comes back
// from a provider is the sso module's to prove, with the libraries of providers.
func IdentityProviders(t *testing.T, site Site) {
	const entity = "https://idp.example.com/metadata"
	ours := map[string]string{}
	connect, err := IdentityProvider(entity)
	if err != nil {
		t.Fatal(err)
	}
	metadata, _ := samlMetadata(entity)
	Play(t, site, ours, Register(ours, "identityproviders"))
	Play(t, site, ours, []Step{not(connect, "not without a second factor", http.StatusUnauthorized, "step_up_required")})
	Play(t, site, ours, Enrol())
	refusedBody := func(name string, body map[string]any) Step {
		s := connect
		s.Body = body
		return not(s, name, http.StatusUnprocessableEntity, "validation_failed")
	}
	begin := Step{Name: "begin to sign in", Method: http.MethodGet, Path: sso + "/${provider}/start", Header: map[string]string{"Authorization": ""}, Want: http.StatusOK, Has: map[string]any{
		"handle": Present, "url": func(got string) error {
			if !strings.HasPrefix(got, entity+"/sso?SAMLRequest=") {
				return fmt.Errorf("%q is not where the provider wants its requests", got)
			}
			return nil
		},
	}}
	put := func(name string, body map[string]any) Step {
		return Step{Name: name, Method: http.MethodPut, Path: sso + "/connections/${provider}", Header: map[string]string{"If-Match": "${etag}"}, Body: body, Want: http.StatusOK, Save: map[string]string{"etag": "header:ETag"}}
	}
	stale := not(put("", provider(metadata, true, "member")), "changed since it was read", http.StatusPreconditionFailed, "precondition_failed")
	stale.Header = map[string]string{"If-Match": `"99"`}
	off := put("turn it off", provider("", false, "member"))
	off.Body.(map[string]any)["saml"] = map[string]any{} // the metadata that is kept stays
	Play(t, site, ours, []Step{
		refusedBody("no metadata", provider("<html/>", true, "member")),
		refusedBody("no such role", provider(metadata, true, "no-such-role")),
		refusedBody("a role for everybody is never the owner's", provider(metadata, true, "owner")),
		connect,
		{Name: "read it", Method: http.MethodGet, Path: sso + "/connections/${provider}", Want: http.StatusOK, Has: map[string]any{"saml.certificates.#": 1, "saml.sign_in_url": entity + "/sso"}, Save: map[string]string{"etag": "header:ETag"}},
		{Name: "what the provider is told of us", Method: http.MethodGet, Path: sso + "/saml/${provider}/metadata", Header: map[string]string{"Authorization": ""}, Want: http.StatusOK, Contains: "/api/auth/sso/saml/"},
		begin,
		{Name: "not to return anywhere", Method: http.MethodGet, Path: sso + "/${provider}/start?return_to=https://evil.example/", Header: map[string]string{"Authorization": ""}, Want: http.StatusUnprocessableEntity, Has: code("validation_failed")},
		{
			Name: "an answer that nobody signed", Method: http.MethodPost, Path: sso + "/saml/${provider}/acs", Header: map[string]string{"Authorization": "", "Content-Type": "application/x-www-form-urlencoded"},
			Body: "SAMLResponse=PFJlc3BvbnNlLz4%3D&RelayState=x", Want: http.StatusUnauthorized, Has: code("sso_flow_invalid"),
		},
		off,
		stale,
		not(begin, "it is off", http.StatusNotFound, "not_found"),
		{Name: "claim a domain", Method: http.MethodPost, Path: sso + "/domains", Body: map[string]string{"domain": "Identity-Providers.Example"}, Want: http.StatusCreated, Has: map[string]any{"domain": "identity-providers.example", "verified": false, "txt_record": Present}},
		{Name: "which proves nothing yet", Method: http.MethodPost, Path: sso + "/discover", Header: map[string]string{"Authorization": ""}, Body: map[string]string{"email": "ada@identity-providers.example"}, Want: http.StatusOK, Has: map[string]any{"required": false, "connections.#": 0}},
		{Name: "remove it", Method: http.MethodDelete, Path: sso + "/connections/${provider}", Want: http.StatusNoContent},
		{Name: "removed", Method: http.MethodGet, Path: sso + "/connections/${provider}", Want: http.StatusNotFound, Has: code("not_found")},
	})
}
