package saml

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"
)

var (
	now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	sp  = ServiceProvider{EntityID: "https://api.example.com/metadata", ACS: "https://api.example.com/acs"}
	// expected is what the responses below answer.
	expected = Expected{InResponseTo: "_request", Now: now}
)

const idpID = "https://idp.acme.example/metadata"

// authority is an identity provider's key with its certificate.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate []byte
	method      string
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certified(t, key)
}

// fixedAuthority has the same key in every process, for fuzzing.
func fixedAuthority(t testing.TB) authority {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return certified(t, key)
}

func certified(t testing.TB, key *ecdsa.PrivateKey) authority {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return authority{key, der, dsig.ECDSASHA256SignatureMethod}
}

func (a authority) provider() Provider {
	return Provider{EntityID: idpID, URL: "https://idp.acme.example/sso", Certificates: [][]byte{a.certificate}}
}

// sign is the signature of el.
func (a authority) sign(t testing.TB, el *etree.Element, hash crypto.Hash) *etree.Element {
	t.Helper()
	s, err := dsig.NewSigningContext(a.key, [][]byte{a.certificate})
	if err != nil {
		t.Fatal(err)
	}
	s.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	if err := s.SetSignatureMethod(a.method); err != nil {
		t.Fatal(err)
	}
	s.Hash = hash
	signed, err := s.SignEnveloped(el)
	if err != nil {
		t.Fatal(err)
	}
	return signed.Child[len(signed.Child)-1].(*etree.Element)
}

// about is an assertion that lets name in.
func about(name string) *saml.Assertion {
	return &saml.Assertion{
		ID: "_assertion", IssueInstant: now, Version: "2.0", Issuer: saml.Issuer{Value: idpID},
		Subject: &saml.Subject{
			NameID: &saml.NameID{Format: EmailAddress, Value: name},
			SubjectConfirmations: []saml.SubjectConfirmation{{
				Method:                  bearer,
				SubjectConfirmationData: &saml.SubjectConfirmationData{InResponseTo: "_request", NotOnOrAfter: now.Add(5 * time.Minute), Recipient: sp.ACS},
			}},
		},
		Conditions: &saml.Conditions{
			NotBefore: now.Add(-time.Minute), NotOnOrAfter: now.Add(5 * time.Minute),
			AudienceRestrictions: []saml.AudienceRestriction{{Audience: saml.Audience{Value: sp.EntityID}}},
		},
		AuthnStatements: []saml.AuthnStatement{{AuthnInstant: now}},
		AttributeStatements: []saml.AttributeStatement{{Attributes: []saml.Attribute{
			{Name: "urn:oid:0.9.2342.19200300.100.1.3", FriendlyName: "mail", Values: []saml.AttributeValue{{Type: "xs:string", Value: name}}},
			{Name: "groups", Values: []saml.AttributeValue{{Type: "xs:string", Value: "sales"}, {Type: "xs:string", Value: " leads "}}},
		}}},
	}
}

func answering() *saml.Response {
	return &saml.Response{
		ID: "_response", InResponseTo: "_request", Version: "2.0", IssueInstant: now, Destination: sp.ACS, Issuer: &saml.Issuer{Value: idpID},
		Status: saml.Status{StatusCode: saml.StatusCode{Value: success}},
	}
}

// response is r with a, signed by by.
func (a authority) response(t testing.TB, r *saml.Response, about *saml.Assertion) *etree.Element {
	t.Helper()
	about.Signature = a.sign(t, about.Element(), crypto.SHA256)
	el := r.Element()
	el.AddChild(about.Element())
	return el
}

func text(t testing.TB, el *etree.Element) []byte {
	t.Helper()
	doc := etree.NewDocument()
	doc.SetRoot(el)
	out, err := doc.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func encoded(t testing.TB, el *etree.Element) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(text(t, el))
}

