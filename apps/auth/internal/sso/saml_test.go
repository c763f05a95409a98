package sso

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crewjam/saml/samlidp"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/signin"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

func newSAMLWorld(t testing.TB) (*world, *samlIDP, string) {
	t.Helper()
	w, i := newWorld(t), newSAML(t)
	id := w.connect(t, i.settings())
	i.trust(t, w, id)
	return w, i, id
}

// arrives is a browser in which ada signs in by the connection, with the form that the provider has it post.
func (w *world) arrives(t testing.TB, i *samlIDP, id string) (*browser, string, url.Values) {
	t.Helper()
	b := newBrowser(t)
	i.signIn(t, b, "ada")
	action, form := b.posted(t, b.follow(t, w.startURL(id, ""), i.URL+"/sso"))
	return b, action, form
}

func TestSAMLPersonIsProvisioned(t *testing.T) {
	w, i, id := newSAMLWorld(t)
	b, action, form := w.arrives(t, i, id)
	if action != w.api.URL+"/api/auth/sso/saml/"+id+"/acs" {
		t.Fatalf("the provider posts to %s", action)
	}
	answer, body := b.post(t, action, form)
	back := answer.Header.Get("Location")
	if answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(back, "https://app.example.com/signed-in?") || query(t, back, "state") != "xyz" {
		t.Fatalf("%d %s %s", answer.StatusCode, back, body)
	}
	if _, err := w.Redeem(t.Context(), Redemption{Code: query(t, back, "code")}); err != nil {
		t.Fatal(err)
	}
	user, err := w.c.Accounts.UserByEmail(t.Context(), "ada@acme.example")
	if err != nil || user.Value.FirstName != "Ada" || user.Value.LastName != "Lovelace" || user.Value.EmailVerifiedAt == nil || user.Value.PasswordHash != "" {
		t.Errorf("account %+v, %v", user.Value, err)
	}
	if got := w.begun.last(t); got.User != user.ID || got.Organization != "acme" || !slices.Equal(got.AMR, []string{signin.Federated}) {
		t.Errorf("signed in as %+v", got)
	}
	if got := w.rolesOf(t, "acme", "ada@acme.example"); !slices.Equal(got, []string{"manager"}) {
		t.Errorf("roles %q", got)
	}

	i.register(t, samlidp.User{Name: "ada", Email: "Ada@ACME.example", GivenName: "Ada", Surname: "King"})
	b, action, form = w.arrives(t, i, id)
	if answer, body := b.post(t, action, form); query(t, answer.Header.Get("Location"), "code") == "" {
		t.Fatalf("the second time: %d %s %s", answer.StatusCode, answer.Header.Get("Location"), body)
	}
	if again, err := w.c.Accounts.Users.Get(t.Context(), user.ID); err != nil || again.Value.LastName != "King" {
		t.Errorf("%+v, %v", again.Value, err)
	}
	if got := w.rolesOf(t, "acme", "ada@acme.example"); !slices.Equal(got, []string{"member"}) {
		t.Errorf("roles %q, after she left the leads", got)
	}
}

func TestSAMLClientWithAHandle(t *testing.T) {
	w, i, id := newSAMLWorld(t)
	var begun authapi.SSOStart
	w.do(t, "", http.MethodGet, "/api/auth/sso/"+id+"/start", "", &begun)
	b := newBrowser(t)
	i.signIn(t, b, "ada")
	action, form := b.posted(t, begun.URL)
	if answer, body := b.post(t, action, form); code(t, body) != authapi.CodeSSOFlowInvalid {
		t.Errorf("without the handle: %d %s", answer.StatusCode, body)
	}
	if answer, body := b.post(t, action, form, "X-SSO-Handle", begun.Handle); answer.StatusCode != http.StatusOK || !strings.Contains(body, " in acme") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
}

func TestSAMLResponsesAreGoodOnce(t *testing.T) {
	w, i, id := newSAMLWorld(t)
	b, action, form := w.arrives(t, i, id)
	eve := newBrowser(t)
	if answer, body := eve.post(t, action, form); answer.StatusCode != http.StatusUnauthorized || code(t, body) != authapi.CodeSSOFlowInvalid {
		t.Errorf("in another browser: %d %s", answer.StatusCode, body)
	}
	if answer, _ := b.post(t, action, form); answer.StatusCode != http.StatusSeeOther {
		t.Fatalf("the first time: %d", answer.StatusCode)
	}
	if answer, body := b.post(t, action, form); answer.StatusCode != http.StatusUnauthorized || code(t, body) != authapi.CodeSSOFlowInvalid {
		t.Errorf("the second time: %d %s", answer.StatusCode, body)
	}
	// The answer to one request is none to another.
	other := newBrowser(t)
	i.signIn(t, other, "ada")
	form.Set("RelayState", query(t, other.follow(t, w.startURL(id, ""), i.URL+"/sso"), "RelayState"))
	if answer, _ := other.post(t, action, form); query(t, answer.Header.Get("Location"), "error") != authapi.CodeSSORefused {
		t.Errorf("for another request: %d %s", answer.StatusCode, answer.Header.Get("Location"))
	}
}

