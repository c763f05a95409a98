package scenario

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// vendor is what a scenario has to know of a vendor that it does not see for itself.
type vendor struct {
	name string
	// key connects an account, which is named after it; empty where accounts are authorized by a click.
	key string
	// account is the account that the key does not tell.
	account string
	// streams are the kinds of records that it has.
	streams []string
	// accounts tells that an authorization opens several accounts.
	accounts bool
	// refreshes tells that access tokens end and are renewed.
	refreshes bool
	// writes is what is written there and asked live beyond the streams, and how others are kept out of it; nil for nothing.
	writes func(v vendor, t *testing.T, site Site, ours, theirs map[string]string)
	// reads are those of its own, about one account for some days: since and until, or the last ones.
	reads        []string
	since, until string
	// tells is the topic of the webhook that it sends of an order, and new what the order is then in the records, by kind and id; of
	// something else where there is no such record.
	tells     string
	kind, new string
}

// vendors are all but Shopify, which has scenarios of its own.
var vendors = []vendor{
	{name: "gohighlevel", streams: []string{"contacts", "deals", "payments"}, refreshes: true, writes: gohighlevel, tells: "OrderCreate", kind: "payments", new: "transaction9900001"},
	{name: "google-ads", streams: []string{"campaigns", "performance"}, accounts: true, refreshes: true},
	{name: "hubspot", streams: []string{"contacts", "deals", "campaigns"}, refreshes: true, writes: hubspot, tells: "deal.creation", kind: "deals", new: "9900001"},
	{name: "klaviyo", streams: []string{"contacts", "campaigns", "email_performance"}, refreshes: true, writes: klaviyo, tells: "event:shopify.placed_order", kind: "contacts", new: fmt.Sprintf("01%024d", 990001)},
	{name: "linkedin-ads", streams: []string{"campaigns", "performance"}, accounts: true, refreshes: true},
	{name: "meta-ads", streams: []string{"campaigns", "performance"}, accounts: true, reads: []string{"creatives"}, tells: "effective_status"}, // a token that has ended cannot be exchanged
	{name: "stripe", streams: []string{"payments", "customers"}, refreshes: true, tells: "charge.succeeded", kind: "payments", new: "ch_9900001"},
	{name: "tiktok-ads", streams: []string{"campaigns", "performance"}, accounts: true, reads: []string{"creatives"}},
	{name: "triplewhale", streams: []string{"campaigns", "performance"}, accounts: true, refreshes: true, reads: []string{"attribution", "revenue", "creatives", "roas"}, since: "1997-03-01", until: "1997-03-31"},
	{name: "youtube-ads", streams: []string{"campaigns", "performance"}, accounts: true, refreshes: true},
}

// Vendors is about every vendor: an account is connected and synced through every fault that its API can have, the records are what
// the vendor has, exactly and once each, and nobody else's.
func Vendors(t *testing.T, site Site) {
	for _, v := range vendors {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel() // they have nothing in common, and wait most of the time
			v.play(t, site)
		})
	}
}

// faults are met by the first requests of a sync, one after the other. A token that is refused and a page that is odd come last, as
// they count for a request that has an answer.
var faults = []map[string]any{
	{"kind": "throttle", "after_requests": 1},
	{"kind": "error500", "after_requests": 2, "status": 503},
	{"kind": "html", "after_requests": 3},
	{"kind": "truncated", "after_requests": 4},
	{"kind": "drop_connection", "after_requests": 5},
	{"kind": "slow", "delay_ms": 20, "after_requests": 6},
	{"kind": "duplicate_page", "after_requests": 7, "times": 2},
	{"kind": "reorder_pages", "after_requests": 7, "times": 2},
}

