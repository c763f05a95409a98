package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// public are the operations that need no token; what is public and not among them is so by accident.
var public = []string{
	"post-auth-register", "post-auth-login", "post-auth-refresh", "get-auth-jwks", "post-auth-password-reset-request", "post-auth-password-reset",
	"post-auth-email-verification-resend", "post-auth-email-verification-confirm",
	"post-auth-mfa-challenge", "post-auth-mfa-verify", "post-auth-mfa-passkeys-login-begin", "post-auth-mfa-passkeys-login-finish",
	"get-auth-legal-documents", "get-auth-legal-documents-kind",
	"get-auth-organizations-invitations-token", "post-auth-organizations-invitations-register",
	"post-auth-sso-discover", "get-auth-sso-connection-start", "get-auth-sso-oidc-connection-callback", "post-auth-sso-token",
	"post-auth-sso-saml-connection-acs", "get-auth-sso-saml-connection-metadata",
	"post-integrations-webhooks-vendor", "post-integrations-webhooks-vendor-connection_id", "get-integrations-webhooks-vendor",
}

// isPublic tells whether an operation is one of them, or where a vendor sends people back to.
func isPublic(id string) bool {
	return slices.Contains(public, id) || strings.HasPrefix(id, "get-integrations-") && strings.HasSuffix(id, "-oauth-callback")
}

// nobodys is an id that nothing has.
const nobodys = "0190c5a2-0000-7000-8000-000000000000"

// EveryOperation walks the whole API document: without a token each operation that is not public is a 401, without its
// permission a 403, without a second factor that it asks for a 401 again, and each says what it is for.
func EveryOperation(t *testing.T, site Site) {
	vars := map[string]string{}
	Play(t, site, vars, Register(vars, "everyoperation"))
	full := vars["token"]
	Play(t, site, vars, []Step{Login(map[string]string{"scope": "infrastructure.kong:read"})})
	narrow := vars["token"]
	doc := readDocument(t, site)
	walked := map[string]int{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			walked[strings.Split(path, "/")[2]]++
			walked[op.ID]++
			if op.Summary == "" {
				t.Errorf("%s %s does not say what it is for", method, path)
			}
			if listed := isPublic(op.ID); listed != op.public() {
				t.Errorf("%s %s (%s) is public: %t; listed as that: %t", method, path, op.ID, op.public(), listed)
			}
			for status, response := range op.Responses {
				shown := response.Content["application/problem+json"].Example
				if status >= "400" && (fmt.Sprint(shown.Status) != status || shown.Code == "") {
					t.Errorf("%s %s shows %+v as an example of its %s", method, path, shown, status)
				}
			}
			path := fill(path, func(string) string { return nobodys })
			try := func(token string, want int, code string) {
				t.Helper()
				step := Step{Method: strings.ToUpper(method), Path: path, Want: want, Has: map[string]any{"code": code}}
				if want == http.StatusNotFound {
					step.Path = doc.request(method, path, op, nobodys).Path
				}
				if _, _, err := step.Do(t.Context(), site, map[string]string{"token": token}); err != nil {
					t.Errorf("%s %s: %v", method, path, err)
				}
			}
			if op.public() {
				continue
			}
			try("", http.StatusUnauthorized, "unauthenticated")
			if op.Permission != "" {
				try(narrow, http.StatusForbidden, "permission_denied")
			}
			switch {
			case op.ACR != "":
				try(full, http.StatusUnauthorized, "step_up_required")
			case method == "get" && strings.Contains(path, nobodys):
				try(full, http.StatusNotFound, "not_found")
			}
		}
	}
	for _, name := range append([]string{"auth", "integrations", "analytics"}, public...) {
		if walked[name] == 0 {
			t.Errorf("the document has nothing of %s", name)
		}
	}
}

// theirLists are what the owner of an organization reads of it, to see whether something has changed.
var theirLists = []string{
	sessions, mfa, mfa + "/devices", "/api/auth/rbac/roles", "/api/auth/rbac/grants", "/api/auth/rbac/members/${user}/roles",
	organizations + "/current", organizations + "/members", organizations + "/invitations", apiKeys, sso + "/connections", sso + "/domains",
	audit + "/policy", audit + "/retention", "/api/integrations/shopify/status", "/api/integrations/sync/runs",
}

