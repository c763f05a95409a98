package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/measure"
	"github.com/tandemhq/tandem/test/scenario"
	"github.com/tandemhq/tandem/test/system"
)

// The business that is backfilled: a year of about 103,000 orders and, as a third of its campaigns end before the others, about 800 days of
// campaigns a day on four platforms.
const (
	largeSize    = `{"days":365,"new_customers_per_day":100,"campaigns":250}`
	backfillTime = 10 * time.Minute
	backfillCap  = 200_000_000 // bytes
	readPages    = 300
)

var adPlatforms = []string{"google-ads", "linkedin-ads", "meta-ads", "tiktok-ads"}

// connected is a connection of the business that is measured.
type connected struct {
	vendor, id string
	// backfilled are the streams that are backfilled.
	backfilled []string
}

// records measures a backfill of a large business, what its records cost afterwards to be read, and what it costs to learn that there is
// nothing new.
func (b *bench) records(ctx context.Context, s *system.System) ([]figure, error) {
	progress("Backfill a large business.")
	operator, err := s.Operator()
	if err != nil {
		return nil, err
	}
	vars := map[string]string{"shop": "large", "operator": operator}
	size := scenario.Step{Method: http.MethodPut, Path: s.Devstack + "/sandbox/businesses/large/size", Want: http.StatusOK, Body: largeSize}
	if err := play(ctx, s.Site, vars, slices.Concat([]scenario.Step{size}, scenario.Register(vars, "large"), []scenario.Step{scenario.ChangePlan("team")})...); err != nil {
		return nil, err
	}
	connections, err := connectLarge(ctx, s, vars)
	if err != nil {
		return nil, err
	}
	figures, err := b.backfill(ctx, s, vars, connections)
	if err != nil {
		return nil, err
	}
	calls, err := nothingNew(ctx, s, vars, connections)
	if err != nil {
		return nil, err
	}
	figures = append(figures, calls)
	progress("Read pages of 500.")
	read, err := pagesOf500(ctx, s, vars)
	return append(figures, read...), err
}

// connectLarge connects the shop and the advertising platforms of the business.
func connectLarge(ctx context.Context, s *system.System, vars map[string]string) ([]connected, error) {
	if err := play(ctx, s.Site, vars, scenario.Connect()...); err != nil {
		return nil, err
	}
	list := []connected{{"shopify", vars["connection"], []string{"orders"}}}
	for _, vendor := range adPlatforms {
		base := "/api/integrations/" + vendor
		begin := scenario.Step{Method: http.MethodGet, Path: base + "/oauth/authorize", Want: http.StatusOK, Save: map[string]string{"page": "url"}}
		if err := play(ctx, s.Site, vars, begin); err != nil {
			return nil, err
		}
		query, err := scenario.Allow(ctx, s.Site, vendor, vars["shop"], vars["page"])
		if err != nil {
			return nil, fmt.Errorf("authorize %s: %w", vendor, err)
		}
		end := scenario.Step{Method: http.MethodPost, Path: base + "/oauth/callback", Want: http.StatusCreated, Body: map[string]string{"query": query}, Save: map[string]string{"connection": "id"}}
		if err := play(ctx, s.Site, vars, end); err != nil {
			return nil, err
		}
		list = append(list, connected{vendor, vars["connection"], []string{"campaigns", "performance"}})
	}
	return list, nil
}