func (v vendor) play(t *testing.T, site Site) {
	base := "/api/integrations/" + v.name
	admin := site.Devstack + "/sandbox/vendors/" + v.name + "/" + v.at()
	ours, theirs := map[string]string{}, map[string]string{}
	Play(t, site, ours, Register(ours, "of-"+v.name))
	Play(t, site, theirs, Register(theirs, "not-of-"+v.name))
	v.connect(t, site, ours, http.StatusCreated)
	if v.accounts {
		Play(t, site, ours, []Step{
			{Name: "the accounts", Method: http.MethodGet, Path: base + "/accounts", Want: http.StatusOK, Has: map[string]any{"items.#": 2, "items.1.chosen": "true"}, Save: map[string]string{"first": "items.0.id"}},
			{Name: "none that there is not", Method: http.MethodPut, Path: base + "/accounts", Want: http.StatusUnprocessableEntity, Body: map[string]any{"accounts": []string{"elsewhere"}}, Has: code("validation_failed")},
			{Name: "one of them", Method: http.MethodPut, Path: base + "/accounts", Want: http.StatusOK, Body: map[string]any{"accounts": []string{"${first}"}}, Has: map[string]any{"items.0.chosen": "true", "items.1.chosen": "false"}},
		})
		v.sync(t, site, ours, "backfill")
		for _, kind := range v.streams {
			for id, record := range v.records(t, site, ours, kind) {
				if record["account_id"] != ours["first"] {
					t.Fatalf("%s %s is of account %v, which was not chosen", kind, id, record["account_id"])
				}
			}
		}
		Play(t, site, ours, []Step{
			{Name: "all of them", Method: http.MethodPut, Path: base + "/accounts", Want: http.StatusOK, Body: map[string]any{"accounts": []string{}}, Has: map[string]any{"items.1.chosen": "true"}},
		})
	}
	for _, fault := range faults {
		Play(t, site, ours, []Step{{Name: fmt.Sprint(fault["kind"]), Method: http.MethodPost, Path: admin + "/faults", Want: http.StatusCreated, Body: fault}})
	}
	mode := "backfill"
	if v.accounts { // the other account has never been read, and is from its beginning
		mode = "incremental"
	}
	v.sync(t, site, ours, mode)
	Play(t, site, ours, []Step{{Name: "no more faults", Method: http.MethodDelete, Path: admin + "/faults", Want: http.StatusNoContent}})
	if v.refreshes {
		Play(t, site, ours, []Step{{Name: "the token ends early", Method: http.MethodPost, Path: admin + "/tokens/expire", Want: http.StatusNoContent}})
	}
	theirs["connection"] = ours["connection"]
	if v.writes != nil {
		v.writes(v, t, site, ours, theirs)
	}
	for _, read := range v.reads {
		of := v.ask("read "+read, "/"+read+"?account=${first}", map[string]any{"connection_id": ours["connection"], "account_id": ours["first"], "currency": "USD", "items": Present})
		if v.since != "" {
			of.Path += "&from=" + v.since + "&to=" + v.until
			of.Has["from"], of.Has["to"] = v.since, v.until
		} else {
			of.Has["items.0.text"], of.Has["items.0.image_url"] = Present, Present
		}
		one, elsewhere, backward := of, of, of
		one.Path, elsewhere.Path, backward.Path = base+"/"+read, base+"/"+read+"?account=elsewhere.example.com", base+"/"+read+"?account=${first}&from=1997-03-02&to=1997-03-01"
		Play(t, site, ours, []Step{
			of, not(one, "not without saying of which account", http.StatusUnprocessableEntity, "validation_failed"),
			not(elsewhere, "not of one that there is not", http.StatusUnprocessableEntity, "validation_failed"),
			not(backward, "not backward", http.StatusUnprocessableEntity, "validation_failed"),
		})
		Play(t, site, theirs, []Step{not(Step{Method: http.MethodGet, Path: base + "/" + read + "?connection_id=${connection}"}, "not by others", http.StatusNotFound, "not_found")})
	}
	v.exact(t, site, ours, admin)
	for _, kind := range v.streams {
		Play(t, site, theirs, []Step{
			{Name: "no " + kind + " of others", Method: http.MethodGet, Path: "/api/integrations/records/" + path(kind), Want: http.StatusOK, Has: map[string]any{"items.#": 0}},
			{Name: "nor by their connection", Method: http.MethodGet, Path: base + "/" + path(kind) + "?connection_id=" + ours["connection"], Want: http.StatusNotFound, Has: code("not_found")},
		})
	}
	syncs := Step{Name: "its syncs", Method: http.MethodGet, Path: "/api/integrations/sync/runs?connection_id=" + ours["connection"], Want: http.StatusOK,
		Has: map[string]any{"items.0.connection_id": ours["connection"], "items.0.rate": Present}}
	none := syncs
	none.Name, none.Has = "not for others", map[string]any{"items.#": 0}
	Play(t, site, ours, []Step{syncs})
	Play(t, site, theirs, []Step{none})
	inCatalogue(t, site, ours, v.name, "healthy")
	if v.tells != "" {
		v.hooked(t, site, ours, admin)
	}
	if v.key == "" {
		Play(t, site, ours, []Step{
			{Name: "the authorization ends at the vendor", Method: http.MethodDelete, Path: admin + "/tokens", Want: http.StatusNoContent},
			{Name: "it does not work", Method: http.MethodPost, Path: base + "/test", Want: http.StatusUnprocessableEntity},
			{
				Name: "and needs attention", Method: http.MethodGet, Path: base + "/status", Want: http.StatusOK,
				Has: map[string]any{"items.0.status": "needs_attention", "items.0.problem.action": "authorize"},
			},
		})
		inCatalogue(t, site, ours, v.name, "broken")
		v.connect(t, site, ours, http.StatusOK)
	}
	Play(t, site, ours, []Step{
		{Name: "it works", Method: http.MethodPost, Path: base + "/test", Want: http.StatusOK, Has: map[string]any{"status": "active"}},
		{Name: "disconnect", Method: http.MethodDelete, Path: base, Want: http.StatusNoContent},
		{Name: "it is disconnected", Method: http.MethodGet, Path: base + "/status", Want: http.StatusOK, Has: map[string]any{"items.0.status": "disconnected", "items.0.problem": nil}},
		{Name: "its records stay", Method: http.MethodGet, Path: "/api/integrations/records/" + path(v.streams[0]) + "?limit=1", Want: http.StatusOK, Has: map[string]any{"items.#": 1}},
	})
}

