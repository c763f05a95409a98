package sso

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/policy"
	"github.com/tandemhq/tandem/pkg/problem"
)

func TestDomains(t *testing.T) {
	w := newWorld(t)
	const path = "/api/auth/sso/domains"
	var d authapi.SSODomain
	if answer := w.do(t, "acme", http.MethodPost, path, `{"domain":" München.Example "}`, &d); answer.StatusCode != http.StatusCreated {
		t.Fatalf("%d %+v", answer.StatusCode, d)
	}
	name := "xn--mnchen-3ya.example"
	if d.Domain != name || d.Verified || !strings.HasPrefix(d.TXT, "tandem-domain-verification=") || len(d.TXT) != len("tandem-domain-verification=")+64 {
		t.Fatalf("%+v", d)
	}
	var again authapi.SSODomain
	if w.do(t, "acme", http.MethodPost, path, `{"domain":"`+name+`"}`, &again); again.TXT != d.TXT {
		t.Errorf("claimed again: %+v", again)
	}
	verify := path + "/" + name + "/verify"
	w.refuses(t, "acme", http.MethodPost, verify, "", http.StatusConflict, authapi.CodeDomainUnproved)
	w.dns[name+"."] = []string{"tandem-domain-verification=", d.TXT + "x", strings.ToUpper(d.TXT), "v=spf1 -all " + d.TXT}
	w.refuses(t, "acme", http.MethodPost, verify, "", http.StatusConflict, authapi.CodeDomainUnproved)
	w.refuses(t, "other", http.MethodPost, verify, "", http.StatusNotFound, problem.CodeNotFound)
	w.refuses(t, "other", http.MethodDelete, path+"/"+name, "", http.StatusNotFound, problem.CodeNotFound)

	w.dns[name+"."] = []string{"v=spf1 -all", d.TXT}
	for range 2 {
		if w.do(t, "acme", http.MethodPost, verify, "", &d); !d.Verified || d.VerifiedAt == nil {
			t.Errorf("%+v", d)
		}
	}
	var others authapi.SSODomain
	w.do(t, "other", http.MethodPost, path, `{"domain":"`+name+`"}`, &others)
	w.refuses(t, "other", http.MethodPost, verify, "", http.StatusConflict, authapi.CodeDomainUnproved)
	w.dns[name+"."] = append(w.dns[name+"."], others.TXT)
	w.refuses(t, "other", http.MethodPost, verify, "", http.StatusConflict, authapi.CodeDomainTaken)
	if answer := w.do(t, "acme", http.MethodDelete, path+"/"+name, "", nil); answer.StatusCode != http.StatusNoContent {
		t.Errorf("%d", answer.StatusCode)
	}
	if w.do(t, "other", http.MethodPost, verify, "", &others); !others.Verified {
		t.Errorf("after the other has let go: %+v", others)
	}
	var list authapi.SSODomains
	if w.do(t, "other", http.MethodGet, path, "", &list); len(list.Items) != 2 || !list.Items[1].Verified {
		t.Errorf("%+v", list)
	}
	for _, text := range []string{"example", "example.com/x", "a@example.com", "127.0.0.1", "exa mple.com", "-.example", "example.com\n.evil.example"} {
		w.refuses(t, "acme", http.MethodPost, path, fmt.Sprintf(`{"domain":%q}`, text), http.StatusUnprocessableEntity, problem.CodeValidation)
	}
}

func TestOneOfManyGetsTheDomain(t *testing.T) {
	w := newWorld(t)
	const name = "shared.example"
	for i := range 8 {
		d, err := w.Claim(t.Context(), fmt.Sprint("org-", i), name)
		if err != nil {
			t.Fatal(err)
		}
		w.dns[name+"."] = append(w.dns[name+"."], d.TXT)
	}
	var turn, won atomic.Int64
	many(8, func() {
		_, err := w.VerifyDomain(t.Context(), fmt.Sprint("org-", turn.Add(1)-1), name)
		if err == nil {
			won.Add(1)
		} else if problem.Code(err) != authapi.CodeDomainTaken {
			t.Error(err)
		}
	})
	if won.Load() != 1 {
		t.Errorf("%d organizations have it", won.Load())
	}
}

func TestDiscover(t *testing.T) {
	w, o, id := newOIDC(t)
	off := o.settings()
	off.Name, off.Enabled = "Off", false
	w.connect(t, off)
	w.user(t, "u", "ada@acme.example", true)
	ask := func(email string) (d authapi.SSODiscovery) {
		t.Helper()
		if answer := w.do(t, "", http.MethodPost, "/api/auth/sso/discover", fmt.Sprintf(`{"email":%q}`, email), &d); answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", email, answer.StatusCode)
		}
		return d
	}
	known, unknown := ask("ada@acme.example"), ask("Nobody@ACME.example")
	if fmt.Sprint(known) != fmt.Sprint(unknown) {
		t.Errorf("%+v for who has an account, %+v for who has none", known, unknown)
	}
	want := authapi.SSOChoice{ID: id, Name: "Acme", Protocol: authapi.OIDC, StartURL: w.api.URL + "/api/auth/sso/" + id + "/start"}
	if known.Required || len(known.Connections) != 1 || known.Connections[0] != want {
		t.Errorf("%+v", known)
	}
	if got := ask("ada@mail.example"); got.Required || got.Connections == nil || len(got.Connections) != 0 {
		t.Errorf("%+v for nobody's domain", got)
	}
	rules := authapi.DefaultPolicy()
	rules.EnforceSSO = true
	if _, err := w.c.Policies.(*policy.Service).Set(t.Context(), "acme", rules, -1); err != nil {
		t.Fatal(err)
	}
	if got := ask("ada@acme.example"); !got.Required {
		t.Errorf("%+v where it is enforced", got)
	}
	w.refuses(t, "", http.MethodPost, "/api/auth/sso/discover", `{"email":"ada"}`, http.StatusUnprocessableEntity, problem.CodeValidation)
}
