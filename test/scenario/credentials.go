package scenario

import (
	"net/http"
	"strings"
	"testing"
)

const credentials = "/api/integrations/credentials"

// Credentials is about the vault: a secret is shown by its end only, who used it when is known, it can be tried, and it is nobody
// else's.
func Credentials(t *testing.T, site Site) {
	ours, theirs, grace := map[string]string{"shop": "vault"}, map[string]string{}, map[string]string{}
	Play(t, site, ours, Register(ours, "vault"))
	Play(t, site, theirs, Register(theirs, "novault"))
	Join(t, site, ours, grace, "keyless", "viewer")
	end := shopToken[len(shopToken)-4:]
	hidden := []string{strings.TrimPrefix(shopToken, "shpat_"), shopToken[:10], shopToken[len(shopToken)-5:], "nvelope"}
	masked := map[string]any{
		"items.#": 1, "items.0.connection_id": "${connection}", "items.0.vendor": "shopify", "items.0.account": "${shop}.myshopify.com", "items.0.kind": "key",
		"items.0.masked": "****" + end, "items.0.sealed_with.id": Present, "items.0.sealed_with.current": "true", "items.0.rotatable": "false", "items.0.given_at": Present, "items.0.expires_at": nil,
	}
	Play(t, site, ours, Connect())
	unused := Step{Name: "unused", Method: http.MethodGet, Path: credentials, Want: http.StatusOK, Lacks: hidden, Has: masked}
	Play(t, site, ours, []Step{unused, {Name: "by nobody", Method: http.MethodGet, Path: credentials, Want: http.StatusOK, Has: map[string]any{"items.0.last_use": nil}}})
	Play(t, site, ours, Sync("backfill"))
	one := credentials + "/${connection}"
	Play(t, site, ours, []Step{
		{
			Name: "used by a sync", Method: http.MethodGet, Path: credentials, Want: http.StatusOK, Lacks: hidden,
			Has: map[string]any{"items.0.last_use.purpose": "sync", "items.0.last_use.actor": "${user}", "items.0.last_use.run_id": "${run}", "items.0.last_use.until": Present},
		},
		{
			Name: "tried", Method: http.MethodPost, Path: one + "/test", Want: http.StatusOK, Lacks: hidden,
			Has: map[string]any{"connection_id": "${connection}", "status": "active", "masked": "****" + end, "last_use.purpose": "test"},
		},
		{
			Name: "who used it when", Method: http.MethodGet, Path: one, Want: http.StatusOK, Lacks: hidden,
			Has: map[string]any{"uses.#": 2, "uses.0.purpose": "test", "uses.0.actor": "${user}", "uses.1.purpose": "sync", "uses.1.run_id": "${run}"},
		},
		{Name: "a key is not rotated", Method: http.MethodPost, Path: one + "/rotate", Want: http.StatusConflict, Has: code("connection_not_authorized")},
	})
	theirs["connection"], grace["connection"] = ours["connection"], ours["connection"]
	Play(t, site, theirs, []Step{
		{Name: "nothing of others", Method: http.MethodGet, Path: credentials, Want: http.StatusOK, Has: map[string]any{"items.#": 0}},
		{Name: "nor by its id", Method: http.MethodGet, Path: one, Want: http.StatusNotFound, Has: code("not_found")},
		{Name: "nor to try", Method: http.MethodPost, Path: one + "/test", Want: http.StatusNotFound, Has: code("not_found")},
		{Name: "nor to rotate", Method: http.MethodPost, Path: one + "/rotate", Want: http.StatusNotFound, Has: code("not_found")},
	})
	Play(t, site, ours, []Step{Role("without-vault", "auth.auth:read", "integrations.records:read")})
	denied := code("permission_denied")
	Play(t, site, grace, []Step{
		may(credentials),
		{Name: "a viewer tries nothing", Method: http.MethodPost, Path: one + "/test", Want: http.StatusForbidden, Has: denied},
		{Name: "nor rotates", Method: http.MethodPost, Path: one + "/rotate", Want: http.StatusForbidden, Has: denied},
		{Name: "nor sees how all are sealed", Method: http.MethodGet, Path: credentials + "/sealing", Want: http.StatusForbidden, Has: denied},
	})
	Play(t, site, ours, []Step{Assign(grace["user"], "without-vault")})
	Play(t, site, grace, []Step{
		mayNot(credentials),
		{Name: "nor one", Method: http.MethodGet, Path: one, Want: http.StatusForbidden, Has: denied},
	})
	Play(t, site, ours, []Step{
		{Name: "disconnect", Method: http.MethodDelete, Path: shops + "?connection_id=${connection}", Want: http.StatusNoContent},
		{
			Name: "only who used it is left", Method: http.MethodGet, Path: one, Want: http.StatusOK,
			Has: map[string]any{"status": "disconnected", "masked": nil, "sealed_with": nil, "uses.#": 2},
		},
	})
}
