package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/tandemhq/tandem/test/measure"
	"github.com/tandemhq/tandem/test/scenario"
	"github.com/tandemhq/tandem/test/system"
)

// The bucket of a shop of Shopify's plan Advanced, which restores 200 points a second
// (shopify.dev/docs/apps/build/apis/graphql-admin/rate-limits).
const (
	throttledPoints = 4000
	throttledRate   = 200
)

// throttled measures how much of what a vendor allows a backfill of all streams of a shop uses, and how often it asks too early.
func (b *bench) throttled(ctx context.Context, s *system.System) ([]figure, error) {
	progress("Backfill a throttled shop; that takes a minute.")
	vars := map[string]string{"shop": "throttled"}
	admin := s.Devstack + "/sandbox/shopify/" + vars["shop"]
	if err := play(ctx, s.Site, vars, append(scenario.Register(vars, "throttled"), scenario.Connect()...)...); err != nil {
		return nil, err
	}
	limits := scenario.Step{Method: http.MethodPut, Path: admin + "/limits", Want: http.StatusOK, Body: map[string]any{"maximum_available": throttledPoints, "restore_rate": throttledRate}}
	forget := scenario.Step{Method: http.MethodDelete, Path: admin + "/requests", Want: http.StatusNoContent}
	if err := play(ctx, s.Site, vars, forget, limits); err != nil {
		return nil, err
	}
	shop := []connected{{"shopify", vars["connection"], []string{"orders", "customers", "products"}}}
	syncs, err := syncAll(ctx, s, vars, shop, "backfill", func() error { return nil })
	if err != nil {
		return nil, err
	}
	var bucket struct{ Spent float64 }
	var requests struct{ Total, Throttled int }
	if err := get(ctx, s.Site, vars, admin+"/limits", &bucket); err != nil {
		return nil, err
	}
	if err := get(ctx, s.Site, vars, admin+"/requests", &requests); err != nil {
		return nil, err
	}
	records, took := spanOf(syncs)
	allowed := throttledPoints + throttledRate*took.Seconds()
	used, refused := bucket.Spent/allowed*100, float64(requests.Throttled)/float64(requests.Total)*100
	const least, most = 90, 1
	return []figure{
		{
			"throttled", "backfill of all streams of a shop that allows 200 points a second: use of what it allows", "≥ 90 %", fmt.Sprintf("%.0f %%", used),
			fmt.Sprintf("%.0f points of %.0f in %s, with those that were there at first; %d records", bucket.Spent, allowed, measure.Duration(took), records), used < least,
		},
		{
			"throttled", "requests of it that the shop refused as too early", "≤ 1 %", fmt.Sprintf("%.1f %%", refused),
			fmt.Sprintf("%d of %d", requests.Throttled, requests.Total), refused > most,
		},
	}, nil
}
