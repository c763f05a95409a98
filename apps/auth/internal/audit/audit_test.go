package audit

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/authtest"
	"github.com/tandemhq/tandem/apps/auth/internal/policy"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

const acme, globex = "acme", "globex"

// fixture is a process of the auth group, with two organizations.
type fixture struct {
	*authtest.World
	*Service
	accounts *accounts.Accounts
	runner   *runs.Runner
	executor *launches
	keepers  []Keeper
	lastOne  string // who must not be erased
}

// launches remembers executions instead of driving them: the test does.
type launches struct {
	mu       sync.Mutex
	last     map[string]runs.Key
	launched func() // told of each, when it is not nil
}

func (l *launches) Host(topology.Group, runs.Drive) {}
func (l *launches) Start(context.Context) error     { return nil }
func (l *launches) Stop(context.Context) error      { return nil }
func (l *launches) Launch(_ context.Context, k runs.Key) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[k.Run] = k
	if l.launched != nil {
		l.launched()
	}
	return nil
}

func newFixture(t testing.TB, keepers ...Keeper) *fixture {
	t.Helper()
	return newFixtureIn(t, authtest.New(t), keepers...)
}

func newFixtureIn(t testing.TB, w *authtest.World, keepers ...Keeper) *fixture {
	t.Helper()
	f := &fixture{World: w, executor: &launches{last: map[string]runs.Key{}}, keepers: keepers}
	f.restart(t, f.DB)
	for organization, users := range map[string][]string{acme: {"ada", "bob"}, globex: {"grace"}} {
		_, err := f.accounts.Organizations.Insert(t.Context(), organization, accounts.Organization{Name: organization})
		must(t, err)
		for _, user := range users {
			_, err := f.accounts.Users.Insert(t.Context(), user, accounts.User{Email: user + "@example.com"})
			must(t, err)
			_, err = f.accounts.Memberships.Insert(t.Context(), accounts.MembershipID(organization, user),
				accounts.Membership{User: user, Organization: organization, Roles: []string{"owner"}})
			must(t, err)
		}
	}
	return f
}

var groups = []topology.Group{topology.Integrations, topology.Analytics}

// restart is a new process on db.
func (f *fixture) restart(t testing.TB, db store.DB) {
	t.Helper()
	silent := slog.New(slog.NewTextHandler(io.Discard, nil))
	var err error
	f.accounts, err = accounts.Open(t.Context(), db)
	must(t, err)
	policies, err := policy.Open(t.Context(), db)
	must(t, err)
	f.runner, err = runs.NewRunner(t.Context(), runs.Options{
		Group: topology.Auth, DB: db, Executor: f.executor, Owner: f.NewID(), Now: f.Now, Log: silent,
	})
	must(t, err)
	f.Service, err = Open(t.Context(), Config{
		DB: db, Accounts: f.accounts, Policies: policies, Runs: f.runner, Groups: groups, Keepers: f.keepers,
		MayErase: func(_ context.Context, _, user string) error {
			if user == f.lastOne {
				return problem.New(409, "last_owner", "the last owner stays")
			}
			return nil
		},
		Emit: f.Emit(), Now: f.Now, NewID: f.NewID, Random: rand.Reader, Log: silent,
	})
	must(t, err)
	must(t, f.runner.Register(f.RunKind()))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, what string, err error, code string) {
	t.Helper()
	if problem.Code(err) != code {
		t.Errorf("%s: %v, want the problem %s", what, err, code)
	}
}

// as is a user of acme with two factors, and permissions.
func as(user string, permissions ...string) identity.Principal {
	return identity.Principal{
		Subject: user, Organization: acme, Session: "s-" + user, ACR: identity.ACRMultiFactor, Access: &identity.Access{Permissions: permissions},
	}
}

// told is an entry as its event brings it.
func told(organization, id string, e audit.Entry) events.Event[audit.Entry] {
	if e.Result == "" {
		e.Result = audit.Success
	}
	return events.Event[audit.Entry]{Meta: events.Meta{ID: id, Organization: organization}, Data: e}
}