func TestSignedAssertion(t *testing.T) {
	idp := newAuthority(t)
	both := idp.response(t, answering(), about("ada@acme.example"))
	signature := idp.sign(t, both, crypto.SHA256)
	both.InsertChildAt(1, signature)
	for name, c := range map[string]struct {
		el *etree.Element
		p  Provider
	}{
		"signed":                    {idp.response(t, answering(), about("ada@acme.example")), idp.provider()},
		"the response signed too":   {both, idp.provider()},
		"a certificate of two":      {idp.response(t, answering(), about("ada@acme.example")), Provider{EntityID: idpID, Certificates: [][]byte{newAuthority(t).certificate, idp.certificate}}},
		"a response that says less": {idp.response(t, &saml.Response{InResponseTo: "_request", Version: "2.0", Status: saml.Status{StatusCode: saml.StatusCode{Value: success}}}, about("ada@acme.example")), idp.provider()},
	} {
		who, err := sp.Verify(c.p, encoded(t, c.el), expected)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		groups, _ := who.Attributes["groups"].([]any)
		mail, _ := who.Attributes["mail"].([]any)
		if who.AssertionID != "_assertion" || who.Name != "ada@acme.example" || who.Format != EmailAddress || !who.Forget.After(now.Add(freshness)) ||
			!slices.Equal(groups, []any{"sales", "leads"}) || !slices.Equal(mail, []any{"ada@acme.example"}) {
			t.Errorf("%s: %+v", name, who)
		}
	}
}

func TestLinesInBase64(t *testing.T) {
	idp := newAuthority(t)
	posted := encoded(t, idp.response(t, answering(), about("ada@acme.example")))
	if _, err := sp.Verify(idp.provider(), posted[:76]+"\r\n"+posted[76:]+"\r\n", expected); err != nil {
		t.Error(err)
	}
}

// What an assertion must say, one thing wrong at a time. All of them are signed as they should be.
func TestRefusedAssertions(t *testing.T) {
	idp := newAuthority(t)
	confirmation := func(a *saml.Assertion) *saml.SubjectConfirmationData {
		return a.Subject.SubjectConfirmations[0].SubjectConfirmationData
	}
	later := now.Add(-skew)
	for name, change := range map[string]func(*saml.Assertion){
		"another issuer":   func(a *saml.Assertion) { a.Issuer.Value = "https://idp.other.example" },
		"another audience": func(a *saml.Assertion) { a.Conditions.AudienceRestrictions[0].Audience.Value = "https://other.example" },
		"no audience":      func(a *saml.Assertion) { a.Conditions.AudienceRestrictions = nil },
		"a second, other audience": func(a *saml.Assertion) {
			a.Conditions.AudienceRestrictions = append(a.Conditions.AudienceRestrictions, saml.AudienceRestriction{Audience: saml.Audience{Value: "https://other.example"}})
		},
		"no conditions":           func(a *saml.Assertion) { a.Conditions = nil },
		"expired":                 func(a *saml.Assertion) { a.Conditions.NotOnOrAfter = later },
		"not valid yet":           func(a *saml.Assertion) { a.Conditions.NotBefore = now.Add(skew + time.Second) },
		"issued long ago":         func(a *saml.Assertion) { a.IssueInstant = now.Add(-freshness - skew) },
		"issued in the future":    func(a *saml.Assertion) { a.IssueInstant = now.Add(skew + time.Second) },
		"for another place":       func(a *saml.Assertion) { confirmation(a).Recipient = "https://other.example/acs" },
		"for no place":            func(a *saml.Assertion) { confirmation(a).Recipient = "" },
		"answers another request": func(a *saml.Assertion) { confirmation(a).InResponseTo = "_other" },
		"answers none":            func(a *saml.Assertion) { confirmation(a).InResponseTo = "" },
		"confirmed until before":  func(a *saml.Assertion) { confirmation(a).NotOnOrAfter = later },
		"confirmed from later on": func(a *saml.Assertion) { confirmation(a).NotBefore = now.Add(skew + time.Second) },
		"not confirmed":           func(a *saml.Assertion) { a.Subject.SubjectConfirmations = nil },
		"confirmed for who holds a key": func(a *saml.Assertion) {
			a.Subject.SubjectConfirmations[0].Method = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"
		},
		"about nobody":                    func(a *saml.Assertion) { a.Subject.NameID.Value = " " },
		"no subject":                      func(a *saml.Assertion) { a.Subject = nil },
		"no sign-in":                      func(a *saml.Assertion) { a.AuthnStatements = nil },
		"the provider's session is over":  func(a *saml.Assertion) { a.AuthnStatements[0].SessionNotOnOrAfter = &later },
		"no id":                           func(a *saml.Assertion) { a.ID = "" },
		"issued by somebody of no entity": func(a *saml.Assertion) { a.Issuer.Format = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress" },
	} {
		a := about("ada@acme.example")
		change(a)
		if who, err := sp.Verify(idp.provider(), encoded(t, idp.response(t, answering(), a)), expected); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %+v, %v; want %v", name, who, err, ErrRefused)
		}
	}
}

