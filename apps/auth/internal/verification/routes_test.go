package verification

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/topology"
)

// TestRoutes walks from a new account to another address, with the user in the header Test-User.
func TestRoutes(t *testing.T) {
	f := newFixture(t)
	f.person(t, "ada", "ada@example.com", false)
	router := mux.NewRouter()
	api := humamux.New(router, huma.DefaultConfig("test", "1"))
	for _, o := range group.Bind(group.Group{Spec: group.Spec{Name: topology.Auth}, Modules: []group.Module{NewModule(f.Service)}}) {
		if err := o.Check(); err != nil {
			t.Error(err)
		}
		o.Register(api, func(ctx huma.Context, next func(huma.Context)) {
			p := identity.Principal{Subject: ctx.Header("Test-User"), Organization: "acme"}
			if p.Subject != "key:1" {
				p.Session, p.Access = "s-1", &identity.Access{Permissions: identity.OwnPermissions()}
			}
			next(huma.WithContext(ctx, identity.With(ctx.Context(), p)))
		})
	}
	email := func(address string) string { return fmt.Sprintf(`{"email":%q}`, address) }
	link := func(to, subject string) func() string {
		return func() string { return fmt.Sprintf(`{"token":%q}`, f.last(t, to, subject)) }
	}
	withPassword := func(to, subject string) func() string {
		return func() string {
			return fmt.Sprintf(`{"token":%q,"password":%q}`, f.last(t, to, subject), goodPassword)
		}
	}
	is := func(body string) func() string { return func() string { return body } }
	for _, step := range []struct {
		method, path, user string
		body               func() string
		want               int
		says               string
	}{
		{"GET", "", "ada", is(""), 200, `"verified":false`},
		{"GET", "", "key:1", is(""), 403, problem.CodeForbidden},
		{"POST", "/send", "ada", is(""), 202, ""},
		{"POST", "/send", "ada", is(""), 429, problem.CodeRateLimited},
		{"POST", "/resend", "", is(email("ada@example.com")), 429, problem.CodeRateLimited},
		{"POST", "/resend", "", is(email("nobody@example.com")), 202, ""},
		{"POST", "/resend", "", is(email("nobody")), 422, "body.email"},
		{"POST", "/resend", "", is(`{}`), 422, "email"},
		{"POST", "/confirm", "", is(`{"token":""}`), 422, "body.token"},
		{"POST", "/confirm", "", is(`{"token":"made-up"}`), 410, authapi.CodeEmailLinkInvalid},
		{"POST", "/confirm", "", link("ada@example.com", verifySubject), 403, authapi.CodeEmailLinkNeedsSignIn},
		{"POST", "/confirm", "", withPassword("ada@example.com", verifySubject), 200, `"result":"verified"`},
		{"POST", "/confirm", "", link("ada@example.com", verifySubject), 410, authapi.CodeEmailLinkInvalid},
		{"POST", "/send", "ada", is(""), 409, authapi.CodeEmailAlreadyVerified},
		{"POST", "/change", "ada", is(email("ada@example.com")), 422, "body.email"},
		{"POST", "/change", "key:1", is(email("ada@example.org")), 403, problem.CodeForbidden},
		{"POST", "/change", "ada", is(email("ada@example.org")), 202, `"agreed_by_current":false`},
		{"GET", "", "ada", is(""), 200, `"email":"ada@example.org"`},
		{"POST", "/confirm", "ada", link("ada@example.org", verifySubject), 200, `"result":"agreed"`},
		{"POST", "/confirm", "", link("ada@example.com", approveSubject), 200, `"result":"changed"`},
		{"DELETE", "/change", "ada", is(""), 204, ""},
		{"GET", "", "ada", is(""), 200, `"email":"ada@example.org","verified":true`},
	} {
		body := step.body()
		r := httptest.NewRequestWithContext(t.Context(), step.method, "/api/auth/email-verification"+step.path, strings.NewReader(body))
		if body == "" {
			r.Body = http.NoBody
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Test-User", step.user)
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		if w.Code != step.want || !strings.Contains(w.Body.String(), step.says) {
			t.Errorf("%s %s %s: %d %s; want %d with %s", step.method, step.path, body, w.Code, w.Body, step.want, step.says)
		}
		if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") != "60" {
			t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
		}
	}
}
