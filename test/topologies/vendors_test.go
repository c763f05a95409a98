package topologies

import (
	"bufio"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/tandemhq/tandem/pkg/endpoint"
	"github.com/tandemhq/tandem/pkg/render"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/system"
)

// viaSidecar is the topology that calls vendors by way of the sidecar: every scenario about them then goes that way.
const viaSidecar = "hybrid"

// invoked is a line of a sidecar's metrics about calls of it.
var invoked = regexp.MustCompile(`^dapr_runtime_service_invocation_req_sent_total\{.*dst_app_id="([^"]+)".*\} ([0-9.e+]+)$`)

// vendorsWereCalled looks in the metrics of the sidecar for the vendors that the scenarios have connected and synced: both the APIs, and the
// addresses at which codes are exchanged for tokens where these have hosts of their own.
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
	for _, host := range []string{
		"a.klaviyo.com", "api.hubapi.com", "api.linkedin.com", "api.stripe.com", "api.triplewhale.com", "connect.stripe.com", "googleads.googleapis.com",
		"graph.facebook.com", "oauth2.googleapis.com", "services.leadconnectorhq.com", "www.linkedin.com",
	} {
		n := calls[endpoint.Name(host)]
		t.Logf("%s: %.0f calls", host, n)
		if n == 0 {
			t.Errorf("%s was not called by way of the sidecar", host)
		}
	}
}
