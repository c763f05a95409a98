// Package topologies plays the scenarios on real sidecars, started by the real Dapr CLI from run files
// as `platform render` writes them, as a monolith, as microservices and as a hybrid.
package topologies

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
	// portOffset keeps the tests' ports apart from those of a run by hand.
	portOffset = 300
	startTime  = 120 * time.Second
	stopTime   = 40 * time.Second
)

// system is one run of Tandem under the Dapr CLI, on data that may outlive it.
type system struct {
	scenario.Site
	name  string
	dir   string
	ports map[string]int // app port by app-id
	cmd   *exec.Cmd
	out   *output
	ended chan error
}

// repository is the root of the checkout.
func repository(t *testing.T) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../..")
}

// needBinaries skips, loudly, where the programs or the Dapr CLI have not been built; in CI that fails.
func needBinaries(t *testing.T) {
	t.Helper()
	for _, program := range []string{"bin/platform", "bin/devstack", ".dapr/bin/dapr", ".dapr/bin/daprd", ".dapr/bin/scheduler", ".dapr/bin/placement"} {
		if _, err := os.Stat(filepath.Join(repository(t), program)); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not built: %v", program, err)
			}
			t.Skipf("SKIPPED: the scenarios on real sidecars, because %s is not built; make build builds it", program)
		}
	}
}

// start runs a topology in dir, whose data may be that of an earlier run, and waits until every group
// is ready.
func start(t *testing.T, name, dir string, environ ...string) *system {
	t.Helper()
	root := repository(t)
	orders, have := scenario.OrdersFile(t)
	render := exec.Command(filepath.Join(root, "bin/platform"), "render", "--into", dir, "--port-offset", fmt.Sprint(portOffset),
		"--data", filepath.Join(dir, "data"), "--bin", filepath.Join(root, "bin"))
	if out, err := render.CombinedOutput(); err != nil {
		t.Fatalf("render: %v\n%s", err, out)
	}
	s := &system{
		name: name, dir: dir, ended: make(chan error, 1), out: &output{}, ports: appPorts(t, name),
		Site: scenario.Site{
			API: fmt.Sprintf("http://localhost:%d", 8000+portOffset), Devstack: fmt.Sprintf("http://localhost:%d", 8090+portOffset),
			HTTP: &http.Client{Timeout: 30 * time.Second}, Orders: have,
		},
	}
	s.cmd = exec.Command(filepath.Join(root, "bin/devstack"), "run", "-f", filepath.Join(dir, "dapr", name+".yaml"), "--data", filepath.Join(dir, "data"))
	s.cmd.Dir = root
	s.cmd.Env = append(append(os.Environ(), "SANDBOX_ORDERS="+orders, "TANDEM_RATE_LIMIT=0"), environ...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() { s.stop(t) })
	s.waitReady(t)
	return s
}

func appPorts(t *testing.T, name string) map[string]int {
	t.Helper()
	homes, err := topology.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	ports := map[string]int{}
	for _, app := range append(homes.Apps(), homes.Gateway()) {
		port, err := homes.Port(app)
		if err != nil {
			t.Fatal(err)
		}
		ports[app] = port + portOffset
	}
	return ports
}

func (s *system) waitReady(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(startTime)
	var last string
	for time.Now().Before(deadline) {
		select {
		case err := <-s.ended:
			s.ended <- err
			t.Fatalf("%s ended before it was ready: %v\n%s%s", s.name, err, s.out, s.logs())
		case <-time.After(100 * time.Millisecond):
		}
		var view host.TopologyView
		if last = s.get(t, "/api/topology", &view); last == "" && ready(view) {
			return
		}
	}
	t.Fatalf("%s was not ready within %v: %s\n%s%s", s.name, startTime, last, s.out, s.logs())
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
func (s *system) get(t *testing.T, path string, into any) string {
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

// stop ends the run as Ctrl-C does, and fails when something of it is left.
func (s *system) stop(t *testing.T) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil && !strings.Contains(err.Error(), "finished") {
		t.Errorf("stop %s: %v", s.name, err)
	}
	select {
	case <-s.ended:
	case <-time.After(stopTime):
		t.Errorf("%s did not stop within %v\n%s", s.name, stopTime, s.out)
		_ = s.cmd.Process.Kill() // it is reported already; this only cleans up
	}
	s.cmd = nil
	if left := processesOf(t, s.dir); len(left) > 0 {
		t.Errorf("%s left processes: %v", s.name, left)
	}
	if t.Failed() {
		t.Logf("%s said:\n%s%s", s.name, s.out, s.logs())
	}
}

// kill ends the run by SIGKILL of everything at once, as a power cut would.
func (s *system) kill(t *testing.T) {
	t.Helper()
	for _, pid := range processesOf(t, s.dir) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended with the one before
	}
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.cmd = nil
	deadline := time.Now().Add(stopTime)
	for len(processesOf(t, s.dir)) > 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
}

// processesOf are the processes whose environment or command names the run's folder.
func processesOf(t *testing.T, dir string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Skipf("SKIPPED: what a run leaves behind is only looked for on Linux: %v", err)
	}
	var pids []int
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscan(e.Name(), &pid); err != nil || pid == os.Getpid() {
			continue
		}
		command, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")) // it may have ended
		environ, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if bytes.Contains(command, []byte(dir)) || bytes.Contains(environ, []byte(dir)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// logs are the ends of the run's log files.
func (s *system) logs() string {
	var all strings.Builder
	for _, pattern := range []string{"data/logs/*", ".dapr/logs/*"} {
		files, _ := filepath.Glob(filepath.Join(s.dir, pattern))
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
