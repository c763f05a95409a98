package audit

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/authtest"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/store/storetest"
	"github.com/tandemhq/tandem/pkg/topology"
)

// drive goes on with a request until it has ended or waits for longer than a minute.
func (f *fixture) drive(t testing.TB, id string) {
	t.Helper()
	for range 50 {
		outcome, err := f.runner.Drive(t.Context(), f.executor.last[id])
		must(t, err)
		if outcome.Done || outcome.Wait > time.Minute {
			return
		}
		f.Pass(outcome.Wait)
	}
	t.Fatalf("request %s does not end", id)
}

func (f *fixture) ask(t testing.TB, p identity.Principal, kind privacy.Kind, user string) string {
	t.Helper()
	v, err := f.Ask(t.Context(), p, kind, user)
	must(t, err)
	f.drive(t, v.ID)
	return v.ID
}

func (f *fixture) see(t testing.TB, p identity.Principal, id string) *authapi.DataRequest {
	t.Helper()
	v, err := f.Request(t.Context(), p, id)
	must(t, err)
	return v
}

func (f *fixture) deliver(t testing.TB, id string, group topology.Group, p privacy.Part) {
	t.Helper()
	must(t, f.Deliver(t.Context(), acme, id, group, p))
	f.drive(t, id)
}

// unzipped is the files of a request's archive.
func (f *fixture) unzipped(t testing.TB, p identity.Principal, id string) map[string]string {
	t.Helper()
	size, err := f.Archive(t.Context(), p, id)
	must(t, err)
	var out bytes.Buffer
	must(t, f.WriteArchive(t.Context(), &out, p.Organization, id))
	if int64(out.Len()) != size {
		t.Errorf("%d bytes, announced %d", out.Len(), size)
	}
	z, err := zip.NewReader(bytes.NewReader(out.Bytes()), size)
	must(t, err)
	files := map[string]string{}
	for _, file := range z.File {
		r, err := file.Open()
		must(t, err)
		text, err := io.ReadAll(r)
		must(t, err)
		files[file.Name] = string(text)
	}
	return files
}

func data(text string) privacy.Part { return privacy.Part{Data: json.RawMessage(text)} }

// profile is a module that keeps one document of each person.
func profile(kept map[string]string) Keeper {
	return Keeper{"profile", privacy.Personal{
		Export: func(_ context.Context, p privacy.Person) (map[string]any, error) {
			return map[string]any{"email": p.Email, "colour": kept[p.User]}, nil
		},
		Erase: func(_ context.Context, p privacy.Person) (int64, error) {
			_, was := kept[p.User]
			delete(kept, p.User)
			if was {
				return 1, nil
			}
			return 0, nil
		},
	}}
}

