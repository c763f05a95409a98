package stripe_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/stripe"
	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/secrets"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// clock is one that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a simulated Stripe and a connector to it.
type world struct {
	*stripe.Connector
	t *testing.T
	clock
	url     string
	account connector.Account
}

func app() connector.App {
	return connector.App{ClientID: sandbox.ClientID, Secret: func(context.Context) (secrets.Secret, error) { return secrets.New(sandbox.ClientSecret), nil }}
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: clock{now: noon}, account: connector.Account{Connection: "c1", Credentials: connector.Credentials{AccessToken: secrets.New("rk_live_demo")}}}
	h, err := sandbox.New(sandbox.Config{Seed: 7, Now: w.Now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	w.url = server.URL
	hosts := server.URL + "/vendors/{host}"
	client := connector.NewHTTPClient(10 * time.Second)
	t.Cleanup(client.CloseIdleConnections)
	w.Connector = stripe.NewConnector(connector.Web{HTTP: client, Now: w.Now, Hosts: hosts, Pages: hosts}, app())
	return w
}

// admin asks the sandbox's own administration.
func (w *world) admin(method, path, body string, into any) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+"/sandbox/"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		w.t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, text, err)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) fault(body string) { w.admin(http.MethodPost, "vendors/stripe/demo/faults", body, nil) }

// requests are how many were made since they were counted last, by operation.
func (w *world) requests() map[string]int {
	var counts struct {
		ByOperation map[string]int `json:"by_operation"`
	}
	w.admin(http.MethodGet, "vendors/stripe/demo/requests", "", &counts)
	w.admin(http.MethodDelete, "vendors/stripe/demo/requests", "", nil)
	return counts.ByOperation
}

// records are what was read, by kind and the vendor's id, as they are in JSON.
type records map[string]map[string]map[string]any

// sync reads a stream to its end, as the engine does, into all. It returns how far it is read.
func (w *world) sync(stream string, since time.Time, into records) time.Time {
	w.t.Helper()
	r := connector.Request{Since: since, Size: 100}
	for range 2000 {
		page, err := w.pull(stream, r)
		if err != nil {
			w.t.Fatal(err)
		}
		into.add(w.t, page.Records.Payments)
		into.add(w.t, page.Records.Customers)
		if page.Next == "" {
			return page.Changed
		}
		if !page.Changed.IsZero() {
			w.t.Fatal("a page before the last says how far the stream is read")
		}
		r.Cursor = page.Next
	}
	w.t.Fatal("no end after 2000 pages")
	return time.Time{}
}

func (w *world) pull(stream string, r connector.Request) (connector.Page, error) {
	w.t.Helper()
	for _, s := range w.Streams() {
		if s.Name == stream {
			return s.Pull(w.t.Context(), w.account, r)
		}
	}
	w.t.Fatalf("there is no stream %s", stream)
	return connector.Page{}, nil
}

func (all records) add(t *testing.T, some any) {
	t.Helper()
	text, err := json.Marshal(some)
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	kind := "payments"
	if _, customers := some.([]integrationsapi.Customer); customers {
		kind = "customers"
	}
	for _, r := range list {
		_, id, _ := strings.Cut(r["id"].(string), ":")
		all[kind][id] = r
	}
}

// exact holds what was read against what Stripe has.
func (w *world) exact(got records) {
	w.t.Helper()
	var want records
	w.admin(http.MethodGet, "vendors/stripe/demo/truth", "", &want)
	for _, kind := range []string{"payments", "customers"} {
		if len(want[kind]) < 100 || len(got[kind]) != len(want[kind]) {
			w.t.Fatalf("%d %s, Stripe has %d", len(got[kind]), kind, len(want[kind]))
		}
		for id, fields := range want[kind] {
			for field, value := range fields {
				if has := got[kind][id][field]; !reflect.DeepEqual(has, value) {
					w.t.Fatalf("%s %s has %s %v, at Stripe %v", kind, id, field, has, value)
				}
			}
		}
	}
	outcomes := map[any]int{}
	for _, p := range got["payments"] {
		outcomes[p["status"]]++
		if who := p["customer_id"]; who != nil && got["customers"][strings.TrimPrefix(who.(string), "c1:")] == nil {
			w.t.Fatalf("payment %v is of %v, whom nobody knows", p["id"], who)
		}
	}
	for _, status := range []string{"succeeded", "refunded", "partially_refunded", "disputed"} {
		if outcomes[status] == 0 {
			w.t.Errorf("no payment is %s: %v", status, outcomes)
		}
	}
}

