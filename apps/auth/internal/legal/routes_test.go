package legal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/topology"
)

// serve is the module's routes, where the header Test-User says who acts, and Test-Scope with what scope; it is the host
// that checks the rest.
func serve(t *testing.T, f *fixture) http.Handler {
	t.Helper()
	router := mux.NewRouter()
	api := humamux.New(router, huma.DefaultConfig("test", "1"))
	for _, o := range group.Bind(group.Group{Spec: group.Spec{Name: topology.Auth}, Modules: []group.Module{NewModule(f.Service)}}) {
		if err := o.Check(); err != nil {
			t.Error(err)
		}
		if !o.Access.Public && !o.Access.Internal && !o.BeforeAcceptance {
			t.Errorf("%s is not allowed to who has yet to accept", o.Route())
		}
		o.Register(api, func(ctx huma.Context, next func(huma.Context)) {
			p := identity.Principal{Subject: ctx.Header("Test-User"), Organization: "acme", Scope: strings.Fields(ctx.Header("Test-Scope"))}
			if p.Subject != "key:1" && p.Subject != "" {
				p.Session = "s-1"
			}
			inner := identity.With(ctx.Context(), p)
			next(huma.WithContext(ctx, audit.WithOrigin(inner, audit.Origin{Address: ctx.Header("X-Forwarded-For"), UserAgent: ctx.Header("User-Agent")})))
		})
	}
	return router
}

func TestRoutes(t *testing.T) {
	f := newFixture(t)
	h := serve(t, f)
	const two = `{"mandatory":true,"texts":[{"locale":"en","title":"Terms","text":"two"},{"locale":"de","title":"Bedingungen","text":"zwei"}]}`
	consent := func(version int, text string) string {
		return fmt.Sprintf(`{"kind":"terms","version":%d,"sha256":%q}`, version, hash(text))
	}
	for _, step := range []struct {
		method, path, who, body string
		want                    int
		says                    string
	}{
		{"GET", "/documents", "", "", 200, `"items":[]`},
		{"GET", "/documents/terms", "", "", 404, problem.CodeNotFound},
		{"PUT", "/documents/terms/versions/1", "", `{"texts":[{"locale":"en","title":"Terms","text":"one"}]}`, 200, `"in_force":true`},
		{"PUT", "/documents/terms/versions/2", "", two, 200, `"version":2`},
		{"PUT", "/documents/terms/versions/2", "", two, 200, `"version":2`},
		{"PUT", "/documents/terms/versions/4", "", two, 409, authapi.CodeNotNextVersion},
		{"PUT", "/documents/terms/versions/0", "", two, 422, "path.version"},
		{"PUT", "/documents/Terms/versions/1", "", two, 422, "path.kind"},
		{"PUT", "/documents/terms/versions/3", "", `{"texts":[]}`, 422, "body.texts"},
		{"PUT", "/documents/terms/versions/3", "", `{"texts":null}`, 422, "body.texts"},
		{"PUT", "/documents/terms/versions/3", "", `{"texts":[{"locale":"en","title":"Terms"}]}`, 422, "text"},
		{"PUT", "/documents/terms/versions/3", "", strings.Replace(two, "{", `{"effective_at":"2026-02-01T00:00:00+01:00",`, 1), 200, `"effective_at":"2026-01-31T23:00:00Z"`},
		{"DELETE", "/documents/terms/versions/2", "", "", 409, authapi.CodeInForce},
		{"DELETE", "/documents/terms/versions/3", "", "", 200, `"version":3`},
		{"GET", "/documents/terms", "", "", 200, `"text":"two"`},
		{"GET", "/documents/terms?locale=de-CH", "", "", 200, `"text":"zwei"`},
		{"GET", "/documents/terms?version=1&locale=de", "", "", 200, `"text":"one"`},
		{"GET", "/documents/terms?version=0", "", "", 422, "query.version"},
		{"GET", "/documents/terms?version=3", "", "", 404, problem.CodeNotFound},
		{"GET", "/pending", "ada", "", 200, `"required":true`},
		{"GET", "/pending", "key:1", "", 403, problem.CodeForbidden},
		{"GET", "/pending", "ada with auth.*:write", "", 403, problem.CodeForbidden},
		{"POST", "/acceptances", "ada", `{}`, 422, "body"},
		{"POST", "/acceptances", "ada", `{"kind":"terms","version":2,"sha256":"two"}`, 422, "body.sha256"},
		{"POST", "/acceptances", "ada", consent(0, "two"), 422, "body.version"},
		{"POST", "/acceptances", "ada", consent(1, "one"), 409, authapi.CodeNotCurrent},
		{"POST", "/acceptances", "ada", consent(2, "one"), 409, authapi.CodeTextMismatch},
		{"POST", "/acceptances", "ada", consent(9, "two"), 404, problem.CodeNotFound},
		{"POST", "/acceptances", "key:1", consent(2, "two"), 403, problem.CodeForbidden},
		{"POST", "/acceptances", "ada with auth.*:read", consent(2, "two"), 403, problem.CodeForbidden},
		{"POST", "/acceptances", "ada with auth.legal:write", consent(2, "zwei"), 201, `"locale":"de"`},
		{"POST", "/acceptances", "ada", consent(2, "two"), 201, `"locale":"de"`},
		{"GET", "/acceptances", "ada", "", 200, `"address":"203.0.113.7","user_agent":"a browser"`},
		{"GET", "/acceptances", "bob", "", 200, `"items":[]`},
		{"GET", "/acceptances?limit=0", "ada", "", 422, "query.limit"},
		{"GET", "/pending", "ada", "", 200, `"items":[]`},
	} {
		r := httptest.NewRequestWithContext(t.Context(), step.method, "/api/auth/legal"+step.path, strings.NewReader(step.body))
		if step.body == "" {
			r.Body = http.NoBody
		}
		user, scope, _ := strings.Cut(step.who, " with ")
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Test-User": user, "Test-Scope": scope, "X-Forwarded-For": "203.0.113.7", "User-Agent": "a browser",
		} {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != step.want || !strings.Contains(w.Body.String(), step.says) {
			t.Errorf("%s %s %s as %q: %d %s; want %d with %s", step.method, step.path, step.body, step.who, w.Code, w.Body, step.want, step.says)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: no JSON: %s", step.method, step.path, w.Body)
		}
	}
}
