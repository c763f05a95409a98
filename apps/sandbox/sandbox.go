// Package sandbox simulates the vendors' APIs, so that the whole product works
// offline, on generated data or on a file of orders. devstack serves it; no part
// of the platform imports it.
//
// Paths: /shopify/{shop}/admin/api/{version}/graphql.json is the simulated vendor,
// where {shop} is any handle ("demo") or domain ("demo.myshopify.com") and the
// access token any that begins with shpat_, has at least eight characters and does
// not begin with shpat_revoked. An app with the client id and secret below can also be
// installed by OAuth: /shopify/{shop}/admin/oauth/authorize is the page to click. Other
// vendors are at /vendors/{host of their API}/…; every name is an account there, "demo" for whoever does not
// write another into the page that they click. An account of one name is the same business at every vendor.
// /sandbox/… is the sandbox's own administration:
//
//	GET    /sandbox/truth?shop=              what the shop's data was made from, and its totals
//	PUT    /sandbox/businesses/{name}/size   {days, new_customers_per_day, campaigns} has the business of a name, of which nobody has asked
//	                                         yet, be generated as large as that, also where the others are of a file
//	POST   /sandbox/shopify/{shop}/faults    {kind, times, after_requests, delay_ms, status}
//	GET, DELETE                              the faults not yet used up; clears them
//	PUT    /sandbox/shopify/{shop}/limits    {maximum_available, restore_rate}
//	GET, DELETE                              the cost bucket, with what is available and what was spent of it; back to the default one
//	POST   /sandbox/shopify/{shop}/tokens/expire  ends the app's access token before its time
//	DELETE /sandbox/shopify/{shop}/tokens    removes the app from the shop, as its owner may
//	GET    /sandbox/shopify/{shop}/requests  {total, throttled, unauthorized, by_operation, by_fault}
//	DELETE                                   counts from zero again
//	POST   /sandbox/shopify/{shop}/orders    {orders: [{id, customer_id, created_at, total, …}]} adds or changes
//	POST   /sandbox/shopify/{shop}/products  {products: [{id, title, price}]} adds or changes
//	POST   /sandbox/shopify/{shop}/webhooks  {address, topics, duplicate, delay_ms, wrong_signature} subscribes; what is added or
//	                                         changed as above is then sent there, signed with the app's secret, and again until it is taken
//	GET, DELETE                              the subscriptions, and what came of what was sent; ends them
//
// and at /sandbox/vendors/{vendor}/{account} for every other vendor faults, requests, tokens and tokens/expire in the same
// way, limits {requests, seconds, path}, and truth, what the account has. gohighlevel, hubspot, klaviyo, meta-ads and stripe have webhooks
// {…, secret, age_ms}, too, about the shop's orders and about the removal of the app, and webhooks/events {topic} sends one of that topic.
package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/gohighlevel"
	"github.com/tandemhq/tandem/apps/sandbox/internal/googleads"
	"github.com/tandemhq/tandem/apps/sandbox/internal/hubspot"
	"github.com/tandemhq/tandem/apps/sandbox/internal/klaviyo"
	"github.com/tandemhq/tandem/apps/sandbox/internal/linkedinads"
	"github.com/tandemhq/tandem/apps/sandbox/internal/metaads"
	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/shopify"
	"github.com/tandemhq/tandem/apps/sandbox/internal/stripe"
	"github.com/tandemhq/tandem/apps/sandbox/internal/tiktokads"
	"github.com/tandemhq/tandem/apps/sandbox/internal/triplewhale"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// ClientID and ClientSecret are those of the app that every simulated vendor knows.
const (
	ClientID     = "tandem-sandbox"
	ClientSecret = "secret-of-the-simulated-app"
)

// hookSecret is what the app's webhooks are signed with at vendors that do not sign with the client secret.
const hookSecret = "whsec_of_the_simulated_app"

// GoogleDeveloperToken is the one that the simulated Google Ads knows.
const GoogleDeveloperToken = googleads.DeveloperToken

// Vendors are those that are simulated and have OAuth, by the platform's names of them.
var Vendors = []string{"gohighlevel", "google-ads", "hubspot", "klaviyo", "linkedin-ads", "meta-ads", "shopify", "stripe", "tiktok-ads", "triplewhale", "youtube-ads"}

// Secrets are those by which the simulated vendors know a platform, by their names in its secret store.
func Secrets() map[string]string {
	known := map[string]string{
		"google-ads-developer-token": GoogleDeveloperToken, "gohighlevel-webhook-secret": gohighlevel.PublicKey(hookSecret),
		"klaviyo-webhook-secret": hookSecret, "meta-ads-webhook-token": hookSecret, "stripe-webhook-secret": hookSecret,
	}
	for _, vendor := range Vendors {
		known[vendor+"-client-secret"] = ClientSecret
	}
	return known
}

