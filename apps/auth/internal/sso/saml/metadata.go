// Package saml is a SAML 2.0 service provider of customers' identity providers, as far as the Web Browser SSO profile needs
// one: requests by redirect, responses by POST, signed assertions only. It keeps nothing; whoever uses it remembers requests
// and assertions.
//
// What is signed is checked by goxmldsig, and only what it gives back as signed is read: an assertion is never looked for in
// a document again after its signature was found good, which is what signature wrapping lives on.
package saml

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	validator "github.com/mattermost/xml-roundtrip-validator"
)

// ErrMetadata says that a text is not the metadata of an identity provider.
var ErrMetadata = errors.New("not the SAML metadata of an identity provider")

// MaxMetadata bounds metadata, in bytes.
const MaxMetadata = 512 << 10

// Provider is an identity provider, as its metadata describes it.
type Provider struct {
	EntityID string `json:"entity_id"`
	// URL is where browsers go with a request (HTTP redirect binding).
	URL string `json:"url"`
	// Certificates, in DER, hold the keys that sign assertions.
	Certificates [][]byte `json:"certificates"`
}

// ParseMetadata reads the metadata of one identity provider: ErrMetadata.
func ParseMetadata(text []byte, now time.Time) (Provider, error) {
	root, err := parse(text, MaxMetadata)
	if err != nil {
		return Provider{}, fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	var all saml.EntitiesDescriptor
	if root.Tag == "EntitiesDescriptor" {
		err = xml.Unmarshal(text, &all)
	} else {
		all.EntityDescriptors = make([]saml.EntityDescriptor, 1)
		err = xml.Unmarshal(text, &all.EntityDescriptors[0])
	}
	if err != nil {
		return Provider{}, fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	var found []Provider
	for _, entity := range all.EntityDescriptors {
		if len(entity.IDPSSODescriptors) == 0 {
			continue
		}
		if !entity.ValidUntil.IsZero() && !now.Before(entity.ValidUntil) {
			return Provider{}, fmt.Errorf("%w: valid until %s", ErrMetadata, entity.ValidUntil.Format(time.RFC3339))
		}
		p, err := provider(entity)
		if err != nil {
			return Provider{}, err
		}
		found = append(found, p)
	}
	if len(found) != 1 {
		return Provider{}, fmt.Errorf("%w: it describes %d of them", ErrMetadata, len(found))
	}
	return found[0], nil
}

func provider(entity saml.EntityDescriptor) (Provider, error) {
	p := Provider{EntityID: entity.EntityID}
	for _, role := range entity.IDPSSODescriptors {
		for _, endpoint := range role.SingleSignOnServices {
			if endpoint.Binding == saml.HTTPRedirectBinding && p.URL == "" {
				p.URL = endpoint.Location
			}
		}
		for _, key := range role.KeyDescriptors {
			if key.Use != "" && key.Use != "signing" {
				continue
			}
			for _, text := range key.KeyInfo.X509Data.X509Certificates {
				der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text.Data), ""))
				if err == nil {
					_, err = x509.ParseCertificate(der)
				}
				if err != nil {
					return p, fmt.Errorf("%w: certificate: %w", ErrMetadata, err)
				}
				p.Certificates = append(p.Certificates, der)
			}
		}
	}
	switch {
	case p.EntityID == "":
		return p, fmt.Errorf("%w: no entity id", ErrMetadata)
	case p.URL == "":
		return p, fmt.Errorf("%w: no single sign-on by HTTP redirect", ErrMetadata)
	case len(p.Certificates) == 0:
		return p, fmt.Errorf("%w: no certificate to verify assertions with", ErrMetadata)
	}
	return p, nil
}

// parse reads a document that means the same to every parser that looks at it afterwards: no document type, nothing that
// changes when it is written and read again.
func parse(text []byte, most int) (*etree.Element, error) {
	if len(text) > most {
		return nil, fmt.Errorf("%d bytes, %d at most", len(text), most)
	}
	if err := validator.Validate(bytes.NewReader(text)); err != nil {
		return nil, fmt.Errorf("not well-formed XML: %w", err)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(text); err != nil {
		return nil, fmt.Errorf("not well-formed XML: %w", err)
	}
	roots := 0
	for _, token := range doc.Child {
		switch token.(type) {
		case *etree.Directive:
			return nil, errors.New("it declares a document type")
		case *etree.Element:
			roots++
		}
	}
	if roots != 1 {
		return nil, fmt.Errorf("%d root elements", roots)
	}
	return doc.Root(), nil
}

// ServiceProvider is this platform, as one identity provider knows it.
type ServiceProvider struct {
	// EntityID names the service provider, and is the audience of its assertions.
	EntityID string
	// ACS is the URL to which browsers post responses.
	ACS string
}

// Metadata describes the service provider to an administrator of identity providers.
func (s ServiceProvider) Metadata() ([]byte, error) {
	yes, no := true, false
	text, err := xml.MarshalIndent(descriptor{EntityID: s.EntityID, SPSSODescriptor: saml.SPSSODescriptor{
		SSODescriptor: saml.SSODescriptor{
			RoleDescriptor: saml.RoleDescriptor{ProtocolSupportEnumeration: protocol},
			NameIDFormats:  []saml.NameIDFormat{saml.PersistentNameIDFormat, saml.EmailAddressNameIDFormat},
		},
		AuthnRequestsSigned: &no, WantAssertionsSigned: &yes,
		AssertionConsumerServices: []saml.IndexedEndpoint{{Binding: saml.HTTPPostBinding, Location: s.ACS, Index: 0, IsDefault: &yes}},
	}}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the service provider's metadata: %w", err)
	}
	return append([]byte(xml.Header), text...), nil
}

// descriptor is an EntityDescriptor without an end of validity, which the library always writes.
type descriptor struct {
	XMLName         xml.Name             `xml:"urn:oasis:names:tc:SAML:2.0:metadata EntityDescriptor"`
	EntityID        string               `xml:"entityID,attr"`
	SPSSODescriptor saml.SPSSODescriptor `xml:"SPSSODescriptor"`
}

// RequestURL is where a browser goes with a request to sign in, which has the given id (SAML bindings, section 3.4). Relay
// comes back with the response; it needs no escaping.
func (s ServiceProvider) RequestURL(p Provider, id, relay string, now time.Time) (string, error) {
	create := true
	request := saml.AuthnRequest{
		ID: id, Version: "2.0", IssueInstant: now.UTC(), Destination: p.URL,
		Issuer:                      &saml.Issuer{Value: s.EntityID},
		AssertionConsumerServiceURL: s.ACS, ProtocolBinding: saml.HTTPPostBinding,
		NameIDPolicy: &saml.NameIDPolicy{AllowCreate: &create},
	}
	to, err := request.Redirect(relay, &saml.ServiceProvider{})
	if err != nil {
		return "", fmt.Errorf("write a SAML request: %w", err)
	}
	return to.String(), nil
}