func TestSAMLThatBeginsAtTheProvider(t *testing.T) {
	w, i, id := newSAMLWorld(t)
	relay := "https://app.example.com/campaigns"
	sp := w.serviceProvider(id).EntityID
	for name, s := range map[string]samlidp.Shortcut{
		"page": {Name: "page", ServiceProviderID: sp, RelayState: &relay}, "plain": {Name: "plain", ServiceProviderID: sp},
	} {
		if err := i.idp.Store.Put("/shortcuts/"+name, s); err != nil {
			t.Fatal(err)
		}
	}
	b := newBrowser(t)
	i.signIn(t, b, "ada")
	action, form := b.posted(t, i.URL+"/login/page")
	if answer, body := b.post(t, action, form); answer.StatusCode != http.StatusUnauthorized || code(t, body) != authapi.CodeSSOFlowInvalid {
		t.Errorf("where it is not allowed: %d %s", answer.StatusCode, body)
	}

	s := i.settings()
	s.SAML.AllowInitiated = true
	w.change(t, id, s)
	answer, body := b.post(t, action, form)
	if back := answer.Header.Get("Location"); !strings.HasPrefix(back, relay+"?code=") {
		t.Fatalf("%d %s %s", answer.StatusCode, back, body)
	}
	// Another process remembers the assertion too.
	w.reopen(t, func(*Config) {})
	outcome, err := w.Respond(t.Context(), Response{Connection: id, Response: form.Get("SAMLResponse"), Relay: relay}, Client{})
	if err != nil || query(t, outcome.Location, "error") != authapi.CodeSSORefused {
		t.Errorf("the same assertion once more: %+v, %v", outcome, err)
	}
	// The answer to a request is not one that nobody asked for.
	_, _, asked := w.arrives(t, i, id)
	outcome, err = w.Respond(t.Context(), Response{Connection: id, Response: asked.Get("SAMLResponse")}, Client{})
	if err != nil || query(t, outcome.Location, "error") != authapi.CodeSSORefused {
		t.Errorf("an answer without its request: %+v, %v", outcome, err)
	}
	_, form = b.posted(t, i.URL+"/login/plain")
	form.Set("RelayState", "https://evil.example/")
	if answer, _ := b.post(t, action, form); !strings.HasPrefix(answer.Header.Get("Location"), "https://app.example.com?code=") {
		t.Errorf("sent to %s", answer.Header.Get("Location"))
	}
}

// A provider signs people in by its own connection, not by another one, of whichever organization.
func TestSAMLConnectionOfAnother(t *testing.T) {
	w, i, id := newSAMLWorld(t)
	rogue := newSAML(t)
	view, _, err := w.Create(t.Context(), owner("other"), rogue.settings())
	if err != nil {
		t.Fatal(err)
	}
	rogue.trust(t, w, view.ID)
	b, action, form := w.arrives(t, rogue, view.ID) // as ada@acme.example, whose domain is not other's
	if answer, body := b.post(t, w.api.URL+"/api/auth/sso/saml/"+id+"/acs", form); code(t, body) != authapi.CodeSSOFlowInvalid {
		t.Errorf("at the other connection: %d %s", answer.StatusCode, body)
	}
	b, _, form = w.arrives(t, rogue, view.ID)
	if answer, _ := b.post(t, action, form); query(t, answer.Header.Get("Location"), "error") != authapi.CodeSSOAccountRefused {
		t.Errorf("at its own connection: %s", answer.Header.Get("Location"))
	}
	// With a request of the connection and the other provider's answer.
	victim := newBrowser(t)
	relay := query(t, victim.follow(t, w.startURL(id, ""), i.URL+"/sso"), "RelayState")
	form.Set("RelayState", relay)
	if answer, _ := victim.post(t, w.api.URL+"/api/auth/sso/saml/"+id+"/acs", form); query(t, answer.Header.Get("Location"), "error") != authapi.CodeSSORefused {
		t.Errorf("another provider's answer: %s", answer.Header.Get("Location"))
	}
	for _, path := range []string{"unknown/acs", strings.Repeat("x", 64) + "/acs"} {
		if answer, body := victim.post(t, w.api.URL+"/api/auth/sso/saml/"+path, form); answer.StatusCode != http.StatusNotFound || code(t, body) != problem.CodeNotFound {
			t.Errorf("%s: %d %s", path, answer.StatusCode, body)
		}
	}
}