func TestExport(t *testing.T) {
	f := newFixture(t, profile(map[string]string{"bob": "blue"}), Keeper{Name: "nothing"})
	f.record(t, acme, "bob", 3)
	f.record(t, acme, "ada", 1)
	f.record(t, globex, "bob", 1)
	bob := as("bob")
	id := f.ask(t, bob, privacy.Export, "")
	v := f.see(t, bob, id)
	if v.Status != authapi.DataCollecting || fmt.Sprint(v.Missing) != "[integrations analytics]" || v.UserID != "bob" || v.RequestedBy != "bob" {
		t.Errorf("request %+v", v)
	}
	asked := f.Outbox(t)
	var told privacy.Request
	must(t, json.Unmarshal(asked[0].Data, &told))
	if asked[0].Type != "auth.data.requested" || told != (privacy.Request{ID: id, Kind: privacy.Export, OrganizationID: acme, UserID: "bob"}) {
		t.Errorf("event %s %+v", asked[0].Type, told)
	}
	if p, err := f.Person(t.Context(), acme, id); err != nil || *p != (privacy.Person{Organization: acme, User: "bob", Email: "bob@example.com"}) {
		t.Errorf("person %+v, %v", p, err)
	}
	_, err := f.Archive(t.Context(), bob, id)
	wantCode(t, "an archive that is not there", err, authapi.CodeDataRequestNotReady)

	// More than one document holds, with nothing in it that a ZIP makes small.
	var large strings.Builder
	for i := range 300_000 {
		fmt.Fprintf(&large, "%x,", uint32(i*2654435761))
	}
	f.deliver(t, id, topology.Integrations, data(`{"orders":"`+large.String()+`"}`))
	f.deliver(t, id, topology.Integrations, data(`{"orders":"another"}`)) // the first counts
	if v := f.see(t, bob, id); v.Status != authapi.DataCollecting || fmt.Sprint(v.Missing) != "[analytics]" || v.Groups[0].Bytes < 2_000_000 {
		t.Errorf("after the first part: %+v", v)
	}
	f.deliver(t, id, topology.Analytics, privacy.Part{})
	v = f.see(t, bob, id)
	if v.Status != authapi.DataReady || len(v.Missing) != 0 || len(v.Groups) != 3 || v.Bytes < 1_000_000 || !v.ExpiresAt.Equal(f.Now().Add(7*aDay)) {
		t.Errorf("ready: %+v", v)
	}
	files := f.unzipped(t, bob, id)
	if len(files) != 3 || files["integrations.json"] != `{"orders":"`+large.String()+`"}` {
		t.Errorf("%d files", len(files))
	}
	var own struct {
		Audit struct {
			Actions []authapi.AuditEntry
			About   []authapi.AuditEntry
		}
		Profile map[string]string
	}
	must(t, json.Unmarshal([]byte(files["auth.json"]), &own))
	if sequences(own.Audit.Actions) != "[3 2 1]" || own.Profile["email"] != "bob@example.com" || own.Profile["colour"] != "blue" {
		t.Errorf("auth.json %s", files["auth.json"])
	}
	var m manifest
	must(t, json.Unmarshal([]byte(files["manifest.json"]), &m))
	if m.User != "bob" || m.Request != id || len(m.Groups) != 3 || len(m.Missing) != 0 {
		t.Errorf("manifest %s", files["manifest.json"])
	}
	chunks, err := f.d.chunks.Count(t.Context(), store.Query{})
	must(t, err)
	if want := (v.Bytes + chunkBytes - 1) / chunkBytes; chunks != want || want < 2 {
		t.Errorf("%d chunks are kept, want those of the archive, %d", chunks, want)
	}
	must(t, f.d.chunks.Each(t.Context(), store.Query{}, func(doc store.Doc[chunk]) error {
		if text, err := json.Marshal(doc.Value); err != nil || len(text) > 1<<20 {
			t.Errorf("chunk %s has %d bytes, %v", doc.ID, len(text), err)
		}
		return nil
	}))
	f.relay(t)
	list, err := f.List(t.Context(), acme, Filter{Action: "auth.audit."}, "", 10)
	must(t, err)
	if len(list.Items) != 2 || list.Items[1].Action != "auth.audit.request-data" || list.Items[0].Action != "auth.audit.download-data" || list.Items[0].Resource != "user:bob" {
		t.Errorf("entries %+v", list.Items)
	}

	f.Pass(7 * aDay)
	_, err = f.Archive(t.Context(), bob, id)
	wantCode(t, "an archive that has expired", err, authapi.CodeDataRequestExpired)
	f.Pass(time.Second)
	must(t, f.Forget(t.Context()))
	if chunks, err := f.d.chunks.Count(t.Context(), store.Query{}); err != nil || chunks != 0 {
		t.Errorf("%d chunks are left, %v", chunks, err)
	}
	if v := f.see(t, bob, id); v.Status != authapi.DataExpired || v.Bytes != 0 || v.Groups[0].Group != "analytics" {
		t.Errorf("expired: %+v", v)
	}
	_, err = f.Archive(t.Context(), bob, id)
	wantCode(t, "an archive that is gone", err, authapi.CodeDataRequestExpired)
	f.Pass(400 * aDay)
	must(t, f.Forget(t.Context()))
	_, err = f.Request(t.Context(), bob, id)
	wantCode(t, "a request that is forgotten", err, problem.CodeNotFound)
}

func TestTheDeadlineEndsTheWait(t *testing.T) {
	f := newFixture(t)
	ada := as("ada")
	id := f.ask(t, ada, privacy.Export, "")
	f.deliver(t, id, topology.Analytics, data(`{"a":1}`))
	f.Pass(DataDeadline)
	f.drive(t, id)
	v := f.see(t, ada, id)
	if v.Status != authapi.DataReady || fmt.Sprint(v.Missing) != "[integrations]" {
		t.Errorf("request %+v", v)
	}
	wantCode(t, "a part that comes late", f.Deliver(t.Context(), acme, id, topology.Integrations, data(`{}`)), authapi.CodeDataRequestClosed)
	if files := f.unzipped(t, ada, id); len(files) != 3 || !strings.Contains(files["manifest.json"], `"integrations"`) {
		t.Errorf("files %v", files)
	}
}

