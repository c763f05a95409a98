package shopify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/shopify"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

var account = connector.Account{
	Connection: "c1", Name: "demo.myshopify.com",
	Credentials: connector.Credentials{AccessToken: secrets.New("shpat_0123456789")},
}

var app = connector.App{ClientID: "our-app", Secret: func(context.Context) (secrets.Secret, error) { return secrets.New("hush"), nil }}

// asked is what the vendor got to see.
type asked struct {
	Path, Token string
	Query       string         `json:"query"`
	Variables   map[string]any `json:"variables"`
}

// vendor answers every request with status and body, as JSON, and keeps the last.
func vendor(t *testing.T, status int, body string) (*shopify.Connector, *asked) {
	t.Helper()
	var last asked
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last = asked{Path: r.URL.Path, Token: r.Header.Get("X-Shopify-Access-Token")}
		if err := json.NewDecoder(r.Body).Decode(&last); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	c, err := shopify.NewConnector(server.URL+"/shopify/{shop}", "", app, server.Client(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return c, &last
}

func pull(t *testing.T, c *shopify.Connector, stream string, r connector.Request) (connector.Page, error) {
	t.Helper()
	for _, s := range c.Streams() {
		if s.Name == stream {
			return s.Pull(t.Context(), account, r)
		}
	}
	t.Fatalf("there is no stream of %s", stream)
	return connector.Page{}, nil
}

func at(t *testing.T, text string) store.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return store.At(parsed)
}

const pageOfOrders = `{"data":{"orders":{"nodes":[
	{"id":"gid://shopify/Order/5001","name":"#1001","test":false,"processedAt":"2026-03-01T09:30:00+02:00","updatedAt":"2026-03-02T00:00:00Z",
	 "cancelledAt":null,"displayFinancialStatus":"PAID","subtotalLineItemsQuantity":2,
	 "totalPriceSet":{"shopMoney":{"amount":"29.33","currencyCode":"USD"}},"customer":{"id":"gid://shopify/Customer/4"}},
	{"id":"gid://shopify/Order/5002","name":"EN7-A","test":true,"processedAt":"2026-03-01T10:00:00Z","updatedAt":"2026-03-01T11:00:00Z",
	 "cancelledAt":"2026-03-01T10:30:00Z","displayFinancialStatus":"SOMETHING_NEW","subtotalLineItemsQuantity":1,
	 "totalPriceSet":{"shopMoney":{"amount":"1500.0","currencyCode":"JPY"}},"customer":null}],
	"pageInfo":{"hasNextPage":true,"endCursor":"abc"}}},
	"extensions":{"cost":{"requestedQueryCost":502,"actualQueryCost":6,"throttleStatus":{"maximumAvailable":2000.0,"currentlyAvailable":402,"restoreRate":100.0}}}}`

func TestOrdersAreNormalized(t *testing.T) {
	c, last := vendor(t, 200, pageOfOrders)
	got, err := pull(t, c, "orders", connector.Request{Size: 250, Cursor: "xyz", Since: time.Date(2026, 2, 28, 23, 0, 0, 999, time.FixedZone("", 3600))})
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) store.Time { return at(t, text) }
	cancelled := at("2026-03-01T10:30:00Z")
	want := connector.Page{
		Records: connector.Records{Orders: []integrationsapi.Order{
			{ID: "c1:5001", ConnectionID: "c1", Vendor: "shopify", Number: "#1001", CustomerID: "c1:4", PlacedAt: at("2026-03-01T07:30:00Z"),
				UpdatedAt: at("2026-03-02T00:00:00Z"), TotalMinor: 2933, Currency: "USD", Items: 2, Status: "paid"},
			{ID: "c1:5002", ConnectionID: "c1", Vendor: "shopify", Number: "EN7-A", PlacedAt: at("2026-03-01T10:00:00Z"),
				UpdatedAt: at("2026-03-01T11:00:00Z"), TotalMinor: 1500, Currency: "JPY", Items: 1, Status: "unknown", CancelledAt: &cancelled, Test: true},
		}},
		Next: "abc", Changed: at("2026-03-02T00:00:00Z").Time, Wait: time.Second,
		Budget: &connector.Budget{Rate: 100, Max: 2000, Left: 402, Cost: 6, Reserve: 502},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("page\n%+v\nwant\n%+v", got, want)
	}
	if last.Path != "/shopify/demo.myshopify.com/admin/api/2026-10/graphql.json" || last.Token != "shpat_0123456789" {
		t.Errorf("asked %s with token %q", last.Path, last.Token)
	}
	if !reflect.DeepEqual(last.Variables, map[string]any{"first": 250.0, "after": "xyz", "query": "updated_at:>='2026-02-28T22:00:00Z'"}) {
		t.Errorf("variables %v", last.Variables)
	}
	if strings.Contains(last.Query, "totalPrice ") || !strings.Contains(last.Query, "sortKey: UPDATED_AT") {
		t.Errorf("query %s", last.Query)
	}
}

