// Package host assembles route groups into one process: a router with the handler stack in front of
// every operation, the groups' consumers, schedules and durable runs, and the routes that sidecars and
// operators ask for. It does not know how many groups there are beside those it is given.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.opentelemetry.io/otel/trace"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/config"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/limits"
	"github.com/tandemhq/tandem/pkg/mail"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/sms"
	"github.com/tandemhq/tandem/pkg/state"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/telemetry"
	"github.com/tandemhq/tandem/pkg/topology"
)

// World is what a process stands on: a Dapr sidecar, or memory in tests.
type World interface {
	// Open waits until the world can be used.
	Open(context.Context) error
	// Ready is an error while the world cannot be used.
	Ready(context.Context) error
	Secrets() secrets.Source
	Mail() mail.Sender
	SMS() sms.Sender
	State(topology.Group) state.Store
	Bus() events.Bus
	// Attach gives a group's events to its consumer, where no sidecar brings them.
	Attach(*events.Consumer)
	// AttachSchedules tells the scheduler what fires, where no sidecar does.
	AttachSchedules(*jobs.Scheduler)
	Schedules() jobs.Registrar
	Executor() runs.Executor
	// Store opens a group's database.
	Store(context.Context, topology.Group) (store.DB, error)
	// Invoke reaches the groups that this process does not host.
	Invoke() call.Route
}

// Gateway is the public edge, where this process is it.
type Gateway interface {
	Forward(http.ResponseWriter, *http.Request, topology.Group)
	Document(context.Context, topology.Group) (Document, error)
	Ready(context.Context, topology.Group) (Health, error)
}

// Authority is the auth group, as every process asks it.
type Authority interface {
	// JWKS are the keys that verify access tokens.
	JWKS(context.Context) (identity.JWKS, error)
	// Changes are the sessions that ended and the access that changed at or after since.
	Changes(ctx context.Context, since time.Time) (identity.Changes, error)
	// Access is what subject may do in organization now.
	Access(ctx context.Context, organization, subject string) (identity.CurrentAccess, error)
	// APIKey is what an API key stands for: a 401 problem for one that is not good.
	APIKey(ctx context.Context, key string) (identity.APIKey, error)
	// Report tells what the operations of a group need.
	Report(ctx context.Context, g topology.Group, operations []*group.Operation) error
	// Plans and what is used of them.
	quota.Authority
	// Requests about personal data.
	privacy.Authority
}

// Caller is the name under which a process asks the auth group for keys and ended sessions. It is no
// group: every process may.
const Caller topology.Group = "host"

// Config is what a Host needs.
type Config struct {
	Config   config.Config
	Version  string
	Topology *topology.Current
	// Specs are all groups there are; Builders those that this process hosts.
	Specs    []group.Spec
	Builders []group.Builder
	World    World
	// Gateway forwards what is hosted elsewhere; nil where this process is not the edge.
	Gateway Gateway
	// Authority asks the auth group who may do what; nil where no group is hosted.
	Authority func(*call.Client) Authority
	Metrics   *telemetry.Metrics
	Tracer    trace.Tracer
	Log       *slog.Logger
	Now       func() time.Time
	NewID     func() string
}

// Host is one process's groups. Its handler answers from the start; groups join it when Start is done.
type Host struct {
	c           Config
	hosted      []topology.Group
	groups      map[topology.Group]*hostedGroup
	callers     map[topology.Group][]topology.Group
	gateway     Gateway
	authority   Authority
	verifier    *identity.Verifier
	directory   *identity.Directory
	meter       *quota.Meter
	quota       *quota.Client
	rate        *limits.Rate
	metrics     *telemetry.Metrics
	tracer      trace.Tracer
	log         *slog.Logger
	now         func() time.Time
	newID       func() string
	routes      atomic.Pointer[http.Handler]
	assembled   chan struct{} // closed when the routes are there
	started     atomic.Bool
	groupSecret []byte
	components  []named
	running     []named // in the order in which they were started
}

