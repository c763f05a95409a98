package audit

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/authtest"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/store/storetest"
)

func TestALogIsAChain(t *testing.T) {
	f := newFixture(t)
	if v := f.verified(t, acme); !v.OK || v.To != 0 || v.Checked != 0 {
		t.Errorf("an empty log: %+v", v)
	}
	f.record(t, acme, "ada", 5)
	f.record(t, globex, "grace", 2)
	v := f.verified(t, acme)
	if !v.OK || v.From != 1 || v.To != 5 || v.Checked != 5 || v.Head.Sequence != 5 || v.Start.Sequence != 0 {
		t.Errorf("verification %+v", v)
	}
	if other := f.verified(t, globex); !other.OK || other.To != 2 {
		t.Errorf("the other organization's: %+v", other)
	}
	list, err := f.List(t.Context(), acme, Filter{}, "", 10)
	must(t, err)
	if sequences(list.Items) != "[5 4 3 2 1]" || list.Items[0].Hash != v.Head.Hash || list.Items[4].Previous != "" {
		t.Errorf("entries %+v", list.Items)
	}
	for i, e := range list.Items[:4] {
		if e.Previous != list.Items[i+1].Hash || len(e.Hash) != 64 {
			t.Errorf("entry %d does not continue the one before: %+v", e.Sequence, e)
		}
	}
	want := authapi.AuditEntry{
		Action: "auth.sessions.revoke", Actor: authapi.AuditActor{Subject: "ada", Session: "s1"}, Resource: "session:s2", Result: "success",
		Address: "203.0.113.7", UserAgent: "curl/8", TraceID: "t1", Details: map[string]string{"reason": "user"},
	}
	e := list.Items[0]
	want.ID, want.Sequence, want.Previous, want.Hash = e.ID, e.Sequence, e.Previous, e.Hash
	want.At = f.Now().Add(-2 * time.Minute) // the other organization recorded since
	want.RecordedAt = want.At
	if fmt.Sprint(e) != fmt.Sprint(want) {
		t.Errorf("entry %+v\nwant  %+v", e, want)
	}
}

// TestTheHashIsStable has a hash that was once written: if it changes, every log there is breaks.
func TestTheHashIsStable(t *testing.T) {
	at := store.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	r, err := newRecord(audit.Entry{
		At: at.Time, Action: "auth.auth.login", Actor: audit.Actor{Subject: "ada"}, Result: audit.Denied, Code: "invalid_credentials",
		Resource: "user:ada", Address: "203.0.113.7", Details: map[string]string{"b": "<2>", "a": "1"},
	}, at, strings.NewReader(strings.Repeat("s", 2*saltBytes)))
	must(t, err)
	r.Sequence, r.Previous = 7, []byte{1, 2}
	hash, err := r.digest(acme, "event-7")
	must(t, err)
	if got := fmt.Sprintf("%x", hash); got != "1a1970f236c363dd7dc84b15f6de83b0e99c91880fb5b520d7adad0f8d71093f" {
		t.Errorf("hash %s", got)
	}
}

