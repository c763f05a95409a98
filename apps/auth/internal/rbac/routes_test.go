package rbac

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/topology"
)

// serve is the module's routes, where the user of the header Test-User acts with what they may do; permissions are not
// checked, as it is the host that does so.
func serve(t *testing.T, o *office) http.Handler {
	t.Helper()
	router := mux.NewRouter()
	api := humamux.New(router, huma.DefaultConfig("test", "1"))
	for _, operation := range group.Bind(group.Group{Spec: group.Spec{Name: topology.Auth}, Modules: []group.Module{NewModule(o.Service, o.rights)}}) {
		if err := operation.Check(); err != nil {
			t.Error(err)
		}
		operation.Register(api, func(ctx huma.Context, next func(huma.Context)) {
			user := ctx.Header("Test-User")
			p := as(user)
			if a, err := o.rights.Of(context.Background(), acme, user); err == nil {
				p.Access = &a
			}
			next(huma.WithContext(ctx, identity.With(ctx.Context(), p)))
		})
	}
	return router
}

func ask(t *testing.T, h http.Handler, method, path, user, body, match string, out any) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/api/auth/rbac"+path, strings.NewReader(body))
	if body == "" {
		r.Body = http.NoBody
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Test-User", user)
	if match != "" {
		r.Header.Set("If-Match", match)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			t.Fatalf("%s %s: %d %s: %v", method, path, w.Code, w.Body, err)
		}
	}
	return w.Result()
}

