package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/state"
	"github.com/tandemhq/tandem/pkg/topology"
)

const (
	tokenHeader = "dapr-api-token"
	maxAnswer   = 4 << 20 // bytes
	// allowedSkew is the most that two clocks may differ: as fine as the Date header, and the second it takes to ask.
	allowedSkew = 2 * time.Second
)

// Sidecar is what a running sidecar says of itself.
type Sidecar struct {
	// Closed says that it wants another token than this environment has, and so the rest is unknown.
	Closed         bool   `json:"-"`
	ID             string `json:"id"`
	RuntimeVersion string `json:"runtimeVersion"`
	Components     []struct {
		Name string `json:"name"`
	} `json:"components"`
	Subscriptions []events.Subscription `json:"subscriptions"`
}

func (s Sidecar) has(component string) bool {
	for _, c := range s.Components {
		if c.Name == component {
			return true
		}
	}
	return false
}

// ask asks an app's sidecar what it is. It does not answer when nothing listens, or something that is no sidecar.
func ask(ctx context.Context, o Options, a App) (Sidecar, bool) {
	var s Sidecar
	e := Environment{Options: o}
	status, body, err := e.askSidecar(ctx, http.MethodGet, a, "/v1.0/metadata", nil)
	switch {
	case err != nil:
		return s, false
	case status == http.StatusUnauthorized:
		s.Closed = true
		return s, true
	}
	return s, status == http.StatusOK && json.Unmarshal(body, &s) == nil && s.ID != ""
}

// askSidecar sends the token; apps have no need of it.
func (e Environment) askSidecar(ctx context.Context, method string, a App, path string, body []byte) (status int, answer []byte, err error) {
	status, answer, _, err = e.request(ctx, method, "http://127.0.0.1:"+strconv.Itoa(a.HTTPPort)+path, e.variable("DAPR_API_TOKEN"), body)
	return status, answer, err
}

func (e Environment) request(ctx context.Context, method, url, token string, body []byte) (status int, answer []byte, header http.Header, err error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set(tokenHeader, token)
	}
	resp, err := e.HTTP.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, answer, resp.Header, err
}

// open are the apps whose sidecars have told about themselves.
func (e Environment) open() []App {
	return slices.DeleteFunc(e.platform(), func(a App) bool {
		s, answers := e.Sidecars[a.ID]
		return !answers || s.Closed || s.ID != a.ID
	})
}

// sidecars finds sidecars that are missing while others run, are another app's, or are too old.
func sidecars(_ context.Context, e Environment) []Finding {
	if len(e.Sidecars) == 0 {
		return nil
	}
	var found []Finding
	closed := false
	for _, a := range e.Apps {
		s, answers := e.Sidecars[a.ID]
		switch {
		case !answers:
			found = append(found, Finding{Error, fmt.Sprintf("the sidecar of %s does not answer at port %d, while others of the run do", a.ID, a.HTTPPort), "its groups are unreachable", "look into .dapr/logs, or end the run and start it again: make stop, make run"})
		case s.Closed:
			closed = true
		case s.ID != a.ID:
			found = append(found, Finding{Error, fmt.Sprintf("port %d is that of the sidecar of %s, not of %s", a.HTTPPort, s.ID, a.ID), "the run is one of another run file", "name its run file with --run-file, or end it: make stop"})
		default:
			if have, known := releaseIn(s.RuntimeVersion); known && have.compare(oldest) < 0 {
				found = append(found, Finding{Error, fmt.Sprintf("the sidecar of %s is %s", a.ID, have), "before 1.17 answers do not stream across sidecars", "use a newer Dapr, or the repository's own"})
			}
		}
	}
	if closed {
		found = append(found, Finding{Warning, "the sidecars want another DAPR_API_TOKEN than this environment has", "what they have loaded and whom they serve cannot be seen", "set DAPR_API_TOKEN to that of the run; make run makes a random one unless it is set before"})
	}
	return found
}

// loaded finds components that a sidecar should have and has not.
func loaded(_ context.Context, e Environment) []Finding {
	var found []Finding
	for _, a := range e.open() {
		for _, c := range e.Components {
			if c.LoadedBy(a) && !e.Sidecars[a.ID].has(c.Name) {
				found = append(found, Finding{Error, fmt.Sprintf("the sidecar of %s has not loaded component %s (%s)", a.ID, c.Name, e.short(c.File)),
					"what needs it fails", "start the run again; if it stays so, the sidecar's log in .dapr/logs says why"})
			}
		}
	}
	return found
}