// Config configures the sandbox. Its zero value, given a clock, serves generated
// shops without throttling.
type Config struct {
	// Seed is what generated shops are made from; a shop's data follows from the seed,
	// its name and the day.
	Seed uint64 `env:"SANDBOX_SEED"`
	// OrdersFile is a CSV file with the columns
	// order_id,customer_id,ordered_at,items,total,currency. When set, every shop has
	// its orders, and nothing is generated.
	OrdersFile string `env:"SANDBOX_ORDERS"`
	// Currency is the ISO 4217 code of generated shops, USD when empty.
	Currency string `env:"SANDBOX_CURRENCY"`
	// MaximumAvailable and RestoreRate are the cost bucket that each Shopify shop begins
	// with, in points and points a second: 1,000,000 each when 0, which never throttles.
	// The vendor's standard plan restores 100 a second.
	MaximumAvailable float64 `env:"SANDBOX_SHOPIFY_POINTS"`
	RestoreRate      float64 `env:"SANDBOX_SHOPIFY_RESTORE_RATE"`
	// ShopifyVersions are the Admin API versions served, oldest first, those of late
	// 2026 when empty.
	ShopifyVersions []string `env:"SANDBOX_SHOPIFY_VERSIONS"`
	// Now is the clock. Generated shops have two years of orders before its day.
	Now func() time.Time `env:"-"`
}

const unthrottled = 1_000_000

// New returns the sandbox's handler. It reads the orders file once and fails when
// the file or the configuration cannot be used.
func New(config Config) (http.Handler, error) {
	if config.Now == nil {
		return nil, errors.New("the sandbox needs a clock")
	}
	if config.Currency == "" {
		config.Currency = "USD"
	}
	if config.MaximumAvailable == 0 {
		config.MaximumAvailable = unthrottled
	}
	if config.RestoreRate == 0 {
		config.RestoreRate = unthrottled
	}
	if len(config.ShopifyVersions) == 0 {
		config.ShopifyVersions = []string{"2026-01", "2026-04", "2026-07", "2026-10", "unstable"}
	}
	currency := config.Currency
	sizes := newSizes()
	parameters := func(name string) (p shop.Parameters, sized bool) {
		size, sized := sizes.of(name)
		return shop.DefaultParameters(config.Seed, name, config.Currency, config.Now()).Sized(size), sized
	}
	data := func(name string) shop.Data {
		p, _ := parameters(name)
		return shop.Generate(p)
	}
	if config.OrdersFile != "" {
		file, err := shop.ReadFile(config.OrdersFile)
		if err != nil {
			return nil, err
		}
		currency = file.Currency
		data = func(name string) shop.Data {
			if p, sized := parameters(name); sized {
				return shop.Generate(p)
			}
			return file
		}
	}
	shops, err := shopify.New(shopify.Config{
		Data: data, Now: config.Now, Seed: config.Seed, Versions: config.ShopifyVersions,
		ClientID: ClientID, ClientSecret: ClientSecret,
		Limits: shopify.Limits{MaximumAvailable: config.MaximumAvailable, RestoreRate: config.RestoreRate},
	})
	if err != nil {
		return nil, fmt.Errorf("build the Shopify simulator: %w", err)
	}
	if !shops.KnowsCurrency(currency) {
		return nil, fmt.Errorf("the Shopify simulator does not know the currency %q", currency)
	}
	mux := http.NewServeMux()
	shops.Register(mux)
	world := vendor.World{
		Now: config.Now, ClientID: ClientID, ClientSecret: ClientSecret, HookSecret: hookSecret, Data: shops.Data, Watch: shops.Watch, AdDays: &vendor.AdDays{},
		Parameters: func(name string) shop.Parameters {
			p, _ := parameters(name)
			return p
		},
	}
	for _, register := range []func(*http.ServeMux, vendor.World){
		gohighlevel.Register,
		googleads.Register,
		hubspot.Register,
		klaviyo.Register,
		linkedinads.Register,
		metaads.Register,
		stripe.Register,
		tiktokads.Register,
		triplewhale.Register,
	} {
		register(mux, world)
	}
	mux.HandleFunc("PUT /sandbox/businesses/{name}/size", vendor.Admin(func(r *http.Request) (string, bool) {
		return r.PathValue("name"), true
	}, sizes.put))
	mux.HandleFunc("GET /sandbox/truth", func(w http.ResponseWriter, r *http.Request) {
		data, valid := shops.Data(r.URL.Query().Get("shop"))
		if !valid {
			vendor.WriteJSON(w, http.StatusBadRequest, map[string]string{"error": "shop must name a shop"})
			return
		}
		vendor.WriteJSON(w, http.StatusOK, shop.TruthOf(data))
	})
	return mux, nil
}
