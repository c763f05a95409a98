package scenario

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// Register is the first step of most scenarios: an organization with its owner, signed in. It saves
// "token", "refresh", "organization", "user", "email" and "password".
func Register(vars map[string]string, name string) []Step {
	vars["email"] = fmt.Sprintf("%s-%d@example.com", name, time.Now().UnixNano())
	vars["password"] = "correct horse battery " + name
	return []Step{
		{
			Name: name + " registers", Method: http.MethodPost, Path: "/api/auth/register", Want: http.StatusCreated,
			Header: map[string]string{"Authorization": ""},
			Body: map[string]any{
				"organization": map[string]string{"name": "Store of " + name},
				"email":        "${email}", "password": "${password}", "first_name": "Ada", "last_name": "Lovelace",
			},
			Has:   map[string]any{"user.email": "${email}", "organization.name": "Store of " + name},
			Lacks: []string{"${password}", "argon2"},
			Save:  map[string]string{"user": "user.id", "organization": "organization.id"},
		},
		Login(nil),
	}
}

// Login signs in as "email" with "password", and sends what is in more beside them. It saves "token" and
// "refresh".
func Login(more map[string]string) Step {
	body := map[string]string{"email": "${email}", "password": "${password}"}
	for k, v := range more {
		body[k] = v
	}
	return Step{
		Name: "login", Method: http.MethodPost, Path: "/api/auth/login", Want: http.StatusOK, Body: body,
		Header: map[string]string{"Authorization": ""},
		Has:    map[string]any{"token_type": "Bearer", "expires_in": "900"},
		Lacks:  []string{"${password}"},
		Save:   map[string]string{"token": "access_token", "refresh": "refresh_token"},
	}
}

// shopToken is a token that the sandbox takes.
const shopToken = "shpat_5ca1ab1e5ca1ab1e"

// Connect connects the shop of vars["shop"]. It saves "connection".
func Connect() []Step {
	return []Step{
		{
			Name: "connect a shop", Method: http.MethodPost, Path: "/api/integrations/shopify/connect", Want: http.StatusCreated,
			Body:  map[string]string{"shop": "${shop}.myshopify.com", "access_token": shopToken},
			Has:   map[string]any{"account": "${shop}.myshopify.com", "status": "active"},
			Lacks: []string{shopToken},
			Save:  map[string]string{"connection": "id"},
		},
		{
			Method: http.MethodGet, Path: "/api/integrations/shopify/status", Want: http.StatusOK,
			Lacks: []string{shopToken},
		},
	}
}

const syncRun = "/api/integrations/sync/runs/${run}"

// Sync starts a sync and waits for its end. It saves "run".
func Sync(mode string) []Step {
	return append([]Step{StartSync(mode)}, SyncEnds(false)...)
}

// SyncHasBegun waits until a sync has read some pages, and is not done.
func SyncHasBegun() Step {
	return Step{
		Name: "the sync has begun", Method: http.MethodGet, Path: syncRun, Want: http.StatusOK, Within: 30 * time.Second,
		Has: map[string]any{"status": "running", "pages": func(got string) error {
			if pages, err := strconv.Atoi(got); err != nil || pages < 2 {
				return fmt.Errorf("%q pages, want 2 or more", got)
			}
			return nil
		}},
	}
}

// SyncEnds waits until a sync has succeeded; with all, it has read every CDNOW order.
func SyncEnds(all bool) []Step {
	has := map[string]any{"status": "succeeded", "error": nil}
	if all {
		has["records"] = 6919
	}
	return []Step{{
		Name: "the sync ends", Method: http.MethodGet, Path: syncRun, Want: http.StatusOK, Has: has, Within: 4 * time.Minute,
	}}
}

// StartSync starts a sync of the connection's orders. It saves "run".
func StartSync(mode string) Step { return StartSyncOf("orders", mode) }

// StartSyncOf starts a sync of a stream of the connection. It saves "run".
func StartSyncOf(stream, mode string) Step {
	return Step{
		Name: "start a sync of " + stream, Method: http.MethodPost, Path: "/api/integrations/sync/runs", Want: http.StatusAccepted,
		Body: map[string]string{"connection_id": "${connection}", "mode": mode, "stream": stream},
		Has:  map[string]any{"id": Present},
		Save: map[string]string{"run": "id"},
	}
}

// DashboardOfAll shows all of the CDNOW orders: 6,919 of 2,357 customers, January 1997 to June 1998.
const DashboardOfAll = "/api/analytics/dashboard?from=1997-01-01&to=1998-06-30&granularity=month&tz=UTC"

const dashboardOfMarch = "/api/analytics/dashboard?from=1997-03-01&to=1997-03-31&granularity=day&tz=UTC"

