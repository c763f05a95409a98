package stripe

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// removed is the event that tells of an account which has taken the app out.
const removed = "account.application.deauthorized"

// webhooks are those of a Connect endpoint, which is told of the events of all accounts, and of an account's own.
func (s *server) webhooks() vendor.Webhooks {
	return vendor.Webhooks{
		Topics: append([]string{removed}, eventTypes...), Own: true, Removed: removed, Event: s.tellOf,
		Changed: func(a *vendor.Account, changed []vendor.Change) map[string][]vendor.Message {
			messages := map[string][]vendor.Message{}
			for _, o := range changed {
				for _, c := range s.book(a).charges {
					if c.ID != o.ID {
						continue
					}
					happened := c.events() // the last is what changed it
					e := happened[0]
					if !o.New && len(happened) > 1 {
						e = happened[1]
					}
					e.time = s.Now().Unix()
					messages[e.kind] = append(messages[e.kind], s.message(a, e))
				}
			}
			return messages
		},
	}
}

// tellOf tells of the newest event of a type that the account has, or of a removal.
func (s *server) tellOf(a *vendor.Account, topic string) vendor.Message {
	for _, e := range until(s.book(a).events, s.Now()) {
		if e.kind == topic {
			return s.message(a, e)
		}
	}
	return s.message(a, event{topic, strings.ToLower(rand.Text()), s.Now().Unix(), map[string]any{"id": "ca_simulated", "object": "application", "name": "app"}})
}

// message is an event as it is sent (docs.stripe.com/api/events/object), signed as docs.stripe.com/webhooks#verify-manually has it.
func (s *server) message(a *vendor.Account, e event) vendor.Message {
	object := e.show().(map[string]any)
	object["account"] = accountID(a)
	return func(to vendor.Sending) (http.Header, []byte) {
		body, err := json.MarshalIndent(object, "", "  ")
		if err != nil {
			return nil, nil // it is made of texts and numbers
		}
		mac := hmac.New(sha256.New, []byte(to.Secret))
		fmt.Fprintf(mac, "%d.%s", to.At.Unix(), body)
		return http.Header{
			"Content-Type":     {"application/json; charset=utf-8"},
			"Stripe-Signature": {fmt.Sprintf("t=%d,v1=%s,v0=00", to.At.Unix(), hex.EncodeToString(mac.Sum(nil)))},
		}, body
	}
}
