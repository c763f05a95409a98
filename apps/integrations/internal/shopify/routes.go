package shopify

import (
	"context"
	"net/http"

	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/secrets"
)

// Module is the routes of Shopify connections.
type Module struct{ connections *connection.Service }

// NewModule serves Shopify connections.
func NewModule(c *connection.Service) *Module { return &Module{c} }

// Name implements group.Module.
func (m *Module) Name() string { return Vendor }

// Routes implements group.Module.
func (m *Module) Routes(r *group.Routes) {
	read, write := group.Needs("integrations.shopify:read"), group.Needs("integrations.shopify:write")
	group.Post(r, "/connect", m.connect, write, group.Status(http.StatusCreated), group.Problems(422, 502, 503),
		group.Doc("Connect a shop by access token",
			"The token is verified with Shopify and kept encrypted. A shop that is connected already, or was, keeps its connection and gets the new token: 200 instead of 201."))
	group.Get(r, "/status", m.status, read, group.Doc("List the shops, how they do and how fresh their data is"))
	group.Delete(r, "", m.disconnect, write, group.Problems(404),
		group.Doc("Disconnect a shop", "Its access token is erased; its records stay. Without connection_id the only shop there is; with several, 422."))
}

// ConnectInput is a shop to connect.
type ConnectInput struct {
	Body struct {
		Shop        string         `json:"shop" minLength:"1" maxLength:"100" doc:"Name or domain of the shop" example:"demo.myshopify.com"`
		AccessToken secrets.Secret `json:"access_token" minLength:"1" maxLength:"400" doc:"Admin API access token" example:"shpat_0123456789abcdef0123456789abcdef"`
	}
}

// ConnectOutput is the connection.
type ConnectOutput struct {
	Status int
	Body   connection.View
}

func (m *Module) connect(ctx context.Context, in *ConnectInput) (*ConnectOutput, error) {
	shop, err := Domain(in.Body.Shop)
	if err != nil {
		return nil, problem.Invalid("body.shop", err.Error())
	}
	if !isHeaderValue(in.Body.AccessToken.Reveal()) {
		return nil, problem.Invalid("body.access_token", "is no access token")
	}
	c, created, err := m.connections.Connect(ctx, identity.Organization(ctx), Vendor, shop, connector.Credentials{AccessToken: in.Body.AccessToken})
	if err != nil {
		return nil, err
	}
	out := &ConnectOutput{Status: http.StatusOK, Body: m.connections.View(c)}
	if created {
		out.Status = http.StatusCreated
	}
	return out, nil
}

// isHeaderValue tells whether a token can be sent at all.
func isHeaderValue(token string) bool {
	for _, b := range []byte(token) {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return token != ""
}

// StatusInput selects a page of shops.
type StatusInput struct {
	Cursor string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Most shops of the page"`
}

// StatusView is a page of shops.
type StatusView struct {
	Items      []connection.View `json:"items" nullable:"false" doc:"Shops, disconnected ones too"`
	NextCursor string            `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last"`
}

func (m *Module) status(ctx context.Context, in *StatusInput) (*StatusView, error) {
	connections, next, err := m.connections.List(ctx, identity.Organization(ctx), Vendor, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &StatusView{Items: []connection.View{}, NextCursor: next}
	for _, c := range connections {
		out.Items = append(out.Items, m.connections.View(c))
	}
	return out, nil
}

// DisconnectInput names a shop's connection.
type DisconnectInput struct {
	ConnectionID string `query:"connection_id" maxLength:"100" doc:"Connection to end; may be left out when there is only one"`
}

func (m *Module) disconnect(ctx context.Context, in *DisconnectInput) (*group.None, error) {
	return &group.None{}, m.connections.Disconnect(ctx, identity.Organization(ctx), Vendor, in.ConnectionID)
}
