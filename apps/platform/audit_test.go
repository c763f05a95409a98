package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/test/scenario"
)

// asked is what is asked of a process.
type asked struct {
	mu       sync.Mutex
	requests []answered
}

type answered struct {
	request *http.Request
	status  int
	trace   string
}

// entry is an audit entry in an organization's log.
type entry struct {
	organization string
	audit.Entry
}

// entriesOf are the audit entries that a process has told of so far, by trace, but for those of what groups do in consequence,
// which are their own.
func entriesOf(t *testing.T, p *process) map[string][]entry {
	t.Helper()
	byTrace := map[string][]entry{}
	for _, event := range p.world.heard.of(audit.Recorded.Name) {
		e := entry{organization: event.Organization}
		if err := json.Unmarshal(event.Data, &e.Entry); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(e.Actor.Subject, "group:") {
			byTrace[e.TraceID] = append(byTrace[e.TraceID], e)
		}
	}
	return byTrace
}

// of is h, whose requests are noted.
func (a *asked) of(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		answer := &statusOf{rw, http.StatusOK}
		h.ServeHTTP(answer, r)
		trace := strings.Split(rw.Header().Get("Traceparent"), "-")
		if len(trace) != 4 || rw.Header().Get("Idempotency-Replayed") != "" { // what is repeated is done once
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.requests = append(a.requests, answered{r, answer.status, trace[1]})
	})
}

type statusOf struct {
	http.ResponseWriter
	status int
}

func (s *statusOf) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusOf) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// onNoResource are the operations on what an organization has one of, so that there is nothing to name.
var onNoResource = []string{"GET /api/auth/audit/export", "PUT /api/auth/audit/policy", "PUT /api/auth/audit/retention"}

// oneEntryForEach is about the audit entries of all that the scenarios did. What an operation does leaves one entry in the log
// of who did it, under one name, whether it succeeds, fails or is refused; and they try every operation. Each names what the
// operation acts on, as far as the request said that, and always where it succeeded, but for what is the actor's own.
func oneEntryForEach(t *testing.T, p *process) {
	actions := actionsOf(t, p.Site)
	operations := mux.NewRouter().UseEncodedPath()
	for name := range actions {
		method, path, _ := strings.Cut(name, " ")
		operations.Methods(method).Path(path).Name(name)
	}
	named := func(a answered) (name string) {
		var match mux.RouteMatch
		if operations.Match(a.request, &match) && match.Route != nil {
			name = match.Route.GetName()
		}
		return name
	}
	p.asked.mu.Lock()
	requests := slices.Clone(p.asked.requests)
	p.asked.mu.Unlock()
	var entries map[string][]entry
	// They come by events, which may take a moment.
	eventually.Succeeds(t, 10*time.Second, "an entry of each success", func() error {
		entries = entriesOf(t, p)
		for _, a := range requests {
			if name := named(a); name != "" && a.status < http.StatusBadRequest && len(entries[a.trace]) == 0 {
				return fmt.Errorf("none of %s in trace %s", name, a.trace)
			}
		}
		return nil
	})
	tried := map[string]bool{}
	for _, a := range requests {
		name := named(a)
		if name == "" {
			continue
		}
		logs := map[string]int{}
		for _, e := range entries[a.trace] {
			tried[name] = true
			logs[e.organization]++
			switch says := a.saysResource(actions[name]) || e.Result == audit.Success && !slices.Contains(onNoResource, name) && !actions[name].onOnesOwn(); {
			case e.Action == "auth.auth.sign-in": // who switches to another organization signs in there, and its log says so
			case e.Action != actions[name].Action:
				t.Errorf("%s: %d, and an entry of %s; want %s", name, a.status, e.Action, actions[name].Action)
			case e.Resource == "" && says:
				t.Errorf("%s: %d, and an entry that names no resource: %+v", name, a.status, e.Entry)
			}
		}
		for organization, n := range logs {
			if n > 1 {
				t.Errorf("%s: %d, and %d entries in the log of %s: %+v", name, a.status, n, organization, entries[a.trace])
			}
		}
	}
	for name := range actions {
		if !tried[name] {
			t.Errorf("%s: no scenario makes it leave an entry", name)
		}
	}
}

// act is what an operation does, as the API's document says.
type act struct {
	Action     string `json:"x-action"`
	Permission string `json:"x-permission"`
	Resource   string `json:"x-resource"`
}

// onOnesOwn tells what everybody may do, with what is their own.
func (a act) onOnesOwn() bool {
	return a.Permission == "" || slices.Contains(identity.OwnPermissions(), a.Permission)
}

// saysResource tells whether a request names what it is about in its path or query.
func (a answered) saysResource(of act) bool {
	in, name, _ := strings.Cut(of.Resource, ".")
	return in == "path" || in == "query" && a.request.URL.Query().Get(name) != ""
}

// actionsOf are the operations that do something, by method and path.
func actionsOf(t *testing.T, site scenario.Site) map[string]act {
	t.Helper()
	var document struct {
		Paths map[string]map[string]act `json:"paths"`
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
	actions := map[string]act{}
	for path, methods := range document.Paths {
		for method, operation := range methods {
			if operation.Action != "" {
				actions[strings.ToUpper(method)+" "+path] = operation
			}
		}
	}
	return actions
}
