package host

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/telemetry"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Health is the answer of /readyz: what the process needs, and which of it works.
type Health struct {
	Ready   bool              `json:"ready"`
	AppID   string            `json:"app_id"`
	Version string            `json:"version"`
	Groups  []topology.Group  `json:"groups"`
	Checks  map[string]string `json:"checks"` // "ok", or what is wrong
	// Calls are those that the hosted groups make.
	Calls []telemetry.CallRate `json:"calls"`
}

// TopologyView is the answer of /api/topology.
type TopologyView struct {
	Topology string      `json:"topology"` // in the form of TANDEM_TOPOLOGY
	Gateway  string      `json:"gateway"`  // app-id that answered
	Groups   []GroupView `json:"groups"`
	// Calls are those between groups, over all app-ids. The caller "host" is a process on behalf of all
	// its groups.
	Calls []telemetry.CallRate `json:"calls"`
}

// GroupView is one group's place in the topology.
type GroupView struct {
	Group   topology.Group `json:"group"`
	AppID   string         `json:"app_id"`
	Version string         `json:"version,omitempty"`
	Ready   bool           `json:"ready"`
	Problem string         `json:"problem,omitempty"`
}

const checkTimeout = 2 * time.Second

// mountHealth serves what operators and sidecars ask of every process.
func (h *Host) mountHealth(router *mux.Router) {
	router.Path("/healthz").Methods(readMethods...).HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "alive", "app_id": h.c.Config.AppID})
	})
	readiness := func(w http.ResponseWriter, r *http.Request) {
		health := h.Health(r.Context())
		status := http.StatusOK
		if !health.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, health)
	}
	router.Path("/readyz").Methods(readMethods...).HandlerFunc(readiness)
	for _, name := range h.hosted { // where the gateway may ask: access control opens nothing beside /api
		router.Path("/api/" + string(name) + "/readyz").Methods(readMethods...).HandlerFunc(readiness)
	}
	router.Path("/metrics").Methods(readMethods...).Handler(telemetry.Bearer(h.c.Config.MetricsToken, h.metrics.Handler()))
	if h.gateway != nil {
		view := &cached[TopologyView]{keep: time.Second, make: h.topologyView, now: h.now}
		router.Path("/api/topology").Methods(readMethods...).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			writeJSON(w, http.StatusOK, view.get(r.Context()))
		})
	}
}

// Health asks the sidecar and the stores whether they work, and whether tokens can be verified.
func (h *Host) Health(ctx context.Context) Health {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	health := Health{Ready: true, AppID: h.c.Config.AppID, Version: h.c.Version, Groups: h.hosted, Checks: map[string]string{}, Calls: h.metrics.CallRates()}
	note := func(name string, err error) {
		health.Checks[name] = "ok"
		if err != nil {
			health.Checks[name], health.Ready = err.Error(), false
			if h.c.Config.Environment == config.Production { // everybody may ask, and causes name hosts
				health.Checks[name] = "failing; the log says why"
				h.log.WarnContext(ctx, "not ready", "check", name, "error", err)
			}
		}
	}
	if !h.started.Load() {
		health.Checks["groups"], health.Ready = "starting or stopping", false
	}
	note("sidecar", h.c.World.Ready(ctx))
	if len(h.hosted) > 0 {
		note("access tokens", h.verifier.Ready(ctx))
	}
	for _, name := range h.hosted {
		note("store "+string(name), h.groups[name].kernel.DB.Ping(ctx))
	}
	return health
}

func (h *Host) topologyView(ctx context.Context) TopologyView {
	t := h.c.Topology.Get()
	view := TopologyView{Topology: t.String(), Gateway: h.c.Config.AppID, Groups: make([]GroupView, len(topology.Groups()))}
	var wait sync.WaitGroup
	var mu sync.Mutex
	calls := map[string][]telemetry.CallRate{} // by app-id, each asked once or more
	for i, name := range topology.Groups() {
		wait.Go(func() {
			v := GroupView{Group: name}
			var err error
			if v.AppID, err = t.Home(name); err == nil {
				var health Health
				if h.isHome(name) {
					health = h.Health(ctx)
				} else {
					health, err = h.gateway.Ready(ctx, name)
				}
				v.Version, v.Ready = health.Version, health.Ready
				mu.Lock()
				calls[v.AppID] = health.Calls
				mu.Unlock()
			}
			if err != nil {
				v.Problem = problem.From(err).Detail
			}
			view.Groups[i] = v
		})
	}
	wait.Wait()
	view.Calls = sumCalls(calls)
	return view
}

// sumCalls adds the rates of all app-ids.
func sumCalls(byApp map[string][]telemetry.CallRate) []telemetry.CallRate {
	type pair struct{ from, to topology.Group }
	sums := map[pair]telemetry.CallRate{}
	for _, list := range byApp {
		for _, c := range list {
			sum := sums[pair{c.From, c.To}]
			sums[pair{c.From, c.To}] = telemetry.CallRate{From: c.From, To: c.To, Total: sum.Total + c.Total, PerSecond: sum.PerSecond + c.PerSecond}
		}
	}
	return slices.SortedFunc(maps.Values(sums), func(a, b telemetry.CallRate) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
}
