package sync_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	stdsync "sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector/connectortest"
	"github.com/tandemhq/tandem/apps/integrations/internal/gohighlevel"
	"github.com/tandemhq/tandem/apps/integrations/internal/googleads"
	"github.com/tandemhq/tandem/apps/integrations/internal/hubspot"
	"github.com/tandemhq/tandem/apps/integrations/internal/klaviyo"
	"github.com/tandemhq/tandem/apps/integrations/internal/linkedinads"
	"github.com/tandemhq/tandem/apps/integrations/internal/metaads"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/apps/integrations/internal/stripe"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/apps/integrations/internal/tiktokads"
	"github.com/tandemhq/tandem/apps/integrations/internal/triplewhale"
	"github.com/tandemhq/tandem/apps/sandbox"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/host/hosttest"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/vault"
)

// setClock moves as far as a test wants, and a hair whenever it is read, so that no two times are the same.
type setClock struct {
	mu stdsync.Mutex
	at time.Time
}

func (c *setClock) now() time.Time { return c.pass(10 * time.Microsecond) }

func (c *setClock) pass(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return c.at
}

// throttledVendor is a vendor of the sandbox with a limit, and two processes on one store that sync an account of it.
type throttledVendor struct {
	t          *testing.T
	clock      *setClock
	executor   *launches
	processes  []process
	connection string
}

func (v *throttledVendor) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// connect has two processes on one store, and an account connected.
func (v *throttledVendor) connect(c connector.Connector, account connector.Account) {
	v.t.Helper()
	now, newID := v.clock.now, uuid.NewString
	db, err := store.SQLite{Path: filepath.Join(v.t.TempDir(), "integrations.db")}.Open(v.t.Context())
	v.must(err)
	v.t.Cleanup(func() { v.must(db.Close()) })
	emit := events.Emitter{Group: integrationsapi.Name, Now: now, NewID: newID}
	keys := secrets.Map{"credentials-key": base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, vault.KeySize))}
	for range 2 {
		runner, err := runs.NewRunner(v.t.Context(), runs.Options{
			Group: integrationsapi.Name, DB: db, Executor: v.executor, Owner: newID(), Now: now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Pause: func(_ context.Context, d time.Duration) error { v.clock.pass(d); return nil },
		})
		v.must(err)
		connections, err := connection.New(v.t.Context(), connection.Options{
			DB: db, Vault: vault.New(keys, "credentials-key", now), Connectors: []connector.Connector{c},
			Emit: emit, Quota: quota.NewClient(hosttest.NewAuthority()), Every: sync.Every, Now: now, NewID: newID,
		})
		v.must(err)
		kept, err := records.New(v.t.Context(), db, emit)
		v.must(err)
		service, err := sync.New(v.t.Context(), sync.Options{DB: db, Runs: runner, Connections: connections, Records: kept, Emit: emit, Now: now, NewID: newID})
		v.must(err)
		v.must(runner.Register(service.RunKind()))
		v.processes = append(v.processes, process{service, runner})
		if v.connection == "" {
			made, _, err := connections.Connect(v.t.Context(), org, c.Vendor(), account.Name, account.Credentials)
			v.must(err)
			v.connection = made.ID
		}
	}
}

// race syncs streams over and over for some time, each slice in any of the processes.
func (v *throttledVendor) race(streams []string, end time.Time) {
	v.t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	start := func(stream string, in process) *driven {
		run, err := in.Start(v.t.Context(), org, sync.Input{ConnectionID: v.connection, Stream: stream, Mode: sync.Backfill})
		v.must(err)
		return &driven{run: run, in: in, next: v.clock.now()}
	}
	var all []*driven
	for i, stream := range streams {
		all = append(all, start(stream, v.processes[i%2]))
	}
	for {
		now := 0
		for i, d := range all {
			if d.next.Before(all[now].next) {
				now = i
			}
		}
		d := all[now]
		if !d.next.Before(end) {
			v.clock.pass(end.Sub(v.clock.now()))
			return
		}
		if wait := d.next.Sub(v.clock.now()); wait > 0 {
			v.clock.pass(wait)
		}
		if d.waits {
			d.in = v.processes[r.IntN(2)]
		}
		outcome, err := d.in.runner.Drive(v.t.Context(), v.executor.last[d.run.ID])
		v.must(err)
		d.next, d.waits = v.clock.now().Add(outcome.Wait), outcome.Wait > 0
		if !outcome.Done {
			continue
		}
		if run, err := d.in.Get(v.t.Context(), org, d.run.ID); err != nil || run.Status != runs.Succeeded {
			v.t.Fatalf("%s: %s: %+v, %v", streams[now], run.Status, run.Error, err)
		}
		all[now] = start(streams[now], v.processes[r.IntN(2)])
	}
}

// small is a connector with pages of a few records.
type small struct {
	connector.Connector
	size int
}

func (c small) Streams() []connector.Stream {
	streams := c.Connector.Streams()
	for i := range streams {
		streams[i].PageSize = min(c.size, streams[i].PageSize)
	}
	return streams
}

func (c small) Limits() []connector.Limit { return c.Connector.(connector.Limited).Limits() }

