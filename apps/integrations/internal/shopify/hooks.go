package shopify

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/signature"
)

// hookStreams are the streams of which a topic, up to its slash, says that something changed.
var hookStreams = map[string][]string{
	"orders": {integrationsapi.KindOrders}, "refunds": {integrationsapi.KindOrders}, "order_transactions": {integrationsapi.KindOrders},
	"customers": {integrationsapi.KindCustomers}, "products": {integrationsapi.KindProducts},
}

// byHand are the topics that Shopify requires of every public app and that a person has to see to, within 30 days.
var byHand = map[string]string{
	"customers/data_request": "the shop asks for what is kept of a customer; send it to the shop's owner",
	"customers/redact":       "the shop asks to erase what is kept of a customer",
	"shop/redact":            "the shop has removed the app for good and asks to erase its data",
}

// Hooks implements connector.Hooked. Shopify signs with the app's client secret; webhooks of an app that a shop's owner made, whose
// access token was given to us, are signed with that app's.
func (c *Connector) Hooks() connector.Hooks {
	return connector.Hooks{
		// Shopify signs with the oldest client secret that was not revoked.
		// https://shopify.dev/docs/apps/build/authentication-authorization/client-secrets/rotate-revoke-client-credentials
		Secrets:       c.app.SecretsBefore,
		OfConnections: true,
		Verify:        signature.Shopify,
		Read:          readHook,
	}
}

// readHook reads the headers of a delivery and, of one that ends something, whose it is in the body: the signature covers no header.
func readHook(d connector.Delivery) (connector.News, error) {
	topic := d.Header.Get("X-Shopify-Topic")
	shop, err := Domain(d.Header.Get("X-Shopify-Shop-Domain"))
	if err != nil || topic == "" {
		return connector.News{}, fmt.Errorf("the headers name no topic, or no shop: %w", err)
	}
	n := connector.Notice{Topic: topic, Account: shop, ByHand: byHand[topic]}
	if at, err := time.Parse(time.RFC3339Nano, d.Header.Get("X-Shopify-Triggered-At")); err == nil {
		n.At = at
	}
	if object, _, _ := strings.Cut(topic, "/"); n.ByHand == "" {
		n.Streams = hookStreams[object]
	}
	if customer := customerOf(d.Body); n.ByHand != "" && customer != "" {
		n.ByHand += ": customer " + customer
	}
	if topic == "app/uninstalled" {
		var said struct {
			Domain string `json:"myshopify_domain"`
		}
		if err := json.Unmarshal(d.Body, &said); err != nil || said.Domain != shop {
			return connector.News{}, errors.Join(errors.New("the body is of another shop than the headers"), err)
		}
		n.Ended = "the app was removed from the shop; authorize it again"
	}
	return connector.News{ID: d.Header.Get("X-Shopify-Webhook-Id"), Notices: []connector.Notice{n}}, nil
}

// customerOf is the id of the customer whom a request about personal data is about, "" where it names none
// (https://shopify.dev/docs/apps/build/privacy-law-compliance).
func customerOf(body []byte) string {
	var asked struct {
		Customer struct {
			ID json.Number `json:"id"`
		} `json:"customer"`
	}
	if json.Unmarshal(body, &asked) != nil {
		return ""
	}
	return asked.Customer.ID.String()
}
