package vendor

import (
	"context"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/group"
)

// creatives is the route of an advertising platform that tells what its ads show.
type creatives struct {
	*Module
	vendor connector.CreativeLister
}

func (m *Module) bindCreatives(r *group.Routes, read, of group.Option) {
	if l, ok := m.Connector.(connector.CreativeLister); ok {
		group.Get(r, "/creatives", creatives{m, l}.list, read, of, group.Problems(404, 409, 422, 502, 503),
			group.Doc("List what ads show, what they cost and what they brought", "Ads that were shown in the period, those that cost most first. The vendor is asked; nothing is kept. Days are of the account's time zone, at most 366 of them, fewer where the vendor takes fewer. Without connection_id that of the only connection there is, and without account the only one that is synced; with several, 422."))
	}
}

// CreativesInput selects ads.
type CreativesInput struct {
	PeriodInput
	Cursor string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before, with the otherwise same query"`
	Limit  int    `query:"limit" minimum:"1" maximum:"50" default:"25" doc:"Most ads of the page"`
}

// CreativesView is a page of ads.
type CreativesView struct {
	Of
	Items      []connector.Creative `json:"items" nullable:"false" doc:"The ads, those that cost most first"`
	NextCursor string               `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last" example:"2"`
}

func (c creatives) list(ctx context.Context, in *CreativesInput) (*CreativesView, error) {
	view := CreativesView{}
	of, err := in.Ask(ctx, c.connections, c.Name(), Listed(c.vendor), func(a connector.Account, of connector.SubAccount, from, to time.Time) error {
		all, next, err := c.vendor.Creatives(ctx, a, of, from, to, in.Cursor, in.Limit)
		view.Items, view.NextCursor = append([]connector.Creative{}, all...), next
		return connector.OfInput(err)
	})
	view.Of = of
	return &view, err
}
