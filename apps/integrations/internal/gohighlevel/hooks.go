package gohighlevel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/signature"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// publicKey is what HighLevel signs its webhooks with, for every app, as
// https://marketplace.gohighlevel.com/docs/webhook/WebhookIntegrationGuide/ shows it. Another one takes its place by the secret
// gohighlevel-webhook-secret.
const publicKey = "MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg="

// hookStreams are the streams of which a type that begins so says that something changed.
// https://marketplace.gohighlevel.com/docs/category/webhook
var hookStreams = map[string][]string{
	"Contact": {integrationsapi.KindContacts}, "Opportunity": {integrationsapi.KindDeals},
	"Order": {integrationsapi.KindPayments}, "InvoicePaid": {integrationsapi.KindPayments}, "InvoicePartiallyPaid": {integrationsapi.KindPayments},
}

// Hooks implements connector.Hooked.
func (c *Connector) Hooks() connector.Hooks {
	return connector.Hooks{Secrets: c.hookKeys, Verify: signature.GoHighLevel, Read: readHook}
}

func (c *Connector) hookKeys(ctx context.Context) ([]secrets.Secret, error) {
	keys, err := c.app.HookSecrets(ctx)
	if err == nil && len(keys) == 0 {
		keys = []secrets.Secret{secrets.New(publicKey)}
	}
	return keys, err
}

// readHook reads what happened in a location. What happened to an agency is about no connection, as those are to locations.
func readHook(d connector.Delivery) (connector.News, error) {
	var said struct {
		Type      string    `json:"type"`
		Location  string    `json:"locationId"`
		Company   string    `json:"companyId"`
		WebhookID string    `json:"webhookId"`
		Timestamp time.Time `json:"timestamp"`
	}
	if err := json.Unmarshal(d.Body, &said); err != nil {
		return connector.News{}, fmt.Errorf("read the body: %w", err)
	}
	if said.Type == "" || said.Location == "" && said.Company == "" || said.Location != "" && !locationID.MatchString(said.Location) {
		return connector.News{}, errors.New("it is of no type, or of no location or agency")
	}
	n := connector.Notice{Topic: said.Type, AccountID: said.Location, At: said.Timestamp.UTC()}
	if said.Type == "UNINSTALL" {
		n.Ended = "the app was removed from the HighLevel location; authorize it again"
	}
	for of, streams := range hookStreams {
		if strings.HasPrefix(said.Type, of) {
			n.Streams = streams
		}
	}
	return connector.News{ID: said.WebhookID, Notices: []connector.Notice{n}}, nil
}
