package connection

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/store"
)

// behind is an account behind a connection's authorization that is read, where webhooks name those rather than the connection's own.
type behind struct {
	Organization string `json:"organization"`
	Connection   string `json:"connection"`
	Vendor       string `json:"vendor"`
	Account      string `json:"account"`
}

func openBehind(ctx context.Context, db store.DB) (*store.Documents[behind], error) {
	return store.System[behind](ctx, db, store.Def{Name: "connection-accounts", Indexes: []store.Index{
		{Name: "account", Fields: []string{"vendor", "account"}},
		{Name: "connection", Fields: []string{"connection"}},
		{Name: "organization", Fields: []string{"organization"}},
	}, Owner: "organization"})
}

// Reads notes which accounts behind a connection's authorization are read, so that webhooks about them find it.
func (s *Service) Reads(ctx context.Context, p Place, accounts []string) error {
	entered, err := s.directory.Get(ctx, p.Connection)
	if errors.Is(err, store.ErrNotFound) {
		return nil // it was disconnected
	}
	if err != nil {
		return fmt.Errorf("find the connection: %w", err)
	}
	vendor := entered.Value.Vendor
	if h, ok := s.Connector(vendor).(connector.Hooked); !ok || !h.Hooks().OfSubAccounts {
		return nil
	}
	wanted := map[string]store.Put[behind]{}
	for _, account := range accounts {
		sum := sha256.Sum256([]byte(p.Connection + "\x00" + account))
		id := hex.EncodeToString(sum[:16])
		wanted[id] = store.Put[behind]{ID: id, Value: behind{p.Organization, p.Connection, vendor, account}}
	}
	err = s.behind.Each(ctx, store.Query{Index: "connection", Equal: []any{p.Connection}}, func(doc store.Doc[behind]) error {
		if _, still := wanted[doc.ID]; still {
			delete(wanted, doc.ID)
			return nil
		}
		if err := s.behind.Delete(ctx, doc.ID, 0); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return nil
	})
	var puts []store.Put[behind]
	for _, put := range wanted {
		puts = append(puts, put)
	}
	if err == nil && len(puts) > 0 {
		_, err = s.behind.InsertMany(ctx, puts)
	}
	if err != nil {
		return fmt.Errorf("note the accounts behind a connection: %w", err)
	}
	return nil
}

// PlacesBehind are the connections of all organizations that read an account behind their authorizations.
func (s *Service) PlacesBehind(ctx context.Context, vendor, account string) ([]Place, error) {
	var places []Place
	err := s.behind.Each(ctx, store.Query{Index: "account", Equal: []any{vendor, account}}, func(doc store.Doc[behind]) error {
		_, err := s.directory.Get(ctx, doc.Value.Connection)
		switch {
		case err == nil:
			places = append(places, Place{doc.Value.Organization, doc.Value.Connection})
		case !errors.Is(err, store.ErrNotFound): // it was disconnected
			return err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find the connections to an account behind them: %w", err)
	}
	return places, nil
}
