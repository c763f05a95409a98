package sandbox_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/eventually"
)

// taken is a webhook that came.
type taken struct {
	header http.Header
	body   map[string]any
	good   bool
}

// TestWebhooks subscribes to what changes in a shop, takes the first of it badly, and holds what comes against what was changed.
func TestWebhooks(t *testing.T) {
	v := startOnFile(t, smallFile)
	var mu sync.Mutex
	var all []taken
	refuse := 2
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mac := hmac.New(sha256.New, []byte(sandbox.ClientSecret))
		mac.Write(body)
		one := taken{header: r.Header, good: r.Header.Get("X-Shopify-Hmac-Sha256") == base64.StdEncoding.EncodeToString(mac.Sum(nil))}
		if err := json.Unmarshal(body, &one.body); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if refuse--; refuse >= 0 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		all = append(all, one)
	}))
	t.Cleanup(server.Close)
	arrive := func(n int) []taken {
		t.Helper()
		var got []taken
		eventually.Succeeds(t, 20*time.Second, fmt.Sprint(n, " webhooks come"), func() error {
			mu.Lock()
			defer mu.Unlock()
			if got = all; len(got) != n {
				return fmt.Errorf("%d came", len(got))
			}
			return nil
		})
		mu.Lock()
		defer mu.Unlock()
		all = nil
		return got
	}
	subscribe := func(more string) {
		t.Helper()
		v.admin("DELETE", "/sandbox/shopify/demo/webhooks", "", 204)
		v.admin("POST", "/sandbox/shopify/demo/webhooks", `{"address":"`+server.URL+`"`+more+`}`, 201)
	}
	subscribe(`,"topics":["orders/create","orders/updated","products/update"]`)
	v.admin("POST", "/sandbox/shopify/demo/orders", `{"orders":[{"id":900,"total":"12.00"}]}`, 201)
	one := arrive(1)[0]
	for name, want := range map[string]string{"X-Shopify-Topic": "orders/create", "X-Shopify-Shop-Domain": "demo.myshopify.com", "X-Shopify-Triggered-At": "2026-11-22T10:00:00Z"} {
		if got := one.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !one.good || one.header.Get("X-Shopify-Webhook-Id") == "" || one.body["id"] != 900.0 || one.body["total_price"] != "12.0" {
		t.Errorf("%+v", one)
	}
	v.admin("POST", "/sandbox/shopify/demo/orders", `{"orders":[{"id":900,"total":"13.00"}]}`, 201)
	if one := arrive(1)[0]; one.header.Get("X-Shopify-Topic") != "orders/updated" || one.body["total_price"] != "13.0" {
		t.Errorf("%+v", one)
	}
	v.admin("POST", "/sandbox/shopify/demo/products", `{"products":[{"id":7,"title":"Lamp","price":"1.00"}]}`, 204)
	if one := arrive(1)[0]; one.header.Get("X-Shopify-Topic") != "products/update" || one.body["id"] != 7.0 {
		t.Errorf("%+v", one)
	}
	eventually.Succeeds(t, 5*time.Second, "it is counted", func() error {
		said := fmt.Sprint(v.admin("GET", "/sandbox/shopify/demo/webhooks", "", 200)["deliveries"])
		if !strings.Contains(said, "200:3") || !strings.Contains(said, "502:2") {
			return errors.New(said)
		}
		return nil
	})

	subscribe(`,"duplicate":true`)
	v.admin("POST", "/sandbox/shopify/demo/orders", `{"orders":[{"id":901,"total":"1.00"}]}`, 201)
	if two := arrive(2); two[0].header.Get("X-Shopify-Webhook-Id") != two[1].header.Get("X-Shopify-Webhook-Id") {
		t.Error("two different ones, not one twice")
	}
	subscribe(`,"wrong_signature":true,"delay_ms":1`)
	v.admin("POST", "/sandbox/shopify/demo/orders", `{"orders":[{"id":902,"total":"1.00"}]}`, 201)
	if arrive(1)[0].good {
		t.Error("the signature is right")
	}
	subscribe("")
	v.admin("DELETE", "/sandbox/shopify/demo/tokens", "", 204)
	if one := arrive(1)[0]; one.header.Get("X-Shopify-Topic") != "app/uninstalled" || one.body["myshopify_domain"] != "demo.myshopify.com" {
		t.Errorf("%+v", one)
	}
	if left := v.admin("GET", "/sandbox/shopify/demo/webhooks", "", 200)["subscriptions"].([]any); len(left) != 0 {
		t.Errorf("%v", left)
	}
	for _, wrong := range []string{`{"address":"nowhere"}`, `{"address":"http://a/","topics":["themes/create"]}`, `{"address":"http://a/","delay_ms":-1}`} {
		v.admin("POST", "/sandbox/shopify/demo/webhooks", wrong, 400)
	}
}
