package hubspot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// The subscriptions of the app (developers.hubspot.com/docs/api/webhooks).
const (
	contactCreated   = "contact.creation"
	contactChanged   = "contact.propertyChange"
	contactForgotten = "contact.privacyDeletion"
	dealCreated      = "deal.creation"
	dealChanged      = "deal.propertyChange"
)

// webhooks tell of people who order and of large orders, all of what changed at once in one delivery.
func (s *server) webhooks() vendor.Webhooks {
	return vendor.Webhooks{
		Topics: []string{contactCreated, contactChanged, contactForgotten, dealCreated, dealChanged},
		Event: func(a *vendor.Account, topic string) vendor.Message {
			id := int64(1)
			if people := s.people(a); len(people) > 0 {
				id = people[0].ID
			}
			if deals := s.deals(a); len(deals) > 0 && (topic == dealCreated || topic == dealChanged) {
				id = deals[0].ID
			}
			return s.message(a, topic, []int64{id})
		},
		Changed: func(a *vendor.Account, changed []vendor.Change) map[string][]vendor.Message {
			ids := map[string][]int64{}
			for _, o := range changed {
				if o.Total >= large && !o.Test {
					topic := dealChanged
					if o.New {
						topic = dealCreated
					}
					ids[topic] = append(ids[topic], o.ID)
				}
				if o.CustomerID != 0 {
					ids[contactChanged] = append(ids[contactChanged], o.CustomerID)
				}
			}
			messages := map[string][]vendor.Message{}
			for topic, of := range ids {
				messages[topic] = []vendor.Message{s.message(a, topic, of)}
			}
			return messages
		},
	}
}

// message is an event for each object, signed by v3 with the time of each attempt.
func (s *server) message(a *vendor.Account, topic string, objects []int64) vendor.Message {
	occurred := s.Now().UnixMilli()
	events := make([]map[string]any, len(objects))
	for i, id := range objects {
		events[i] = map[string]any{
			"eventId": rand.Int64N(1 << 40), "subscriptionId": 25, "portalId": portal(a.Name), "appId": 1160452, "occurredAt": occurred, "subscriptionType": topic,
			"objectId": id, "changeSource": "CRM_UI", "sourceId": "userId:1",
		}
		if topic == contactChanged || topic == dealChanged {
			events[i]["propertyName"], events[i]["propertyValue"] = "lifecyclestage", "customer"
		}
	}
	return func(to vendor.Sending) (http.Header, []byte) {
		sent := make([]map[string]any, len(events))
		for i, e := range events {
			sent[i] = maps.Clone(e)
			sent[i]["attemptNumber"] = to.Try
		}
		body, err := json.Marshal(sent)
		if err != nil {
			return nil, nil // it is made of texts and numbers
		}
		at := strconv.FormatInt(to.At.UnixMilli(), 10)
		mac := hmac.New(sha256.New, []byte(to.Secret))
		mac.Write([]byte(http.MethodPost + to.To + string(body) + at))
		return http.Header{
			"Content-Type": {"application/json"}, "X-Hubspot-Signature-V3": {base64.StdEncoding.EncodeToString(mac.Sum(nil))},
			"X-Hubspot-Request-Timestamp": {at}, "X-Hubspot-Signature-Version": {"v3"},
		}, body
	}
}
