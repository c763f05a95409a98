package organizations

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/topology"
)

// server is the module's routes, with who acts taken from acting.
type server struct {
	http.Handler
	acting identity.Principal
}

func (f *fixture) serve(t *testing.T) *server {
	t.Helper()
	operations := group.Bind(group.Group{Spec: group.Spec{Name: topology.Auth}, Modules: []group.Module{NewModule(f.Service)}})
	mux, s := http.NewServeMux(), &server{}
	api := humago.New(mux, huma.DefaultConfig("test", "1"))
	for _, o := range operations {
		if err := o.Check(); err != nil {
			t.Error(err)
		}
		o.Register(api, func(ctx huma.Context, next func(huma.Context)) {
			next(huma.WithContext(ctx, identity.With(ctx.Context(), s.acting)))
		})
	}
	s.Handler = mux
	return s
}

func (s *server) ask(t *testing.T, method, path, body, ifMatch string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), method, "/api/auth/organizations"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if ifMatch != "" {
		r.Header.Set("If-Match", ifMatch)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestRoutes(t *testing.T) {
	f := newFixture(t)
	s := f.serve(t)
	ada := f.company(t, "acme", "ada")
	bob := f.employ(t, "acme", "bob", "member")
	f.company(t, "globex", "grace")
	key := identity.Principal{Subject: "key:1", Key: "1", Organization: "acme", Access: &identity.Access{Permissions: []string{"*:*"}}}
	infrastructure := identity.Principal{Subject: "group:infrastructure", Group: topology.Infrastructure}
	elsewhere := identity.Principal{Subject: "group:ml", Group: topology.ML, Organization: "globex"}
	for _, c := range []struct {
		name         string
		acting       identity.Principal
		method, path string
		body         string
		ifMatch      string
		status       int
		contains     string
	}{
		{"mine", bob, "GET", "", "", "", 200, `"current":true`},
		{"mine, asked by a key", key, "GET", "", "", "", 403, ""},
		{"a cursor that is none", bob, "GET", "?cursor=x", "", "", 500, ""}, // the host makes a 422 of the store's error
		{"a page too large", bob, "GET", "?limit=101", "", "", 422, ""},
		{"show", bob, "GET", "/current", "", "", 200, `"plan":"free"`},
		{"rename", ada, "PATCH", "/current", `{"name":"Acme"}`, `"1"`, 200, `"name":"Acme"`},
		{"rename what was renamed", ada, "PATCH", "/current", `{"name":"Bcme"}`, `"1"`, 412, problem.CodePrecondition},
		{"rename by no ETag", ada, "PATCH", "/current", `{"name":"Bcme"}`, `1`, 400, ""},
		{"rename to nothing", ada, "PATCH", "/current", `{"name":""}`, "", 422, ""},
		{"what there is not", ada, "PATCH", "/current", `{"name":"x","plan":"enterprise"}`, "", 422, ""},
		{"members", bob, "GET", "/members?limit=1", "", "", 200, `"next_cursor"`},
		{"a member", key, "GET", "/members/bob", "", "", 200, `"roles":["member"]`},
		{"another organization's member", ada, "GET", "/members/grace", "", "", 404, problem.CodeNotFound},
		{"remove another organization's member", ada, "DELETE", "/members/grace", "", "", 404, problem.CodeNotFound},
		{"invite", key, "POST", "/invitations", `{"email":"new@example.com","roles":["viewer"]}`, "", 201, `"invited_by":"key:1"`},
		{"invite as nothing", ada, "POST", "/invitations", `{"email":"new@example.com","roles":[]}`, "", 422, ""},
		{"list invitations", ada, "GET", "/invitations", "", "", 200, `new@example.com`},
		{"revoke what never was", ada, "DELETE", "/invitations/never", "", "", 404, ""},
		{"resend what never was", ada, "POST", "/invitations/never/resend", "", "", 404, ""},
		{"an offer that never was", identity.Principal{}, "GET", "/invitations/never", "", "", 404, authapi.CodeInvitationInvalid},
		{"accept what never was", bob, "POST", "/invitations/accept", `{"token":"never"}`, "", 404, authapi.CodeInvitationInvalid},
		{"accept as a key", key, "POST", "/invitations/accept", `{"token":"never"}`, "", 403, ""},
		{"register by what never was", identity.Principal{}, "POST", "/invitations/register", `{"token":"never","first_name":"a","last_name":"b","password":"three blind mice"}`, "", 404, authapi.CodeInvitationInvalid},
		{"usage", bob, "GET", "/usage", "", "", 200, `{"resource":"members","metered":false,"used":2,"limit":5}`},
		{"take", infrastructure, "POST", "/usage/take", `{"organization_id":"acme","resource":"connections","id":"shop"}`, "", 204, ""},
		{"take too much", infrastructure, "POST", "/usage/take", `{"organization_id":"acme","resource":"agent_runs","id":"run","amount":101}`, "", 402, "0 of 100"},
		{"take of what is not taken", infrastructure, "POST", "/usage/take", `{"organization_id":"acme","resource":"members","id":"bob"}`, "", 422, ""},
		{"take nothing", infrastructure, "POST", "/usage/take", `{"organization_id":"acme","resource":"connections","id":"shop","amount":0}`, "", 422, ""},
		{"take for another organization", elsewhere, "POST", "/usage/take", `{"organization_id":"acme","resource":"connections","id":"shop"}`, "", 404, problem.CodeNotFound},
		{"release", infrastructure, "POST", "/usage/release", `{"organization_id":"acme","resource":"connections","id":"shop"}`, "", 204, ""},
		{"release for another organization", elsewhere, "POST", "/usage/release", `{"organization_id":"acme","resource":"connections","id":"shop"}`, "", 404, ""},
		{"report", infrastructure, "POST", "/usage/report", `{"reporter":"p","month":"2026-01","calls":[{"organization_id":"acme","calls":100000}]}`, "", 200, `"over":[{"organization_id":"acme","used":100000,"limit":100000}]`},
		{"report of no month", infrastructure, "POST", "/usage/report", `{"reporter":"p","month":"2026-13","calls":[{"organization_id":"acme","calls":1}]}`, "", 422, ""},
		{"plan", infrastructure, "PUT", "/plan", `{"organization_id":"acme","plan":"team","limits":{"members":-1}}`, "", 200, `"plan":"team"`},
		{"plan of another organization", elsewhere, "PUT", "/plan", `{"organization_id":"acme","plan":"team"}`, "", 404, ""},
		{"unlimited", bob, "GET", "/usage", "", "", 200, `{"resource":"members","metered":false,"used":2}`},
		{"confirm for another group", infrastructure, "POST", "/erasures", `{"organization_id":"acme","group":"ml"}`, "", 422, ""},
		{"confirm what nobody asked for", identity.Principal{Subject: "group:host", Group: "host"}, "POST", "/erasures", `{"organization_id":"acme","group":"ml"}`, "", 404, ""},
		{"an erasure that is none", infrastructure, "GET", "/erasures/acme", "", "", 404, ""},
		{"an erasure of another organization", elsewhere, "GET", "/erasures/acme", "", "", 404, ""},
		{"confirm for another organization", elsewhere, "POST", "/erasures", `{"organization_id":"acme","group":"ml"}`, "", 404, ""},
		{"switch to where one does not work", ada, "POST", "/globex/switch", "", "", 404, problem.CodeNotFound},
		{"switch as a key", key, "POST", "/acme/switch", "", "", 403, ""},
		{"switch to where one is", bob, "POST", "/acme/switch", "", "", 409, problem.CodeConflict},
		{"leave as a key", key, "POST", "/leave", "", "", 403, ""},
		{"leave as the last owner", ada, "POST", "/leave", "", "", 409, authapi.CodeLastOwner},
		{"leave", bob, "POST", "/leave", "", "", 204, ""},
		{"leave once more", bob, "POST", "/leave", "", "", 404, ""},
		{"delete as a key", key, "DELETE", "/current", "", "", 403, ""},
		{"delete", ada, "DELETE", "/current", "", "", 200, `"erase_at"`},
		{"restore as a key", key, "POST", "/current/restore", "", "", 403, ""},
		{"restore", ada, "POST", "/current/restore", "", "", 200, `"id":"acme"`},
	} {
		s.acting = c.acting
		w := s.ask(t, c.method, c.path, c.body, c.ifMatch)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.contains) {
			t.Errorf("%s: %s %s answers %d %s; want %d with %q", c.name, c.method, c.path, w.Code, w.Body, c.status, c.contains)
		}
	}
}

