// Package config is what a process is told by its environment: parsed once into one struct, documented
// by the struct's own tags.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/tandemhq/tandem/pkg/secrets"
)

// Environment is how strict the process is about its surroundings.
type Environment string

// The two environments.
const (
	Development Environment = "development"
	Production  Environment = "production"
)

// Config is the whole configuration of the platform binary.
type Config struct {
	Groups       string `env:"TANDEM_GROUPS" envDefault:"all" doc:"Groups that this process hosts: all, none, or a list such as auth,analytics"`
	Topology     string `env:"TANDEM_TOPOLOGY" envDefault:"*=platform" doc:"App-id that hosts each group, e.g. integrations=integrations,*=platform"`
	TopologyFile string `env:"TANDEM_TOPOLOGY_FILE" doc:"File with the value of TANDEM_TOPOLOGY, watched; moves groups while the process runs"`
	Gateway      bool   `env:"TANDEM_GATEWAY" doc:"Forward /api/<group>/ to whichever app-id hosts the group"`
	Calls        string `env:"TANDEM_CALLS" envDefault:"dapr" doc:"dapr, or direct to call groups hosted by the same process without the sidecar"`

	Environment   Environment    `env:"TANDEM_ENV" envDefault:"development" doc:"development, or production, where a missing token is a refusal to start"`
	Data          string         `env:"TANDEM_DATA" envDefault:".tandem/data" doc:"Folder of the embedded databases, one a group, where MONGO_URL is not set"`
	MongoURL      secrets.Secret `env:"MONGO_URL" doc:"MongoDB connection string; databases are named tandem_<group>"`
	Listen        string         `env:"TANDEM_LISTEN" envDefault:"127.0.0.1" doc:"Address that the app port is bound to"`
	LogLevel      slog.Level     `env:"TANDEM_LOG_LEVEL" envDefault:"INFO" doc:"DEBUG, INFO, WARN or ERROR"`
	EndWithParent bool           `env:"TANDEM_END_WITH_PARENT" doc:"End when the process that started this one ends; set by the local run files"`

	RateLimit      float64        `env:"TANDEM_RATE_LIMIT" envDefault:"200" doc:"Requests a second for each user, key or address, per process; 0 for no limit"`
	RateBurst      int            `env:"TANDEM_RATE_BURST" envDefault:"400" doc:"Requests that may come at once"`
	TrustedProxies []netip.Prefix `env:"TANDEM_TRUSTED_PROXIES" doc:"Networks of the load balancers before the gateway, e.g. 10.0.0.0/8; their X-Forwarded-For is believed"`
	MaxBody        int64          `env:"TANDEM_MAX_BODY" envDefault:"8388608" doc:"Largest request body in bytes that the gateway forwards; most operations take 1 MiB"`

	OTLPEndpoint string  `env:"OTEL_EXPORTER_OTLP_ENDPOINT" doc:"OTLP/HTTP collector for traces, e.g. http://127.0.0.1:4318"`
	TraceRatio   float64 `env:"TANDEM_TRACE_RATIO" envDefault:"1" doc:"Share of new traces that are recorded, 0 to 1"`

	MetricsToken secrets.Secret `env:"TANDEM_METRICS_TOKEN" doc:"Bearer token that opens /metrics, as Prometheus sends it with authorization; without it everybody may read them. Required in production"`

	AppID       string         `env:"APP_ID" envDefault:"platform" doc:"This process's app-id; set by Dapr"`
	AppPort     int            `env:"APP_PORT" envDefault:"8000" doc:"Port of the API; set by Dapr"`
	DaprHTTP    int            `env:"DAPR_HTTP_PORT" envDefault:"3500" doc:"Port of the sidecar's HTTP API; set by Dapr"`
	DaprGRPC    int            `env:"DAPR_GRPC_PORT" envDefault:"50001" doc:"Port of the sidecar's gRPC API; set by Dapr"`
	AppAPIToken secrets.Secret `env:"APP_API_TOKEN" doc:"Token that the sidecar sends with every call to the app; required in production"`
	APIToken    secrets.Secret `env:"DAPR_API_TOKEN" doc:"Token that opens the sidecar's API; required in production"`

	APIURL *url.URL `env:"TANDEM_API_URL" envDefault:"http://localhost:8000" doc:"Address of the API as browsers see it, which identity providers send them back to"`
	WebURL *url.URL `env:"TANDEM_WEB_URL" envDefault:"http://localhost:8000" doc:"Address of the web application, which links in mails lead to and which passkeys belong to"`

	ShopifyBaseURL string `env:"SHOPIFY_BASE_URL" envDefault:"https://{shop}" doc:"Base URL of a shop's Admin API; {shop} is replaced by the shop's domain"`
	VendorURL      string `env:"TANDEM_VENDOR_URL" envDefault:"https://{host}" doc:"Base URL of the other vendors' APIs; {host} is replaced by the API's host."`
	VendorCalls    string `env:"TANDEM_VENDOR_CALLS" envDefault:"direct" doc:"direct, or dapr: by way of the sidecar, as the resources of kind HTTPEndpoint, with its resiliency policies. Called directly all the same are Shopify, of which each shop is a host of its own, TikTok, whose paths the sidecar would change, and hosts that only give tokens (Google's, Stripe's, LinkedIn's), as the sidecar follows redirects. The resources of a local run have the base URL of its TANDEM_VENDOR_URL, the others https://{host}: whoever sets another TANDEM_VENDOR_URL changes them too"`
	VendorPagesURL string `env:"TANDEM_VENDOR_PAGES_URL" envDefault:"https://{host}" doc:"The same for the vendors' pages where people authorize this platform, as browsers see them"`

	VendorLimits map[string]string `env:"TANDEM_VENDOR_LIMITS" doc:"How often each vendor may be asked for an account by all syncs together, where that is not what its connector declares, e.g. hubspot:190/10s,stripe:25/1s; none for no limit but what the vendor's answers tell; * stands for every vendor. A limit of some of a vendor's streams is named after a dot: hubspot.search:4/1s"`

	ClientIDs map[string]string `env:"TANDEM_CLIENT_IDS" doc:"Client ids of this platform's apps at vendors, by vendor, e.g. shopify:1a2b,klaviyo:3c4d; * stands for every vendor. The secret of each is <vendor>-client-secret in the secret store, and what its webhooks are signed with <vendor>-webhook-secret, or several of them separated by commas, the newest first; what Meta proves to be itself with when it verifies an address is meta-ads-webhook-token. A vendor without one is connected by keys only"`
}

