package system

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tandemhq/tandem/pkg/subprocess"
)

// Home is a process of the platform that was started beside a run, with a sidecar of its own.
type Home struct {
	// URL is the base URL of the process's own port.
	URL string
	*subprocess.Process

	sidecar *subprocess.Process
}

// Stop ends the process and its sidecar by SIGTERM at the same time, as a cluster ends a pod. The test fails when the process does
// not end well.
func (h *Home) Stop(t testing.TB) {
	t.Helper()
	for _, p := range []*subprocess.Process{h.Process, h.sidecar} {
		if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatalf("stop %s: %v", p.Cmd.Path, err)
		}
	}
	for _, p := range []*subprocess.Process{h.Process, h.sidecar} {
		select {
		case <-p.Ended:
		case <-time.After(stopTime):
			t.Fatalf("%s did not end within %v", h.URL, stopTime)
		}
	}
	if code := h.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("%s ended with %d", h.URL, code)
	}
}

// runFile is what Beside reads of a run file.
type runFile struct {
	Common struct {
		Placement string            `yaml:"placementHostAddress"`
		Scheduler string            `yaml:"schedulerHostAddress"`
		Env       map[string]string `yaml:"env"`
	} `yaml:"common"`
	Apps []runApp `yaml:"apps"`
}

type runApp struct {
	ID           string            `yaml:"appID"`
	Port         int               `yaml:"appPort"`
	HTTPPort     int               `yaml:"daprHTTPPort"`
	GRPCPort     int               `yaml:"daprGRPCPort"`
	InternalPort int               `yaml:"daprInternalGRPCPort"`
	MetricsPort  int               `yaml:"metricsPort"`
	Command      []string          `yaml:"command"`
	Env          map[string]string `yaml:"env"`
}

// Beside starts one app of another topology, in the form of TANDEM_TOPOLOGY, beside the run and on its data, as the new home of
// groups is started before they move: with the files that are rendered for that topology, and the environment of the run. It
// waits until the app is ready. Both processes end with the test, at the latest.
func (s *System) Beside(t testing.TB, homes, app string) *Home {
	t.Helper()
	const name = "beside"
	if err := s.render(t.Context(), "--topology", homes, "--name", name); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(s.Dir, "dapr")
	common, a, err := readApp(filepath.Join(folder, name+".yaml"), app)
	if err != nil {
		t.Fatal(err)
	}
	number := func(port int) string { return strconv.Itoa(port) }

	sidecar := exec.Command(filepath.Join(Repository(), ".dapr/bin/daprd"),
		"--app-id", a.ID, "--app-port", number(a.Port), "--dapr-listen-addresses", "127.0.0.1",
		"--dapr-http-port", number(a.HTTPPort), "--dapr-grpc-port", number(a.GRPCPort),
		"--dapr-internal-grpc-port", number(a.InternalPort), "--metrics-port", number(a.MetricsPort),
		"--resources-path", filepath.Join(folder, name, "resources"), "--config", filepath.Join(folder, name, "configuration.yaml"),
		"--placement-host-address", common.Common.Placement, "--scheduler-host-address", common.Common.Scheduler)
	sidecar.Env = append(os.Environ(), "DAPR_HOST_IP=127.0.0.1")
	h := &Home{URL: "http://127.0.0.1:" + number(a.Port), sidecar: s.launch(t, "sidecar-"+a.ID, sidecar)}
	program := exec.Command(a.Command[0], a.Command[1:]...)
	program.Env = append(os.Environ(), "APP_ID="+a.ID, "APP_PORT="+number(a.Port),
		"DAPR_HTTP_PORT="+number(a.HTTPPort), "DAPR_GRPC_PORT="+number(a.GRPCPort))
	for _, env := range []map[string]string{common.Common.Env, a.Env} {
		for name, value := range env {
			program.Env = append(program.Env, name+"="+value)
		}
	}
	program.Env = append(program.Env, s.environ()...)
	h.Process = s.launch(t, a.ID, program)
	s.awaitHome(t, h)
	return h
}

func readApp(path, id string) (file runFile, a runApp, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, &file)
	}
	if err != nil {
		return runFile{}, runApp{}, fmt.Errorf("read the run file: %w", err)
	}
	for _, a := range file.Apps {
		if a.ID == id {
			return file, a, nil
		}
	}
	return runFile{}, runApp{}, fmt.Errorf("the run file %s has no app %q", path, id)
}

// launch starts cmd with its output among the run's logs.
func (s *System) launch(t testing.TB, name string, cmd *exec.Cmd) *subprocess.Process {
	t.Helper()
	cmd.Dir = s.Dir
	return subprocess.Start(t, cmd, filepath.Join(s.Dir, "data/logs", name+".log"), 0)
}

func (s *System) awaitHome(t testing.TB, h *Home) {
	t.Helper()
	h.Await(t, func() error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := s.HTTP.Do(r)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}
