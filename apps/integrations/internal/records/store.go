package records

import (
	"context"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/store"
)

// openOrders opens the orders, found by when they were placed, of all connections or of one.
func openOrders(ctx context.Context, db store.DB) (*store.Collection[integrationsapi.Order], error) {
	return store.Tenant[integrationsapi.Order](ctx, db, store.Def{Name: "orders", Indexes: []store.Index{
		{Name: "placed", Fields: []string{"placed_at"}},
		{Name: "connection", Fields: []string{"connection_id", "placed_at"}},
	}})
}

// placed selects orders placed in a range; of all connections when connection is empty.
func placed(connection string, r Range, cursor string, limit int) store.Query {
	q := store.Query{Index: "placed", Range: store.Range{Field: "placed_at"}, Cursor: cursor, Limit: limit}
	if connection != "" {
		q.Index, q.Equal = "connection", []any{connection}
	}
	if !r.From.IsZero() {
		q.Range.From = r.From
	}
	if !r.To.IsZero() {
		q.Range.To = r.To
	}
	return q
}