func TestETagsFollowTheOrganization(t *testing.T) {
	f := newFixture(t)
	s := f.serve(t)
	s.acting = f.company(t, "acme", "ada")
	read := s.ask(t, "GET", "/current", "", "").Header().Get("ETag")
	w := s.ask(t, "PATCH", "/current", `{"name":"Acme"}`, read)
	var view authapi.OrganizationProfile
	if err := json.Unmarshal(w.Body.Bytes(), &view); err != nil || view.Name != "Acme" {
		t.Fatalf("%s, %v", w.Body, err)
	}
	if written := w.Header().Get("ETag"); written == read || written != s.ask(t, "GET", "/current", "", "").Header().Get("ETag") {
		t.Errorf("ETag %s after %s", written, read)
	}
}

// TestWhatTakesWhat keeps the permissions and the second factor where they are.
func TestWhatTakesWhat(t *testing.T) {
	access := map[string]group.Access{}
	for _, o := range group.Bind(group.Group{Spec: group.Spec{Name: topology.Auth}, Modules: []group.Module{NewModule(nil)}}) {
		route := strings.Replace(o.Route(), "/api/auth/organizations", "", 1)
		access[route] = o.Access
		if o.StepUp != (route == "DELETE /current") {
			t.Errorf("%s asks for a second factor: %t", route, o.StepUp)
		}
		if o.Sensitive != (route == "POST /{id}/switch") {
			t.Errorf("%s answers secrets: %t", route, o.Sensitive)
		}
	}
	for _, route := range []string{"POST /usage/take", "POST /usage/release", "POST /usage/report", "PUT /plan", "POST /erasures", "GET /erasures/{id}"} {
		if !access[route].Internal {
			t.Errorf("%s is not internal", route)
		}
	}
	for _, route := range []string{"GET /invitations/{token}", "POST /invitations/register"} {
		if !access[route].Public {
			t.Errorf("%s is not public", route)
		}
	}
	viewer := identity.Principal{Roles: []string{"viewer"}}
	for _, route := range []string{"PATCH /current", "DELETE /current", "POST /current/restore", "DELETE /members/{id}", "GET /invitations", "POST /invitations", "POST /invitations/{id}/resend", "DELETE /invitations/{id}"} {
		if permission := access[route].Permission; permission == "" || viewer.Can(permission) {
			t.Errorf("%s needs %q, which a viewer has", route, permission)
		}
	}
}
