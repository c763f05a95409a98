package sso

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

// body is a connection to o as a client writes it.
func (o *openID) body(more string) string {
	return fmt.Sprintf(`{"name":"Acme","enabled":true,"provision":true,"roles":{"default":"member"},"oidc":{"issuer":%q,"client_id":"tandem"%s}}`, o.URL, more)
}

func TestConnections(t *testing.T) {
	w := newWorld(t)
	o := newOpenID(t)
	const path = "/api/auth/sso/connections"
	var c authapi.SSOConnection
	answer := w.do(t, "acme", http.MethodPost, path, o.body(`,"client_secret":"s3cr3t"`), &c)
	if answer.StatusCode != http.StatusCreated || answer.Header.Get("Location") != path+"/"+c.ID || answer.Header.Get("ETag") != `"1"` {
		t.Fatalf("%d %v", answer.StatusCode, answer.Header)
	}
	if c.Protocol != authapi.OIDC || !c.OIDC.HasSecret || c.OIDC.Issuer != o.URL || c.OIDC.RedirectURL != w.api.URL+"/api/auth/sso/oidc/"+c.ID+"/callback" ||
		strings.Join(c.OIDC.Scopes, " ") != "profile email" || c.SAML != nil || !c.Provision || c.Roles.Default != "member" {
		t.Errorf("%+v %+v", c, c.OIDC)
	}
	o.sendsBackTo(c.OIDC.RedirectURL)
	w.signsIn(t, c.ID) // with the secret

	var list authapi.SSOConnections
	w.do(t, "acme", http.MethodGet, path, "", &list)
	if len(list.Items) != 1 || list.Items[0].ID != c.ID {
		t.Errorf("%+v", list)
	}
	w.do(t, "other", http.MethodGet, path, "", &list)
	if len(list.Items) != 0 {
		t.Errorf("another organization sees %+v", list)
	}

	answer = w.do(t, "acme", http.MethodPut, path+"/"+c.ID, strings.Replace(o.body(""), "Acme", "Renamed", 1), &c, "If-Match", `"1"`)
	if answer.StatusCode != http.StatusOK || answer.Header.Get("ETag") != `"2"` || c.Name != "Renamed" || !c.OIDC.HasSecret {
		t.Errorf("%d %+v %+v", answer.StatusCode, c, c.OIDC)
	}
	w.signsIn(t, c.ID) // with the secret that was kept
	w.refuses(t, "acme", http.MethodPut, path+"/"+c.ID, o.body(""), http.StatusPreconditionFailed, problem.CodePrecondition, "If-Match", `"1"`)

	for _, c := range []struct{ method, path, body string }{
		{http.MethodGet, path + "/" + c.ID, ""}, {http.MethodPut, path + "/" + c.ID, o.body("")}, {http.MethodDelete, path + "/" + c.ID, ""},
		{http.MethodDelete, path + "/" + c.ID + "/identities/u", ""},
	} {
		w.refuses(t, "other", c.method, c.path, c.body, http.StatusNotFound, problem.CodeNotFound)
	}
	if answer := w.do(t, "acme", http.MethodDelete, path+"/"+c.ID, "", nil); answer.StatusCode != http.StatusNoContent {
		t.Errorf("%d", answer.StatusCode)
	}
	w.refuses(t, "acme", http.MethodGet, path+"/"+c.ID, "", http.StatusNotFound, problem.CodeNotFound)
	if n, err := w.d.links.Count(t.Context(), store.Query{}); err != nil || n != 0 {
		t.Errorf("%d identities are left, %v", n, err)
	}
	for _, action := range []string{"create-connection", "update-connection", "delete-connection", "link"} {
		found := false
		for _, e := range w.events(t, "audit.recorded") {
			found = found || strings.Contains(string(e), `"auth.sso.`+action+`"`)
		}
		if !found {
			t.Errorf("the audit log has no %s", action)
		}
	}
}

