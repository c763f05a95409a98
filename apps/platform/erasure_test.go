package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/pkg/world"
)

// staysOnPurpose tells of a row that has an organization's id in it why it is there after the organization was erased.
func staysOnPurpose(group topology.Group, table string, row []byte) string {
	switch {
	case group == topology.Auth && table == "doc_erasures":
		return "the proof of the erasure, with what each group confirmed"
	case group == topology.Auth && table == "doc_audit_closed":
		return "a late entry must not begin the audit log anew"
	case group != topology.Auth && table == "doc_runs" && bytes.Contains(row, []byte("id=erase-")):
		return "the group's own proof: when it erased how many documents"
	}
	return ""
}

// nothingIsLeft deletes all organizations that there are, lets the time pass, and looks for their ids in every row of every
// group's database.
func nothingIsLeft(t *testing.T, p *process) {
	databases := map[topology.Group]*sql.DB{}
	for _, group := range topology.Groups() {
		databases[group] = openRaw(t, p, group)
	}
	auth := databases[topology.Auth]
	organizations := column(t, auth, `SELECT id FROM doc_organizations`)
	if len(organizations) < 20 {
		t.Fatalf("the scenarios left %d organizations; that proves nothing", len(organizations))
	}
	failingEvents(t, p, organizations[0])
	before := found(t, databases, organizations)
	for _, group := range []topology.Group{topology.Auth, topology.Integrations, topology.Analytics} {
		if len(before[group]) < 3 {
			t.Errorf("%s has ids of organizations in %v; what is to be erased is missing", group, before[group])
		}
	}

	end, err := store.At(p.now()).MarshalJSON()
	if err == nil {
		_, err = auth.ExecContext(t.Context(), `UPDATE doc_organizations SET body = json_set(body, '$.erase_at', json(?))`, string(end))
	}
	if err != nil {
		t.Fatal(err)
	}
	pass := func(d time.Duration, jobs ...string) {
		t.Helper()
		p.ahead.Add(int64(d))
		for _, job := range jobs {
			if err := p.world.schedule.Fire(t.Context(), job); err != nil {
				t.Fatalf("%s: %v", job, err)
			}
		}
	}
	pass(2*time.Hour, "auth.erase-organizations")
	eventually.Succeeds(t, 3*time.Minute, "every group has erased, and waits for what comes late", func() error {
		for _, group := range topology.Groups() {
			runs := column(t, databases[group], `SELECT id FROM doc_runs WHERE id LIKE 'erase-%' AND json_extract(body, '$.cursor.erased')`)
			if group != topology.Auth && len(runs) != len(organizations) {
				return fmt.Errorf("%s has erased %d of %d", group, len(runs), len(organizations))
			}
		}
		return nil
	})
	if left := column(t, auth, `SELECT id FROM doc_organizations`); len(left) != len(organizations) {
		t.Errorf("%d of %d organizations are confirmed before what may come late has come", len(left), len(organizations))
	}
	pass(25 * time.Hour)
	eventually.Succeeds(t, 3*time.Minute, "every group has confirmed", func() error {
		if left := column(t, auth, `SELECT id FROM doc_organizations`); len(left) > 0 {
			return fmt.Errorf("%d organizations are left", len(left))
		}
		return nil
	})
	pass(2*time.Hour, "auth.forget-access-changes", "auth.forget-sessions", "auth.forget-sign-ins", "auth.forget-sso-flows")
	eventually.Succeeds(t, 30*time.Second, "nothing is left", func() error {
		if left := found(t, databases, organizations); len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
}

// failingEvents has an event about an organization fail for ever, and another one parked.
func failingEvents(t *testing.T, p *process, organization string) {
	t.Helper()
	db, err := world.OpenStore(t.Context(), p.world.Config, topology.Analytics)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	poisonous, failing := events.Topic[int]{Name: "integrations.test.poisonous"}, events.Topic[int]{Name: "integrations.test.failing"}
	emit := events.Emitter{Group: topology.Analytics, Now: p.now, NewID: newID}
	c, err := events.NewConsumer(t.Context(), events.ConsumerOptions{Emitter: emit, DB: db, Log: slog.New(slog.DiscardHandler), Handlers: []events.Handler{
		events.On(poisonous, func(context.Context, events.Event[int]) error { return events.Poison(errors.New("never")) }),
		events.On(failing, func(context.Context, events.Event[int]) error { return errors.New("not now") }),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[events.Topic[int]]events.Verdict{poisonous: events.Drop, failing: events.Success} {
		m, err := topic.Message(t.Context(), emit, organization, 1)
		if err != nil {
			t.Fatal(err)
		}
		if verdict := c.Deliver(t.Context(), topic.Wire(), m.Data); verdict != want {
			t.Fatalf("%s: %s", topic.Name, verdict)
		}
	}
}

func openRaw(t *testing.T, p *process, group topology.Group) *sql.DB {
	t.Helper()
	name := url.URL{Scheme: "file", OmitHost: true, Path: filepath.Join(p.world.Config.Data, string(group)+".db"), RawQuery: "_pragma=busy_timeout(5000)"}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func column(t *testing.T, db *sql.DB, query string) (values []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}

// found is in which tables of each group there are ids of organizations that should not be there.
func found(t *testing.T, databases map[topology.Group]*sql.DB, organizations []string) map[topology.Group][]string {
	t.Helper()
	all, forms := map[topology.Group][]string{}, formsOf(organizations)
	for group, db := range databases {
		for _, table := range column(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`) {
			if n := foundIn(t, db, group, table, forms); n > 0 {
				all[group] = append(all[group], fmt.Sprintf("%s (%d)", table, n))
			}
		}
	}
	return all
}

func foundIn(t *testing.T, db *sql.DB, group topology.Group, table string, forms [][]byte) (n int) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT * FROM "`+table+`"`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, into := make([]sql.RawBytes, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var row []byte
		for i, v := range values {
			row = fmt.Appendf(row, "%s=%s\n", names[i], v)
		}
		if slices.ContainsFunc(forms, func(form []byte) bool { return bytes.Contains(row, form) }) && staysOnPurpose(group, table, row) == "" {
			n++
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

// formsOf are the ids, each as it is and in base64, where it has one of three forms, less the ends, which depend on what is
// around it.
func formsOf(ids []string) (forms [][]byte) {
	for _, id := range ids {
		forms = append(forms, []byte(id))
		for before := range 3 {
			encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", before) + id))
			forms = append(forms, []byte(encoded[4:len(encoded)-4]))
		}
	}
	return forms
}