func TestClocksMayDiffer(t *testing.T) {
	idp := newAuthority(t)
	posted := encoded(t, idp.response(t, answering(), about("ada@acme.example")))
	for at, want := range map[time.Duration]bool{
		-skew: true, -skew - time.Second: false, 5*time.Minute + skew - time.Second: true, 5*time.Minute + skew: false,
	} {
		if _, err := sp.Verify(idp.provider(), posted, Expected{InResponseTo: "_request", Now: now.Add(at)}); (err == nil) != want {
			t.Errorf("at %v: %v", at, err)
		}
	}
}

func TestRefusedResponses(t *testing.T) {
	idp := newAuthority(t)
	for name, change := range map[string]func(*saml.Response){
		"for another place":       func(r *saml.Response) { r.Destination = "https://other.example/acs" },
		"answers another request": func(r *saml.Response) { r.InResponseTo = "_other" },
		"answers none":            func(r *saml.Response) { r.InResponseTo = "" },
		"from another provider":   func(r *saml.Response) { r.Issuer.Value = "https://idp.other.example" },
		"another version":         func(r *saml.Response) { r.Version = "1.1" },
	} {
		r := answering()
		change(r)
		if who, err := sp.Verify(idp.provider(), encoded(t, idp.response(t, r, about("ada@acme.example"))), expected); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %+v, %v; want %v", name, who, err, ErrRefused)
		}
	}
	r := answering()
	r.Status.StatusCode.Value = "urn:oasis:names:tc:SAML:2.0:status:Responder"
	if _, err := sp.Verify(idp.provider(), encoded(t, idp.response(t, r, about("ada@acme.example"))), expected); !errors.Is(err, ErrDenied) {
		t.Errorf("a provider that says no: %v; want %v", err, ErrDenied)
	}
}

func TestUnsolicitedResponses(t *testing.T) {
	idp := newAuthority(t)
	r, a := answering(), about("ada@acme.example")
	r.InResponseTo, a.Subject.SubjectConfirmations[0].SubjectConfirmationData.InResponseTo = "", ""
	unsolicited := Expected{Now: now}
	if _, err := sp.Verify(idp.provider(), encoded(t, idp.response(t, r, a)), unsolicited); err != nil {
		t.Error(err)
	}
	if _, err := sp.Verify(idp.provider(), encoded(t, idp.response(t, answering(), about("ada@acme.example"))), unsolicited); !errors.Is(err, ErrRefused) {
		t.Errorf("an answer to a request, brought without one: %v; want %v", err, ErrRefused)
	}
}

func assertionOf(r *etree.Element) *etree.Element { return children(r, assertion, "Assertion")[0] }

func signatureOf(a *etree.Element) *etree.Element { return children(a, dsig.Namespace, "Signature")[0] }

