package audit

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/topology"
)

// server is the module's routes, with who acts taken from acting.
type server struct {
	http.Handler
	acting identity.Principal
}

func (f *fixture) operations(t testing.TB) []*group.Operation {
	t.Helper()
	operations := group.Bind(group.Group{Spec: group.Spec{Name: topology.Auth}, Modules: []group.Module{NewModule(f.Service)}})
	for _, o := range operations {
		if err := o.Check(); err != nil {
			t.Error(err)
		}
	}
	return operations
}

func (f *fixture) serve(t testing.TB) *server {
	t.Helper()
	mux, s := http.NewServeMux(), &server{}
	config := huma.DefaultConfig("test", "1")
	config.CreateHooks = nil // they add a link to the schema to every answer
	api := humago.New(mux, config)
	for _, o := range f.operations(t) {
		o.Register(api, func(ctx huma.Context, next func(huma.Context)) {
			inner := identity.With(ctx.Context(), s.acting)
			next(huma.WithContext(ctx, audit.WithOrigin(inner, audit.Origin{Address: ctx.Header("X-Forwarded-For")})))
		})
	}
	s.Handler = mux
	return s
}

func (s *server) send(t testing.TB, method, path, body string, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), method, "/api/auth/audit"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestRoutes(t *testing.T) {
	f := newFixture(t)
	f.record(t, acme, "bob", 3)
	f.record(t, globex, "grace", 1)
	request := f.ask(t, as("bob"), privacy.Export, "")
	s := f.serve(t)
	ada, bob := as("ada", "*:*"), as("bob")
	grace := as("grace", "*:*")
	grace.Organization = globex
	integrations := identity.Principal{Subject: "group:integrations", Group: topology.Integrations, Organization: acme}
	elsewhere := integrations
	elsewhere.Organization = globex
	const policy = `{"password":{"min_length":14,"require_upper":false,"require_lower":false,"require_digit":false,"require_symbol":false},
		"sessions":{"idle_minutes":0,"absolute_hours":0},"mfa":{"required_roles":[],"methods":["totp"],"remember_days":0},
		"networks":["203.0.113.0/24"],"require_verified_email":false,"enforce_sso":false}`
	here := map[string]string{"X-Forwarded-For": "203.0.113.7"}
	for _, c := range []struct {
		name         string
		acting       identity.Principal
		method, path string
		body         string
		header       map[string]string
		status       int
		contains     string
	}{
		{"entries", ada, "GET", "/entries?actor=bob&action=auth.sessions&result=success&limit=2&from=2026-01-01T00:00:00Z", "", nil, 200, `"sequence":3`},
		{"entries of the other organization", grace, "GET", "/entries", "", nil, 200, `"subject":"grace"`},
		{"a result there is not", ada, "GET", "/entries?result=maybe", "", nil, 422, "result"},
		{"a time that is none", ada, "GET", "/entries?from=yesterday", "", nil, 422, "from"},
		{"a page too large", ada, "GET", "/entries?limit=201", "", nil, 422, "limit"},
		{"a filter there is not", ada, "GET", "/entries?organization=globex", "", nil, 422, "organization"},
		{"export", ada, "GET", "/export", "", nil, 200, `"sequence":1`},
		{"export as CSV", ada, "GET", "/export?format=csv", "", nil, 200, "sequence,id,at"},
		{"export as something else", ada, "GET", "/export?format=xml", "", nil, 422, "format"},
		{"verify", ada, "GET", "/verify", "", nil, 200, `"ok":true`},
		{"verify a range", ada, "GET", "/verify?from=2&to=2", "", nil, 200, `"checked":1`},
		{"verify from below", ada, "GET", "/verify?from=-1", "", nil, 422, "from"},
		{"retention", ada, "GET", "/retention", "", nil, 200, `"days":400`},
		{"too short a retention", ada, "PUT", "/retention", `{"days":29}`, nil, 422, "days"},
		{"set the retention", ada, "PUT", "/retention", `{"days":90}`, map[string]string{"If-Match": `"0"`}, 200, `"days":90`},
		{"set what was set", ada, "PUT", "/retention", `{"days":91}`, map[string]string{"If-Match": `"0"`}, 412, problem.CodePrecondition},
		{"an ETag that is none", ada, "PUT", "/retention", `{"days":91}`, map[string]string{"If-Match": "x"}, 400, problem.CodeBadRequest},
		{"policy", ada, "GET", "/policy", "", nil, 200, `"min_length":12`},
		{"lock oneself out", ada, "PUT", "/policy", policy, map[string]string{"X-Forwarded-For": "198.51.100.1"}, 422, authapi.CodeLocksYouOut},
		{"set the policy", ada, "PUT", "/policy", policy, here, 200, `"min_length":14`},
		{"half a policy", ada, "PUT", "/policy", `{"networks":[]}`, here, 422, "password"},
		{"the other organization's policy", grace, "GET", "/policy", "", nil, 200, `"networks":[]`},
		{"ask", bob, "POST", "/data-requests", `{"kind":"export"}`, nil, 409, authapi.CodeDataRequestRunning},
		{"ask for another", bob, "POST", "/data-requests", `{"kind":"export","user_id":"ada"}`, nil, 403, problem.CodeForbidden},
		{"ask for something else", bob, "POST", "/data-requests", `{"kind":"erase_organization"}`, nil, 422, "kind"},
		{"ask as an administrator", ada, "POST", "/data-requests", `{"kind":"erase_person","user_id":"bob"}`, nil, 202, `"collecting"`},
		{"list", bob, "GET", "/data-requests", "", nil, 200, request},
		{"show", bob, "GET", "/data-requests/" + request, "", nil, 200, `"missing":["integrations","analytics"]`},
		{"show the other organization's", grace, "GET", "/data-requests/" + request, "", nil, 404, problem.CodeNotFound},
		{"download too early", bob, "GET", "/data-requests/" + request + "/download", "", nil, 409, authapi.CodeDataRequestNotReady},
		{"download the other organization's", grace, "GET", "/data-requests/" + request + "/download", "", nil, 404, problem.CodeNotFound},
		{"whom it is about", integrations, "GET", "/data-requests/" + request + "/person", "", nil, 200, `"email":"bob@example.com"`},
		{"whom another's is about", elsewhere, "GET", "/data-requests/" + request + "/person", "", nil, 404, problem.CodeNotFound},
		{"deliver to another's", elsewhere, "PUT", "/data-requests/" + request + "/parts/integrations", `{"documents":0}`, nil, 404, problem.CodeNotFound},
		{"deliver", integrations, "PUT", "/data-requests/" + request + "/parts/integrations", `{"documents":0,"data":{"a":[1]}}`, nil, 204, ""},
		{"deliver again", integrations, "PUT", "/data-requests/" + request + "/parts/integrations", `{"documents":0,"data":{"a":[2]}}`, nil, 204, ""},
		{"deliver for nobody", integrations, "PUT", "/data-requests/" + request + "/parts/billing", `{"documents":0}`, nil, 422, "group"},
		{"deliver more than there is room for", integrations, "PUT", "/data-requests/" + request + "/parts/analytics",
			`{"documents":0,"data":"` + strings.Repeat("a", privacy.MaxPart) + `"}`, nil, 413, ""},
		{"deliver a large part", integrations, "PUT", "/data-requests/" + request + "/parts/analytics",
			`{"documents":0,"data":"` + strings.Repeat("a", privacy.MaxPart-100) + `"}`, nil, 204, ""},
	} {
		s.acting = c.acting
		w := s.send(t, c.method, c.path, c.body, c.header)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.contains) {
			t.Errorf("%s: %d %.400s, want %d with %q", c.name, w.Code, w.Body, c.status, c.contains)
		}
	}
	f.drive(t, request)
	s.acting = bob
	w := s.send(t, "GET", "/data-requests/"+request+"/download", "", nil)
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/zip" || !strings.HasPrefix(w.Body.String(), "PK") ||
		w.Header().Get("Content-Disposition") != `attachment; filename="data-`+request+`.zip"` {
		t.Errorf("download: %d %v", w.Code, w.Header())
	}
	s.acting = ada
	w = s.send(t, "GET", "/export?format=csv&actor=bob", "", nil)
	if w.Header().Get("Content-Type") != "text/csv; charset=utf-8; header=present" || strings.Count(w.Body.String(), "\n") != 4 {
		t.Errorf("export: %v %s", w.Header(), w.Body)
	}
	f.relay(t)
	list, err := f.List(t.Context(), acme, Filter{Action: "auth.audit.export"}, "", 10)
	must(t, err)
	if len(list.Items) != 3 || list.Items[0].Details["format"] != "csv" {
		t.Errorf("entries of exports %+v", list.Items)
	}
}

