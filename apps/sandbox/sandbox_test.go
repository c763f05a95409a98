package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/skip"
)

const smallFile = `order_id,customer_id,ordered_at,items,total,currency
101,1,2024-01-01T12:00:00Z,2,29.33,USD
102,2,2024-01-01T12:00:00Z,1,10.00,USD
103,1,2024-01-05T09:30:00+02:00,3,57.50,USD
104,3,2024-02-29T23:59:59Z,1,0.00,USD
105,2,2024-03-01T00:00:00Z,5,120.05,USD
`

// vendor is a sandbox behind a real socket with a clock that the test moves.
type vendor struct {
	t   *testing.T
	url string

	mu  sync.Mutex
	now time.Time
}

func start(t *testing.T, config sandbox.Config) *vendor {
	t.Helper()
	v := &vendor{t: t, now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	config.Now = func() time.Time {
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.now
	}
	handler, err := sandbox.New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	v.url = server.URL
	return v
}

func startOnFile(t *testing.T, content string) *vendor {
	t.Helper()
	path := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, sandbox.Config{OrdersFile: path})
}

func (v *vendor) pass(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = v.now.Add(d)
}

// answer is a GraphQL answer as far as the tests look into it.
type answer struct {
	status int
	header http.Header
	raw    string

	Data struct {
		Shop struct {
			Name, MyshopifyDomain, CurrencyCode, IanaTimezone string
			Plan                                              struct{ DisplayName string }
		}
		CurrentAppInstallation struct{ AccessScopes []struct{ Handle string } }
		Orders                 page
		OrdersCount            struct {
			Count     int
			Precision string
		}
	}
	Errors []struct {
		Message    string
		Path       []string
		Locations  []struct{ Line, Column int }
		Extensions struct{ Code, TypeName, FieldName string }
	}
	Extensions struct {
		Cost struct {
			RequestedQueryCost int
			ActualQueryCost    *int
			ThrottleStatus     struct{ MaximumAvailable, CurrentlyAvailable, RestoreRate float64 }
		}
		Search []struct {
			Warnings []struct{ Field, Code string }
		}
	}
}

type page struct {
	Nodes []order
	Edges []struct {
		Cursor string
		Node   order
	}
	PageInfo struct {
		HasNextPage, HasPreviousPage bool
		StartCursor, EndCursor       *string
	}
}

type order struct {
	ID, Name, CreatedAt, UpdatedAt, DisplayFinancialStatus string
	CancelledAt                                            *string
	TotalPriceSet                                          struct {
		ShopMoney struct{ Amount, CurrencyCode string }
	}
	Customer                         *struct{ ID, Email string }
	CurrentSubtotalLineItemsQuantity int
	Test                             bool
}

func (v *vendor) do(method, path, body string, header map[string]string) (*http.Response, []byte, error) {
	request, err := http.NewRequest(method, v.url+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response, content, err
}

func (v *vendor) admin(method, path, body string, want int) map[string]any {
	v.t.Helper()
	response, content, err := v.do(method, path, body, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	if response.StatusCode != want {
		v.t.Fatalf("%s %s: status %d, want %d: %s", method, path, response.StatusCode, want, content)
	}
	var out map[string]any
	if len(content) > 0 {
		if err := json.Unmarshal(content, &out); err != nil {
			v.t.Fatalf("%s %s: %v in %s", method, path, err, content)
		}
	}
	return out
}

var goodHeaders = map[string]string{"X-Shopify-Access-Token": "shpat_0123abcd", "Content-Type": "application/json"}

func (v *vendor) send(shop, query string, variables map[string]any) (answer, error) {
	v.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		v.t.Fatal(err)
	}
	response, content, err := v.do("POST", "/shopify/"+shop+"/admin/api/2026-10/graphql.json", string(body), goodHeaders)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: response.StatusCode, header: response.Header, raw: string(content)}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") && response.StatusCode == http.StatusOK {
		if err := json.Unmarshal(content, &a); err != nil {
			return a, fmt.Errorf("%w in %s", err, content)
		}
	}
	return a, nil
}

func (v *vendor) query(shop, query string, variables map[string]any) answer {
	v.t.Helper()
	a, err := v.send(shop, query, variables)
	if err != nil {
		v.t.Fatal(err)
	}
	return a
}

const syncQuery = `query Orders($first: Int!, $after: String, $query: String) {
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes {
      id name createdAt updatedAt processedAt cancelledAt displayFinancialStatus currencyCode test
      currentSubtotalLineItemsQuantity
      totalPriceSet { shopMoney { amount currencyCode } }
      subtotalPriceSet { shopMoney { amount } } totalTaxSet { shopMoney { amount } } totalDiscountsSet { shopMoney { amount } }
      customer { id email }
    }
    pageInfo { hasNextPage endCursor }
  }
}`

