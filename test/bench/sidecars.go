package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/measure"
	"github.com/tandemhq/tandem/test/scenario"
	"github.com/tandemhq/tandem/test/system"
)

const (
	// portOffset keeps the bench's ports apart from those of tests and of a run by hand.
	portOffset = 1000
	orders     = 6919 // of the CDNOW data
	clients    = 16
	askAgain   = 25 * time.Millisecond
	syncTime   = 2 * time.Minute
	memoryCap  = 80_000_000 // bytes
)

// apiToken opens the sidecars' APIs, for the calls that are measured from outside.
var apiToken = rand.Text()

// onSidecars measures what needs a real run: a monolith first, then microservices on its data.
func onSidecars(ctx context.Context, o options) (figures []figure, err error) {
	file, err := scenario.FindOrders()
	if err != nil {
		return nil, err
	}
	if file == "" {
		return nil, errors.New("the CDNOW orders are not beside the repository; SANDBOX_ORDERS names their file")
	}
	dir, err := os.MkdirTemp("", "tandem-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Without symbolic links, as the names of processes have it.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	b := &bench{options: o, vars: map[string]string{}, run: system.Options{
		Dir: dir, PortOffset: portOffset, OrdersFile: file, Environ: []string{"DAPR_API_TOKEN=" + apiToken},
	}}
	monolith := o.wants("direct") || o.wants("sync") || o.wants("records") || o.wants("throttled") || o.wants("webhooks") || o.wants("dashboard") || o.wants("start")
	if monolith {
		more, err := b.within(ctx, topology.Monolith, 6*time.Second, b.onMonolith)
		if err != nil {
			return nil, err
		}
		figures = append(figures, more...)
	}
	if o.wants("call") || o.wants("dashboard") || o.wants("auth") || o.wants("start") {
		more, err := b.within(ctx, topology.Microservices, 20*time.Second, b.onMicroservices)
		if err != nil {
			return nil, err
		}
		figures = append(figures, more...)
	}
	return figures, nil
}

// bench is a series of runs on one folder of data.
type bench struct {
	options
	run  system.Options
	vars map[string]string // of the organization that the dashboard is asked for
}

// within measures how long a topology takes to start, and what measures asks of it.
func (b *bench) within(ctx context.Context, name string, limit time.Duration, measures func(context.Context, *system.System) ([]figure, error)) (figures []figure, err error) {
	starts := 1
	if b.wants("start") {
		starts = b.starts
	}
	var took measure.Samples
	var s *system.System
	for n := range starts {
		progress("Start %s, %d of %d.", name, n+1, starts)
		run := b.run
		run.Topology = name
		if s, err = system.Run(ctx, run); err != nil {
			return nil, err
		}
		took = append(took, s.Took)
		if n < starts-1 {
			if err := s.End(); err != nil {
				return nil, err
			}
		}
	}
	defer func() { err = errors.Join(err, s.End()) }()
	ready, err := b.memory(s)
	if err != nil {
		return nil, err
	}
	if figures, err = measures(ctx, s); err != nil {
		return nil, err
	}
	if !b.wants("start") {
		return figures, nil
	}
	loaded, err := b.memory(s)
	if err != nil {
		return nil, err
	}
	figures = append(figures, atMost("start", name+": start to ready", limit, took.Median(),
		fmt.Sprintf("median of %d, until /api/topology tells that every group is ready", starts)))
	return append(figures, memoryFigures(name, ready, loaded)...), nil
}

// memoryFigures holds the target against all that an app holds resident when it has just become ready, and tells what the load
// after that has made of it.
func memoryFigures(name string, ready, loaded measure.Memory) []figure {
	app, bytes := measure.Largest(ready.Apps)
	busy, busyBytes := measure.Largest(loaded.Apps)
	_, sidecar := measure.Largest(loaded.Sidecars)
	return []figure{
		{
			"start", name + ": resident memory of an app that is ready, at most", "≤ 80 MB", measure.Bytes(bytes),
			fmt.Sprintf("%s of %d; %s of it private, the rest pages of the program's file, once for all processes",
				app, len(ready.Apps), measure.Bytes(ready.Private()[app])), bytes > memoryCap,
		},
		{
			"start", name + ": the same after all of the above", "", measure.Bytes(busyBytes),
			fmt.Sprintf("%s; %s of it private", busy, measure.Bytes(loaded.Private()[busy])), false,
		},
		{"start", name + ": memory of a sidecar, at most", "", measure.Bytes(sidecar), fmt.Sprintf("resident; %s in all %d", measure.Bytes(measure.Sum(loaded.Sidecars)), len(loaded.Sidecars)), false},
	}
}

func (b *bench) memory(s *system.System) (measure.Memory, error) {
	return measure.MemoryOf(filepath.Join(s.Dir, "data"), slices.Collect(maps.Keys(s.Ports)))
}

