package metaads

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/signature"
)

// hookStreams are the streams of which a field of an ad account says that something changed. Meta tells of no figures.
// https://developers.facebook.com/documentation/ads-commerce/marketing-api/ads-webhooks/ads-webhooks-overview
var hookStreams = map[string][]string{
	"effective_status": {integrationsapi.KindCampaigns}, "in_process_ad_objects": {integrationsapi.KindCampaigns},
	"subscriptions": {integrationsapi.KindCampaigns}, "with_issues_ad_objects": {integrationsapi.KindCampaigns},
}

// Hooks implements connector.Hooked. Meta signs with the app's secret.
func (c *Connector) Hooks() connector.Hooks {
	return connector.Hooks{
		Secrets: c.app.SecretsBefore, OfSubAccounts: true, Verify: signature.Meta, Read: readHook,
		Challenge: func(ctx context.Context, query url.Values) (string, error) {
			tokens, err := c.app.HookTokens(ctx)
			if err != nil {
				return "", err
			}
			return signature.MetaChallenge(tokens, query)
		},
	}
}

// hookChange is a field that changed. Value is missing where the app has not subscribed to values.
type hookChange struct {
	Field string          `json:"field"`
	Value json.RawMessage `json:"value"`
}

// readHook reads what happened to ad accounts, and to the permissions that people have given
// (https://developers.facebook.com/docs/graph-api/webhooks/reference/permissions). A delivery has no id.
func readHook(d connector.Delivery) (connector.News, error) {
	var said struct {
		Object string `json:"object"`
		Entry  []struct {
			ID      string       `json:"id"`
			Time    int64        `json:"time"`
			Changes []hookChange `json:"changes"`
		} `json:"entry"`
	}
	if err := json.Unmarshal(d.Body, &said); err != nil {
		return connector.News{}, fmt.Errorf("read the body: %w", err)
	}
	if said.Object == "" {
		return connector.News{}, errors.New("it is about no object")
	}
	var news connector.News
	for _, e := range said.Entry {
		for _, change := range e.Changes {
			n := connector.Notice{Topic: said.Object + "." + change.Field}
			if e.Time > 0 {
				n.At = time.Unix(e.Time, 0).UTC()
			}
			switch id := strings.TrimPrefix(e.ID, "act_"); {
			case said.Object == "ad_account" && isNumber(id):
				n.SubAccount, n.Streams = "act_"+id, hookStreams[change.Field]
			case said.Object == "permissions" && isNumber(e.ID):
				n.AccountID, n.Ended = e.ID, change.ended()
			default:
				continue // of an object that nothing is read of
			}
			news.Notices = append(news.Notices, n)
		}
	}
	return news, nil
}

// ended tells that a change of permissions takes away what this platform needs: a sentence for people.
func (c hookChange) ended() string {
	var value struct {
		Verb string `json:"verb"`
	}
	if json.Unmarshal(c.Value, &value) != nil {
		return ""
	}
	if c.Field == scope && value.Verb == "revoked" || c.Field == "connected" && value.Verb == "disconnected" {
		return "somebody has taken the permission to read ads back at Meta; authorize again"
	}
	return ""
}