// sync pages through everything and returns the orders in the order of arrival.
func (v *vendor) sync(shop string, first int, search string) []order {
	v.t.Helper()
	var all []order
	var after any
	for pages := 0; ; pages++ {
		if pages > 1000 {
			v.t.Fatal("paging does not end")
		}
		a := v.query(shop, syncQuery, map[string]any{"first": first, "after": after, "query": search})
		if len(a.Errors) > 0 {
			v.t.Fatalf("errors: %s", a.raw)
		}
		all = append(all, a.Data.Orders.Nodes...)
		if !a.Data.Orders.PageInfo.HasNextPage {
			return all
		}
		after = *a.Data.Orders.PageInfo.EndCursor
	}
}

func names(orders []order) string {
	list := make([]string, len(orders))
	for i, o := range orders {
		list[i] = strings.TrimPrefix(o.Name, "#")
	}
	return strings.Join(list, " ")
}

func TestIdentity(t *testing.T) {
	v := startOnFile(t, smallFile)
	a := v.query("Demo.myshopify.com", `{ shop { id name myshopifyDomain currencyCode ianaTimezone plan { displayName } } currentAppInstallation { accessScopes { handle } } }`, nil)
	s := a.Data.Shop
	if s.Name != "demo" || s.MyshopifyDomain != "demo.myshopify.com" || s.CurrencyCode != "USD" || s.IanaTimezone != "Etc/UTC" || s.Plan.DisplayName == "" {
		t.Errorf("shop = %+v", s)
	}
	if len(a.Data.CurrentAppInstallation.AccessScopes) != 4 {
		t.Errorf("scopes in %s", a.raw)
	}
	if got := a.header.Get("X-Shopify-API-Version"); got != "2026-10" {
		t.Errorf("version header %q", got)
	}
}

func TestOrderFields(t *testing.T) {
	v := startOnFile(t, smallFile)
	a := v.query("demo", syncQuery, map[string]any{"first": 250})
	if got := names(a.Data.Orders.Nodes); got != "101 102 103 104 105" {
		t.Fatalf("orders %s in %s", got, a.raw)
	}
	o := a.Data.Orders.Nodes[2]
	if o.ID != "gid://shopify/Order/103" || o.CreatedAt != "2024-01-05T07:30:00Z" || o.UpdatedAt != o.CreatedAt || o.CancelledAt != nil ||
		o.TotalPriceSet.ShopMoney.Amount != "57.5" || o.TotalPriceSet.ShopMoney.CurrencyCode != "USD" ||
		o.Customer.ID != "gid://shopify/Customer/1" || o.CurrentSubtotalLineItemsQuantity != 3 || o.DisplayFinancialStatus != "PAID" {
		t.Errorf("order = %+v", o)
	}
	if got := a.Data.Orders.Nodes[1].TotalPriceSet.ShopMoney.Amount; got != "10.0" {
		t.Errorf("10.00 is written %s", got)
	}
}

// TestEveryField selects all that the schema has, so a field without an answer shows.
func TestEveryField(t *testing.T) {
	money := `{ shopMoney { amount currencyCode } presentmentMoney { amount currencyCode } }`
	customer := `{ __typename id legacyResourceId email firstName lastName displayName createdAt updatedAt numberOfOrders amountSpent { amount currencyCode } }`
	orderFields := `{ id legacyResourceId name email test createdAt updatedAt processedAt cancelledAt displayFinancialStatus currencyCode totalPriceSet ` + money +
		` currentTotalPriceSet ` + money + ` subtotalPriceSet ` + money + ` totalTaxSet ` + money + ` totalDiscountsSet ` + money + ` totalShippingPriceSet ` + money + ` totalRefundedSet ` + money +
		` subtotalLineItemsQuantity currentSubtotalLineItemsQuantity customer ` + customer + ` }`
	product := `{ id legacyResourceId title handle vendor productType status createdAt updatedAt priceRangeV2 { minVariantPrice { amount currencyCode } maxVariantPrice { amount currencyCode } } }`
	info := ` pageInfo { hasNextPage hasPreviousPage startCursor endCursor }`
	v := start(t, sandbox.Config{Seed: 1})
	for _, query := range []string{
		`{ orders(first: 3) { edges { cursor node ` + orderFields + ` } nodes ` + orderFields + info + ` } }`,
		`{ customers(first: 3) { edges { cursor node ` + customer + ` } nodes ` + customer + info + ` } }`,
		`{ products(first: 3) { edges { cursor node ` + product + ` } nodes ` + product + info + ` } }`,
		`{ shop { id name email myshopifyDomain currencyCode ianaTimezone plan { displayName publicDisplayName partnerDevelopment shopifyPlus } } }`,
		`{ currentAppInstallation { id accessScopes { handle description } } ordersCount { count precision } }`,
		`{ order(id: "gid://shopify/Order/1") { id } customer(id: "gid://shopify/Customer/1") { id } product(id: "gid://shopify/Product/7001") ` + product + ` }`,
	} {
		if a := v.query("demo", query, nil); len(a.Errors) > 0 || a.status != 200 {
			t.Errorf("%s\n%s", query, a.raw)
		}
	}
}

