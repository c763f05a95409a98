package sync_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
)

func TestABackfillBringsEveryOrderOnce(t *testing.T) {
	f := open(t, 450) // more pages than a step reads
	counts := f.sync(sync.Backfill)
	if want := (sync.Counts{Records: 450, Changed: 450, Pages: 18}); counts != want {
		t.Errorf("%+v, want %+v", counts, want)
	}
	f.check()
	c, err := f.connections.Get(t.Context(), org, f.connection)
	if state := c.Streams["orders"]; err != nil || state.SyncedAt.IsZero() || state.RunID == "" || state.Watermark.Time != time.Date(2024, 1, 1+449/20, 12, 0, 0, 0, time.UTC) {
		t.Errorf("freshness %+v, %v", state, err)
	}
	if again := f.sync(sync.Backfill); again.Changed != 0 || again.Records != 450 {
		t.Errorf("the same again: %+v", again)
	}
	f.check()
}

func TestProgressHasARateAndAnEstimateWhereTheVendorTellsHowMuchThereIs(t *testing.T) {
	for _, c := range []struct {
		stream string
		counts bool
	}{{"orders", true}, {"customers", false}} { // the vendor tells how many orders there are
		f := open(t, 1000)
		f.admin("PUT limits", `{"maximum_available":60,"restore_rate":10}`)
		run := f.startOf(c.stream, sync.Backfill)
		if v := f.view(run.ID); v.Rate != nil || v.Expected != nil || v.Estimate != nil {
			t.Errorf("%s, before it began: %+v", c.stream, v)
		}
		run = f.drive(run.ID, 1)
		v := f.view(run.ID)
		if v.Rate == nil || *v.Rate <= 0 || v.Records == 0 || v.Status.Final() {
			t.Fatalf("%s, under way: %+v", c.stream, v)
		}
		switch {
		case !c.counts && (v.Expected != nil || v.Estimate != nil):
			t.Errorf("%s: an estimate of which the vendor tells nothing: %+v", c.stream, v)
		case c.counts && (v.Expected == nil || *v.Expected != 1000 || v.Estimate == nil):
			t.Errorf("%s: %+v", c.stream, v)
		case c.counts:
			if want := float64(1000-v.Records) / *v.Rate; math.Abs(*v.Estimate-want) > 0.001 {
				t.Errorf("%d of 1000 at %f a second: %f seconds left, want %f", v.Records, *v.Rate, *v.Estimate, want)
			}
		}
		f.drive(run.ID, 300)
		if v := f.view(run.ID); v.Status != runs.Succeeded || v.Estimate != nil || v.Rate == nil ||
			math.Abs(*v.Rate-float64(v.Records)/v.FinishedAt.Sub(v.StartedAt.Time).Seconds()) > 0.001 {
			t.Errorf("%s, in the end: %+v", c.stream, v)
		}
	}
}

