package privacy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// authority is the auth group, which remembers what it was told.
type authority struct {
	down      error
	delivered []string
}

func (a *authority) Person(_ context.Context, request string) (privacy.Person, error) {
	return privacy.Person{Organization: "acme", User: "bob", Email: request + "@example.com"}, a.down
}

func (a *authority) Deliver(_ context.Context, request string, group topology.Group, part privacy.Part) error {
	if a.down == nil {
		a.delivered = append(a.delivered, fmt.Sprintf("%s %s %d %.80s %s", request, group, part.Documents, part.Data, part.Problem))
	}
	return a.down
}

func (a *authority) OrganizationErased(_ context.Context, organization string, group topology.Group, documents int64) error {
	if a.down == nil {
		a.delivered = append(a.delivered, fmt.Sprintf("%s %s %d", organization, group, documents))
	}
	return a.down
}

const settle = 24 * time.Hour

// process is a group with a worker, driven by the test.
type process struct {
	authority
	t      *testing.T
	db     store.DB
	runner *runs.Runner
	worker *privacy.Worker
	now    time.Time
	last   runs.Key
}

func (p *process) Host(topology.Group, runs.Drive)              {}
func (p *process) Start(context.Context) error                  { return nil }
func (p *process) Stop(context.Context) error                   { return nil }
func (p *process) Launch(_ context.Context, key runs.Key) error { p.last = key; return nil }