func TestWrongSignatures(t *testing.T) {
	idp, eve := newAuthority(t), newAuthority(t)
	for name, make := range map[string]func() *etree.Element{
		"none": func() *etree.Element {
			r := answering().Element()
			r.AddChild(about("ada@acme.example").Element())
			return r
		},
		"of the response only": func() *etree.Element {
			r := answering().Element()
			r.AddChild(about("ada@acme.example").Element())
			r.InsertChildAt(1, idp.sign(t, r, crypto.SHA256))
			return r
		},
		"somebody else's": func() *etree.Element { return eve.response(t, answering(), about("ada@acme.example")) },
		"somebody else's, of the response": func() *etree.Element {
			r := idp.response(t, answering(), about("ada@acme.example"))
			r.InsertChildAt(1, eve.sign(t, r, crypto.SHA256))
			return r
		},
		"of another name": func() *etree.Element {
			r := idp.response(t, answering(), about("ada@acme.example"))
			assertionOf(r).FindElement(".//NameID").SetText("eve@acme.example")
			return r
		},
		"of another group": func() *etree.Element {
			r := idp.response(t, answering(), about("ada@acme.example"))
			assertionOf(r).FindElements(".//AttributeValue")[1].SetText("admins")
			return r
		},
		"with SHA-1": func() *etree.Element {
			a := about("ada@acme.example")
			a.Signature = idp.sign(t, a.Element(), crypto.SHA1)
			r := answering().Element()
			r.AddChild(a.Element())
			return r
		},
		"two": func() *etree.Element {
			r := idp.response(t, answering(), about("ada@acme.example"))
			assertionOf(r).AddChild(signatureOf(assertionOf(r)).Copy())
			return r
		},
		"empty": func() *etree.Element {
			r := idp.response(t, answering(), about("ada@acme.example"))
			signatureOf(assertionOf(r)).FindElement("./SignatureValue").SetText("")
			return r
		},
		"with a transform more": func() *etree.Element {
			r := idp.response(t, answering(), about("ada@acme.example"))
			transforms := signatureOf(assertionOf(r)).FindElement(".//Transforms")
			transforms.AddChild(transforms.ChildElements()[1].Copy())
			return r
		},
	} {
		if who, err := sp.Verify(idp.provider(), encoded(t, make()), expected); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %+v, %v; want %v", name, who, err, ErrRefused)
		}
	}
	late := Expected{InResponseTo: "_request", Now: now.Add(25 * time.Hour)}
	a := about("ada@acme.example")
	a.IssueInstant, a.Conditions.NotOnOrAfter = late.Now, late.Now.Add(time.Minute)
	a.Subject.SubjectConfirmations[0].SubjectConfirmationData.NotOnOrAfter = late.Now.Add(time.Minute)
	if _, err := sp.Verify(idp.provider(), encoded(t, idp.response(t, answering(), a)), late); !errors.Is(err, ErrRefused) {
		t.Errorf("with a certificate that has expired: %v; want %v", err, ErrRefused)
	}
}

