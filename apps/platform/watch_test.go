package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/test/scenario"
)

// watch sees what is asked of a process, and the audit entries that it leaves.
type watch struct {
	mu      sync.Mutex
	asked   []asked
	entries map[string][]left // by trace
}

type asked struct {
	request *http.Request
	status  int
	trace   string
}

type left struct {
	organization string
	audit.Entry
}

func newWatch() *watch { return &watch{entries: map[string][]left{}} }

// watchedBus is a bus whose audit entries are seen.
type watchedBus struct {
	events.Bus
	seen *watch
}

func (b watchedBus) Publish(ctx context.Context, topic string, event []byte) error {
	raw, err := events.Decode(event)
	if err != nil {
		return err
	}
	if raw.Type == audit.Recorded.Name {
		e := left{organization: raw.Organization}
		if err := json.Unmarshal(raw.Data, &e.Entry); err != nil {
			return err
		}
		b.seen.mu.Lock()
		b.seen.entries[e.TraceID] = append(b.seen.entries[e.TraceID], e)
		b.seen.mu.Unlock()
	}
	return b.Bus.Publish(ctx, topic, event)
}

// requests is h, whose requests are seen.
func (w *watch) requests(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		answer := &seenAnswer{rw, http.StatusOK}
		h.ServeHTTP(answer, r)
		trace := strings.Split(rw.Header().Get("Traceparent"), "-")
		if len(trace) != 4 || rw.Header().Get("Idempotency-Replayed") != "" { // what is repeated is done once
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asked = append(w.asked, asked{r, answer.status, trace[1]})
	})
}

type seenAnswer struct {
	http.ResponseWriter
	status int
}

func (a *seenAnswer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *seenAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// check is about the audit entries of all that the scenarios did. What an operation does leaves one entry in the log of who did
// it, under one name, whether it succeeds, fails or is refused; and they try every operation.
func (w *watch) check(t *testing.T, site scenario.Site) {
	actions := actionsOf(t, site)
	operations := mux.NewRouter().UseEncodedPath()
	for name := range actions {
		method, path, _ := strings.Cut(name, " ")
		operations.Methods(method).Path(path).Name(name)
	}
	named := func(a asked) (name string) {
		var match mux.RouteMatch
		if operations.Match(a.request, &match) && match.Route != nil {
			name = match.Route.GetName()
		}
		return name
	}
	// Entries come by events, which may take a moment.
	eventually.Succeeds(t, 10*time.Second, "an entry of each success", func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, a := range w.asked {
			if name := named(a); name != "" && a.status < http.StatusBadRequest && len(w.entries[a.trace]) == 0 {
				return fmt.Errorf("none of %s in trace %s", name, a.trace)
			}
		}
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	tried := map[string]bool{}
	for _, a := range w.asked {
		name := named(a)
		if name == "" {
			continue
		}
		logs := map[string]int{}
		for _, e := range w.entries[a.trace] {
			if strings.HasPrefix(e.Actor.Subject, "group:") {
				continue // what a group does in consequence, later, is its own
			}
			tried[name] = true
			logs[e.organization]++
			// Who switches to another organization signs in there, and its log says so.
			if e.Action != actions[name] && e.Action != "auth.auth.sign-in" {
				t.Errorf("%s: %d, and an entry of %s; want %s", name, a.status, e.Action, actions[name])
			}
		}
		for organization, n := range logs {
			if n > 1 {
				t.Errorf("%s: %d, and %d entries in the log of %s: %+v", name, a.status, n, organization, w.entries[a.trace])
			}
		}
	}
	for name := range actions {
		if !tried[name] {
			t.Errorf("%s: no scenario makes it leave an entry", name)
		}
	}
}

// actionsOf are what operations do, as the API's document says, by method and path.
func actionsOf(t *testing.T, site scenario.Site) map[string]string {
	t.Helper()
	var document struct {
		Paths map[string]map[string]struct {
			Action string `json:"x-action"`
		} `json:"paths"`
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.API+"/openapi.json", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := site.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&document); err != nil {
		t.Fatal(err)
	}
	actions := map[string]string{}
	for path, methods := range document.Paths {
		for method, operation := range methods {
			if operation.Action != "" {
				actions[strings.ToUpper(method)+" "+path] = operation.Action
			}
		}
	}
	return actions
}
