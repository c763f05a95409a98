package topologies

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	v1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/scenario"
	"github.com/tandemhq/tandem/test/system"
)

// collector receives spans by OTLP over HTTP.
type collector struct {
	mu    sync.Mutex
	spans map[string]map[string]span // by trace, then by span
}

type span struct {
	app, scope, name, parent string
	kind                     v1.Span_SpanKind
	links                    []string
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
		var unzipped *gzip.Reader
		if unzipped, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(unzipped)
		}
	}
	var request tracepb.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, fmt.Sprint(r.URL.Path, err), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.ResourceSpans {
		app := ""
		for _, a := range resource.Resource.GetAttributes() {
			if a.Key == "service.name" {
				app = a.Value.GetStringValue()
			}
		}
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				trace := hex.EncodeToString(s.TraceId)
				if c.spans[trace] == nil {
					c.spans[trace] = map[string]span{}
				}
				one := span{app: app, scope: scope.Scope.GetName(), name: s.Name, parent: hex.EncodeToString(s.ParentSpanId), kind: s.Kind}
				for _, l := range s.Links {
					one.links = append(one.links, hex.EncodeToString(l.SpanId))
				}
				c.spans[trace][hex.EncodeToString(s.SpanId)] = one
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// theTrace is the one that a client has begun, in a span of its own.
const (
	theTrace   = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan = "00f067aa0ba902b7"
)

// traceRatio is the share of all other traces that a run records. Dapr would take 0 for no tracing at all.
const traceRatio = "0.000000001"

// newCollector starts a collector, and returns the environment that makes a run send its spans there.
func newCollector(t *testing.T) (*collector, []string) {
	c := &collector{spans: map[string]map[string]span{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return c, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_INSECURE=true"}
}

// oneTrace follows a client's trace through everything that its requests set off: from the gateway through sidecars, groups, the
// workflow of a sync, the events of its records and the roll-up that they cause, to the dashboard. The whole tree of spans must be as
// it follows from the topology; and of what is in no recorded trace, nothing is recorded.
func (c *collector) oneTrace(t *testing.T, s *system.System) {
	vars := map[string]string{"shop": "demo"}
	play := func(flags string, steps ...scenario.Step) {
		t.Helper()
		for i := range steps {
			steps[i].Header = map[string]string{"traceparent": "00-" + theTrace + "-" + clientSpan + "-" + flags}
		}
		scenario.Play(t, s.Site, vars, steps)
	}
	scenario.Play(t, s.Site, vars, scenario.Register(vars, "tracer"))
	play("01", scenario.Connect()[0])
	play("00", scenario.Connect()[1])
	play("01", scenario.StartSync("backfill"))
	scenario.Play(t, s.Site, vars, scenario.SyncEnds(s.Orders))
	play("01", scenario.Step{Name: "the dashboard", Method: http.MethodGet, Path: scenario.DashboardOfAll, Want: http.StatusOK})

	homes, err := topology.Named(s.Topology)
	if err != nil {
		t.Fatal(err)
	}
	want := expectedTrace(homes)
	eventually.Succeeds(t, 30*time.Second, "the spans, which are sent in batches", func() error { return want.compare(c.paths()) })
	for trace := range c.spans {
		if trace != theTrace {
			t.Errorf("trace %s was recorded: %v", trace, c.spans[trace])
		}
	}
}

// paths are those from the root to each span, in the words of expectation.
func (c *collector) paths() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans := c.spans[theTrace]
	var paths []string
	for _, s := range spans {
		path, at := s.label(spans), s.parent
		for at != clientSpan {
			parent, known := spans[at]
			if !known {
				path = "a span that is not there\n" + path
				break
			}
			path, at = parent.label(spans)+"\n"+path, parent.parent
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

func (s span) label(all map[string]span) string {
	where := s.app
	if s.scope != "tandem" {
		where = sidecarOf(s.app)
	}
	label := where + " " + strings.ToLower(strings.TrimPrefix(s.kind.String(), "SPAN_KIND_")) + " " + s.name
	for _, link := range s.links {
		label += ", linked to " + all[link].name
	}
	return label
}

func sidecarOf(app string) string { return app + "'s sidecar" }

// node is a span of the expected tree, or several that look the same; one that may be there, if it is optional.
type node struct {
	label    string
	optional bool
	children []node
}

// maybe are nodes that depend on what a process remembers or on how busy the machine is.
func maybe(nodes ...node) []node {
	var all []node
	for _, n := range nodes {
		all = append(all, node{n.label, true, maybe(n.children...)})
	}
	return all
}

// expectation has the paths of a tree: those that must be there, and those that may.
type expectation struct{ must, may []string }

func (e *expectation) add(above string, nodes []node) {
	for _, n := range nodes {
		path := above + n.label
		if n.optional {
			e.may = append(e.may, path)
		} else {
			e.must = append(e.must, path)
		}
		e.add(path+"\n", n.children)
	}
}

func (e *expectation) compare(got []string) error {
	var wrong []error
	for _, path := range e.must {
		if !slices.Contains(got, path) {
			wrong = append(wrong, fmt.Errorf("missing:\n%s", path))
		}
	}
	for _, path := range got {
		if !slices.Contains(e.must, path) && !slices.Contains(e.may, path) {
			wrong = append(wrong, fmt.Errorf("unexpected:\n%s", path))
		}
	}
	return errors.Join(wrong...)
}

// shape makes the expected spans: what is between two groups depends on where they live, and on nothing else.
type shape struct{ homes topology.Topology }

func (s *shape) home(g topology.Group) string {
	home, _ := s.homes.Home(g) // a shipped topology has a home for each
	return home
}

// invoke is a request to a group by way of sidecars: the caller's, and the callee's if that is another.
func (s *shape) invoke(from string, to topology.Group, method, path string, within ...node) node {
	answer := []node{{label: s.home(to) + " server " + method + " " + path, children: within}}
	if from != s.home(to) {
		answer = []node{{label: sidecarOf(s.home(to)) + " server CallLocal/" + s.home(to) + path, children: answer}}
	}
	return node{label: sidecarOf(from) + " client CallLocal/" + s.home(to) + path, children: answer}
}

// call is a call of a group to another.
func (s *shape) call(from, to topology.Group, method, path string) node {
	return node{label: s.home(from) + " client call " + string(to), children: []node{s.invoke(s.home(from), to, method, path)}}
}

// request is a client's request. An app asks what a person may do unless it knows, perhaps from another person who may do the same.
func (s *shape) request(to topology.Group, method, path string, within ...node) node {
	within = append(within, maybe(s.call(to, topology.Auth, http.MethodGet, "/api/auth/access"))...)
	if edge := s.homes.Gateway(); edge != s.home(to) {
		return node{label: edge + " server gateway " + string(to), children: []node{s.invoke(edge, to, method, path, within...)}}
	}
	return node{label: s.home(to) + " server " + method + " " + path, children: within}
}

// event is what a group publishes within a span, and what comes of it at the group that takes it, if any.
func (s *shape) event(from topology.Group, within, topic string, to topology.Group, handling ...node) []node {
	list := []node{{label: s.home(from) + " producer send " + topic, children: []node{
		{label: sidecarOf(s.home(from)) + " client /dapr.proto.runtime.v1.Dapr/PublishEvent"},
	}}}
	if to == "" {
		return list
	}
	process := node{label: s.home(to) + " consumer process " + topic + ", linked to " + within, children: handling}
	list = append(list, node{label: sidecarOf(s.home(to)) + " client pubsub/tandem." + topic, children: []node{process}})
	return append(list, maybe(process)...) // one that failed is tried again without the sidecar
}

// run is a run of a group, from its launch to its steps.
func (s *shape) run(of topology.Group, within ...node) node {
	app, sidecar := s.home(of), sidecarOf(s.home(of))
	steps := []node{
		{label: app + " internal run sync", children: within},
		{label: sidecar + " client /TaskHubSidecarService/CompleteActivityTask"},
	}
	workflow := append([]node{{label: sidecar + " server activity||tandem.step", children: steps}}, maybe(node{label: sidecar + " internal timer"})...)
	return node{label: sidecar + " client /TaskHubSidecarService/StartInstance", children: []node{
		{label: sidecar + " client create_orchestration||tandem.run", children: []node{
			{label: sidecar + " server orchestration||tandem.run", children: workflow},
		}},
	}}
}

func expectedTrace(homes topology.Topology) *expectation {
	s := &shape{homes}
	const connect, begin = "/api/integrations/shopify/connect", "/api/integrations/sync/runs"
	records := s.call(topology.Analytics, topology.Integrations, http.MethodGet, "/api/integrations/records/orders")
	sealing := maybe(node{label: sidecarOf(s.home(topology.Integrations)) + " client /dapr.proto.runtime.v1.Dapr/GetSecret"})

	tree := []node{
		s.request(topology.Integrations, http.MethodPost, connect, slices.Concat(sealing,
			[]node{s.call(topology.Integrations, topology.Auth, http.MethodPost, "/api/auth/organizations/usage/take")},
			s.event(topology.Integrations, "POST "+connect, "integrations.connection.created", ""),
			s.event(topology.Integrations, "POST "+connect, "audit.recorded", topology.Auth))...),
		s.request(topology.Integrations, http.MethodPost, begin, slices.Concat(
			s.event(topology.Integrations, "POST "+begin, "audit.recorded", topology.Auth),
			[]node{s.run(topology.Integrations, slices.Concat(sealing,
				s.event(topology.Integrations, "run sync", "integrations.records.changed", topology.Analytics, records),
				s.event(topology.Integrations, "run sync", "integrations.sync.finished", topology.Analytics, records))...)})...),
		s.request(topology.Analytics, http.MethodGet, "/api/analytics/dashboard"),
	}
	want := &expectation{}
	want.add("", tree)
	return want
}