func TestRoutes(t *testing.T) {
	o := open(t, map[string][]string{"ada": {"owner"}, "bob": {"viewer"}})
	h := serve(t, o)
	for _, step := range []struct {
		method, path, user, body, match string
		want                            int
		code                            string
	}{
		{"POST", "/roles", "ada", `{"name":"campaigner","description":"Runs campaigns","permissions":["ml.*:read"]}`, "", 201, ""},
		{"POST", "/roles", "ada", `{"name":"campaigner","permissions":["ml.*:read"]}`, "", 409, authapi.CodeRoleExists},
		{"POST", "/roles", "ada", `{"name":"Campaigner","permissions":["ml.*:read"]}`, "", 422, ""},
		{"POST", "/roles", "ada", `{"name":"none","permissions":[]}`, "", 422, ""},
		{"POST", "/roles", "ada", `{"name":"null","permissions":null}`, "", 422, ""},
		{"POST", "/roles", "ada", `{"name":"odd","permissions":["read everything"]}`, "", 422, "validation_failed"},
		{"POST", "/roles", "ada", `{"name":"odd","permissions":["ml.*:read"],"built_in":true}`, "", 422, ""},
		{"GET", "/roles", "bob", "", "", 200, ""},
		{"GET", "/roles/campaigner", "bob", "", "", 200, ""},
		{"GET", "/roles/nothing", "bob", "", "", 404, "not_found"},
		{"PUT", "/roles/campaigner", "ada", `{"permissions":["ml.*:write"]}`, `"9"`, 412, "precondition_failed"},
		{"PUT", "/roles/campaigner", "ada", `{"permissions":["ml.*:write"]}`, `9`, 400, "bad_request"},
		{"PUT", "/roles/campaigner", "ada", `{"permissions":["ml.*:write"]}`, `"1"`, 200, ""},
		{"PUT", "/roles/viewer", "ada", `{"permissions":["ml.*:write"]}`, "", 409, authapi.CodeRoleBuiltIn},
		{"GET", "/members/bob/roles", "ada", "", "", 200, ""},
		{"GET", "/members/eve/roles", "ada", "", "", 404, "not_found"},
		{"PUT", "/members/bob/roles", "ada", `{"roles":["campaigner","viewer"]}`, `"1"`, 200, ""},
		{"PUT", "/members/bob/roles", "ada", `{"roles":["campaigner"]}`, `"1"`, 412, "precondition_failed"},
		{"PUT", "/members/bob/roles", "ada", `{"roles":[]}`, "", 422, ""},
		{"PUT", "/members/bob/roles", "ada", `{"roles":["king"]}`, "", 422, "validation_failed"},
		{"PUT", "/members/bob/roles", "ada", `{"roles":["owner","admin","manager","member","viewer","campaigner"]}`, "", 422, ""},
		{"PUT", "/members/ada/roles", "ada", `{"roles":["admin"]}`, "", 409, authapi.CodeLastOwner},
		{"PUT", "/members/ada/roles", "bob", `{"roles":["viewer"]}`, "", 403, authapi.CodeOwnersOnly},
		{"PUT", "/members/bob/roles", "bob", `{"roles":["admin"]}`, "", 403, authapi.CodeNotHeld},
		{"DELETE", "/roles/campaigner", "ada", "", "", 409, authapi.CodeRoleInUse},
		{"POST", "/grants", "ada", `{"user_id":"bob","permission":"ml.models:write","resource":"m1","expires_at":"2026-01-03T00:00:00Z"}`, "", 201, ""},
		{"POST", "/grants", "ada", `{"user_id":"bob","permission":"ml.models:write","resource":"m1","expires_at":"2026-01-01T00:00:00Z"}`, "", 422, "validation_failed"},
		{"POST", "/grants", "ada", `{"user_id":"eve","permission":"ml.models:write","resource":"m1"}`, "", 422, "validation_failed"},
		{"POST", "/grants", "ada", `{"user_id":"bob","permission":"ml.models:write","resource":""}`, "", 422, ""},
		{"POST", "/grants", "bob", `{"user_id":"bob","permission":"auth.rbac:write","resource":"m1"}`, "", 403, authapi.CodeNotHeld},
		{"GET", "/grants?user_id=bob&limit=1", "ada", "", "", 200, ""},
		{"GET", "/grants?cursor=mine", "ada", "", "", 400, "bad_request"},
		{"GET", "/grants/nothing", "ada", "", "", 404, "not_found"},
		{"DELETE", "/grants/nothing", "ada", "", "", 404, "not_found"},
		{"POST", "/check", "bob", `{"permission":"everything"}`, "", 422, ""},
		{"POST", "/check", "bob", `{"permission":"ml.models:read","user_id":"eve"}`, "", 404, "not_found"},
		{"POST", "/check/batch", "bob", `{"checks":[]}`, "", 422, ""},
		{"POST", "/check/batch", "bob", `{"checks":[` + strings.Repeat(`{"permission":"ml.models:read"},`, 100) + `{"permission":"ml.models:read"}]}`, "", 422, ""},
		{"PUT", "/catalogue/ml", "ada", `{"operations":[{"permission":"ml.models:read","method":"GET","path":"/api/ml/models"}]}`, "", 204, ""},
		{"PUT", "/catalogue/ml", "ada", `{"operations":[{"permission":"auth.rbac:write","method":"GET","path":"/api/ml/models"}]}`, "", 422, "validation_failed"},
		{"PUT", "/catalogue/gateway", "ada", `{"operations":[]}`, "", 404, "not_found"},
		{"POST", "/roles", "ada", `{"name":"misspelt","permissions":["ml.model:read"]}`, "", 422, "validation_failed"},
	} {
		var p struct{ Code string }
		var out any
		if step.want >= 400 {
			out = &p
		}
		resp := ask(t, h, step.method, step.path, step.user, step.body, step.match, out)
		if resp.StatusCode != step.want || p.Code != step.code {
			t.Errorf("%s %s %s by %s: %d %s; want %d %s", step.method, step.path, step.body, step.user, resp.StatusCode, p.Code, step.want, step.code)
		}
	}
}

func TestWhatIsCreatedSaysWhereItIs(t *testing.T) {
	h := serve(t, open(t, map[string][]string{"ada": {"owner"}}))
	var made, read authapi.Role
	resp := ask(t, h, "POST", "/roles", "ada", `{"name":"campaigner","description":"Runs campaigns","permissions":["ml.*:read","analytics.*:read"]}`, "", &made)
	if made.Name != "campaigner" || resp.Header.Get("Location") != "/api/auth/rbac/roles/campaigner" || resp.Header.Get("ETag") == "" {
		t.Errorf("headers %v", resp.Header)
	}
	again := ask(t, h, "GET", "/roles/campaigner", "ada", "", "", &read)
	if again.Header.Get("ETag") != resp.Header.Get("ETag") || read.Description != "Runs campaigns" || strings.Join(read.Permissions, " ") != "analytics.*:read ml.*:read" || read.BuiltIn {
		t.Errorf("%v %+v", again.Header, read)
	}
	var grant authapi.ResourceGrant
	resp = ask(t, h, "POST", "/grants", "ada", `{"user_id":"ada","permission":"ml.models:write","resource":"m1"}`, "", &grant)
	location := resp.Header.Get("Location")
	var found authapi.ResourceGrant
	ask(t, h, "GET", strings.TrimPrefix(location, "/api/auth/rbac"), "ada", "", "", &found)
	if grant.ID == "" || found != grant {
		t.Errorf("at %q is %+v; want %+v", location, found, grant)
	}
}

