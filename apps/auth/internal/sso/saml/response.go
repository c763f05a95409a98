package saml

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
	"github.com/russellhaering/goxmldsig/types"
)

const (
	protocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	assertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	success   = "urn:oasis:names:tc:SAML:2.0:status:Success"
	bearer    = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
	entity    = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"

	// Transient is the format of names that are others at each sign-in.
	Transient = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
	// EmailAddress is the format of names that are e-mail addresses.
	EmailAddress = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
)

const (
	// MaxResponse bounds a response, in bytes of base64.
	MaxResponse = 384 << 10
	// skew is by how much the clocks of provider and platform may differ.
	skew = 2 * time.Minute
	// freshness is how old an assertion may be when it comes, whatever it says itself: it was made for this sign-in.
	freshness = 10 * time.Minute
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrRefused says that a response proves nothing.
	ErrRefused = errors.New("the SAML response is refused")
	// ErrDenied says that the provider did not let the person in.
	ErrDenied = errors.New("the SAML provider did not sign the person in")
)

// Identity is who signed in.
type Identity struct {
	// AssertionID is unique at the provider; Forget is when an assertion of this id is refused for its age anyway.
	AssertionID string
	Forget      time.Time
	// Name is the name identifier, Format its format.
	Name, Format string
	// Attributes have lists of texts by the attributes' names and friendly names.
	Attributes map[string]any
}

// Expected is what a response must answer.
type Expected struct {
	// InResponseTo is the id of the request; "" for a response that nobody asked for.
	InResponseTo string
	Now          time.Time
}

// Verify reads a response, in base64, as it was posted: ErrRefused, ErrDenied (SAML profiles, section 4.1.4.3).
func (s ServiceProvider) Verify(p Provider, response string, want Expected) (Identity, error) {
	if len(response) > MaxResponse {
		return Identity{}, fmt.Errorf("%w: %d bytes", ErrRefused, len(response))
	}
	text, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(response), ""))
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	root, err := parse(text, MaxResponse)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err := s.envelope(p, root, want); err != nil {
		return Identity{}, err
	}
	signed, err := s.signedAssertion(p, root, want.Now)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	identity, err := s.identity(p, signed, want)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return identity, nil
}

// envelope checks what is around the assertion. It need not be signed, so nothing that lets somebody in depends on it.
func (s ServiceProvider) envelope(p Provider, root *etree.Element, want Expected) error {
	if root.Tag != "Response" || root.NamespaceURI() != protocol {
		return fmt.Errorf("%w: it is a %s", ErrRefused, root.Tag)
	}
	var r struct {
		Version      string `xml:"Version,attr"`
		Destination  string `xml:"Destination,attr"`
		InResponseTo string `xml:"InResponseTo,attr"`
		Issuer       string `xml:"urn:oasis:names:tc:SAML:2.0:assertion Issuer"`
		Status       struct {
			Code struct {
				Value  string `xml:"Value,attr"`
				Detail struct {
					Value string `xml:"Value,attr"`
				} `xml:"StatusCode"`
			} `xml:"StatusCode"`
		} `xml:"urn:oasis:names:tc:SAML:2.0:protocol Status"`
	}
	if err := decode(root, &r); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	switch {
	case r.Version != "2.0":
		return fmt.Errorf("%w: version %q", ErrRefused, r.Version)
	case r.Destination != "" && r.Destination != s.ACS:
		return fmt.Errorf("%w: it is for %q", ErrRefused, r.Destination)
	case r.InResponseTo != want.InResponseTo:
		return fmt.Errorf("%w: it answers %q", ErrRefused, r.InResponseTo)
	case r.Issuer != "" && strings.TrimSpace(r.Issuer) != p.EntityID:
		return fmt.Errorf("%w: it is from %q", ErrRefused, r.Issuer)
	case r.Status.Code.Value != success:
		return fmt.Errorf("%w: %s %s", ErrDenied, r.Status.Code.Value, r.Status.Code.Detail.Value)
	}
	return nil
}

