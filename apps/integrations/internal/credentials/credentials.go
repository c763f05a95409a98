// Package credentials is the vault of the organization: what credentials each connection has, how they are sealed, who used them
// when; to try them and to have new ones given by the vendor. A secret leaves it in no form but its last four characters.
package credentials

import (
	"context"
	"log/slog"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/vault"
)

// Module is the routes of the vault.
type Module struct {
	connections *connection.Service
	log         *slog.Logger
}

// NewModule serves the credentials of connections.
func NewModule(connections *connection.Service, log *slog.Logger) *Module {
	return &Module{connections, log}
}

// Name implements group.Module.
func (m *Module) Name() string { return "credentials" }

// Routes implements group.Module.
func (m *Module) Routes(r *group.Routes) {
	read, write := group.Needs("integrations.credentials:read"), group.Needs("integrations.credentials:write")
	of := group.About(integrationsapi.KindConnection, "path.connection_id")
	group.Get(r, "", m.list, read, group.Doc("List the credentials of all connections",
		"How each is sealed and when it was last used. Of a secret, at most the last four characters are shown. Connections that were disconnected have none."))
	group.Get(r, "/sealing", m.sealing, group.Internal(), group.Doc("Count the credentials that are encrypted with a former key"))
	group.Get(r, "/{connection_id}", m.show, read, group.Problems(404), group.Doc("Show the credentials of a connection, and who used them when",
		"Times of use are exact to a minute. What goes on without a pause of ten minutes is one use; at most 20 are remembered, and frequent ones are forgotten first."))
	group.Post(r, "/{connection_id}/test", m.test, write, of, group.Problems(404, 409, 422, 502, 503),
		group.Doc("Try credentials", "The vendor is asked whose the account is."))
	group.Post(r, "/{connection_id}/rotate", m.rotate, write, of, group.Problems(404, 409, 422, 502, 503),
		group.Doc("Have new credentials given by the vendor", "As the vendor's `oauth/refresh` does. Those that came in the last 30 seconds stay. A key is made anew at the vendor only: 409 `connection_not_authorized`, and the vendor's `connect` takes the new one."))
}

// Job encrypts again what is encrypted with a former key.
func (m *Module) Job() jobs.Job {
	return jobs.Job{Name: "reencrypt-credentials", Schedule: vault.PassEvery, Run: m.reencrypt}
}

func (m *Module) reencrypt(ctx context.Context) error {
	count, err := m.connections.Reseal(ctx)
	count.Log(ctx, m.log)
	return err
}

func (m *Module) sealing(ctx context.Context, _ *struct{}) (*vault.Sealing, error) {
	count, err := m.connections.Sealing(ctx)
	return &count, err
}

// View is the credentials of a connection, as far as they are shown.
type View struct {
	ConnectionID string            `json:"connection_id" doc:"Id of the connection" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string            `json:"vendor" doc:"What is connected" example:"shopify"`
	Account      string            `json:"account" doc:"The vendor's name of the account" example:"demo.myshopify.com"`
	Status       connection.Status `json:"status" enum:"active,needs_attention,disconnected" doc:"Whether the connection works" example:"active"`
	Kind         string            `json:"kind" enum:"oauth,key" doc:"oauth when a person authorized the connection at the vendor, key when one was given" example:"oauth"`
	Masked       string            `json:"masked,omitempty" doc:"The access token or the key, hidden but for its last four characters, and as a whole when it is shorter than twelve; missing when there is none, or none that can be read" example:"****9f2c"`
	SealedWith   *KeyView          `json:"sealed_with,omitempty" doc:"The key that they are encrypted with; missing when there are none"`
	Rotatable    bool              `json:"rotatable" doc:"Whether the vendor gives new ones"`
	GivenAt      store.Time        `json:"given_at" format:"date-time" doc:"When they were last given by a person, UTC"`
	RefreshedAt  *store.Time       `json:"refreshed_at,omitempty" format:"date-time" doc:"When the vendor last gave new ones since then, UTC"`
	ExpiresAt    *store.Time       `json:"expires_at,omitempty" format:"date-time" doc:"When they end, UTC; missing when they do not"`
	LastUse      *UseView          `json:"last_use,omitempty" doc:"Who used them last; missing when nobody has"`
}

// KeyView is a key-encryption key.
type KeyView struct {
	ID      string `json:"id" doc:"Name of the key, which tells nothing of it" example:"5f0c2a9be1d47a36"`
	Current bool   `json:"current" doc:"Whether it is the current one; what is encrypted with a former one is encrypted again within minutes"`
}

// UseView is a use of credentials.
type UseView struct {
	Purpose  connection.Purpose `json:"purpose" enum:"sync,test,refresh,accounts,read,write,disconnect" doc:"What for" example:"sync"`
	Actor    string             `json:"actor" doc:"Id of the user, or the group of a schedule" example:"0197a3f2-0000-7000-8000-000000000007"`
	APIKeyID string             `json:"api_key_id,omitempty" doc:"The API key by which it was asked for" example:"0197a3f2-0000-7000-8000-000000000009"`
	RunID    string             `json:"run_id,omitempty" doc:"The sync; of several at a time, one" example:"0199b1f2-9c20-7e11-8b8e-5a0f6f1e2d3c"`
	Since    store.Time         `json:"since" format:"date-time" doc:"When it began, UTC"`
	Until    store.Time         `json:"until" format:"date-time" doc:"When it was last seen, UTC"`
}

// DetailView is the credentials of a connection with their uses.
type DetailView struct {
	View
	Uses []UseView `json:"uses" nullable:"false" doc:"Uses, the latest first"`
}

// ListInput selects a page of credentials.
type ListInput struct {
	Cursor string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Most connections of the page"`
}

