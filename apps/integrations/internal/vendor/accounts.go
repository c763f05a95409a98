package vendor

import (
	"context"
	"slices"

	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/identity"
)

// accounts is the routes of a vendor whose authorizations open several accounts.
type accounts struct {
	*Module
	vendor connector.Lister
}

// AccountView is an account that a connection opens.
type AccountView struct {
	ID       string `json:"id" doc:"The vendor's own id" example:"act_1001"`
	Name     string `json:"name" doc:"Name for people" example:"Demo, North America"`
	Currency string `json:"currency,omitempty" doc:"ISO 4217 code" example:"USD"`
	TimeZone string `json:"time_zone,omitempty" doc:"IANA name" example:"America/New_York"`
	Chosen   bool   `json:"chosen" doc:"Whether it is synced"`
}

// AccountsView is the accounts that a connection opens.
type AccountsView struct {
	Items []AccountView `json:"items" nullable:"false" doc:"The accounts, as the vendor lists them"`
}

func (a accounts) list(ctx context.Context, in *ConnectionInput) (*AccountsView, error) {
	return viewOf(a.connections.Accounts(ctx, identity.Organization(ctx), a.vendor, in.ConnectionID))
}

// ChooseInput is which accounts are to be synced.
type ChooseInput struct {
	ConnectionInput
	Body struct {
		Accounts []string `json:"accounts" nullable:"false" maxItems:"1000" doc:"Ids of the accounts to sync; none for all" example:"[\"act_1001\"]"`
	}
}

func (a accounts) choose(ctx context.Context, in *ChooseInput) (*AccountsView, error) {
	return viewOf(a.connections.Choose(ctx, identity.Organization(ctx), a.vendor, in.ConnectionID, in.Body.Accounts))
}

func viewOf(c connection.Connection, all []connector.SubAccount, err error) (*AccountsView, error) {
	if err != nil {
		return nil, err
	}
	v := &AccountsView{Items: []AccountView{}}
	for _, one := range all {
		v.Items = append(v.Items, AccountView{one.ID, one.Name, one.Currency, one.TimeZone, len(c.Chosen) == 0 || slices.Contains(c.Chosen, one.ID)})
	}
	return v, nil
}