// signedAssertion is the one assertion in a response, as far as the provider signed it.
func (s ServiceProvider) signedAssertion(p Provider, root *etree.Element, now time.Time) (*etree.Element, error) {
	if len(children(root, assertion, "EncryptedAssertion")) > 0 {
		return nil, errors.New("the assertion is encrypted, which the metadata does not ask for")
	}
	found := children(root, assertion, "Assertion")
	if len(found) != 1 {
		return nil, fmt.Errorf("%d assertions", len(found))
	}
	switch signatures := children(root, dsig.Namespace, dsig.SignatureTag); {
	case len(signatures) > 1:
		return nil, fmt.Errorf("%d signatures of the response", len(signatures))
	case len(signatures) == 1: // it is not needed, but a wrong one is a bad sign
		if _, err := p.verify(root, now); err != nil {
			return nil, fmt.Errorf("signature of the response: %w", err)
		}
	}
	signed, err := p.verify(found[0], now)
	if err != nil {
		return nil, fmt.Errorf("signature of the assertion: %w", err)
	}
	return signed, nil
}

// Algorithms that signatures may be made with. SHA-1 is none of them.
var (
	signatureMethods = []string{
		dsig.RSASHA256SignatureMethod, dsig.RSASHA384SignatureMethod, dsig.RSASHA512SignatureMethod,
		dsig.ECDSASHA256SignatureMethod, dsig.ECDSASHA384SignatureMethod, dsig.ECDSASHA512SignatureMethod,
	}
	digestMethods = []string{
		"http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2001/04/xmlenc#sha512",
	}
)

// verify is el as far as its own signature covers it, without the signature.
func (p Provider) verify(el *etree.Element, now time.Time) (*etree.Element, error) {
	scope, err := etreeutils.NSBuildParentContext(el)
	if err == nil {
		scope, err = scope.SubContext(el)
	}
	if err != nil {
		return nil, fmt.Errorf("read the namespaces: %w", err)
	}
	el, err = etreeutils.NSDetatch(scope, el) // a copy of its own
	if err != nil {
		return nil, fmt.Errorf("read the namespaces: %w", err)
	}
	own := children(el, dsig.Namespace, dsig.SignatureTag)
	if len(own) != 1 {
		return nil, fmt.Errorf("%d signatures, want one", len(own))
	}
	if err := shape(el, own[0]); err != nil {
		return nil, err
	}
	// The provider's certificates were given beforehand. What a signature says of its key is no reason to believe it.
	for _, key := range children(own[0], dsig.Namespace, dsig.KeyInfoTag) {
		own[0].RemoveChild(key)
	}
	var refused []error
	for _, der := range p.Certificates {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("read a certificate: %w", err)
		}
		check := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{certificate}})
		check.Clock = dsig.NewFakeClockAt(now)
		signed, err := check.Validate(el)
		if err == nil {
			return signed, nil
		}
		refused = append(refused, err)
	}
	return nil, errors.Join(refused...)
}

// shape admits signatures of exactly one form: of the whole element, by its id, with algorithms that are trusted (SAML core,
// section 5.4).
func shape(el, signature *etree.Element) error {
	var s types.Signature
	if err := decode(signature, &s); err != nil {
		return err
	}
	id := el.SelectAttrValue(dsig.DefaultIdAttr, "")
	if s.SignedInfo == nil || len(s.SignedInfo.References) != 1 || id == "" || s.SignedInfo.References[0].URI != "#"+id {
		return errors.New("want a signature of this element alone")
	}
	info, of := s.SignedInfo, s.SignedInfo.References[0]
	transforms := make([]string, len(of.Transforms.Transforms))
	for i, t := range of.Transforms.Transforms {
		transforms[i] = t.Algorithm
	}
	exclusive := string(dsig.CanonicalXML10ExclusiveAlgorithmId)
	switch {
	case !slices.Contains(signatureMethods, info.SignatureMethod.Algorithm):
		return fmt.Errorf("signature method %q", info.SignatureMethod.Algorithm)
	case !slices.Contains(digestMethods, of.DigestAlgo.Algorithm):
		return fmt.Errorf("digest method %q", of.DigestAlgo.Algorithm)
	case info.CanonicalizationMethod.Algorithm != exclusive:
		return fmt.Errorf("canonicalization %q", info.CanonicalizationMethod.Algorithm)
	case !slices.Equal(transforms, []string{string(dsig.EnvelopedSignatureAltorithmId), exclusive}):
		return fmt.Errorf("transforms %q", transforms)
	}
	return nil
}