// TestAnExportThatFailsIsCut has no half export look like a whole one.
func TestAnExportThatFailsIsCut(t *testing.T) {
	f := newFixture(t)
	f.record(t, acme, "bob", 3)
	s := f.serve(t)
	s.acting = as("ada", "*:*")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/auth/audit/export", http.NoBody)
	defer func() {
		err, _ := recover().(error)
		if !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("recovered %v, want the answer cut", err)
		}
	}()
	s.ServeHTTP(failingWriter{httptest.NewRecorder()}, r)
	t.Error("an export whose client had left ended like a whole one")
}

type failingWriter struct{ *httptest.ResponseRecorder }

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("the client has left") }

func TestAccessOfTheRoutes(t *testing.T) {
	got := map[string]string{}
	for _, o := range newFixture(t).operations(t) {
		access := o.Access.Permission
		switch {
		case o.Access.Internal:
			access = "internal"
		case access == "":
			access = "signed in"
		case o.StepUp:
			access += " and a second factor"
		}
		got[strings.Replace(o.Route(), "/api/auth/audit", "", 1)] = access
	}
	want := map[string]string{
		"GET /entries": "auth.audit:inspect", "GET /export": "auth.audit:inspect", "GET /verify": "auth.audit:inspect",
		"GET /retention": "auth.audit:read", "PUT /retention": "auth.audit:write and a second factor",
		"GET /policy": "auth.audit:read", "PUT /policy": "auth.audit:write and a second factor",
		"POST /data-requests": "signed in", "GET /data-requests": "signed in", "GET /data-requests/{id}": "signed in",
		"GET /data-requests/{id}/download": "signed in", "GET /data-requests/{id}/person": "internal",
		"PUT /data-requests/{id}/parts/{group}": "internal",
	}
	gotText, err := json.Marshal(got)
	must(t, err)
	wantText, err := json.Marshal(want)
	must(t, err)
	if string(gotText) != string(wantText) {
		t.Errorf("routes %s\nwant   %s", gotText, wantText)
	}
	for role, permissions := range identity.BuiltInRoles() {
		if p := (identity.Principal{Access: &identity.Access{Permissions: permissions}}); p.Can("auth.audit:inspect") != (role == "owner" || role == "admin") {
			t.Errorf("%s: may look into the log: %v", role, p.Can("auth.audit:inspect"))
		}
	}
}
