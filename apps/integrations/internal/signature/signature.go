// Package signature proves that webhooks are their vendors', each by the vendor's own scheme over the bytes of the body. Every
// function is a Hooks.Verify: any of the secrets will do, comparisons take a time that tells nothing, and the time at which the
// vendor signed is told where the signature covers one.
package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// errNoTime says that the time which the signature has to cover is missing or none.
var errNoTime = errors.New("it has no time of signing")

// Shopify is X-Shopify-Hmac-Sha256: base64 of the HMAC of the body by the app's client secret. It covers no header and no time.
// https://shopify.dev/docs/apps/build/webhooks/subscribe/https#step-2-validate-the-origin-of-your-webhook-to-ensure-its-coming-from-shopify
func Shopify(of []secrets.Secret, d connector.Delivery) (time.Time, error) {
	return time.Time{}, check(of, d.Header.Get("X-Shopify-Hmac-Sha256"), base64.StdEncoding.DecodeString, d.Body)
}

// Stripe is Stripe-Signature: a list with the time t and one v1, or several while secrets are rotated, each the HMAC in hex of
// "t.body" by the endpoint's whole secret, whsec_ included. https://docs.stripe.com/webhooks#verify-manually
func Stripe(of []secrets.Secret, d connector.Delivery) (time.Time, error) {
	header := d.Header.Get("Stripe-Signature")
	if header == "" {
		return time.Time{}, connector.ErrNoSignature
	}
	var at string
	var sent []string
	for part := range strings.SplitSeq(header, ",") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "t":
			at = value
		case "v1":
			sent = append(sent, value)
		}
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return time.Time{}, errNoTime
	}
	for _, one := range sent {
		if check(of, one, hex.DecodeString, []byte(at+"."), d.Body) == nil {
			return time.Unix(seconds, 0), nil
		}
	}
	if len(sent) == 0 {
		return time.Time{}, connector.ErrNoSignature
	}
	return time.Time{}, connector.ErrWrongSignature
}

// hubspotDecodes are the characters that HubSpot signs decoded in an address.
var hubspotDecodes = strings.NewReplacer(
	"%3A", ":", "%3a", ":", "%2F", "/", "%2f", "/", "%3F", "?", "%3f", "?", "%40", "@", "%21", "!", "%24", "$", "%27", "'", "%28", "(",
	"%29", ")", "%2A", "*", "%2a", "*", "%2C", ",", "%2c", ",", "%3B", ";", "%3b", ";")

// HubSpot is X-HubSpot-Signature-v3: base64 of the HMAC of method, address, body and X-HubSpot-Request-Timestamp (milliseconds) by
// the app's client secret. https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation
func HubSpot(of []secrets.Secret, d connector.Delivery) (time.Time, error) {
	at := d.Header.Get("X-HubSpot-Request-Timestamp")
	err := check(of, d.Header.Get("X-HubSpot-Signature-v3"), base64.StdEncoding.DecodeString,
		[]byte(d.Method), []byte(hubspotDecodes.Replace(d.URL)), d.Body, []byte(at))
	if err != nil {
		return time.Time{}, err
	}
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return time.Time{}, errNoTime
	}
	return time.UnixMilli(ms), nil
}

// Klaviyo is Klaviyo-Signature: the HMAC in hex of the body and, after it, Klaviyo-Timestamp, by the webhook's secret. The time of
// signing is taken from the body, which is signed as well: what the header means by GMT is not. The webhook that the body names is
// that of the header. https://developers.klaviyo.com/en/docs/working_with_system_webhooks
func Klaviyo(of []secrets.Secret, d connector.Delivery) (time.Time, error) {
	if err := check(of, d.Header.Get("Klaviyo-Signature"), hex.DecodeString, d.Body, []byte(d.Header.Get("Klaviyo-Timestamp"))); err != nil {
		return time.Time{}, err
	}
	var said struct {
		Meta struct {
			Webhook   string    `json:"klaviyo_webhook_id"`
			Timestamp time.Time `json:"timestamp"`
		} `json:"meta"`
	}
	if err := json.Unmarshal(d.Body, &said); err != nil || said.Meta.Timestamp.IsZero() {
		return time.Time{}, errNoTime
	}
	if said.Meta.Webhook != d.Header.Get("Klaviyo-Webhook-Id") {
		return time.Time{}, errors.New("it is of another webhook than its header says")
	}
	return said.Meta.Timestamp, nil
}

