// Package daprtest runs the real Dapr for a test: sidecars with an app behind them, the control plane that workflows and
// schedules need, and an event broker in the test's own process. Everything listens on loopback and ends with the test.
//
// The binaries are those that `make build` puts in .dapr/bin. Where they are missing the test is skipped, with a loud
// line; where the environment says CI=true it fails.
package daprtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/tandemhq/tandem/pkg/skip"
	"github.com/tandemhq/tandem/pkg/subprocess"
)

// startTime bounds how long a process may take to answer.
const startTime = 60 * time.Second

// Binary is the path of one of Dapr's binaries. It skips the test when it has not been built.
func Binary(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			break
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		err = errors.New("no go.mod above the working directory")
	}
	path := filepath.Join(dir, ".dapr", "bin", name)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		skip.Missing(t, fmt.Sprintf("on real Dapr: %s is not built (make build): %v", name, err))
	}
	return path
}

// Ports come from below the range that systems hand out by themselves, so that nothing takes one between the look and the
// use. Each test process begins at a place of its own.
const (
	firstPort = 18000
	portCount = 1000
)

var nextPort atomic.Uint32

// Port is a TCP port on loopback that nothing listens on.
func Port(t testing.TB) int {
	t.Helper()
	for range portCount {
		offset := (uint32(os.Getpid())*37 + nextPort.Add(1)) % portCount
		port := firstPort + int(offset)
		listener, err := net.Listen("tcp", address(port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatalf("no free port from %d to %d", firstPort, firstPort+portCount-1)
	return 0
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Launch runs one of Dapr's binaries until Kill or the end of the test; a test that failed shows the end of its log.
func Launch(t testing.TB, name string, args []string, env ...string) *subprocess.Process {
	t.Helper()
	cmd := exec.Command(Binary(t, name), args...)
	cmd.Env = append(os.Environ(), env...)
	return subprocess.Start(t, cmd, filepath.Join(t.TempDir(), name+".log"), 0)
}

// answers is an error unless url answers with a success.
func answers(t testing.TB, url string) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		answer, err := plain.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		_, _ = io.Copy(io.Discard, answer.Body)
		if answer.StatusCode >= 300 {
			return fmt.Errorf("%s: %s", url, answer.Status)
		}
		return nil
	}
}

// plain keeps no connection, so that none outlives a test.
var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ControlPlane is placement and scheduler, which workflows and schedules need.
type ControlPlane struct {
	Placement, Scheduler         *subprocess.Process
	placementPort, schedulerPort int
}

// StartControlPlane starts both with empty stores.
func StartControlPlane(t testing.TB) *ControlPlane {
	t.Helper()
	c := &ControlPlane{placementPort: Port(t), schedulerPort: Port(t)}
	health := Port(t)
	c.Placement = Launch(t, "placement", []string{
		"--listen-address", "127.0.0.1", "--port", strconv.Itoa(c.placementPort),
		"--healthz-listen-address", "127.0.0.1", "--healthz-port", strconv.Itoa(health),
		"--initial-cluster", "dapr-placement-0=" + address(Port(t)),
		"--enable-metrics=false", "--tls-enabled=false",
	})
	c.Placement.Await(t, answers(t, "http://"+address(health)+"/healthz"))
	c.startScheduler(t, t.TempDir())
	return c
}

// Addresses are where sidecars find placement and the scheduler.
func (c *ControlPlane) Addresses() (placement, scheduler string) {
	return address(c.placementPort), address(c.schedulerPort)
}

func (c *ControlPlane) startScheduler(t testing.TB, dir string) {
	t.Helper()
	health := Port(t)
	c.Scheduler = Launch(t, "scheduler", []string{
		"--listen-address", "127.0.0.1", "--port", strconv.Itoa(c.schedulerPort),
		"--healthz-listen-address", "127.0.0.1", "--healthz-port", strconv.Itoa(health),
		"--override-broadcast-host-port", address(c.schedulerPort),
		"--etcd-client-listen-address", "127.0.0.1", "--etcd-client-port", strconv.Itoa(Port(t)),
		"--etcd-initial-cluster", "dapr-scheduler-server-0=http://" + address(Port(t)),
		"--etcd-data-dir", dir, "--enable-metrics=false", "--tls-enabled=false",
	})
	c.Scheduler.Await(t, answers(t, "http://"+address(health)+"/healthz"))
}

// Options say what a sidecar is for.
type Options struct {
	// AppID is the Dapr application.
	AppID string
	// App answers what the sidecar asks; nil for a sidecar without an app.
	App http.Handler
	// AppPort is where an app that the test runs itself listens; App is nil then. Zero for neither.
	AppPort int
	// Resources are the YAML of components, resiliency and so on.
	Resources []string
	// Config is the spec of a Configuration, as YAML indented by two spaces, beside the name resolution in a file.
	Config string
	// ControlPlane is needed for workflows and schedules.
	ControlPlane *ControlPlane
}

// configuration resolves names by a file: the default, multicast, reaches beyond this machine.
const configuration = `apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: test
spec:
  nameResolution:
    component: sqlite
    configuration:
      connectionString: %q
`

// Sidecar is a running daprd.
type Sidecar struct {
	*subprocess.Process
	// Client speaks to it over gRPC.
	Client dapr.Client
	// Conn is the connection of Client.
	Conn *grpc.ClientConn
	// HTTPPort and GRPCPort are those of its API.
	HTTPPort, GRPCPort int

	options  Options
	dir      string
	internal int
	appPort  int
}

// Start runs a sidecar, with the app in this process when there is one, and waits until it answers.
func Start(t testing.TB, o Options) *Sidecar {
	t.Helper()
	Binary(t, "daprd")
	s := &Sidecar{options: o, dir: t.TempDir(), HTTPPort: Port(t), GRPCPort: Port(t), internal: Port(t), appPort: o.AppPort}
	for i, text := range o.Resources {
		write(t, filepath.Join(s.dir, "resources", fmt.Sprintf("%d.yaml", i)), text)
	}
	write(t, filepath.Join(s.dir, "config.yaml"), fmt.Sprintf(configuration, filepath.Join(s.dir, "names.db"))+o.Config)
	if o.App != nil {
		s.appPort = Serve(t, o.App)
	}
	conn, err := grpc.NewClient(address(s.GRPCPort), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	s.Conn, s.Client = conn, dapr.NewClientWithConnection(conn)
	t.Cleanup(func() { _ = conn.Close() })
	s.Restart(t)
	return s
}

// Restart runs the sidecar again, on the same ports and with the same resources, after Kill.
func (s *Sidecar) Restart(t testing.TB) {
	t.Helper()
	if s.Process != nil {
		s.Kill()
	}
	args := []string{
		"--app-id", s.options.AppID, "--resources-path", filepath.Join(s.dir, "resources"),
		"--config", filepath.Join(s.dir, "config.yaml"), "--dapr-listen-addresses", "127.0.0.1",
		"--dapr-http-port", strconv.Itoa(s.HTTPPort), "--dapr-grpc-port", strconv.Itoa(s.GRPCPort),
		"--dapr-internal-grpc-port", strconv.Itoa(s.internal), "--enable-metrics=false", "--log-level", "info",
		"--dapr-graceful-shutdown-seconds", "1",
	}
	health := "/v1.0/healthz/outbound"
	if s.appPort != 0 {
		args = append(args, "--app-port", strconv.Itoa(s.appPort))
		health = "/v1.0/healthz"
	}
	if c := s.options.ControlPlane; c != nil {
		args = append(args, "--placement-host-address", address(c.placementPort), "--scheduler-host-address", address(c.schedulerPort))
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "resources"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.Process = Launch(t, "daprd", args, "DAPR_HOST_IP=127.0.0.1")
	s.Await(t, answers(t, "http://"+address(s.HTTPPort)+health))
}

// Serve answers with handler on a port of loopback until the test ends.
func Serve(t testing.TB, handler http.Handler) int {
	t.Helper()
	port := Port(t)
	listener, err := net.Listen("tcp", address(port))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // closed below
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return port
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