func TestPartsAreChecked(t *testing.T) {
	f := newFixture(t)
	id := f.ask(t, as("ada"), privacy.Export, "")
	for name, test := range map[string]struct {
		organization, id string
		group            topology.Group
		part             privacy.Part
		code             string
	}{
		"no group":             {acme, id, "billing", privacy.Part{}, problem.CodeValidation},
		"auth itself":          {acme, id, topology.Auth, privacy.Part{}, problem.CodeValidation},
		"no request":           {acme, "x", topology.Analytics, privacy.Part{}, problem.CodeNotFound},
		"another organization": {globex, id, topology.Analytics, privacy.Part{}, problem.CodeNotFound},
		"no JSON":              {acme, id, topology.Analytics, data(`{"a":`), problem.CodeValidation},
	} {
		wantCode(t, name, f.Deliver(t.Context(), test.organization, test.id, test.group, test.part), test.code)
	}
	if v := f.see(t, as("ada"), id); len(v.Groups) != 0 {
		t.Errorf("request %+v", v)
	}
	f.deliver(t, id, topology.Analytics, privacy.Part{Data: json.RawMessage("null"), Problem: "too much"})
	must(t, f.take(t.Context(), id, topology.Analytics, data(`{"a":1}`))) // one that was on its way at the same time
	if v := f.see(t, as("ada"), id); len(v.Groups) != 1 || v.Groups[0].Problem != "too much" || v.Groups[0].Bytes != 0 {
		t.Errorf("request %+v", v)
	}
}

func TestWhoMayAsk(t *testing.T) {
	f := newFixture(t)
	f.lastOne = "ada"
	f.record(t, acme, "former", 1)
	weak := as("ada", "*:*")
	weak.ACR = ""
	stranger := as("grace", "*:*")
	key := identity.Principal{Subject: "key:k1", Key: "k1", Organization: acme, Access: &identity.Access{Permissions: []string{"auth.audit:write"}}}
	for _, test := range []struct {
		name string
		p    identity.Principal
		kind privacy.Kind
		user string
		code string
	}{
		{"another's, without the permission", as("bob", "*:read"), privacy.Export, "ada", problem.CodeForbidden},
		{"nobody's", as("ada", "*:*"), privacy.Export, "nobody", problem.CodeNotFound},
		{"another organization's", as("ada", "*:*"), privacy.Export, "grace", problem.CodeNotFound},
		{"a bad id", as("ada", "*:*"), privacy.Export, "a\x00", problem.CodeNotFound},
		{"a key's own", key, privacy.Export, "", problem.CodeNotFound},
		{"to erase with one factor", weak, privacy.ErasePerson, "bob", problem.CodeStepUp},
		{"to erase the last owner", as("ada", "*:*"), privacy.ErasePerson, "", "last_owner"},
		{"another's", as("ada", "*:*"), privacy.Export, "bob", ""},
		{"again while it runs", as("bob"), privacy.Export, "", authapi.CodeDataRequestRunning},
		{"a former member's", as("ada", "*:*"), privacy.Export, "former", ""},
		{"to erase with a key", key, privacy.ErasePerson, "bob", problem.CodeForbidden},
		{"another to erase", as("ada", "*:*"), privacy.ErasePerson, "bob", ""},
		{"one's own", stranger, privacy.Export, "", ""},
	} {
		_, err := f.Ask(t.Context(), test.p, test.kind, test.user)
		wantCode(t, test.name, err, test.code)
	}
	all, err := f.Requests(t.Context(), as("ada", "*:*"), "", 10)
	must(t, err)
	own, err := f.Requests(t.Context(), as("bob"), "", 10)
	must(t, err)
	elsewhere := as("ada", "*:*")
	elsewhere.Organization = globex
	none, err := f.Requests(t.Context(), elsewhere, "", 10)
	must(t, err)
	if len(all.Items) != 4 || len(own.Items) != 2 || len(none.Items) != 0 || own.Items[0].UserID != "bob" {
		t.Errorf("%d for an administrator, %d for one of the people, %d elsewhere", len(all.Items), len(own.Items), len(none.Items))
	}
	id := own.Items[0].ID
	for name, p := range map[string]identity.Principal{"a colleague": as("former"), "another organization": elsewhere} {
		_, err := f.Request(t.Context(), p, id)
		wantCode(t, name, err, problem.CodeNotFound)
		_, err = f.Archive(t.Context(), p, id)
		wantCode(t, name, err, problem.CodeNotFound)
	}
}

