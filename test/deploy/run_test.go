package deploy

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/daprtest"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/test/system"
)

// The command lines, environment and components of the monolith's compose file, run as processes. What differs from containers: ports
// and addresses, documents and Dapr state on SQLite in the place of MongoDB and PostgreSQL.
func TestComposeFileRunsWithoutContainers(t *testing.T) {
	system.NeedBinaries(t)
	values := settings(t)
	for i, key := range []string{"SERVICE_TOKEN_KEY", "ACCESS_TOKEN_KEY", "AUTH_SEALING_KEY", "CREDENTIALS_KEY"} {
		values[key] = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(i + 1)}, 32))
	}
	values["TANDEM_API_URL"], values["TANDEM_WEB_URL"] = "http://localhost:8000", "http://localhost:8000"
	values["TANDEM_CLIENT_IDS"] = ""
	broker, control := daprtest.StartBroker(t), daprtest.StartControlPlane(t)
	values["NATS_TOKEN"] = broker.Token
	compose := composed(t, values)[0]
	app, sidecar := compose.Services["platform"], compose.Services["platform-dapr"]

	placement, scheduler := control.Addresses()
	port := func() string { return strconv.Itoa(daprtest.Port(t)) }
	appPort, httpPort, grpcPort := port(), port(), port()

	environ := os.Environ()
	for name, value := range app.Environment {
		environ = append(environ, name+"="+value)
	}
	environ = append(environ, "TANDEM_LISTEN=127.0.0.1", "APP_PORT="+appPort, "DAPR_HTTP_PORT="+httpPort, "DAPR_GRPC_PORT="+grpcPort,
		"MONGO_URL=", "TANDEM_DATA="+t.TempDir(), "OTEL_EXPORTER_OTLP_ENDPOINT=")
	platform := func(arguments ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(system.Repository(), "bin/platform"), arguments...)
		c.Env = environ
		return c
	}
	var log bytes.Buffer
	process := platform("serve")
	process.Stdout, process.Stderr = &log, &log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Signal(syscall.SIGTERM)
		if err := process.Wait(); err != nil {
			t.Errorf("the platform did not end well: %v", err)
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})

	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(system.Repository(), "deploy/docker/monolith"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "resources/state-postgresql.yaml"), []byte(daprtest.State(filepath.Join(folder, "state.db"))), 0o600); err != nil {
		t.Fatal(err)
	}
	// There is no name server that knows the containers.
	configuration := filepath.Join(folder, "configuration.yaml")
	named := strings.Replace(string(read(t, "deploy/docker/monolith/configuration.yaml")), `"{{.ID}}:{{.Port}}"`, `"127.0.0.1:{{.Port}}"`, 1)
	if err := os.WriteFile(configuration, []byte(named), 0o600); err != nil {
		t.Fatal(err)
	}
	moved := map[string]string{
		"app-port": appPort, "dapr-http-port": httpPort, "dapr-grpc-port": grpcPort, "dapr-internal-grpc-port": port(), "metrics-port": port(),
		"placement-host-address": placement, "scheduler-host-address": scheduler,
		"resources-path": filepath.Join(folder, "resources"), "config": configuration,
	}
	if sidecar.Command[0] != "./daprd" {
		t.Fatalf("the sidecar's command is %q", sidecar.Command)
	}
	arguments := append([]string(nil), sidecar.Command[1:]...)
	for i, argument := range arguments {
		name, _, _ := strings.Cut(strings.TrimPrefix(argument, "--"), "=")
		if value, moves := moved[name]; moves {
			arguments[i] = "--" + name + "=" + value
			delete(moved, name)
		}
	}
	if len(moved) > 0 {
		t.Fatalf("the sidecar's command lacks %v", moved)
	}
	sidecarEnviron := []string{"DAPR_HOST_IP=127.0.0.1"}
	for name, value := range sidecar.Environment {
		sidecarEnviron = append(sidecarEnviron, name+"="+value)
	}
	daprtest.Launch(t, "daprd", arguments, append(sidecarEnviron, "nats-url="+broker.URL, "OTEL_EXPORTER_OTLP_ENDPOINT=")...)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	eventually.Succeeds(t, 25*time.Second, "the platform is healthy", func() error { return platform("healthcheck").Run() })

	answer := func(path, token string) (int, []byte) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+appPort+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, body.Bytes()
	}
	// The key comes from the environment of the sidecar, through its component secrets.
	var keys struct{ Keys []json.RawMessage }
	if status, body := answer("/api/auth/jwks", ""); status != http.StatusOK || json.Unmarshal(body, &keys) != nil || len(keys.Keys) == 0 {
		t.Errorf("public keys: %d %s", status, body)
	}
	if status, _ := answer("/metrics", ""); status != http.StatusUnauthorized {
		t.Errorf("metrics without the token: %d", status)
	}
	if status, _ := answer("/metrics", values["TANDEM_METRICS_TOKEN"]); status != http.StatusOK {
		t.Errorf("metrics with the token: %d", status)
	}
}