// signedAssertion is an assertion's form, as far as it is read.
type assertionForm struct {
	XMLName      xml.Name  `xml:"urn:oasis:names:tc:SAML:2.0:assertion Assertion"`
	ID           string    `xml:"ID,attr"`
	Version      string    `xml:"Version,attr"`
	IssueInstant time.Time `xml:"IssueInstant,attr"`
	Issuer       struct {
		Format string `xml:"Format,attr"`
		Value  string `xml:",chardata"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:assertion Issuer"`
	Subject struct {
		NameID struct {
			Format string `xml:"Format,attr"`
			Value  string `xml:",chardata"`
		} `xml:"urn:oasis:names:tc:SAML:2.0:assertion NameID"`
		Confirmations []confirmation `xml:"urn:oasis:names:tc:SAML:2.0:assertion SubjectConfirmation"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:assertion Subject"`
	Conditions []struct {
		NotBefore    *time.Time `xml:"NotBefore,attr"`
		NotOnOrAfter *time.Time `xml:"NotOnOrAfter,attr"`
		Restrictions []struct {
			Audiences []string `xml:"urn:oasis:names:tc:SAML:2.0:assertion Audience"`
		} `xml:"urn:oasis:names:tc:SAML:2.0:assertion AudienceRestriction"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:assertion Conditions"`
	Statements []struct {
		SessionNotOnOrAfter *time.Time `xml:"SessionNotOnOrAfter,attr"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:assertion AuthnStatement"`
	Attributes []struct {
		Attributes []struct {
			Name         string   `xml:"Name,attr"`
			FriendlyName string   `xml:"FriendlyName,attr"`
			Values       []string `xml:"urn:oasis:names:tc:SAML:2.0:assertion AttributeValue"`
		} `xml:"urn:oasis:names:tc:SAML:2.0:assertion Attribute"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:assertion AttributeStatement"`
}

type confirmation struct {
	Method string `xml:"Method,attr"`
	Data   struct {
		Recipient    string     `xml:"Recipient,attr"`
		InResponseTo string     `xml:"InResponseTo,attr"`
		NotBefore    *time.Time `xml:"NotBefore,attr"`
		NotOnOrAfter *time.Time `xml:"NotOnOrAfter,attr"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:assertion SubjectConfirmationData"`
}

// identity is whom an assertion, which is known to be the provider's, lets in now.
func (s ServiceProvider) identity(p Provider, signed *etree.Element, want Expected) (Identity, error) {
	var a assertionForm
	if err := decode(signed, &a); err != nil {
		return Identity{}, err
	}
	switch {
	case a.Version != "2.0" || a.ID == "":
		return Identity{}, fmt.Errorf("version %q, id %q", a.Version, a.ID)
	case strings.TrimSpace(a.Issuer.Value) != p.EntityID || a.Issuer.Format != "" && a.Issuer.Format != entity:
		return Identity{}, fmt.Errorf("the assertion is from %q", a.Issuer.Value)
	case a.IssueInstant.After(want.Now.Add(skew)) || !want.Now.Before(a.IssueInstant.Add(freshness+skew)):
		return Identity{}, fmt.Errorf("the assertion is of %s", a.IssueInstant.Format(time.RFC3339))
	case strings.TrimSpace(a.Subject.NameID.Value) == "":
		return Identity{}, errors.New("the assertion is about nobody")
	case !slices.ContainsFunc(a.Subject.Confirmations, func(c confirmation) bool { return s.confirms(c, want) }):
		return Identity{}, errors.New("no confirmation that the bearer, here and now, is the subject")
	case len(a.Statements) == 0:
		return Identity{}, errors.New("the assertion does not say that the subject signed in")
	}
	if err := s.conditions(a, want.Now); err != nil {
		return Identity{}, err
	}
	attributes := map[string]any{}
	for _, statement := range a.Attributes {
		for _, attribute := range statement.Attributes {
			values := make([]any, len(attribute.Values))
			for i, v := range attribute.Values {
				values[i] = strings.TrimSpace(v)
			}
			attributes[attribute.Name] = values
			if _, taken := attributes[attribute.FriendlyName]; !taken && attribute.FriendlyName != "" {
				attributes[attribute.FriendlyName] = values
			}
		}
	}
	return Identity{
		AssertionID: a.ID, Forget: a.IssueInstant.Add(freshness + skew),
		Name: strings.TrimSpace(a.Subject.NameID.Value), Format: a.Subject.NameID.Format, Attributes: attributes,
	}, nil
}

// confirms tells whether whoever brings the assertion here and now, in answer to this request, is its subject.
func (s ServiceProvider) confirms(c confirmation, want Expected) bool {
	return c.Method == bearer && c.Data.Recipient == s.ACS && c.Data.InResponseTo == want.InResponseTo &&
		c.Data.NotOnOrAfter != nil && within(c.Data.NotBefore, c.Data.NotOnOrAfter, want.Now)
}

// conditions are the times and the audience, without which an assertion is good for anybody and for ever.
func (s ServiceProvider) conditions(a assertionForm, now time.Time) error {
	if len(a.Conditions) != 1 {
		return fmt.Errorf("%d sets of conditions", len(a.Conditions))
	}
	c := a.Conditions[0]
	if !within(c.NotBefore, c.NotOnOrAfter, now) {
		return errors.New("the assertion is not valid now")
	}
	for _, statement := range a.Statements {
		if !within(nil, statement.SessionNotOnOrAfter, now) {
			return errors.New("the provider's session is over")
		}
	}
	if len(c.Restrictions) == 0 {
		return errors.New("the assertion is for no audience")
	}
	for _, r := range c.Restrictions { // each of them must hold (SAML core, section 2.5.1.4)
		if !slices.ContainsFunc(r.Audiences, func(audience string) bool { return strings.TrimSpace(audience) == s.EntityID }) {
			return fmt.Errorf("the assertion is for %q", r.Audiences)
		}
	}
	return nil
}

// within tells whether now is in a span, give or take the skew; an end that is not given is open.
func within(notBefore, notOnOrAfter *time.Time, now time.Time) bool {
	return (notBefore == nil || !now.Add(skew).Before(*notBefore)) && (notOnOrAfter == nil || now.Add(-skew).Before(*notOnOrAfter))
}

func children(el *etree.Element, namespace, tag string) []*etree.Element {
	var found []*etree.Element
	for _, child := range el.ChildElements() {
		if child.Tag == tag && child.NamespaceURI() == namespace {
			found = append(found, child)
		}
	}
	return found
}

// decode reads an element with the namespaces that it inherits.
func decode(el *etree.Element, into any) error {
	scope, err := etreeutils.NSBuildParentContext(el)
	if err != nil {
		return fmt.Errorf("read the namespaces: %w", err)
	}
	if err := etreeutils.NSUnmarshalElement(scope, el, into); err != nil {
		return fmt.Errorf("read <%s>: %w", el.Tag, err)
	}
	return nil
}
