package shopify_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/shopify"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// TestCallbacksAreChecked has an hmac that was computed with openssl:
// printf 'code=0907a61c0c8d55e99db179b68161bc00&shop=demo.myshopify.com&state=0.6784241404160823&timestamp=1337178173' | openssl dgst -sha256 -hmac hush
func TestCallbacksAreChecked(t *testing.T) {
	genuine := "code=0907a61c0c8d55e99db179b68161bc00&hmac=1225be43f49e5f2d88e95bf39be819166dfd206c7bde9443df7044c12bacbde1&shop=demo.myshopify.com&state=0.6784241404160823&timestamp=1337178173"
	at := time.Unix(1337178173, 0)
	for _, c := range []struct {
		name, secret, shop, query string
		now                       time.Time
		ok                        bool
	}{
		{"genuine", "hush", "demo.myshopify.com", genuine, at.Add(90 * time.Second), true},
		{"by a clock ahead of ours", "hush", "demo.myshopify.com", genuine, at.Add(-90 * time.Second), true},
		{"in another order, with the old signature", "hush", "demo.myshopify.com", "signature=x&" + genuine, at, true},
		{"old", "hush", "demo.myshopify.com", genuine, at.Add(91 * time.Second), false},
		{"of the future", "hush", "demo.myshopify.com", genuine, at.Add(-91 * time.Second), false},
		{"of another shop than was asked for", "hush", "other.myshopify.com", genuine, at, false},
		{"by another secret", "hash", "demo.myshopify.com", genuine, at, false},
		{"with more in it", "hush", "demo.myshopify.com", genuine + "&code=x", at, false},
		{"without a mark", "hush", "demo.myshopify.com", "shop=demo.myshopify.com&timestamp=1337178173", at, false},
	} {
		connector, err := shopify.NewConnector("https://{shop}", "", app, http.DefaultClient, func() time.Time { return c.now })
		if err != nil {
			t.Fatal(err)
		}
		query, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		if err := connector.OAuth().Verify(secrets.New(c.secret), c.shop, query); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
