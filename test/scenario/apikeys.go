package scenario

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const apiKeys = "/api/auth/api-keys"

// Key makes an API key. It saves the key itself, its id and its ETag: as name, "<name> id" and "<name> etag".
func Key(name string, body map[string]any) Step {
	body["name"] = name
	return Step{
		Name: "make the key " + name, Method: http.MethodPost, Path: apiKeys, Want: http.StatusCreated, Body: body,
		Has: map[string]any{"name": name, "status": "active", "header:Location": Present, "key": func(got string) error {
			if !strings.HasPrefix(got, "tdm_") {
				return fmt.Errorf("%q is no key that a scanner of secrets finds", got)
			}
			return nil
		}},
		Save: map[string]string{name: "key", name + " id": "id", name + " etag": "header:ETag"},
	}
}

// APIKeys is about keys with which machines act: on the routes of every group, within their scopes, from their networks, until
// they expire, get another secret or are revoked.
func APIKeys(t *testing.T, site Site) {
	vars := map[string]string{}
	Play(t, site, vars, Register(vars, "apikeys"))
	reads := func() map[string]any { return map[string]any{"scopes": []string{"integrations.*:read"}} }
	with := func(name, path string, status int, problem string) Step {
		s := Step{Name: fmt.Sprintf("%s: %d", name, status), Method: http.MethodGet, Path: path, Header: with(name), Want: status, Within: heeded}
		if problem != "" {
			s.Has = code(problem)
		}
		return s
	}
	const dashboard = "/api/analytics/dashboard?from=2026-01-01&to=2026-01-31"
	Play(t, site, vars, []Step{not(Key("export", reads()), "not without a second factor", http.StatusUnauthorized, "step_up_required")})
	Play(t, site, vars, Enrol())
	short := reads()
	short["expires_at"] = time.Now().Add(heeded).UTC().Format(time.RFC3339Nano)
	Play(t, site, vars, []Step{
		not(Key("export", map[string]any{"scopes": []string{}}), "no scopes", http.StatusUnprocessableEntity, "validation_failed"),
		not(Key("export", map[string]any{"scopes": []string{"orders"}}), "not a scope", http.StatusUnprocessableEntity, "validation_failed"),
		{Name: "what there is to give", Method: http.MethodGet, Path: rbac + "/permissions?group=integrations", Want: http.StatusOK, Within: 30 * time.Second, Contains: "integrations.records:read"},
		unknownPermission(Key("export", map[string]any{"scopes": []string{"integrations.no-such-module:read"}}), "integrations.no-such-module:read"),
		not(Key("export", map[string]any{"scopes": []string{"*:read"}, "networks": []string{"everywhere"}}), "not a network", http.StatusUnprocessableEntity, "validation_failed"),
		Key("short", short),
		Key("maker", map[string]any{"scopes": []string{"auth.api-keys:*"}}),
		Key("export", reads()),
		{Name: "it is shown once", Method: http.MethodGet, Path: apiKeys, Want: http.StatusOK, Has: map[string]any{"items.#": 3, "items.0.id": "${export id}", "items.0.last_used_at": nil}, Lacks: []string{"${export}", "tdm_"}},
		with("short", orders, http.StatusOK, ""),
		with("export", orders, http.StatusOK, ""),
		with("export", dashboard, http.StatusForbidden, "permission_denied"),
		with("export", me, http.StatusForbidden, "permission_denied"),
		{Name: "keys make no keys", Method: http.MethodPost, Path: apiKeys, Header: with("maker", "", 0, "").Header, Want: http.StatusForbidden, Body: map[string]any{"name": "x", "scopes": []string{"auth.api-keys:read"}}, Has: code("permission_denied")},
		{Name: "a typing error", Method: http.MethodGet, Path: orders, Header: map[string]string{"Authorization": "Bearer ${export}x"}, Want: http.StatusUnauthorized, Has: code("token_invalid")},
		{Name: "it was used", Method: http.MethodGet, Path: apiKeys + "/${export id}", Want: http.StatusOK, Within: heeded, Has: map[string]any{"last_used_at": Present}},
	})

	change := func(name string, networks ...string) Step {
		body := reads()
		body["name"], body["networks"] = "export", append([]string{}, networks...)
		return Step{
			Name: name, Method: http.MethodPut, Path: apiKeys + "/${export id}", Header: map[string]string{"If-Match": "${export etag}"}, Body: body,
			Want: http.StatusOK, Has: map[string]any{"networks.#": len(networks)}, Save: map[string]string{"export etag": "header:ETag"}, Lacks: []string{"tdm_"},
		}
	}
	rotate := func(hours int) Step {
		return Step{
			Name: "another secret", Method: http.MethodPost, Path: apiKeys + "/${export id}/rotate", Want: http.StatusOK, Body: map[string]int{"overlap_hours": hours},
			Has: map[string]any{"id": "${export id}", "rotated_at": Present}, Save: map[string]string{"renewed": "key"},
			Then: func(_ context.Context, _ []byte, vars map[string]string) error {
				if vars["renewed"] == vars["export"] {
					return fmt.Errorf("the secret is the same")
				}
				return nil
			},
		}
	}
	Play(t, site, vars, []Step{
		change("only from elsewhere", "203.0.113.0/24"),
		with("export", orders, http.StatusForbidden, "network_not_allowed"),
		{
			Name: "changed since it was read", Method: http.MethodPut, Path: apiKeys + "/${export id}", Header: map[string]string{"If-Match": `"99"`}, Want: http.StatusPreconditionFailed,
			Body: map[string]any{"name": "export", "scopes": []string{"*:read"}}, Has: code("precondition_failed"),
		},
		change("from anywhere"),
		rotate(1),
		with("export", orders, http.StatusOK, ""), // the secret before, too
		with("renewed", orders, http.StatusOK, ""),
	})
	vars["export"] = vars["renewed"]
	Play(t, site, vars, []Step{
		rotate(0), with("export", orders, http.StatusUnauthorized, "token_expired"), with("renewed", orders, http.StatusOK, ""),
		with("short", orders, http.StatusUnauthorized, "token_expired"),
		{Name: "revoke", Method: http.MethodDelete, Path: apiKeys + "/${export id}", Want: http.StatusNoContent},
		with("renewed", orders, http.StatusUnauthorized, "token_invalid"),
		{Name: "it is listed still", Method: http.MethodGet, Path: apiKeys + "/${export id}", Want: http.StatusOK, Has: map[string]any{"status": "revoked", "revoked_at": Present}},
	})
}
