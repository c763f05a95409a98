// Package integrations is the group that connects organizations to their platforms and keeps what those know, normalized.
package integrations

import (
	"context"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/apps/integrations/internal/shopify"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/vault"
)

// KeySecret is the name of the secret that credentials are encrypted with: 32 bytes of base64.
const KeySecret = "credentials-key"

// Config is how vendors are reached.
type Config struct {
	// ShopifyBaseURL is the base URL of a shop's Admin API; {shop} stands for the shop's domain.
	ShopifyBaseURL string
	// ShopifyVersion is the Admin API's version; that of the queries when empty.
	ShopifyVersion string
	// Timeout bounds one request to a vendor; 30 s when zero.
	Timeout time.Duration
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
	}
	return group.Builder{Spec: spec, Build: func(ctx context.Context, k group.Kernel) (group.Group, error) {
		client := connector.NewHTTPClient(c.Timeout)
		shops, err := shopify.NewConnector(c.ShopifyBaseURL, c.ShopifyVersion, client, k.Now)
		if err != nil {
			return group.Group{}, err
		}
		connections, err := connection.New(ctx, connection.Options{
			DB: k.DB, Connectors: []connector.Connector{shops}, Emit: k.Emit, Quota: k.Quota, Every: sync.Every, Now: k.Now, NewID: k.NewID,
			Vault: vault.New(func(ctx context.Context) (secrets.Secret, error) { return k.Secrets.Get(ctx, KeySecret) }),
		})
		if err != nil {
			return group.Group{}, err
		}
		kept, err := records.New(ctx, k.DB, k.Emit)
		if err != nil {
			return group.Group{}, err
		}
		syncs, err := sync.New(ctx, sync.Options{
			DB: k.DB, Runs: k.Runs, Connections: connections, Records: kept, Emit: k.Emit, Now: k.Now, NewID: k.NewID,
		})
		if err != nil {
			return group.Group{}, err
		}
		return group.Group{
			Spec:       spec,
			Modules:    []group.Module{shopify.NewModule(connections), sync.NewModule(syncs, sync.Heartbeat), records.NewModule(kept)},
			Jobs:       []jobs.Job{syncs.Job()},
			Runs:       []runs.Kind{syncs.RunKind()},
			Background: []group.Component{idle{client}},
			Personal:   privacy.Personal{Export: kept.Export},
		}, nil
	}}
}

// idle closes the connections to vendors that no request uses any more.
type idle struct{ client *http.Client }

func (idle) Start(context.Context) error { return nil }

func (i idle) Stop(context.Context) error {
	i.client.CloseIdleConnections()
	return nil
}