// AnotherTenantsIDs walks the whole API document with the ids of things that another organization really has. Where an
// operation takes one in its path it says 404; in its query or body nothing comes of it; and the things are as they were.
func AnotherTenantsIDs(t *testing.T, site Site) {
	ours, theirs := map[string]string{"shop": "demo"}, map[string]string{}
	Play(t, site, ours, Register(ours, "tenantone"))
	Play(t, site, theirs, Register(theirs, "tenanttwo"))
	Play(t, site, theirs, Enrol()) // what asks for a second factor shall not refuse them for the want of one
	foreign := furnish(t, site, ours)
	before := read(t, site, ours, theirLists)

	w := walk{t: t, site: site, doc: readDocument(t, site), vars: theirs, secrets: []string{ours["email"]}}
	for _, id := range foreign {
		w.secrets = append(w.secrets, id)
	}
	inPath, inRequest := 0, 0
	for template, methods := range w.doc.Paths {
		for method, op := range methods {
			if op.public() {
				continue
			}
			if strings.Contains(template, "{") {
				inPath++
				w.path(method, template, op, foreign)
			}
			if w.doc.takes(op) {
				inRequest++
				w.request(method, template, op, foreign)
			}
		}
	}
	if inPath < 15 || inRequest < 4 {
		t.Errorf("%d operations with an id in the path, %d with one in query or body: some are missing", inPath, inRequest)
	}

	for path, now := range read(t, site, ours, theirLists) {
		if !bytes.Equal(now, before[path]) {
			t.Errorf("%s was changed by the other organization: %s; before %s", path, now, before[path])
		}
	}
}

// furnish gives an organization one of each kind of thing that has an id, and returns the ids by kind.
func furnish(t *testing.T, site Site, vars map[string]string) map[string]string {
	t.Helper()
	Play(t, site, vars, Connect())
	Play(t, site, vars, Sync("incremental"))
	Join(t, site, vars, map[string]string{}, "memberofone", "viewer")
	Play(t, site, vars, Enrol())
	laptop := showsCode(Challenged(nil), 1)
	laptop.Header = map[string]string{"Authorization": "", "User-Agent": "Laptop of tenant one"}
	remember := Show("totp", "${code}")
	remember.Header, remember.Save = laptop.Header, nil
	remember.Body = map[string]any{"challenge": "${challenge}", "method": "totp", "code": "${code}", "remember_device": true}
	remember.Has = map[string]any{"device_token": Present}
	idp, err := IdentityProvider("https://idp.tenant-one.example/metadata")
	if err != nil {
		t.Fatal(err)
	}
	Play(t, site, vars, []Step{
		laptop, remember, idp,
		{Name: "the remembered device", Method: http.MethodGet, Path: mfa + "/devices", Want: http.StatusOK, Save: map[string]string{"remembered": "items.0.id"}},
		{Name: "sessions", Method: http.MethodGet, Path: sessions, Want: http.StatusOK, Has: map[string]any{"items.#": 2}, Save: map[string]string{"device": "items.0.device_id", "session": "items.0.id"}},
		{Name: "members", Method: http.MethodGet, Path: organizations + "/members", Want: http.StatusOK, Save: map[string]string{"member": "items.1.id"}},
		Invite("somebody@example.com", "viewer"),
		{Name: "which has been mailed", Method: http.MethodGet, Path: organizations + "/invitations", Want: http.StatusOK, Within: mailWithin, Has: map[string]any{"items.0.sent_at": Present}},
		{
			Name: "a role", Method: http.MethodPost, Path: "/api/auth/rbac/roles", Want: http.StatusCreated, Save: map[string]string{"role": "name"},
			Body: map[string]any{"name": "bookkeeper", "permissions": []string{"analytics.*:read"}},
		},
		{
			Name: "a grant", Method: http.MethodPost, Path: "/api/auth/rbac/grants", Want: http.StatusCreated, Save: map[string]string{"grant": "id"},
			Body: map[string]string{"user_id": "${member}", "permission": "integrations.sync:read", "resource": "${run}"},
		},
		{
			Name: "an API key", Method: http.MethodPost, Path: apiKeys, Want: http.StatusCreated, Save: map[string]string{"key": "id"},
			Body: map[string]any{"name": "Nightly export", "scopes": []string{"analytics.*:read"}},
		},
		{Name: "a domain", Method: http.MethodPost, Path: sso + "/domains", Want: http.StatusCreated, Body: map[string]string{"domain": "tenant-one.example"}, Save: map[string]string{"domain": "domain"}},
		{Name: "a data request", Method: http.MethodPost, Path: audit + "/data-requests", Want: http.StatusAccepted, Body: map[string]string{"kind": "export"}, Save: map[string]string{"data request": "id"}},
	})
	kinds := map[string]string{}
	for _, kind := range []string{
		"organization", "user", "session", "device", "connection", "run", "remembered", "member", "invitation", "role", "grant", "key", "domain", "provider", "data request",
	} {
		kinds[kind] = vars[kind]
	}
	return kinds
}

