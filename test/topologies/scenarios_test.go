// Package topologies plays the scenarios on real sidecars, started by the real Dapr CLI from run files
// as `platform render` writes them, as a monolith, as microservices and as a hybrid.
package topologies

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/skip"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/scenario"
	"github.com/tandemhq/tandem/test/system"
)

// portOffset keeps the ports of these tests apart from those of a run by hand and of other packages.
const portOffset = 300

func TestScenarios(t *testing.T) {
	system.NeedBinaries(t)
	seen := map[string]map[string]string{}
	for _, name := range topology.Names() {
		t.Run(name, func(t *testing.T) {
			spans, environ := newCollector(t)
			if name == viaSidecar {
				environ = append(environ, "TANDEM_VENDOR_CALLS=dapr")
			}
			s := system.Start(t, system.Options{
				Topology: name, Dir: t.TempDir(), PortOffset: portOffset, Environ: environ, Render: []string{"--trace-ratio", traceRatio},
			})
			p := observe(t, s)
			for title, body := range scenario.Bodies {
				t.Run(title, func(t *testing.T) { body(t, s.Site) })
			}
			t.Run("each group answers on its own app's port and through the gateway", func(t *testing.T) { everyGroupAnswers(t, s) })
			t.Run("nothing listens beyond loopback", func(t *testing.T) { onlyLoopback(t, s) })
			t.Run("one trace", func(t *testing.T) { spans.oneTrace(t, s) })
			if name == viaSidecar {
				t.Run("vendors were called by way of the sidecar", func(t *testing.T) { vendorsWereCalled(t, s) })
			}
			// The last one: from then on users have to accept documents.
			t.Run("legal", func(t *testing.T) { scenario.Legal(t, s.Site) })
			// After all others, which are the load.
			t.Run("every expression of dashboards and rules", func(t *testing.T) { p.everyExpression(t, seen) })
		})
	}
}

// everyGroupAnswers asks each group for its document, at the gateway and at the port of its home, and
// looks who served it.
func everyGroupAnswers(t *testing.T, s *system.System) {
	homes, err := topology.Named(s.Topology)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range topology.Groups() {
		home, err := homes.Home(group)
		if err != nil {
			t.Fatal(err)
		}
		for _, base := range []string{s.API, fmt.Sprintf("http://localhost:%d", s.Ports[home])} {
			resp, err := s.HTTP.Get(base + "/api/" + string(group) + "/openapi.json")
			if err != nil {
				t.Error(err)
				continue
			}
			resp.Body.Close()
			if by := resp.Header.Get(call.HeaderServedBy); resp.StatusCode != http.StatusOK || by != home {
				t.Errorf("%s at %s: status %d served by %q, want 200 by %s", group, base, resp.StatusCode, by, home)
			}
		}
	}
}

// onlyLoopback lists the listening sockets of the run's processes.
func onlyLoopback(t *testing.T, s *system.System) {
	out, err := exec.Command("ss", "-Hltnp").Output()
	if err != nil {
		skip.Missing(t, fmt.Sprintf("listening sockets: ss (iproute2) is not there: %v", err))
	}
	ours := map[string]bool{}
	for _, pid := range s.Processes() {
		ours[fmt.Sprint(pid)] = true
	}
	pids := regexp.MustCompile(`pid=(\d+)`)
	seen := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			continue
		}
		for _, m := range pids.FindAllStringSubmatch(line, -1) {
			if !ours[m[1]] {
				continue
			}
			seen++
			host, _, err := net.SplitHostPort(fields[3])
			if ip := net.ParseIP(strings.Trim(host, "[]")); err != nil || ip == nil || !ip.IsLoopback() {
				t.Errorf("it listens on %s: %s", fields[3], line)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d sockets of the run were seen; the list proves nothing", seen)
	}
}
