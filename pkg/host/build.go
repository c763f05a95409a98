package host

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/mux"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/state"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/telemetry"
	"github.com/tandemhq/tandem/pkg/topology"
)

// identify prepares what tells who asks: the secret between groups, the auth group's keys, the ended
// sessions. A process without groups verifies nothing.
func (h *Host) identify(ctx context.Context) error {
	if len(h.hosted) == 0 {
		return nil
	}
	secret, err := h.c.World.Secrets().Get(ctx, identity.GroupSecretName)
	if err != nil {
		return err
	}
	if h.groupSecret, err = identity.ParseGroupSecret(secret.Reveal()); err != nil {
		return err
	}
	authority := h.c.Authority(h.client(Caller, []topology.Group{topology.Auth}))
	h.authority = authority
	feed := identity.NewFeed(authority.Changes, h.now, h.log)
	h.components = append(h.components, named{"ended sessions and changed access", feed})
	h.meter = quota.NewMeter(quota.MeterConfig{Authority: authority, Now: h.now, NewID: h.newID, Log: h.log})
	h.components = append(h.components, named{"meter of API calls", h.meter})
	h.quota = quota.NewClient(authority)
	h.components = append(h.components, named{"catalogue of permissions", &catalogue{h: h, authority: authority}})
	h.directory = identity.NewDirectory(feed, authority.Access, h.now)
	h.verifier = identity.NewVerifier(identity.VerifierConfig{
		Keys: authority.JWKS, GroupSecret: h.groupSecret, Revoked: feed.Revoked,
		APIKey: authority.APIKey, KeyChanged: feed.AccessChanged, Now: h.now,
	})
	return nil
}

// client makes the calls of a group. A call stays in the process where the configuration says so and
// the callee is hosted here; else it goes through the sidecar, also to this very process.
func (h *Host) client(from topology.Group, declared []topology.Group) *call.Client {
	direct := &call.Direct{Handler: h.Handler()}
	return call.New(call.Config{
		From: from, Declared: declared, GroupSecret: h.groupSecret, Tracer: h.tracer, Now: h.now,
		Observe: h.metrics.ObserveCall,
		Route: func(to topology.Group) call.Route {
			if h.c.Config.Calls == "direct" && h.isHome(to) {
				return direct
			}
			return h.c.World.Invoke()
		},
	})
}

// build opens a group's store, makes its kernel and then the group itself.
func (h *Host) build(ctx context.Context, b group.Builder) error {
	w, log := h.c.World, h.log.With("group", string(b.Name))
	db, err := w.Store(ctx, b.Name)
	if err != nil {
		return err
	}
	db = store.Observed(db, h.now, func(collection, operation, result string, took time.Duration) {
		h.metrics.ObserveStore(b.Name, collection, operation, result, took)
	})
	states := state.Observed(w.State(b.Name), h.now, func(operation, result string, took time.Duration) {
		h.metrics.ObserveState(b.Name, operation, result, took)
	})
	asGroup := func(ctx context.Context, organization string) context.Context {
		return identity.AsGroup(ctx, b.Name, organization)
	}
	runner, err := runs.NewRunner(ctx, runs.Options{
		Group: b.Name, DB: db, Executor: w.Executor(), Owner: h.c.Config.AppID + "/" + h.newID(), Now: h.now, Log: log, Observe: h.metrics.Runs(b.Name), Tracer: h.tracer,
		Context: func(ctx context.Context, run runs.Run) context.Context { return asGroup(ctx, run.Organization) },
	})
	if err != nil {
		return err
	}
	kernel := group.Kernel{
		DB: db, State: states, Call: h.client(b.Name, b.Calls), Secrets: w.Secrets(), Runs: runner,
		Mail: w.Mail(), SMS: w.SMS(), Quota: h.quota, Current: h.directory.Current, Emit: events.Emitter{Group: b.Name, Now: h.now, NewID: h.newID},
		Now: h.now, NewID: h.newID, Metrics: h.metrics.Registry, Log: log,
	}
	g, err := b.Build(ctx, kernel)
	if err != nil {
		return err
	}
	g.Spec = b.Spec
	if b.Name != topology.Auth {
		worker, err := privacy.New(privacy.Config{
			Group: b.Name, DB: db, Runs: runner, Authority: h.authority, Personal: g.Personal, Settle: answerKept + answerAwaited, Log: log,
		})
		if err != nil {
			return err
		}
		g.On, g.Runs = append(g.On, worker.Handlers()...), append(g.Runs, worker.Kind())
	}
	if err := checkTopics(g); err != nil {
		return err
	}
	if migrated := db.Versions(); !maps.Equal(migrated, g.Migrated) {
		return fmt.Errorf("its collections are at versions %v and it declares %v; make Migrated in apps/%s/group.go what it opens", migrated, g.Migrated, b.Name)
	}
	if err := runner.Register(g.Runs...); err != nil {
		return err
	}
	consumer, err := events.NewConsumer(ctx, events.ConsumerOptions{
		Emitter: kernel.Emit, DB: db, Handlers: g.On, Log: log, Tracer: h.tracer,
		Observe: func(topic string, verdict events.Verdict, happened time.Time) {
			h.metrics.ObserveEvent(b.Name, topic, string(verdict), verdict == events.Success, h.now().Sub(happened))
		},
		Context: func(ctx context.Context, m events.Meta) context.Context { return asGroup(ctx, m.Organization) },
	})
	if err != nil {
		return err
	}
	w.Attach(consumer)
	h.metrics.WatchEvents(b.Name, telemetry.Waiting{
		Parked: reading(consumer.Parked), Dead: reading(consumer.DeadLetters().Count),
		Unpublished: reading(func(ctx context.Context) (time.Duration, error) {
			oldest, err := events.Oldest(ctx, db.Outbox())
			if err != nil || oldest.IsZero() {
				return 0, err
			}
			return max(h.now().Sub(oldest), 0), nil
		}),
	})
	h.metrics.WatchRuns(b.Name, reading(runner.Silence))
	h.metrics.WatchStore(b.Name, db.Room)
	if len(g.On) > 0 {
		g.Modules = append(g.Modules, deadLetters{b.Name, consumer.DeadLetters()})
	}
	hosted := &hostedGroup{Group: g, kernel: kernel, consumer: consumer, operations: group.Bind(g)}
	h.groups[b.Name] = hosted
	h.metrics.Hosts(b.Name, h.c.Config.AppID)
	return nil
}