// Dashboards checks the figures of the CDNOW orders.
func Dashboards() []Step {
	return []Step{
		{
			Name: "the dashboard of all", Method: http.MethodGet, Path: DashboardOfAll, Want: http.StatusOK, Within: 60 * time.Second,
			Has: map[string]any{
				"totals.orders": 6919, "totals.customers": 2357, "totals.revenue": "244091.94", "totals.currency": "USD",
				"series.#": 18, "series.2.orders": 1204, "series.2.customers": 948, "series.2.revenue": "43472.10",
			},
		},
		{
			Name: "the dashboard of March 1997", Method: http.MethodGet, Path: dashboardOfMarch, Want: http.StatusOK, Within: 10 * time.Second,
			Has: map[string]any{"totals.orders": 1204, "totals.customers": 948, "totals.revenue": "43472.10", "series.#": 31},
		},
	}
}

// pauses leave a connection alone for a while.
func pauses() []Step {
	step := func(name, path string, want int, has map[string]any) Step {
		body := map[string]string{"connection_id": "${connection}"}
		if path == "runs" {
			body["mode"], body["stream"] = "incremental", "orders"
		}
		return Step{Name: name, Method: http.MethodPost, Path: "/api/integrations/sync/" + path, Want: want, Body: body, Has: has}
	}
	resumed := step("which starts again", "runs", http.StatusAccepted, map[string]any{"paused": nil})
	resumed.Save = map[string]string{"run": "id"}
	return append([]Step{
		step("pause the connection", "pause", http.StatusOK, map[string]any{"paused_at": Present}),
		step("no sync of it starts", "runs", http.StatusConflict, code("connection_paused")),
		{
			Name: "everybody sees it", Method: http.MethodGet, Path: "/api/integrations", Want: http.StatusOK,
			Has: map[string]any{"items.6.vendor": "shopify", "items.6.connections.0.health": "paused", "items.6.connections.0.next_sync_at": nil},
		},
		step("resume it", "resume", http.StatusOK, map[string]any{"paused_at": nil}),
		resumed,
	}, SyncEnds(false)...)
}

// Slice is the product's job from end to end: an organization signs up, connects a shop, its orders
// are synced, a dashboard shows them, and another organization sees none of it.
func Slice(t *testing.T, site Site) {
	ours, theirs := map[string]string{"shop": "demo"}, map[string]string{}
	Play(t, site, ours, Register(ours, "ours"))
	Play(t, site, ours, []Step{
		{Method: http.MethodGet, Path: "/api/auth/me", Want: http.StatusOK, Has: map[string]any{"user.id": "${user}", "organization.id": "${organization}"}},
	})
	Play(t, site, ours, []Step{{
		Name: "one welcome mail", Method: http.MethodGet, Path: site.Devstack + "/inbox/messages?to=${email}", Want: http.StatusOK,
		Within: 30 * time.Second, Has: map[string]any{"messages.#": 1, "messages.0.subject": Present},
	}})
	Play(t, site, ours, Connect())
	Play(t, site, ours, []Step{StartSync("backfill")})
	Play(t, site, ours, SyncEnds(site.Orders))
	if site.Orders {
		Play(t, site, ours, Dashboards())
	}
	Play(t, site, ours, []Step{
		{
			Name: "a page of records", Method: http.MethodGet, Path: "/api/integrations/records/orders?limit=3", Want: http.StatusOK,
			Has: map[string]any{"items.#": 3, "items.0.total_minor": Present, "items.0.currency": "USD", "next_cursor": Present},
		},
	})

	Play(t, site, theirs, Register(theirs, "theirs"))
	theirs["run"], theirs["connection"] = ours["run"], ours["connection"]
	Play(t, site, theirs, []Step{
		{Name: "another's run", Method: http.MethodGet, Path: "/api/integrations/sync/runs/${run}", Want: http.StatusNotFound, Has: map[string]any{"code": "not_found"}},
		{
			Name: "a sync of another's connection", Method: http.MethodPost, Path: "/api/integrations/sync/runs", Want: http.StatusNotFound,
			Body: map[string]string{"connection_id": "${connection}", "mode": "backfill"},
		},
		{
			Name: "a pause of another's connection", Method: http.MethodPost, Path: "/api/integrations/sync/pause", Want: http.StatusNotFound,
			Body: map[string]string{"connection_id": "${connection}"},
		},
		{
			Name: "nor is it resumed", Method: http.MethodPost, Path: "/api/integrations/sync/resume", Want: http.StatusNotFound,
			Body: map[string]string{"connection_id": "${connection}"},
		},
		{Name: "no records", Method: http.MethodGet, Path: "/api/integrations/records/orders", Want: http.StatusOK, Has: map[string]any{"items.#": 0}},
		{Name: "no figures", Method: http.MethodGet, Path: DashboardOfAll, Want: http.StatusOK, Has: map[string]any{"totals.orders": nil}},
		{Name: "no connections", Method: http.MethodGet, Path: "/api/integrations/shopify/status", Want: http.StatusOK, Lacks: []string{"${connection}"}},
	})
	Play(t, site, ours, pauses())
	Play(t, site, ours, []Step{
		{Name: "disconnect", Method: http.MethodDelete, Path: "/api/integrations/shopify", Want: http.StatusNoContent},
		{
			Name: "a sync without credentials", Method: http.MethodPost, Path: "/api/integrations/sync/runs", Want: http.StatusConflict,
			Body: map[string]string{"connection_id": "${connection}", "mode": "backfill"},
		},
	})
}