func TestCustomersAndProductsAreNormalized(t *testing.T) {
	for _, c := range []struct {
		stream, node string
		want         connector.Records
	}{
		{"customers", `{"id":"gid://shopify/Customer/4","email":" Ada@Example.com","firstName":"Ada","lastName":null,"createdAt":"2026-02-01T09:30:00+02:00",
			"updatedAt":"2026-03-01T00:00:00Z","numberOfOrders":"3","amountSpent":{"amount":"104.5","currencyCode":"USD"}}`,
			connector.Records{Customers: []integrationsapi.Customer{{
				ID: "c1:4", ConnectionID: "c1", Vendor: "shopify", Email: "ada@example.com", FirstName: "Ada",
				CreatedAt: at(t, "2026-02-01T07:30:00Z"), UpdatedAt: at(t, "2026-03-01T00:00:00Z"), Orders: 3, SpentMinor: 10450, Currency: "USD",
			}}}},
		{"products", `{"id":"gid://shopify/Product/7001","title":"Linen Lamp","vendor":"Sandbox Goods","productType":"Lamp","status":"ARCHIVED","createdAt":"2026-02-01T07:30:00Z",
			"updatedAt":"2026-03-01T00:00:00Z","priceRangeV2":{"minVariantPrice":{"amount":"29.99","currencyCode":"EUR"},"maxVariantPrice":{"amount":"40.0","currencyCode":"EUR"}}}`,
			connector.Records{Products: []integrationsapi.Product{{
				ID: "c1:7001", ConnectionID: "c1", Vendor: "shopify", Title: "Linen Lamp", Brand: "Sandbox Goods", Category: "Lamp", Status: "archived",
				CreatedAt: at(t, "2026-02-01T07:30:00Z"), UpdatedAt: at(t, "2026-03-01T00:00:00Z"), PriceMinMinor: 2999, PriceMaxMinor: 4000, Currency: "EUR",
			}}}},
	} {
		shop, last := vendor(t, 200, `{"data":{"`+c.stream+`":{"nodes":[`+c.node+`],"pageInfo":{"hasNextPage":false}}}}`)
		got, err := pull(t, shop, c.stream, connector.Request{Size: 10})
		want := connector.Page{Records: c.want, Changed: at(t, "2026-03-01T00:00:00Z").Time}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", c.stream, got, err, want)
		}
		if !strings.Contains(last.Query, "sortKey: UPDATED_AT") {
			t.Errorf("query %s", last.Query)
		}
		// What is missing in a node is a mistake, not a zero.
		for _, field := range []string{"id", "createdAt", "amount", "currencyCode"} {
			shop, _ := vendor(t, 200, `{"data":{"`+c.stream+`":{"nodes":[`+strings.ReplaceAll(c.node, field, "gone")+`],"pageInfo":{"hasNextPage":false}}}}`)
			if page, err := pull(t, shop, c.stream, connector.Request{Size: 10}); !connectortest.Impossible(page, err) {
				t.Errorf("%s without %s: %v", c.stream, field, err)
			}
		}
	}
}

