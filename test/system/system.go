// Package system runs Tandem for tests and measurements as `make run` does: under the real Dapr CLI, on
// real sidecars, from run files that `platform render` writes for the run.
package system

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/skip"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/scenario"
)

const (
	startTime = 120 * time.Second
	stopTime  = 40 * time.Second
	// launched is what the launcher says when everything that it started is ready.
	launched = "Tandem runs ("
)

// Options are what a run differs in.
type Options struct {
	// Topology is the name of a shipped topology.
	Topology string
	// Dir holds the run's files and its data, which may be those of an earlier run. It tells the run's
	// processes from others', so no other run may use a part of it at the same time.
	Dir string
	// PortOffset is added to every port. Packages are tested at the same time, and a run by hand may be
	// up meanwhile, so each package has an offset of its own; 200 apart is enough.
	PortOffset int
	// Environ is added to the environment of everything in the run.
	Environ []string
	// Render are arguments for `platform render` beside those that follow from the other options, and Rendered may
	// change the files that it wrote into Dir.
	Render   []string
	Rendered func(dir string) error
	// OrdersFile has the orders that the sandbox serves; it generates its own when empty.
	OrdersFile string
}

// System is one run of Tandem under the Dapr CLI, on data that may outlive it.
type System struct {
	scenario.Site
	Options
	// Ports are the app ports, by app-id.
	Ports map[string]int
	// Took is how long it was from the start of the launcher until every group was ready.
	Took time.Duration

	cmd   *exec.Cmd
	out   *output
	ended chan error
}

// Repository is the root of the checkout.
func Repository() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../..")
}

// NeedBinaries skips, loudly, where the programs or the Dapr CLI have not been built; in CI that fails.
func NeedBinaries(t testing.TB) {
	t.Helper()
	NeedPrograms(t, "the scenarios on real sidecars",
		"bin/platform", "bin/devstack", ".dapr/bin/dapr", ".dapr/bin/daprd", ".dapr/bin/scheduler", ".dapr/bin/placement")
}

// NeedPrograms skips what, loudly, where programs of the repository have not been built; in CI that fails.
func NeedPrograms(t testing.TB, what string, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := os.Stat(filepath.Join(Repository(), program)); err != nil {
			skip.Missing(t, fmt.Sprintf("%s: %s is not built; make build prometheus builds it", what, program))
		}
	}
}

// Start is Run for a test, on the CDNOW orders where they are there. The run ends with the test, at the
// latest.
func Start(t testing.TB, o Options) *System {
	t.Helper()
	o.OrdersFile, _ = scenario.OrdersFile(t)
	s, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// Run runs a topology and waits until every group is ready. The caller ends it with End.
func Run(ctx context.Context, o Options) (*System, error) {
	root := Repository()
	if err := o.render(ctx); err != nil {
		return nil, err
	}
	homes, err := topology.Named(o.Topology)
	if err != nil {
		return nil, err
	}
	ports, err := appPorts(homes, o.PortOffset)
	if err != nil {
		return nil, err
	}
	s := &System{
		Options: o, Ports: ports, ended: make(chan error, 1), out: &output{},
		Site: scenario.Site{
			API: o.api(), Devstack: fmt.Sprintf("http://localhost:%d", 8090+o.PortOffset),
			Home: func(g topology.Group) string {
				home, _ := homes.Home(g) // a shipped topology has a home for each
				return fmt.Sprintf("http://localhost:%d", ports[home])
			},
			HTTP: &http.Client{Timeout: 30 * time.Second}, Orders: o.OrdersFile != "", Secret: o.secret,
		},
	}
	// Not bound to ctx: that would kill the launcher, which is to be asked to stop.
	s.cmd = exec.Command(filepath.Join(root, "bin/devstack"), "run", "-f", filepath.Join(o.Dir, "dapr", o.Topology+".yaml"), "--data", filepath.Join(o.Dir, "data"))
	s.cmd.Dir = root
	s.cmd.Env = append(os.Environ(), o.environ()...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start devstack: %w", err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	if err := s.waitReady(ctx); err != nil {
		return nil, errors.Join(err, s.End())
	}
	s.Took = time.Since(began)
	return s, nil
}

// render writes the files of the shipped topologies, or of one that more names, into the run's folder.
func (o Options) render(ctx context.Context, more ...string) error {
	bin := filepath.Join(Repository(), "bin")
	render := exec.CommandContext(ctx, filepath.Join(bin, "platform"), slices.Concat([]string{"render", "--into", o.Dir,
		"--port-offset", fmt.Sprint(o.PortOffset), "--data", filepath.Join(o.Dir, "data"), "--bin", bin}, o.Render, more)...)
	if out, err := render.CombinedOutput(); err != nil {
		return fmt.Errorf("render: %w\n%s", err, out)
	}
	if o.Rendered == nil {
		return nil
	}
	return o.Rendered(o.Dir)
}

// environ is what everything in the run has in its environment beside the caller's.
func (o Options) environ() []string {
	return append([]string{
		"SANDBOX_ORDERS=" + o.OrdersFile, "TANDEM_RATE_LIMIT=0", "TANDEM_API_URL=" + o.api(), "TANDEM_WEB_URL=" + o.api(),
	}, o.Environ...)
}

// api is the gateway's base URL.
func (o Options) api() string { return fmt.Sprintf("http://localhost:%d", 8000+o.PortOffset) }

// secret reads the file of the run's local secret store.
func (o Options) secret(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join(o.Dir, "data", "secrets.json"))
	if err != nil {
		return "", err
	}
	var values map[string]string
	if err := json.Unmarshal(content, &values); err != nil {
		return "", err
	}
	return values[name], nil
}