// Meta is X-Hub-Signature-256: "sha256=" and the HMAC in hex of the body by the app's secret. It covers no time.
// https://developers.facebook.com/docs/graph-api/webhooks/getting-started#validate-payloads
func Meta(of []secrets.Secret, d connector.Delivery) (time.Time, error) {
	sent := d.Header.Get("X-Hub-Signature-256")
	encoded, ok := strings.CutPrefix(sent, "sha256=")
	if !ok && sent != "" {
		return time.Time{}, connector.ErrWrongSignature
	}
	return time.Time{}, check(of, encoded, hex.DecodeString, d.Body)
}

// MetaChallenge answers the GET by which Meta makes sure of an address: hub.challenge, when hub.verify_token is one of the tokens.
// https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests
func MetaChallenge(tokens []secrets.Secret, query url.Values) (string, error) {
	sent := secrets.New(query.Get("hub.verify_token"))
	good := false
	for _, token := range tokens {
		good = token.Equal(sent) && !sent.Empty() || good
	}
	if !good || query.Get("hub.mode") != "subscribe" || query.Get("hub.challenge") == "" {
		return "", errors.New("hub.verify_token is wrong, or it asks for no subscription")
	}
	return query.Get("hub.challenge"), nil
}

// GoHighLevel is X-GHL-Signature: base64 of the Ed25519 signature of the body. What stands for secrets are public keys, as the
// vendor's guide shows them: PEM, or the base64 in it. The time of signing is the body's own; none where it has none, as in the vendor's
// examples of an app's removal.
// https://marketplace.gohighlevel.com/docs/webhook/WebhookIntegrationGuide/
func GoHighLevel(keys []secrets.Secret, d connector.Delivery) (time.Time, error) {
	header := d.Header.Get("X-GHL-Signature")
	if header == "" {
		return time.Time{}, connector.ErrNoSignature
	}
	sent, err := base64.StdEncoding.DecodeString(header)
	if err != nil {
		return time.Time{}, connector.ErrWrongSignature
	}
	good := false
	for _, text := range keys {
		key, err := publicKey(text.Reveal())
		if err != nil {
			return time.Time{}, err
		}
		good = ed25519.Verify(key, d.Body, sent) || good
	}
	if !good {
		return time.Time{}, connector.ErrWrongSignature
	}
	var said struct {
		Timestamp time.Time `json:"timestamp"`
	}
	if err := json.Unmarshal(d.Body, &said); err != nil {
		return time.Time{}, errNoTime
	}
	return said.Timestamp, nil
}

func publicKey(text string) (ed25519.PublicKey, error) {
	var der []byte
	if block, _ := pem.Decode([]byte(text)); block != nil {
		der = block.Bytes
	} else if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
		der = decoded
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("read a public key: %w", err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("read a public key: it is not of Ed25519")
	}
	return key, nil
}

// check compares what was sent, encoded, with the HMAC-SHA256 of parts by each of the secrets.
func check(of []secrets.Secret, encoded string, decode func(string) ([]byte, error), parts ...[]byte) error {
	if encoded == "" {
		return connector.ErrNoSignature
	}
	sent, err := decode(encoded)
	if err != nil {
		return connector.ErrWrongSignature
	}
	good := false
	for _, secret := range of {
		if secret.Empty() {
			continue
		}
		mac := hmac.New(sha256.New, []byte(secret.Reveal()))
		for _, part := range parts {
			mac.Write(part)
		}
		good = hmac.Equal(sent, mac.Sum(nil)) || good
	}
	if !good {
		return connector.ErrWrongSignature
	}
	return nil
}