// Parse reads the environment, given as "NAME=value" strings, and checks what can be checked alone.
func Parse(environ []string) (Config, error) {
	c, err := env.ParseAsWithOptions[Config](env.Options{Environment: env.ToMap(environ)})
	if err != nil {
		return c, fmt.Errorf("read the environment: %w", err)
	}
	return c, c.check()
}

func (c Config) check() error {
	var wrong []error
	if c.Environment != Development && c.Environment != Production {
		wrong = append(wrong, fmt.Errorf("TANDEM_ENV is %q; use development or production", c.Environment))
	}
	if c.Calls != "dapr" && c.Calls != "direct" {
		wrong = append(wrong, fmt.Errorf("TANDEM_CALLS is %q; use dapr or direct", c.Calls))
	}
	if c.VendorCalls != "dapr" && c.VendorCalls != "direct" {
		wrong = append(wrong, fmt.Errorf("TANDEM_VENDOR_CALLS is %q; use dapr or direct", c.VendorCalls))
	}
	if c.Environment == Production {
		if c.AppAPIToken.Empty() {
			wrong = append(wrong, errors.New("APP_API_TOKEN is not set: anybody who reaches the app port could act as its sidecar"))
		}
		if c.APIToken.Empty() {
			wrong = append(wrong, errors.New("DAPR_API_TOKEN is not set: anybody who reaches the sidecar could act as this app"))
		}
		if c.MetricsToken.Empty() {
			wrong = append(wrong, errors.New("TANDEM_METRICS_TOKEN is not set: anybody who reaches the app port could read /metrics"))
		}
	}
	if ip := net.ParseIP(c.Listen); c.AppAPIToken.Empty() && (ip == nil || !ip.IsLoopback()) {
		wrong = append(wrong, fmt.Errorf("TANDEM_LISTEN is %q and APP_API_TOKEN is not set: anybody on the network could act as the sidecar; listen on 127.0.0.1 or set the token", c.Listen))
	}
	if u, err := url.Parse(strings.ReplaceAll(c.ShopifyBaseURL, "{shop}", "shop")); err != nil || u.Host == "" {
		wrong = append(wrong, fmt.Errorf("SHOPIFY_BASE_URL is %q; use a URL such as https://{shop}", c.ShopifyBaseURL))
	}
	for name, value := range map[string]string{"TANDEM_VENDOR_URL": c.VendorURL, "TANDEM_VENDOR_PAGES_URL": c.VendorPagesURL} {
		if u, err := url.Parse(strings.ReplaceAll(value, "{host}", "api.example.com")); err != nil || u.Host == "" || !strings.Contains(value, "{host}") {
			wrong = append(wrong, fmt.Errorf("%s is %q; use a URL such as https://{host}", name, value))
		}
	}
	return errors.Join(wrong...)
}

// Open are the doors that a missing token leaves open to every program on this machine, with what
// closes them.
func (c Config) Open() []string {
	var open []string
	if c.AppAPIToken.Empty() {
		open = append(open, "APP_API_TOKEN is not set: programs on this machine can act as the sidecar; make run sets it, or export it before dapr run")
	}
	if c.APIToken.Empty() {
		open = append(open, "DAPR_API_TOKEN is not set: programs on this machine can use the sidecar's state and secrets; make run sets it, or export it before dapr run")
	}
	return open
}

// Setting is one line of the configuration reference.
type Setting struct{ Name, Default, Doc string }

// Reference lists every setting in the struct's order.
func Reference() []Setting {
	var all []Setting
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		all = append(all, Setting{f.Tag.Get("env"), f.Tag.Get("envDefault"), f.Tag.Get("doc")})
	}
	return all
}
