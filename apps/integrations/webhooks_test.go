package integrations_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/eventually"
)

const hookBody = `{"id":1,"note":"ünïcode\u00e9"}`

// hook sends a webhook of a shop as Shopify does, signed with a secret.
func (p *process) hook(path, shop, id, secret, body string, header ...string) (int, string) {
	p.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	header = append([]string{
		"X-Shopify-Topic", "orders/create", "X-Shopify-Shop-Domain", shop + ".myshopify.com", "X-Shopify-Webhook-Id", id,
		"X-Shopify-Hmac-Sha256", base64.StdEncoding.EncodeToString(mac.Sum(nil)),
	}, header...)
	resp := user{p, ""}.send(p.t.Context(), "POST /webhooks/"+path, body, header...)
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Content-Type")
}

func TestWebhookRoutes(t *testing.T) {
	p := start(t, 3)
	ours, theirs := p.user("o1", "owner"), p.user("o2", "owner")
	connection := ours.connect("demo")
	big := `{"x":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, c := range []struct {
		name, path, shop, id, secret, body string
		header                             []string
		want                               int
	}{
		{"good", "shopify", "demo", "w1", sandbox.ClientSecret, hookBody, nil, 200},
		{"again", "shopify", "demo", "w1", sandbox.ClientSecret, hookBody, nil, 200},
		{"with a query", "shopify?hmac=1&x=2", "demo", "w1", sandbox.ClientSecret, hookBody, nil, 200},
		{"of no JSON type", "shopify", "demo", "w2", sandbox.ClientSecret, "a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}, 200},
		{"of a shop that nobody has connected", "shopify", "elsewhere", "w3", sandbox.ClientSecret, hookBody, nil, 200},
		{"that cannot be read", "shopify", "demo", "w4", sandbox.ClientSecret, hookBody, []string{"X-Shopify-Shop-Domain", "example.com"}, 200},
		{"forged", "shopify", "demo", "w5", "guessed", hookBody, nil, 401},
		{"unsigned", "shopify", "demo", "w5", "", hookBody, []string{"X-Shopify-Hmac-Sha256", ""}, 401},
		{"signed for another body", "shopify", "demo", "w5", sandbox.ClientSecret, hookBody, []string{"X-Shopify-Hmac-Sha256", "29dsQkWGh6HB0j5y4+0mx2PsMMQozc4T/i96ba1px8o="}, 401},
		{"too large", "shopify", "demo", "w6", sandbox.ClientSecret, big, nil, 413},
		{"of no vendor", "nobody", "demo", "w7", sandbox.ClientSecret, hookBody, nil, 404},
		{"of the account, without a secret", "shopify/" + connection, "demo", "w8", sandbox.ClientSecret, hookBody, nil, 401},
		{"of no account", "shopify/nothing", "demo", "w8", sandbox.ClientSecret, hookBody, nil, 401},
	} {
		status, kind := p.hook(c.path, c.shop, c.id, c.secret, c.body, c.header...)
		if status != c.want || (status != 200) != (kind == "application/problem+json") {
			t.Errorf("%s: %d %s, want %d", c.name, status, kind, c.want)
		}
	}

	secret := `{"secret":"the shop's own app"}`
	theirs.want(404, "PUT /webhooks/secrets/"+connection, secret)
	ours.want(422, "PUT /webhooks/secrets/"+connection, `{"secret":"short"}`)
	set := ours.want(200, "PUT /webhooks/secrets/"+connection, secret)
	if want := "http://localhost:8000/api/integrations/webhooks/shopify/" + connection; set.body["address"] != want || strings.Contains(set.text, "own app") {
		t.Errorf("%s, want %s", set.text, want)
	}
	if status, _ := p.hook("shopify/"+connection, "demo", "w9", "the shop's own app", hookBody); status != 200 {
		t.Errorf("of the account: %d", status)
	}
	if status, _ := p.hook("shopify", "demo", "w10", "the shop's own app", hookBody); status != 401 {
		t.Errorf("of the app, signed by the account: %d", status)
	}

	var all answer
	eventually.Succeeds(t, 10*time.Second, "they are processed", func() error {
		all = ours.want(200, "GET /webhooks/deliveries", "")
		if n := strings.Count(all.text, `"processed"`); n != 3 {
			return errors.New(all.text)
		}
		return nil
	})
	if items := all.body["items"].([]any); len(items) != 3 || strings.Contains(all.text, "note") {
		t.Errorf("%s", all.text)
	}
	if other := theirs.want(200, "GET /webhooks/deliveries", ""); len(other.body["items"].([]any)) != 0 {
		t.Errorf("others see %s", other.text)
	}
	id := fmt.Sprint(all.body["items"].([]any)[0].(map[string]any)["id"])
	theirs.want(404, "POST /webhooks/deliveries/"+id+"/replay", "")
	ours.want(202, "POST /webhooks/deliveries/"+id+"/replay", "")
	p.user("o1").want(403, "GET /webhooks/deliveries", "")
	ours.want(404, "GET /webhooks/shopify?hub.mode=subscribe", "") // it asks for no challenge
	if resp := (user{p, ""}).send(t.Context(), "GET /webhooks/deliveries", ""); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %d", resp.StatusCode)
	}
}

// BenchmarkWebhooks sends webhooks of an order from 32 clients at once, through the whole stack, while they are processed. It reports how
// many are accepted a second, each kept before it is answered, and the 99th percentile of how long that takes.
func BenchmarkWebhooks(b *testing.B) {
	p := start(b, 3)
	p.user("o1", "owner").connect("demo")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	mac := hmac.New(sha256.New, []byte(sandbox.ClientSecret))
	mac.Write([]byte(hookBody))
	signature := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	var mu sync.Mutex
	var took []time.Duration
	var next atomic.Int64
	b.SetParallelism(32 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		var mine []time.Duration
		for pb.Next() {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, p.url+"/api/integrations/webhooks/shopify", strings.NewReader(hookBody))
			if err != nil {
				b.Error(err)
				return
			}
			for name, value := range map[string]string{
				"Content-Type": "application/json", "X-Shopify-Topic": "orders/updated", "X-Shopify-Shop-Domain": "demo.myshopify.com",
				"X-Shopify-Hmac-Sha256": signature, "X-Shopify-Webhook-Id": strconv.FormatInt(next.Add(1), 10),
			} {
				r.Header.Set(name, value)
			}
			began := time.Now()
			resp, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if mine = append(mine, time.Since(began)); resp.StatusCode != http.StatusOK {
				b.Error(resp.Status)
				return
			}
		}
		mu.Lock()
		defer mu.Unlock()
		took = append(took, mine...)
	})
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "webhooks/s")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
}

// TestWebhooksFromAShop has a shop tell of an order, which is then in the records without anybody asking for a sync.
func TestWebhooksFromAShop(t *testing.T) {
	p := start(t, 3)
	u := p.user("o1", "owner")
	connection := u.connect("demo")
	u.sync(connection, "backfill")
	admin := func(method, path, body string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, p.sandbox+"/sandbox/shopify/demo/"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode >= 300 {
			t.Fatalf("%s %s: %s", method, path, resp.Status)
		}
	}
	address := p.url + "/api/integrations/webhooks/shopify"
	admin("POST", "webhooks", `{"address":"`+address+`","topics":["orders/create"],"duplicate":true}`)
	admin("POST", "webhooks", `{"address":"`+address+`","topics":["orders/create"],"wrong_signature":true}`)
	admin("POST", "orders", `{"orders":[{"id":900,"total":"12.00"}]}`)
	eventually.Succeeds(t, 20*time.Second, "the order is there", func() error {
		if got := u.want(200, "GET /records/orders", ""); !strings.Contains(got.text, `:900"`) {
			return errors.New(got.text)
		}
		return nil
	})
	if got := u.want(200, "GET /webhooks/deliveries", ""); len(got.body["items"].([]any)) != 1 {
		t.Errorf("%s", got.text)
	}
	runs := u.want(200, "GET /sync/runs", "")
	if n := strings.Count(runs.text, `"scheduled":true`); n != 1 || !strings.Contains(runs.text, `"incremental"`) {
		t.Errorf("%d syncs: %s", n, runs.text)
	}
}
