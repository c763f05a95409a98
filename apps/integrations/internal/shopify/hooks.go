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

// The topics that Shopify requires of every public app, each to be seen to within 30 days
// (https://shopify.dev/docs/apps/build/privacy-law-compliance).
const (
	dataRequest    = "customers/data_request"
	customerRedact = "customers/redact"
	shopRedact     = "shop/redact" // 48 hours after the app was removed
)

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
	n := connector.Notice{Topic: topic, Account: shop}
	if at, err := time.Parse(time.RFC3339Nano, d.Header.Get("X-Shopify-Triggered-At")); err == nil {
		n.At = at
	}
	object, _, _ := strings.Cut(topic, "/")
	switch topic {
	default:
		n.Streams = hookStreams[object]
	case "app/uninstalled":
		var said struct {
			Domain string `json:"myshopify_domain"`
		}
		if err := json.Unmarshal(d.Body, &said); err != nil || said.Domain != shop {
			return connector.News{}, errors.Join(errors.New("the body is of another shop than the headers"), err)
		}
		n.Ended = "the app was removed from the shop; authorize it again"
	case dataRequest, customerRedact, shopRedact:
		asked, err := privacyRequest(d.Body, shop)
		if err != nil {
			return connector.News{}, err
		}
		switch customer := asked.Customer.ID.String(); {
		case topic == shopRedact:
			n.Forget.Everything = true
		case customer == "":
			return connector.News{}, errors.New("a request about a customer names none")
		case topic == customerRedact:
			n.Forget.Person = customer
		default:
			n.ByHand = "the shop asks for what is kept of customer " + customer + "; find it by the customer's address, and send it to the shop's owner"
		}
	}
	return connector.News{ID: d.Header.Get("X-Shopify-Webhook-Id"), Notices: []connector.Notice{n}}, nil
}

// request is one about personal data.
type request struct {
	Domain   string `json:"shop_domain"`
	Customer struct {
		ID json.Number `json:"id"`
	} `json:"customer"`
}

// privacyRequest reads one of a shop. No other webhook has such a body, which is what is signed.
func privacyRequest(body []byte, shop string) (request, error) {
	var asked request
	if err := json.Unmarshal(body, &asked); err != nil || asked.Domain != shop {
		return request{}, errors.Join(errors.New("it is no request of this shop about personal data"), err)
	}
	return asked, nil
}
