package moves

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/render"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/scenario"
	"github.com/tandemhq/tandem/test/system"
)

// TestGroupsMoveWhileTheyAreUsed does what docs/split.md says: it moves two groups, one that calls the other and takes its events,
// out of a running monolith into a process beside it, by a change of the topology file and nothing else, and back again, when the
// process beside is stopped. A sync, a stream and other requests are under way meanwhile.
func TestGroupsMoveWhileTheyAreUsed(t *testing.T) {
	system.NeedBinaries(t)
	const before, after = "*=platform", "integrations=insights,analytics=insights,*=platform"
	const oldHome, newHome = "platform", "insights"
	dir := t.TempDir()
	file := filepath.Join(dir, "topology")
	write(t, file, before)
	s := start(t, topology.Monolith, dir, "TANDEM_TOPOLOGY_FILE="+file)
	vars := map[string]string{"shop": "demo"}
	scenario.Play(t, s.Site, vars, scenario.Register(vars, "mover"))
	scenario.Play(t, s.Site, vars, scenario.Connect())
	beside := s.Beside(t, after, newHome)

	limit(t, s, 1200, 300) // slow enough that the move comes in the middle
	scenario.Play(t, s.Site, vars, []scenario.Step{scenario.StartSync("backfill")})
	backfill := vars["run"]
	run, records, dashboard := "/api/integrations/sync/runs/"+backfill, "/api/integrations/records/orders?limit=5", scenario.DashboardOfAll
	leave := visit(t, s, vars["token"], map[string][]string{
		s.API + run:            {oldHome, newHome},
		s.API + records:        {oldHome, newHome},
		s.API + dashboard:      {oldHome, newHome},
		s.API + "/api/auth/me": {oldHome},
		beside.URL + dashboard: {newHome},
	})
	stream, err := ask(t.Context(), &http.Client{}, s.API+run+"/events", vars["token"])
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	scenario.Play(t, s.Site, vars, []scenario.Step{scenario.SyncHasBegun()})

	write(t, file, after)
	moved := time.Now()
	for _, path := range []string{run, records, dashboard} {
		awaitServedBy(t, s, path, vars["token"], newHome)
	}
	t.Logf("the new home answers %v after the change of the file", time.Since(moved).Round(10*time.Millisecond))
	scenario.Play(t, s.Site, vars, []scenario.Step{
		{Name: "the sync is still under way", Method: http.MethodGet, Path: run, Want: http.StatusOK, Has: map[string]any{"status": "running"}},
		{Name: "no more throttling", Method: http.MethodDelete, Path: s.Devstack + "/sandbox/shopify/demo.myshopify.com/limits", Want: http.StatusNoContent},
	})
	scenario.Play(t, s.Site, vars, scenario.SyncEnds(s.Orders))
	if s.Orders {
		scenario.Play(t, s.Site, vars, scenario.Dashboards())
	}
	leave()
	events, err := io.ReadAll(stream.Body)
	if by := stream.Header.Get(call.HeaderServedBy); err != nil || by != oldHome || !strings.Contains(string(events), `"status":"succeeded"`) {
		t.Errorf("the stream that was open during the move is served by %q and ends with %v: %s", by, err, events)
	}

	scenario.Play(t, s.Site, vars, scenario.Sync("incremental"))
	incremental := vars["run"]

	limit(t, s, 1200, 300)
	scenario.Play(t, s.Site, vars, []scenario.Step{scenario.StartSync("backfill"), scenario.SyncHasBegun()})
	run = "/api/integrations/sync/runs/" + vars["run"]
	leave = visit(t, s, vars["token"], map[string][]string{
		s.API + run:            {newHome, oldHome},
		s.API + records:        {newHome, oldHome},
		s.API + dashboard:      {newHome, oldHome},
		s.API + "/api/auth/me": {oldHome},
	})
	write(t, file, before)
	for _, path := range []string{run, records, dashboard} {
		awaitServedBy(t, s, path, vars["token"], oldHome)
	}
	beside.Stop(t)
	scenario.Play(t, s.Site, vars, []scenario.Step{
		{Name: "no more throttling", Method: http.MethodDelete, Path: s.Devstack + "/sandbox/shopify/demo.myshopify.com/limits", Want: http.StatusNoContent},
	})
	scenario.Play(t, s.Site, vars, scenario.SyncEnds(s.Orders))
	if s.Orders {
		scenario.Play(t, s.Site, vars, scenario.Dashboards())
	}
	leave()
	awaitEnds(t, map[string]int{backfill: 1, incremental: 1, vars["run"]: 1})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func ask(ctx context.Context, client *http.Client, url, token string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return client.Do(r)
}

// awaitServedBy waits until the gateway has a path answered by app.
func awaitServedBy(t *testing.T, s *system.System, path, token, app string) {
	t.Helper()
	eventually.Succeeds(t, 20*time.Second, app+" answers "+path, func() error {
		resp, err := ask(t.Context(), s.HTTP, s.API+path, token)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if by := resp.Header.Get(call.HeaderServedBy); by != app {
			return fmt.Errorf("it is answered by %q", by)
		}
		return nil
	})
}

// visit asks for each URL again and again. Leave ends that, and fails the test when a request failed, or when others answered
// than those wanted, one after the other.
func visit(t *testing.T, s *system.System, token string, want map[string][]string) (leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var visitors sync.WaitGroup
	t.Cleanup(func() { cancel(); visitors.Wait() })
	for url, homes := range want {
		visitors.Go(func() {
			var servedBy []string
			answers := 0
			// The processes under test get the machine between two requests.
			for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
				// Not ctx: the last request is to be answered too.
				resp, err := ask(context.WithoutCancel(ctx), s.HTTP, url, token)
				if err != nil {
					t.Errorf("answer %d: %v", answers, err)
					continue
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				by := resp.Header.Get(call.HeaderServedBy)
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("answer %d of %s, by %q: %s, %v: %s", answers, url, by, resp.Status, err, body)
				}
				if len(servedBy) == 0 || servedBy[len(servedBy)-1] != by {
					servedBy = append(servedBy, by)
				}
				answers++
			}
			if !slices.Equal(servedBy, homes) {
				t.Errorf("%s was served by %q, want %q", url, servedBy, homes)
			}
			t.Logf("%d answers of %s by %q", answers, url, servedBy)
		})
	}
	return func() { cancel(); visitors.Wait() }
}

// awaitEnds waits until the broker has been told that each run has ended, and wants it told as often as that.
func awaitEnds(t *testing.T, want map[string]int) {
	t.Helper()
	conn, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", render.DevstackPorts(portOffset).NATS))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.OrderedConsumer(t.Context(), "tandem", jetstream.OrderedConsumerConfig{FilterSubjects: []string{integrationsapi.TopicSyncFinished.Wire()}})
	if err != nil {
		t.Fatal(err)
	}
	ids, ends := map[string]bool{}, map[string]int{}
	for deadline := time.Now().Add(20 * time.Second); len(ends) < len(want) && time.Now().Before(deadline); {
		batch, err := consumer.Fetch(100, jetstream.FetchMaxWait(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for m := range batch.Messages() {
			var event struct {
				ID   string                       `json:"id"`
				Data integrationsapi.SyncFinished `json:"data"`
			}
			if err := json.Unmarshal(m.Data(), &event); err != nil {
				t.Fatal(err)
			}
			if !ids[event.ID] { // the broker may get an event twice
				ends[event.Data.RunID]++
			}
			ids[event.ID] = true
		}
	}
	if !maps.Equal(ends, want) {
		t.Errorf("the ends of syncs that were told are %v, want %v", ends, want)
	}
}