func TestPaging(t *testing.T) {
	v := startOnFile(t, smallFile)
	for _, first := range []int{1, 2, 3, 5, 250} {
		if got := names(v.sync("demo", first, "")); got != "101 102 103 104 105" {
			t.Errorf("pages of %d: %s", first, got)
		}
	}
	a := v.query("demo", `{ orders(first: 2, reverse: true, sortKey: ID) { edges { cursor node { name } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`, nil)
	p := a.Data.Orders
	if p.Edges[0].Node.Name != "#105" || p.Edges[1].Node.Name != "#104" || !p.PageInfo.HasNextPage || p.PageInfo.HasPreviousPage || p.Edges[1].Cursor != *p.PageInfo.EndCursor {
		t.Fatalf("reverse page: %s", a.raw)
	}
	next := v.query("demo", `query($c: String) { orders(first: 9, after: $c, reverse: true, sortKey: ID) { nodes { name } } }`, map[string]any{"c": p.Edges[1].Cursor})
	if got := names(next.Data.Orders.Nodes); got != "103 102 101" {
		t.Errorf("after in reverse: %s", got)
	}
	back := v.query("demo", `query($c: String) { orders(last: 1, before: $c, reverse: true, sortKey: ID) { nodes { name } pageInfo { hasPreviousPage hasNextPage } } }`, map[string]any{"c": p.Edges[1].Cursor})
	if got := names(back.Data.Orders.Nodes); got != "105" {
		t.Errorf("before in reverse: %s", got)
	}
}

// TestPagingStaysWhileOrdersArrive adds an order in front of the cursor.
func TestPagingStaysWhileOrdersArrive(t *testing.T) {
	v := startOnFile(t, smallFile)
	a := v.query("demo", syncQuery, map[string]any{"first": 3})
	v.admin("POST", "/sandbox/shopify/demo/orders", `{"orders":[{"id":99,"created_at":"2023-12-31T00:00:00Z","updated_at":"2023-12-31T00:00:00Z","total":"1"}]}`, 201)
	b := v.query("demo", syncQuery, map[string]any{"first": 3, "after": *a.Data.Orders.PageInfo.EndCursor})
	if got := names(b.Data.Orders.Nodes); got != "104 105" {
		t.Errorf("second page: %s", got)
	}
}

