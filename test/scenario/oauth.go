package scenario

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const shops = "/api/integrations/shopify"

// Authorizations is about a shop that its owner connects by a click on Shopify's page: what brings the tokens, what renews them, who
// can end them, and that none of it is for anybody else.
func Authorizations(t *testing.T, site Site) {
	ours, theirs := map[string]string{"shop": "authorized"}, map[string]string{}
	Play(t, site, ours, Register(ours, "oauth"))
	Play(t, site, theirs, Register(theirs, "nooauth"))
	begin := Step{
		Name: "begin", Method: http.MethodGet, Path: shops + "/oauth/authorize?account=${shop}.myshopify.com", Want: http.StatusOK,
		Has: map[string]any{"url": Present, "header:Set-Cookie": Present, "expires_in": 600}, Save: map[string]string{"page": "url"},
	}
	end := Step{
		Name: "end", Method: http.MethodPost, Path: shops + "/oauth/callback", Want: http.StatusCreated, Body: map[string]string{"query": "${query}"},
		Has:   map[string]any{"account": "${shop}.myshopify.com", "status": "active", "authorized": "true", "expires_at": Present},
		Lacks: []string{"shpat_", "shprt_"}, Save: map[string]string{"connection": "id"},
	}
	elsewhere := begin
	elsewhere.Path += "&return_to=" + url.QueryEscape("https://elsewhere.example/")
	nowhere := begin
	nowhere.Path = shops + "/oauth/authorize?account=elsewhere.example"
	Play(t, site, ours, []Step{
		not(elsewhere, "not to another site", http.StatusUnprocessableEntity, "validation_failed"),
		not(nowhere, "not of another host", http.StatusUnprocessableEntity, "validation_failed"),
		begin,
	})
	click(t, site, ours)
	theirs["query"] = ours["query"]
	forged := end
	forged.Body = map[string]string{"query": "${query}&per_user=1"}
	Play(t, site, theirs, []Step{not(end, "not by another organization", http.StatusUnprocessableEntity, "oauth_state_invalid")})
	Play(t, site, ours, []Step{
		{Name: "nor in another browser", Method: http.MethodGet, Path: shops + "/oauth/callback?${query}", Want: http.StatusUnprocessableEntity, Header: map[string]string{"Authorization": ""}, Has: code("oauth_state_invalid")},
		end,
		not(end, "once", http.StatusUnprocessableEntity, "oauth_state_invalid"),
		begin,
	})
	click(t, site, ours)
	expire := Step{Name: "the token ends early", Method: http.MethodPost, Path: site.shop("/tokens/expire"), Want: http.StatusNoContent}
	Play(t, site, ours, []Step{not(forged, "not forged", http.StatusUnprocessableEntity, "oauth_callback_forged"), expire})
	Play(t, site, ours, Sync("backfill"))
	Play(t, site, theirs, []Step{
		{Name: "nothing to refresh for others", Method: http.MethodPost, Path: shops + "/oauth/refresh?connection_id=" + ours["connection"], Want: http.StatusNotFound, Has: code("not_found")},
	})
	Play(t, site, ours, []Step{
		{Name: "it works", Method: http.MethodPost, Path: shops + "/test", Want: http.StatusOK, Has: map[string]any{"id": "${connection}"}},
		{Name: "refreshed a moment ago", Method: http.MethodPost, Path: shops + "/oauth/refresh", Want: http.StatusOK, Has: map[string]any{"status": "active"}},
		{
			Name: "by one refresh", Method: http.MethodGet, Path: site.shop("/requests"), Want: http.StatusOK,
			Has: map[string]any{"by_operation.refresh_token": 1, "by_operation.authorization_code": 1},
		},
		{Name: "the shop's owner removes the app", Method: http.MethodDelete, Path: site.shop("/tokens"), Want: http.StatusNoContent},
		{Name: "it does not work", Method: http.MethodPost, Path: shops + "/test", Want: http.StatusUnprocessableEntity},
		{
			Name: "and needs attention", Method: http.MethodGet, Path: shops + "/status", Want: http.StatusOK,
			Has: map[string]any{"items.0.status": "needs_attention", "items.0.problem.action": "authorize"},
		},
		begin,
	})
	click(t, site, ours)
	end.Want = http.StatusOK
	Play(t, site, ours, []Step{
		end,
		{Name: "disconnect", Method: http.MethodDelete, Path: shops, Want: http.StatusNoContent},
		{Name: "without a trace at the vendor", Method: http.MethodGet, Path: shops + "/status", Want: http.StatusOK, Has: map[string]any{"items.0.status": "disconnected", "items.0.problem": nil}},
		begin, // for nobody to finish
	})
}

// click installs the app on Shopify's page, and saves the query with which that sends the browser back.
func click(t *testing.T, site Site, vars map[string]string) {
	t.Helper()
	browser := *site.HTTP
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	watching := site
	watching.HTTP = &browser
	Play(t, watching, vars, []Step{
		{Name: "the vendor's page", Method: http.MethodGet, Path: "${page}", Want: http.StatusOK, Header: map[string]string{"Authorization": ""}, Contains: "Install app"},
		{Name: "a click", Method: http.MethodPost, Path: "${page}", Want: http.StatusFound, Header: map[string]string{"Authorization": ""}, Save: map[string]string{"back": "header:Location"}},
	})
	path, query, found := strings.Cut(vars["back"], "?")
	if !found || !strings.HasSuffix(path, shops+"/oauth/callback") {
		t.Fatalf("sent back to %s", vars["back"])
	}
	vars["query"] = query
}