func (b *bench) onMonolith(ctx context.Context, s *system.System) ([]figure, error) {
	var figures []figure
	if err := play(ctx, s.Site, b.vars, scenario.Register(b.vars, "bench")...); err != nil {
		return nil, err
	}
	if b.wants("direct") {
		more, err := directly(ctx, s, b.vars["token"], filepath.Join(b.run.Dir, "here"))
		if err != nil {
			return nil, err
		}
		figures = append(figures, more...)
	}
	if b.wants("sync") || b.wants("dashboard") {
		more, err := b.syncs(ctx, s)
		if err != nil {
			return nil, err
		}
		figures = append(figures, more...)
	}
	for _, of := range []struct {
		row     string
		measure func(context.Context, *system.System) ([]figure, error)
	}{{"records", b.records}, {"throttled", b.throttled}, {"webhooks", b.webhooks}} {
		if !b.wants(of.row) {
			continue
		}
		more, err := of.measure(ctx, s)
		if err != nil {
			return nil, err
		}
		figures = append(figures, more...)
	}
	if b.wants("dashboard") {
		samples, err := b.dashboard(ctx, s.API)
		if err != nil {
			return nil, err
		}
		figures = append(figures, atMost("dashboard", "dashboard query over that data at 16 clients", 5*time.Millisecond, samples.Median(),
			fmt.Sprintf("p50 of %d, monolith, kept connections; p99 %s", len(samples), measure.Duration(samples.Percentile(99)))))
	}
	return figures, nil
}

func (b *bench) onMicroservices(ctx context.Context, s *system.System) ([]figure, error) {
	var figures []figure
	steps := []scenario.Step{scenario.Login(nil)}
	if b.vars["email"] == "" { // there was no monolith before
		steps = scenario.Register(b.vars, "bench")
	}
	if err := play(ctx, s.Site, b.vars, steps...); err != nil {
		return nil, err
	}
	if b.wants("call") {
		more, err := throughDapr(ctx, s, b.vars["token"])
		if err != nil {
			return nil, err
		}
		figures = append(figures, more...)
	}
	if b.wants("auth") {
		more, err := b.auth(ctx, s)
		if err != nil {
			return nil, err
		}
		figures = append(figures, more...)
	}
	if b.wants("dashboard") {
		for _, way := range []struct{ what, base string }{
			{"the same in microservices, at the app's own port", fmt.Sprintf("http://localhost:%d", s.Ports[string(topology.Analytics)])},
			{"the same in microservices, through the gateway and two sidecars", s.API},
		} {
			samples, err := b.dashboard(ctx, way.base)
			if err != nil {
				return nil, err
			}
			figures = append(figures, figure{"dashboard", way.what, "", measure.Duration(samples.Median()),
				fmt.Sprintf("p50 of %d; p99 %s", len(samples), measure.Duration(samples.Percentile(99))), false})
		}
	}
	return figures, nil
}

// syncs syncs the orders into one new organization after the other. The last one is kept in vars.
func (b *bench) syncs(ctx context.Context, s *system.System) ([]figure, error) {
	times := 1
	if b.wants("sync") {
		times = b.options.syncs
	}
	var took measure.Samples
	for n := range times {
		progress("Sync %d orders, %d of %d.", orders, n+1, times)
		clear(b.vars)
		b.vars["shop"] = "demo"
		if err := play(ctx, s.Site, b.vars, append(scenario.Register(b.vars, "bench"), scenario.Connect()...)...); err != nil {
			return nil, err
		}
		began := time.Now()
		if err := play(ctx, s.Site, b.vars, scenario.StartSync("backfill")); err != nil {
			return nil, err
		}
		if err := b.rolledUp(ctx, s); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	if !b.wants("sync") {
		return nil, nil
	}
	return []figure{atMost("sync", "sync of the 6,919 orders, monolith, unthrottled sandbox, to the last roll-up", 3*time.Second, took.Median(),
		fmt.Sprintf("median of %d organizations, %s to %s; until the dashboard has every order", times, measure.Duration(took.Percentile(0)), measure.Duration(took.Percentile(100))))}, nil
}

// rolledUp waits until the dashboard shows every order.
func (b *bench) rolledUp(ctx context.Context, s *system.System) error {
	ctx, cancel := context.WithTimeout(ctx, syncTime)
	defer cancel()
	tick := time.NewTicker(askAgain)
	defer tick.Stop()
	for seen := ""; ; {
		_, body, err := dashboardOfAll.Do(ctx, s.Site, b.vars)
		if err != nil {
			return fmt.Errorf("wait for the last roll-up, with %s orders so far: %w", seen, err)
		}
		var answer any
		if err := json.Unmarshal(body, &answer); err != nil {
			return err
		}
		if seen, _ = scenario.At(answer, "totals.orders"); seen == fmt.Sprint(orders) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the last roll-up, with %s orders so far: %w", seen, ctx.Err())
		case <-tick.C:
		}
	}
}

var dashboardOfAll = scenario.Step{Method: http.MethodGet, Path: scenario.DashboardOfAll, Want: http.StatusOK}

// dashboard asks for the dashboard, for all clients at once.
func (b *bench) dashboard(ctx context.Context, base string) (measure.Samples, error) {
	progress("Ask %s for the dashboard, %d clients.", base, clients)
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	site := scenario.Site{API: base, HTTP: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
	samples, err := measure.AtOnce(ctx, clients, 20, 250, func(ctx context.Context) error {
		_, _, err := dashboardOfAll.Do(ctx, site, b.vars)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask for the dashboard: %w", err)
	}
	return samples, nil
}

// play does steps in order.
func play(ctx context.Context, site scenario.Site, vars map[string]string, steps ...scenario.Step) error {
	for _, step := range steps {
		if _, _, err := step.Do(ctx, site, vars); err != nil {
			return fmt.Errorf("%s %s: %w", step.Method, step.Path, err)
		}
	}
	return nil
}