func TestErasingAPersonKeepsTheChain(t *testing.T) {
	kept := map[string]string{"bob": "blue", "ada": "red"}
	f := newFixture(t, profile(kept))
	f.record(t, acme, "bob", 2)
	f.record(t, acme, "ada", 1)
	f.record(t, globex, "bob", 1)
	late := told(acme, "late", f.entryBy("bob"))
	by := f.entryBy("ada")
	by.Resource = "bob" // as the host writes it
	must(t, f.Record(t.Context(), told(acme, "raw", by)))
	// An export that could be downloaded still.
	export := f.ask(t, as("bob"), privacy.Export, "")
	f.deliver(t, export, topology.Integrations, data(`{"a":1}`))
	f.deliver(t, export, topology.Analytics, data(`{"a":1}`))

	id := f.ask(t, as("ada", "*:*"), privacy.ErasePerson, "bob")
	f.relay(t) // who erased whom is in the log before it happens
	f.deliver(t, id, topology.Integrations, privacy.Part{Documents: 12})
	if kept["bob"] == "" {
		t.Error("this group erased before the others, who may need what it knows")
	}
	f.deliver(t, id, topology.Analytics, privacy.Part{})
	v := f.see(t, as("ada", "*:*"), id)
	if v.Status != authapi.DataDone || len(v.Groups) != 3 || v.Groups[2].Documents != 12 || v.Groups[1].Documents != 7 || kept["bob"] != "" || kept["ada"] == "" {
		t.Errorf("report %+v", v)
	}
	if v := f.see(t, as("bob"), export); v.Status != authapi.DataExpired {
		t.Errorf("the export of the erased: %+v", v)
	}
	proof := f.verified(t, acme)
	if !proof.OK || proof.Erased != 5 || proof.Checked != 6 {
		t.Errorf("verification %+v", proof)
	}
	// Nothing of bob is in his records, in no form.
	text := f.everything(t, acme)
	for _, trace := range []string{`"bob"`, "user:bob"} {
		if strings.Contains(text, trace) {
			t.Errorf("%s is in %s", trace, text)
		}
	}
	list, err := f.List(t.Context(), acme, Filter{Actor: "erased"}, "", 10)
	must(t, err)
	for _, e := range list.Items {
		if e.Actor != (authapi.AuditActor{Subject: "erased"}) || e.Address != "" || e.UserAgent != "" || e.Action == "" {
			t.Errorf("entry %+v", e)
		}
	}
	if other, err := f.List(t.Context(), globex, Filter{Actor: "bob"}, "", 10); err != nil || len(other.Items) != 1 {
		t.Errorf("the other organization's entries %+v, %v", other, err)
	}
	// What he did before and comes late does not bring him back; what he does when he comes back is his.
	must(t, f.Record(t.Context(), late))
	f.Pass(time.Hour)
	f.record(t, acme, "bob", 1)
	list, err = f.List(t.Context(), acme, Filter{Actor: "bob"}, "", 10)
	must(t, err)
	if proof := f.verified(t, acme); !proof.OK || proof.Erased != 6 || len(list.Items) != 1 {
		t.Errorf("verification %+v, entries of bob %+v", proof, list.Items)
	}
	// What follows once he is gone, such as that grants are withdrawn, does not name him either.
	must(t, f.accounts.Memberships.Delete(t.Context(), accounts.MembershipID(acme, "bob"), 0))
	after := f.entryBy("group:auth")
	after.Action, after.Resource = "auth.rbac.withdraw", "user:bob"
	must(t, f.Record(t.Context(), told(acme, "after", after)))
	list, err = f.List(t.Context(), acme, Filter{Action: "auth.rbac.withdraw"}, "", 10)
	must(t, err)
	if len(list.Items) != 1 || list.Items[0].Resource != "user:erased" || !f.verified(t, acme).OK {
		t.Errorf("entries of what followed %+v", list.Items)
	}
	// And none of it hides a change.
	f.tamper(t, acme, 1, func(r *record) { r.Action, r.Module = "auth.auth.login", "auth.auth" })
	if proof := f.verified(t, acme); proof.OK || proof.Broken != 1 {
		t.Errorf("verification %+v", proof)
	}
}

