package signature_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/signature"
	"github.com/tandemhq/tandem/pkg/secrets"
)

const (
	plain   = `{"id":"evt_1","account":"acct_1"}`
	klaviyo = `{"data":[],"meta":{"klaviyo_account_id":"AbC123","klaviyo_webhook_id":"01KP","timestamp":"2026-04-24T03:06:40.101159+00:00"}}`
	ghl     = `{"type":"ContactCreate","locationId":"loc1","webhookId":"w1","timestamp":"2026-04-24T03:06:40.000Z"}`
	ghlKey  = "MCowBQYDK2VwAyEAL4xhKdgWz1HDdLx/CMPmPtFWz3iu+0plUNl7h5l5d+4="
)

// signed are at second 1777000000, 2026-04-24T03:06:40Z.
var at = time.Unix(1777000000, 0)

type vector struct {
	name   string
	verify func([]secrets.Secret, connector.Delivery) (time.Time, error)
	secret string
	body   string
	header map[string]string
	// signature is the header that has it.
	signature string
	at        time.Time
}

// vectors were made with openssl, as the comment above each says; B, K and G are the bodies above.
var vectors = []vector{
	{
		// printf '%s' "$B" | openssl dgst -sha256 -hmac s3cr3t -binary | base64
		"shopify", signature.Shopify, "s3cr3t", plain,
		map[string]string{"X-Shopify-Hmac-Sha256": "29dsQkWGh6HB0j5y4+0mx2PsMMQozc4T/i96ba1px8o="}, "X-Shopify-Hmac-Sha256", time.Time{},
	},
	{
		// printf '1777000000.%s' "$B" | openssl dgst -sha256 -hmac whsec_s3cr3t
		"stripe", signature.Stripe, "whsec_s3cr3t", plain,
		map[string]string{"Stripe-Signature": "t=1777000000,v1=810ad232bf45143b3d1ee9b936af5b235927949229244010e96ae95e23b5e3d7,v0=6ffbb59b"}, "Stripe-Signature", at,
	},
	{
		// printf 'POST%s%s1777000000000' "https://api.example.com/api/integrations/webhooks/hubspot?a=b@c" "$B" | openssl dgst -sha256 -hmac s3cr3t -binary | base64
		"hubspot", signature.HubSpot, "s3cr3t", plain,
		map[string]string{"X-HubSpot-Signature-v3": "5nEaCEUFJm1D6BhTLcKCqmuRtOwCE1BgD9cJXh6zQsM=", "X-HubSpot-Request-Timestamp": "1777000000000"}, "X-HubSpot-Signature-v3", at,
	},
	{
		// printf '%sFri, 24 Apr 2026 03:06:40 GMT' "$K" | openssl dgst -sha256 -hmac s3cr3t
		"klaviyo", signature.Klaviyo, "s3cr3t", klaviyo,
		map[string]string{
			"Klaviyo-Signature": "04a3fe0a64fa1643931435fdfc408ef1888e8ac4e1640349f9f24df75b6e868c", "Klaviyo-Timestamp": "Fri, 24 Apr 2026 03:06:40 GMT", "Klaviyo-Webhook-Id": "01KP",
		}, "Klaviyo-Signature", at.Add(101159 * time.Microsecond),
	},
	{
		// printf '%s' "$B" | openssl dgst -sha256 -hmac s3cr3t
		"meta", signature.Meta, "s3cr3t", plain,
		map[string]string{"X-Hub-Signature-256": "sha256=dbd76c42458687a1c1d23e72e3ed26c763ec30c428cdce13fe2f7a6dad69c7ca"}, "X-Hub-Signature-256", time.Time{},
	},
	{
		// (printf '\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20'; printf '12345678901234567890123456789012') > k.der
		// openssl pkey -inform DER -in k.der -out k.pem; openssl pkey -in k.pem -pubout
		// printf '%s' "$G" > g; openssl pkeyutl -sign -inkey k.pem -rawin -in g | base64
		"gohighlevel", signature.GoHighLevel, ghlKey, ghl,
		map[string]string{"X-GHL-Signature": "Wy6CVsK856r3WiQV0IORpmhCHVkRKS75ei0wZYk4hIkhnEksB1IW8Q7HWONZDcIP1qtx9+oWAvO2T8scXCr/CQ=="}, "X-GHL-Signature", at,
	},
}

func (v vector) delivery() connector.Delivery {
	d := connector.Delivery{
		Method: http.MethodPost, URL: "https://api.example.com/api/integrations/webhooks/hubspot?a=b%40c", Header: http.Header{}, Body: []byte(v.body),
	}
	for name, value := range v.header {
		d.Header.Set(name, value)
	}
	return d
}