type hostedGroup struct {
	group.Group
	kernel     group.Kernel
	api        huma.API
	operations []*group.Operation
	consumer   *events.Consumer
	document   func() (Document, error)
}

type named struct {
	name string
	group.Component
}

// New checks the wiring. Nothing is opened or started.
func New(c Config) (*Host, error) {
	if err := CheckWiring(c.Specs, c.Topology.Get()); err != nil {
		return nil, err
	}
	h := &Host{
		c: c, gateway: c.Gateway, metrics: c.Metrics, tracer: c.Tracer, log: c.Log, now: c.Now, newID: c.NewID,
		groups: map[topology.Group]*hostedGroup{}, callers: map[topology.Group][]topology.Group{},
		rate:      limits.NewRate(c.Config.RateLimit, c.Config.RateBurst, c.Now),
		assembled: make(chan struct{}),
	}
	for _, s := range c.Specs {
		for _, callee := range s.Calls {
			h.callers[callee] = append(h.callers[callee], s.Name)
		}
	}
	for _, b := range c.Builders {
		h.hosted = append(h.hosted, b.Name)
	}
	for _, g := range c.Topology.Get().Hosted(c.Config.AppID) {
		if !slices.Contains(h.hosted, g) {
			return nil, fmt.Errorf("TANDEM_TOPOLOGY gives %s to app-id %s, but its TANDEM_GROUPS does not host it", g, c.Config.AppID)
		}
	}
	return h, nil
}

// Handler answers requests, from before Start on: what the sidecar asks waits for the groups, anybody
// else is told to come back.
func (h *Host) Handler() http.Handler {
	return stamp(h.c.Config.AppID, admit(boundBody(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if routes := h.routes.Load(); routes != nil {
			(*routes).ServeHTTP(w, r)
			return
		}
		if r.URL.Path == "/healthz" {
			writeJSON(w, http.StatusOK, map[string]string{"status": "alive", "app_id": h.c.Config.AppID})
			return
		}
		if isSidecarPath(r.URL.Path) {
			select {
			case <-h.assembled:
				(*h.routes.Load()).ServeHTTP(w, r)
			case <-r.Context().Done():
			}
			return
		}
		problem.Write(w, problem.New(http.StatusServiceUnavailable, problem.CodeUnavailable, "the process is starting").After(time.Second))
	}))))
}

// Start builds the groups and starts what they run. The listener must be open already: a sidecar
// answers only once its app does.
func (h *Host) Start(ctx context.Context) error {
	if err := h.c.World.Open(ctx); err != nil {
		return err
	}
	if err := h.identify(ctx); err != nil {
		return err
	}
	for _, b := range h.c.Builders {
		if err := h.build(ctx, b); err != nil {
			return fmt.Errorf("group %s: %w", b.Name, err)
		}
	}
	routes, err := h.assemble()
	if err != nil {
		return err
	}
	h.routes.Store(&routes)
	close(h.assembled)
	for _, c := range h.components {
		if err := c.Start(ctx); err != nil {
			return fmt.Errorf("start %s: %w", c.name, err)
		}
		h.running = append(h.running, c)
	}
	h.started.Store(true)
	return nil
}

// Drain turns readiness off, so that no new work is sent here.
func (h *Host) Drain() { h.started.Store(false) }

// Stop turns readiness off and stops what runs, last in first out, until ctx is done. It does not need
// the sidecar.
func (h *Host) Stop(ctx context.Context) error {
	h.Drain()
	var wrong []error
	for i := len(h.running) - 1; i >= 0; i-- {
		if err := h.running[i].Stop(ctx); err != nil {
			wrong = append(wrong, fmt.Errorf("stop %s: %w", h.running[i].name, err))
		}
	}
	for name, g := range h.groups {
		if err := g.kernel.DB.Close(); err != nil {
			wrong = append(wrong, fmt.Errorf("close the store of %s: %w", name, err))
		}
	}
	return errors.Join(wrong...)
}