// reading bounds what a reader of the metrics waits for.
func reading[T any](read func(context.Context) (T, error)) func() (T, error) {
	return func() (T, error) {
		ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
		defer cancel()
		return read(ctx)
	}
}

// checkTopics compares what the group consumes with what it declares, from which the run files are made.
func checkTopics(g group.Group) error {
	var consumed []string
	for _, handler := range g.On {
		consumed = append(consumed, handler.Topic)
	}
	declared := slices.Sorted(slices.Values(g.Topics()))
	slices.Sort(consumed)
	if !slices.Equal(consumed, declared) {
		return fmt.Errorf("it consumes %v and declares %v; make Consumes in apps/%s/group.go the topics of On", consumed, declared, g.Name)
	}
	return nil
}

// assemble makes the router of all groups, and the components that run them.
func (h *Host) assemble() (http.Handler, error) {
	router := mux.NewRouter().UseEncodedPath()
	router.NotFoundHandler = h.unmatched(router)
	router.MethodNotAllowedHandler = router.NotFoundHandler
	h.mountHealth(router)

	var all []*group.Operation
	for _, name := range h.hosted {
		all = append(all, h.groups[name].operations...)
	}
	if err := checkOperations(all); err != nil {
		return nil, err
	}
	bound := &adapter{root: router, modules: map[string]*mux.Router{}}
	table := jobs.Table{}
	var runners []*runs.Runner
	for _, name := range h.hosted {
		g := h.groups[name]
		names := &schemaNames{group: name}
		g.api = newAPI(g.Spec, h.c.Version, bound, names)
		if err := h.bind(g.api, names, g.operations); err != nil {
			return nil, err
		}
		table[name] = g.Jobs
		runners = append(runners, g.kernel.Runs)
		relay := events.NewRelay(g.kernel.DB.Outbox(), h.c.World.Bus(), h.log)
		relay.Tracer = h.tracer
		relay.Observe = func(topic string, err error) { h.metrics.ObservePublished(name, topic, err) }
		h.components = append(h.components,
			named{"consumer of " + string(name), g.consumer},
			named{"outbox of " + string(name), relay})
	}
	h.mountDocuments(router)
	schedule, err := jobs.NewScheduler(table, h.c.World.Schedules(), h.now, h.log)
	if err != nil {
		return nil, err
	}
	schedule.Observe, schedule.Tracer = h.metrics.ObserveJob, h.tracer
	h.c.World.AttachSchedules(schedule)
	h.mountSidecar(router, schedule)
	h.components = append(h.components,
		named{"runs", runs.NewSupervisor(h.c.World.Executor(), 0, runners...)},
		named{"schedules", schedule})
	for _, name := range h.hosted {
		for i, c := range h.groups[name].Background {
			h.components = append(h.components, named{fmt.Sprintf("%s background %d", name, i+1), c})
		}
	}
	return h.forwardMoved(router), nil
}