func (v vector) other() secrets.Secret {
	if v.name == "gohighlevel" {
		return secrets.New("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=") // nobody signs with it
	}
	return secrets.New("another")
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			mine := secrets.New(v.secret)
			for what, of := range map[string][]secrets.Secret{"alone": {mine}, "the newer of two": {mine, v.other()}, "the older of two": {v.other(), mine}} {
				if at, err := v.verify(of, v.delivery()); err != nil || !at.Equal(v.at) {
					t.Errorf("with the secret, %s: signed at %v, %v; want %v", what, at, err, v.at)
				}
			}
			refused := func(what string, of []secrets.Secret, d connector.Delivery) {
				t.Helper()
				if _, err := v.verify(of, d); err == nil {
					t.Errorf("%s: taken", what)
				}
			}
			refused("another secret", []secrets.Secret{v.other()}, v.delivery())
			refused("no secret", nil, v.delivery())
			if v.name != "gohighlevel" {
				refused("an empty secret", []secrets.Secret{{}}, v.delivery())
			}
			d := v.delivery()
			d.Body = append(d.Body, '\n')
			refused("a byte more", []secrets.Secret{mine}, d)
			d = v.delivery()
			d.Body[2] ^= 1
			refused("a bit changed", []secrets.Secret{mine}, d)
			for _, text := range []string{"", "nonsense", "====", strings.ToUpper(v.header[v.signature][:len(v.header[v.signature])-4])} {
				d = v.delivery()
				d.Header.Set(v.signature, text)
				refused("signature "+text, []secrets.Secret{mine}, d)
			}
			for name := range v.header {
				d = v.delivery()
				d.Header.Del(name)
				refused("without "+name, []secrets.Secret{mine}, d)
			}
		})
	}
}

func TestHubSpotCoversMethodAddressAndTime(t *testing.T) {
	v := vectors[2]
	for what, change := range map[string]func(*connector.Delivery){
		"method":  func(d *connector.Delivery) { d.Method = http.MethodPut },
		"address": func(d *connector.Delivery) { d.URL = strings.Replace(d.URL, "hubspot", "hubspot2", 1) },
		"time":    func(d *connector.Delivery) { d.Header.Set("X-HubSpot-Request-Timestamp", "1777000000001") },
	} {
		d := v.delivery()
		change(&d)
		if _, err := v.verify([]secrets.Secret{secrets.New(v.secret)}, d); err == nil {
			t.Errorf("another %s is taken", what)
		}
	}
}

func TestKlaviyoOfAnotherWebhook(t *testing.T) {
	v := vectors[3]
	d := v.delivery()
	d.Header.Set("Klaviyo-Webhook-Id", "01OTHER")
	if _, err := v.verify([]secrets.Secret{secrets.New(v.secret)}, d); err == nil {
		t.Error("taken")
	}
}

// TestStripeAsItsLibrarySigns checks against the generator of stripe-go, which is Stripe's own.
func TestStripeAsItsLibrarySigns(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	for _, body := range []string{plain, "", "ünïcode\r\n"} {
		made := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: []byte(body), Secret: "whsec_x", Timestamp: now})
		d := connector.Delivery{Method: http.MethodPost, Header: http.Header{"Stripe-Signature": {made.Header}}, Body: made.Payload}
		if at, err := signature.Stripe([]secrets.Secret{secrets.New("whsec_old"), secrets.New("whsec_x")}, d); err != nil || !at.Equal(now) {
			t.Errorf("%q: %v, %v", body, at, err)
		}
		d.Header.Set("Stripe-Signature", made.Header+",v1=00")
		if _, err := signature.Stripe([]secrets.Secret{secrets.New("whsec_x")}, d); err != nil {
			t.Errorf("one of two signatures: %v", err)
		}
		d.Header.Set("Stripe-Signature", strings.Replace(made.Header, "v1=", "v2=", 1))
		if _, err := signature.Stripe([]secrets.Secret{secrets.New("whsec_x")}, d); err == nil {
			t.Error("a scheme that is not known is taken")
		}
	}
}

func TestMetaChallenge(t *testing.T) {
	tokens := []secrets.Secret{secrets.New("new"), secrets.New("old")}
	for query, want := range map[string]string{
		"hub.mode=subscribe&hub.challenge=77&hub.verify_token=new":   "77",
		"hub.mode=subscribe&hub.challenge=77&hub.verify_token=old":   "77",
		"hub.mode=subscribe&hub.challenge=77&hub.verify_token=other": "",
		"hub.mode=subscribe&hub.challenge=77&hub.verify_token=":      "",
		"hub.mode=subscribe&hub.challenge=77":                        "",
		"hub.mode=unsubscribe&hub.challenge=77&hub.verify_token=new": "",
		"hub.mode=subscribe&hub.verify_token=new":                    "",
	} {
		parsed, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := signature.MetaChallenge(tokens, parsed); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", query, got, err, want)
		}
	}
}

// FuzzVerify has nothing pass that was not signed, and nothing panic.
func FuzzVerify(f *testing.F) {
	for i, v := range vectors {
		f.Add(i, v.header[v.signature], v.body, "1777000000000")
	}
	f.Add(1, "t=,v1=,v1", "", "")
	f.Add(1, "t=1,t=2,v1=00,=,,", "{", "-1")
	f.Fuzz(func(t *testing.T, which int, sent, body, at string) {
		v := vectors[(which%len(vectors)+len(vectors))%len(vectors)]
		d := connector.Delivery{Method: http.MethodPost, URL: "/", Header: http.Header{}, Body: []byte(body)}
		for name := range v.header {
			d.Header.Set(name, at)
		}
		d.Header.Set(v.signature, sent)
		if _, err := v.verify([]secrets.Secret{v.other()}, d); err == nil {
			t.Errorf("%s takes %q of %q", v.name, sent, body)
		}
	})
}