func TestRecordsAreWhatStripeHas(t *testing.T) {
	w := start(t)
	w.fault(`{"kind":"duplicate_page","times":-1}`)
	w.fault(`{"kind":"reorder_pages","times":-1}`)
	got := records{"payments": {}, "customers": {}}
	payments, customers := w.sync("payments", time.Time{}, got), w.sync("customers", time.Time{}, got)
	w.exact(got)
	if !payments.Equal(noon) || !customers.Equal(noon) {
		t.Errorf("read up to %s and %s, want when it began", payments, customers)
	}
	w.requests()

	// Nothing new: few requests.
	const lookBack = time.Hour
	w.pass(15 * time.Minute)
	payments, customers = w.sync("payments", payments.Add(-lookBack), got), w.sync("customers", customers.Add(-lookBack), got)
	if asked := w.requests(); asked["api.stripe.com/v1/charges"]+asked["api.stripe.com/v1/customers"]+asked["api.stripe.com/v1/events"] != 4 || len(asked) != 3 {
		t.Errorf("asked %v for nothing new", asked)
	}

	// A new order, the refund of an old one, and a dispute that ends: only events tell of the latter two.
	w.pass(15 * time.Minute)
	var old string
	for _, id := range slices.Sorted(maps.Keys(got["payments"])) {
		if got["payments"][id]["status"] == "succeeded" {
			old = strings.TrimPrefix(id, "ch_")
			break
		}
	}
	w.admin(http.MethodPost, "shopify/demo/orders", `{"orders":[{"total":"12.34","customer_id":990001},{"id":`+old+`,"refunded":"1.00","financial_status":"PARTIALLY_REFUNDED"}]}`, nil)
	payments, customers = w.sync("payments", payments.Add(-lookBack), got), w.sync("customers", customers.Add(-lookBack), got)
	w.exact(got)
	if got["payments"]["ch_"+old]["status"] != "partially_refunded" {
		t.Errorf("the refund of an old charge is missing: %v", got["payments"]["ch_"+old])
	}
	w.requests()

	// Beyond what events cover, everything is read again.
	w.pass(40 * 24 * time.Hour)
	w.sync("payments", payments.Add(-lookBack), got)
	w.sync("customers", customers.Add(-lookBack), got)
	w.exact(got)
	if asked := w.requests(); asked["api.stripe.com/v1/events"] != 0 || asked["api.stripe.com/v1/charges"] < 10 {
		t.Errorf("asked %v after 40 days", asked)
	}
}

func TestDisputesEnd(t *testing.T) {
	w := start(t)
	got := records{"payments": {}, "customers": {}}
	read := w.sync("payments", time.Time{}, got)
	w.sync("customers", time.Time{}, got)
	changes := 0
	for range 3 { // each time some begin and some end
		before := maps.Clone(got["payments"])
		w.pass(20 * 24 * time.Hour)
		read = w.sync("payments", read.Add(-time.Hour), got)
		for id, p := range before {
			if got["payments"][id]["status"] != p["status"] {
				changes++
			}
		}
	}
	w.exact(got)
	if changes == 0 {
		t.Error("no dispute began or ended")
	}
}