func TestSearchOnTheWire(t *testing.T) {
	v := startOnFile(t, smallFile)
	for query, want := range map[string]string{
		`created_at:>='2024-01-05T07:30:00Z'`:                                     "103 104 105",
		`created_at:>'2024-01-05T07:30:00Z' AND created_at:<2024-03-01T00:00:00Z`: "104",
		`updated_at:>=2024-01-05T07:30:00Z updated_at:<=2024-02-29T23:59:59Z`:     "103 104",
		`created_at:2024-01-01`:                                                   "101 102",
		`customer_id:2`:                                                           "102 105",
	} {
		if got := names(v.sync("demo", 2, query)); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	a := v.query("demo", syncQuery, map[string]any{"first": 9, "query": "colour:red"})
	if len(a.Data.Orders.Nodes) != 5 || len(a.Extensions.Search) != 1 || a.Extensions.Search[0].Warnings[0].Code != "invalid_field" {
		t.Errorf("an unknown field is ignored with a warning: %s", a.raw)
	}
	c := v.query("demo", `{ ordersCount(query: "customer_id:2") { count precision } }`, nil)
	if c.Data.OrdersCount.Count != 2 || c.Data.OrdersCount.Precision != "EXACT" {
		t.Errorf("count: %s", c.raw)
	}
}

func TestRefusals(t *testing.T) {
	v := startOnFile(t, smallFile)
	with := func(name, value string) map[string]string {
		h := map[string]string{}
		for k, w := range goodHeaders {
			h[k] = w
		}
		h[name] = value
		return h
	}
	const path, query = "/shopify/demo/admin/api/2026-10/graphql.json", `{"query":"{ shop { name } }"}`
	tests := []struct {
		name, method, path, body string
		header                   map[string]string
		status                   int
		contains                 string
	}{
		{"good", "POST", path, query, goodHeaders, 200, `{"data":{"shop":{"name":"demo"}},"extensions":{"cost":{"requestedQueryCost":1,"actualQueryCost":1,"throttleStatus":{"maximumAvailable":1000000.0,`},
		{"no token", "POST", path, query, map[string]string{"Content-Type": "application/json"}, 401, "Invalid API key or access token"},
		{"foreign token", "POST", path, query, with("X-Shopify-Access-Token", "sk_live_12345678"), 401, "Invalid API key"},
		{"short token", "POST", path, query, with("X-Shopify-Access-Token", "shpat_1"), 401, "Invalid API key"},
		{"revoked token", "POST", path, query, with("X-Shopify-Access-Token", "shpat_revoked1"), 401, "Invalid API key"},
		{"get", "GET", path, "", goodHeaders, 405, ""},
		{"bad version", "POST", "/shopify/demo/admin/api/2026-11/graphql.json", query, goodHeaders, 404, "Not Found"},
		{"future version", "POST", "/shopify/demo/admin/api/2031-01/graphql.json", query, goodHeaders, 404, "Not Found"},
		{"bad shop", "POST", "/shopify/de_mo/admin/api/2026-10/graphql.json", query, goodHeaders, 404, "Not Found"},
		{"not JSON", "POST", path, "{", goodHeaders, 400, "Required parameter"},
		{"empty query", "POST", path, `{"query":" "}`, goodHeaders, 400, "Required parameter"},
		{"wrong content type", "POST", path, query, with("Content-Type", "text/plain"), 400, "Required parameter"},
		{"plain GraphQL", "POST", path, "{ shop { name } }", with("Content-Type", "application/graphql"), 200, `"name":"demo"`},
		{"too large", "POST", path, `{"query":"` + strings.Repeat(" ", 2<<20) + `"}`, goodHeaders, 413, ""},
		{"syntax", "POST", path, `{"query":"{ shop { name "}`, goodHeaders, 200, `"errors":[{"message":`},
		{"unknown field", "POST", path, `{"query":"{ shop { colour } }"}`, goodHeaders, 200, `{"message":"Field 'colour' doesn't exist on type 'Shop'","locations":[{"line":1,"column":10}],"extensions":{"code":"undefinedField","fieldName":"colour","typeName":"Shop"}}`},
		{"unknown argument", "POST", path, `{"query":"{ orders(limit: 3) { nodes { id } } }"}`, goodHeaders, 200, `"argumentNotAccepted"`},
		{"no fields", "POST", path, `{"query":"{ shop }"}`, goodHeaders, 200, `"selectionMismatch"`},
		{"wrong literal", "POST", path, `{"query":"{ orders(first: \"3\") { nodes { id } } }"}`, goodHeaders, 200, `"argumentLiteralsIncompatible"`},
		{"huge literal", "POST", path, `{"query":"{ orders(first: 99999999999999999999) { nodes { id } } }"}`, goodHeaders, 200, `"errors":[`},
		{"missing variable", "POST", path, `{"query":"query($n: Int!) { orders(first: $n) { nodes { id } } }"}`, goodHeaders, 200, `Variable $n of type Int! was provided invalid value`},
		{"wrong variable", "POST", path, `{"query":"query($n: Int!) { orders(first: $n) { nodes { id } } }","variables":{"n":"x"}}`, goodHeaders, 200, `INVALID_VARIABLE`},
		{"unknown operation", "POST", path, `{"query":"query A { shop { name } }","operationName":"B"}`, goodHeaders, 200, `No operation named`},
		{"no page size", "POST", path, `{"query":"{ orders { nodes { id } } }"}`, goodHeaders, 200, `you must provide one of first or last`},
		{"page too long", "POST", path, `{"query":"{ orders(first: 251) { nodes { id } } }"}`, goodHeaders, 200, `"data":null,"errors":[{"message":"first must be between 0 and 250, got 251","locations":[{"line":1,"column":3}],"path":["orders"]`},
		{"bad cursor", "POST", path, `{"query":"{ orders(first: 1, after: \"zzz\") { nodes { id } } }"}`, goodHeaders, 200, `Invalid cursor for current pagination sort.`},
		{"bad search", "POST", path, `{"query":"{ orders(first: 1, query: \"(a\") { nodes { id } } }"}`, goodHeaders, 200, `invalid search query: missing )`},
		{"bad id", "POST", path, `{"query":"{ order(id: \"1\") { id } }"}`, goodHeaders, 200, `Invalid global id '1'`},
		{"introspection", "POST", path, `{"query":"{ __schema { types { name } } }"}`, goodHeaders, 200, `does not answer introspection`},
		{"too costly", "POST", path, `{"query":"{ orders(first: 250) { nodes { customer { id } } } more: orders(first: 250) { nodes { customer { id } } } }"}`, goodHeaders, 200, `"MAX_COST_EXCEEDED"`},
		{"unknown fault", "POST", "/sandbox/shopify/demo/faults", `{"kind":"gremlin"}`, nil, 400, "gremlin"},
		{"unknown fault field", "POST", "/sandbox/shopify/demo/faults", `{"kind":"html","count":1}`, nil, 400, "count"},
		{"empty bucket", "PUT", "/sandbox/shopify/demo/limits", `{"maximum_available":0,"restore_rate":1}`, nil, 400, "positive"},
		{"order without total", "POST", "/sandbox/shopify/demo/orders", `{"orders":[{"items":1}]}`, nil, 400, "total"},
		{"order with bad status", "POST", "/sandbox/shopify/demo/orders", `{"orders":[{"total":"1","financial_status":"LOST"}]}`, nil, 400, "LOST"},
		{"truth without shop", "GET", "/sandbox/truth", "", nil, 400, "shop"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response, content, err := v.do(tt.method, tt.path, tt.body, tt.header)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != tt.status || !strings.Contains(string(content), tt.contains) {
				t.Errorf("status %d, want %d; body %s, want in it %s", response.StatusCode, tt.status, content, tt.contains)
			}
		})
	}
	old, _, err := v.do("POST", "/shopify/demo/admin/api/2023-04/graphql.json", query, goodHeaders)
	if err != nil || old.StatusCode != 200 || old.Header.Get("X-Shopify-API-Version") != "2026-01" {
		t.Errorf("an old version is answered by the oldest: %v %v", old, err)
	}
}

