package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/tandemhq/tandem/apps/devstack/internal/process"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/skip"
)

// The tests run the real Dapr CLI, sidecar, placement and scheduler in a repository of their own, on ports
// of their own. The test binary is its bin/devstack and, as an application, its bin/platform.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "devstack":
		main()
		os.Exit(0)
	case "platform":
		application()
	}
	nextPort.Store(int32(20000 + 40*rand.IntN(150)))
	os.Exit(m.Run())
}

// application is ready when a child of it, which is seen to run, has ended: what an application starts may
// end as it likes.
func application() {
	if slices.Contains(os.Args, "child") {
		time.Sleep(600 * time.Millisecond) // two looks of the launcher
		os.Exit(0)
	}
	if err := exec.Command(os.Args[0], "child").Run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	http.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	fmt.Println("serving on", os.Getenv("APP_PORT"))
	fmt.Println(http.ListenAndServe("127.0.0.1:"+os.Getenv("APP_PORT"), nil))
	os.Exit(1)
}

// parts is what runs while everything is up: CLI, two sidecars, two applications, guard, placement,
// scheduler.
var parts = []string{"dapr", "daprd", "daprd", "devstack", "devstack", "placement", "platform", "scheduler"}

func TestCtrlCInATerminalLeavesNothing(t *testing.T) {
	r := newRepository(t)
	run := r.inTerminal(t, "run", "-f", "dapr/tiny.yaml")
	run.await(t, "Ctrl-C stops it.")
	for _, want := range []string{
		fmt.Sprintf("API       http://localhost:%d", r.appPort), fmt.Sprintf("Inbox     http://localhost:%d/inbox", r.base),
		"Tandem runs (tiny): 2 apps", "devstack is starting", "platform         ready after",
	} {
		if !strings.Contains(run.text(), want) {
			t.Errorf("the progress lacks %q:\n%s", want, run.text())
		}
	}
	if got := names(r.running(t)); !slices.Equal(got, parts) {
		t.Errorf("running: %q, want %q", got, parts)
	}
	nothingListensBeyondLoopback(t, r.running(t))
	tokensAreSet(t, r)

	run.press(t, "\x03")
	if code := run.wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, run.text())
	}
	if left := r.running(t); len(left) != 0 {
		t.Errorf("left running: %q\n%s", names(left), run.text())
	}
	if !strings.Contains(run.text(), "nothing is left running") {
		t.Errorf("the last words: %s", run.text())
	}
	r.controlPlaneStoppedGracefully(t)
}

func TestCtrlCWhileStartingLeavesNothing(t *testing.T) {
	r := newRepository(t)
	run := r.inTerminal(t, "run", "-f", "dapr/tiny.yaml")
	run.await(t, "devstack is starting")
	run.press(t, "\x03")
	if code := run.wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, run.text())
	}
	if left := r.running(t); len(left) != 0 {
		t.Errorf("left running: %q\n%s", names(left), run.text())
	}
}

func TestStopEndsWhatAKilledRunLeft(t *testing.T) {
	r := newRepository(t, "TANDEM_END_WITH_PARENT=false")
	foreign := r.start(t, "platform", "APP_PORT=0", "TANDEM_RUN=/of/another/run")
	run := r.inTerminal(t, "run", "-f", "dapr/tiny.yaml")
	run.await(t, "Ctrl-C stops it.")
	// As if both had been killed at once: neither ends what the other started.
	if err := run.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for _, p := range r.running(t) {
		if p.Name() == "dapr" {
			kill(t, p.PID)
		}
	}
	kill(t, run.cmd.Process.Pid)
	run.wait(t)
	if left := names(r.running(t)); !slices.Contains(left, "devstack") || !slices.Contains(left, "platform") {
		t.Fatalf("nothing to stop: %q", left)
	}

	said := r.do(t, "stop")
	for _, want := range []string{"ended devstack", "ended platform"} {
		if !strings.Contains(said, want) {
			t.Errorf("stop does not say %q: %s", want, said)
		}
	}
	if left := r.running(t); len(left) != 0 {
		t.Errorf("left running: %q", names(left))
	}
	if syscall.Kill(foreign, 0) != nil {
		t.Error("stop ended a process of another run")
	}
	r.controlPlaneStoppedGracefully(t)
	if said := r.do(t, "stop"); !strings.Contains(said, "nothing is left running") {
		t.Errorf("the second stop: %s", said)
	}
}

