package backup_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/backup"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/store/storetest"
)

// dataOf makes a folder with a database and files like those of a platform, and leaves the database open until the test ends or close.
func dataOf(t *testing.T) (folder string, db store.DB) {
	t.Helper()
	folder = t.TempDir()
	db, err := store.OpenSQLite(t.Context(), filepath.Join(folder, "data", "auth.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // a test closes it before
	for path, text := range map[string]string{"secrets.json": `{"a":"b"}`, "nats/jetstream/1.blk": "events", "logs/dapr.log": "much", "run.lock": "", "odd.db": "no database"} {
		path = filepath.Join(folder, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return folder, db
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestWhatIsWrittenComesBack(t *testing.T) {
	folder, db := dataOf(t)
	file, into := filepath.Join(t.TempDir(), "tandem.backup"), filepath.Join(t.TempDir(), "new")
	if _, err := backup.Write(t.Context(), folder, file, "v1", time.Now()); !errors.Is(err, backup.ErrInUse) {
		t.Errorf("of a database in use: %v", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a backup that failed left a file: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	written, err := backup.Write(t.Context(), folder, file, "v1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is not private: %v, %v", info.Mode(), err)
	}
	if _, err := backup.Write(t.Context(), folder, file, "v1", time.Now()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another backup: %v", err)
	}
	got, err := backup.Read(file, into)
	if err != nil || got.Version != "v1" || len(got.Files) != len(written.Files) {
		t.Fatalf("read %+v, %v; written %+v", got, err, written)
	}
	for _, name := range []string{"data/auth.db", "secrets.json", "nats/jetstream/1.blk", "odd.db"} {
		if !bytes.Equal(read(t, filepath.Join(folder, name)), read(t, filepath.Join(into, name))) {
			t.Errorf("%s differs", name)
		}
	}
	entries, err := os.ReadDir(into)
	if err != nil || len(entries) != 4 {
		t.Errorf("restored %v, %v", entries, err)
	}
	if _, err := backup.Read(file, into); !errors.Is(err, backup.ErrOccupied) {
		t.Errorf("over other data: %v", err)
	}
}

func TestADamagedBackupRestoresNothing(t *testing.T) {
	folder, db := dataOf(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tandem.backup")
	if _, err := backup.Write(t.Context(), folder, file, "v1", time.Now()); err != nil {
		t.Fatal(err)
	}
	whole := read(t, file)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 0x40
	for name, text := range map[string][]byte{"empty": nil, "cut": whole[:len(whole)*2/3], "a bit flipped": flipped, "something else": []byte("PK\x03\x04")} {
		t.Run(name, func(t *testing.T) {
			broken, into := filepath.Join(t.TempDir(), "broken"), t.TempDir()
			if err := os.WriteFile(broken, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := backup.Read(broken, into); !errors.Is(err, backup.ErrDamaged) {
				t.Errorf("got %v", err)
			}
			if entries, err := os.ReadDir(into); err != nil || len(entries) != 0 {
				t.Errorf("it left %v, %v", entries, err)
			}
		})
	}
}

func TestThereMustBeData(t *testing.T) {
	for _, folder := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if _, err := backup.Write(t.Context(), folder, filepath.Join(t.TempDir(), "b"), "v1", time.Now()); !errors.Is(err, backup.ErrNoData) {
			t.Errorf("got %v", err)
		}
	}
}

// A backup has documents as they were, with the versions of their collections: at the next start they are migrated, or refused.
func TestABackupOfAnotherVersion(t *testing.T) {
	const n = 20
	folder := t.TempDir()
	path := func(folder string) string { return filepath.Join(folder, "data", "auth.db") }
	open := func(folder string) store.DB {
		t.Helper()
		db, err := store.OpenSQLite(t.Context(), path(folder))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() }) // it may be closed already
		return db
	}
	copyOf := func(name string) (restored string) {
		t.Helper()
		file, restored := filepath.Join(t.TempDir(), name), filepath.Join(t.TempDir(), name)
		_, err := backup.Write(t.Context(), folder, file, name, time.Now())
		if err == nil {
			_, err = backup.Read(file, restored)
		}
		if err != nil {
			t.Fatal(err)
		}
		return restored
	}
	db := open(folder)
	storetest.Populate(t, db, n)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	older := copyOf("older")
	db = open(folder)
	storetest.Migrated(t, db, n)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	newer := copyOf("newer")

	storetest.Migrated(t, open(older), n)
	storetest.Migrated(t, open(newer), n)
	if _, err := store.Tenant[map[string]string](t.Context(), open(newer), storetest.People()); !errors.Is(err, store.ErrNewer) {
		t.Errorf("a newer backup opened by older code: %v", err)
	}
}
