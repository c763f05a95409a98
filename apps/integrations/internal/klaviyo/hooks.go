package klaviyo

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/signature"
)

// maxHookEvents is the most events of a delivery.
const maxHookEvents = 1000

// engagement are topics of what people do with messages, one event for each message: they change no profile, and figures of a day are read
// when they are due, not once for every opened mail. https://developers.klaviyo.com/en/docs/working_with_system_webhooks
var engagement = []string{"opened_", "clicked_", "received_", "sent_", "delivered_", "failed_", "dropped_", "ready_", "submitted_"}

// Hooks implements connector.Hooked. A webhook is made by the API, in an account, with a secret that whoever makes it chooses: this
// platform's app, with one for all, or the account's owner.
func (c *Connector) Hooks() connector.Hooks {
	return connector.Hooks{Secrets: c.app.HookSecrets, OfConnections: true, Verify: signature.Klaviyo, Read: readHook}
}

// readHook reads a batch of events of an account.
func readHook(d connector.Delivery) (connector.News, error) {
	var said struct {
		Data []struct {
			ID    string `json:"external_id"`
			Topic string `json:"topic"`
		} `json:"data"`
		Meta struct {
			Account string `json:"klaviyo_account_id"`
		} `json:"meta"`
	}
	if err := json.Unmarshal(d.Body, &said); err != nil {
		return connector.News{}, fmt.Errorf("read the body: %w", err)
	}
	if len(said.Data) > maxHookEvents {
		return connector.News{}, fmt.Errorf("it has %d events", len(said.Data))
	}
	var news connector.News
	seen := map[string]bool{}
	for _, e := range said.Data {
		if e.Topic == "" {
			return connector.News{}, errors.New("an event has no topic")
		}
		n := connector.Notice{Topic: e.Topic, AccountID: said.Meta.Account}
		if isEngagement(e.Topic) { // one for all of a delivery, as nothing comes of them
			if seen[e.Topic] {
				continue
			}
			seen[e.Topic] = true
		} else {
			n.ID, n.Streams = e.ID, []string{integrationsapi.KindContacts}
		}
		news.Notices = append(news.Notices, n)
	}
	return news, nil
}

// isEngagement tells whether a topic, such as event:klaviyo.opened_email, is of what somebody did with a message.
func isEngagement(topic string) bool {
	what, own := strings.CutPrefix(topic, "event:klaviyo.")
	return own && slices.ContainsFunc(engagement, func(of string) bool { return strings.HasPrefix(what, of) })
}
