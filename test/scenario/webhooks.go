package scenario

import (
	"net/http"
	"testing"
	"time"
)

const webhooks = "/api/integrations/webhooks"

// Webhooks is about a shop that tells of its orders: they are in the records without anybody asking for a sync, whatever is sent
// twice, late or by somebody else, and the app's removal is known at once.
func Webhooks(t *testing.T, site Site) {
	ours, theirs := map[string]string{"shop": "hooked"}, map[string]string{}
	Play(t, site, ours, Register(ours, "hooked"))
	Play(t, site, theirs, Register(theirs, "unhooked"))
	begin := Step{
		Name: "begin", Method: http.MethodGet, Path: shops + "/oauth/authorize?account=${shop}.myshopify.com", Want: http.StatusOK, Save: map[string]string{"page": "url"},
	}
	Play(t, site, ours, []Step{begin})
	click(t, site, ours)
	Play(t, site, ours, []Step{{
		Name: "end", Method: http.MethodPost, Path: shops + "/oauth/callback", Want: http.StatusCreated, Body: map[string]string{"query": "${query}"},
		Save: map[string]string{"connection": "id"},
	}})
	Play(t, site, ours, Sync("backfill"))
	subscribe := func(name string, more map[string]any) Step {
		body := map[string]any{"address": site.API + webhooks + "/shopify", "topics": []string{"orders/create", "orders/updated", "app/uninstalled"}}
		for field, value := range more {
			body[field] = value
		}
		return Step{Name: name, Method: http.MethodPost, Path: site.shop("/webhooks"), Want: http.StatusCreated, Body: body}
	}
	order := func(name string, id int) Step {
		return Step{
			Name: name, Method: http.MethodPost, Path: site.shop("/orders"), Want: http.StatusCreated,
			Body: map[string]any{"orders": []any{map[string]any{"id": id, "customer_id": 990001, "total": "42.00", "created_at": "2026-01-02T03:04:05Z"}}},
		}
	}
	const orders = "/api/integrations/records/orders?from=2026-01-02T03:04:05Z&to=2026-01-02T03:04:06Z"
	Play(t, site, ours, []Step{
		{Name: "none came", Method: http.MethodGet, Path: webhooks + "/deliveries", Want: http.StatusOK, Has: map[string]any{"items.#": 0}},
		subscribe("subscribe, to have each twice and late", map[string]any{"duplicate": true, "delay_ms": 50}),
		subscribe("somebody else forges them", map[string]any{"wrong_signature": true}),
		order("an order comes in", 9900001),
		{
			Name: "it is in the records by itself", Method: http.MethodGet, Path: orders, Want: http.StatusOK, Within: 30 * time.Second,
			Has: map[string]any{"items.#": 1, "items.0.id": "${connection}:9900001", "items.0.total_minor": 4200},
		},
		{
			Name: "one webhook came", Method: http.MethodGet, Path: webhooks + "/deliveries", Want: http.StatusOK,
			Has: map[string]any{
				"items.#": 1, "items.0.status": "processed", "items.0.vendor": "shopify", "items.0.topic": "orders/create", "items.0.connection_id": "${connection}",
				"items.0.received_at": Present, "items.0.reason": nil,
			},
			Save: map[string]string{"delivery": "items.0.id"},
		},
		{
			Name: "for one sync more", Method: http.MethodGet, Path: "/api/integrations/sync/runs", Want: http.StatusOK,
			Has: map[string]any{"items.#": 2, "items.0.mode": "incremental", "items.0.scheduled": "true"},
		},
		{
			Name: "the forged one was refused", Method: http.MethodGet, Path: site.shop("/webhooks"), Want: http.StatusOK, Within: 20 * time.Second,
			Has: map[string]any{"deliveries.by_status.401": Present, "deliveries.by_status.200": 2},
		},
		{
			Name: "unsigned", Method: http.MethodPost, Path: webhooks + "/shopify", Want: http.StatusUnauthorized, Body: "{}",
			Header: map[string]string{"Authorization": "", "X-Shopify-Topic": "orders/create", "X-Shopify-Shop-Domain": "${shop}.myshopify.com"},
			Has:    code("webhook_signature_invalid"),
		},
	})
	theirs["delivery"] = ours["delivery"]
	Play(t, site, theirs, []Step{
		{Name: "another organization sees none", Method: http.MethodGet, Path: webhooks + "/deliveries", Want: http.StatusOK, Has: map[string]any{"items.#": 0}},
		{Name: "nor has it processed again", Method: http.MethodPost, Path: webhooks + "/deliveries/${delivery}/replay", Want: http.StatusNotFound, Has: code("not_found")},
	})
	Play(t, site, ours, []Step{
		{Name: "once more", Method: http.MethodPost, Path: webhooks + "/deliveries/${delivery}/replay", Want: http.StatusAccepted, Has: map[string]any{"status": "received"}},
		{
			Name: "which changes nothing", Method: http.MethodGet, Path: "/api/integrations/sync/runs", Want: http.StatusOK, Within: 30 * time.Second,
			Has: map[string]any{"items.#": 3, "items.0.status": "succeeded", "items.0.changed": 0},
		},
		{Name: "no more forged", Method: http.MethodDelete, Path: site.shop("/webhooks"), Want: http.StatusNoContent},
		subscribe("subscribe again", nil),
		{Name: "the shop's owner removes the app", Method: http.MethodDelete, Path: site.shop("/tokens"), Want: http.StatusNoContent},
		{
			Name: "which is known at once", Method: http.MethodGet, Path: shops + "/status", Want: http.StatusOK, Within: 20 * time.Second,
			Has: map[string]any{"items.0.status": "needs_attention", "items.0.problem.code": "authorization_ended_at_vendor", "items.0.problem.action": "authorize"},
		},
	})
}