// entryBy is something that a user did.
func (f *fixture) entryBy(user string) audit.Entry {
	return audit.Entry{
		At: f.Now(), Action: "auth.sessions.revoke", Actor: audit.Actor{Subject: user, Session: "s1"}, Resource: "session:s2",
		Address: "203.0.113.7", UserAgent: "curl/8", TraceID: "t1", Details: map[string]string{"reason": "user"},
	}
}

// everything is all records of a log as they are stored.
func (f *fixture) everything(t testing.TB, organization string) string {
	t.Helper()
	var all []record
	must(t, f.d.records.In(organization).Each(t.Context(), store.Query{}, func(doc store.Doc[record]) error {
		all = append(all, doc.Value)
		return nil
	}))
	text, err := json.Marshal(all)
	must(t, err)
	return string(text)
}

// record has n entries of actor recorded, a minute apart.
func (f *fixture) record(t testing.TB, organization, actor string, n int) {
	t.Helper()
	for range n {
		f.Pass(time.Minute)
		must(t, f.Record(t.Context(), told(organization, "event-"+f.NewID(), f.entryBy(actor))))
	}
}

// relay has the entries recorded that wait in the outbox.
func (f *fixture) relay(t testing.TB) {
	t.Helper()
	messages, err := f.DB.Outbox().Pending(t.Context(), 1000)
	must(t, err)
	for _, m := range messages {
		raw, err := events.Decode(m.Data)
		must(t, err)
		if raw.Type == audit.Recorded.Name {
			must(t, events.On(audit.Recorded, f.Record).Handle(t.Context(), raw))
			must(t, f.DB.Outbox().Done(t.Context(), m.ID))
		}
	}
}

// verified is the proof of a whole log.
func (f *fixture) verified(t testing.TB, organization string) *authapi.AuditVerification {
	t.Helper()
	v, err := f.Verify(t.Context(), organization, 0, 0)
	must(t, err)
	return v
}

// at is the record at a place.
func (f *fixture) at(t testing.TB, organization string, sequence int64) store.Doc[record] {
	t.Helper()
	doc, err := f.d.records.In(organization).First(t.Context(), store.Query{Index: bySequence, Equal: []any{sequence}})
	must(t, err)
	return doc
}

// tamper changes the record at a place behind the module's back.
func (f *fixture) tamper(t testing.TB, organization string, sequence int64, change func(*record)) {
	t.Helper()
	_, err := f.d.records.In(organization).Update(t.Context(), f.at(t, organization, sequence).ID, func(r *record) ([]store.Message, error) {
		change(r)
		return nil, nil
	})
	must(t, err)
}

func sequences(list []authapi.AuditEntry) string {
	all := []int64{}
	for _, e := range list {
		all = append(all, e.Sequence)
	}
	return fmt.Sprint(all)
}

func TestOpenWantsAllOfItsConfiguration(t *testing.T) {
	w := authtest.New(t)
	if _, err := Open(t.Context(), Config{DB: w.DB}); err == nil {
		t.Error("opened without accounts")
	}
}

func TestEntriesThatCannotBeKeptAreDeadLetters(t *testing.T) {
	f := newFixture(t)
	for name, e := range map[string]events.Event[audit.Entry]{
		"no organization": told("", "e1", audit.Entry{Action: "auth.a.b"}),
		"no action":       told(acme, "e1", audit.Entry{}),
		"an id too long":  told(acme, fmt.Sprintf("%500d", 1), audit.Entry{Action: "auth.a.b"}),
	} {
		if err := f.Record(t.Context(), e); !events.IsPoison(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	failing := &fixture{World: f.World, executor: f.executor}
	failing.restart(t, f.DB)
	failing.c.Random = failingReader{}
	if err := failing.Record(t.Context(), told(acme, "e1", audit.Entry{Action: "auth.a.b"})); err == nil || events.IsPoison(err) {
		t.Errorf("without random bytes: %v, want an error that is tried again", err)
	}
	if v := f.verified(t, acme); v.Head.Sequence != 0 || !v.OK {
		t.Errorf("verification %+v", v)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("no entropy") }