func TestVerifyNamesWhatWasTamperedWith(t *testing.T) {
	f := newFixture(t)
	f.record(t, acme, "ada", 6)
	for name, change := range map[string]func(*record){
		"the actor":              func(r *record) { r.Who.Subject = "bob" },
		"the address":            func(r *record) { r.Who.Address = "198.51.100.1" },
		"the actor, as erased":   func(r *record) { r.Who = who{Subject: "bob"}; r.WhoSalt = nil },
		"the resource":           func(r *record) { r.Resource = "session:s3" },
		"the resource, erased":   func(r *record) { r.Resource, r.ResourceSalt = "user:bob", nil },
		"the action":             func(r *record) { r.Action, r.Module = "auth.auth.login", "auth.auth" },
		"where it is found":      func(r *record) { r.Module = "auth.auth" },
		"the result":             func(r *record) { r.Result = audit.Denied },
		"the code":               func(r *record) { r.Code = "x" },
		"the time":               func(r *record) { r.At = store.At(r.At.Add(time.Second)) },
		"the time of recording":  func(r *record) { r.RecordedAt = store.At(r.RecordedAt.Add(time.Second)) },
		"the trace":              func(r *record) { r.TraceID = "" },
		"a detail":               func(r *record) { r.Details["reason"] = "logout" },
		"the commitment":         func(r *record) { r.WhoSeal, _ = commit(r.WhoSalt, who{Subject: "bob"}) },
		"the hash":               func(r *record) { r.Hash[0]++ },
		"the hash before":        func(r *record) { r.Previous[0]++ },
		"all, with another hash": func(r *record) { r.Code = "x"; r.Hash, _ = r.digest(acme, "event-x") },
	} {
		before := f.at(t, acme, 4).Value
		f.tamper(t, acme, 4, change)
		if v := f.verified(t, acme); v.OK || v.Broken != 4 || v.Reason != changed || v.To != 3 || v.Checked != 3 {
			t.Errorf("%s: %+v", name, v)
		}
		f.tamper(t, acme, 4, func(r *record) { *r = before })
	}
	// Whoever computes the hash of what they changed breaks the record after it.
	before := f.at(t, acme, 4)
	f.tamper(t, acme, 4, func(r *record) { r.Code = "x"; r.Hash, _ = r.digest(acme, before.ID) })
	if v := f.verified(t, acme); v.OK || v.Broken != 5 || v.Reason != changed {
		t.Errorf("changed with its own hash: %+v", v)
	}
	if v, err := f.Verify(t.Context(), acme, 6, 0); err != nil || !v.OK || v.From != 6 || v.To != 6 {
		t.Errorf("a range behind it: %+v, %v", v, err)
	}
	if v, err := f.Verify(t.Context(), acme, 0, 3); err != nil || !v.OK || v.To != 3 {
		t.Errorf("a range before it: %+v, %v", v, err)
	}
	f.tamper(t, acme, 4, func(r *record) { *r = before.Value })
	if v := f.verified(t, acme); !v.OK {
		t.Errorf("as it was: %+v", v)
	}
	// The newest, with its hash, is what the head remembers.
	f.tamper(t, acme, 6, func(r *record) { r.Code = "x"; r.Hash, _ = r.digest(acme, f.at(t, acme, 6).ID) })
	if v := f.verified(t, acme); v.OK || v.Broken != 6 || v.Reason != changed {
		t.Errorf("the newest changed with its own hash: %+v", v)
	}
}

func TestVerifyNamesWhatIsMissing(t *testing.T) {
	for _, test := range []struct {
		name    string
		deleted int64
	}{{"the first", 1}, {"one in the middle", 3}, {"the newest", 5}} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.record(t, acme, "ada", 5)
			must(t, f.d.records.In(acme).Delete(t.Context(), f.at(t, acme, test.deleted).ID, 0))
			if v := f.verified(t, acme); v.OK || v.Broken != test.deleted || v.Reason != missing {
				t.Errorf("verification %+v", v)
			}
			if v, err := f.Verify(t.Context(), acme, test.deleted+1, 0); err != nil || test.deleted < 5 && (v.OK || v.Broken != test.deleted) {
				t.Errorf("from behind it: %+v, %v", v, err)
			}
			f.record(t, acme, "ada", 2) // and the log goes on
			if v := f.verified(t, acme); v.OK || v.Broken != test.deleted || v.Head.Sequence != 7 {
				t.Errorf("with more behind it: %+v", v)
			}
		})
	}
	f := newFixture(t)
	f.record(t, acme, "ada", 5)
	must(t, f.d.heads.In(acme).Delete(t.Context(), only, 0))
	if v := f.verified(t, acme); v.OK {
		t.Errorf("without its head: %+v", v)
	}
}

