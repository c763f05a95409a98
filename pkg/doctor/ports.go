package doctor

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/tandemhq/tandem/pkg/render"
	"github.com/tandemhq/tandem/pkg/topology"
)

// firstEphemeral is the first port that Linux gives to outgoing connections (net.ipv4.ip_local_port_range).
const firstEphemeral = 32768

// listener is one port of a run and what is to listen there.
type listener struct {
	app  App
	use  string
	port int
}

func (l listener) String() string { return l.app.ID + ", " + l.use }

// listeners are all ports of the run file, devstack's own among them.
func (e Environment) listeners() []listener {
	var all []listener
	for _, a := range e.Apps {
		for _, use := range slices.Sorted(maps.Keys(a.Ports)) {
			if port := a.Ports[use]; port != 0 {
				all = append(all, listener{a, use, port})
			}
		}
		if a.ID == topology.DevstackApp && a.AppPort != 0 {
			p := render.DevstackPorts(a.AppPort - render.DevstackPorts(0).HTTP)
			all = append(all,
				listener{a, "SMTP", p.SMTP}, listener{a, "NATS", p.NATS},
				listener{a, "placement", p.Placement}, listener{a, "placement health", p.PlacementHealth}, listener{a, "placement metrics", p.PlacementMetrics},
				listener{a, "scheduler", p.Scheduler}, listener{a, "scheduler health", p.SchedulerHealth}, listener{a, "scheduler metrics", p.SchedulerMetrics},
				listener{a, "etcd client", p.EtcdClient}, listener{a, "etcd peer", p.EtcdPeer},
				listener{a, "placement raft", p.PlacementRaft})
		}
	}
	return all
}

// portNumbers finds ports that are missing, used twice, or that the system may give away.
func portNumbers(_ context.Context, e Environment) []Finding {
	var found []Finding
	for _, a := range e.Apps {
		for _, use := range slices.Sorted(maps.Keys(a.Ports)) {
			if a.Ports[use] == 0 {
				found = append(found, Finding{Warning, fmt.Sprintf("%s, %s has no port", a.ID, use), "the CLI takes any free one, a different one each time, which may be another's next", "give it a fixed port below 32768"})
			}
		}
	}
	first := map[int]listener{}
	for _, l := range e.listeners() {
		if l.port >= firstEphemeral {
			found = append(found, Finding{Warning, fmt.Sprintf("port %d (%s) is 32768 or above", l.port, l), "the system gives such ports to outgoing connections, and now and then this one is taken", "take a port below 32768"})
		}
		if other, twice := first[l.port]; twice {
			found = append(found, Finding{Error, fmt.Sprintf("port %d is for both %s and %s", l.port, other, l), "the second to start fails", "give one of them another port"})
			continue
		}
		first[l.port] = l
	}
	return found
}

// portsTaken finds ports that somebody else listens on, or what a killed run has left.
func portsTaken(_ context.Context, e Environment) []Finding {
	var found []Finding
	for _, l := range e.listeners() {
		if _, up := e.Sidecars[l.app.ID]; up || !e.Machine.Taken(l.port) {
			continue // it runs, or may
		}
		f := Finding{Error, fmt.Sprintf("port %d (%s) is taken", l.port, l), "the run does not start", "end who listens there, or render a run file with other ports: platform render --port-offset"}
		if p, known := e.Machine.Holder(l.port); known {
			f.What += " by " + p.String()
			if e.own(p) {
				f.Why, f.Fix = "a run that was killed has left it, or `make up` keeps it", "`make stop` ends what a run left"
				if l.app.ID == topology.DevstackApp {
					// A run takes a kept devstack as it is, and says so where it cannot.
					f.Severity, f.Fix = Warning, "`make stop` ends what a run left, `make down` what is kept"
				}
			}
		}
		found = append(found, f)
	}
	return found
}

// own tells whether a process runs a program of this repository.
func (e Environment) own(p Process) bool {
	folder := filepath.Dir(p.Program)
	return folder == filepath.Join(e.Root, "bin") || folder == filepath.Join(e.Root, ".dapr", "bin")
}
