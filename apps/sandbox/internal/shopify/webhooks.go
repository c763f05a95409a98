package shopify

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

var hookTopics = []string{"orders/create", "orders/updated", "products/update", "app/uninstalled"}

// tell sends a webhook to whoever subscribed to its topic, without waiting for it.
func (s *Server) tell(a *account, topic string, payload any) {
	body, err := json.Marshal(payload)
	if err != nil {
		return // payloads are maps of texts and numbers
	}
	id, event := rand.Text(), rand.Text()
	a.hooks.Tell(topic, s.config.ClientSecret, s.config.Now, func(to vendor.Sending) (http.Header, []byte) {
		mac := hmac.New(sha256.New, []byte(to.Secret))
		mac.Write(body)
		return http.Header{
			"Content-Type": {"application/json"}, "X-Shopify-Topic": {topic}, "X-Shopify-Shop-Domain": {a.shop + shopSuffix},
			"X-Shopify-Api-Version": {s.config.Versions[len(s.config.Versions)-1]}, "X-Shopify-Webhook-Id": {id}, "X-Shopify-Event-Id": {event},
			"X-Shopify-Triggered-At": {to.At.Format(time.RFC3339Nano)}, "X-Shopify-Hmac-Sha256": {base64.StdEncoding.EncodeToString(mac.Sum(nil))},
		}, body
	})
}

// tellOrders tells of orders that were added or changed, and the other vendors of whose business they are.
func (s *Server) tellOrders(a *account, changed []*shop.Order, known map[int64]bool) {
	var changes []vendor.Change
	for _, o := range changed {
		topic := "orders/create"
		if known[o.ID] {
			topic = "orders/updated"
		}
		s.tell(a, topic, map[string]any{
			"id": o.ID, "admin_graphql_api_id": gid("Order", o.ID), "name": o.Name, "created_at": o.CreatedAt, "updated_at": o.UpdatedAt,
			"total_price": o.Total.String(), "currency": o.Currency, "customer": map[string]any{"id": o.CustomerID},
		})
		changes = append(changes, vendor.Change{Order: o, New: !known[o.ID]})
	}
	for _, tell := range s.watchers {
		tell(a.shop, changes)
	}
}

// Watch has somebody told of orders that are added to a shop or changed there. It is to be called before requests come.
func (s *Server) Watch(tell func(shop string, changed []vendor.Change)) {
	s.watchers = append(s.watchers, tell)
}

// tellUninstalled tells that the app was removed, which ends its subscriptions.
func (s *Server) tellUninstalled(a *account) {
	s.tell(a, "app/uninstalled", map[string]any{"name": a.shop, "domain": a.shop + shopSuffix, "myshopify_domain": a.shop + shopSuffix})
	a.hooks.End()
}