func TestTheVendorSaysWhoseAccountItIs(t *testing.T) {
	c, _ := vendor(t, 200, `{"data":{"shop":{"id":"gid://shopify/Shop/77","name":"Demo","myshopifyDomain":"Demo.myshopify.com","currencyCode":"USD",
		"ianaTimezone":"America/New_York"},"currentAppInstallation":{"accessScopes":[{"handle":"read_orders"},{"handle":"read_products"}]}}}`)
	got, err := c.Identify(t.Context(), account)
	want := connector.Identity{
		ID: "77", Account: "demo.myshopify.com", Title: "Demo", Currency: "USD", TimeZone: "America/New_York",
		Scopes: []string{"read_orders", "read_products"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestErrorsInside200(t *testing.T) {
	failed := func(code, cost string) string {
		return `{"errors":[{"message":"no","extensions":{"code":"` + code + `"}}],"extensions":{"cost":` + cost + `}}`
	}
	bucket := func(requested, maximum, available, restore string) string {
		return `{"requestedQueryCost":` + requested + `,"throttleStatus":{"maximumAvailable":` + maximum + `,"currentlyAvailable":` + available + `,"restoreRate":` + restore + `}}`
	}
	const order = `"name":"#1","processedAt":"2026-03-01T10:00:00Z","updatedAt":"2026-03-01T11:00:00Z","totalPriceSet":{"shopMoney":{"amount":"1.00","currencyCode":"USD"}}`
	page := func(node, info string) string {
		return `{"data":{"orders":{"nodes":[` + node + `],"pageInfo":` + info + `}}}`
	}
	const lastPage = `{"hasNextPage":false}`
	for _, c := range []struct {
		name, body string
		class      connector.Class
		wait       time.Duration
	}{
		{"throttled", failed("THROTTLED", bucket("502", "1000.0", "252", "100.0")), connector.Throttled, 2500 * time.Millisecond},
		{"throttled by others meanwhile", failed("THROTTLED", bucket("502", "1000.0", "900", "100.0")), connector.Throttled, time.Second},
		{"throttled without a cost", failed("THROTTLED", `{}`), connector.Throttled, time.Second},
		{"never affordable", failed("THROTTLED", bucket("502", "100.0", "100", "50.0")), connector.TooLarge, 0},
		{"too costly", failed("MAX_COST_EXCEEDED", `{}`), connector.TooLarge, 0},
		{"no scope", failed("ACCESS_DENIED", `{}`), connector.Permanent, 0},
		{"closed", failed("SHOP_INACTIVE", `{}`), connector.Permanent, 0},
		{"their bug", failed("INTERNAL_SERVER_ERROR", `{}`), connector.Transient, 0},
		{"our bug", failed("undefinedField", `{}`), connector.Permanent, 0},
		{"errors as text", `{"errors":"Internal Server Error"}`, connector.Transient, 0},
		{"errors beside data", `{"data":{"orders":{"nodes":[],"pageInfo":` + lastPage + `}},"errors":[{"message":"part of it is missing"}]}`, connector.Permanent, 0},
		{"nothing", `{}`, connector.Permanent, 0},
		{"something else", `{"data":{"customers":{"nodes":[],"pageInfo":` + lastPage + `}}}`, connector.Permanent, 0},
		{"a next page without a way to it", page("", `{"hasNextPage":true}`), connector.Permanent, 0},
		{"a next page that is this one", page("", `{"hasNextPage":true,"endCursor":"here"}`), connector.Permanent, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			shop, _ := vendor(t, 200, c.body)
			_, err := pull(t, shop, "orders", connector.Request{Size: 250, Cursor: "here"})
			var e *connector.Error
			if !errors.As(err, &e) || e.Class != c.class || e.Wait != c.wait {
				t.Errorf("%v: %+v, want class %s and wait %s", err, e, c.class, c.wait)
			}
			if err != nil && strings.Contains(err.Error(), "shpat_") {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
	for _, body := range []string{
		page(`{"id":"gid://shopify/Draft/1",`+order+`}`, lastPage),
		page(`{"id":"gid://shopify/Order/1"}`, lastPage),
		page(`{"id":"gid://shopify/Order/1",`+strings.Replace(order, "1.00", "one", 1)+`}`, lastPage),
	} {
		shop, _ := vendor(t, 200, body)
		if page, err := pull(t, shop, "orders", connector.Request{Size: 250}); !connectortest.Impossible(page, err) {
			t.Errorf("%s: %+v, %v", body, page, err)
		}
	}
}

func TestABadBaseURLIsRefused(t *testing.T) {
	for _, base := range []string{"", "{shop}", "/shopify/{shop}", "https://{shop}?x=1", "://"} {
		if _, err := shopify.NewConnector(base, "", app, http.DefaultClient, time.Now); err == nil {
			t.Errorf("%q is taken", base)
		}
	}
	if _, err := shopify.NewConnector("https://{shop}", "", app, http.DefaultClient, time.Now); err != nil {
		t.Error(err)
	}
}
