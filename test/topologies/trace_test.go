package topologies

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
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

type span struct{ name, service, parent string }

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
		service := ""
		for _, a := range resource.Resource.GetAttributes() {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				trace := hex.EncodeToString(s.TraceId)
				if c.spans[trace] == nil {
					c.spans[trace] = map[string]span{}
				}
				c.spans[trace][hex.EncodeToString(s.SpanId)] = span{s.Name, service, hex.EncodeToString(s.ParentSpanId)}
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// path is the chain of "service name" from the span named last up to its trace's root.
func (c *collector) path(trace, last string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var path []string
	for _, s := range c.spans[trace] {
		if s.name != last {
			continue
		}
		for ok := true; ok; s, ok = c.spans[trace][s.parent] {
			path = append(path, s.service+" "+s.name)
		}
		break
	}
	return path
}

// TestOneTrace follows a request of a person, and the sync that it starts, through sidecars, workflow
// and events to the roll-up in another process.
func TestOneTrace(t *testing.T) {
	system.NeedBinaries(t)
	c := &collector{spans: map[string]map[string]span{}}
	receiver := httptest.NewServer(c)
	defer receiver.Close()
	s := start(t, topology.Microservices,
		"OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_INSECURE=true")

	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	vars := map[string]string{"shop": "demo"}
	scenario.Play(t, s.Site, vars, scenario.Register(vars, "tracer"))
	scenario.Play(t, s.Site, vars, scenario.Connect())
	begin := scenario.StartSync("backfill")
	begin.Header = map[string]string{"traceparent": "00-" + trace + "-00f067aa0ba902b7-01"}
	scenario.Play(t, s.Site, vars, []scenario.Step{begin})
	scenario.Play(t, s.Site, vars, scenario.SyncEnds(s.Orders))

	for _, want := range []struct{ last, hop string }{
		{"POST /api/integrations/sync/runs", "gateway gateway integrations"},
		// The roll-up reads the records on behalf of the event that the sync published.
		{"GET /api/integrations/records/orders", "analytics call integrations"},
	} {
		var path []string
		eventually.Succeeds(t, 30*time.Second, "the spans, which are sent in batches", func() error {
			if path = c.path(trace, want.last); !slices.Contains(path, want.hop) {
				return fmt.Errorf("%s is reached by %q, want %q on the way", want.last, path, want.hop)
			}
			return nil
		})
		t.Logf("%s ← %q", want.last, path)
	}
}