func TestStopEndsARunOfAnotherTerminal(t *testing.T) {
	r := newRepository(t)
	run := r.inTerminal(t, "run", "-f", "dapr/tiny.yaml")
	run.await(t, "Ctrl-C stops it.")
	said := r.do(t, "stop")
	if code := run.wait(t); code != 0 || !strings.Contains(said, "stopping the run of process") {
		t.Errorf("exit code %d, stop says %s", code, said)
	}
	if left := r.running(t); len(left) != 0 {
		t.Errorf("left running: %q", names(left))
	}
}

func TestWhatDiesIsNamedAndEndsTheRun(t *testing.T) {
	for _, test := range []struct {
		program string
		wants   []string
	}{
		{"platform", []string{"platform has ended", "serving on", "signal: killed", "platform_app_"}},
		{"daprd", []string{"the sidecar of devstack has ended", "devstack_daprd_"}},
		{"dapr", []string{"the Dapr CLI has ended (signal: killed)", "dapr.log"}},
		{"scheduler", []string{"devstack has ended", "scheduler ended (signal: killed)", "scheduler.log"}},
	} {
		t.Run(test.program, func(t *testing.T) {
			r := newRepository(t)
			run := r.inTerminal(t, "run", "-f", "dapr/tiny.yaml")
			run.await(t, "Ctrl-C stops it.")
			running := r.running(t)
			kill(t, running[slices.IndexFunc(running, func(p process.Process) bool { return p.Name() == test.program })].PID)
			if code := run.wait(t); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			for _, want := range test.wants {
				if !strings.Contains(run.text(), want) {
					t.Errorf("it does not say %q:\n%s", want, run.text())
				}
			}
			if left := r.running(t); len(left) != 0 {
				t.Errorf("left running: %q", names(left))
			}
		})
	}
}

func TestTakenPortsAreNamedBeforeAnythingStarts(t *testing.T) {
	r := newRepository(t)
	taken, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(r.appPort))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	run := r.inTerminal(t, "run", "-f", "dapr/tiny.yaml")
	if code := run.wait(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	want := fmt.Sprintf("%d, for platform, by %s (process %d)", r.appPort, filepath.Base(os.Args[0]), os.Getpid())
	if !strings.Contains(run.text(), want) || strings.Contains(run.text(), "is starting") {
		t.Errorf("it says %s, want %s", run.text(), want)
	}
}

func TestDependenciesThatAreKeptOutliveRuns(t *testing.T) {
	r := newRepository(t, "TANDEM_DEVSTACK_PORT=") // set below
	r.environment = append(r.environment, "TANDEM_DEVSTACK_PORT="+strconv.Itoa(r.base))
	t.Cleanup(func() { r.do(t, "down") })
	r.do(t, "up")
	if said := r.do(t, "up"); !strings.Contains(said, "until make down") {
		t.Errorf("the second up: %s", said)
	}
	kept := r.health(t)

	run := r.inTerminal(t, "run", "-f", "dapr/tiny.yaml")
	run.await(t, "Ctrl-C stops it.")
	run.press(t, "\x03")
	if code := run.wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, run.text())
	}
	r.do(t, "stop")
	if now := r.health(t); now != kept {
		t.Errorf("devstack was %s and is %s", kept, now)
	}
	said := r.do(t, "down")
	for _, want := range []string{"ended devstack", "ended placement", "ended scheduler"} {
		if !strings.Contains(said, want) {
			t.Errorf("down does not say %q: %s", want, said)
		}
	}
	r.controlPlaneStoppedGracefully(t)
}

func TestCommandLine(t *testing.T) {
	for _, arguments := range [][]string{nil, {"dance"}} {
		if err := command(t.Context(), arguments); err == nil || !strings.Contains(err.Error(), "devstack serve") {
			t.Errorf("%q: %v, want the usage", arguments, err)
		}
	}
	if err := command(t.Context(), []string{"stop", "--no-such"}); err == nil {
		t.Error("an unknown flag was accepted")
	}
}

// repository is a repository with a run file, programs and data of its own.
type repository struct {
	root        string
	base        int // devstack's first port
	appPort     int
	environment []string
}

