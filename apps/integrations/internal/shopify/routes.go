package shopify

import (
	"context"
	"net/http"

	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/vendor"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// Routes binds what only Shopify has.
func Routes(r *group.Routes, connections *connection.Service) {
	group.Post(r, "/connect", keys{connections}.connect, group.Needs("integrations.shopify:write"), group.Status(http.StatusCreated), group.Problems(422, 502, 503),
		group.Doc("Connect a shop by access token",
			"The token is verified with Shopify and kept encrypted. A shop that is connected already, or was, keeps its connection and gets the new token: 200 instead of 201."))
}

// keys connects shops by access tokens.
type keys struct{ connections *connection.Service }

// ConnectInput is a shop to connect.
type ConnectInput struct {
	Body struct {
		Shop        string         `json:"shop" minLength:"1" maxLength:"100" doc:"Name or domain of the shop" example:"demo.myshopify.com"`
		AccessToken secrets.Secret `json:"access_token" minLength:"1" maxLength:"400" doc:"Admin API access token" example:"shpat_0123456789abcdef0123456789abcdef"`
	}
}

func (k keys) connect(ctx context.Context, in *ConnectInput) (*vendor.Output, error) {
	shop, err := Domain(in.Body.Shop)
	if err != nil {
		return nil, problem.Invalid("body.shop", err.Error())
	}
	if !connector.IsHeaderValue(in.Body.AccessToken.Reveal()) {
		return nil, problem.Invalid("body.access_token", "is no access token")
	}
	c, created, err := k.connections.Connect(ctx, identity.Organization(ctx), Vendor, shop, connector.Credentials{AccessToken: in.Body.AccessToken})
	if err != nil {
		return nil, err
	}
	return vendor.Connected(k.connections, c, created), nil
}
