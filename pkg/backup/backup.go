// Package backup copies the data of a platform on embedded stores into one file, and back: the groups' databases, Dapr's state, the
// broker's streams, the scheduler's jobs, mails and secrets. The copy is made while nothing runs, since an event may be in one
// database, in the broker or in another database, and only together they lose none.
package backup

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the databases are SQLite's
)

// Errors that callers tell apart with errors.Is. Every other error is the file system's, wrapped.
var (
	ErrInUse    = errors.New("a database is in use; stop the platform first")
	ErrNoData   = errors.New("no data of a platform")
	ErrOccupied = errors.New("there is data already")
	ErrDamaged  = errors.New("the backup is damaged")
)

const (
	manifestName   = "manifest.json"
	manifestFormat = 1
	maxManifest    = 16 << 20
)

// Manifest is the first entry of a backup.
type Manifest struct {
	Format  int       `json:"format"`
	Version string    `json:"version"` // of the platform that made it
	Made    time.Time `json:"made"`
	// Files are the SHA-256 sums of the other entries, in hexadecimal, by slash-separated path.
	Files map[string]string `json:"files"`
}

// left are entries of the data folder that a run makes anew: logs, locks, addresses, and what tests install.
func left(name string) bool {
	return slices.Contains([]string{"logs", "venv", "kafka", "names.db"}, name) || strings.HasSuffix(name, ".lock") ||
		strings.HasSuffix(name, "-wal") || strings.HasSuffix(name, "-shm")
}

// Write makes the backup file to from the data folder: ErrInUse, ErrNoData, fs.ErrExist. The file is private, as it holds secrets.
func Write(ctx context.Context, folder, to, version string, now time.Time) (Manifest, error) {
	m := Manifest{manifestFormat, version, now.UTC(), map[string]string{}}
	databases := 0
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != folder && left(entry.Name()) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		if filepath.Ext(path) == ".db" && isDatabase(path) {
			databases++
			if err := settle(ctx, path); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		sum, err := sumOf(path)
		m.Files[filepath.ToSlash(name)] = sum
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && databases == 0:
		return Manifest{}, fmt.Errorf("back up %s: %w", folder, ErrNoData)
	case err != nil:
		return Manifest{}, fmt.Errorf("back up %s: %w", folder, err)
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return Manifest{}, fmt.Errorf("back up %s: %w", folder, err)
	}
	if err := errors.Join(m.write(folder, out), out.Sync(), out.Close()); err != nil {
		return Manifest{}, fmt.Errorf("back up %s: %w", folder, errors.Join(err, os.Remove(to)))
	}
	return m, nil
}

// isDatabase tells SQLite's files from others of the name, by their first bytes (https://www.sqlite.org/fileformat2.html, 1.3).
func isDatabase(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	head := make([]byte, 16)
	_, err = io.ReadFull(file, head)
	return err == nil && string(head) == "SQLite format 3\x00"
}

// settle moves what is in a database's write-ahead log into its file and checks it: ErrInUse.
func settle(ctx context.Context, path string) error {
	name := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{"_pragma": {"busy_timeout(0)", "locking_mode(EXCLUSIVE)"}, "_txlock": {"exclusive"}}.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	inUse := func(err error) error { return fmt.Errorf("%w (%w)", ErrInUse, err) }
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return inUse(err)
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	var busy, pages, moved int
	if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved); err != nil || busy != 0 {
		return inUse(cmp.Or(err, errors.New("its log is read")))
	}
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil || verdict != "ok" {
		return errors.Join(fmt.Errorf("the database is damaged: %s", verdict), err)
	}
	return nil
}

func sumOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

func (m Manifest) names() []string {
	var names []string
	for name := range m.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (m Manifest) write(folder string, out io.Writer) error {
	zipped := gzip.NewWriter(out)
	archive := tar.NewWriter(zipped)
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Name: manifestName, Mode: 0o600, Size: int64(len(text)), ModTime: m.Made}); err != nil {
		return err
	}
	if _, err := archive.Write(text); err != nil {
		return err
	}
	for _, name := range m.names() {
		if err := m.add(archive, folder, name); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), zipped.Close())
}

func (m Manifest) add(archive *tar.Writer, folder, name string) error {
	file, err := os.Open(filepath.Join(folder, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return err
	}
	digest := sha256.New()
	if _, err := io.Copy(io.MultiWriter(archive, digest), file); err != nil {
		return err
	}
	if hex.EncodeToString(digest.Sum(nil)) != m.Files[name] {
		return fmt.Errorf("%s: %w", name, ErrInUse)
	}
	return nil
}

// Read puts a backup into a data folder that has none of a platform's data yet: ErrOccupied, ErrDamaged. Until all of it has been
// read and found as it was written, the folder stays as it is.
func Read(from, folder string) (Manifest, error) {
	fail := func(err error) error { return fmt.Errorf("restore %s: %w", from, err) }
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, fail(err)
	}
	for _, entry := range entries {
		if !left(entry.Name()) {
			return Manifest{}, fail(fmt.Errorf("%w: %s", ErrOccupied, filepath.Join(folder, entry.Name())))
		}
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return Manifest{}, fail(err)
	}
	fresh, err := os.MkdirTemp(folder, "restore-*.lock") // left, should this process die
	if err != nil {
		return Manifest{}, fail(err)
	}
	defer os.RemoveAll(fresh)
	file, err := os.Open(from)
	if err != nil {
		return Manifest{}, fail(err)
	}
	defer file.Close()
	m, err := unpack(file, fresh)
	if err != nil {
		return Manifest{}, fail(err)
	}
	entries, err = os.ReadDir(fresh)
	if err != nil {
		return Manifest{}, fail(err)
	}
	for _, entry := range entries {
		if err := os.Rename(filepath.Join(fresh, entry.Name()), filepath.Join(folder, entry.Name())); err != nil {
			return Manifest{}, fail(err)
		}
	}
	return m, nil
}

func unpack(from io.Reader, into string) (Manifest, error) {
	damaged := func(err error) (Manifest, error) { return Manifest{}, fmt.Errorf("%w: %w", ErrDamaged, err) }
	unzipped, err := gzip.NewReader(from)
	if err != nil {
		return damaged(err)
	}
	archive := tar.NewReader(unzipped)
	header, err := archive.Next()
	if err != nil {
		return damaged(err)
	}
	var m Manifest
	if err := json.NewDecoder(io.LimitReader(archive, maxManifest)).Decode(&m); err != nil || header.Name != manifestName || m.Format != manifestFormat {
		return damaged(errors.Join(fmt.Errorf("it does not begin with a manifest of format %d", manifestFormat), err))
	}
	for _, want := range m.names() {
		header, err := archive.Next()
		if err != nil {
			return damaged(fmt.Errorf("%s is missing: %w", want, err))
		}
		if header.Name != want || !filepath.IsLocal(filepath.FromSlash(want)) {
			return damaged(fmt.Errorf("%q is where %q should be", header.Name, want))
		}
		path := filepath.Join(into, filepath.FromSlash(want))
		sum, err := copyTo(path, archive)
		if err != nil {
			return damaged(fmt.Errorf("%s: %w", want, err))
		}
		if sum != m.Files[want] {
			return damaged(fmt.Errorf("%s is not what was written", want))
		}
	}
	return m, nil
}

// copyTo writes a new file, on disk when it returns, and tells its sum.
func copyTo(path string, from io.Reader) (string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	digest := sha256.New()
	_, err = io.Copy(io.MultiWriter(file, digest), from)
	return hex.EncodeToString(digest.Sum(nil)), errors.Join(err, file.Sync(), file.Close())
}