// read is what an organization's owner gets at paths.
func read(t *testing.T, site Site, vars map[string]string, paths []string) map[string][]byte {
	t.Helper()
	answers := map[string][]byte{}
	for _, path := range paths {
		_, body, err := Step{Method: http.MethodGet, Path: path, Want: http.StatusOK}.Do(t.Context(), site, vars)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		answers[path] = body
	}
	return answers
}

// walk tries ids on operations.
type walk struct {
	t    *testing.T
	site Site
	doc  document
	// vars are those of whoever tries.
	vars map[string]string
	// secrets are what no answer may have in it.
	secrets []string
}

// path tries an id of every kind in every place: a wrong kind is no reason for another answer. Where there are two places, the
// other one has the same id, or one of who tries.
func (w walk) path(method, template string, op operation, foreign map[string]string) {
	others := []string{""}
	if len(places(template)) > 1 {
		others = append(others, w.vars["user"], w.vars["organization"])
	}
	for _, place := range places(template) {
		for _, kind := range slices.Sorted(maps.Keys(foreign)) {
			for _, other := range others {
				path := fill(template, func(name string) string {
					if name == place || other == "" {
						return foreign[kind]
					}
					return other
				})
				s := w.doc.request(method, path, op, foreign[kind])
				s.Want, s.Has, s.Lacks = http.StatusNotFound, code("not_found"), w.secrets
				if _, _, err := s.Do(w.t.Context(), w.site, w.vars); err != nil {
					w.t.Errorf("%s %s with another organization's %s as %s: %v", method, template, kind, place, err)
				}
			}
		}
	}
}

// request tries an id of every kind wherever query and body take one: nothing is found, or the request is refused.
func (w walk) request(method, template string, op operation, foreign map[string]string) {
	for _, kind := range slices.Sorted(maps.Keys(foreign)) {
		s := w.doc.request(method, fill(template, func(string) string { return w.vars["user"] }), op, foreign[kind])
		resp, body, err := s.send(w.t.Context(), w.site, w.vars)
		if err == nil {
			err = w.nothing(method, resp.StatusCode, body)
		}
		if err != nil {
			w.t.Errorf("%s %s with another organization's %s: %v", method, s.Path, kind, err)
		}
	}
}

// nothing is an error unless an answer tells of nothing.
func (w walk) nothing(method string, status int, body []byte) error {
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	switch {
	case status >= http.StatusInternalServerError:
		return fmt.Errorf("status %d: %.500s", status, body)
	case status >= http.StatusBadRequest:
	case method != "get" || json.Unmarshal(body, &list) == nil && len(list.Items) > 0:
		return fmt.Errorf("status %d, want a refusal: %.500s", status, body)
	}
	for _, secret := range w.secrets {
		if bytes.Contains(body, []byte(secret)) {
			return fmt.Errorf("the answer has %s in it: %.500s", secret, body)
		}
	}
	return nil
}