func TestFragmentsAliasesAndDirectives(t *testing.T) {
	v := startOnFile(t, smallFile)
	a := v.query("demo", `query Q($with: Boolean!) {
  shop { a: name ...S ... on Shop { plan { displayName } } plan { shopifyPlus } currencyCode @skip(if: $with) ianaTimezone @include(if: $with) }
} fragment S on Shop { b: name __typename }`, map[string]any{"with": true})
	want := `{"data":{"shop":{"a":"demo","b":"demo","__typename":"Shop","plan":{"displayName":"Basic","shopifyPlus":false},"ianaTimezone":"Etc/UTC"}}`
	if !strings.HasPrefix(a.raw, want) {
		t.Errorf("got  %s\nwant %s", a.raw, want)
	}
}

func TestCostAndThrottling(t *testing.T) {
	v := startOnFile(t, smallFile)
	v.admin("PUT", "/sandbox/shopify/demo/limits", `{"maximum_available":600,"restore_rate":100}`, 200)
	ask := func() answer { return v.query("demo", syncQuery, map[string]any{"first": 250}) }

	a := ask()
	cost := a.Extensions.Cost
	// A connection costs 2, each of the 250 nodes 1 for the order and 1 for its customer; 5 came back.
	if cost.RequestedQueryCost != 502 || *cost.ActualQueryCost != 12 || cost.ThrottleStatus.CurrentlyAvailable != 588 ||
		cost.ThrottleStatus.MaximumAvailable != 600 || cost.ThrottleStatus.RestoreRate != 100 {
		t.Fatalf("cost: %s", a.raw)
	}
	for len(a.Errors) == 0 && len(a.Data.Orders.Nodes) == 5 {
		a = ask()
	}
	// 600 less eight times 12 is 504, the ninth leaves 492, which cannot pay 502.
	if a.status != 200 || a.Errors[0].Message != "Throttled" || a.Errors[0].Extensions.Code != "THROTTLED" || a.Extensions.Cost.ActualQueryCost != nil ||
		a.Extensions.Cost.RequestedQueryCost != 502 || a.Extensions.Cost.ThrottleStatus.CurrentlyAvailable != 492 || strings.Contains(a.raw, `"data"`) {
		t.Fatalf("throttled: %s", a.raw)
	}
	v.pass(99 * time.Millisecond)
	if a = ask(); len(a.Errors) == 0 {
		t.Fatalf("after 99 ms 501 points are there and 502 needed: %s", a.raw)
	}
	v.pass(time.Millisecond)
	if a = ask(); len(a.Errors) != 0 {
		t.Fatalf("after 100 ms: %s", a.raw)
	}
	if b := v.query("other", syncQuery, map[string]any{"first": 250}); len(b.Errors) > 0 {
		t.Errorf("another shop has its own bucket: %s", b.raw)
	}
	counts := v.admin("GET", "/sandbox/shopify/demo/requests", "", 200)
	if counts["total"] != 12.0 || counts["throttled"] != 2.0 || counts["by_operation"].(map[string]any)["Orders"] != 12.0 {
		t.Errorf("counts: %v", counts)
	}
	v.admin("DELETE", "/sandbox/shopify/demo/requests", "", 204)
	if counts = v.admin("GET", "/sandbox/shopify/demo/requests", "", 200); counts["total"] != 0.0 {
		t.Errorf("counts after reset: %v", counts)
	}
	// Ten answers of twelve points; what is refused costs nothing.
	if l := v.admin("GET", "/sandbox/shopify/demo/limits", "", 200); l["spent"] != 120.0 || l["currently_available"] != 490.0 {
		t.Errorf("the bucket: %v", l)
	}
	v.admin("DELETE", "/sandbox/shopify/demo/limits", "", 204)
	if l := v.admin("GET", "/sandbox/shopify/demo/limits", "", 200); l["maximum_available"] != 1e6 {
		t.Errorf("limits after reset: %v", l)
	}
}

