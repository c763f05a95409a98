// Package integrations is the group that connects organizations to their platforms and keeps what those know, normalized.
package integrations

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/catalogue"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/credentials"
	"github.com/tandemhq/tandem/apps/integrations/internal/gohighlevel"
	"github.com/tandemhq/tandem/apps/integrations/internal/googleads"
	"github.com/tandemhq/tandem/apps/integrations/internal/hubspot"
	"github.com/tandemhq/tandem/apps/integrations/internal/klaviyo"
	"github.com/tandemhq/tandem/apps/integrations/internal/linkedinads"
	"github.com/tandemhq/tandem/apps/integrations/internal/metaads"
	"github.com/tandemhq/tandem/apps/integrations/internal/oauth"
	"github.com/tandemhq/tandem/apps/integrations/internal/persons"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/apps/integrations/internal/shopify"
	"github.com/tandemhq/tandem/apps/integrations/internal/stripe"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/apps/integrations/internal/tiktokads"
	"github.com/tandemhq/tandem/apps/integrations/internal/triplewhale"
	"github.com/tandemhq/tandem/apps/integrations/internal/vendor"
	"github.com/tandemhq/tandem/apps/integrations/internal/webhooks"
	"github.com/tandemhq/tandem/pkg/endpoint"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/redirect"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/vault"
)

// KeySecret is the name of the secret that credentials are encrypted with: 32 bytes of base64. Former values of it are in
// the optional secret "credentials-keys-previous" (see vault.FormerSecret).
const KeySecret = "credentials-key"

// Config is how vendors are reached.
type Config struct {
	// API is the address of the API as browsers see it, Web that of the web application.
	API, Web *url.URL
	// Hosts and Pages are how the other vendors are reached (see connector.Web).
	Hosts, Pages string
	// ClientIDs is this platform's app at each vendor, by vendor, * for every one. The secret of each is <vendor>-client-secret;
	// what its webhooks are signed with is <vendor>-webhook-secret, or several of them separated by commas, the newest first (see connector.NewApp).
	ClientIDs map[string]string
	// Sidecar is by way of which vendors are called; directly where it is none.
	Sidecar endpoint.Sidecar
	// Limits are how often vendors may be asked, where that is not what their connectors declare (see connector.ParseLimits).
	Limits map[string]string
	// ShopifyBaseURL is the base URL of a shop's Admin API; {shop} stands for the shop's domain.
	ShopifyBaseURL string
	// ShopifyVersion is the Admin API's version; that of the queries when empty.
	ShopifyVersion string
	// Timeout bounds one request to a vendor; 30 s when zero.
	Timeout time.Duration
}

// hosts are those of vendors that can be called by way of the sidecar. The hosts of shops are not known beforehand, and TikTok's paths end
// with a slash, which the sidecar would take away. Hosts that only give and revoke tokens are not among them: the sidecar follows redirects,
// and what they are sent are our app's secrets and people's refresh tokens.
var hosts = []string{
	"a.klaviyo.com", "api.hubapi.com", "api.linkedin.com", "api.stripe.com", "api.triplewhale.com", "googleads.googleapis.com", "graph.facebook.com",
	"services.leadconnectorhq.com",
}

const defaultTimeout = 30 * time.Second

