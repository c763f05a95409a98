package shopify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// scopes are what the streams need. Without read_all_orders, orders are those of the last 60 days.
var scopes = []string{"read_all_orders", "read_customers", "read_orders", "read_products"}

// callbackAge is how old a callback may be, by Shopify's clock or ours.
const callbackAge = 90 * time.Second

// OAuth implements connector.Authorizer. Shopify's access tokens end after an hour, and every refresh rotates both tokens; the
// old refresh token is good until the new access token is first used. There is no PKCE.
func (c *Connector) OAuth() connector.OAuth {
	return connector.OAuth{
		App:     c.app,
		Scopes:  []string{strings.Join(scopes, ",")}, // not by spaces
		Account: Domain,
		Endpoint: func(shop string) oauth2.Endpoint {
			admin := c.client.shop(shop) + "/admin/oauth/"
			return oauth2.Endpoint{AuthURL: admin + "authorize", TokenURL: admin + "access_token", AuthStyle: oauth2.AuthStyleInParams}
		},
		Exchange: map[string]string{"expiring": "1"},
		Verify:   c.verify,
		Revoke:   c.revoke,
		HTTP:     c.client.http, Now: c.client.now,
	}
}

// verify checks that a callback is Shopify's, of this shop and of now.
func (c *Connector) verify(secret secrets.Secret, shop string, callback url.Values) error {
	sent, err := hex.DecodeString(callback.Get("hmac"))
	if err != nil || !hmac.Equal(sent, sign(secret, callback)) {
		return errors.New("the hmac is wrong")
	}
	if callback.Get("shop") != shop {
		return fmt.Errorf("it is of the shop %.100q", callback.Get("shop"))
	}
	seconds, err := strconv.ParseInt(callback.Get("timestamp"), 10, 64)
	if err != nil {
		return errors.New("it has no timestamp")
	}
	if age := c.client.now().Sub(time.Unix(seconds, 0)); age.Abs() > callbackAge {
		return fmt.Errorf("it is %s old", age)
	}
	return nil
}

// sign is the HMAC of a callback's parameters but its own, sorted, as Shopify makes it.
func sign(secret secrets.Secret, callback url.Values) []byte {
	signed := maps.Clone(callback)
	signed.Del("hmac")
	signed.Del("signature")
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write([]byte(signed.Encode()))
	return mac.Sum(nil)
}

// revoke uninstalls the app from the shop, which ends all of its tokens.
func (c *Connector) revoke(ctx context.Context, a connector.Account) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.client.shop(a.Name)+"/admin/api_permissions/current.json", http.NoBody)
	if err != nil {
		return fmt.Errorf("address the shop: %w", err)
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("X-Shopify-Access-Token", a.Credentials.AccessToken.Reveal())
	return connector.Fetch(c.client.http, c.client.now, r, nil)
}
