package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/host"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store/storetest"
	"github.com/tandemhq/tandem/pkg/telemetry"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/world"
	"github.com/tandemhq/tandem/test/scenario"
)

// start runs every group in this process, with the sandbox beside it.
func start(t testing.TB, environ ...string) scenario.Site {
	t.Helper()
	orders, have := scenario.OrdersFile(t)
	vendors, err := sandbox.New(sandbox.Config{OrdersFile: orders, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	outside := http.NewServeMux()
	outside.Handle("/", vendors)
	devstack := httptest.NewServer(outside)
	t.Cleanup(devstack.Close)

	c, err := config.Parse(append([]string{
		"TANDEM_DATA=" + t.TempDir(), "TANDEM_GATEWAY=true", "TANDEM_CALLS=direct", "TANDEM_RATE_LIMIT=0",
		"SHOPIFY_BASE_URL=" + devstack.URL + "/shopify/{shop}", "SHOPIFY_CLIENT_ID=" + sandbox.ShopifyClientID,
	}, environ...))
	if err != nil {
		t.Fatal(err)
	}
	log := telemetry.NewLogger(os.Stderr, slog.LevelError, c.AppID)
	key := func(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) }
	values := secrets.Map{
		"service-token-key": key(1), "access-token-key": key(2), "credentials-key": key(3), "auth-sealing-key": key(4),
		"shopify-client-secret": sandbox.ShopifyClientSecret,
	}
	w := world.NewMemory(c, values, now, log)
	serveInbox(t, outside, w.Inbox())
	homes, err := topology.Named(topology.Monolith)
	if err != nil {
		t.Fatal(err)
	}
	all := builders(c)
	h, err := host.New(host.Config{
		Config: c, Version: "test", Topology: topology.NewCurrent(homes), Specs: specs(all), Builders: all, World: w,
		Authority: authority, Metrics: telemetry.NewMetrics(c.AppID, "test"),
		Tracer: sdktrace.NewTracerProvider().Tracer("test"), Log: log, Now: now, NewID: newID,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Handler = h.Handler()
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := h.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return scenario.Site{
		API: server.URL, Devstack: devstack.URL, Home: func(topology.Group) string { return server.URL },
		HTTP: http.DefaultClient, Orders: have, Secret: func(name string) (string, error) { return values[name], nil },
	}
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
	site := start(t)
	for name, body := range scenario.Bodies {
		t.Run(name, func(t *testing.T) { body(t, site) })
	}
}

// TestLegalInProcess has a process of its own, whose users have to accept documents from then on.
func TestLegalInProcess(t *testing.T) { scenario.Legal(t, start(t)) }

// TestTheSliceOnMongoDB keeps every group's documents in a server that speaks MongoDB's protocol.
func TestTheSliceOnMongoDB(t *testing.T) {
	site := start(t, "MONGO_URL="+storetest.MongoServer(t))
	scenario.Slice(t, site)
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
