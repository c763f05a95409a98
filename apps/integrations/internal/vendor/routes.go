// Package vendor is the routes that every vendor has: how its connections do, whether they work, how to authorize them and how to
// end them. What a vendor offers besides, it binds beside them.
package vendor

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/oauth"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

// Category is what a vendor is for.
type Category string

// What vendors are for.
const (
	Commerce    Category = "commerce"
	Advertising Category = "advertising"
	Messaging   Category = "messaging"
	CRM         Category = "crm"
	Payments    Category = "payments"
	Attribution Category = "attribution"
)

// Row is a vendor in the table of all.
type Row struct {
	Connector connector.Connector
	// Title is the vendor's name for people.
	Title    string
	Category Category
	// TakesKeys tells that a route of its own connects accounts by keys (see connector.Keyed for the common one).
	TakesKeys bool
	// Own binds the routes that only this vendor has; nil when it has none.
	Own func(*group.Routes, *connection.Service)
}

// Module is the routes of one vendor.
type Module struct {
	Row
	connections *connection.Service
	flows       *oauth.Service
	records     *records.Service
	log         *slog.Logger
}

// NewModule serves a vendor.
func NewModule(r Row, connections *connection.Service, flows *oauth.Service, kept *records.Service, log *slog.Logger) *Module {
	return &Module{r, connections, flows, kept, log}
}

// Name implements group.Module.
func (m *Module) Name() string { return m.Connector.Vendor() }

// Routes implements group.Module.
func (m *Module) Routes(r *group.Routes) {
	read, write := group.Needs("integrations."+m.Name()+":read"), group.Needs("integrations."+m.Name()+":write")
	of := group.About(integrationsapi.KindConnection, "query.connection_id")
	group.Get(r, "/status", m.status, read, group.Doc("List the connections, how they do and how fresh their data is"))
	group.Post(r, "/test", m.test, write, of, group.Problems(404, 409, 422, 502, 503),
		group.Doc("Try a connection", "The vendor is asked whose the account is. Without connection_id the only connection there is; with several, 422."))
	group.Delete(r, "", m.disconnect, write, of, group.Action("disconnect"), group.Problems(404),
		group.Doc("Disconnect an account", "Its credentials are erased, and revoked at the vendor where a person had authorized us there and no other connection needs that; its records stay. Without connection_id the only connection there is; with several, 422."))
	if a, ok := m.Connector.(connector.Authorizer); ok {
		f := flow{m, a}
		group.Get(r, "/oauth/authorize", f.authorize, write, group.Sensitive(), group.Problems(409, 422),
			group.Doc("Begin to authorize an account", "Send the person to `url`. Who began it can finish it, once, within 10 minutes: the browser that got the cookie of this answer, or the same session by POST."))
		group.Get(r, "/oauth/callback", f.browser, group.Public(), group.AnyQuery(), group.Sensitive(), group.Problems(422, 502, 503),
			group.Doc("End an authorization in the browser", "Where the vendor sends people back. They go on to return_to, with `connection_id`, or with `error`, a problem's code."))
		group.Post(r, "/oauth/callback", f.client, write, group.Action(oauth.Action), group.Sensitive(), group.Status(http.StatusCreated), group.Problems(422, 502, 503),
			group.Doc("End an authorization by an API client", "An account that is connected already, or was, keeps its connection: 200 instead of 201."))
		group.Post(r, "/oauth/refresh", m.refresh, write, of, group.Problems(404, 409, 422, 502, 503),
			group.Doc("Refresh the credentials of a connection", "That happens by itself before they expire. Those that came in the last 30 seconds stay."))
	}
	if k, ok := m.Connector.(connector.Keyed); ok {
		key := k.Key()
		group.Post(r, "/connect", keys{m, key}.connect, write, group.Status(http.StatusCreated), group.Problems(422, 502, 503),
			group.Doc("Connect an account by a key", key.Doc+". It is verified with the vendor and kept encrypted. An account that is connected already, or was, keeps its connection and gets the new key: 200 instead of 201."))
	}
	if l, ok := m.Connector.(connector.Lister); ok {
		a := accounts{m, l}
		group.Get(r, "/accounts", a.list, read, of, group.Problems(404, 409, 422, 502, 503),
			group.Doc("List the accounts that a connection opens", "The vendor is asked. Those that are chosen are synced; without a choice, all are."))
		group.Put(r, "/accounts", a.choose, write, of, group.Action("choose-accounts"), group.Problems(404, 409, 422, 502, 503),
			group.Doc("Choose which accounts are synced", "An empty list chooses all. Records of others stay. One that is new is read from its beginning by the next sync."))
	}
	m.bindWrites(r, read, write, of)
	m.bindCreatives(r, read, of)
	for _, s := range m.Connector.Streams() {
		m.records.BindOf(s.Name, r, group.Needs("integrations."+m.Name()+":read"), func(ctx context.Context, id string) (string, error) {
			return m.connections.Find(ctx, identity.Organization(ctx), m.Name(), id)
		})
	}
	if m.Own != nil {
		m.Own(r, m.connections)
	}
}

// Output is a connection that was made, or made anew.
type Output struct {
	Status int
	Body   connection.View
}

// Connected is the answer of a connection that was made: 201, or 200 when it was there.
func Connected(connections *connection.Service, c connection.Connection, created bool) *Output {
	out := &Output{Status: http.StatusOK, Body: connections.View(c)}
	if created {
		out.Status = http.StatusCreated
	}
	return out
}