func appPorts(homes topology.Topology, offset int) (map[string]int, error) {
	ports := map[string]int{}
	for _, app := range append(homes.Apps(), homes.Gateway()) {
		port, err := homes.Port(app)
		if err != nil {
			return nil, err
		}
		ports[app] = port + offset
	}
	return ports, nil
}

func (s *System) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		select {
		case err := <-s.ended:
			s.ended <- err
			return fmt.Errorf("%s ended before it was ready: %w\n%s%s", s.Topology, err, s.out, s.logs())
		case <-ctx.Done():
			return fmt.Errorf("%s was not ready within %v: %w: %w\n%s%s", s.Topology, startTime, ctx.Err(), last, s.out, s.logs())
		case <-tick.C:
		}
		if !strings.Contains(s.out.String(), launched) {
			continue // what answers meanwhile may be another run on the same ports
		}
		var view host.TopologyView
		if last = s.get(ctx, "/api/topology", &view); last == nil && ready(view) {
			return nil
		}
	}
}

func ready(view host.TopologyView) bool {
	for _, g := range view.Groups {
		if !g.Ready {
			return false
		}
	}
	return len(view.Groups) == len(topology.Groups())
}

// get reads JSON from the gateway.
func (s *System) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.API+path, nil)
	if err != nil {
		return err
	}
	resp, err := s.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", resp.Status, err)
	}
	return nil
}

// Stop is End for a test, which fails when something of the run is left.
func (s *System) Stop(t testing.TB) {
	t.Helper()
	if err := s.End(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("%s said:\n%s%s", s.Topology, s.out, s.logs())
	}
}

// End ends the run as Ctrl-C does. It is an error when something of it is left. A run that has been ended
// is left as it is.
func (s *System) End() error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", s.Topology, err)
	}
	var failure error
	select {
	case <-s.ended:
	case <-time.After(stopTime):
		failure = fmt.Errorf("%s did not stop within %v\n%s", s.Topology, stopTime, s.out)
		_ = s.cmd.Process.Kill() // it is reported already; this only cleans up
	}
	s.cmd = nil
	if left := s.Processes(); len(left) > 0 {
		failure = errors.Join(failure, fmt.Errorf("%s left processes: %v", s.Topology, left))
	}
	return failure
}

// Kill ends the run by SIGKILL of everything at once, as a power cut would.
//
// After it a run of the platform's goes on 20 s late: the scheduler of before holds a lease for so long (diagridio/go-etcd-cron,
// internal/leadership), and no workflow begins until the next one has it.
func (s *System) Kill(t testing.TB) { s.kill(t, func(string) bool { return false }) }

// KillApps ends apps and sidecars by SIGKILL. Placement and scheduler, which a cluster has elsewhere, end as they like to.
func (s *System) KillApps(t testing.TB) {
	s.kill(t, func(command string) bool {
		words := strings.Split(command, "\x00")
		return slices.Contains([]string{"placement", "scheduler"}, filepath.Base(words[0])) || len(words) > 1 && words[1] == "guard"
	})
}

// kill ends the run's processes but for those that are spared, by their commands; these end when devstack has.
func (s *System) kill(t testing.TB, spared func(command string) bool) {
	t.Helper()
	for _, pid := range s.Processes() {
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // it may have ended
		if spared(string(command)) {
			continue
		}
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended with the one before
	}
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.cmd = nil
	deadline := time.Now().Add(stopTime)
	for len(s.Processes()) > 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
}

// Processes are the ids of the processes whose environment or command names the run's folder. There are
// none where that cannot be seen: on other systems than Linux.
func (s *System) Processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
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