// TestMongoDB has the other store keep all that the module keeps.
func TestMongoDB(t *testing.T) {
	url, w := storetest.MongoServer(t), authtest.New(t)
	db, err := store.Mongo{URL: url, Database: storetest.MongoDatabase(t, url), Now: w.Now}.Open(t.Context())
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	w.DB = db
	f := newFixtureIn(t, w, profile(map[string]string{"bob": "blue"}))
	e := f.entryBy("bob")
	e.Details = map[string]string{"a.b": "1", "$c": "<2>", "": "3"}
	must(t, f.Record(t.Context(), told(acme, "event", e)))
	f.record(t, acme, "bob", 2)
	id := f.ask(t, as("bob"), privacy.Export, "")
	f.relay(t)
	f.deliver(t, id, topology.Integrations, data(`{"a":"`+strings.Repeat("a", 2*chunkBytes)+`"}`))
	f.deliver(t, id, topology.Analytics, privacy.Part{})
	if files := f.unzipped(t, as("bob"), id); len(files) != 3 || len(files["integrations.json"]) != 2*chunkBytes+8 {
		t.Errorf("%d files", len(files))
	}
	id = f.ask(t, as("bob"), privacy.ErasePerson, "")
	f.relay(t)
	f.deliver(t, id, topology.Integrations, privacy.Part{Documents: 1})
	f.deliver(t, id, topology.Analytics, privacy.Part{})
	if v := f.see(t, as("bob"), id); v.Status != authapi.DataDone {
		t.Errorf("report %+v", v)
	}
	if v := f.verified(t, acme); !v.OK || v.Erased != 6 || v.Checked != 6 {
		t.Errorf("verification %+v", v)
	}
	list, err := f.List(t.Context(), acme, Filter{Actor: "erased", Action: "auth.sessions."}, "", 10)
	must(t, err)
	if sequences(list.Items) != "[3 2 1]" || fmt.Sprint(list.Items[2].Details) != fmt.Sprint(e.Details) {
		t.Errorf("entries %+v", list.Items)
	}
	f.tamper(t, acme, 2, func(r *record) { r.Code = "x" })
	if v := f.verified(t, acme); v.OK || v.Broken != 2 {
		t.Errorf("verification %+v", v)
	}
}

// TestARunThatFails is given up after about a day, and then anew.
func TestARunThatFails(t *testing.T) {
	failing := true
	f := newFixture(t, Keeper{"profile", privacy.Personal{Export: func(context.Context, privacy.Person) (map[string]any, error) {
		if failing {
			return nil, errors.New("no")
		}
		return nil, nil
	}}})
	v, err := f.Ask(t.Context(), as("ada"), privacy.Export, "")
	must(t, err)
	must(t, f.Deliver(t.Context(), acme, v.ID, topology.Integrations, privacy.Part{}))
	must(t, f.Deliver(t.Context(), acme, v.ID, topology.Analytics, privacy.Part{}))
	for range 1000 {
		outcome, err := f.runner.Drive(t.Context(), f.executor.last[v.ID])
		must(t, err)
		if outcome.Done {
			break
		}
		f.Pass(outcome.Wait)
	}
	if v := f.see(t, as("ada"), v.ID); v.Status != authapi.DataFailed {
		t.Errorf("request %+v", v)
	}
	failing = false
	id := f.ask(t, as("ada"), privacy.Export, "")
	f.deliver(t, id, topology.Integrations, privacy.Part{})
	f.deliver(t, id, topology.Analytics, privacy.Part{})
	if v := f.see(t, as("ada"), id); v.Status != authapi.DataReady {
		t.Errorf("request %+v", v)
	}
}