func TestVerifyInParts(t *testing.T) {
	f := newFixture(t)
	f.record(t, acme, "ada", 7)
	f.most = 3
	from, checked := int64(0), int64(0)
	for parts := 1; ; parts++ {
		v, err := f.Verify(t.Context(), acme, from, 0)
		must(t, err)
		if !v.OK {
			t.Fatalf("part %d: %+v", parts, v)
		}
		checked += v.Checked
		if from = v.Next; from == 0 {
			if parts != 3 {
				t.Errorf("%d parts", parts)
			}
			break
		}
	}
	if checked != 7 {
		t.Errorf("%d records were proved", checked)
	}
	if v, err := f.Verify(t.Context(), acme, 100, 0); err != nil || !v.OK || v.Checked != 0 {
		t.Errorf("behind the end: %+v, %v", v, err)
	}
}

// TestAProcessThatEndsHalfWay has the record written and its head not, and the event come again.
func TestAProcessThatEndsHalfWay(t *testing.T) {
	for _, before := range []int{0, 3} {
		f := newFixture(t)
		f.record(t, acme, "ada", before)
		e := told(acme, "the-event", audit.Entry{Action: "auth.auth.login", At: f.Now()})
		r, err := newRecord(e.Data, store.At(f.Now()), f.c.Random)
		must(t, err)
		end, err := f.end(t.Context(), acme)
		must(t, err)
		r.Sequence, r.Previous = end.Sequence+1, end.Hash
		r.Hash, err = r.digest(acme, e.ID)
		must(t, err)
		_, err = f.d.records.In(acme).Insert(t.Context(), e.ID, r)
		must(t, err)

		again := *f
		again.restart(t, f.DB)
		f = &again
		f.record(t, acme, "bob", 1) // takes the place behind it
		for range 2 {
			must(t, f.Record(t.Context(), e))
		}
		if v := f.verified(t, acme); !v.OK || v.Head.Sequence != int64(before)+2 || v.Checked != int64(before)+2 {
			t.Errorf("after %d: %+v", before, v)
		}
	}
	f := newFixture(t)
	e := told(acme, "the-event", audit.Entry{Action: "auth.auth.login", At: f.Now()})
	r, err := newRecord(e.Data, store.At(f.Now()), f.c.Random)
	must(t, err)
	r.Sequence = 1
	r.Hash, err = r.digest(acme, e.ID)
	must(t, err)
	_, err = f.d.records.In(acme).Insert(t.Context(), e.ID, r)
	must(t, err)
	must(t, f.Record(t.Context(), e))
	if v := f.verified(t, acme); !v.OK || v.Head.Sequence != 1 {
		t.Errorf("the first came again: %+v", v)
	}
}

// race has several processes take the same entries at once, each several at a time and each entry twice.
func race(t *testing.T, processes, entries int, open func() store.DB) {
	t.Helper()
	w := authtest.New(t)
	var fixtures []*fixture
	for range processes {
		f := &fixture{World: w, executor: &launches{}}
		f.restart(t, open())
		fixtures = append(fixtures, f)
	}
	var wait sync.WaitGroup
	for _, f := range fixtures {
		for worker := range 4 {
			wait.Go(func() {
				for i := range 2 * entries {
					id := fmt.Sprint("event-", (i*7+worker*entries/4)%entries)
					if err := f.Record(t.Context(), told(acme, id, audit.Entry{Action: "auth.auth.login", At: w.Now()})); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wait.Wait()
	v := fixtures[0].verified(t, acme)
	if !v.OK || v.Checked != int64(entries) || v.Head.Sequence != int64(entries) {
		t.Errorf("%d processes, %d entries: %+v", processes, entries, v)
	}
}

func TestManyProcessesAtOnce(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "auth.db")
		race(t, 3, 40, func() store.DB {
			db, err := store.OpenSQLite(t.Context(), path)
			must(t, err)
			t.Cleanup(func() { must(t, db.Close()) })
			return db
		})
	})
	t.Run("MongoDB", func(t *testing.T) {
		url := storetest.MongoServer(t)
		name := storetest.MongoDatabase(t, url)
		race(t, 2, 10, func() store.DB {
			db, err := store.OpenMongo(t.Context(), url, name)
			must(t, err)
			t.Cleanup(func() { must(t, db.Close()) })
			return db
		})
	})
}