func TestSAMLProviderSaysNo(t *testing.T) {
	w, i, id := newSAMLWorld(t)
	b, action, form := w.arrives(t, i, id)
	text, err := base64.StdEncoding.DecodeString(form.Get("SAMLResponse"))
	if err != nil {
		t.Fatal(err)
	}
	no := strings.Replace(string(text), "status:Success", "status:Responder", 1)
	form.Set("SAMLResponse", base64.StdEncoding.EncodeToString([]byte(no)))
	if answer, _ := b.post(t, action, form); query(t, answer.Header.Get("Location"), "error") != authapi.CodeSSODenied {
		t.Errorf("sent to %s", answer.Header.Get("Location"))
	}
}

func TestSAMLFormsOnly(t *testing.T) {
	w, i, id := newSAMLWorld(t)
	b, action, form := w.arrives(t, i, id)
	path := strings.TrimPrefix(action, w.api.URL)
	w.refuses(t, "", http.MethodPost, path, `{"SAMLResponse":"x"}`, http.StatusUnsupportedMediaType, problem.CodeMediaType)
	w.refuses(t, "", http.MethodPost, path, form.Encode(), http.StatusUnsupportedMediaType, problem.CodeMediaType, "Content-Type", "multipart/form-data")
	w.refuses(t, "", http.MethodPost, path, "%", http.StatusBadRequest, problem.CodeBadRequest, "Content-Type", "application/x-www-form-urlencoded")
	if answer, body := b.post(t, action, form, "Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
}

func TestSAMLMetadataIsReadAnew(t *testing.T) {
	w, i, id := newSAMLWorld(t)
	before, version, err := w.Connection(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.RefreshMetadata(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, same, err := w.Connection(t.Context(), "acme", id); err != nil || same != version {
		t.Errorf("version %d, %v; nothing has changed since %d", same, err, version)
	}
	successor := newSAML(t) // a new key for the same provider
	i.idp.IDP.Key, i.idp.IDP.Certificate = successor.idp.IDP.Key, successor.idp.IDP.Certificate
	b, action, form := w.arrives(t, i, id)
	if answer, _ := b.post(t, action, form); query(t, answer.Header.Get("Location"), "error") != authapi.CodeSSORefused {
		t.Errorf("with a key that is not known: %s", answer.Header.Get("Location"))
	}
	if err := w.RefreshMetadata(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, action, form = w.arrives(t, i, id)
	if answer, _ := b.post(t, action, form); query(t, answer.Header.Get("Location"), "code") == "" {
		t.Errorf("with the new key: %s", answer.Header.Get("Location"))
	}
	// Metadata of somebody else, or none, changes nothing.
	after, _, err := w.Connection(t.Context(), "acme", id)
	if err != nil || after.SAML.Certificates[0] == before.SAML.Certificates[0] {
		t.Fatalf("%+v, %v", after, err)
	}
	for name, spoil := range map[string]func(){
		"another provider": func() { i.idp.IDP.MetadataURL.Path = "/other" },
		"none":             func() { i.Close() },
	} {
		spoil()
		if err := w.RefreshMetadata(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if now, _, err := w.Connection(t.Context(), "acme", id); err != nil || now.SAML.EntityID != after.SAML.EntityID || now.SAML.Certificates[0] != after.SAML.Certificates[0] {
			t.Errorf("%s: %+v, %v", name, now, err)
		}
	}
}

func TestAssertionsAreForgottenWhenTheyAreTooOld(t *testing.T) {
	w, i, id := newSAMLWorld(t)
	b, action, form := w.arrives(t, i, id)
	b.post(t, action, form)
	count := func() int64 {
		n, err := w.d.assertions.Count(t.Context(), store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, c := range []struct {
		pass time.Duration
		want int64
	}{{10 * time.Minute, 1}, {5 * time.Minute, 0}} {
		w.Pass(c.pass)
		if err := w.Forget(t.Context()); err != nil || count() != c.want {
			t.Errorf("%d remembered, %v; want %d", count(), err, c.want)
		}
	}
}

// Whatever is posted, nobody is let in.
func FuzzResponse(f *testing.F) {
	w, i, id := newSAMLWorld(f)
	s := i.settings()
	s.SAML.AllowInitiated = true
	w.change(f, id, s)
	_, _, form := w.arrives(f, i, id)
	f.Add([]byte(form.Encode()))
	f.Add([]byte("SAMLResponse=PHg%2B&RelayState=" + strings.Repeat("0", 64)))
	f.Add([]byte("%"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/api/auth/sso/saml/"+id+"/acs", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer := httptest.NewRecorder()
		w.api.Config.Handler.ServeHTTP(answer, r)
		switch answer.Code {
		case http.StatusUnauthorized, http.StatusBadRequest:
		case http.StatusSeeOther:
			if to := answer.Header().Get("Location"); !strings.Contains(to, "error=sso_") {
				t.Errorf("%q: sent to %s", body, to)
			}
		default:
			t.Errorf("%q: %d %s", body, answer.Code, answer.Body)
		}
	})
}