// subscriptions finds topics that a hosted group consumes and its sidecar does not bring.
func subscriptions(_ context.Context, e Environment) []Finding {
	var found []Finding
	for _, a := range e.open() {
		for _, s := range e.Groups {
			if !slices.Contains(a.Hosts, s.Name) {
				continue
			}
			for _, topic := range s.Topics() {
				name, wire := events.Component(s.Name, topic), events.Topic[any]{Name: topic}.Wire()
				if !slices.ContainsFunc(e.Sidecars[a.ID].Subscriptions, func(have events.Subscription) bool {
					return have.PubsubName == name && have.Topic == wire
				}) {
					found = append(found, Finding{Error, fmt.Sprintf("the sidecar of %s does not subscribe to %s through %s", a.ID, wire, name),
						"group " + string(s.Name) + " gets none of these events", "start the run again; if it stays so, the sidecar's log in .dapr/logs says why"})
				}
			}
		}
	}
	return found
}

// ready is the part of /readyz that is told.
type ready struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"`
}

// readiness finds apps that are not ready, with what they say is wrong.
func readiness(ctx context.Context, e Environment) []Finding {
	var found []Finding
	for _, a := range e.up() {
		_, body, _, err := e.request(ctx, http.MethodGet, e.appURL(a), "", nil)
		if err != nil {
			found = append(found, Finding{Error, fmt.Sprintf("%s does not answer at port %d", a.ID, a.AppPort), "its sidecar runs and has nobody to serve", "look into .dapr/logs, then end the run and start it again: make stop, make run"})
			continue
		}
		var r ready
		if json.Unmarshal(body, &r) == nil && r.Ready {
			continue
		}
		var wrong []string
		for _, name := range slices.Sorted(maps.Keys(r.Checks)) {
			if said := r.Checks[name]; said != "ok" {
				wrong = append(wrong, name+": "+said)
			}
		}
		found = append(found, Finding{Error, strings.TrimSuffix(a.ID+" is not ready: "+strings.Join(wrong, "; "), ": "), "it takes no requests", "wait if it has just started; otherwise its log in .dapr/logs says more"})
	}
	return found
}

// up are the platform's apps whose sidecars answer.
func (e Environment) up() []App {
	return slices.DeleteFunc(e.platform(), func(a App) bool {
		s, answers := e.Sidecars[a.ID]
		return !answers || !s.Closed && s.ID != a.ID
	})
}

func (e Environment) appURL(a App) string {
	return "http://127.0.0.1:" + strconv.Itoa(a.AppPort) + "/readyz"
}

// clocks finds apps whose clock is not that of this machine.
func clocks(ctx context.Context, e Environment) []Finding {
	var found []Finding
	for _, a := range e.up() {
		_, _, header, err := e.request(ctx, http.MethodGet, e.appURL(a), "", nil)
		if err != nil {
			continue
		}
		theirs, err := http.ParseTime(header.Get("Date"))
		if err != nil {
			continue
		}
		if skew := e.Now().Sub(theirs).Round(time.Second); skew.Abs() > allowedSkew {
			found = append(found, Finding{Warning, fmt.Sprintf("the clock of %s differs by %s from this machine's", a.ID, skew.Abs()),
				"tokens are refused as expired or not yet valid, and leases of runs end too early", "let NTP set the clocks"})
		}
	}
	return found
}

// sharedState finds state that an app keeps to itself: it writes an item through one sidecar, which ends by itself
// after a minute, and reads it through the others.
func sharedState(ctx context.Context, e Environment) []Finding {
	var with []App
	for _, a := range e.open() {
		if e.Sidecars[a.ID].has(state.Component) {
			with = append(with, a)
		}
	}
	if len(with) < 2 {
		return nil
	}
	key := string(topology.Infrastructure) + "/doctor/" + e.NewID()
	item, err := json.Marshal([]map[string]any{{"key": key, "value": key, "metadata": map[string]string{"ttlInSeconds": "60"}}})
	if err != nil {
		return nil
	}
	const path = "/v1.0/state/" + state.Component
	at := path + "/" + url.PathEscape(key) // a sidecar takes it for one segment
	status, _, err := e.askSidecar(ctx, http.MethodPost, with[0], path, item)
	if err != nil || status/100 != 2 {
		return []Finding{{Error, "the sidecar of " + with[0].ID + " cannot write state", "idempotency keys, sessions and whatever groups keep there are lost", "its log in .dapr/logs says why"}}
	}
	var found []Finding
	for _, a := range with[1:] {
		_, body, err := e.askSidecar(ctx, http.MethodGet, a, at, nil)
		if err != nil || strings.Trim(strings.TrimSpace(string(body)), `"`) != key {
			found = append(found, Finding{Error, fmt.Sprintf("what %s writes to state, %s does not read", with[0].ID, a.ID),
				"a group that moves between them does not find its state", "the same store with keyPrefix: none for both, then start the run again"})
		}
	}
	// It ends by itself where this fails.
	_, _, _ = e.askSidecar(ctx, http.MethodDelete, with[0], at, nil)
	return found
}