func TestSyncsOfOneConnectionAreListed(t *testing.T) {
	f := open(t, 3)
	other := f.connect(org, "other", "shpat_0123456789")
	want := f.start(sync.Backfill)
	if _, err := f.Start(t.Context(), org, sync.Input{ConnectionID: other, Stream: "orders", Mode: sync.Backfill}); err != nil {
		t.Fatal(err)
	}
	page, err := f.runner.List(t.Context(), org, sync.Kind, f.connection, 10, "")
	if err != nil || len(page.Runs) != 1 || page.Runs[0].ID != want.ID {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestWhatASyncTells(t *testing.T) {
	f := open(t, 30)
	f.sync(sync.Backfill)
	changed := told(f, integrationsapi.TopicRecordsChanged)
	for id, order := range f.want {
		placed, err := time.Parse(time.RFC3339, strings.Fields(order)[1])
		if err != nil {
			t.Fatal(err)
		}
		held := false
		for _, r := range changed {
			held = held || r.ConnectionID == f.connection && !placed.Before(r.From) && placed.Before(r.To)
		}
		if !held {
			t.Errorf("no event holds order %s", id)
		}
	}
	f.sync(sync.Incremental)
	if again := told(f, integrationsapi.TopicRecordsChanged); len(again) != 0 {
		t.Errorf("events of nothing new: %v", again)
	}

	run := f.start(sync.Backfill)
	f.drive(run.ID, 50)
	ended := told(f, integrationsapi.TopicSyncFinished)
	if len(ended) != 1 || ended[0].RunID != run.ID || ended[0].Status != "succeeded" || ended[0].Records != 30 || ended[0].Mode != "backfill" {
		t.Errorf("end of the sync: %+v", ended)
	}
	run = f.start(sync.Backfill)
	if _, err := f.Cancel(t.Context(), org, run.ID); err != nil {
		t.Fatal(err)
	}
	if ended := told(f, integrationsapi.TopicSyncFinished); len(ended) != 1 || ended[0].RunID != run.ID || ended[0].Status != "cancelled" {
		t.Errorf("end of the cancelled sync: %+v", ended)
	}
}

func TestFaultsOfTheVendorLoseAndRepeatNothing(t *testing.T) {
	for _, c := range []struct{ name, faults string }{
		{"throttled", `{"kind":"throttle","times":5,"after_requests":1}`},
		{"throttled at first", `{"kind":"throttle","times":3}`},
		{"broken", `{"kind":"error500","times":3,"after_requests":2}`},
		{"bad gateway", `{"kind":"error500","times":3,"after_requests":2,"status":502}`},
		{"too many requests", `{"kind":"error500","times":3,"after_requests":2,"status":429}`},
		{"a page in HTML", `{"kind":"html","times":3,"after_requests":1}`},
		{"cut short", `{"kind":"truncated","times":3,"after_requests":1}`},
		{"no answer in time", `{"kind":"timeout","times":2,"after_requests":3,"delay_ms":600}`},
		{"connections dropped", `{"kind":"drop_connection","times":3,"after_requests":1}`},
		{"slow", `{"kind":"slow","times":3,"delay_ms":20}`},
		{"pages that repeat", `{"kind":"duplicate_page","times":4}`},
		{"pages in disorder", `{"kind":"reorder_pages","times":-1}`},
		{"disorder and trouble", `{"kind":"reorder_pages","times":-1};{"kind":"duplicate_page","times":-1};{"kind":"error500","times":1,"after_requests":1};{"kind":"throttle","times":1,"after_requests":3};{"kind":"truncated","times":1,"after_requests":4}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open(t, 113)
			for fault := range strings.SplitSeq(c.faults, ";") {
				f.admin("POST faults", fault)
			}
			if counts := f.sync(sync.Backfill); counts.Changed != 113 {
				t.Errorf("%+v, want 113 changed", counts)
			}
			f.check()
		})
	}
}

func TestABudgetIsObeyedRatherThanTried(t *testing.T) {
	f := open(t, 113)
	f.admin("PUT limits", `{"maximum_available":100,"restore_rate":10}`)
	began := f.clock.now()
	f.sync(sync.Backfill)
	f.check()
	// Five pages for which 52 points are asked, of which 100 are there at first and 10 more come each second.
	if took := f.clock.now().Sub(began); took > 25*time.Second {
		t.Errorf("took %s", took)
	}
	if n := f.wire.requests() - 1; n != 5 {
		t.Errorf("%d requests for 5 pages: some were refused", n)
	}
}

func TestAVendorThatAsksToWaitIsLeftAlone(t *testing.T) {
	for _, refused := range []int{1, 2} { // once behind a page that was kept, then before any
		f := open(t, 113)
		f.admin("PUT limits", `{"maximum_available":1000,"restore_rate":10}`)
		f.admin("POST faults", fmt.Sprintf(`{"kind":"throttle","times":%d,"after_requests":2}`, refused))
		began := f.clock.now()
		f.sync(sync.Backfill)
		// A refusal says that nothing is left of the 52 points that the next page needs.
		if took := f.clock.now().Sub(began); took < time.Duration(refused)*5200*time.Millisecond {
			t.Errorf("refused %d times, it took %s", refused, took)
		}
		if n := f.wire.requests() - 1; n != 5+refused {
			t.Errorf("refused %d times, %d requests for 5 pages", refused, n)
		}
		f.check()
	}
}

func TestAPageThatTheBudgetNeverPaysIsAskedForInParts(t *testing.T) {
	f := open(t, 60)
	f.admin("PUT limits", `{"maximum_available":30,"restore_rate":10}`)
	if counts := f.sync(sync.Backfill); counts.Records != 60 {
		t.Errorf("%+v", counts)
	}
	f.check()
}

func TestOrdersThatComeAndChangeWhilePagesAreRead(t *testing.T) {
	for n := 1; n <= 5; n++ {
		t.Run(fmt.Sprintf("before request %d", n), func(t *testing.T) {
			f := open(t, 113)
			f.wire.onRequest(n, func() {
				f.place(90001, 4200)                                                 // new
				f.expect(1000, "1", time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC), 7) // changed: in a page that may have been read
				f.admin("POST orders", `{"orders":[{"id":1000,"total":"0.07"}]}`)
			})
			f.sync(sync.Backfill)
			f.sync(sync.Incremental)
			f.check()
		})
	}
}

func TestAnIncrementalSyncReadsOnlyWhatChanged(t *testing.T) {
	f := open(t, 113)
	f.sync(sync.Backfill)
	before := f.wire.requests()
	if counts := f.sync(sync.Incremental); counts.Changed != 0 || counts.Pages != 1 || f.wire.requests()-before != 1 {
		t.Errorf("nothing new: %+v in %d requests", counts, f.wire.requests()-before)
	}
	f.clock.pass(time.Hour)
	f.place(90001, 4200)
	f.place(1000, 1)
	if counts := f.sync(sync.Incremental); counts.Changed != 2 || counts.Pages != 1 {
		t.Errorf("two changes: %+v", counts)
	}
	f.check()
}

func TestAProcessKilledAnywhereLosesAndRepeatsNothing(t *testing.T) {
	for n := 1; n <= 6; n++ {
		t.Run(fmt.Sprintf("before request %d", n), func(t *testing.T) {
			f := open(t, 113)
			run := f.start(sync.Backfill)
			// The step is cut off at a request, with pages before it kept, and nothing of it is recorded.
			ctx, kill := context.WithCancel(t.Context())
			f.wire.onRequest(n, kill)
			run.Status = runs.Running
			if _, err := f.RunKind().Step(ctx, run); n <= 5 && err == nil {
				t.Fatal("the step went on")
			}
			f.restart()
			if run = f.drive(run.ID, 50); run.Status != runs.Succeeded {
				t.Fatalf("%s: %+v", run.Status, run.Error)
			}
			f.check()
		})
	}
	t.Run("after every step", func(t *testing.T) {
		f := open(t, 113)
		f.admin("PUT limits", `{"maximum_available":60,"restore_rate":20}`) // one page a step
		run := f.start(sync.Backfill)
		for {
			if _, err := f.RunKind().Step(t.Context(), run); err != nil && problem.Code(err) != connector.CodeThrottled {
				t.Fatal(err)
			}
			f.clock.pass(time.Minute) // beyond the lease
			f.restart()
			if run = f.drive(run.ID, 1); run.Status.Final() {
				break
			}
		}
		if run.Status != runs.Succeeded {
			t.Fatalf("%s: %+v", run.Status, run.Error)
		}
		f.check()
		if ended := told(f, integrationsapi.TopicSyncFinished); len(ended) != 1 {
			t.Errorf("told of its end %d times", len(ended))
		}
	})
}

func TestRefusedCredentialsEndTheSyncAndWaitForAPerson(t *testing.T) {
	f := open(t, 113)
	f.admin("POST faults", `{"kind":"expired_token","times":1,"after_requests":2}`)
	run := f.drive(f.start(sync.Backfill).ID, 50)
	if run.Status != runs.Failed || run.Error == nil || run.Error.Code != "credentials_refused" {
		t.Fatalf("%s: %+v", run.Status, run.Error)
	}
	if ended := told(f, integrationsapi.TopicSyncFinished); len(ended) != 1 || ended[0].Status != "failed" || ended[0].Code != "credentials_refused" {
		t.Errorf("end of the sync: %+v", ended)
	}
	c, err := f.connections.Get(t.Context(), org, f.connection)
	if err != nil || c.Status != connection.NeedsAttention || c.Problem.Code != "credentials_refused" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := f.Start(t.Context(), org, sync.Input{ConnectionID: f.connection, Stream: "orders", Mode: sync.Backfill}); problem.Code(err) != connection.CodeNeedsAttention {
		t.Errorf("started all the same: %v", err)
	}
	if again := f.connect(org, shop, "shpat_another"); again != f.connection {
		t.Fatalf("connection %s, want %s", again, f.connection)
	}
	// What was read before the refusal counts: an incremental sync goes on from there.
	if counts := f.sync(sync.Incremental); counts.Pages > 4 {
		t.Errorf("%+v: it began from the beginning", counts)
	}
	f.check()
}

func TestAVendorThatIsDownForLongFailsTheSync(t *testing.T) {
	f := open(t, 10)
	f.admin("POST faults", `{"kind":"error500","times":-1}`)
	run := f.drive(f.start(sync.Backfill).ID, 100)
	if run.Status != runs.Failed || run.Error == nil || run.Error.Code != "vendor_unavailable" {
		t.Errorf("%s: %+v", run.Status, run.Error)
	}
	f.admin("DELETE faults", "")
	f.sync(sync.Backfill)
	f.check()
}

func TestAConnectionIsSyncedOnceAtATime(t *testing.T) {
	f := open(t, 30)
	in := sync.Input{ConnectionID: f.connection, Stream: "orders", Mode: sync.Backfill}
	var wait stdsync.WaitGroup
	var mu stdsync.Mutex
	var started []string
	for range 8 {
		wait.Go(func() {
			run, err := f.Start(t.Context(), org, in)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				started = append(started, run.ID)
			} else if problem.Code(err) != sync.CodeRunning {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if len(started) != 1 {
		t.Fatalf("started %v, want one", started)
	}
	_, err := f.Start(t.Context(), org, in)
	if p := problem.From(err); p.Status != 409 || p.Code != sync.CodeRunning || p.GetHeaders().Get("Location") != "/api/integrations/sync/runs/"+started[0] {
		t.Errorf("the second: %v, Location %q", err, p.GetHeaders().Get("Location"))
	}
	f.drive(started[0], 50)
	if next := f.start(sync.Incremental); next.ID == started[0] {
		t.Error("a new sync is the old one")
	}
}

func TestASyncWhoseStarterWasKilledIsStartedByTheNext(t *testing.T) {
	f := open(t, 30)
	// The run record cannot be written, as when the process is killed after its claim.
	ctx, kill := context.WithCancel(t.Context())
	f.NewID = func() string { kill(); return "run-1" }
	_, err := f.Start(ctx, org, sync.Input{ConnectionID: f.connection, Stream: "orders", Mode: sync.Backfill})
	if err == nil {
		t.Fatal("the start went through")
	}
	f.restart()
	run := f.start(sync.Incremental)
	f.drive(run.ID, 50)
	f.check()
}

func TestACancelledSyncStopsAndAnotherGoesOn(t *testing.T) {
	f := open(t, 113)
	f.admin("PUT limits", `{"maximum_available":60,"restore_rate":10}`)
	run := f.drive(f.start(sync.Backfill).ID, 2)
	if run.Status.Final() {
		t.Fatalf("%s after two slices", run.Status)
	}
	cancelled, err := f.Cancel(t.Context(), org, run.ID)
	if err != nil || cancelled.Status != runs.Cancelled {
		t.Fatalf("%+v, %v", cancelled, err)
	}
	if _, err := f.Cancel(t.Context(), org, run.ID); problem.Code(err) != sync.CodeFinished {
		t.Errorf("cancelled twice: %v", err)
	}
	before := f.wire.requests()
	f.drive(run.ID, 5)
	if f.wire.requests() != before {
		t.Error("a cancelled sync went on")
	}
	if counts := f.sync(sync.Incremental); counts.Records >= 113 {
		t.Errorf("%+v: it began from the beginning", counts)
	}
	f.check()
}

func TestAPausedConnectionIsLeftAlone(t *testing.T) {
	f := open(t, 113)
	f.admin("PUT limits", `{"maximum_available":60,"restore_rate":10}`)
	run := f.drive(f.start(sync.Backfill).ID, 2)
	pause := func(do func(ctx context.Context, organization, id string) (connection.Connection, error)) connection.Connection {
		t.Helper()
		c, err := do(t.Context(), org, f.connection)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := pause(f.Pause)
	f.clock.pass(time.Minute)
	if again := pause(f.Pause); first.PausedAt == nil || !again.PausedAt.Equal(first.PausedAt.Time) {
		t.Errorf("paused at %v, and once more at %v", first.PausedAt, again.PausedAt)
	}

	before := f.wire.requests()
	f.clock.pass(2 * sync.Every)
	if err := f.Job().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if run = f.drive(run.ID, 5); run.Status.Final() || f.wire.requests() != before {
		t.Errorf("%s after %d requests during the pause", run.Status, f.wire.requests()-before)
	}
	if all, err := f.runner.List(t.Context(), org, sync.Kind, "", 10, ""); err != nil || len(all.Runs) != 1 {
		t.Errorf("the schedule started %+v, %v", all.Runs, err)
	}
	if _, err := f.Start(t.Context(), org, sync.Input{ConnectionID: f.connection, Stream: "customers", Mode: sync.Backfill}); problem.Code(err) != connection.CodePaused {
		t.Errorf("started by hand: %v", err)
	}

	if c := pause(f.Resume); c.PausedAt != nil {
		t.Errorf("resumed, it is paused since %s", c.PausedAt)
	}
	if err := f.Job().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, err := f.runner.List(t.Context(), org, sync.Kind, "", 10, ""); err != nil || len(all.Runs) != len(streams) {
		t.Errorf("after it was resumed the schedule has started %+v, %v", all.Runs, err)
	}
	if run = f.drive(run.ID, 50); run.Status != runs.Succeeded {
		t.Errorf("%s: %+v", run.Status, run.Error)
	}
	f.check()
	if _, err := f.Pause(t.Context(), "o2", f.connection); problem.Code(err) != problem.CodeNotFound {
		t.Errorf("another organization's: %v", err)
	}
	if err := f.connections.Disconnect(t.Context(), org, "shopify", f.connection); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Pause(t.Context(), org, f.connection); problem.Code(err) != connection.CodeDisconnected {
		t.Errorf("a disconnected one: %v", err)
	}
}

func TestADisconnectEndsTheSync(t *testing.T) {
	f := open(t, 113)
	f.admin("PUT limits", `{"maximum_available":60,"restore_rate":10}`)
	run := f.drive(f.start(sync.Backfill).ID, 2)
	if err := f.connections.Disconnect(t.Context(), org, "shopify", f.connection); err != nil {
		t.Fatal(err)
	}
	if run = f.drive(run.ID, 50); run.Status != runs.Failed || run.Error.Code != connection.CodeDisconnected {
		t.Errorf("%s: %+v", run.Status, run.Error)
	}
	if _, err := f.Start(t.Context(), org, sync.Input{ConnectionID: f.connection, Stream: "orders", Mode: sync.Backfill}); problem.Code(err) != connection.CodeDisconnected {
		t.Errorf("started all the same: %v", err)
	}
}

func TestTheScheduleStartsWhatIsDueAndNotRunning(t *testing.T) {
	f := open(t, 10)
	idle := f.connect("o2", "other", "shpat_0123456789")
	busy := f.start(sync.Backfill)
	f.clock.pass(2 * sync.Every)
	if err := f.Job().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	mine, err := f.runner.List(t.Context(), org, sync.Kind, "", 10, "")
	if err != nil || len(mine.Runs) != len(streams) || mine.Runs[len(streams)-1].ID != busy.ID {
		t.Errorf("syncs of the connection whose orders were being synced: %+v, %v", mine.Runs, err)
	}
	others, err := f.runner.List(t.Context(), "o2", sync.Kind, "", 10, "")
	if err != nil {
		t.Fatal(err)
	}
	started := map[sync.Input]bool{}
	for _, run := range others.Runs {
		var in sync.Input
		if err := run.Into(&in, nil); err != nil {
			t.Fatal(err)
		}
		started[in] = true
	}
	for _, stream := range streams {
		if in := (sync.Input{ConnectionID: idle, Stream: stream, Mode: sync.Incremental, Scheduled: true, By: connection.Actor{Subject: "group:integrations"}}); !started[in] || len(started) != len(streams) {
			t.Errorf("syncs of the idle connection: %v, want %v among them", started, in)
		}
	}
}

func TestAnotherOrganizationsSyncIsNotThere(t *testing.T) {
	f := open(t, 10)
	run := f.start(sync.Backfill)
	in := sync.Input{ConnectionID: f.connection, Stream: "orders", Mode: sync.Backfill}
	_, startErr := f.Start(t.Context(), "o2", in)
	_, getErr := f.Get(t.Context(), "o2", run.ID)
	_, cancelErr := f.Cancel(t.Context(), "o2", run.ID)
	for name, err := range map[string]error{"start": startErr, "get": getErr, "cancel": cancelErr} {
		if problem.Code(err) != problem.CodeNotFound {
			t.Errorf("%s: %v, want not_found", name, err)
		}
	}
	in.Stream = "campaigns"
	if _, err := f.Start(t.Context(), org, in); problem.Code(err) != problem.CodeValidation {
		t.Errorf("an unknown stream: %v", err)
	}
}

func TestAStopIsNoFaultOfTheVendor(t *testing.T) {
	f := open(t, 30)
	run := f.start(sync.Backfill)
	ctx, stop := context.WithCancel(t.Context())
	f.wire.onRequest(1, stop)
	_, err := f.RunKind().Step(ctx, run)
	var e *connector.Error
	if err == nil || errors.As(err, &e) {
		t.Errorf("%v, want an error that is not the vendor's", err)
	}
}

func TestAFullStoreLosesNothing(t *testing.T) {
	f := open(t, 450)
	run := f.start(sync.Backfill)
	info, err := os.Stat(f.path)
	if err != nil {
		t.Fatal(err)
	}
	f.store(info.Size() + 100<<10)
	f.restart()
	if _, err := f.RunKind().Step(t.Context(), run); !errors.Is(err, store.ErrFull) {
		t.Fatalf("%v, want %v", err, store.ErrFull)
	}
	f.store(0)
	f.restart()
	if run = f.drive(run.ID, 50); run.Status != runs.Succeeded {
		t.Fatalf("%s: %+v", run.Status, run.Error)
	}
	f.check()
}

func TestAChangeThatBecomesVisibleLateIsRead(t *testing.T) {
	f := open(t, 30)
	f.clock.pass(time.Hour)
	f.place(90001, 100) // moves the watermark to now
	f.sync(sync.Backfill)
	placed := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.admin("POST orders", fmt.Sprintf(`{"orders":[{"id":90002,"customer_id":7,"created_at":%q,"updated_at":%q,"total":"5.00"}]}`,
		placed.Format(time.RFC3339), f.clock.now().Add(-5*time.Minute).Format(time.RFC3339)))
	f.expect(90002, "7", placed, 500)
	f.sync(sync.Incremental)
	f.check()
}

func TestAChangeInTheFutureHidesNoneBefore(t *testing.T) {
	f := open(t, 30)
	placed := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.admin("POST orders", fmt.Sprintf(`{"orders":[{"id":90001,"customer_id":7,"created_at":%q,"updated_at":%q,"total":"5.00"}]}`,
		placed.Format(time.RFC3339), f.clock.now().AddDate(0, 1, 0).Format(time.RFC3339)))
	f.expect(90001, "7", placed, 500)
	f.sync(sync.Backfill)
	f.place(90002, 100)
	f.sync(sync.Incremental)
	f.check()
}