func start(t *testing.T, personal privacy.Personal) *process {
	t.Helper()
	p := &process{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	now := func() time.Time { return p.now }
	var err error
	p.db, err = store.SQLite{Path: filepath.Join(t.TempDir(), "ml.db"), Now: now}.Open(t.Context())
	must(t, err)
	t.Cleanup(func() { must(t, p.db.Close()) })
	silent := slog.New(slog.NewTextHandler(io.Discard, nil))
	p.runner, err = runs.NewRunner(t.Context(), runs.Options{Group: topology.ML, DB: p.db, Executor: p, Owner: "p", Now: now, Log: silent})
	must(t, err)
	p.worker, err = privacy.New(privacy.Config{
		Group: topology.ML, DB: p.db, Runs: p.runner, Authority: &p.authority, Personal: personal, Settle: settle, Log: silent,
	})
	must(t, err)
	must(t, p.runner.Register(p.worker.Kind()))
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// announce has the event of a topic handled, and comes again.
func announce[T any](p *process, topic events.Topic[T], data T) error {
	p.t.Helper()
	body, err := json.Marshal(data)
	must(p.t, err)
	event := events.Raw{Meta: events.Meta{ID: "e1"}, Data: body}
	for _, h := range p.worker.Handlers() {
		if h.Topic == topic.Name {
			err = errors.Join(err, h.Handle(p.t.Context(), event), h.Handle(p.t.Context(), event))
		}
	}
	return err
}

// drive goes on for so long, or until the run ends.
func (p *process) drive(during time.Duration) runs.Run {
	p.t.Helper()
	for end := p.now.Add(during); p.now.Before(end); {
		outcome, err := p.runner.Drive(p.t.Context(), p.last)
		must(p.t, err)
		if outcome.Done {
			break
		}
		p.now = p.now.Add(max(outcome.Wait, time.Second))
	}
	organization := "acme"
	if strings.HasPrefix(p.last.Run, "erase-") {
		organization = "" // the organization's runs are erased
	}
	run, err := p.runner.Get(p.t.Context(), organization, p.last.Run)
	must(p.t, err)
	return run
}

func request(kind privacy.Kind) privacy.Request {
	return privacy.Request{ID: "r1", Kind: kind, OrganizationID: "acme", UserID: "bob"}
}

func (p *process) want(what string, delivered ...string) {
	p.t.Helper()
	if !slices.Equal(p.delivered, delivered) {
		p.t.Errorf("%s: delivered %q, want %q", what, p.delivered, delivered)
	}
}

func TestExport(t *testing.T) {
	p := start(t, privacy.Personal{Export: func(_ context.Context, person privacy.Person) (map[string]any, error) {
		return map[string]any{"segments": []string{person.User, person.Email}}, nil
	}})
	must(t, announce(p, privacy.Requested, request(privacy.Export)))
	if run := p.drive(time.Minute); run.Status != runs.Succeeded {
		t.Errorf("run %+v", run)
	}
	p.want("an export", `r1 ml 0 {"segments":["bob","r1@example.com"]} `)
}

func TestAGroupThatKeepsNothingOfPersons(t *testing.T) {
	for _, personal := range []privacy.Personal{{}, {Export: func(context.Context, privacy.Person) (map[string]any, error) { return nil, nil }}} {
		for _, kind := range []privacy.Kind{privacy.Export, privacy.ErasePerson} {
			p := start(t, personal)
			must(t, announce(p, privacy.Requested, request(kind)))
			p.drive(time.Minute)
			p.want(string(kind), "r1 ml 0  ")
		}
	}
}

func TestAnExportThatIsTooLargeSaysSo(t *testing.T) {
	p := start(t, privacy.Personal{Export: func(context.Context, privacy.Person) (map[string]any, error) {
		return map[string]any{"a": strings.Repeat("a", privacy.MaxPart)}, nil
	}})
	must(t, announce(p, privacy.Requested, request(privacy.Export)))
	p.drive(time.Minute)
	p.want("too much", fmt.Sprintf("r1 ml 0  %d bytes are more than an export takes", privacy.MaxPart+8))
}

func TestErasingGoesOnAfterAnError(t *testing.T) {
	kept := 5
	p := start(t, privacy.Personal{Erase: func(_ context.Context, person privacy.Person) (int64, error) {
		if person.Email == "" {
			return 0, errors.New("nobody")
		}
		if kept > 2 {
			kept -= 2
			return 2, errors.New("the database is busy")
		}
		n := kept
		kept = 0
		return int64(n), nil
	}})
	must(t, announce(p, privacy.Requested, request(privacy.ErasePerson)))
	p.drive(time.Minute)
	p.want("erased in parts", "r1 ml 5  ")
	if kept != 0 {
		t.Errorf("%d are left", kept)
	}
}

func TestAnOrganizationIsErased(t *testing.T) {
	p := start(t, privacy.Personal{})
	type thing struct{ A int }
	things, err := store.Tenant[thing](t.Context(), p.db, store.Def{Name: "things"})
	must(t, err)
	must(t, p.runner.Register(runs.Kind{Name: "sync", Step: func(context.Context, runs.Run) (runs.Next, error) { return runs.Next{}, nil }}))
	for _, organization := range []string{"acme", "globex"} {
		for i := range 10 {
			_, err := things.In(organization).Insert(t.Context(), fmt.Sprint(i), thing{i})
			must(t, err)
		}
		_, err := p.runner.Start(t.Context(), "sync", organization, "sync-"+organization, nil)
		must(t, err)
	}
	must(t, announce(p, privacy.OrganizationErasing, privacy.Erasing{OrganizationID: "acme"}))
	must(t, p.db.Outbox().Add(t.Context(), store.Message{ID: "m", Topic: "t", Data: []byte(`{"organization":"acme"}`)}))
	p.drive(settle / 2)
	p.want("something may be under way still")
	_, err = p.runner.Get(t.Context(), "acme", "sync-acme")
	if !errors.Is(err, runs.ErrNotFound) {
		t.Errorf("a run of it is left: %v", err)
	}
	_, err = things.In("acme").Insert(t.Context(), "late", thing{})
	must(t, err)
	p.drive(settle/2 + time.Minute)
	p.want("an event about it waits to be published")
	must(t, p.db.Outbox().Done(t.Context(), "m"))
	p.down = problem.New(http.StatusServiceUnavailable, problem.CodeUnavailable, "auth is down")
	if run := p.drive(20 * time.Hour); run.Status.Final() {
		t.Errorf("given up while auth is down: %+v", run)
	}
	p.down = nil
	p.drive(time.Hour)
	p.want("an organization", "acme ml 12")
	for organization, want := range map[string]int64{"acme": 0, "globex": 10} {
		if n, err := things.In(organization).Count(t.Context(), store.Query{}); err != nil || n != want {
			t.Errorf("%s has %d things, %v", organization, n, err)
		}
	}
	_, err = p.runner.Get(t.Context(), "globex", "sync-globex")
	must(t, err)
}

func TestARequestThatIsOver(t *testing.T) {
	for _, status := range []int{404, 409, 410} {
		p := start(t, privacy.Personal{})
		must(t, announce(p, privacy.Requested, request(privacy.Export)))
		p.down = problem.New(status, "over", "it is over")
		if run := p.drive(time.Minute); run.Status != runs.Failed || run.Error.Code != "over" {
			t.Errorf("%d: %+v", status, run)
		}
	}
}

func TestMalformedRequestsAreDeadLetters(t *testing.T) {
	p := start(t, privacy.Personal{})
	bad := request("everything")
	if err := announce(p, privacy.Requested, bad); !events.IsPoison(err) {
		t.Errorf("another kind: %v", err)
	}
	bad = request(privacy.Export)
	bad.ID = strings.Repeat("x", 200)
	if err := announce(p, privacy.Requested, bad); !events.IsPoison(err) {
		t.Errorf("a bad id: %v", err)
	}
	var topics []string
	for _, h := range p.worker.Handlers() {
		topics = append(topics, h.Topic)
	}
	if !slices.Equal(topics, privacy.Topics()) {
		t.Errorf("handles %v, says %v", topics, privacy.Topics())
	}
	if _, err := privacy.New(privacy.Config{Group: topology.ML}); err == nil {
		t.Error("made without a database")
	}
}