func TestChecks(t *testing.T) {
	o := open(t, map[string][]string{"ada": {"owner"}, "bob": {"viewer"}, "cat": {"clerk"}})
	o.role(t, "clerk", "auth.auth:read")
	if _, err := o.Grant(t.Context(), as("ada"), NewGrant{User: "bob", Permission: "ml.models:write", Resource: "m1"}); err != nil {
		t.Fatal(err)
	}
	h := serve(t, o)
	var one authapi.AccessDecision
	ask(t, h, "POST", "/check", "bob", `{"permission":"ml.models:write","resource":"m1"}`, "", &one)
	if !one.Allowed || one.Permission != "ml.models:write" || one.Resource != "m1" {
		t.Errorf("decision %+v", one)
	}
	var all authapi.AccessDecisions
	ask(t, h, "POST", "/check/batch", "ada", `{"checks":[
		{"permission":"ml.models:write","user_id":"bob"},
		{"permission":"ml.models:write","user_id":"bob","resource":"m1"},
		{"permission":"ml.models:write","user_id":"bob","resource":"m2"},
		{"permission":"ml.models:read","user_id":"bob"},
		{"permission":"ml.models:write"}]}`, "", &all)
	var got []bool
	for _, d := range all.Items {
		got = append(got, d.Allowed)
	}
	if want := []bool{false, true, false, true, true}; !slices.Equal(got, want) {
		t.Errorf("decisions %v; want %v", got, want)
	}
	if resp := ask(t, h, "POST", "/check", "cat", `{"permission":"ml.models:read","user_id":"bob"}`, "", nil); resp.StatusCode != 403 {
		t.Errorf("who may not read roles asks about others: %d", resp.StatusCode)
	}
	// A token's scope narrows what is said of its user, but not of others.
	narrow := as("ada", "auth.rbac:read")
	narrow.Access = &identity.Access{Permissions: []string{"*:*"}}
	answer, err := o.Check(t.Context(), o.rights, narrow, []authapi.AccessCheck{{Permission: "ml.models:read"}, {Permission: "ml.models:read", UserID: "bob"}})
	if err != nil || answer.Items[0].Allowed || !answer.Items[1].Allowed {
		t.Errorf("decisions %+v, %v", answer, err)
	}
}

func TestPermissionsAreThoseOfTheOperations(t *testing.T) {
	o := open(t, map[string][]string{"ada": {"owner"}})
	operations := group.Bind(group.Group{Spec: group.Spec{Name: topology.Auth}, Modules: []group.Module{NewModule(o.Service, o.rights)}})
	report := authapi.Catalogue{}
	for _, op := range operations {
		if op.Access.Permission != "" {
			report.Operations = append(report.Operations, authapi.CatalogueEntry{
				PermissionOperation: authapi.PermissionOperation{Method: op.Method, Path: op.Path}, Permission: op.Access.Permission,
			})
		}
	}
	for range 2 { // two processes that host the group
		if err := o.Report(t.Context(), topology.Auth, report); err != nil {
			t.Fatal(err)
		}
	}
	ml := authapi.Catalogue{Operations: []authapi.CatalogueEntry{{Permission: "ml.models:read"}}}
	if err := o.Report(t.Context(), topology.ML, ml); err != nil {
		t.Fatal(err)
	}
	all, err := o.Permissions(t.Context(), "")
	if err != nil || len(all.Items) != 3 || all.Items[0].Permission != "auth.rbac:read" || all.Items[1].Permission != "auth.rbac:write" || all.Items[2].Group != "ml" {
		t.Fatalf("%+v, %v", all, err)
	}
	if n := len(all.Items[0].Operations) + len(all.Items[1].Operations); n != len(report.Operations) {
		t.Errorf("%d operations; want %d", n, len(report.Operations))
	}
	if one, err := o.Permissions(t.Context(), topology.ML); err != nil || len(one.Items) != 1 {
		t.Errorf("%+v, %v", one, err)
	}
}
