package topologies

import (
	"bufio"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/tandemhq/tandem/apps/integrations"
	"github.com/tandemhq/tandem/pkg/endpoint"
	"github.com/tandemhq/tandem/pkg/render"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/system"
)

// viaSidecar is the topology that calls vendors by way of the sidecar: every scenario about them then goes that way.
const viaSidecar = "hybrid"

// invoked is a line of a sidecar's metrics about calls of it.
var invoked = regexp.MustCompile(`^dapr_runtime_service_invocation_req_sent_total\{.*dst_app_id="([^"]+)".*\} ([0-9.e+]+)$`)

// vendorsWereCalled looks in the metrics of the sidecar for the hosts that can be called by way of it: the scenarios have called each.
func vendorsWereCalled(t *testing.T, s *system.System) {
	homes, err := topology.Named(s.Topology)
	if err != nil {
		t.Fatal(err)
	}
	home, err := homes.Home(topology.Integrations)
	if err != nil {
		t.Fatal(err)
	}
	port, err := homes.Port(home)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", render.Sidecar(port, s.PortOffset).Metrics))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	calls := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if found := invoked.FindStringSubmatch(lines.Text()); found != nil {
			n, err := strconv.ParseFloat(found[2], 64)
			if err != nil {
				t.Fatal(err)
			}
			calls[found[1]] += n
		}
	}
	for _, host := range integrations.Builder(integrations.Config{}).Hosts {
		n := calls[endpoint.Name(host)]
		t.Logf("%s: %.0f calls", host, n)
		if n == 0 {
			t.Errorf("%s was not called by way of the sidecar", host)
		}
	}
}
