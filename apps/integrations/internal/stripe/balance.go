package stripe

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/vendor"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
)

// Routes binds what only Stripe has.
func (c *Connector) Routes(r *group.Routes, connections *connection.Service) {
	group.Get(r, "/balance", balances{c, connections}.read, group.Needs("integrations.stripe:read"), group.About(integrationsapi.KindConnection, "query.connection_id"), group.Problems(404, 409, 422, 502, 503),
		group.Doc("Read the balance", "Stripe is asked; nothing is kept. Without connection_id that of the only connection there is; with several, 422."))
}

// balances reads the balance of accounts.
type balances struct {
	*Connector
	connections *connection.Service
}

// BalanceView is what an account has at Stripe.
type BalanceView struct {
	ConnectionID string            `json:"connection_id" doc:"Connection whose account it is" example:"0197a3f2-1111-7000-8000-000000000001"`
	LiveMode     bool              `json:"live_mode" doc:"Real money"`
	Items        []CurrencyBalance `json:"items" nullable:"false" doc:"One for each currency, in the order of their codes"`
}

// CurrencyBalance is the part of it in one currency. Amounts may be negative.
type CurrencyBalance struct {
	Currency       string `json:"currency" doc:"ISO 4217 code" example:"USD"`
	AvailableMinor int64  `json:"available_minor" doc:"Can be paid out now, in the currency's minor unit" example:"1250000"`
	PendingMinor   int64  `json:"pending_minor" doc:"Can be paid out later, in the currency's minor unit" example:"84050"`
	ReservedMinor  int64  `json:"reserved_minor" doc:"Held back for connected accounts, in the currency's minor unit" example:"0"`
}

func (b balances) read(ctx context.Context, in *vendor.ConnectionInput) (*BalanceView, error) {
	var view BalanceView
	of, err := b.connections.Ask(ctx, identity.Organization(ctx), Vendor, in.ConnectionID, connection.ForRead, func(a connector.Account) (err error) {
		view, err = b.Balance(ctx, a)
		return err
	})
	if err != nil {
		return nil, err
	}
	view.ConnectionID = of.ID
	return &view, nil
}

// Balance asks Stripe for the balance: an *Error.
func (c *Connector) Balance(ctx context.Context, a connector.Account) (BalanceView, error) {
	type funds []struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}
	var got struct {
		LiveMode        bool  `json:"livemode"`
		Available       funds `json:"available"`
		Pending         funds `json:"pending"`
		ConnectReserved funds `json:"connect_reserved"`
	}
	if err := c.get(ctx, a, "balance", nil, &got); err != nil {
		return BalanceView{}, err
	}
	if got.Available == nil || got.Pending == nil {
		return BalanceView{}, connector.BadAnswer("a balance without its parts")
	}
	of := map[string]CurrencyBalance{}
	for _, part := range []struct {
		funds
		into func(*CurrencyBalance) *int64
	}{
		{got.Available, func(b *CurrencyBalance) *int64 { return &b.AvailableMinor }},
		{got.Pending, func(b *CurrencyBalance) *int64 { return &b.PendingMinor }},
		{got.ConnectReserved, func(b *CurrencyBalance) *int64 { return &b.ReservedMinor }},
	} {
		for _, f := range part.funds {
			currency := strings.ToUpper(f.Currency)
			amount, err := minor(f.Amount, currency)
			if err != nil {
				return BalanceView{}, connector.BadAnswer("the balance: %w", err)
			}
			b := of[currency]
			b.Currency = currency
			*part.into(&b) += amount
			of[currency] = b
		}
	}
	view := BalanceView{LiveMode: got.LiveMode, Items: []CurrencyBalance{}}
	for _, currency := range slices.Sorted(maps.Keys(of)) {
		view.Items = append(view.Items, of[currency])
	}
	return view, nil
}
