// Package system runs Tandem for tests and measurements as `make run` does: under the real Dapr CLI, on
// real sidecars, from run files that `platform render` writes for the run.
package system

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/scenario"
)

const (
	startTime = 120 * time.Second
	stopTime  = 40 * time.Second
)

// Options are what a run differs in.
type Options struct {
	// Topology is the name of a shipped topology.
	Topology string
	// Dir holds the run's files and its data, which may be those of an earlier run. It tells the run's
	// processes from others', so no other run may use a part of it at the same time.
	Dir string
	// PortOffset is added to every port. Packages are tested at the same time, and a run by hand may be
	// up meanwhile, so each package has an offset of its own; 100 apart is enough.
	PortOffset int
	// Environ is added to the environment of everything in the run.
	Environ []string
}

// System is one run of Tandem under the Dapr CLI, on data that may outlive it.
type System struct {
	scenario.Site
	Options
	// Ports are the app ports, by app-id.
	Ports map[string]int

	cmd   *exec.Cmd
	out   *output
	ended chan error
}

// Repository is the root of the checkout.
func Repository(t testing.TB) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../..")
}

// NeedBinaries skips, loudly, where the programs or the Dapr CLI have not been built; in CI that fails.
func NeedBinaries(t testing.TB) {
	t.Helper()
	for _, program := range []string{"bin/platform", "bin/devstack", ".dapr/bin/dapr", ".dapr/bin/daprd", ".dapr/bin/scheduler", ".dapr/bin/placement"} {
		if _, err := os.Stat(filepath.Join(Repository(t), program)); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not built: %v", program, err)
			}
			t.Skipf("SKIPPED: the scenarios on real sidecars, because %s is not built; make build builds it", program)
		}
	}
}

// Start runs a topology and waits until every group is ready. The run ends with the test, at the latest.
func Start(t testing.TB, o Options) *System {
	t.Helper()
	root := Repository(t)
	orders, have := scenario.OrdersFile(t)
	render := exec.Command(filepath.Join(root, "bin/platform"), "render", "--into", o.Dir, "--port-offset", fmt.Sprint(o.PortOffset),
		"--data", filepath.Join(o.Dir, "data"), "--bin", filepath.Join(root, "bin"))
	if out, err := render.CombinedOutput(); err != nil {
		t.Fatalf("render: %v\n%s", err, out)
	}
	s := &System{
		Options: o, Ports: appPorts(t, o), ended: make(chan error, 1), out: &output{},
		Site: scenario.Site{
			API: fmt.Sprintf("http://localhost:%d", 8000+o.PortOffset), Devstack: fmt.Sprintf("http://localhost:%d", 8090+o.PortOffset),
			HTTP: &http.Client{Timeout: 30 * time.Second}, Orders: have,
		},
	}
	s.cmd = exec.Command(filepath.Join(root, "bin/devstack"), "run", "-f", filepath.Join(o.Dir, "dapr", o.Topology+".yaml"), "--data", filepath.Join(o.Dir, "data"))
	s.cmd.Dir = root
	s.cmd.Env = append(append(os.Environ(), "SANDBOX_ORDERS="+orders, "TANDEM_RATE_LIMIT=0"), o.Environ...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() { s.Stop(t) })
	s.waitReady(t)
	return s
}

func appPorts(t testing.TB, o Options) map[string]int {
	t.Helper()
	homes, err := topology.Named(o.Topology)
	if err != nil {
		t.Fatal(err)
	}
	ports := map[string]int{}
	for _, app := range append(homes.Apps(), homes.Gateway()) {
		port, err := homes.Port(app)
		if err != nil {
			t.Fatal(err)
		}
		ports[app] = port + o.PortOffset
	}
	return ports
}

func (s *System) waitReady(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(startTime)
	var last string
	for time.Now().Before(deadline) {
		select {
		case err := <-s.ended:
			s.ended <- err
			t.Fatalf("%s ended before it was ready: %v\n%s%s", s.Topology, err, s.out, s.logs())
		case <-time.After(100 * time.Millisecond):
		}
		var view host.TopologyView
		if last = s.get(t, "/api/topology", &view); last == "" && ready(view) {
			return
		}
	}
	t.Fatalf("%s was not ready within %v: %s\n%s%s", s.Topology, startTime, last, s.out, s.logs())
}

func ready(view host.TopologyView) bool {
	for _, g := range view.Groups {
		if !g.Ready {
			return false
		}
	}
	return len(view.Groups) == len(topology.Groups())
}

// get reads JSON from the gateway; it says what went wrong, or nothing.
func (s *System) get(t testing.TB, path string, into any) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.API+path, nil)
	if err != nil {
		return err.Error()
	}
	resp, err := s.HTTP.Do(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Sprintf("%s: %v", resp.Status, err)
	}
	return ""
}

// Stop ends the run as Ctrl-C does, and fails when something of it is left.
func (s *System) Stop(t testing.TB) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil && !strings.Contains(err.Error(), "finished") {
		t.Errorf("stop %s: %v", s.Topology, err)
	}
	select {
	case <-s.ended:
	case <-time.After(stopTime):
		t.Errorf("%s did not stop within %v\n%s", s.Topology, stopTime, s.out)
		_ = s.cmd.Process.Kill() // it is reported already; this only cleans up
	}
	s.cmd = nil
	if left := s.Processes(t); len(left) > 0 {
		t.Errorf("%s left processes: %v", s.Topology, left)
	}
	if t.Failed() {
		t.Logf("%s said:\n%s%s", s.Topology, s.out, s.logs())
	}
}

// Kill ends the run by SIGKILL of everything at once, as a power cut would.
func (s *System) Kill(t testing.TB) {
	t.Helper()
	for _, pid := range s.Processes(t) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended with the one before
	}
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.cmd = nil
	deadline := time.Now().Add(stopTime)
	for len(s.Processes(t)) > 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
}

// Processes are the ids of the processes whose environment or command names the run's folder. It is
// empty, and says so in the log, where that cannot be seen: on other systems than Linux.
func (s *System) Processes(t testing.TB) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Logf("NOT CHECKED: what a run leaves behind is only looked for on Linux: %v", err)
		return nil
	}
	var pids []int
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscan(e.Name(), &pid); err != nil || pid == os.Getpid() {
			continue
		}
		command, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")) // it may have ended
		environ, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if bytes.Contains(command, []byte(s.Dir)) || bytes.Contains(environ, []byte(s.Dir)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// logs are the ends of the run's log files.
func (s *System) logs() string {
	var all strings.Builder
	for _, pattern := range []string{"data/logs/*", ".dapr/logs/*"} {
		files, _ := filepath.Glob(filepath.Join(s.Dir, pattern))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			if len(text) > 3000 {
				text = text[len(text)-3000:]
			}
			fmt.Fprintf(&all, "\n--- %s\n%s", filepath.Base(file), text)
		}
	}
	return all.String()
}

// output collects what a process says. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