// hooked is about webhooks: what is new is in the records without anybody asking for a sync, though it is told of twice, and by somebody
// who forges.
func (v vendor) hooked(t *testing.T, site Site, vars map[string]string, admin string) {
	t.Helper()
	subscribe := func(name, fault string) Step {
		body := map[string]any{"address": site.API + webhooks + "/" + v.name, "topics": []string{v.tells}, fault: true}
		return Step{Name: name, Method: http.MethodPost, Path: admin + "/webhooks", Want: http.StatusCreated, Body: body}
	}
	vars["shop"] = v.at()
	happens := Step{
		Name: "an order comes in", Method: http.MethodPost, Path: site.shop("/orders"), Want: http.StatusCreated,
		Body: map[string]any{"orders": []any{map[string]any{"id": 9900001, "customer_id": 990001, "total": "300.00"}}},
	}
	if v.new == "" {
		happens = Step{Name: "something happens", Method: http.MethodPost, Path: admin + "/webhooks/events", Want: http.StatusAccepted, Body: map[string]string{"topic": v.tells}}
	}
	Play(t, site, vars, []Step{
		subscribe("subscribe, to have each twice", "duplicate"),
		subscribe("somebody else forges them", "wrong_signature"),
		happens,
		{
			Name: "one webhook came", Method: http.MethodGet, Path: webhooks + "/deliveries", Want: http.StatusOK, Within: 30 * time.Second,
			Has: map[string]any{"items.#": 1, "items.0.status": "processed", "items.0.vendor": v.name, "items.0.connection_id": "${connection}", "items.0.reason": nil},
		},
		{
			Name: "one sync more", Method: http.MethodGet, Path: "/api/integrations/sync/runs", Want: http.StatusOK, Within: 30 * time.Second,
			Has: map[string]any{"items.0.mode": "incremental", "items.0.scheduled": "true", "items.0.status": "succeeded"},
		},
		{Name: "the forged one was refused", Method: http.MethodGet, Path: admin + "/webhooks", Want: http.StatusOK, Within: 20 * time.Second, Has: map[string]any{"deliveries.by_status.401": Present, "deliveries.by_status.200": 2}},
		{Name: "no more of them", Method: http.MethodDelete, Path: admin + "/webhooks", Want: http.StatusNoContent},
	})
	if v.new != "" && v.records(t, site, vars, v.kind)[v.new] == nil {
		t.Errorf("there is no %s %s", v.kind, v.new)
	}
}

// inCatalogue looks a vendor up among all, with the only connection that there is to it.
func inCatalogue(t *testing.T, site Site, vars map[string]string, name, health string) {
	t.Helper()
	var all struct {
		Items []struct {
			Vendor, Title, Category string
			Connect, Streams        []string
			Connections             []struct {
				Health string `json:"health"`
				Fresh  string `json:"fresh_at"`
				Next   string `json:"next_sync_at"`
				ToDo   string `json:"what_to_do"`
			}
		}
	}
	ask(t, site, vars, Step{Method: http.MethodGet, Path: "/api/integrations", Want: http.StatusOK}, &all)
	for _, item := range all.Items {
		if item.Title == "" || item.Category == "" || len(item.Connect) == 0 || len(item.Streams) == 0 {
			t.Errorf("the catalogue says of %s %+v", item.Vendor, item)
		}
		if item.Vendor != name {
			continue
		}
		broken := health == "broken"
		if len(item.Connections) != 1 || item.Connections[0].Health != health || (item.Connections[0].ToDo != "") != broken || (item.Connections[0].Next == "") != broken || item.Connections[0].Fresh == "" {
			t.Errorf("the catalogue says of %s %+v, want it %s", name, item.Connections, health)
		}
		return
	}
	t.Errorf("the catalogue has no %s", name)
}

// at is the name of the account at the vendor.
func (v vendor) at() string { return "of-" + v.name }

// path is a kind of record in a path.
func path(kind string) string { return strings.ReplaceAll(kind, "_", "-") }