func TestFailuresAreClassified(t *testing.T) {
	w := start(t)
	for _, c := range []struct {
		fault string
		class connector.Class
		wait  time.Duration
	}{
		{`{"kind":"throttle"}`, connector.Throttled, 2 * time.Second},
		{`{"kind":"error500"}`, connector.Transient, 0},
		{`{"kind":"error500","status":502}`, connector.Transient, 0},
		{`{"kind":"html"}`, connector.Transient, 0},
		{`{"kind":"html","status":429}`, connector.Throttled, 2 * time.Second},
		{`{"kind":"truncated"}`, connector.Transient, 0},
		{`{"kind":"drop_connection"}`, connector.Transient, 0},
		{`{"kind":"expired_token"}`, connector.Unauthorized, 0},
	} {
		for _, stream := range []string{"payments", "customers"} {
			w.fault(c.fault)
			if _, err := w.pull(stream, connector.Request{Size: 10}); err == nil || connector.Classify(err).Class != c.class || connector.Classify(err).Wait != c.wait {
				t.Errorf("%s: %s: %v", stream, c.fault, err)
			}
		}
	}
	w.account.Credentials.AccessToken = secrets.New("rk_live_demo_revoked")
	if _, err := w.Identify(t.Context(), w.account); connector.Classify(err).Code != connector.CodeCredentialsRefused {
		t.Errorf("a revoked key: %v", err)
	}
	w.admin(http.MethodPut, "vendors/stripe/demo/limits", `{"requests":1,"seconds":1}`, nil)
	w.account.Credentials.AccessToken = secrets.New("rk_live_demo")
	if _, err := w.Identify(t.Context(), w.account); err != nil {
		t.Error(err)
	}
	if _, err := w.Identify(t.Context(), w.account); connector.Classify(err).Class != connector.Throttled {
		t.Errorf("beyond the limit: %v", err)
	}
}