// Builder makes the group.
func Builder(c Config) group.Builder {
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	spec := group.Spec{
		Name:    integrationsapi.Name,
		Summary: "Connections to vendors, syncs, and the normalized records that they bring.",
		Calls:   []topology.Group{topology.Auth},
		Hosts:   hosts,
	}
	return group.Builder{Spec: spec, Build: func(ctx context.Context, k group.Kernel) (group.Group, error) {
		limits, err := connector.ParseLimits(c.Limits)
		if err != nil {
			return group.Group{}, err
		}
		client := connector.NewHTTPClient(c.Timeout)
		direct := idle{*client}
		if c.Sidecar.URL != "" {
			base := connector.Web{Hosts: c.Hosts}.API
			if client.Transport, err = endpoint.NewTransport(client.Transport, c.Sidecar, hosts, base); err != nil {
				return group.Group{}, err
			}
		}
		app := func(vendor string) connector.App {
			return connector.NewApp(vendor, cmp.Or(c.ClientIDs[vendor], c.ClientIDs["*"]), k.Secrets.Get)
		}
		requests, err := connector.NewMetrics(k.Metrics)
		if err != nil {
			return group.Group{}, err
		}
		shops, err := shopify.NewConnector(c.ShopifyBaseURL, c.ShopifyVersion, app(shopify.Vendor), requests.Client(client, shopify.Vendor), k.Now)
		if err != nil {
			return group.Group{}, err
		}
		web := func(vendor string) connector.Web {
			return connector.Web{HTTP: requests.Client(client, vendor), Now: k.Now, Hosts: c.Hosts, Pages: c.Pages}
		}
		developer := func(ctx context.Context) (secrets.Secret, error) {
			return k.Secrets.Get(ctx, googleads.DeveloperTokenSecret)
		}
		hubs := hubspot.NewConnector(web(hubspot.Vendor), app(hubspot.Vendor))
		klaviyos := klaviyo.NewConnector(web(klaviyo.Vendor), app(klaviyo.Vendor))
		stripes := stripe.NewConnector(web(stripe.Vendor), app(stripe.Vendor))
		whales := triplewhale.NewConnector(web(triplewhale.Vendor), app(triplewhale.Vendor))
		vendors := []vendor.Row{
			{Connector: googleads.NewConnector(web(googleads.Vendor), app(googleads.Vendor), developer), Title: "Google Ads", Category: vendor.Advertising},
			{Connector: gohighlevel.NewConnector(web(gohighlevel.Vendor), app(gohighlevel.Vendor)), Title: "HighLevel", Category: vendor.CRM},
			{Connector: hubs, Title: "HubSpot", Category: vendor.CRM, Own: hubs.Routes},
			{Connector: klaviyos, Title: "Klaviyo", Category: vendor.Messaging, Own: klaviyos.Routes},
			{Connector: linkedinads.NewConnector(web(linkedinads.Vendor), app(linkedinads.Vendor)), Title: "LinkedIn Ads", Category: vendor.Advertising},
			{Connector: metaads.NewConnector(web(metaads.Vendor), app(metaads.Vendor)), Title: "Meta Ads", Category: vendor.Advertising},
			{Connector: shops, Title: "Shopify", Category: vendor.Commerce, TakesKeys: true, Own: shopify.Routes},
			{Connector: stripes, Title: "Stripe", Category: vendor.Payments, Own: stripes.Routes},
			{Connector: tiktokads.NewConnector(web(tiktokads.Vendor), app(tiktokads.Vendor)), Title: "TikTok Ads", Category: vendor.Advertising},
			{Connector: whales, Title: "Triple Whale", Category: vendor.Attribution, Own: whales.Routes},
			{Connector: googleads.NewYouTube(web(googleads.YouTube), app(googleads.YouTube), developer), Title: "YouTube Ads", Category: vendor.Advertising},
		}
		var connectors []connector.Connector
		for _, v := range vendors {
			connectors = append(connectors, v.Connector)
		}
		if err := limits.Check(connectors); err != nil {
			return group.Group{}, err
		}
		connections, err := connection.New(ctx, connection.Options{
			DB: k.DB, Connectors: connectors, Emit: k.Emit, Quota: k.Quota, Every: sync.Every, Metrics: k.Metrics, Now: k.Now, NewID: k.NewID,
			Vault: vault.New(k.Secrets, KeySecret, k.Now),
		})
		if err != nil {
			return group.Group{}, err
		}
		flows, err := oauth.New(ctx, oauth.Options{
			DB: k.DB, Connections: connections, API: c.API, Pages: []string{redirect.Origin(c.API), redirect.Origin(c.Web)}, Current: k.Current, Emit: k.Emit, Now: k.Now, Random: rand.Reader,
		})
		if err != nil {
			return group.Group{}, err
		}
		kept, err := records.New(ctx, k.DB, k.Emit)
		if err != nil {
			return group.Group{}, err
		}
		syncs, err := sync.New(ctx, sync.Options{
			DB: k.DB, Runs: k.Runs, Connections: connections, Records: kept, Limit: limits.Of, Emit: k.Emit, Metrics: k.Metrics, Now: k.Now, NewID: k.NewID,
		})
		if err != nil {
			return group.Group{}, err
		}
		people := persons.New(kept, syncs, k.DB.Outbox(), k.Emit)
		hooks, err := webhooks.New(ctx, webhooks.Options{
			DB: k.DB, Connections: connections, Syncs: syncs, Persons: people, API: c.API, Emit: k.Emit, Metrics: k.Metrics, Now: k.Now, Log: k.Log,
		})
		if err != nil {
			return group.Group{}, err
		}
		sealed := credentials.NewModule(connections, k.Log)
		modules := []group.Module{
			catalogue.NewModule(vendors, connections, k.Now), sync.NewModule(syncs, sync.Heartbeat), records.NewModule(kept, people.Routes), sealed, webhooks.NewModule(hooks),
		}
		for _, v := range vendors {
			modules = append(modules, vendor.NewModule(v, connections, flows, kept, k.Log))
		}
		return group.Group{
			Spec:       spec,
			Modules:    modules,
			Jobs:       []jobs.Job{syncs.Job(), hooks.Job(), sealed.Job(), kept.Job(), {Name: "forget-authorizations", Schedule: "@hourly", Run: flows.Forget}},
			Runs:       []runs.Kind{syncs.RunKind()},
			Background: []group.Component{direct, hooks},
			Personal:   privacy.Personal{Export: people.Export},
		}, nil
	}}
}

// idle closes the connections to vendors that no request uses any more.
type idle struct{ client http.Client }

func (idle) Start(context.Context) error { return nil }

func (i idle) Stop(context.Context) error {
	i.client.CloseIdleConnections()
	return nil
}
