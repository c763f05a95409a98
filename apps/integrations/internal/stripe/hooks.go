package stripe

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/signature"
)

// hookStreams are the streams of which an event, up to its first dot, says that something changed.
var hookStreams = map[string][]string{
	"charge": {integrationsapi.KindPayments}, "refund": {integrationsapi.KindPayments}, "customer": {integrationsapi.KindCustomers},
}

// hookIgnored are objects below a customer that no record has anything of.
var hookIgnored = []string{"customer.subscription.", "customer.source.", "customer.tax_id.", "customer.discount."}

// Hooks implements connector.Hooked. Connect endpoints send the events of all accounts, by the endpoint's own secret; endpoints that
// somebody has made in an account that is connected by a key send that account's.
func (c *Connector) Hooks() connector.Hooks {
	return connector.Hooks{Secrets: c.app.HookSecrets, OfConnections: true, Verify: signature.Stripe, Read: readHook}
}

// readHook reads an event (docs.stripe.com/api/events/object). One of an account's own endpoint names no account.
func readHook(d connector.Delivery) (connector.News, error) {
	var event struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Type    string `json:"type"`
		Account string `json:"account"`
		Created int64  `json:"created"`
	}
	if err := json.Unmarshal(d.Body, &event); err != nil {
		return connector.News{}, fmt.Errorf("read an event: %w", err)
	}
	if event.Object != "event" || event.ID == "" || event.Type == "" || event.Account != "" && !accountID.MatchString(event.Account) {
		return connector.News{}, errors.New("it is no event of an account")
	}
	n := connector.Notice{Topic: event.Type, AccountID: event.Account}
	if event.Created > 0 {
		n.At = time.Unix(event.Created, 0).UTC()
	}
	switch object, _, _ := strings.Cut(event.Type, "."); {
	case event.Type == "account.application.deauthorized":
		n.Ended = "the app was removed from the Stripe account; authorize it again"
	case !slices.ContainsFunc(hookIgnored, func(of string) bool { return strings.HasPrefix(event.Type, of) }):
		n.Streams = hookStreams[object]
	}
	return connector.News{ID: event.ID, Notices: []connector.Notice{n}}, nil
}