func TestStripeSaysWhoseAccountItIs(t *testing.T) {
	w := start(t)
	got, err := w.Identify(t.Context(), w.account)
	want := connector.Identity{ID: "acct_demo", Account: "acct_demo", Title: "demo", Currency: "USD", TimeZone: "Etc/UTC", Scopes: []string{}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestAnAuthorizationIsGivenRenewedAndEnded(t *testing.T) {
	w := start(t)
	flow, ctx := w.OAuth(), t.Context()
	page, err := url.Parse(flow.AuthorizeURL("", "https://app.example.com/back", "the-state", ""))
	if err != nil || page.Query().Get("scope") != "read_only" || page.Query().Get("response_type") != "code" {
		t.Fatalf("%v, %v", page, err)
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, page.Scheme+"://"+page.Host+page.Path, strings.NewReader(page.RawQuery+"&account=demo-2"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil || back.Query().Get("state") != "the-state" {
		t.Fatalf("sent back to %v, %v", back, err)
	}
	redeem := func() (connector.Credentials, error) {
		return flow.Redeem(ctx, "", "https://app.example.com/back", back.Query().Get("code"), "")
	}
	first, err := redeem()
	if err != nil || first.AccessToken.Empty() || first.RefreshToken.Empty() || !first.ExpiresAt.IsZero() {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := redeem(); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("a code that was used: %v", err)
	}
	account := connector.Account{Credentials: first}
	identity, err := w.Identify(ctx, account)
	if err != nil || identity.Account != "acct_demo_2" || !slices.Equal(identity.Scopes, []string{"read_only"}) {
		t.Errorf("%+v, %v", identity, err)
	}
	second, err := flow.Refresh(ctx, identity.Account, first)
	if err != nil || second.RefreshToken.Reveal() == first.RefreshToken.Reveal() {
		t.Fatalf("the refresh token stays the same, %v", err)
	}
	if _, err := flow.Refresh(ctx, identity.Account, first); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("a refresh token that was used: %v", err)
	}
	account.Credentials = second // whose it is has to be found out, as for what was never kept
	if err := flow.Revoke(ctx, account); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Identify(ctx, account); connector.Classify(err).Class != connector.Unauthorized {
		t.Errorf("after the end: %v", err)
	}
	if _, err := flow.Refresh(ctx, identity.Account, second); connector.Classify(err).Code != connector.CodeGrantRevoked {
		t.Errorf("a refresh after the end: %v", err)
	}
}

// answering is a connector to a Stripe that answers by path, and what it was asked.
func answering(t *testing.T, answers map[string]string) (*stripe.Connector, *[]string) {
	t.Helper()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, strings.TrimPrefix(r.URL.Path, "/api.stripe.com/v1/")+"?"+r.URL.RawQuery)
		if r.Header.Get("Authorization") != "Bearer rk_live_demo" || r.Header.Get("Stripe-Version") != stripe.Version {
			t.Errorf("headers %v", r.Header)
		}
		body, known := answers[strings.TrimPrefix(r.URL.Path, "/api.stripe.com/v1/")]
		w.Header().Set("Content-Type", "application/json")
		if !known {
			w.WriteHeader(http.StatusNotFound)
			body = `{"error":{"type":"invalid_request_error","code":"resource_missing"}}`
		}
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	web := connector.Web{HTTP: server.Client(), Now: func() time.Time { return noon }, Hosts: server.URL + "/{host}", Pages: server.URL + "/{host}"}
	return stripe.NewConnector(web, app()), &asked
}

func one(t *testing.T, c *stripe.Connector, stream int, r connector.Request) (connector.Page, error) {
	t.Helper()
	return c.Streams()[stream].Pull(t.Context(), connector.Account{Connection: "c1", Credentials: connector.Credentials{AccessToken: secrets.New("rk_live_demo")}}, r)
}

func charge(fields string) string {
	all := map[string]any{
		"id": "ch_1", "amount": 2933, "amount_refunded": 0, "currency": "usd", "created": 1772357400, "status": "succeeded", "captured": true, "refunded": false,
		"disputed": false, "livemode": true, "customer": "cus_4", "receipt_email": nil, "billing_details": map[string]any{"email": " Ada@Example.com"},
		"payment_method_details": map[string]any{"type": "card"}, "metadata": map[string]any{"order_id": "#1001"},
		"balance_transaction": map[string]any{"fee": 115, "currency": "usd"},
	}
	if err := json.Unmarshal([]byte(fields), &all); err != nil {
		return err.Error()
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func TestChargesAreNormalized(t *testing.T) {
	for _, c := range []struct {
		name, fields, disputes string
		want                   map[string]any
	}{
		{"paid", `{}`, "", map[string]any{"status": "succeeded", "amount_minor": 2933.0, "fee_minor": 115.0, "email": "ada@example.com", "customer_id": "c1:cus_4", "order_id": "#1001", "created_at": "2026-03-01T09:30:00.000000Z", "method": "card", "live_mode": true}},
		{"by a guest", `{"customer":null,"billing_details":{"email":null},"receipt_email":"Bob@example.com","metadata":{},"payment_method_details":null}`, "", map[string]any{"customer_id": nil, "email": "bob@example.com", "order_id": nil, "method": nil}},
		{"by a customer in full", `{"customer":{"id":"cus_5","object":"customer"}}`, "", map[string]any{"customer_id": "c1:cus_5"}},
		{"not settled yet", `{"balance_transaction":null,"status":"pending","captured":false}`, "", map[string]any{"fee_minor": 0.0, "status": "pending"}},
		{"settled in another currency", `{"balance_transaction":{"fee":99,"currency":"eur"}}`, "", map[string]any{"fee_minor": 0.0, "currency": "USD"}},
		{"only authorized", `{"captured":false}`, "", map[string]any{"status": "pending"}},
		{"authorized and given back", `{"captured":false,"refunded":true,"amount_refunded":2933}`, "", map[string]any{"status": "refunded", "refunded_minor": 2933.0}},
		{"declined", `{"status":"failed","captured":false}`, "", map[string]any{"status": "failed"}},
		{"partly refunded", `{"amount_refunded":33}`, "", map[string]any{"status": "partially_refunded", "refunded_minor": 33.0}},
		{"disputed", `{"disputed":true}`, `{"data":[{"status":"needs_response"}]}`, map[string]any{"status": "disputed"}},
		{"lost", `{"disputed":true}`, `{"data":[{"status":"lost"}]}`, map[string]any{"status": "disputed"}},
		{"won", `{"disputed":true}`, `{"data":[{"status":"won"}]}`, map[string]any{"status": "succeeded"}},
		{"won once and disputed again", `{"disputed":true}`, `{"data":[{"status":"under_review"},{"status":"won"}]}`, map[string]any{"status": "disputed"}},
		{"disputed, nobody knows how", `{"disputed":true}`, `{"data":[]}`, map[string]any{"status": "disputed"}},
		{"with a status of tomorrow", `{"status":"floating"}`, "", map[string]any{"status": "unknown"}},
		{"in a test", `{"livemode":false}`, "", map[string]any{"live_mode": false}},
		{"in yen", `{"currency":"jpy","amount":500}`, "", map[string]any{"amount_minor": 500.0, "currency": "JPY"}},
		{"in dinars", `{"currency":"kwd","amount":5120}`, "", map[string]any{"amount_minor": 5120.0}},
		{"in krónur", `{"currency":"isk","amount":500,"amount_refunded":100}`, "", map[string]any{"amount_minor": 5.0, "refunded_minor": 1.0}},
		{"in krónur with a fraction, as until 2023", `{"currency":"isk","amount":4050}`, "", map[string]any{"amount_minor": 41.0}},
		{"in Ugandan shillings", `{"currency":"ugx","amount":500}`, "", map[string]any{"amount_minor": 5.0}},
		{"in ariary", `{"currency":"mga","amount":500}`, "", map[string]any{"amount_minor": 50000.0}},
		{"in forints", `{"currency":"huf","amount":1045}`, "", map[string]any{"amount_minor": 1045.0}},
		{"in Taiwan dollars", `{"currency":"twd","amount":80045}`, "", map[string]any{"amount_minor": 80045.0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, asked := answering(t, map[string]string{"charges": `{"data":[` + charge(c.fields) + `],"has_more":false}`, "disputes": c.disputes})
			page, err := one(t, s, 0, connector.Request{Size: 7})
			if err != nil {
				t.Fatal(err)
			}
			if want := "charges?expand%5B%5D=data.balance_transaction&limit=7"; (*asked)[0] != want {
				t.Errorf("asked %s, want %s", (*asked)[0], want)
			}
			got := records{"payments": {}}
			got.add(t, page.Records.Payments)
			for field, value := range c.want {
				if has := got["payments"]["ch_1"][field]; has != value {
					t.Errorf("%s is %v, want %v", field, has, value)
				}
			}
		})
	}
}

func TestWhatIsMissingIsAMistake(t *testing.T) {
	for _, fields := range []string{
		`{"id":""}`, `{"id":"../x"}`, `{"amount":null}`, `{"amount_refunded":null}`, `{"currency":""}`, `{"currency":"us"}`, `{"created":0}`, `{"currency":"isk","amount":9000000000000000000}`,
	} {
		s, _ := answering(t, map[string]string{"charges": `{"data":[` + charge(fields) + `]}`})
		if page, err := one(t, s, 0, connector.Request{Size: 10}); !connectortest.Impossible(page, err) {
			t.Errorf("%s: %v", fields, err)
		}
	}
	for _, list := range []string{`{"data":[],"has_more":true}`, `{"data":[` + charge(`{}`) + `],"has_more":true}`} {
		s, _ := answering(t, map[string]string{"charges": list})
		if page, err := one(t, s, 0, connector.Request{Size: 10, Cursor: `{"began":1772357400,"after":"ch_1"}`}); !connectortest.Impossible(page, err) {
			t.Errorf("%s: %v", list, err)
		}
	}
	s, _ := answering(t, nil)
	if page, err := one(t, s, 0, connector.Request{Size: 10, Cursor: "x"}); !connectortest.Impossible(page, err) {
		t.Errorf("a cursor of somebody else: %v", err)
	}
}

// Events say that something happened to an object; what it is now is asked for.
func TestEventsNameWhatChanged(t *testing.T) {
	event := func(id, object string) string { return `{"id":"` + id + `","data":{"object":` + object + `}}` }
	list := func(events ...string) string { return `{"has_more":false,"data":[` + strings.Join(events, ",") + `]}` }
	since, cursor := noon.Add(-time.Hour), `{"began":1795348800,"events":true}`
	s, asked := answering(t, map[string]string{
		"events": list(
			event("evt_6", `{"id":"ch_gone","object":"charge","created":1}`),
			event("evt_5", `{"id":"du_1","object":"dispute","created":1795348700,"charge":"ch_1"}`),
			event("evt_4", `{"id":"re_1","object":"refund","created":1795348700,"charge":{"id":"ch_2"}}`),
			event("evt_3", `{"id":"re_2","object":"refund","created":1795348700,"charge":null}`),
			event("evt_2", `{"id":"ch_1","object":"charge","created":1,"amount_refunded":0}`),
			event("evt_1", `{"id":"ch_new","object":"charge","created":1795348700}`),
		),
		"charges/ch_1": charge(`{"amount_refunded":5}`), "charges/ch_2": charge(`{"id":"ch_2"}`),
	})
	page, err := one(t, s, 0, connector.Request{Size: 100, Since: since, Cursor: cursor})
	if err != nil || page.Next != "" || !page.Changed.Equal(time.Unix(1795348800, 0)) || len(page.Records.Payments) != 2 || page.Records.Payments[0].RefundedMinor != 5 {
		t.Errorf("%+v, %v", page, err)
	}
	var paths []string
	for _, a := range *asked {
		path, _, _ := strings.Cut(a, "?")
		paths = append(paths, path)
	}
	if want := []string{"events", "charges/ch_gone", "charges/ch_1", "charges/ch_2"}; !slices.Equal(paths, want) {
		t.Errorf("asked %q, want %q", paths, want)
	}
	q, _ := url.ParseQuery(strings.TrimPrefix((*asked)[0], "events?"))
	if len(q["types[]"]) > 20 || !slices.Contains(q["types[]"], "charge.refunded") || q.Get("created[gte]") != fmt.Sprint(since.Unix()) {
		t.Errorf("asked for the events %v", q)
	}

	s, _ = answering(t, map[string]string{
		"events":          list(event("evt_2", `{"id":"cus_1","object":"customer","created":1}`), event("evt_1", `{"id":"cus_2","object":"customer","created":1}`)),
		"customers/cus_1": `{"id":"cus_1","email":"Ada@Example.com ","name":"Ada King  of Lovelace","created":1772357400,"currency":"eur"}`,
		"customers/cus_2": `{"id":"cus_2","object":"customer","deleted":true}`,
	})
	page, err = one(t, s, 1, connector.Request{Size: 100, Since: since, Cursor: cursor})
	if err != nil || len(page.Records.Customers) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	if c := page.Records.Customers[0]; c.Email != "ada@example.com" || c.FirstName != "Ada" || c.LastName != "King  of Lovelace" || c.Currency != "EUR" || c.UpdatedAt != c.CreatedAt {
		t.Errorf("%+v", c)
	}
	for _, object := range []string{`{"id":"../account","object":"charge","created":1}`, `{"id":"x","object":"dispute","charge":"a/b"}`} {
		s, _ = answering(t, map[string]string{"events": list(event("evt_1", object))})
		if page, err := one(t, s, 0, connector.Request{Size: 100, Since: since, Cursor: cursor}); !connectortest.Impossible(page, err) {
			t.Errorf("%s: %v", object, err)
		}
	}
}
