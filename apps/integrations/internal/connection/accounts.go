package connection

import (
	"context"
	"fmt"
	"slices"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// Accounts asks the vendor which accounts the connection opens, with the connection as it is. Errors are problems: those of
// Disconnect, Open and Connect.
func (s *Service) Accounts(ctx context.Context, organization string, vendor connector.Lister, id string) (c Connection, all []connector.SubAccount, err error) {
	if c, err = s.find(ctx, organization, vendor.Vendor(), id); err != nil {
		return c, nil, err
	}
	c, err = s.use(ctx, organization, c.ID, ForAccounts, func(a connector.Account) error {
		all, err = vendor.Accounts(ctx, a)
		return err
	})
	return c, all, err
}

// Choose says which of those are synced from then on; with none, all are. What was synced of others stays. Errors as of Accounts,
// and validation_failed for an account that there is not. One that is new is read from its beginning.
func (s *Service) Choose(ctx context.Context, organization string, vendor connector.Lister, id string, chosen []string) (Connection, []connector.SubAccount, error) {
	c, all, err := s.Accounts(ctx, organization, vendor, id)
	if err != nil {
		return c, nil, err
	}
	for i, account := range chosen {
		if !slices.ContainsFunc(all, func(a connector.SubAccount) bool { return a.ID == account }) {
			return c, nil, problem.Invalid(fmt.Sprintf("body.accounts[%d]", i), "is none of the accounts that the connection opens")
		}
	}
	chosen = slices.Compact(slices.Sorted(slices.Values(chosen)))
	doc, err := s.connections.In(organization).Update(ctx, c.ID, func(now *Connection) ([]store.Message, error) {
		now.Chosen = chosen
		return nil, nil
	})
	if err != nil {
		return c, nil, fmt.Errorf("store the choice: %w", err)
	}
	return doc.Value, all, nil
}

// Find is the id of the connection to a vendor with that id or, when id is empty, of the only one there is: a problem.
func (s *Service) Find(ctx context.Context, organization, vendor, id string) (string, error) {
	c, err := s.find(ctx, organization, vendor, id)
	return c.ID, err
}
