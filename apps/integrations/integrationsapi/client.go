package integrationsapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/vault"
)

// MaxPage is the most records of one page.
const MaxPage = 1000

// Client calls integrations for another group.
type Client struct{ *call.Client }

// Orders reads a page of the orders placed from from (inclusive) to to (exclusive), by time of placement, oldest first;
// limit a page, 1 to MaxPage. The first page has no cursor; the others that of the page before, with the same range.
// Errors are problems: those of the call, and validation_failed.
func (c Client) Orders(ctx context.Context, from, to time.Time, cursor string, limit int) (*Page[Order], error) {
	query := url.Values{"from": {instant(from)}, "to": {instant(to)}, "limit": {strconv.Itoa(limit)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	return call.Do[Page[Order]](ctx, c.Client, call.Request{
		To: Name, Method: http.MethodGet, Path: "/api/integrations/records/orders", Query: query,
	})
}

// EachOrder calls visit with every order placed from from (inclusive) to to (exclusive), by time of placement. It reads
// in pages of MaxPage and ends with visit's first error, as it is. Errors otherwise as of Orders; a reader that meets
// one begins anew, as orders may have changed meanwhile.
func (c Client) EachOrder(ctx context.Context, from, to time.Time, visit func(Order) error) error {
	for cursor := ""; ; {
		page, err := c.Orders(ctx, from, to, cursor, MaxPage)
		if err != nil {
			return err
		}
		for _, order := range page.Items {
			if err := visit(order); err != nil {
				return err
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return nil
		}
	}
}

// Sealing tells how the credentials of all organizations' connections are sealed, for operators.
func (c Client) Sealing(ctx context.Context) (*vault.Sealing, error) {
	return call.Do[vault.Sealing](ctx, c.Client, call.Request{To: Name, Method: http.MethodGet, Path: "/api/integrations/credentials/sealing", AsGroup: true})
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
