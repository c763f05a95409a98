package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/store/storetest"
)

// childPath makes a re-run of this test binary a writer that never ends by itself.
const childPath = "STORE_TEST_CHILD_PATH"

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		if err := writeForEver(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if place := os.Getenv(childPlace); place != "" {
		if err := migrateAloud(place); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// childPlace makes a re-run of this test binary migrate a database: the path of a SQLite file, or a MongoDB server's URL, a space and a
// name.
const childPlace = "STORE_TEST_CHILD_PLACE"

// migrateAloud prints the id of every document that it begins to migrate.
func migrateAloud(place string) error {
	ctx := context.Background()
	var db store.DB
	var err error
	if url, name, served := strings.Cut(place, " "); served {
		db, err = store.OpenMongo(ctx, url, name)
	} else {
		db, err = store.OpenSQLite(ctx, place)
	}
	if err != nil {
		return err
	}
	aloud := slices.Clone(storetest.Renaming)
	for v, migrate := range storetest.Renaming {
		aloud[v] = func(id string, value json.RawMessage) (json.RawMessage, error) {
			fmt.Println(id)
			return migrate(id, value)
		}
	}
	_, err = store.Tenant[map[string]string](ctx, db, store.Def{Name: "people", Migrations: aloud})
	return err
}

// testKilledMigrations kills migrations at random documents. Whatever they came to, each document is migrated once.
func testKilledMigrations(t *testing.T, place string, open func() store.DB, n int) {
	storetest.Populate(t, open(), n)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for range 8 {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), childPlace+"="+place)
		cmd.Stderr = os.Stderr
		output, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(output)
		for left := rand.IntN(2 * n); left > 0 && lines.Scan(); left-- {
		}
		_ = cmd.Process.Kill() // it may have ended
		if err := cmd.Wait(); err != nil {
			killed++
		}
	}
	t.Logf("%d of 8 migrations were killed", killed)
	storetest.Migrated(t, open(), n)
}

// writeForEver prints the id of every document that the store has acknowledged, from four writers at once.
func writeForEver(path string) error {
	ctx, prefix := context.Background(), os.Getpid()
	db, err := store.OpenSQLite(ctx, path)
	if err != nil {
		return err
	}
	collection, err := store.Tenant[thing](ctx, db, thingsDef)
	if err != nil {
		return err
	}
	d := collection.In("acme")
	failed := make(chan error)
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", prefix, w, i)
				if _, err := d.Insert(ctx, id, thing{N: int64(i)}, store.Message{ID: "m-" + id, Topic: "t"}); err != nil {
					failed <- err
					return
				}
				fmt.Println(id) // one write, so lines of several writers stay whole
			}
		}()
	}
	return <-failed
}

// TestKill kills writers at no chosen moment and looks for everything that they were told is stored.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "documents.db")
	var acknowledged []string
	for round := range 3 {
		acknowledged = append(acknowledged, killWriter(t, path, 50+round*37)...)
	}
	db := openSQLite(t, store.SQLite{Path: path})
	d := things(t, db).In("acme")
	pending := map[string]bool{}
	messages, err := db.Outbox().Pending(t.Context(), 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		pending[m.ID] = true
	}
	for _, id := range acknowledged {
		if _, err := d.Get(t.Context(), id); err != nil {
			t.Errorf("acknowledged document: %v", err)
		}
		if !pending["m-"+id] {
			t.Errorf("the message of acknowledged document %s is gone", id)
		}
	}
	// Documents that were stored without the writer hearing of it have their message too, and no message is alone.
	n, err := d.Count(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if int(n) != len(messages) || int(n) < len(acknowledged) {
		t.Errorf("%d documents, %d messages, %d acknowledged", n, len(messages), len(acknowledged))
	}
}

