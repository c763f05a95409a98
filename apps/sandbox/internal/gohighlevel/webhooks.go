package gohighlevel

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"

	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// removed is the type that tells of a location which has removed the app.
const removed = "UNINSTALL"

// PublicKey is what proves the webhooks that are signed with a secret, in base64.
func PublicKey(secret string) string {
	der, err := x509.MarshalPKIXPublicKey(signer(secret).Public())
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(der)
}

func signer(secret string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(secret))
	return ed25519.NewKeyFromSeed(seed[:])
}

// webhooks are those of the app (marketplace.gohighlevel.com/docs/category/webhook).
func (s server) webhooks() vendor.Webhooks {
	return vendor.Webhooks{
		Topics: []string{"ContactCreate", "ContactUpdate", "OpportunityCreate", "OpportunityStatusUpdate", "OrderCreate", "OrderStatusUpdate", removed},
		Own:    true, Removed: removed,
		Event: func(a *vendor.Account, topic string) vendor.Message {
			about := map[string]any{}
			switch {
			case topic == removed:
				return s.message(a, topic, map[string]any{"appId": s.ClientID})
			case strings.HasPrefix(topic, "Order"):
				if all := s.paid(a); len(all) > 0 {
					about["_id"] = all[0].Name
				}
			case strings.HasPrefix(topic, "Opportunity"):
				if all := s.deals(a); len(all) > 0 {
					about["id"] = all[0].ID
				}
			default:
				if data, _ := s.Data(a.Name); len(data.Customers) > 0 {
					about["id"] = contactID(data.Customers[0].ID)
				}
			}
			return s.message(a, topic, s.stamped(about))
		},
		Changed: func(a *vendor.Account, changed []vendor.Change) map[string][]vendor.Message {
			messages := map[string][]vendor.Message{}
			for _, o := range changed {
				topic := "OrderStatusUpdate"
				if o.New {
					topic = "OrderCreate"
				}
				messages[topic] = append(messages[topic], s.message(a, topic, s.stamped(map[string]any{
					"_id": o.Name, "altId": a.Name, "altType": "location", "amount": json.Number(o.Total.String()), "currency": strings.ToLower(o.Currency), "contactId": contactID(o.CustomerID),
				})))
				if o.CustomerID != 0 {
					messages["ContactUpdate"] = append(messages["ContactUpdate"], s.message(a, "ContactUpdate", s.stamped(map[string]any{"id": contactID(o.CustomerID)})))
				}
			}
			return messages
		},
	}
}

// stamped adds what every type but the removal has.
func (s server) stamped(body map[string]any) map[string]any {
	body["webhookId"] = rand.Text()
	return body
}

// message is a webhook of a type. The body has the time of the attempt, unless it has no id, as the vendor's examples of removals.
func (s server) message(a *vendor.Account, topic string, fields map[string]any) vendor.Message {
	return func(to vendor.Sending) (http.Header, []byte) {
		whole := maps.Clone(fields)
		whole["type"], whole["locationId"] = topic, a.Name
		if whole["webhookId"] != nil {
			whole["timestamp"] = stamp(to.At)
		}
		body, err := json.Marshal(whole)
		if err != nil {
			return nil, nil // it is made of texts and numbers
		}
		return http.Header{
			"Content-Type": {"application/json"}, "X-Ghl-Signature": {base64.StdEncoding.EncodeToString(ed25519.Sign(signer(to.Secret), body))},
		}, body
	}
}