// ListView is a page of credentials.
type ListView struct {
	Items      []View `json:"items" nullable:"false" doc:"Credentials by vendor, those of disconnected connections too, of which only the uses are left"`
	NextCursor string `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

func (m *Module) list(ctx context.Context, in *ListInput) (*ListView, error) {
	page, next, err := m.connections.List(ctx, identity.Organization(ctx), "", in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &ListView{Items: []View{}, NextCursor: next}
	for _, c := range page {
		v, err := m.view(ctx, c)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, v.View)
	}
	return out, nil
}

// Input names a connection.
type Input struct {
	ConnectionID string `path:"connection_id" maxLength:"100" doc:"Id of the connection" example:"0197a3f2-1111-7000-8000-000000000001"`
}

func (m *Module) show(ctx context.Context, in *Input) (*DetailView, error) {
	c, err := m.connections.Get(ctx, identity.Organization(ctx), in.ConnectionID)
	if err != nil {
		return nil, err
	}
	return m.view(ctx, c)
}

func (m *Module) test(ctx context.Context, in *Input) (*DetailView, error) {
	return m.do(ctx, in, m.connections.Test)
}

func (m *Module) rotate(ctx context.Context, in *Input) (*DetailView, error) {
	return m.do(ctx, in, m.connections.Refresh)
}

// do is what a route of the connection's vendor does.
func (m *Module) do(ctx context.Context, in *Input, act func(ctx context.Context, organization, vendor, id string) (connection.Connection, error)) (*DetailView, error) {
	organization := identity.Organization(ctx)
	c, err := m.connections.Get(ctx, organization, in.ConnectionID)
	if err != nil {
		return nil, err
	}
	if c, err = act(ctx, organization, c.Vendor, c.ID); err != nil {
		return nil, err
	}
	return m.view(ctx, c)
}

func (m *Module) view(ctx context.Context, c connection.Connection) (*DetailView, error) {
	organization := identity.Organization(ctx)
	secret, err := m.connections.Secret(ctx, organization, c)
	if err != nil {
		return nil, err
	}
	uses, err := m.connections.Uses(ctx, organization, c.ID)
	if err != nil {
		return nil, err
	}
	v := &DetailView{View{
		ConnectionID: c.ID, Vendor: c.Vendor, Account: c.Account, Status: c.Status, Kind: "key", GivenAt: c.ConnectedAt,
	}, []UseView{}}
	if c.Authorized {
		v.Kind = "oauth"
	}
	if secret != nil {
		v.Masked, v.SealedWith = secret.Masked, &KeyView{secret.Key, secret.Current}
		v.Rotatable, v.RefreshedAt, v.ExpiresAt = c.Refreshable, c.RefreshedAt.OrNil(), c.ExpiresAt.OrNil()
	}
	for _, u := range uses {
		v.Uses = append(v.Uses, UseView{u.Purpose, u.Subject, u.Key, u.RunID, u.Since, u.Until})
	}
	if len(v.Uses) > 0 {
		v.LastUse = &v.Uses[0]
	}
	return v, nil
}
