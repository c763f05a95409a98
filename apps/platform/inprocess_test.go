package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tandemhq/tandem/apps/integrations"
	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store/storetest"
	"github.com/tandemhq/tandem/pkg/telemetry"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/world"
	"github.com/tandemhq/tandem/test/scenario"
)

// process is every group in this process.
type process struct {
	scenario.Site
	world       *alone
	asked       asked
	ahead       atomic.Int64 // of the clock, in nanoseconds
	vendorHosts sync.Map     // those that connectors have asked
}

// alone is a world in memory whose events are overheard, and that keeps what runs the jobs, for tests that do not wait until
// they are due.
type alone struct {
	*world.Memory
	schedule *jobs.Scheduler
	heard    *overheard
}

func (a *alone) Bus() events.Bus { return a.heard }

func (a *alone) AttachSchedules(s *jobs.Scheduler) {
	a.schedule = s
	a.Memory.AttachSchedules(s)
}

func (p *process) now() time.Time { return now().Add(time.Duration(p.ahead.Load())) }

// start runs every group in this process, with the sandbox beside it.
func start(t testing.TB, environ ...string) *process {
	t.Helper()
	p := &process{}
	orders, have := scenario.OrdersFile(t)
	vendors, err := sandbox.New(sandbox.Config{OrdersFile: orders, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	outside := http.NewServeMux()
	outside.Handle("/", vendors)
	outside.HandleFunc("/vendors/{host}/", func(w http.ResponseWriter, r *http.Request) {
		p.vendorHosts.Store(r.PathValue("host"), true)
		vendors.ServeHTTP(w, r)
	})
	outside.HandleFunc("/pages/", func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = strings.Replace(r.URL.Path, "/pages/", "/vendors/", 1)
		vendors.ServeHTTP(w, r)
	})
	devstack := httptest.NewServer(outside)
	t.Cleanup(devstack.Close)

	server := httptest.NewUnstartedServer(nil)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	base := "http://localhost:" + port // a browser makes no passkeys for an address
	c, err := config.Parse(append([]string{
		"TANDEM_API_URL=" + base, "TANDEM_WEB_URL=" + base,
		"TANDEM_DATA=" + t.TempDir(), "TANDEM_GATEWAY=true", "TANDEM_CALLS=direct", "TANDEM_RATE_LIMIT=0",
		"SHOPIFY_BASE_URL=" + devstack.URL + "/shopify/{shop}", "TANDEM_VENDOR_URL=" + devstack.URL + "/vendors/{host}", "TANDEM_VENDOR_LIMITS=*:none", "TANDEM_VENDOR_PAGES_URL=" + devstack.URL + "/pages/{host}", "TANDEM_CLIENT_IDS=" + "*:" + sandbox.ClientID,
	}, environ...))
	if err != nil {
		t.Fatal(err)
	}
	log := telemetry.NewLogger(os.Stderr, slog.LevelError, c.AppID)
	key := func(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) }
	values := secrets.Map{
		"service-token-key": key(1), "access-token-key": key(2), "credentials-key": key(3), "auth-sealing-key": key(4),
	}
	maps.Copy(values, sandbox.Secrets())
	p.world = &alone{Memory: world.NewMemory(c, values, p.now, log)}
	p.world.heard = &overheard{Bus: p.world.Memory.Bus(), told: map[string][]events.Raw{}}
	serveInbox(t, outside, p.world.Inbox())
	homes, err := topology.Named(topology.Monolith)
	if err != nil {
		t.Fatal(err)
	}
	all := builders(c)
	h, err := host.New(host.Config{
		Config: c, Version: "test", Topology: topology.NewCurrent(homes), Specs: specs(all), Builders: all, World: p.world,
		Authority: authority, Metrics: telemetry.NewMetrics(c.AppID, "test"),
		Tracer: sdktrace.NewTracerProvider().Tracer("test"), Log: log, Now: p.now, NewID: newID,
	})
	if err != nil {
		t.Fatal(err)
	}
	p.world.Handler = h.Handler()
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = p.asked.of(h.Handler())
	server.Start()
	t.Cleanup(func() {
		server.Close()
		if err := h.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	p.Site = scenario.Site{
		API: base, Devstack: devstack.URL, Home: func(topology.Group) string { return base },
		HTTP: http.DefaultClient, Orders: have, Secret: func(name string) (string, error) { return values[name], nil },
	}
	return p
}

// serveInbox answers as the inbox of devstack does, the latest message first.
func serveInbox(t testing.TB, outside *http.ServeMux, inbox *world.Inbox) {
	answer := func(rw http.ResponseWriter, v any) {
		if err := json.NewEncoder(rw).Encode(v); err != nil {
			t.Error(err)
		}
	}
	outside.HandleFunc("GET /inbox/messages", func(rw http.ResponseWriter, r *http.Request) {
		to := r.URL.Query().Get("to")
		list := []map[string]string{}
		for i, m := range inbox.To(to) {
			list = append(list, map[string]string{"id": fmt.Sprintf("%s,%d", to, i), "subject": m.Subject})
		}
		slices.Reverse(list)
		answer(rw, map[string]any{"messages": list})
	})
	outside.HandleFunc("GET /inbox/messages/{id}", func(rw http.ResponseWriter, r *http.Request) {
		to, text, _ := strings.Cut(r.PathValue("id"), ",")
		i, err := strconv.Atoi(text)
		messages := inbox.To(to)
		if err != nil || i < 0 || i >= len(messages) {
			http.NotFound(rw, r)
			return
		}
		answer(rw, map[string]string{"subject": messages[i].Subject, "html": messages[i].HTML})
	})
}

func TestScenariosInProcess(t *testing.T) {
	p := start(t)
	for name, body := range scenario.Bodies {
		t.Run(name, func(t *testing.T) { body(t, p.Site) })
	}
	// The last ones: from then on users have to accept documents, and in the end there are none.
	t.Run("legal", func(t *testing.T) { scenario.Legal(t, p.Site) })
	t.Run("audit entries", func(t *testing.T) { oneEntryForEach(t, p) })
	t.Run("nothing is left of organizations that are erased", func(t *testing.T) { nothingIsLeft(t, p) })
	t.Run("every event of auth was told", func(t *testing.T) { everyEventWasTold(t, p) })
	t.Run("every host of vendors is known", func(t *testing.T) { everyVendorHostIsKnown(t, p) })
	t.Run("every panel of the dashboards has series", func(t *testing.T) { everyPanelHasSeries(t, p) })
}

// everyVendorHostIsKnown compares the hosts that connectors have asked with those that are called by way of the sidecar and those that stay
// direct, so that a new one is put into either.
func everyVendorHostIsKnown(t *testing.T, p *process) {
	known := map[string]bool{
		"business-api.tiktok.com": true,                                                          // its paths end with a slash
		"connect.stripe.com":      true, "oauth2.googleapis.com": true, "www.linkedin.com": true, // give tokens
	}
	for _, host := range integrations.Builder(integrations.Config{}).Hosts {
		known[host] = true
	}
	p.vendorHosts.Range(func(host, _ any) bool {
		if !known[host.(string)] {
			t.Errorf("connectors ask %s, which is neither among the group's hosts nor among those that stay direct", host)
		}
		delete(known, host.(string))
		return true
	})
	for host := range known {
		t.Errorf("no connector asks %s", host)
	}
}

// TestTheSliceOnMongoDB keeps every group's documents in a server that speaks MongoDB's protocol.
func TestTheSliceOnMongoDB(t *testing.T) {
	scenario.Slice(t, start(t, "MONGO_URL="+storetest.MongoServer(t)).Site)
}

func TestTheCheckedInFilesAreWhatIsRendered(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if err := renderFiles([]string{"--check", "--into", root}); err != nil {
		t.Errorf("run make generate: %v", err)
	}
}
