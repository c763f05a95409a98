// Package moves takes a system with its data from one place to another: from topology to topology, from one app-id to another
// while it is used, into a backup and out of it, and to the components that a cluster has; and it ends processes, politely and by
// SIGKILL. What is asked afterwards is the scenarios' of package scenario.
package moves

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/scenario"
	"github.com/tandemhq/tandem/test/system"
)

// portOffset keeps the ports of these tests apart from those of a run by hand and of other packages.
const portOffset = 700

// start runs a topology in dir, whose data may be that of an earlier run.
func start(t *testing.T, name, dir string, environ ...string) *system.System {
	t.Helper()
	return system.Start(t, system.Options{Topology: name, Dir: dir, PortOffset: portOffset, Environ: environ})
}

// TestDataStaysInPlace moves a system with its data through the topologies, on the components of a laptop.
func TestDataStaysInPlace(t *testing.T) {
	system.NeedBinaries(t)
	dir := t.TempDir()
	staysInPlace(t, (*system.System).Kill, func(name string) *system.System { return start(t, name, dir) })
}

// staysInPlace moves a system with its data through the topologies. Each time a sync is cut off in its middle by SIGKILL: what was
// begun ends once, wherever its group lives by then. And a POST that was answered before the first move is answered from Dapr's
// state after each.
func staysInPlace(t *testing.T, kill func(*system.System, testing.TB), start func(topology string) *system.System) {
	vars := map[string]string{"shop": "demo"}
	s := start(topology.Monolith)
	scenario.Play(t, s.Site, vars, scenario.Register(vars, "mover"))
	scenario.Play(t, s.Site, vars, scenario.Connect())
	once := scenario.Once(t, s.Site, vars)
	for _, next := range []string{topology.Microservices, topology.Hybrid, topology.Monolith} {
		limit(t, s, 1200, 900) // slow enough that the kill comes in the middle
		scenario.Play(t, s.Site, vars, []scenario.Step{scenario.StartSync("backfill"), scenario.SyncHasBegun()})
		kill(s, t)

		s = start(next)
		once(t, s.Site)
		scenario.Play(t, s.Site, vars, scenario.SyncEnds(s.Orders))
		if s.Orders {
			scenario.Play(t, s.Site, vars, scenario.Dashboards())
		}
	}
	scenario.Play(t, s.Site, vars, scenario.Sync("incremental"))
	if s.Orders {
		scenario.Play(t, s.Site, vars, scenario.Dashboards())
	}
}

// limit throttles the sandbox's shop.
func limit(t *testing.T, s *system.System, points, restore float64) {
	t.Helper()
	body, err := json.Marshal(map[string]float64{"maximum_available": points, "restore_rate": restore})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.Devstack+"/sandbox/shopify/demo.myshopify.com/limits", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := s.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("limit the sandbox: %s", resp.Status)
	}
}