// A client secret leaves the process for its issuer only.
func TestSecretIsKept(t *testing.T) {
	w := newWorld(t)
	o, rogue := newOpenID(t), newOpenID(t)
	id := w.connect(t, o.settings())
	doc, err := w.d.connections.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(doc)
	if err != nil || strings.Contains(string(text), "s3cr3t") || len(doc.Value.OIDC.Secret) == 0 {
		t.Errorf("stored %s, %v", text, err)
	}
	for _, e := range w.Outbox(t) {
		if strings.Contains(string(e.Data), "s3cr3t") {
			t.Errorf("event %s", e.Data)
		}
	}
	if text := fmt.Sprintf("%+v", o.settings().OIDC.Secret); strings.Contains(text, "s3cr3t") {
		t.Errorf("printed %s", text)
	}
	whatever := func(int64) error { return nil }
	for name, change := range map[string]func(*OIDCSettings){
		"issuer": func(s *OIDCSettings) { s.Issuer = rogue.URL },
		"client": func(s *OIDCSettings) { s.ClientID = "other" },
	} {
		s := o.settings()
		s.OIDC.Secret = nil
		change(s.OIDC)
		if _, _, err := w.Replace(t.Context(), owner("acme"), id, s, whatever); problem.Code(err) != problem.CodeValidation {
			t.Errorf("another %s with the secret: %v", name, err)
		}
	}
	s, none := o.settings(), secrets.New("")
	s.OIDC.Secret = &none
	if view, _, err := w.Replace(t.Context(), owner("acme"), id, s, whatever); err != nil || view.OIDC.HasSecret {
		t.Errorf("without a secret: %+v, %v", view, err)
	}
}

