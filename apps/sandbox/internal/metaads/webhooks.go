package metaads

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// revoked stands for the object permissions, whose fields are the permissions.
const revoked = "permissions"

// verifyTime bounds the request by which an address is verified.
const verifyTime = 5 * time.Second

// webhooks are the fields of ad accounts that the app has subscribed to
// (developers.facebook.com/documentation/ads-commerce/marketing-api/ads-webhooks), and the permissions of people.
func (s server) webhooks() vendor.Webhooks {
	return vendor.Webhooks{
		Topics:  []string{"creative_fatigue", "effective_status", "in_process_ad_objects", "with_issues_ad_objects", revoked},
		Removed: revoked, Event: s.message, Verify: s.verify,
	}
}

// message is a notification about the first ad account, or about the person's permission.
func (s server) message(a *vendor.Account, topic string) vendor.Message {
	account := s.AdAccounts(a.Name, shop.MetaAds)[0]
	object, id := "ad_account", fmt.Sprint(account.Number)
	change := map[string]any{"field": topic, "value": map[string]any{"id": rand.Text(), "level": "CAMPAIGN", "status_name": "ACTIVE"}}
	if topic == revoked {
		object, id = revoked, fmt.Sprint(account.Business)
		change = map[string]any{"field": "ads_read", "value": map[string]any{"verb": "revoked"}}
	}
	body, err := json.Marshal(map[string]any{"object": object, "entry": []any{map[string]any{"id": id, "time": s.Now().Unix(), "changes": []any{change}}}})
	if err != nil {
		body = nil // it is made of texts and numbers
	}
	return func(to vendor.Sending) (http.Header, []byte) {
		mac := hmac.New(sha256.New, []byte(to.Secret))
		mac.Write(body)
		return http.Header{"Content-Type": {"application/json"}, "X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}}, body
	}
}

// verify makes sure of an address before anything is sent there
// (developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests).
func (s server) verify(r *http.Request, to vendor.Subscription) error {
	challenge := rand.Text()
	query := url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {challenge}, "hub.verify_token": {s.HookSecret}}
	client := http.Client{Timeout: verifyTime}
	asked, err := http.NewRequestWithContext(r.Context(), http.MethodGet, to.Address+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return fmt.Errorf("address the callback: %w", err)
	}
	resp, err := client.Do(asked)
	if err != nil {
		return fmt.Errorf("verify the callback: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, vendor.MaxBody))
	if err != nil || resp.StatusCode != http.StatusOK || string(answer) != challenge {
		return fmt.Errorf("the callback answers %s, and not with the challenge", resp.Status)
	}
	return nil
}
