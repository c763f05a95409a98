package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/tandemhq/tandem/pkg/render"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/measure"
	"github.com/tandemhq/tandem/test/scenario"
	"github.com/tandemhq/tandem/test/system"
)

// cost is a line of what a topology costs.
type cost struct{ label, value string }

const (
	rounds     = 200 // of each request that is timed
	warmRounds = 20
)

// costs measures what a request takes with each hop, and the memory that the topology takes.
func (d *demo) costs(ctx context.Context, s *system.System, dashboard scenario.Step) ([]cost, error) {
	homes, err := topology.Named(s.Topology)
	if err != nil {
		return nil, err
	}
	auth, err := homes.Home(topology.Auth)
	if err != nil {
		return nil, err
	}
	analytics, err := homes.Home(topology.Analytics)
	if err != nil {
		return nil, err
	}
	port, err := homes.Port(analytics)
	if err != nil {
		return nil, err
	}
	sidecar := "http://127.0.0.1:" + strconv.Itoa(render.Sidecar(port, portOffset).HTTP)
	at := func(app, path string) scenario.Step {
		return scenario.Step{Method: http.MethodGet, Path: "http://localhost:" + strconv.Itoa(s.Ports[app]) + path, Want: http.StatusOK}
	}
	const keys = "/api/auth/jwks"
	timed := []struct {
		label string
		step  scenario.Step
	}{
		{"the dashboard of a month, at the port of its app", at(analytics, dashboard.Path)},
		{"  the same at the gateway", at(homes.Gateway(), dashboard.Path)},
		{"auth's keys, at the port of its app", at(auth, keys)},
		{"  the same as analytics asks for them, through Dapr", scenario.Step{
			Method: http.MethodGet, Path: sidecar + "/v1.0/invoke/" + auth + "/method" + keys, Want: http.StatusOK,
			Header: map[string]string{"dapr-api-token": d.token},
		}},
	}
	operations := make([]measure.Operation, len(timed))
	for n := range timed {
		operations[n] = func(ctx context.Context) error {
			_, _, err := timed[n].step.Do(ctx, s.Site, d.vars)
			return err
		}
	}
	samples, err := measure.InTurn(ctx, 1, warmRounds, rounds, operations...)
	if err != nil {
		return nil, err
	}
	memory, err := measure.MemoryOf(filepath.Join(s.Dir, "data"), slices.Collect(maps.Keys(s.Ports)))
	if err != nil {
		return nil, err
	}
	costs := []cost{{"start, until every group is ready", measure.Duration(s.Took)}}
	for n, t := range timed {
		costs = append(costs, cost{t.label, measure.Duration(samples[n].Median())})
	}
	all := func(processes map[string]int64) string {
		if len(processes) == 1 {
			return measure.Bytes(measure.Sum(processes))
		}
		_, most := measure.Largest(processes)
		return fmt.Sprintf("%s in %d, at most %s", measure.Bytes(measure.Sum(processes)), len(processes), measure.Bytes(most))
	}
	return append(costs, cost{"memory of the apps", all(memory.Apps)}, cost{"memory of their sidecars", all(memory.Sidecars)}), nil
}
