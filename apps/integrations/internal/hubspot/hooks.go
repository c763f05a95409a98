package hubspot

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/signature"
)

// hookStreams are the streams of which a subscription's object says that something changed: by name and, in generic subscriptions
// (object.creation), by objectTypeId.
var hookStreams = map[string][]string{
	"contact": {integrationsapi.KindContacts}, "0-1": {integrationsapi.KindContacts},
	"deal": {integrationsapi.KindDeals}, "0-3": {integrationsapi.KindDeals},
}

// forgotten is the subscription that tells of somebody whose data was deleted for good at a person's request.
const forgotten = "contact.privacyDeletion"

// Hooks implements connector.Hooked. HubSpot signs with the client secret, also of a private app, which somebody has made in the account.
func (c *Connector) Hooks() connector.Hooks {
	return connector.Hooks{Secrets: c.app.SecretsBefore, OfConnections: true, Verify: signature.HubSpot, Read: readHook}
}

// hookEvent is one of the up to 100 of a delivery, which may be of several accounts.
// https://developers.hubspot.com/docs/api/webhooks
type hookEvent struct {
	EventID          json.Number `json:"eventId"`
	SubscriptionID   json.Number `json:"subscriptionId"`
	PortalID         int64       `json:"portalId"`
	SubscriptionType string      `json:"subscriptionType"`
	ObjectTypeID     string      `json:"objectTypeId"`
	ObjectID         json.Number `json:"objectId"`
	PropertyName     string      `json:"propertyName"`
	OccurredAt       int64       `json:"occurredAt"`
}

// id is the same whenever an event is sent again, in whatever batch. HubSpot does not promise that eventId alone is no other's.
func (e hookEvent) id() string {
	return strings.Join([]string{e.EventID.String(), e.SubscriptionID.String(), e.ObjectID.String(), e.PropertyName, strconv.FormatInt(e.OccurredAt, 10)}, "/")
}

func readHook(d connector.Delivery) (connector.News, error) {
	var events []hookEvent
	if err := json.Unmarshal(d.Body, &events); err != nil {
		return connector.News{}, fmt.Errorf("read the events: %w", err)
	}
	var news connector.News
	for _, e := range events {
		if e.PortalID <= 0 || e.SubscriptionType == "" {
			return connector.News{}, errors.New("an event is of no account, or of no kind")
		}
		n := connector.Notice{ID: e.id(), Topic: e.SubscriptionType, AccountID: strconv.FormatInt(e.PortalID, 10)}
		if e.OccurredAt > 0 {
			n.At = time.UnixMilli(e.OccurredAt).UTC()
		}
		object, _, _ := strings.Cut(e.SubscriptionType, ".")
		if object == "object" {
			object = e.ObjectTypeID
		}
		if e.SubscriptionType == forgotten {
			n.Forget.Person = e.ObjectID.String()
		} else {
			n.Streams = hookStreams[object]
		}
		news.Notices = append(news.Notices, n)
	}
	return news, nil
}
