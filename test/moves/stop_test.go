package moves

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/scenario"
	"github.com/tandemhq/tandem/test/system"
)

// TestSIGTERMLetsARequestInFlightFinish asks a process to stop in the middle of a request, as a cluster does. Readiness is seen to
// go off, then nothing new is taken; what was taken is answered, and the process ends in time, although what it sends traces to
// does not answer.
func TestSIGTERMLetsARequestInFlightFinish(t *testing.T) {
	system.NeedBinaries(t)
	const appID, stopTime = "integrations", 5 * time.Second
	silent, err := net.Listen("tcp", "127.0.0.1:0") // for the traces; it takes connections and no more
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := start(t, topology.Monolith, t.TempDir(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+silent.Addr().String())
	vars := map[string]string{}
	scenario.Play(t, s.Site, vars, scenario.Register(vars, "stopper"))
	process := s.Beside(t, "integrations="+appID+",*=platform", appID)
	address := strings.TrimPrefix(process.URL, "http://")

	body, rest := io.Pipe()
	answered := make(chan answer, 1)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer rest.Close()
	asking.Go(func() { answered <- connect(process.URL, vars["token"], body) })
	if _, err := io.WriteString(rest, `{"shop":"demo",`); err != nil {
		t.Fatal(err)
	}
	scenario.Play(t, s.Site, vars, []scenario.Step{{
		Name: "the request is in its handler", Method: http.MethodGet, Path: process.URL + "/metrics", Want: http.StatusOK, Within: 20 * time.Second,
		Contains: `tandem_http_in_flight{group="integrations"} 1`,
	}})

	told := time.Now()
	if err := process.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitUnready(t, s, process.URL)
	awaitRefused(t, address)
	select {
	case a := <-answered:
		t.Fatalf("answered before it was asked: %+v", a)
	case <-process.Ended:
		t.Fatalf("it has ended with a request in flight: %v", process.Cmd.ProcessState)
	default:
	}
	if _, err := io.WriteString(rest, `"access_token":"shpat_5ca1ab1e5ca1ab1e"}`); err != nil {
		t.Fatal(err)
	}
	rest.Close()
	a := <-answered
	var connection struct{ ID string }
	if err := errors.Join(a.err, json.Unmarshal(a.body, &connection)); err != nil || a.status != http.StatusCreated || a.by != appID || connection.ID == "" {
		t.Fatalf("the request in flight was answered %d by %q, %v: %s", a.status, a.by, err, a.body)
	}

	select {
	case <-process.Ended:
	case <-time.After(time.Until(told.Add(stopTime))):
		t.Fatalf("it has not ended after %v", stopTime)
	}
	if !process.Cmd.ProcessState.Success() {
		t.Errorf("it ended with %v", process.Cmd.ProcessState)
	}
	t.Logf("it ended %v after SIGTERM", time.Since(told).Round(time.Millisecond))
	scenario.Play(t, s.Site, vars, []scenario.Step{{
		Name: "what it answered is so", Method: http.MethodGet, Path: "/api/integrations/shopify/status", Want: http.StatusOK, Contains: connection.ID,
	}})
}

type answer struct {
	status int
	by     string
	body   []byte
	err    error
}

// connect connects a shop with a request whose body comes from a reader.
func connect(base, token string, body io.Reader) (a answer) {
	r, err := http.NewRequest(http.MethodPost, base+"/api/integrations/shopify/connect", body)
	if err != nil {
		return answer{err: err}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := (&http.Client{Timeout: time.Minute}).Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	a.status, a.by = resp.StatusCode, resp.Header.Get(call.HeaderServedBy)
	a.body, a.err = io.ReadAll(resp.Body)
	return a
}

// awaitUnready waits until a process says that it is not ready, because it is stopping.
func awaitUnready(t *testing.T, s *system.System, base string) {
	t.Helper()
	eventually.Succeeds(t, 10*time.Second, "readiness goes off", func() error {
		resp, err := ask(t.Context(), s.HTTP, base+"/readyz", "")
		if err != nil {
			t.Fatalf("readiness is gone before it was seen off: %v", err)
		}
		defer resp.Body.Close()
		var health host.Health
		if err := json.NewDecoder(resp.Body).Decode(&health); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(health.Checks["groups"], "stopping") {
			return fmt.Errorf("readiness is %s, %+v", resp.Status, health)
		}
		return nil
	})
}

// awaitRefused waits until nothing listens at an address any more.
func awaitRefused(t *testing.T, address string) {
	t.Helper()
	eventually.Succeeds(t, 10*time.Second, "connections are refused", func() error {
		conn, err := net.Dial("tcp", address)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
		if err == nil {
			err = errors.Join(errors.New("it was taken"), conn.Close())
		}
		return err
	})
}