// StatusInput selects a page of connections.
type StatusInput struct {
	Cursor string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Most connections of the page"`
}

// StatusView is a page of connections.
type StatusView struct {
	Items      []connection.View `json:"items" nullable:"false" doc:"Connections, disconnected ones too"`
	NextCursor string            `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

func (m *Module) status(ctx context.Context, in *StatusInput) (*StatusView, error) {
	connections, next, err := m.connections.List(ctx, identity.Organization(ctx), m.Name(), in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &StatusView{Items: []connection.View{}, NextCursor: next}
	for _, c := range connections {
		out.Items = append(out.Items, m.connections.View(c))
	}
	return out, nil
}

// ConnectionInput names a connection.
type ConnectionInput struct {
	ConnectionID string `query:"connection_id" maxLength:"100" doc:"Which connection; may be left out when there is only one"`
}

func (m *Module) test(ctx context.Context, in *ConnectionInput) (*connection.View, error) {
	return m.view(m.connections.Test(ctx, identity.Organization(ctx), m.Name(), in.ConnectionID))
}

func (m *Module) refresh(ctx context.Context, in *ConnectionInput) (*connection.View, error) {
	return m.view(m.connections.Refresh(ctx, identity.Organization(ctx), m.Name(), in.ConnectionID))
}

func (m *Module) view(c connection.Connection, err error) (*connection.View, error) {
	if err != nil {
		return nil, err
	}
	v := m.connections.View(c)
	return &v, nil
}

func (m *Module) disconnect(ctx context.Context, in *ConnectionInput) (*group.None, error) {
	return &group.None{}, m.connections.Disconnect(ctx, identity.Organization(ctx), m.Name(), in.ConnectionID)
}

// flow is the routes of a vendor with OAuth.
type flow struct {
	*Module
	vendor connector.Authorizer
}

// AuthorizeInput is what to authorize, and what then.
type AuthorizeInput struct {
	Account  string `query:"account" maxLength:"200" doc:"The account, where the vendor does not ask which it is to be; for Shopify the shop" example:"demo.myshopify.com"`
	ReturnTo string `query:"return_to" maxLength:"2000" doc:"Where the browser goes in the end: a page of this platform" example:"https://app.example.com/connections"`
}

// AuthorizeOutput is where to authorize.
type AuthorizeOutput struct {
	SetCookie    string `header:"Set-Cookie" doc:"Binds the authorization to the browser"`
	CacheControl string `header:"Cache-Control"`
	Body         AuthorizeView
}

// AuthorizeView is where to authorize.
type AuthorizeView struct {
	URL       string `json:"url" doc:"Where the person goes" example:"https://demo.myshopify.com/admin/oauth/authorize?client_id=…"`
	ExpiresIn int    `json:"expires_in" doc:"Seconds in which it has to be finished" example:"600"`
}

func (f flow) authorize(ctx context.Context, in *AuthorizeInput) (*AuthorizeOutput, error) {
	begun, err := f.flows.Begin(ctx, f.vendor, in.Account, in.ReturnTo)
	if err != nil {
		return nil, err
	}
	return &AuthorizeOutput{
		SetCookie: begun.Cookie.String(), CacheControl: "no-store", Body: AuthorizeView{begun.URL, int(oauth.Life.Seconds())},
	}, nil
}

// BrowserInput is what the vendor sends a browser back with. Vendors sign all of the query, so it is taken as it is.
type BrowserInput struct {
	Cookies string `header:"Cookie" hidden:"true"`
	query   url.Values
}

// Resolve implements huma.Resolver.
func (in *BrowserInput) Resolve(hc huma.Context) []error {
	u := hc.URL()
	in.query = u.Query()
	return nil
}

// BrowserOutput sends a browser on, or shows it the connection.
type BrowserOutput struct {
	Status       int
	Location     string `header:"Location" doc:"The page to go on to"`
	CacheControl string `header:"Cache-Control"`
	Body         *connection.View
}

func (f flow) browser(ctx context.Context, in *BrowserInput) (*BrowserOutput, error) {
	to, c, err := f.flows.FinishInBrowser(ctx, f.vendor, in.query, in.Cookies)
	if err != nil {
		return nil, err
	}
	out := &BrowserOutput{Status: http.StatusSeeOther, Location: to, CacheControl: "no-store"}
	if to == "" {
		v := f.connections.View(c)
		out.Status, out.Body = http.StatusOK, &v
	}
	return out, nil
}

// ClientInput is what the vendor sent a person back with.
type ClientInput struct {
	Body struct {
		Query string `json:"query" minLength:"1" maxLength:"8000" doc:"The query of the URL that the vendor sent the person back to, as it is" example:"code=0907a61c0c8d55e99db179b68161bc00&hmac=…&shop=demo.myshopify.com&state=…&timestamp=1337178173"`
	}
}

func (f flow) client(ctx context.Context, in *ClientInput) (*Output, error) {
	query, err := url.ParseQuery(in.Body.Query)
	if err != nil {
		return nil, problem.Invalid("body.query", "is no query of a URL")
	}
	c, created, err := f.flows.Finish(ctx, f.vendor, query)
	if err != nil {
		return nil, err
	}
	return Connected(f.connections, c, created), nil
}
