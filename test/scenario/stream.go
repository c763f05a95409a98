package scenario

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/topology"
)

// Stream follows a sync by server-sent events: they come while it runs, not all at its end, the last one
// tells how it ended, and who has seen it is sent away.
func Stream(t *testing.T, site Site) {
	vars := map[string]string{"shop": "stream"}
	Play(t, site, vars, Register(vars, "stream"))
	Play(t, site, vars, Connect())
	Play(t, site, vars, []Step{
		site.throttle(),
		StartSync("backfill"),
	})
	defer Play(t, site, vars, []Step{{Name: "no more throttling", Method: http.MethodDelete, Path: site.shop("/limits"), Want: http.StatusNoContent}})

	events, leave := follow(t, site, vars)
	first, ok := <-events
	if !ok || !strings.Contains(first["data"], `"id":"`+vars["run"]+`"`) {
		t.Fatalf("the first event is %v", first)
	}
	leave()
	for range events { // what was on its way
	}
	Play(t, site, vars, []Step{{
		Name: "the handler ends when its reader leaves", Method: http.MethodGet, Path: site.Home(topology.Integrations) + "/metrics",
		Want: http.StatusOK, Within: 3 * time.Second, Contains: `tandem_http_in_flight{group="integrations"} 0`,
	}, {
		Name: "and not because the sync had ended", Method: http.MethodGet, Path: syncRun, Want: http.StatusOK, Has: map[string]any{"status": "running"},
	}})

	events, leave = follow(t, site, vars)
	defer leave()
	seen, last := 0, event{}
	for e := range events {
		seen, last = seen+1, e
		if strings.Contains(e["data"], `"status":"running"`) && seen == 1 {
			// It came while the sync runs: nothing on the way waited for the end of the answer.
			Play(t, site, vars, []Step{SyncHasBegun()})
		}
	}
	if seen < 3 || last["event"] != "end" || !strings.Contains(last["data"], `"status":"succeeded"`) {
		t.Errorf("%d events, the last %v", seen, last)
	}
	Play(t, site, vars, []Step{{
		Name: "follow again after the end", Method: http.MethodGet, Path: syncRun + "/events", Header: map[string]string{"Last-Event-ID": last["id"]},
		Want: http.StatusNoContent,
	}})
}

// event has the fields of a server-sent event.
type event map[string]string

// follow opens a sync's events; the channel is closed at their end. The caller calls leave.
func follow(t *testing.T, site Site, vars map[string]string) (events <-chan event, leave func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, site.API+expand(syncRun+"/events", vars), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+vars["token"])
	resp, err := (&http.Client{Transport: site.HTTP.Transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
		t.Fatalf("status %d, content type %q", resp.StatusCode, kind)
	}
	found := make(chan event)
	go func() {
		defer close(found)
		defer resp.Body.Close()
		e := event{}
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			if field != "" {
				e[field] = value
			}
			if lines.Text() != "" || e["data"] == "" { // an empty line ends an event, or a comment
				continue
			}
			select {
			case found <- e:
			case <-ctx.Done():
				return
			}
			e = event{}
		}
	}()
	return found, cancel
}

// throttle makes the shop slow enough that a sync can be watched.
func (s Site) throttle() Step {
	return Step{
		Name: "throttle the shop", Method: http.MethodPut, Path: s.shop("/limits"), Want: http.StatusOK,
		Body: map[string]float64{"maximum_available": 1200, "restore_rate": 1500},
	}
}

// shop is a path of the sandbox's administration of the scenario's shop.
func (s Site) shop(path string) string {
	return s.Devstack + "/sandbox/shopify/${shop}.myshopify.com" + path
}

// VendorFaults syncs a shop that throttles, fails, answers with pages of HTML, breaks off, repeats and
// reorders: no order is lost or there twice.
func VendorFaults(t *testing.T, site Site) {
	vars := map[string]string{"shop": "faulty"}
	Play(t, site, vars, Register(vars, "faults"))
	Play(t, site, vars, Connect())
	after := 0
	for _, kind := range []string{"throttle", "error500", "html", "truncated", "duplicate_page", "reorder_pages", "drop_connection"} {
		after += 2
		Play(t, site, vars, []Step{{
			Name: "fault " + kind, Method: http.MethodPost, Path: site.shop("/faults"), Want: http.StatusCreated,
			Body: map[string]any{"kind": kind, "times": 1, "after_requests": after},
		}})
	}
	Play(t, site, vars, []Step{StartSync("backfill")})
	Play(t, site, vars, SyncEnds(false))
	if site.Orders {
		Play(t, site, vars, Dashboards())
	}
	Play(t, site, vars, []Step{{Name: "every fault was used up", Method: http.MethodGet, Path: site.shop("/faults"), Want: http.StatusOK, Lacks: []string{`"kind"`}}})
}