// synced is a sync that has ended.
type synced struct {
	Stream     string    `json:"stream"`
	Status     string    `json:"status"`
	Records    int       `json:"records"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
}

// syncAll starts syncs of all streams at once, and waits for their ends while look looks at the run.
func syncAll(ctx context.Context, s *system.System, vars map[string]string, connections []connected, mode string, look func() error) ([]synced, error) {
	var runs []string
	for _, c := range connections {
		for _, stream := range c.backfilled {
			vars["connection"] = c.id
			if err := play(ctx, s.Site, vars, scenario.StartSyncOf(stream, mode)); err != nil {
				return nil, err
			}
			runs = append(runs, vars["run"])
		}
	}
	ctx, cancel := context.WithTimeout(ctx, backfillTime)
	defer cancel()
	var ended []synced
	for tick := time.NewTicker(100 * time.Millisecond); len(ended) < len(runs); {
		var one synced
		if err := get(ctx, s.Site, vars, "/api/integrations/sync/runs/"+runs[len(ended)], &one); err != nil {
			return nil, err
		}
		if one.Status == "failed" || one.Status == "cancelled" {
			return nil, fmt.Errorf("sync %s %s", runs[len(ended)], one.Status)
		}
		if one.Status == "succeeded" {
			progress("%s: %d records in %s.", one.Stream, one.Records, measure.Duration(one.FinishedAt.Sub(one.StartedAt)))
			ended = append(ended, one)
			continue
		}
		if err := look(); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil, fmt.Errorf("wait for the syncs: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return ended, nil
}

// spanOf is how many records syncs have read, and how long it was from the beginning of the first to the end of the last.
func spanOf(syncs []synced) (records int, took time.Duration) {
	from, to := syncs[0].StartedAt, syncs[0].FinishedAt
	for _, one := range syncs {
		records += one.Records
		if one.StartedAt.Before(from) {
			from = one.StartedAt
		}
		if one.FinishedAt.After(to) {
			to = one.FinishedAt
		}
	}
	return records, to.Sub(from)
}

func (b *bench) backfill(ctx context.Context, s *system.System, vars map[string]string, connections []connected) ([]figure, error) {
	data := filepath.Join(s.Dir, "data")
	before, err := measure.UsageOf(data)
	if err != nil {
		return nil, err
	}
	var app string
	var most int64
	syncs, err := syncAll(ctx, s, vars, connections, "backfill", func() error {
		m, err := b.memory(s)
		if err != nil {
			return err
		}
		if name, bytes := measure.Largest(m.Apps); bytes > most {
			app, most = name, bytes
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	after, err := measure.UsageOf(data)
	if err != nil {
		return nil, err
	}
	records, took := spanOf(syncs)
	orders := syncs[0].Records
	rate := float64(records) / took.Seconds()
	of := func(part string) string {
		return measure.Duration((after[part] - before[part]) * 1000 / time.Duration(records))
	}
	home, err := topology.Named(s.Topology)
	if err != nil {
		return nil, err
	}
	integrations, _ := home.Home(topology.Integrations) // a shipped topology has a home for each
	const least = 10_000
	return []figure{
		{
			"records", "backfill of a shop and four advertising platforms, monolith, unthrottled sandbox, records a second", "≥ 10,000", fmt.Sprintf("%.0f", rate),
			fmt.Sprintf("%d orders and %d campaigns and days of them in %s; 1,000 records took %s of a core in the app, %s in its sidecar, %s in the sandbox beside them",
				orders, records-orders, measure.Duration(took), of(integrations), of("sidecar of "+integrations), of("devstack")), rate < least,
		},
		{
			"records", "resident memory of the app meanwhile, at most", "≤ 200 MB", measure.Bytes(most),
			fmt.Sprintf("%s, asked for about ten times a second", app), most > backfillCap,
		},
	}, nil
}

// nothingNew syncs every stream once more, incrementally, and counts the calls to its vendor.
func nothingNew(ctx context.Context, s *system.System, vars map[string]string, connections []connected) (figure, error) {
	progress("Sync again, with nothing new.")
	most, of := 0, ""
	var each []string
	for _, c := range connections {
		path := s.Devstack + "/sandbox/vendors/" + c.vendor + "/" + vars["shop"] + "/requests"
		if c.vendor == "shopify" {
			path = s.Devstack + "/sandbox/shopify/" + vars["shop"] + "/requests"
		}
		all := 0
		for _, stream := range c.backfilled {
			if _, _, err := (scenario.Step{Method: http.MethodDelete, Path: path, Want: http.StatusNoContent}).Do(ctx, s.Site, vars); err != nil {
				return figure{}, err
			}
			if _, err := syncAll(ctx, s, vars, []connected{{c.vendor, c.id, []string{stream}}}, "incremental", func() error { return nil }); err != nil {
				return figure{}, err
			}
			var counted struct{ Total int }
			if err := get(ctx, s.Site, vars, path, &counted); err != nil {
				return figure{}, err
			}
			if all += counted.Total; counted.Total > most {
				most, of = counted.Total, stream+" of "+c.vendor
			}
		}
		each = append(each, fmt.Sprintf("%s %d", c.vendor, all))
	}
	const limit = 10
	return figure{
		"records", "calls to the vendor of an incremental sync with nothing new, at most", "≤ 10", strconv.Itoa(most),
		fmt.Sprintf("%s; of all streams of a connection: %s; figures of advertising are read again for the 28 days in which they change", of, strings.Join(each, ", ")), most > limit,
	}, nil
}

// pagesOf500 reads pages of orders and of performance by turns, from all over their time.
func pagesOf500(ctx context.Context, s *system.System, vars map[string]string) ([]figure, error) {
	began := time.Now().UTC().AddDate(0, 0, -360)
	n := 0
	read := func(kind string) measure.Operation {
		return func(ctx context.Context) error {
			n++
			from := began.Add(time.Duration(n*7919%8000) * time.Hour).Format(time.RFC3339)
			path := "/api/integrations/records/" + kind + "?limit=500&from=" + url.QueryEscape(from)
			_, body, err := scenario.Step{Method: http.MethodGet, Path: path, Want: http.StatusOK}.Do(ctx, s.Site, vars)
			if records := bytes.Count(body, []byte(`"connection_id":`)); err == nil && records != 500 { // to decode it would be measured, too
				err = fmt.Errorf("a page of %d %s", records, kind)
			}
			return err
		}
	}
	samples, err := measure.InTurn(ctx, 1, 20, readPages, read("orders"), read("performance"))
	if err != nil {
		return nil, fmt.Errorf("read pages of records: %w", err)
	}
	orders, performance := samples[0], samples[1]
	slower := max(orders.Median(), performance.Median())
	return []figure{atMost("records", "page of 500 of those records, of the slower kind", 10*time.Millisecond, slower,
		fmt.Sprintf("p50 of %d; orders %s, p99 %s; performance %s, p99 %s; monolith, from any time of the year",
			readPages, measure.Duration(orders.Median()), measure.Duration(orders.Percentile(99)), measure.Duration(performance.Median()), measure.Duration(performance.Percentile(99))))}, nil
}

// get reads JSON.
func get(ctx context.Context, site scenario.Site, vars map[string]string, path string, into any) error {
	_, body, err := scenario.Step{Method: http.MethodGet, Path: path, Want: http.StatusOK}.Do(ctx, site, vars)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
