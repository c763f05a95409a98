package webhooks

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
)

// Module is the routes of the webhooks.
type Module struct{ hooks *Service }

// NewModule serves the webhooks.
func NewModule(s *Service) *Module { return &Module{s} }

// Name implements group.Module.
func (m *Module) Name() string { return "webhooks" }

// Routes implements group.Module.
func (m *Module) Routes(r *group.Routes) {
	read, write := group.Needs("integrations.webhooks:read"), group.Needs("integrations.webhooks:write")
	group.Get(r, "/deliveries", m.list, read, group.Doc("List the webhooks that came, newest first",
		"Those of the organization's own connections, for 7 days. A parked one says why; what vendors write in them is not kept."))
	group.Post(r, "/deliveries/{id}/replay", m.replay, write, group.Status(http.StatusAccepted), group.Problems(404, 409),
		group.Doc("Process a webhook again", "One that waits to be processed already is refused with `webhook_not_processed_yet`."))
	group.Put(r, "/secrets/{connection_id}", m.setSecret, write, group.About(integrationsapi.KindConnection, "path.connection_id"), group.Action("set-secret"), group.Problems(404, 409, 422),
		group.Doc("Set the secret of an account's own webhooks",
			"For webhooks that somebody set up in the account itself, rather than those of this platform's app: `address` is where the vendor has to send them. The secret before is good for 24 hours longer."))
	incoming := []group.Option{group.Public(), group.AnyRate(), group.AnyQuery(), group.Sensitive(), group.Status(http.StatusOK)}
	doc := []string{
		"For vendors. The body is taken as it is, up to 1 MiB, and has to be signed in the vendor's own way; a signature that covers a time is good for 5 minutes.",
		"The answer comes when the webhook is kept; it is processed afterwards. One that came before, or is about an account that nobody has connected, is answered 200 as well.",
	}
	group.Post(r, "/{vendor}", m.app, append(incoming, group.Problems(401, 404, 413, 503), group.Doc("Take a webhook of this platform's app", doc...))...)
	group.Post(r, "/{vendor}/{connection_id}", m.account, append(incoming, group.Problems(401, 404, 413), group.Doc("Take a webhook of a connected account", doc...))...)
	group.Stream(r, "/{vendor}", m.challenge, group.Public(), group.AnyRate(), group.AnyQuery(), group.Sensitive(), group.Problems(401, 404),
		group.Doc("Answer a vendor that makes sure of the address", "As Meta asks: hub.challenge, when hub.verify_token is the one that was agreed."))
}

// Raw is a request as the vendor signed it.
type Raw struct {
	Vendor  string `path:"vendor" maxLength:"40" doc:"The vendor's name" example:"shopify"`
	RawBody []byte `contentType:"*/*"`

	header http.Header
	method string
	url    url.URL
}

// Resolve implements huma.Resolver.
func (in *Raw) Resolve(hc huma.Context) []error {
	in.header, in.method, in.url = http.Header{}, hc.Method(), hc.URL()
	hc.EachHeader(func(name, value string) { in.header.Add(name, value) })
	return nil
}

// delivery is the request at the address that the vendor knows, which is not the one at which it comes in behind a gateway.
func (in *Raw) delivery(api *url.URL) connector.Delivery {
	return connector.Delivery{Method: in.method, URL: strings.TrimRight(api.String(), "/") + in.url.RequestURI(), Header: in.header, Body: in.RawBody}
}

func (m *Module) app(ctx context.Context, in *Raw) (*group.None, error) {
	return &group.None{}, m.hooks.Accept(ctx, in.Vendor, "", in.delivery(m.hooks.API))
}

// OfAccount is a request of a connected account.
type OfAccount struct {
	Raw
	ConnectionID string `path:"connection_id" maxLength:"100" doc:"The connection to the account" example:"0197a3f2-1111-7000-8000-000000000001"`
}

func (m *Module) account(ctx context.Context, in *OfAccount) (*group.None, error) {
	return &group.None{}, m.hooks.Accept(ctx, in.Vendor, in.ConnectionID, in.delivery(m.hooks.API))
}

// ChallengeInput is what a vendor asks.
type ChallengeInput struct {
	Vendor string `path:"vendor" maxLength:"40" doc:"The vendor's name" example:"meta-ads"`
	query  url.Values
}

// Resolve implements huma.Resolver.
func (in *ChallengeInput) Resolve(hc huma.Context) []error {
	u := hc.URL()
	in.query = u.Query()
	return nil
}

