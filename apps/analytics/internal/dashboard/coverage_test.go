package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/apps/analytics/analyticsapi"
	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/events"
)

// states is a dashboard's series on lines: key, orders, status.
func states(d *analyticsapi.Dashboard) []string {
	var lines []string
	for _, b := range d.Series {
		orders, _, _ := strings.Cut(brief(b.Figures), " ")
		lines = append(lines, b.Key+" "+orders+" "+string(b.Status))
	}
	return lines
}

func covers(d *analyticsapi.Dashboard) string {
	from, to := "null", "null"
	if d.Coverage.From != nil {
		from = d.Coverage.From.String()
	}
	if d.Coverage.To != nil {
		to = d.Coverage.To.String()
	}
	return from + " " + to
}

func check(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestASyncCoversUpToItsEnd(t *testing.T) {
	p, _ := single(t, order(1, "2024-03-01T10:00:00Z", "ann", 1000))
	p.clock.set("2024-03-04T12:00:20Z")
	p.changed(t, "2024-03-01", "2024-03-01")
	p.synced(t, "c", "2024-03-03T22:30:00Z")
	d := p.dashboard(t, "from=2024-02-29&to=2024-03-04")
	check(t, "synced yesterday", states(d),
		"2024-02-29 null missing", "2024-03-01 1 final", "2024-03-02 0 final", "2024-03-03 0 partial", "2024-03-04 null missing")
	if got := covers(d) + " " + warnings(d); got != "2024-03-01 2024-03-03 outside_coverage previous_outside_coverage" {
		t.Error(got)
	}

	p.synced(t, "c", "2024-03-04T12:00:00Z")
	d = p.dashboard(t, "from=2024-03-03&to=2024-03-04")
	check(t, "synced today", states(d), "2024-03-03 0 final", "2024-03-04 0 partial")
	if got := covers(d) + " " + warnings(d); got != "2024-03-01 2024-03-04 " {
		t.Error(got)
	}

	later := finished(t, "c", "2024-03-04T13:00:00Z")
	p.clock.set("2024-03-04T12:30:00Z") // a clock behind that of integrations
	if err := p.CloseSync(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if d = p.dashboard(t, ""); !d.AsOf.Equal(later.Data.FinishedAt) {
		t.Errorf("as of %v", d.AsOf)
	}
	p.synced(t, "c", "2024-03-01T00:00:00Z") // told late
	if again := p.dashboard(t, ""); covers(again) != covers(d) || !again.AsOf.Equal(*d.AsOf) {
		t.Errorf("an old sync makes it %s as of %v", covers(again), again.AsOf)
	}
}

func TestAShopWithoutOrders(t *testing.T) {
	p, s := single(t)
	p.clock.set("2024-03-04T12:00:20Z")
	p.synced(t, "c", "2024-03-04T12:00:00Z")
	for _, query := range []string{"from=2024-03-02&to=2024-03-04", "from=2024-03-02&to=2024-03-04&tz=America/Los_Angeles"} {
		d := p.dashboard(t, query)
		check(t, query, states(d), "2024-03-02 0 final", "2024-03-03 0 final", "2024-03-04 0 partial")
		if got := brief(d.Totals.Figures) + " " + covers(d) + " " + warnings(d); got != "0 0 null null null 2024-03-04 " {
			t.Error(got)
		}
	}
	// The zeros of the days since the first sync stay what they are with the first order.
	p.clock.set("2024-03-06T12:00:20Z")
	s.add(organization, order(1, "2024-03-06T10:00:00Z", "ann", 1000))
	p.changed(t, "2024-03-06", "2024-03-06")
	p.synced(t, "c", "2024-03-06T12:00:00Z")
	check(t, "later", states(p.dashboard(t, "from=2024-03-03&to=2024-03-06")),
		"2024-03-03 null missing", "2024-03-04 0 final", "2024-03-05 0 final", "2024-03-06 1 partial")
}

// TestASyncThatEndsBeforeItsChangesAreIn has the end of a sync come first, as events have no order.
func TestASyncThatEndsBeforeItsChangesAreIn(t *testing.T) {
	p, s := single(t,
		order(1, "2024-03-01T10:00:00Z", "ann", 1000), order(2, "2024-03-03T10:00:00Z", "bob", 1000), order(3, "2024-03-05T10:00:00Z", "eve", 1000))
	p.clock.set("2024-03-10T12:00:20Z")
	// Two of the three changes of the first sync are in, and the days between them look empty, but not for good.
	p.changed(t, "2024-03-01", "2024-03-01")
	p.changed(t, "2024-03-05", "2024-03-05")
	check(t, "during the sync", states(p.dashboard(t, "from=2024-03-01&to=2024-03-06")),
		"2024-03-01 1 restating", "2024-03-02 0 restating", "2024-03-03 0 restating", "2024-03-04 0 restating", "2024-03-05 1 restating", "2024-03-06 null missing")
	p.synced(t, "c", "2024-03-05T12:00:00Z")
	check(t, "after its end", states(p.dashboard(t, "from=2024-03-01&to=2024-03-06")),
		"2024-03-01 1 final", "2024-03-02 0 final", "2024-03-03 1 final", "2024-03-04 0 final", "2024-03-05 1 partial", "2024-03-06 null missing")

	// The next one brings an order of each day since, and says so after it has said that it is over.
	s.add(organization, order(4, "2024-03-05T13:00:00Z", "ann", 1000), order(5, "2024-03-08T10:00:00Z", "ann", 1000))
	p.synced(t, "c", "2024-03-09T12:00:00Z")
	check(t, "after the next", states(p.dashboard(t, "from=2024-03-05&to=2024-03-09")),
		"2024-03-05 2 final", "2024-03-06 0 final", "2024-03-07 0 final", "2024-03-08 1 final", "2024-03-09 0 partial")
	if last := s.reads[len(s.reads)-1]; last != "2024-03-05..2024-03-10" {
		t.Errorf("read %s for it", last)
	}

	// Another connection, and a backfill, may bring orders of any day.
	s.add(organization, order(6, "2023-12-24T10:00:00Z", "kim", 1000))
	p.synced(t, "c2", "2024-03-09T13:00:00Z")
	if d := p.dashboard(t, "from=2023-12-24&to=2023-12-24"); states(d)[0] != "2023-12-24 1 final" {
		t.Errorf("after another connection's first sync: %v", states(d))
	}
	s.add(organization, order(7, "2023-11-24T10:00:00Z", "kim", 1000))
	again := finished(t, "c", "2024-03-09T14:00:00Z")
	again.Data.Mode = "backfill"
	if err := p.CloseSync(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if d := p.dashboard(t, "from=2023-11-24&to=2023-11-24"); states(d)[0] != "2023-11-24 1 final" {
		t.Errorf("after a backfill: %v", states(d))
	}
}

func TestASourceThatCannotBeReadCoversNothing(t *testing.T) {
	p, s := single(t)
	s.breaks = func() error { return fmt.Errorf("integrations is away") }
	if err := p.CloseSync(t.Context(), finished(t, "c", "2024-03-04T12:00:00Z")); err == nil || events.IsPoison(err) {
		t.Errorf("got %v", err)
	}
	if d := p.dashboard(t, ""); covers(d) != "null null" || d.AsOf != nil {
		t.Errorf("covers %s", covers(d))
	}
}

func TestEndsOfSyncsThatCoverNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		edit   func(*events.Event[integrationsapi.SyncFinished])
		poison bool
	}{
		{"failed", func(e *events.Event[integrationsapi.SyncFinished]) { e.Data.Status = "failed" }, false},
		{"cancelled", func(e *events.Event[integrationsapi.SyncFinished]) { e.Data.Status = "cancelled" }, false},
		{"of other records", func(e *events.Event[integrationsapi.SyncFinished]) { e.Data.Stream = "customers" }, false},
		{"of no organization", func(e *events.Event[integrationsapi.SyncFinished]) { e.Organization = "" }, true},
		{"of no connection", func(e *events.Event[integrationsapi.SyncFinished]) { e.Data.ConnectionID = "" }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, s := single(t)
			event := finished(t, "c", "2024-03-04T12:00:00Z")
			c.edit(&event)
			if err := p.CloseSync(t.Context(), event); events.IsPoison(err) != c.poison || (err != nil) != c.poison {
				t.Errorf("got %v", err)
			}
			if d := p.dashboard(t, ""); covers(d) != "null null" || len(s.reads) > 0 {
				t.Errorf("covers %s, read %v", covers(d), s.reads)
			}
		})
	}
}