// killWriter runs a writer until it has printed enough ids and tells all that it printed.
func killWriter(t *testing.T, path string, enough int) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childPath+"="+path)
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		ids = append(ids, lines.Text())
		if len(ids) == enough {
			if err := cmd.Process.Kill(); err != nil { // SIGKILL; what is in the pipe is still read
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(ids) < enough {
		t.Fatalf("the writer ended by itself after %d documents: %v", len(ids), err)
	}
	return ids
}

func TestFull(t *testing.T) {
	const room = 400 << 10
	path := filepath.Join(t.TempDir(), "documents.db")
	small := openSQLite(t, store.SQLite{Path: path, MaxBytes: room})
	d := things(t, small).In("acme")
	large := thing{Name: strings.Repeat("x", 10_000)}
	var stored int
	for ; ; stored++ {
		_, err := d.Insert(t.Context(), fmt.Sprint("large ", stored), large, store.Message{ID: fmt.Sprint(stored), Topic: "t"})
		if errors.Is(err, store.ErrFull) {
			break
		}
		if err != nil || stored > 100 {
			t.Fatalf("after %d documents of 10 kB in %d bytes: %v", stored, room, err)
		}
	}
	var page []store.Put[thing]
	for i := range 100 {
		page = append(page, store.Put[thing]{ID: fmt.Sprint("put ", i), Value: thing{Name: strings.Repeat("y", 3000)}})
	}
	_, err := d.PutMany(t.Context(), page, store.Message{Topic: "t"})
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("put many on a full disk: %v", err)
	}
	_, err = d.Update(t.Context(), "large 0", func(v *thing) ([]store.Message, error) {
		v.Name = strings.Repeat("z", 1<<20)
		return []store.Message{{Topic: "t"}}, nil
	})
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("update on a full disk: %v", err)
	}
	wantWhole(t, small, d, stored)
	if doc, err := d.Get(t.Context(), "large 0"); err != nil || doc.Version != 1 || doc.Value != large {
		t.Errorf("document after refused writes: version %d, %v", doc.Version, err)
	}

	// Room made by deleting counts at once; so does a larger disk.
	if err := d.Delete(t.Context(), "large 0", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Insert(t.Context(), "again", large, store.Message{Topic: "t"}); err != nil {
		t.Errorf("insert after room was made: %v", err)
	}
	wantWhole(t, small, d, stored)
	if err := small.Close(); err != nil {
		t.Fatal(err)
	}
	db := openSQLite(t, store.SQLite{Path: path})
	d = things(t, db).In("acme")
	if n, err := d.PutMany(t.Context(), page, store.Message{Topic: "t"}); err != nil || n != 100 {
		t.Errorf("put many on a larger disk: %d, %v", n, err)
	}
}

// wantWhole checks that exactly the acknowledged documents and their messages are there.
func wantWhole(t *testing.T, db store.DB, d *store.Documents[thing], want int) {
	t.Helper()
	n, err := d.Count(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := db.Outbox().Pending(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	messagesWant := want
	if _, err := d.Get(t.Context(), "again"); err == nil {
		messagesWant++ // the message of the document that was deleted waits too
	}
	if int(n) != want || len(messages) != messagesWant {
		t.Errorf("%d documents and %d messages, want %d and %d", n, len(messages), want, messagesWant)
	}
}

// TestBusy has another process hold the write lock for longer than a writer waits.
func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "documents.db")
	d := things(t, openSQLite(t, store.SQLite{Path: path, BusyTimeout: 50 * time.Millisecond})).In("acme")
	release := holdWriteLock(t, path)
	if _, err := d.Insert(t.Context(), "1", thing{}); !errors.Is(err, store.ErrBusy) {
		t.Errorf("insert while another process writes: %v", err)
	}
	if _, err := d.Count(t.Context(), store.Query{}); err != nil {
		t.Errorf("read while another process writes: %v", err)
	}
	release()
	if _, err := d.Insert(t.Context(), "1", thing{}); err != nil {
		t.Errorf("insert afterwards: %v", err)
	}
}

// holdWriteLock begins a transaction of its own on the file and returns what ends it.
func holdWriteLock(t *testing.T, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestPrivateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "group", "documents.db")
	d := things(t, openSQLite(t, store.SQLite{Path: path})).In("acme")
	if _, err := d.Insert(t.Context(), "1", thing{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}