func TestFaults(t *testing.T) {
	v := startOnFile(t, smallFile)
	ask := func() (answer, error) { return v.send("demo", syncQuery, map[string]any{"first": 250}) }
	tests := []struct {
		name, fault string
		check       func(a answer, err error) bool
	}{
		{"throttle", `{"kind":"throttle"}`, func(a answer, err error) bool {
			return err == nil && a.status == 200 && a.Errors[0].Extensions.Code == "THROTTLED"
		}},
		{"throttle with 429", `{"kind":"throttle","status":429}`, func(a answer, err error) bool {
			return err == nil && a.status == 429 && strings.Contains(a.raw, `"THROTTLED"`)
		}},
		{"error500", `{"kind":"error500"}`, func(a answer, err error) bool { return err == nil && a.status == 500 }},
		{"error503", `{"kind":"error500","status":503}`, func(a answer, err error) bool { return err == nil && a.status == 503 }},
		{"html", `{"kind":"html"}`, func(a answer, err error) bool {
			return err == nil && a.status == 200 && strings.HasPrefix(a.header.Get("Content-Type"), "text/html") && strings.Contains(a.raw, "<html>")
		}},
		{"timeout", `{"kind":"timeout","delay_ms":20}`, func(_ answer, err error) bool { return err != nil }},
		{"truncated", `{"kind":"truncated"}`, func(_ answer, err error) bool {
			return err != nil && strings.Contains(err.Error(), "unexpected EOF")
		}},
		{"slow", `{"kind":"slow","delay_ms":1}`, func(a answer, err error) bool { return err == nil && len(a.Data.Orders.Nodes) == 5 }},
		{"expired_token", `{"kind":"expired_token"}`, func(a answer, err error) bool {
			return err == nil && a.status == 401 && strings.Contains(a.raw, "Invalid API key")
		}},
		{"drop_connection", `{"kind":"drop_connection"}`, func(_ answer, err error) bool { return err != nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v.admin("POST", "/sandbox/shopify/demo/faults", tt.fault, 201)
			if a, err := ask(); !tt.check(a, err) {
				t.Errorf("with the fault: %v %+v", err, a)
			}
			if a, err := ask(); err != nil || a.status != 200 || len(a.Data.Orders.Nodes) != 5 {
				t.Errorf("after the fault: %v %+v", err, a)
			}
		})
	}
}

func TestFaultSchedule(t *testing.T) {
	v := startOnFile(t, smallFile)
	statuses := func(n int) (got []int) {
		for range n {
			got = append(got, v.query("demo", `{ shop { name } }`, nil).status)
		}
		return got
	}
	v.admin("POST", "/sandbox/shopify/demo/faults", `{"kind":"error500","times":2,"after_requests":1}`, 201)
	if got := statuses(4); !slices.Equal(got, []int{200, 500, 500, 200}) {
		t.Errorf("times 2 after 1: %v", got)
	}
	v.admin("POST", "/sandbox/shopify/demo/faults", `{"kind":"error500","times":-1}`, 201)
	if got := statuses(3); !slices.Equal(got, []int{500, 500, 500}) {
		t.Errorf("until cleared: %v", got)
	}
	if pending := v.admin("GET", "/sandbox/shopify/demo/faults", "", 200)["faults"].([]any); len(pending) != 1 {
		t.Errorf("pending: %v", pending)
	}
	v.admin("DELETE", "/sandbox/shopify/demo/faults", "", 204)
	if got := statuses(1); got[0] != 200 {
		t.Errorf("after clearing: %v", got)
	}
}

func TestSpoiltPages(t *testing.T) {
	var file strings.Builder
	file.WriteString("order_id,customer_id,ordered_at,items,total,currency\n")
	for i := range 100 {
		fmt.Fprintf(&file, "%d,1,2024-01-01T00:%02d:%02dZ,1,1.00,USD\n", 1000+i, i/60, i%60)
	}
	v := startOnFile(t, file.String())
	straight := names(v.sync("demo", 20, ""))

	v.admin("POST", "/sandbox/shopify/demo/faults", `{"kind":"duplicate_page","times":2}`, 201)
	got := strings.Fields(names(v.sync("demo", 20, "")))
	if len(got) != 108 || !slices.IsSorted(got[:20]) || got[20] != got[16] {
		t.Errorf("two pages repeat a fifth of the page before: %d orders, %v", len(got), got)
	}
	if unique := slices.Compact(slices.Sorted(slices.Values(got))); strings.Join(unique, " ") != straight {
		t.Errorf("none is lost: %v", unique)
	}

	v.admin("POST", "/sandbox/shopify/demo/faults", `{"kind":"reorder_pages","times":1}`, 201)
	got = strings.Fields(names(v.sync("demo", 20, "")))
	if strings.Join(got, " ") == straight || slices.IsSorted(got[:20]) || !slices.IsSorted(got[20:]) {
		t.Errorf("the first page is shuffled: %v", got)
	}
	slices.Sort(got)
	if strings.Join(got, " ") != straight {
		t.Errorf("none is lost: %v", got)
	}
}