func (m *Module) challenge(ctx context.Context, in *ChallengeInput) (*huma.StreamResponse, error) {
	answer, err := m.hooks.Challenge(ctx, in.Vendor, in.query)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", "text/plain; charset=utf-8")
		hc.SetHeader("X-Content-Type-Options", "nosniff")
		_, _ = io.WriteString(hc.BodyWriter(), answer) // the vendor may be gone; there is nobody left to tell
	}}, nil
}

// View is a webhook as the owner of the connection sees it.
type View struct {
	ID           string      `json:"id" doc:"Id of the delivery" example:"5f2b7c1de0a94c3b8a77f0c2d1e6b3a9"`
	ConnectionID string      `json:"connection_id" doc:"Connection that it is about" example:"0197a3f2-1111-7000-8000-000000000001"`
	Vendor       string      `json:"vendor" doc:"Who sent it" example:"shopify"`
	VendorID     string      `json:"vendor_id" doc:"The vendor's own id of it; made from its content where the vendor gives none" example:"b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"`
	Topic        string      `json:"topic" doc:"What happened, in the vendor's words" example:"orders/create"`
	Status       Status      `json:"status" enum:"received,processed,parked" doc:"received: waits to be processed; processed: its sync was asked for, or what else it means was done; parked: for the reason given" example:"processed"`
	Reason       *Reason     `json:"reason,omitempty" doc:"Why it is parked, or is tried again"`
	Attempts     int         `json:"attempts" doc:"How often it was tried" example:"1"`
	ReceivedAt   store.Time  `json:"received_at" format:"date-time" doc:"When it came, UTC"`
	ProcessedAt  *store.Time `json:"processed_at,omitempty" format:"date-time" doc:"When it was processed, UTC"`
}

func view(doc store.Doc[delivery]) View {
	d := doc.Value
	return View{doc.ID, d.ConnectionID, d.Vendor, d.VendorID, d.Topic, d.Status, d.Reason, d.Attempts, d.ReceivedAt, d.ProcessedAt}
}

// ListInput selects a page of webhooks.
type ListInput struct {
	Cursor string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Most webhooks of the page"`
}

// ListView is a page of webhooks.
type ListView struct {
	Items      []View `json:"items" nullable:"false" doc:"Webhooks, newest first"`
	NextCursor string `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

func (m *Module) list(ctx context.Context, in *ListInput) (*ListView, error) {
	found, err := m.hooks.list(ctx, identity.Organization(ctx), in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &ListView{Items: []View{}, NextCursor: found.Next}
	for _, doc := range found.Items {
		out.Items = append(out.Items, view(doc))
	}
	return out, nil
}

// ReplayInput names a webhook.
type ReplayInput struct {
	ID string `path:"id" maxLength:"100" doc:"Id of the delivery" example:"5f2b7c1de0a94c3b8a77f0c2d1e6b3a9"`
}

func (m *Module) replay(ctx context.Context, in *ReplayInput) (*View, error) {
	doc, err := m.hooks.replay(ctx, identity.Organization(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	v := view(doc)
	return &v, nil
}

// SecretInput is the secret of an account's own webhooks.
type SecretInput struct {
	ConnectionID string `path:"connection_id" maxLength:"100" doc:"The connection to the account" example:"0197a3f2-1111-7000-8000-000000000001"`
	Body         struct {
		Secret secrets.Secret `json:"secret" minLength:"8" maxLength:"400" doc:"What the vendor signs with; kept encrypted and never shown" example:"whsec_0123456789abcdef"`
	}
}

// SecretView is where the account has to send its webhooks.
type SecretView struct {
	Address string `json:"address" doc:"Where the vendor has to send them" example:"https://api.example.com/api/integrations/webhooks/shopify/0197a3f2-1111-7000-8000-000000000001"`
}

func (m *Module) setSecret(ctx context.Context, in *SecretInput) (*SecretView, error) {
	organization := identity.Organization(ctx)
	c, err := m.hooks.Connections.Get(ctx, organization, in.ConnectionID)
	if err != nil {
		return nil, err
	}
	address, err := m.hooks.Address(c.Vendor, c.ID)
	if err != nil {
		return nil, err
	}
	if _, err := m.hooks.Connections.SetHookSecret(ctx, organization, c.ID, in.Body.Secret); err != nil {
		return nil, err
	}
	return &SecretView{address}, nil
}
