package integrations_test

import (
	"strings"
	"testing"
)

// TestWhatTripleWhaleIsAskedFor is about its own reads, for an account with a key: what they answer, and what they refuse.
func TestWhatTripleWhaleIsAskedFor(t *testing.T) {
	p := start(t, 60)
	u := p.user("o1", "owner")
	const key = `{"api_key":"tw_demo_topsecret1","account":"Demo.myshopify.com"}`
	connected := u.want(201, "POST /triplewhale/connect", key)
	if connected.body["account"] != "demo.myshopify.com" || connected.body["currency"] != "USD" {
		t.Errorf("%s", connected.text)
	}
	u.want(200, "POST /triplewhale/connect", key)
	const march = "?from=2024-03-01&to=2024-03-31"

	revenue := u.want(200, "GET /triplewhale/revenue"+march, "")
	orders, sold := 0.0, 0.0
	for cursor := ""; ; {
		page := u.want(200, "GET /triplewhale/attribution"+march+"&limit=7&cursor="+cursor, "")
		for _, item := range page.body["items"].([]any) {
			orders++
			sold += item.(map[string]any)["total_minor"].(float64)
		}
		next, more := page.body["next_cursor"].(string)
		if cursor = next; !more {
			break
		}
	}
	if orders == 0 || orders == 60 || revenue.body["orders"] != orders || revenue.body["revenue_minor"] != sold || revenue.body["account_id"] != "demo.myshopify.com" {
		t.Errorf("%v orders of %v in all: %.400s", orders, sold, revenue.text)
	}
	if _, has := revenue.body["roas"]; has || revenue.body["spend_minor"] != 0.0 {
		t.Errorf("a return on nothing: %.400s", revenue.text) // the file's orders are older than any campaign here
	}
	if journey := u.want(200, "GET /triplewhale/attribution"+march+"&limit=1&journey=true", ""); !strings.Contains(journey.text, `"event":"page loaded"`) {
		t.Errorf("no journey: %s", journey.text)
	}
	recent := u.want(200, "GET /triplewhale/roas?model=Last+Click&window=7_days", "")
	if items := recent.body["items"].([]any); len(items) == 0 || recent.body["model"] != "Last Click" || recent.body["window"] != "7_days" {
		t.Errorf("%.400s", recent.text)
	}
	first := u.want(200, "GET /triplewhale/creatives?limit=3", "")
	if items, next := first.body["items"].([]any), first.body["next_cursor"]; len(items) != 3 || next != "3" {
		t.Errorf("%.400s", first.text)
	}
	second := u.want(200, "GET /triplewhale/creatives?limit=3&cursor=3", "")
	if a, b := first.body["items"].([]any)[2].(map[string]any), second.body["items"].([]any)[0].(map[string]any); a["ad_id"] == b["ad_id"] || a["spend_minor"].(float64) < b["spend_minor"].(float64) {
		t.Errorf("%v, then %v", a, b)
	}

	for _, c := range []struct {
		what, body string
		status     int
		code       string
	}{
		{"POST /triplewhale/connect", `{"api_key":"tw_demo_1"}`, 422, "validation_failed"},
		{"POST /triplewhale/connect", `{"api_key":"tw_demo_1","account":"https://demo.myshopify.com/"}`, 422, "validation_failed"},
		{"POST /triplewhale/connect", `{"api_key":"tw demo","account":"demo.myshopify.com"}`, 422, "validation_failed"},
		{"POST /triplewhale/connect", `{"api_key":"tw_demo_1","account":"other.myshopify.com"}`, 422, "vendor_permission_missing"},
		{"POST /triplewhale/connect", `{"api_key":"tw_demo_1","account":"example.com"}`, 422, "vendor_account_unavailable"},
		{"POST /triplewhale/connect", `{"api_key":"tw_demo_revoked","account":"demo.myshopify.com"}`, 422, "credentials_refused"},
		{"POST /triplewhale/connect", `{"api_key":"tw_demo_narrow","account":"demo.myshopify.com"}`, 422, "credentials_refused"},
		{"GET /triplewhale/revenue?from=2024-02-30", "", 422, "validation_failed"},
		{"GET /triplewhale/revenue?to=yesterday", "", 422, "validation_failed"},
		{"GET /triplewhale/revenue?from=2024-03-02&to=2024-03-01", "", 422, "validation_failed"},
		{"GET /triplewhale/revenue?from=2023-03-01&to=2024-03-01", "", 422, "validation_failed"},
		{"GET /triplewhale/revenue?account=demo-us.myshopify.com", "", 422, "validation_failed"},
		{"GET /triplewhale/revenue?connection_id=nobody", "", 404, "not_found"},
		{"GET /triplewhale/roas?model=%27%20OR%201", "", 422, "validation_failed"},
		{"GET /triplewhale/roas?window=forever", "", 422, "validation_failed"},
		{"GET /triplewhale/creatives?cursor=rubbish", "", 422, "validation_failed"},
		{"GET /triplewhale/creatives?cursor=-1", "", 422, "validation_failed"},
		{"GET /triplewhale/creatives?limit=101", "", 422, "validation_failed"},
		{"GET /triplewhale/attribution?cursor=10001", "", 422, "validation_failed"},
	} {
		if a := u.do(c.what, c.body); a.status != c.status || a.code() != c.code {
			t.Errorf("%s %.80s: %d %s, want %d %s", c.what, c.body, a.status, a.text, c.status, c.code)
		}
	}
	if strings.Contains(p.log.String(), "topsecret") {
		t.Error("a key is in the log")
	}
}