// connect connects the account, by a key or by a click on the vendor's page, and saves the connection.
func (v vendor) connect(t *testing.T, site Site, vars map[string]string, want int) {
	t.Helper()
	base := "/api/integrations/" + v.name
	connected := Step{Name: "connect", Method: http.MethodPost, Want: want, Has: map[string]any{"status": "active"}, Save: map[string]string{"connection": "id"}}
	if v.key != "" {
		body := map[string]string{"api_key": v.key + v.at() + "_1"}
		if v.account != "" {
			body["account"] = v.account
		}
		connected.Path, connected.Body, connected.Lacks = base+"/connect", body, []string{body["api_key"]}
		bad := connected
		bad.Body = maps.Clone(body)
		bad.Body.(map[string]string)["api_key"] = "not-a-key-of-anybody"
		Play(t, site, vars, []Step{not(bad, "not by a key that is none", http.StatusUnprocessableEntity, "credentials_refused"), connected})
		return
	}
	begin := Step{Name: "begin", Method: http.MethodGet, Path: base + "/oauth/authorize", Want: http.StatusOK, Has: map[string]any{"url": Present}, Save: map[string]string{"page": "url"}}
	Play(t, site, vars, []Step{begin})
	vars["query"] = v.allow(t, site, vars["page"])
	connected.Path, connected.Body = base+"/oauth/callback", map[string]string{"query": "${query}"}
	Play(t, site, vars, []Step{connected, not(connected, "once", http.StatusUnprocessableEntity, "oauth_state_invalid")})
}

// allow clicks on the vendor's page, and returns the query that the browser is sent back with.
func (v vendor) allow(t *testing.T, site Site, page string) string {
	t.Helper()
	query, err := Allow(t.Context(), site, v.name, v.at(), page)
	if err != nil {
		t.Fatal(err)
	}
	return query
}

// Allow clicks on a vendor's page as the owner of an account, and returns the query that the browser is sent back with.
func Allow(ctx context.Context, site Site, vendor, account, page string) (query string, err error) {
	browser := *site.HTTP
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	at, form, _ := strings.Cut(page, "?")
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form+"&account="+account))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := browser.Do(r)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	back, err := url.Parse(resp.Header.Get("Location"))
	if resp.StatusCode != http.StatusFound || err != nil || !strings.HasSuffix(back.Path, "/api/integrations/"+vendor+"/oauth/callback") {
		return "", fmt.Errorf("the vendor's page answers %s and sends to %q", resp.Status, resp.Header.Get("Location"))
	}
	return back.RawQuery, nil
}

// sync syncs every stream to its end.
func (v vendor) sync(t *testing.T, site Site, vars map[string]string, mode string) {
	t.Helper()
	var runs []string
	for _, stream := range v.streams {
		Play(t, site, vars, []Step{StartSyncOf(stream, mode)})
		runs = append(runs, vars["run"])
	}
	for _, run := range runs {
		vars["run"] = run
		Play(t, site, vars, SyncEnds(false))
	}
}

// exact syncs what has changed and holds all records against what the vendor has. What that is may change with the date: then again.
func (v vendor) exact(t *testing.T, site Site, vars map[string]string, admin string) {
	t.Helper()
	type truth = map[string]map[string]map[string]any
	look := func() (all truth) {
		ask(t, site, vars, Step{Method: http.MethodGet, Path: admin + "/truth", Want: http.StatusOK}, &all)
		return all
	}
	for {
		day, want := time.Now().UTC().Format(time.DateOnly), look()
		v.sync(t, site, vars, "incremental")
		got := truth{}
		for _, kind := range v.streams {
			got[kind] = v.records(t, site, vars, kind)
		}
		if time.Now().UTC().Format(time.DateOnly) != day {
			continue
		}
		for _, kind := range v.streams {
			if len(want[kind]) == 0 || len(got[kind]) != len(want[kind]) {
				t.Errorf("%d %s, the vendor has %d", len(got[kind]), kind, len(want[kind]))
			}
			for id, fields := range want[kind] {
				for field, value := range fields {
					if has := got[kind][id][field]; fmt.Sprint(has) != fmt.Sprint(value) {
						t.Fatalf("%s %s has %s %v, at the vendor %v", kind, id, field, has, value)
					}
				}
			}
		}
		return
	}
}

// records are the vendor's of a kind, by its ids.
func (v vendor) records(t *testing.T, site Site, vars map[string]string, kind string) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for cursor := ""; ; {
		var page struct {
			Items []map[string]any `json:"items"`
			Next  string           `json:"next_cursor"`
		}
		ask(t, site, vars, Step{
			Method: http.MethodGet, Path: "/api/integrations/" + v.name + "/" + path(kind) + "?limit=1000&cursor=" + url.QueryEscape(cursor), Want: http.StatusOK,
		}, &page)
		for _, item := range page.Items {
			_, id, _ := strings.Cut(fmt.Sprint(item["id"]), ":")
			if all[id] != nil {
				t.Errorf("%s %s twice", kind, id)
			}
			all[id] = item
		}
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}