func TestOrdersArriveAndChange(t *testing.T) {
	v := startOnFile(t, smallFile)
	added := v.admin("POST", "/sandbox/shopify/demo/orders", `{"orders":[{"customer_id":9,"total":"12.30","items":2},{"total":"1"}]}`, 201)
	if id := added["orders"].([]any)[0].(map[string]any)["id"]; id != 106.0 {
		t.Errorf("next id: %v", id)
	}
	if got := names(v.sync("demo", 2, "updated_at:>=2026-11-22T10:00:00Z")); got != "106 107" {
		t.Errorf("incremental: %s", got)
	}
	v.pass(time.Minute)
	v.admin("POST", "/sandbox/shopify/demo/orders", `{"orders":[{"id":101,"refunded":"29.33","financial_status":"REFUNDED","cancelled_at":"2026-11-22T10:00:30Z"}]}`, 201)
	changed := v.sync("demo", 2, "updated_at:>=2026-11-22T10:01:00Z")
	if names(changed) != "101" || changed[0].CreatedAt != "2024-01-01T12:00:00Z" || changed[0].UpdatedAt != "2026-11-22T10:01:00Z" ||
		*changed[0].CancelledAt != "2026-11-22T10:00:30Z" || changed[0].DisplayFinancialStatus != "REFUNDED" || changed[0].TotalPriceSet.ShopMoney.Amount != "29.33" {
		t.Errorf("changed: %+v", changed)
	}
	if got := names(v.sync("other", 250, "")); got != "101 102 103 104 105" {
		t.Errorf("another shop still has the file: %s", got)
	}
	truth := v.admin("GET", "/sandbox/truth?shop=demo", "", 200)
	if truth["orders"] != 7.0 || truth["revenue"] != "230.18" || truth["cancelled"].(map[string]any)["orders"] != 1.0 || truth["refunded"] != "29.33" {
		t.Errorf("truth: %v", truth)
	}
}

func TestGeneratedShop(t *testing.T) {
	v := start(t, sandbox.Config{Seed: 7})
	truth := v.admin("GET", "/sandbox/truth?shop=demo", "", 200)
	orders := v.sync("demo", 250, "")
	if float64(len(orders)) != truth["orders"] || len(orders) < 5000 {
		t.Fatalf("%d orders, truth says %v", len(orders), truth["orders"])
	}
	var cents int64
	customers := map[string]bool{}
	for _, o := range orders {
		cents += inCents(t, o.TotalPriceSet.ShopMoney.Amount)
		customers[o.Customer.ID] = true
	}
	if cents != inCents(t, truth["revenue"].(string)) || float64(len(customers)) != truth["customers"] {
		t.Errorf("%d cents and %d customers, truth says %v and %v", cents, len(customers), truth["revenue"], truth["customers"])
	}
	again := start(t, sandbox.Config{Seed: 7}).admin("GET", "/sandbox/truth?shop=demo", "", 200)
	other := v.admin("GET", "/sandbox/truth?shop=other", "", 200)
	reseeded := start(t, sandbox.Config{Seed: 8}).admin("GET", "/sandbox/truth?shop=demo", "", 200)
	if again["revenue"] != truth["revenue"] || other["revenue"] == truth["revenue"] || reseeded["revenue"] == truth["revenue"] {
		t.Errorf("revenue %v, again %v, another shop %v, another seed %v", truth["revenue"], again["revenue"], other["revenue"], reseeded["revenue"])
	}
}

func TestABusinessIsAsLargeAsItIsMade(t *testing.T) {
	v := startOnFile(t, smallFile)
	const size = `{"days":10,"new_customers_per_day":20,"campaigns":9}`
	v.admin("PUT", "/sandbox/businesses/large/size", size, 200)
	truth := v.admin("GET", "/sandbox/truth?shop=large", "", 200)
	if n := truth["orders"].(float64); n < 150 || n > 600 || float64(len(v.sync("large", 250, ""))) != n {
		t.Errorf("%v orders of about 20 new customers on each of 10 days", n)
	}
	ads := v.admin("GET", "/sandbox/vendors/meta-ads/large/truth", "", 200)
	days := ads["performance"].(map[string]any)
	if len(ads["campaigns"].(map[string]any)) != 9 || len(days) < 6*9 || len(days) > 9*11 {
		t.Errorf("%d campaigns with %d days", len(ads["campaigns"].(map[string]any)), len(days))
	}
	if other := v.admin("GET", "/sandbox/truth?shop=demo", "", 200); other["orders"] != 5.0 {
		t.Errorf("another business has %v orders, and the file five", other["orders"])
	}
	v.admin("PUT", "/sandbox/businesses/large/size", size, 200) // which it has
	for _, refused := range []string{`{"days":11}`, `{"days":-1}`, `{"campaigns":2000}`, `{"orders":1}`} {
		v.admin("PUT", "/sandbox/businesses/large/size", refused, 400)
		if strings.Contains(refused, "11") {
			continue
		}
		v.admin("PUT", "/sandbox/businesses/new/size", refused, 400)
	}
}