// newRepository makes one and lets the test run beside others: it waits more than it works.
func newRepository(t *testing.T, environment ...string) *repository {
	t.Helper()
	t.Parallel()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &repository{root: root, base: freePorts(t, 40)}
	r.appPort = r.base + 12
	r.environment = append(slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "TANDEM_") || strings.HasPrefix(entry, "DAPR") || strings.HasPrefix(entry, "APP_")
	}), environment...)

	built, err := filepath.Abs(filepath.Join("..", "..", ".dapr", "bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"dapr", "daprd", "placement", "scheduler"} {
		if _, err := os.Stat(filepath.Join(built, program)); err != nil {
			skip.Missing(t, fmt.Sprintf("the launcher is not tested: %v (make build builds it)", err))
		}
		link(t, filepath.Join(built, program), filepath.Join(root, ".dapr", "bin", program))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link(t, self, filepath.Join(root, "bin", "devstack"))
	link(t, self, filepath.Join(root, "bin", "platform"))
	write(t, filepath.Join(root, "dapr", "runtime", "go.mod"), "module runtime\n")
	write(t, filepath.Join(root, "dapr", "resources", "none.yaml"), "# none\n")
	write(t, filepath.Join(root, "dapr", "configuration.yaml"), `apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: tiny
spec:
  nameResolution:
    component: sqlite
    configuration:
      connectionString: ":memory:"
`)
	endWithParent := "true"
	if slices.Contains(environment, "TANDEM_END_WITH_PARENT=false") {
		endWithParent = "false"
	}
	sidecar := func(first int) string {
		return fmt.Sprintf("    daprHTTPPort: %d\n    daprGRPCPort: %d\n    daprInternalGRPCPort: %d\n    metricsPort: %d\n",
			first, first+1, first+2, first+3)
	}
	write(t, filepath.Join(root, "dapr", "tiny.yaml"), fmt.Sprintf(`version: 1
name: tandem-tiny
common:
  configFilePath: configuration.yaml
  resourcesPaths: [resources]
  apiListenAddresses: 127.0.0.1
  placementHostAddress: 127.0.0.1:%[3]d
  schedulerHostAddress: 127.0.0.1:%[4]d
  logLevel: warn
  daprdLogDestination: file
  appLogDestination: file
  env:
    TANDEM_END_WITH_PARENT: "%[5]s"
apps:
  - appID: devstack
    appDirPath: ..
    appPort: %[1]d
%[6]s    placementHostAddress: ""
    command: ["./bin/devstack", "serve"]
    env:
      TANDEM_DATA: .tandem
      TANDEM_DEVSTACK_PORT: "%[1]d"
  - appID: platform
    appDirPath: ..
    appPort: %[2]d
%[7]s    command: ["./bin/platform", "serve"]
    env:
      TANDEM_GATEWAY: "true"
`, r.base, r.appPort, r.base+3, r.base+6, endWithParent, sidecar(r.base+20), sidecar(r.base+30)))
	t.Cleanup(func() {
		for _, p := range r.running(t) { // after a failure
			_ = p.Signal(syscall.SIGKILL)
		}
		if t.Failed() {
			r.printLogs(t)
		}
	})
	return r
}

// running lists the processes of this repository, this test's own run of them only.
func (r *repository) running(t *testing.T) []process.Process {
	t.Helper()
	all, err := process.List()
	if err != nil {
		t.Fatal(err)
	}
	var own []process.Process
	for _, p := range all {
		if strings.HasPrefix(p.Program, r.root+"/") && p.Variable("TANDEM_RUN") == filepath.Join(r.root, ".tandem") {
			own = append(own, p)
		}
	}
	slices.SortStableFunc(own, func(a, b process.Process) int { return strings.Compare(a.Name(), b.Name()) })
	return own
}

func names(processes []process.Process) []string {
	var list []string
	for _, p := range processes {
		list = append(list, p.Name())
	}
	return list
}

func (r *repository) command(arguments ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(r.root, "bin", "devstack"), arguments...)
	cmd.Dir, cmd.Env = r.root, r.environment
	return cmd
}

// do runs a devstack command that must succeed and returns what it says.
func (r *repository) do(t *testing.T, arguments ...string) string {
	t.Helper()
	said, err := r.command(arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("devstack %s: %v\n%s", strings.Join(arguments, " "), err, said)
	}
	return string(said)
}

