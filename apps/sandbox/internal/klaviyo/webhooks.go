package klaviyo

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

const (
	placedOrder = "event:shopify.placed_order"
	// iso8601 is how a delivery says when it was sent.
	iso8601 = "2006-01-02T15:04:05.000000-07:00"
)

// webhooks are those that the app has made in the account (developers.klaviyo.com/en/docs/working_with_system_webhooks).
func (s *server) webhooks() vendor.Webhooks {
	return vendor.Webhooks{
		Topics: []string{"event:klaviyo.opened_email", "event:klaviyo.subscribed_to_email_marketing", "event:klaviyo.unsubscribed_from_email_marketing", placedOrder},
		Own:    true,
		Event: func(a *vendor.Account, topic string) vendor.Message {
			who := ""
			if people := s.people(a); len(people) > 0 {
				who = people[0].ID
			}
			return s.message(a, topic, []string{who})
		},
		Changed: func(a *vendor.Account, changed []vendor.Change) map[string][]vendor.Message {
			var who []string
			for _, o := range changed {
				if o.New && o.CustomerID != 0 {
					who = append(who, profileID(o.CustomerID))
				}
			}
			if len(who) == 0 {
				return nil
			}
			return map[string][]vendor.Message{placedOrder: {s.message(a, placedOrder, who)}}
		},
	}
}

// message is an event of each profile, in one delivery.
func (s *server) message(a *vendor.Account, topic string, profiles []string) vendor.Message {
	id := "01KWEBHOOKOF" + strings.ToUpper(accountID(a.Name))
	var events []map[string]any
	for _, profile := range profiles {
		event := rand.Text()
		events = append(events, map[string]any{"external_id": event, "topic": topic, "payload": map[string]any{"data": map[string]any{
			"type": "event", "id": event, "attributes": map[string]any{"timestamp": s.Now().Unix(), "datetime": s.Now().UTC().Format(time.RFC3339)},
			"relationships": map[string]any{"profile": map[string]any{"data": map[string]string{"type": "profile", "id": profile}}},
		}}})
	}
	return func(to vendor.Sending) (http.Header, []byte) {
		body, err := json.Marshal(map[string]any{"data": events, "meta": map[string]any{
			"klaviyo_account_id": accountID(a.Name), "klaviyo_webhook_id": id, "timestamp": to.At.Format(iso8601), "version": "2026-07-15",
		}})
		if err != nil {
			return nil, nil // it is made of texts and numbers
		}
		at := to.At.Format(http.TimeFormat)
		mac := hmac.New(sha256.New, []byte(to.Secret))
		mac.Write(body)
		mac.Write([]byte(at))
		return http.Header{
			"Content-Type": {"application/json"}, "Klaviyo-Signature": {hex.EncodeToString(mac.Sum(nil))}, "Klaviyo-Timestamp": {at}, "Klaviyo-Webhook-Id": {id},
		}, body
	}
}