// TestWhoeverIsAskedFindsTheRequest looks while the run has begun and the request is not there yet: a group that was asked by then
// would be told that there is none, and deliver nothing.
func TestWhoeverIsAskedFindsTheRequest(t *testing.T) {
	f := newFixture(t)
	f.executor.launched = func() {
		for _, e := range f.Outbox(t) {
			if e.Type == privacy.Requested.Name {
				t.Error("the groups are asked before the request is there")
			}
		}
	}
	v, err := f.Ask(t.Context(), as("bob"), privacy.Export, "")
	must(t, err)
	must(t, f.d.requests.Delete(t.Context(), v.ID, 0)) // as if Ask had ended before it wrote it
	f.drive(t, v.ID)
	asked := 0
	for _, e := range f.Outbox(t) {
		if e.Type == privacy.Requested.Name {
			asked++
		}
	}
	if asked != 2 { // by Ask, and by the run that found nothing
		t.Errorf("asked %d times", asked)
	}
	if v := f.see(t, as("bob"), v.ID); v.RequestedBy != "bob" {
		t.Errorf("request %+v", v)
	}
}

// TestStepsDoneTwice has each step's end lost once, as by a crash.
func TestStepsDoneTwice(t *testing.T) {
	for _, kind := range []privacy.Kind{privacy.Export, privacy.ErasePerson} {
		f := newFixture(t, profile(map[string]string{"bob": "blue"}))
		f.record(t, acme, "bob", 3)
		v, err := f.Ask(t.Context(), as("bob"), kind, "")
		must(t, err)
		must(t, f.d.requests.Delete(t.Context(), v.ID, 0)) // as if Ask had ended before it wrote it
		run, err := f.runner.Get(t.Context(), acme, v.ID)
		must(t, err)
		_, err = f.step(t.Context(), run)
		must(t, err)
		for _, group := range groups {
			must(t, f.Deliver(t.Context(), acme, v.ID, group, data(`{"a":1}`)))
		}
		for n := 0; ; n++ {
			if _, err := f.step(t.Context(), run); err != nil {
				t.Fatal(err)
			}
			next, err := f.step(t.Context(), run)
			must(t, err)
			if next.Done {
				break
			}
			if next.Wait > 0 || n > 20 {
				t.Fatalf("%s waits: %+v", kind, next)
			}
			run.Cursor, err = json.Marshal(next.Cursor)
			must(t, err)
		}
		if v := f.see(t, as("bob"), v.ID); len(v.Groups) != 3 || v.FinishedAt == nil {
			t.Errorf("%s: %+v", kind, v)
		}
		if kind == privacy.Export {
			if files := f.unzipped(t, as("bob"), v.ID); len(files) != 4 || files["analytics.json"] != `{"a":1}` {
				t.Errorf("files %v", files)
			}
		}
		if v := f.verified(t, acme); !v.OK {
			t.Errorf("verification %+v", v)
		}
	}
}

func TestAnErasedOrganizationLeavesNothing(t *testing.T) {
	f := newFixture(t)
	f.record(t, acme, "bob", 3)
	ready := f.ask(t, as("bob"), privacy.Export, "")
	f.deliver(t, ready, topology.Integrations, data(`{"a":1}`))
	f.deliver(t, ready, topology.Analytics, data(`{"a":1}`))
	waiting := f.ask(t, as("ada", "*:*"), privacy.Export, "bob")
	f.record(t, globex, "grace", 1)
	for range 2 {
		must(t, f.EraseOrganization(t.Context(), acme))
		_, err := f.DB.EraseOrganization(t.Context(), acme)
		must(t, err)
	}
	f.record(t, acme, "bob", 2) // comes late
	f.relay(t)
	f.Pass(DataDeadline)
	f.drive(t, waiting)
	_, gone := f.runner.Get(t.Context(), acme, waiting)
	chunks, err := f.d.chunks.Count(t.Context(), store.Query{})
	must(t, err)
	requests, err := f.d.requests.Count(t.Context(), store.Query{})
	must(t, err)
	if v := f.verified(t, acme); v.Checked != 0 || chunks != 0 || requests != 0 || !errors.Is(gone, runs.ErrNotFound) {
		t.Errorf("verification %+v, %d chunks, %d requests, its run: %v", v, chunks, requests, gone)
	}
	if v := f.verified(t, globex); !v.OK || v.Checked != 1 {
		t.Errorf("the other organization's: %+v", v)
	}
}