func TestShapeOfSignatures(t *testing.T) {
	idp := newAuthority(t)
	set := func(path, value string) func(a, s *etree.Element) {
		return func(_, s *etree.Element) { s.FindElement(path).CreateAttr("Algorithm", value) }
	}
	const transforms = "./SignedInfo/Reference/Transforms"
	for name, change := range map[string]func(a, s *etree.Element){
		"SHA-1 signature":        set("./SignedInfo/SignatureMethod", dsig.RSASHA1SignatureMethod),
		"HMAC":                   set("./SignedInfo/SignatureMethod", "http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
		"SHA-1 digest":           set("./SignedInfo/Reference/DigestMethod", "http://www.w3.org/2000/09/xmldsig#sha1"),
		"canonical with comment": set("./SignedInfo/CanonicalizationMethod", string(dsig.CanonicalXML10ExclusiveWithCommentsAlgorithmId)),
		"an XPath transform":     set(transforms+"/Transform[2]", "http://www.w3.org/TR/1999/REC-xpath-19991116"),
		"one transform":          func(_, s *etree.Element) { s.FindElement(transforms).RemoveChildAt(1) },
		"of everything":          func(_, s *etree.Element) { s.FindElement("./SignedInfo/Reference").CreateAttr("URI", "") },
		"of another element":     func(_, s *etree.Element) { s.FindElement("./SignedInfo/Reference").CreateAttr("URI", "#_other") },
		"of two elements": func(_, s *etree.Element) {
			s.FindElement("./SignedInfo").AddChild(s.FindElement("./SignedInfo/Reference").Copy())
		},
		"of nothing": func(_, s *etree.Element) {
			s.FindElement("./SignedInfo").RemoveChild(s.FindElement("./SignedInfo/Reference"))
		},
		"no info":            func(_, s *etree.Element) { s.RemoveChild(s.FindElement("./SignedInfo")) },
		"an element of none": func(a, _ *etree.Element) { a.RemoveAttr("ID") },
	} {
		a := assertionOf(idp.response(t, answering(), about("ada@acme.example")))
		if err := shape(a, signatureOf(a)); err != nil {
			t.Fatal(err)
		}
		change(a, signatureOf(a))
		if shape(a, signatureOf(a)) == nil {
			t.Errorf("%s is admitted", name)
		}
	}
}

// wrappings move what was signed aside and put what was not in its place, as in "On Breaking SAML: Be Whoever You Want to Be"
// (Somorovsky et al., 2012) and its successors.
func wrappings(t testing.TB, idp authority) map[string]*etree.Element {
	t.Helper()
	all := map[string]*etree.Element{}
	wrap := func(name string, change func(r, good, evil *etree.Element)) {
		r := idp.response(t, answering(), about("ada@acme.example"))
		good := assertionOf(r)
		forged := about("eve@acme.example")
		forged.ID = "_evil"
		change(r, good, forged.Element())
		all[name] = r
	}
	wrap("forged one before", func(r, good, evil *etree.Element) { r.InsertChildAt(good.Index(), evil) })
	wrap("forged one after", func(r, _, evil *etree.Element) { r.AddChild(evil) })
	wrap("signed one inside the forged one", func(r, good, evil *etree.Element) {
		r.RemoveChild(good)
		evil.AddChild(good)
		r.AddChild(evil)
	})
	wrap("forged one with the signature, signed one beside", func(r, good, evil *etree.Element) {
		s := signatureOf(good)
		good.RemoveChild(s)
		evil.InsertChildAt(1, s)
		r.InsertChildAt(good.Index(), evil)
	})
	wrap("forged one with the signature, signed one in it", func(r, good, evil *etree.Element) {
		s := signatureOf(good)
		r.RemoveChild(good)
		good.RemoveChild(s)
		s.AddChild(good)
		evil.InsertChildAt(1, s)
		r.AddChild(evil)
	})
	wrap("signed one in an object of the forged one's signature", func(r, good, evil *etree.Element) {
		s := signatureOf(good)
		r.RemoveChild(good)
		good.RemoveChild(s)
		s.CreateElement("ds:Object").AddChild(good)
		evil.InsertChildAt(1, s)
		r.AddChild(evil)
	})
	wrap("signed one in the extensions", func(r, good, evil *etree.Element) {
		r.RemoveChild(good)
		r.CreateElement("samlp:Extensions").AddChild(good)
		r.AddChild(evil)
	})
	wrap("both with one id", func(r, good, evil *etree.Element) {
		evil.CreateAttr("ID", "_assertion")
		evil.InsertChildAt(1, signatureOf(good).Copy())
		r.RemoveChild(good)
		r.CreateElement("samlp:Extensions").AddChild(good)
		r.AddChild(evil)
	})
	wrap("forged one refers to the signed one", func(r, good, evil *etree.Element) {
		evil.InsertChildAt(1, signatureOf(good).Copy())
		r.RemoveChild(good)
		evil.CreateElement("saml:Advice").AddChild(good)
		r.AddChild(evil)
	})
	wrap("forged one in another namespace's clothes", func(r, good, evil *etree.Element) {
		good.CreateAttr("xmlns:saml", "urn:evil")
		r.AddChild(evil)
	})
	wrap("subject in the signature", func(r, good, evil *etree.Element) {
		signatureOf(good).AddChild(evil.FindElement("./Subject").Copy())
	})
	return all
}

func TestSignatureWrapping(t *testing.T) {
	idp := newAuthority(t)
	for name, r := range wrappings(t, idp) {
		who, err := sp.Verify(idp.provider(), encoded(t, r), expected)
		// What is not signed may be there as long as nobody listens to it.
		if (err != nil && !errors.Is(err, ErrRefused)) || (err == nil && (who.Name != "ada@acme.example" || name != "subject in the signature")) {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
}

// A comment, which canonicalization drops, must not cut a name short.
func TestCommentsCutNothing(t *testing.T) {
	idp := newAuthority(t)
	posted := string(text(t, idp.response(t, answering(), about("ada@acme.example.evil.example"))))
	posted = strings.ReplaceAll(posted, "ada@acme.example.evil", "ada@acme.example<!-- -->.evil")
	who, err := sp.Verify(idp.provider(), base64.StdEncoding.EncodeToString([]byte(posted)), expected)
	if err != nil || who.Name != "ada@acme.example.evil.example" {
		t.Errorf("%+v, %v; want the whole name", who, err)
	}
	if mail, _ := who.Attributes["mail"].([]any); len(mail) != 1 || mail[0] != "ada@acme.example.evil.example" {
		t.Errorf("attribute %q; want the whole address", mail)
	}
}

func TestDocumentsThatAreNone(t *testing.T) {
	idp := newAuthority(t)
	good := string(text(t, idp.response(t, answering(), about("ada@acme.example"))))
	encrypted := answering().Element()
	encrypted.CreateElement("saml:EncryptedAssertion").CreateAttr("xmlns:saml", assertion)
	for name, document := range map[string]string{
		"empty":             "",
		"no XML":            "SAML",
		"no response":       "<a/>",
		"an assertion":      string(text(t, about("ada@acme.example").Element())),
		"a document type":   `<!DOCTYPE r [<!ENTITY e "x">]>` + good,
		"an entity":         strings.Replace(good, "ada@acme.example", "&e;", 1),
		"two roots":         good + good,
		"cut":               good[:len(good)/2],
		"two colons":        strings.Replace(good, "<samlp:Response", "<samlp:x:Response", 1),
		"no assertion":      string(text(t, answering().Element())),
		"encrypted":         string(text(t, encrypted)),
		"deep":              strings.Repeat("<a>", 60000),
		"more than is read": good + strings.Repeat(" ", MaxResponse),
		"many elements":     strings.Replace(good, "</samlp:Response>", strings.Repeat("<a/>", 2000)+"</samlp:Response>", 1),
		"a reserved prefix": strings.Replace(good, "<samlp:Response", `<samlp:Response xmlns:xml="urn:evil"`, 1),
	} {
		if who, err := sp.Verify(idp.provider(), base64.StdEncoding.EncodeToString([]byte(document)), expected); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %+v, %v; want %v", name, who, err, ErrRefused)
		}
	}
	if _, err := sp.Verify(idp.provider(), "%%%", expected); !errors.Is(err, ErrRefused) {
		t.Errorf("no base64: %v; want %v", err, ErrRefused)
	}
}

// Whatever comes in, nobody is let in but whom the provider signed.
func FuzzVerify(f *testing.F) {
	idp := fixedAuthority(f)
	f.Add(text(f, idp.response(f, answering(), about("ada@acme.example"))))
	for _, r := range wrappings(f, idp) {
		f.Add(text(f, r))
	}
	f.Add([]byte(`<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"/>`))
	f.Fuzz(func(t *testing.T, document []byte) {
		who, err := sp.Verify(idp.provider(), base64.StdEncoding.EncodeToString(document), expected)
		switch {
		case err != nil && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrDenied):
			t.Errorf("%v", err)
		case err == nil && (who.Name != "ada@acme.example" || who.AssertionID != "_assertion"):
			t.Errorf("%+v was let in", who)
		}
	})
}
