package shopify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

const (
	// hookTimeout is how long the vendor waits for an answer, hookTries how often it sends at all.
	hookTimeout = 5 * time.Second
	hookTries   = 9
	// hookPause is how long it waits before the first repetition, doubled for each; the vendor spreads eight over four hours.
	hookPause = 500 * time.Millisecond
)

var hookTopics = []string{"orders/create", "orders/updated", "products/update", "app/uninstalled"}

// subscription is where a shop's webhooks go.
type subscription struct {
	// Address takes them, of these topics; of all when there are none.
	Address string   `json:"address"`
	Topics  []string `json:"topics"`
	// Duplicate sends each twice, DelayMS waits before each, WrongSignature signs with another secret.
	Duplicate      bool `json:"duplicate,omitempty"`
	DelayMS        int  `json:"delay_ms,omitempty"`
	WrongSignature bool `json:"wrong_signature,omitempty"`
}

func (s subscription) validate() error {
	if u, err := url.Parse(s.Address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("address %q is no URL", s.Address)
	}
	for _, topic := range s.Topics {
		if !slices.Contains(hookTopics, topic) {
			return fmt.Errorf("topic %q is not sent; those that are: %v", topic, hookTopics)
		}
	}
	if s.DelayMS < 0 || s.DelayMS > 60_000 {
		return errors.New("delay_ms must be 0 to 60000")
	}
	return nil
}

// hooks are the webhooks of a shop.
type hooks struct {
	mu            sync.Mutex
	subscriptions []subscription
	counts        hookCounts
}

// hookCounts are requests by what came of them.
type hookCounts struct {
	Sent      int            `json:"sent"`
	ByStatus  map[string]int `json:"by_status"`
	Abandoned int            `json:"abandoned"`
}

func (h *hooks) count(status string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts.ByStatus == nil {
		h.counts.ByStatus = map[string]int{}
	}
	h.counts.Sent++
	h.counts.ByStatus[status]++
}

func (s *Server) postWebhooks(a *account, r *http.Request) (int, any, error) {
	var in subscription
	if err := vendor.Decode(r, &in); err != nil {
		return 0, nil, err
	}
	if err := in.validate(); err != nil {
		return 0, nil, err
	}
	a.hooks.mu.Lock()
	defer a.hooks.mu.Unlock()
	a.hooks.subscriptions = append(a.hooks.subscriptions, in)
	return http.StatusCreated, in, nil
}

func (s *Server) getWebhooks(a *account, _ *http.Request) (int, any, error) {
	a.hooks.mu.Lock()
	defer a.hooks.mu.Unlock()
	by := map[string]int{}
	for status, n := range a.hooks.counts.ByStatus {
		by[status] = n
	}
	return http.StatusOK, map[string]any{
		"subscriptions": append([]subscription{}, a.hooks.subscriptions...), "deliveries": hookCounts{a.hooks.counts.Sent, by, a.hooks.counts.Abandoned},
	}, nil
}

func (s *Server) deleteWebhooks(a *account, _ *http.Request) (int, any, error) {
	a.hooks.mu.Lock()
	defer a.hooks.mu.Unlock()
	a.hooks.subscriptions = nil
	return http.StatusNoContent, nil, nil
}

// tell sends a webhook to whoever subscribed to its topic, without waiting for it.
func (s *Server) tell(a *account, topic string, payload any) {
	body, err := json.Marshal(payload)
	if err != nil {
		return // payloads are maps of texts and numbers
	}
	a.hooks.mu.Lock()
	defer a.hooks.mu.Unlock()
	for _, to := range a.hooks.subscriptions {
		if len(to.Topics) > 0 && !slices.Contains(to.Topics, topic) {
			continue
		}
		secret := s.config.ClientSecret
		if to.WrongSignature {
			secret = "not " + secret
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		header := http.Header{
			"Content-Type": {"application/json"}, "X-Shopify-Topic": {topic}, "X-Shopify-Shop-Domain": {a.shop + shopSuffix},
			"X-Shopify-Api-Version": {s.config.Versions[len(s.config.Versions)-1]}, "X-Shopify-Webhook-Id": {rand.Text()}, "X-Shopify-Event-Id": {rand.Text()},
			"X-Shopify-Triggered-At": {s.config.Now().UTC().Format(time.RFC3339Nano)}, "X-Shopify-Hmac-Sha256": {base64.StdEncoding.EncodeToString(mac.Sum(nil))},
		}
		times := 1
		if to.Duplicate {
			times = 2
		}
		for range times {
			go a.hooks.deliver(to, header, body)
		}
	}
}

// deliver sends a webhook until it is taken, or it gives up.
func (h *hooks) deliver(to subscription, header http.Header, body []byte) {
	time.Sleep(time.Duration(to.DelayMS) * time.Millisecond)
	for try := range hookTries {
		if try > 0 {
			time.Sleep(hookPause << (try - 1))
		}
		status, err := send(to.Address, header, body)
		if err != nil {
			h.count("none")
			continue
		}
		h.count(fmt.Sprint(status))
		if status/100 == 2 {
			return
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.Abandoned++
}

func send(address string, header http.Header, body []byte) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), hookTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header = header.Clone()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, vendor.MaxBody))
	return resp.StatusCode, err
}

// tellOrders tells of orders that were added or changed.
func (s *Server) tellOrders(a *account, changed []*shop.Order, known map[int64]bool) {
	for _, o := range changed {
		topic := "orders/create"
		if known[o.ID] {
			topic = "orders/updated"
		}
		s.tell(a, topic, map[string]any{
			"id": o.ID, "admin_graphql_api_id": gid("Order", o.ID), "name": o.Name, "created_at": o.CreatedAt, "updated_at": o.UpdatedAt,
			"total_price": o.Total.String(), "currency": o.Currency, "customer": map[string]any{"id": o.CustomerID},
		})
	}
}

// tellUninstalled tells that the app was removed, which ends its subscriptions.
func (s *Server) tellUninstalled(a *account) {
	s.tell(a, "app/uninstalled", map[string]any{"name": a.shop, "domain": a.shop + shopSuffix, "myshopify_domain": a.shop + shopSuffix})
	a.hooks.mu.Lock()
	defer a.hooks.mu.Unlock()
	a.hooks.subscriptions = nil
}