// inCents reads an amount with at most two decimals.
func inCents(t *testing.T, amount string) int64 {
	t.Helper()
	whole, fraction, _ := strings.Cut(amount, ".")
	if len(fraction) == 1 {
		fraction += "0"
	}
	n, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil || len(fraction) != 2 {
		t.Fatalf("amount %q", amount)
	}
	return n
}

// cdnow is the file of 6,919 real orders: TANDEM_CDNOW, or the shared data beside
// the repository.
func cdnow(t testing.TB) string {
	t.Helper()
	path := os.Getenv("TANDEM_CDNOW")
	if path == "" {
		path = filepath.Join("..", "..", "..", "shared", "data", "cdnow_orders.csv")
	}
	if _, err := os.Stat(path); err != nil {
		skip.Missing(t, fmt.Sprintf("no CDNOW orders at %s (set TANDEM_CDNOW)", path))
	}
	return path
}

func TestCDNOW(t *testing.T) {
	v := start(t, sandbox.Config{OrdersFile: cdnow(t)})
	var cents int64
	customers := map[string]bool{}
	orders := v.sync("demo", 250, "")
	ids := map[string]bool{}
	for _, o := range orders {
		cents += inCents(t, o.TotalPriceSet.ShopMoney.Amount)
		customers[o.Customer.ID] = true
		ids[o.ID] = true
	}
	if len(orders) != 6919 || len(ids) != 6919 || len(customers) != 2357 || cents != 24409194 {
		t.Errorf("%d orders, %d ids, %d customers, %d cents", len(orders), len(ids), len(customers), cents)
	}
	march := v.sync("demo", 250, "created_at:1997-03")
	cents = 0
	customers = map[string]bool{}
	for _, o := range march {
		cents += inCents(t, o.TotalPriceSet.ShopMoney.Amount)
		customers[o.Customer.ID] = true
	}
	if len(march) != 1204 || cents != 4347210 || len(customers) != 948 {
		t.Errorf("March 1997: %d orders, %d cents, %d customers", len(march), cents, len(customers))
	}
	truth := v.admin("GET", "/sandbox/truth?shop=demo", "", 200)
	if truth["revenue"] != "244091.94" || truth["source"] != "file" || len(truth["months"].([]any)) != 18 {
		t.Errorf("truth: %v", truth)
	}
}

func TestConfigErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, config := range map[string]sandbox.Config{
		"no clock":         {},
		"no file":          {Now: time.Now, OrdersFile: filepath.Join(dir, "none.csv")},
		"foreign header":   {Now: time.Now, OrdersFile: file("a.csv", "a,b,c,d,e,f\n")},
		"unknown currency": {Now: time.Now, OrdersFile: file("b.csv", strings.ReplaceAll(smallFile, "USD", "XXX"))},
		"bad currency":     {Now: time.Now, Currency: "usd"},
		"negative bucket":  {Now: time.Now, MaximumAvailable: -1},
	} {
		if _, err := sandbox.New(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestConcurrency has readers, writers and faults at once; the race detector watches.
func TestConcurrency(t *testing.T) {
	v := startOnFile(t, smallFile)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 10 {
				if i%4 == 0 {
					_, _, err := v.do("POST", "/sandbox/shopify/demo/orders", `{"orders":[{"total":"1"}]}`, nil)
					_, _, err2 := v.do("POST", "/sandbox/shopify/demo/faults", `{"kind":"reorder_pages"}`, nil)
					if err != nil || err2 != nil {
						t.Error(err, err2)
					}
				} else if a, err := v.send("demo", syncQuery, map[string]any{"first": 250}); err != nil || len(a.Data.Orders.Nodes) < 5 {
					t.Error(err, a.raw)
				}
			}
		})
	}
	group.Wait()
	if got := len(v.sync("demo", 250, "")); got != 25 {
		t.Errorf("%d orders, want 5 and 20 added", got)
	}
}

func BenchmarkPageOf250(b *testing.B) {
	handler, err := sandbox.New(sandbox.Config{Seed: 1, Now: func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }})
	if err != nil {
		b.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"query": syncQuery, "variables": map[string]any{"first": 250, "query": "updated_at:>=2025-06-01"}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		request := httptest.NewRequest("POST", "/shopify/demo/admin/api/2026-10/graphql.json", bytes.NewReader(body))
		for name, value := range goodHeaders {
			request.Header.Set(name, value)
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusOK {
			b.Fatal(recorder.Body)
		}
	}
}