// Another issuer knows nobody whom the one before knew, whatever it calls them.
func TestAnotherIssuerKnowsNobody(t *testing.T) {
	w, _, id := newOIDC(t)
	first := w.signsIn(t, id).User
	known, err := w.d.links.First(t.Context(), linksOf(id))
	if err != nil {
		t.Fatal(err)
	}
	successor := newOpenID(t)
	successor.sendsBackTo(w.redirectURL(id))
	successor.Present.Email = "eve@acme.example" // and is called ada there
	w.change(t, id, successor.settings())
	// A sign-in by the issuer before, which ends only now.
	if _, err := w.d.links.Insert(t.Context(), known.ID, known.Value); err != nil {
		t.Fatal(err)
	}
	if got := w.signsIn(t, id).User; got == first {
		t.Error("somebody else has the account")
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	o, i := newOpenID(t), newSAML(t)
	if err := w.roster.Join(t.Context(), "acme", "owner-of-other", []string{"manager"}); err != nil {
		t.Fatal(err)
	}
	manager := identity.Principal{Subject: "owner-of-other", Organization: "acme", Session: "session"}
	for _, c := range []struct {
		name, code, location string
		by                   identity.Principal
		base                 func() Settings
		change               func(*Settings)
	}{
		{"no name", problem.CodeValidation, "body.name", owner("acme"), o.settings, func(s *Settings) { s.Name = " " }},
		{"lines in the name", problem.CodeValidation, "body.name", owner("acme"), o.settings, func(s *Settings) { s.Name = "a\nb" }},
		{"no provider", problem.CodeValidation, "body", owner("acme"), o.settings, func(s *Settings) { s.OIDC = nil }},
		{"two providers", problem.CodeValidation, "body", owner("acme"), o.settings, func(s *Settings) { s.SAML = i.settings().SAML }},
		{"an owner by default", problem.CodeValidation, "body.roles.default", owner("acme"), o.settings, func(s *Settings) { s.Roles.Default = identity.Owner }},
		{"an owner by claim", problem.CodeValidation, "body.roles.table[0].role", owner("acme"), o.settings, func(s *Settings) { s.Roles.Table[0].Role = identity.Owner }},
		{"a role that is not there", problem.CodeValidation, "", owner("acme"), o.settings, func(s *Settings) { s.Roles.Table[0].Role = "astronaut" }},
		{"who could become an administrator", authapi.CodeNotHeld, "", manager, o.settings, func(*Settings) {}},
		{"a table without a claim", problem.CodeValidation, "body.roles.claim", owner("acme"), o.settings, func(s *Settings) { s.Roles.Claim = "" }},
		{"no role for new members", problem.CodeValidation, "body.roles.default", owner("acme"), o.settings, func(s *Settings) { s.Roles = authapi.SSORoles{} }},
		{"no issuer", problem.CodeValidation, "body.oidc.issuer", owner("acme"), o.settings, func(s *Settings) { s.OIDC.Issuer = "acme" }},
		{"nobody at the issuer", problem.CodeValidation, "body.oidc.issuer", owner("acme"), o.settings, func(s *Settings) { s.OIDC.Issuer = i.URL }},
		{"another issuer's document", problem.CodeValidation, "body.oidc.issuer", owner("acme"), o.settings, func(s *Settings) { s.OIDC.Issuer += "/" }},
		{"no metadata", problem.CodeValidation, "body.saml", owner("acme"), i.settings, func(s *Settings) { s.SAML.MetadataURL = "" }},
		{"metadata and URL", problem.CodeValidation, "body.saml", owner("acme"), i.settings, func(s *Settings) { s.SAML.Metadata = "<x/>" }},
		{"metadata that is none", problem.CodeValidation, "body.saml.metadata", owner("acme"), i.settings, func(s *Settings) { *s.SAML = SAMLSettings{Metadata: "<x/>"} }},
		{"nothing at the URL", problem.CodeValidation, "body.saml.metadata_url", owner("acme"), i.settings, func(s *Settings) { s.SAML.MetadataURL = i.URL + "/nothing" }},
	} {
		s := c.base()
		c.change(&s)
		_, _, err := w.Create(t.Context(), c.by, s)
		p := problem.From(err)
		if problem.Code(err) != c.code || c.location != "" && (len(p.Errors) != 1 || p.Errors[0].Location != c.location) {
			t.Errorf("%s: %v; want %s at %s", c.name, err, c.code, c.location)
		}
	}
	w.refuses(t, "acme", http.MethodPost, "/api/auth/sso/connections", `{"name":"x"}`, http.StatusUnprocessableEntity, "")
}

// Outside of development an organization's URLs lead to public addresses, over TLS. What a refusal says is the same for
// whatever is there.
func TestOwnNetworkIsOutOfReach(t *testing.T) {
	w := newWorld(t)
	o, i := newOpenID(t), newSAML(t)
	oidcID, samlID := w.connect(t, o.settings()), w.connect(t, i.settings())
	w.reopen(t, func(c *Config) { c.AllowInsecure = false })
	var details []string
	for _, issuer := range []string{o.URL, strings.Replace(o.URL, "http", "https", 1), "https://localhost", "https://169.254.169.254", "https://[::1]", "https://10.0.0.1"} {
		s := o.settings()
		s.OIDC.Issuer = issuer
		_, _, err := w.Create(t.Context(), owner("acme"), s)
		if problem.Code(err) != problem.CodeValidation {
			t.Errorf("issuer %s: %v", issuer, err)
		}
		if p := problem.From(err); strings.HasPrefix(issuer, "https") {
			details = append(details, p.Detail+p.Errors[0].Message)
		}
		m := i.settings()
		m.SAML.MetadataURL = issuer
		if _, _, err := w.Create(t.Context(), owner("acme"), m); problem.Code(err) != problem.CodeValidation {
			t.Errorf("metadata at %s: %v", issuer, err)
		}
	}
	for _, detail := range details {
		if detail != details[0] {
			t.Errorf("%q tells more than %q", detail, details[0])
		}
	}
	text := `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="x"/>`
	if _, _, err := w.Create(t.Context(), owner("acme"), Settings{Name: "x", SAML: &SAMLSettings{Metadata: text}}); problem.Code(err) != problem.CodeValidation {
		t.Errorf("metadata: %v", err)
	}
	// Connections from before are not asked either.
	if _, err := w.Start(t.Context(), oidcID, "", ""); problem.Code(err) != authapi.CodeSSOUnreachable {
		t.Errorf("start: %v", err)
	}
	before, _, err := w.Connection(t.Context(), "acme", samlID)
	if err != nil {
		t.Fatal(err)
	}
	i.idp.IDP.SSOURL.Path = "/elsewhere"
	if err := w.RefreshMetadata(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, _, err := w.Connection(t.Context(), "acme", samlID); err != nil || after.SAML.SignInURL != before.SAML.SignInURL {
		t.Errorf("%+v, %v", after.SAML, err)
	}
}

// An administrator's provider does not sign in as an owner: else administrators would be owners whenever they like.
func TestOwnersTrustOwnersOnly(t *testing.T) {
	w, o, id := newOIDC(t)
	if err := w.roster.Join(t.Context(), "acme", "owner-of-other", []string{"admin"}); err != nil {
		t.Fatal(err)
	}
	o.Present.ID, o.Present.Email = "boss", "owner@acme.example"
	admin := identity.Principal{Subject: "owner-of-other", Organization: "acme", Session: "session"}
	for _, c := range []struct {
		by     identity.Principal
		owners bool
		code   string
	}{{admin, false, authapi.CodeSSOAccountRefused}, {owner("acme"), true, ""}, {admin, false, authapi.CodeSSOAccountRefused}} {
		view, _, err := w.Replace(t.Context(), c.by, id, o.settings(), func(int64) error { return nil })
		if err != nil || view.Owners != c.owners {
			t.Fatalf("saved by %s: %+v, %v", c.by.Subject, view, err)
		}
		if got := query(t, w.returned(t, id), "error"); got != c.code {
			t.Errorf("saved by %s: error %q; want %q", c.by.Subject, got, c.code)
		}
	}
	o.Present.ID, o.Present.Email = "ada", "ada@acme.example"
	w.signsIn(t, id) // others do not mind
}

func TestMetadataIsKept(t *testing.T) {
	w, i := newWorld(t), newSAML(t)
	_, metadata := newBrowser(t).send(t, request(t, http.MethodGet, i.URL+"/metadata", ""))
	s := i.settings()
	*s.SAML = SAMLSettings{Metadata: metadata}
	id := w.connect(t, s)
	s.SAML.Metadata, s.Name = "", "Renamed"
	view, _, err := w.Replace(t.Context(), owner("acme"), id, s, func(int64) error { return nil })
	if err != nil || view.Name != "Renamed" || view.SAML.EntityID != i.URL+"/metadata" || len(view.SAML.Certificates) != 1 || len(view.SAML.Certificates[0].SHA256) != 64 {
		t.Errorf("%+v, %v", view, err)
	}
	for _, path := range []string{"unknown", w.connect(t, newOpenID(t).settings())} {
		w.refuses(t, "", http.MethodGet, "/api/auth/sso/saml/"+path+"/metadata", "", http.StatusNotFound, problem.CodeNotFound)
	}
}

func TestErase(t *testing.T) {
	w, o, id := newOIDC(t)
	user := w.signsIn(t, id).User
	if _, _, err := w.Create(t.Context(), owner("other"), o.settings()); err != nil {
		t.Fatal(err)
	}
	links := func() int64 {
		n, err := w.d.links.Count(t.Context(), store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	ada := privacy.Person{Organization: "acme", User: user}
	elsewhere := privacy.Person{Organization: "other", User: user}
	for person, want := range map[privacy.Person]bool{ada: true, elsewhere: false} {
		data, err := w.Personal().Export(t.Context(), person)
		text, err2 := json.Marshal(data)
		if err != nil || err2 != nil || strings.Contains(string(text), id) != want {
			t.Errorf("%s: %s, %v, %v", person.Organization, text, err, err2)
		}
	}
	for _, c := range []struct {
		privacy.Person
		erased, left int64
	}{{elsewhere, 0, 1}, {ada, 1, 0}, {ada, 0, 0}} {
		if n, err := w.Personal().Erase(t.Context(), c.Person); err != nil || n != c.erased || links() != c.left {
			t.Errorf("%s: %d erased, %d left, %v", c.Organization, n, links(), err)
		}
	}
	w.signsIn(t, id)
	if err := w.ErasePerson(t.Context(), user); err != nil || links() != 0 {
		t.Errorf("%d identities, %v", links(), err)
	}
	w.signsIn(t, id)
	if _, err := w.DB.EraseOrganization(t.Context(), "acme"); err != nil || links() != 0 {
		t.Errorf("%d identities, %v", links(), err)
	}
	for organization, want := range map[string]int{"acme": 0, "other": 1} {
		connections, err := w.Connections(t.Context(), organization, "", 10)
		domains, err2 := w.Domains(t.Context(), organization, "", 10)
		if err != nil || err2 != nil || len(connections.Items) != want || len(domains.Items) != want {
			t.Errorf("%s: %+v, %+v, %v, %v", organization, connections, domains, err, err2)
		}
	}
}