// start starts one of the repository's programs outside every run.
func (r *repository) start(t *testing.T, program string, environment ...string) (pid int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(r.root, "bin", program))
	cmd.Dir, cmd.Env = r.root, append(r.environment, environment...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

func (r *repository) health(t *testing.T) string {
	t.Helper()
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", r.base))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func (r *repository) controlPlaneStoppedGracefully(t *testing.T) {
	t.Helper()
	for _, service := range []string{"placement", "scheduler"} {
		log, err := os.ReadFile(filepath.Join(r.root, ".tandem", "logs", service+".log"))
		if err != nil || !bytes.Contains(log, []byte("dapr-"+service+" has stopped")) {
			t.Errorf("%s did not stop gracefully (%v): %s", service, err, log)
		}
	}
}

func (r *repository) printLogs(t *testing.T) {
	for _, pattern := range []string{".tandem/logs/*.log", ".dapr/logs/*.log"} {
		files, err := filepath.Glob(filepath.Join(r.root, pattern))
		if err != nil {
			t.Error(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			t.Logf("%s (%v):\n%s", file, err, content[max(0, len(content)-2000):])
		}
	}
}

func tokensAreSet(t *testing.T, r *repository) {
	t.Helper()
	tokens := map[string]bool{}
	for _, p := range r.running(t) {
		if p.Name() == "daprd" || p.Name() == "platform" {
			tokens[p.Variable("APP_API_TOKEN")+" "+p.Variable("DAPR_API_TOKEN")] = true
		}
	}
	if len(tokens) != 1 || tokens[" "] {
		t.Errorf("sidecars and applications have %d pairs of tokens, want one: %v", len(tokens), tokens)
	}
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/v1.0/metadata", r.base+30))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("the sidecar answers %s without a token", response.Status)
	}
}

// terminal is a program in a pseudo-terminal.
type terminal struct {
	cmd  *exec.Cmd
	file *os.File
	done chan struct{}

	mu   sync.Mutex
	said strings.Builder
}

func (r *repository) inTerminal(t *testing.T, arguments ...string) *terminal {
	t.Helper()
	run := &terminal{cmd: r.command(arguments...), done: make(chan struct{})}
	var err error
	if run.file, err = pty.Start(run.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(run.done)
		buffer := make([]byte, 4096)
		for {
			n, err := run.file.Read(buffer)
			run.mu.Lock()
			run.said.Write(buffer[:n])
			run.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = run.cmd.Process.Kill()
		_ = run.cmd.Wait()
		_ = run.file.Close()
		<-run.done
	})
	return run
}

func (c *terminal) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said.String()
}

func (c *terminal) await(t *testing.T, text string) {
	t.Helper()
	eventually.Succeeds(t, 60*time.Second, fmt.Sprintf("%q", text), func() error {
		ended := false
		select {
		case <-c.done:
			ended = true
		default:
		}
		said := c.text() // after the look at its end, before which all was said
		if strings.Contains(said, text) {
			return nil
		}
		if ended {
			t.Fatalf("it has ended without %q:\n%s", text, said)
		}
		return errors.New(said)
	})
}

func (c *terminal) press(t *testing.T, key string) {
	t.Helper()
	if _, err := c.file.WriteString(key); err != nil {
		t.Fatal(err)
	}
}

// wait returns the exit code once the program has ended, -1 for a kill.
func (c *terminal) wait(t *testing.T) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })
	defer stop()
	err := c.cmd.Wait()
	if ctx.Err() != nil {
		t.Fatalf("it does not end within 60 s:\n%s", c.text())
	}
	<-c.done // everything it said
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.cmd.ProcessState.ExitCode()
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Link(from, to) == nil {
		return
	}
	content, err := os.ReadFile(from) // another file system
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// nextPort is where the next test looks for ports; tests that run side by side must not find the same.
var nextPort atomic.Int32

// freePorts finds a row of ports below those the system hands out.
func freePorts(t *testing.T, count int) int {
	t.Helper()
	for range 100 {
		if first := int(nextPort.Add(int32(count))); free(first, count) {
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

func free(first, count int) bool {
	for port := first; port < first+count; port++ {
		listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			return false
		}
		if err := listener.Close(); err != nil {
			return false
		}
	}
	return true
}