func TestProcessesUseUpWhatEachVendorAllowsAndNoMore(t *testing.T) {
	key := func(text string) func(*connectortest.Sandbox, connector.Connector) connector.Account {
		return func(*connectortest.Sandbox, connector.Connector) connector.Account {
			return connector.Account{Name: "demo", Credentials: connector.Credentials{AccessToken: secrets.New(text)}}
		}
	}
	clicked := func(s *connectortest.Sandbox, c connector.Connector) connector.Account {
		a := s.Connect(c.(connector.Authorizer), "demo")
		a.Credentials.ExpiresAt, a.Credentials.RefreshToken = time.Time{}, secrets.Secret{} // nor asked for again
		return a
	}
	developer := func(context.Context) (secrets.Secret, error) {
		return secrets.New(sandbox.Secrets()[googleads.DeveloperTokenSecret]), nil
	}
	orders, customers := integrationsapi.KindPayments, integrationsapi.KindCustomers
	ads := []string{integrationsapi.KindCampaigns, integrationsapi.KindPerformance}
	for _, c := range []struct {
		name    string
		make    func(w connector.Web, app connector.App) connector.Connector
		account func(*connectortest.Sandbox, connector.Connector) connector.Account
		streams []string
		// What the vendor allows: so many requests in so many seconds, with such a path. It is what the connector declares, or what answers
		// tell. It is used for total seconds.
		requests int
		seconds  float64
		path     string
		total    float64
	}{
		{"hubspot, searches", func(w connector.Web, app connector.App) connector.Connector { return hubspot.NewConnector(w, app) },
			key("pat-na1-demo"), []string{integrationsapi.KindContacts, integrationsapi.KindDeals}, 5, 1, "/search", 30},
		{"hubspot, which tells that it allows more", func(w connector.Web, app connector.App) connector.Connector { return hubspot.NewConnector(w, app) },
			key("pat-na1-demo"), []string{integrationsapi.KindCampaigns}, 190, 10, "", 20},
		{"klaviyo, which tells that it allows less", func(w connector.Web, app connector.App) connector.Connector { return klaviyo.NewConnector(w, app) },
			key("pk_demo"), []string{integrationsapi.KindContacts}, 60, 60, "", 150},
		{"klaviyo, aggregates", func(w connector.Web, app connector.App) connector.Connector { return klaviyo.NewConnector(w, app) },
			key("pk_demo"), []string{integrationsapi.KindEmailPerformance}, 60, 60, "/metric-aggregates", 150},
		{"stripe", func(w connector.Web, app connector.App) connector.Connector { return stripe.NewConnector(w, app) },
			key("rk_live_demo"), []string{orders, customers}, 100, 1, "", 2},
		{"gohighlevel", func(w connector.Web, app connector.App) connector.Connector { return gohighlevel.NewConnector(w, app) },
			clicked, []string{integrationsapi.KindContacts, integrationsapi.KindDeals, orders}, 100, 10, "", 30},
		{"triple-whale, which tells that it allows more", func(w connector.Web, app connector.App) connector.Connector { return triplewhale.NewConnector(w, app) },
			clicked, ads, 300, 60, "", 40},
		{"google-ads", func(w connector.Web, app connector.App) connector.Connector {
			return googleads.NewConnector(w, app, developer)
		}, clicked, ads[:1], 600, 60, "", 30},
		{"linkedin-ads", func(w connector.Web, app connector.App) connector.Connector { return linkedinads.NewConnector(w, app) },
			clicked, ads, 600, 60, "", 30},
		{"tiktok-ads", func(w connector.Web, app connector.App) connector.Connector { return tiktokads.NewConnector(w, app) },
			clicked, ads[1:], 600, 60, "", 30},
		{"meta-ads, limited", func(w connector.Web, app connector.App) connector.Connector { return metaads.NewConnector(w, app) },
			clicked, ads, 600, 3600, "", 1800},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := &throttledVendor{t: t, clock: &setClock{at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}, executor: &launches{last: map[string]runs.Key{}}}
			s := connectortest.At(t, v.clock.now)
			made := c.make(s.Web, s.App)
			v.connect(small{made, 25}, c.account(s, made))
			admin := func(method, path string, body any) []byte { return s.Admin(method, made.Vendor(), "demo", path, body) }
			admin(http.MethodPut, "limits", map[string]any{"requests": c.requests, "seconds": c.seconds, "path": c.path})
			admin(http.MethodDelete, "requests", nil)
			v.race(c.streams, v.clock.now().Add(time.Duration(c.total*float64(time.Second))))
			var counts struct {
				Total       int            `json:"total"`
				Throttled   int            `json:"throttled"`
				ByOperation map[string]int `json:"by_operation"`
			}
			v.must(json.Unmarshal(admin(http.MethodGet, "requests", nil), &counts))
			total := counts.Total
			if c.path != "" {
				total = 0
				for operation, n := range counts.ByOperation {
					if len(operation) > len(c.path) && operation[len(operation)-len(c.path):] == c.path {
						total += n
					}
				}
			}
			allowed := float64(c.requests) * c.total / c.seconds
			used := float64(total-counts.Throttled) / allowed
			t.Logf("%d requests of %.0f that were allowed, %.1f %%; %d refused", total, allowed, 100*used, counts.Throttled)
			if used < 0.9 {
				t.Errorf("%.1f %% of what is allowed was used", 100*used)
			}
			if counts.Throttled*100 > total {
				t.Errorf("%d of %d requests were refused", counts.Throttled, total)
			}
		})
	}
}
