package saml

import (
	"compress/flate"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crewjam/saml"
)

// described is the metadata of an identity provider.
func described(t testing.TB, idp authority) saml.EntityDescriptor {
	t.Helper()
	key := saml.KeyDescriptor{Use: "signing", KeyInfo: saml.KeyInfo{X509Data: saml.X509Data{
		X509Certificates: []saml.X509Certificate{{Data: base64.StdEncoding.EncodeToString(idp.certificate)}},
	}}}
	return saml.EntityDescriptor{EntityID: idpID, ValidUntil: now.Add(time.Hour), IDPSSODescriptors: []saml.IDPSSODescriptor{{
		SSODescriptor: saml.SSODescriptor{RoleDescriptor: saml.RoleDescriptor{KeyDescriptors: []saml.KeyDescriptor{key}}},
		SingleSignOnServices: []saml.Endpoint{
			{Binding: saml.HTTPPostBinding, Location: "https://idp.acme.example/post"},
			{Binding: saml.HTTPRedirectBinding, Location: "https://idp.acme.example/sso?tenant=1"},
		},
	}}}
}

func written(t testing.TB, v any) []byte {
	t.Helper()
	text, err := xml.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParseMetadata(t *testing.T) {
	idp := newAuthority(t)
	service := saml.EntityDescriptor{EntityID: "https://elsewhere.example", SPSSODescriptors: []saml.SPSSODescriptor{{}}}
	for name, text := range map[string][]byte{
		"one":         written(t, described(t, idp)),
		"one of many": written(t, saml.EntitiesDescriptor{EntityDescriptors: []saml.EntityDescriptor{service, described(t, idp)}}),
	} {
		p, err := ParseMetadata(text, now)
		if err != nil || p.EntityID != idpID || p.URL != "https://idp.acme.example/sso?tenant=1" || len(p.Certificates) != 1 || !slices.Equal(p.Certificates[0], idp.certificate) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestMetadataOfNoProvider(t *testing.T) {
	idp := newAuthority(t)
	role := func(e *saml.EntityDescriptor) *saml.IDPSSODescriptor { return &e.IDPSSODescriptors[0] }
	for name, change := range map[string]func(*saml.EntityDescriptor){
		"expired":           func(e *saml.EntityDescriptor) { e.ValidUntil = now },
		"no entity id":      func(e *saml.EntityDescriptor) { e.EntityID = "" },
		"no provider":       func(e *saml.EntityDescriptor) { e.IDPSSODescriptors = nil },
		"no redirect":       func(e *saml.EntityDescriptor) { role(e).SingleSignOnServices = role(e).SingleSignOnServices[:1] },
		"no key":            func(e *saml.EntityDescriptor) { role(e).KeyDescriptors = nil },
		"an encryption key": func(e *saml.EntityDescriptor) { role(e).KeyDescriptors[0].Use = "encryption" },
		"no certificate": func(e *saml.EntityDescriptor) {
			role(e).KeyDescriptors[0].KeyInfo.X509Data.X509Certificates[0].Data = "AAAA"
		},
		"no base64": func(e *saml.EntityDescriptor) {
			role(e).KeyDescriptors[0].KeyInfo.X509Data.X509Certificates[0].Data = "%"
		},
		"no URL": func(e *saml.EntityDescriptor) { role(e).SingleSignOnServices[1].Location = "javascript:alert(1)" },
	} {
		e := described(t, idp)
		change(&e)
		if p, err := ParseMetadata(written(t, e), now); !errors.Is(err, ErrMetadata) {
			t.Errorf("%s: %+v, %v; want %v", name, p, err, ErrMetadata)
		}
	}
	two := written(t, saml.EntitiesDescriptor{EntityDescriptors: []saml.EntityDescriptor{described(t, idp), described(t, idp)}})
	for name, text := range map[string]string{
		"two": string(two), "nothing": "", "no XML": "metadata", "something else": "<html/>",
		"a document type": `<!DOCTYPE x>` + string(written(t, described(t, idp))), "too much": strings.Repeat(" ", MaxMetadata+1),
	} {
		if p, err := ParseMetadata([]byte(text), now); !errors.Is(err, ErrMetadata) {
			t.Errorf("%s: %+v, %v; want %v", name, p, err, ErrMetadata)
		}
	}
}

func FuzzParseMetadata(f *testing.F) {
	idp := newAuthority(f)
	f.Add(written(f, described(f, idp)))
	f.Add(written(f, saml.EntitiesDescriptor{EntityDescriptors: []saml.EntityDescriptor{described(f, idp)}}))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseMetadata(text, now)
		if err == nil && (p.EntityID == "" || p.URL == "" || len(p.Certificates) == 0) || err != nil && !errors.Is(err, ErrMetadata) {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

func TestOwnMetadata(t *testing.T) {
	text, err := sp.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	var e saml.EntityDescriptor
	if err := xml.Unmarshal(text, &e); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if e.EntityID != sp.EntityID || !e.ValidUntil.IsZero() || len(e.SPSSODescriptors) != 1 {
		t.Fatalf("%+v\n%s", e, text)
	}
	role := e.SPSSODescriptors[0]
	if !*role.WantAssertionsSigned || len(role.KeyDescriptors) != 0 || len(role.AssertionConsumerServices) != 1 ||
		role.AssertionConsumerServices[0].Location != sp.ACS || role.AssertionConsumerServices[0].Binding != saml.HTTPPostBinding {
		t.Errorf("%s", text)
	}
}

func TestRequest(t *testing.T) {
	p := Provider{EntityID: idpID, URL: "https://idp.acme.example/sso?tenant=1"}
	to, err := sp.RequestURL(p, "_request", "0123abcd", now)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	deflated, err := base64.StdEncoding.DecodeString(u.Query().Get("SAMLRequest"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(flate.NewReader(strings.NewReader(string(deflated))))
	if err != nil {
		t.Fatal(err)
	}
	var r saml.AuthnRequest
	if err := xml.Unmarshal(text, &r); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if u.Query().Get("tenant") != "1" || u.Query().Get("RelayState") != "0123abcd" || r.ID != "_request" || r.Issuer.Value != sp.EntityID ||
		r.AssertionConsumerServiceURL != sp.ACS || r.Destination != p.URL || !r.IssueInstant.Equal(now) || r.ProtocolBinding != saml.HTTPPostBinding {
		t.Errorf("%s\n%s", to, text)
	}
}
