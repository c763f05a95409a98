package sync_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/pkg/runs"
)

// process is a process that executes syncs: there may be several on one store.
type process struct {
	*sync.Service
	runner *runs.Runner
}

func (f *fixture) process() process {
	f.restart()
	return process{f.Service, f.runner}
}

// driven is a sync that goes on at a time, in a process.
type driven struct {
	run  runs.Run
	in   process
	next time.Time
	// waits tells that any process may go on with it.
	waits bool
}

// race drives syncs in several processes, each slice at its time, until the first one ends; others of its streams begin again. It is a
// simulation: what a process does between two waits takes little time.
func (f *fixture) race(processes []process, inputs []sync.Input) {
	f.t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	start := func(i int) *driven {
		in := processes[i%len(processes)]
		run, err := in.Start(f.t.Context(), org, inputs[i])
		if err != nil {
			f.t.Fatal(err)
		}
		return &driven{run: run, in: in, next: f.clock.now()}
	}
	var all []*driven
	for i := range inputs {
		all = append(all, start(i))
	}
	for range 20_000 {
		now := 0
		for i, d := range all {
			if d.next.Before(all[now].next) {
				now = i
			}
		}
		d := all[now]
		if wait := d.next.Sub(f.clock.now()); wait > 0 {
			f.clock.pass(wait)
		}
		if d.waits {
			d.in = processes[r.IntN(len(processes))]
		}
		outcome, err := d.in.runner.Drive(f.t.Context(), f.executor.last[d.run.ID])
		if err != nil {
			f.t.Fatal(err)
		}
		d.next, d.waits = f.clock.now().Add(outcome.Wait), outcome.Wait > 0
		if !outcome.Done {
			continue
		}
		if run, err := f.Get(f.t.Context(), org, d.run.ID); err != nil || run.Status != runs.Succeeded {
			f.t.Fatalf("%s: %+v, %v", run.Status, run.Error, err)
		}
		if now == 0 {
			return
		}
		all[now] = start(now)
	}
	f.t.Fatal("it does not end")
}

// throttled are the requests that the vendor has had and refused.
func (f *fixture) throttled() (total, refused int) {
	f.t.Helper()
	var counts struct {
		Total     int `json:"total"`
		Throttled int `json:"throttled"`
	}
	f.adminInto("GET requests", &counts)
	return counts.Total, counts.Throttled
}

func TestProcessesUseUpABudgetAndNoMore(t *testing.T) {
	f := open(t, 3000)
	processes := []process{f.process(), f.process()}
	in := func(stream string) sync.Input {
		return sync.Input{ConnectionID: f.connection, Stream: stream, Mode: sync.Backfill}
	}
	const most, rate = 200, 40
	f.admin("PUT limits", `{"maximum_available":200,"restore_rate":40}`)
	began := f.clock.now()
	f.race(processes, []sync.Input{in("orders"), in("customers"), in("products")})
	took := f.clock.now().Sub(began).Seconds()
	total, refused := f.throttled()
	used := f.wire.points / (most + rate*took)
	t.Logf("%.0f points in %.0f s: %.1f %% of what there was; %d of %d requests refused", f.wire.points, took, 100*used, refused, total)
	if used < 0.9 {
		t.Errorf("%.1f %% of the budget was used", 100*used)
	}
	if refused*100 > total {
		t.Errorf("%d of %d requests were refused", refused, total)
	}
	f.check()
}

func TestWhatAPersonAskedForComesFirst(t *testing.T) {
	took := map[bool]float64{}
	for _, scheduled := range []bool{false, true} {
		f := open(t, 1000)
		processes := []process{f.process(), f.process()}
		f.admin("PUT limits", `{"maximum_available":200,"restore_rate":40}`)
		began := f.clock.now()
		f.race(processes, []sync.Input{
			{ConnectionID: f.connection, Stream: "orders", Mode: sync.Backfill},
			{ConnectionID: f.connection, Stream: "customers", Mode: sync.Backfill, Scheduled: scheduled},
			{ConnectionID: f.connection, Stream: "products", Mode: sync.Backfill, Scheduled: scheduled},
		})
		took[scheduled] = f.clock.now().Sub(began).Seconds()
		f.check()
	}
	t.Logf("beside syncs that were asked for too: %.0f s, beside scheduled ones %.0f s", took[false], took[true])
	if took[true] > 0.7*took[false] {
		t.Errorf("%.0f s beside scheduled syncs, %.0f s beside others", took[true], took[false])
	}
}
