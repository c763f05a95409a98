package shopify_test

import (
	"context"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/shopify"
	"github.com/tandemhq/tandem/pkg/secrets"
)

func hooks(t testing.TB, source secrets.Map) connector.Hooks {
	t.Helper()
	read := func(name string) func(context.Context) (secrets.Secret, error) {
		return func(ctx context.Context) (secrets.Secret, error) { return source.Get(ctx, name) }
	}
	app := connector.App{Secret: read("client"), HookSecrets: connector.SeveralSecrets(read("webhooks"))}
	c, err := shopify.NewConnector("https://{shop}", "", app, http.DefaultClient, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return c.Hooks()
}

func TestSecretsOfWebhooks(t *testing.T) {
	for what, c := range map[string]struct {
		source secrets.Map
		want   []string
	}{
		"the client secret": {secrets.Map{"client": "c"}, []string{"c"}},
		"and those before":  {secrets.Map{"client": "c", "webhooks": "b, a,"}, []string{"c", "b", "a"}},
	} {
		of, err := hooks(t, c.source).Secrets(t.Context())
		var got []string
		for _, secret := range of {
			got = append(got, secret.Reveal())
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}

func TestWhatAWebhookSays(t *testing.T) {
	read := hooks(t, nil).Read
	for _, c := range []struct {
		topic, body string
		want        connector.Notice
	}{
		{"orders/create", `{}`, connector.Notice{Streams: []string{"orders"}}},
		{"orders/updated", `not even JSON`, connector.Notice{Streams: []string{"orders"}}},
		{"refunds/create", `{}`, connector.Notice{Streams: []string{"orders"}}},
		{"customers/update", `{}`, connector.Notice{Streams: []string{"customers"}}},
		{"products/delete", `{}`, connector.Notice{Streams: []string{"products"}}},
		{"themes/publish", `{}`, connector.Notice{}},
		{"customers/redact", `{"shop_domain":"demo.myshopify.com","customer":{"id":191167,"email":"john@example.com"},"orders_to_redact":[1]}`, connector.Notice{Forget: connector.Forget{Person: "191167"}}},
		{"customers/data_request", `{"shop_domain":"demo.myshopify.com","customer":{"id":191167}}`, connector.Notice{ByHand: "the shop asks for what is kept of customer 191167; find it by the customer's address, and send it to the shop's owner"}},
		{"shop/redact", `{"shop_id":1,"shop_domain":"demo.myshopify.com"}`, connector.Notice{Forget: connector.Forget{Everything: true}}},
		{"app/uninstalled", `{"myshopify_domain":"demo.myshopify.com"}`, connector.Notice{Ended: "set"}},
	} {
		header := http.Header{}
		header.Set("X-Shopify-Topic", c.topic)
		header.Set("X-Shopify-Shop-Domain", "Demo.myshopify.com")
		header.Set("X-Shopify-Webhook-Id", "w1")
		header.Set("X-Shopify-Triggered-At", "2026-11-22T12:00:00.123456789Z")
		got, err := read(connector.Delivery{Header: header, Body: []byte(c.body)})
		if err != nil || got.ID != "w1" || len(got.Notices) != 1 {
			t.Errorf("%s: %+v, %v", c.topic, got, err)
			continue
		}
		n := got.Notices[0]
		if n.Ended != "" {
			n.Ended = "set"
		}
		c.want.Topic, c.want.Account, c.want.At = c.topic, "demo.myshopify.com", time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)
		if !reflect.DeepEqual(n, c.want) {
			t.Errorf("%s: %+v, want %+v", c.topic, n, c.want)
		}
	}
	for what, header := range map[string]http.Header{
		"no topic":     {"X-Shopify-Shop-Domain": {"demo.myshopify.com"}},
		"no shop":      {"X-Shopify-Topic": {"orders/create"}},
		"another host": {"X-Shopify-Topic": {"orders/create"}, "X-Shopify-Shop-Domain": {"demo.example.com"}},
		"the end of a shop that the body does not name": {"X-Shopify-Topic": {"app/uninstalled"}, "X-Shopify-Shop-Domain": {"demo.myshopify.com"}},
	} {
		if got, err := read(connector.Delivery{Header: header, Body: []byte(`{"myshopify_domain":"other.myshopify.com"}`)}); err == nil {
			t.Errorf("%s: %+v", what, got)
		}
	}
	for what, c := range map[string][2]string{
		"an order's body":      {"customers/redact", `{"id":1,"customer":{"id":191167}}`},
		"another shop's":       {"shop/redact", `{"shop_domain":"other.myshopify.com"}`},
		"nobody":               {"customers/redact", `{"shop_domain":"demo.myshopify.com"}`},
		"a request for nobody": {"customers/data_request", `{"shop_domain":"demo.myshopify.com"}`},
		"no JSON":              {"shop/redact", `<`},
	} {
		header := http.Header{"X-Shopify-Topic": {c[0]}, "X-Shopify-Shop-Domain": {"demo.myshopify.com"}}
		if got, err := read(connector.Delivery{Header: header, Body: []byte(c[1])}); err == nil {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// FuzzReadHook has nothing panic, and no webhook be about anything but a shop.
func FuzzReadHook(f *testing.F) {
	f.Add("orders/create", "demo.myshopify.com", "2026-11-22T12:00:00Z", `{}`)
	f.Add("app/uninstalled", "demo.myshopify.com", "", `{"myshopify_domain":"demo.myshopify.com"}`)
	read := hooks(f, nil).Read
	f.Fuzz(func(t *testing.T, topic, shop, at, body string) {
		header := http.Header{"X-Shopify-Topic": {topic}, "X-Shopify-Shop-Domain": {shop}, "X-Shopify-Triggered-At": {at}}
		got, err := read(connector.Delivery{Header: header, Body: []byte(body)})
		if err != nil {
			return
		}
		if domain, err := shopify.Domain(got.Notices[0].Account); err != nil || domain != got.Notices[0].Account {
			t.Errorf("of %q", got.Notices[0].Account)
		}
	})
}
