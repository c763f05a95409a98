package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	sqliteReaders     = 4
	sqliteBusyTimeout = 5 * time.Second
	sqlitePageSize    = 4096 // bytes
	// sqliteWriterCache is what the writer keeps of the file, in KiB, once it has touched so much. A page of records touches about as many
	// pages of the file as there are records, all over the indexes: with SQLite's own 2 MiB most of them are read again and again.
	sqliteWriterCache = 16 << 10
)

// SQLite opens a group's database in one local file. Several processes may have it open, on one machine.
type SQLite struct {
	Path     string // made with its directory, readable by its owner only, when missing
	MaxBytes int64  // writes that need more fail with ErrFull; 0: the disk is the limit
	// BusyTimeout is how long a write waits for another process's before it fails with ErrBusy; 5 s when 0.
	BusyTimeout time.Duration
	Now         func() time.Time // time.Now when nil
}

// OpenSQLite opens the file at path with the defaults of SQLite.
func OpenSQLite(ctx context.Context, path string) (DB, error) { return SQLite{Path: path}.Open(ctx) }

// Open opens the database.
func (o SQLite) Open(ctx context.Context) (DB, error) {
	path, err := filepath.Abs(o.Path)
	if err != nil || o.Path == "" {
		return nil, fmt.Errorf("open SQLite store at %q: %w", o.Path, errors.Join(err, errors.New("want the path of a file")))
	}
	if err := createFile(path); err != nil {
		return nil, fmt.Errorf("open SQLite store: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = sqliteBusyTimeout
	}
	db := &sqliteDB{path: path, limit: o.MaxBytes, now: o.Now, wake: make(outboxWake, 1), opened: map[string]*sqliteCollection{}}
	if db.writer, err = openPool(path, 1, o.writerParams()); err != nil {
		return nil, fmt.Errorf("open SQLite store %s: %w", path, err)
	}
	if db.readers, err = openPool(path, sqliteReaders, o.params("query_only(1)")); err != nil {
		return nil, errors.Join(fmt.Errorf("open SQLite store %s: %w", path, err), db.writer.close())
	}
	if err := outboxSchema.translate(db.createTables(ctx)); err != nil {
		return nil, errors.Join(fmt.Errorf("open SQLite store %s: %w", path, err), db.Close())
	}
	return db, nil
}

func (o SQLite) writerParams() url.Values {
	// Every transaction that writes takes the write lock at once: another process may have written since it began.
	params := o.params("journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(67108864)", fmt.Sprintf("cache_size(-%d)", sqliteWriterCache))
	params.Set("_txlock", "immediate")
	if o.MaxBytes > 0 {
		params.Add("_pragma", fmt.Sprintf("max_page_count(%d)", max(1, o.MaxBytes/sqlitePageSize)))
	}
	return params
}

func (o SQLite) params(pragmas ...string) url.Values {
	params := url.Values{}
	// On macOS only fullfsync outlives a power cut; elsewhere it changes nothing.
	for _, p := range append([]string{fmt.Sprintf("busy_timeout(%d)", o.BusyTimeout.Milliseconds()), "fullfsync(1)", "checkpoint_fullfsync(1)"}, pragmas...) {
		params.Add("_pragma", p)
	}
	return params
}

// createFile makes a missing database file, which holds credentials and personal data, private. It never opens one that
// exists: closing it again would drop the locks that this process may hold on it.
func createFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// pool is connections with their prepared statements.
type pool struct {
	*sql.DB
	mu         sync.Mutex
	statements map[string]*sql.Stmt
}

func openPool(path string, size int, params url.Values) (*pool, error) {
	name := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: params.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return &pool{DB: db, statements: map[string]*sql.Stmt{}}, nil
}

// statement prepares query once. It must not be called by who holds the pool's only connection.
func (p *pool) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.statements[query]; s != nil {
		return s, nil
	}
	s, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.statements[query] = s
	return s, nil
}

func (p *pool) close() error { return p.Close() }

type sqliteDB struct {
	path    string
	limit   int64 // bytes; 0: the disk
	writer  *pool
	readers *pool
	now     func() time.Time
	wake    outboxWake

	mu     sync.Mutex
	opened map[string]*sqliteCollection
}

func (db *sqliteDB) Ping(ctx context.Context) error {
	stored, err := storedVersions(ctx, db.readers)
	if err != nil {
		return fmt.Errorf("ping SQLite store: %w", err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	for name, c := range db.opened {
		if err := c.schema.known(stored[name]); err != nil {
			return fmt.Errorf("ping SQLite store: %w", err)
		}
	}
	return nil
}

// Room looks at the file and its log.
func (db *sqliteDB) Room() (used, free int64, err error) {
	for _, path := range []string{db.path, db.path + "-wal"} {
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, 0, fmt.Errorf("size of the SQLite store: %w", err)
		}
		used += info.Size()
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(db.path), &disk); err != nil {
		return 0, 0, fmt.Errorf("room for the SQLite store %s: %w", db.path, err)
	}
	free = int64(disk.Bavail) * int64(disk.Bsize) //nolint:unconvert // the types differ by system
	if db.limit > 0 {
		free = min(free, max(0, db.limit-used))
	}
	return used, free, nil
}

// Close closes the readers first, so that the writer, last, can move the log into the file.
func (db *sqliteDB) Close() error { return errors.Join(db.readers.close(), db.writer.close()) }

func (db *sqliteDB) open(ctx context.Context, s *schema) (collection, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if c := db.opened[s.name]; c != nil {
		if !c.schema.same(s) {
			return nil, errors.New("is open with another definition")
		}
		return c, nil
	}
	c := newSQLiteCollection(db, s)
	if err := c.create(ctx); err != nil {
		return nil, err
	}
	db.opened[s.name] = c
	return c, nil
}

// transaction runs do and stores messages, if do changed something, in one durable step.
func (db *sqliteDB) transaction(ctx context.Context, messages []Message, do func(*sql.Tx) (changed bool, err error)) error {
	add, err := db.writer.statement(ctx, insertMessage)
	if err != nil {
		return err
	}
	tx, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	changed, err := do(tx)
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
		err = ctx.Err() // with which it was rolled back
	}
	if err != nil || !changed {
		return err
	}
	for _, m := range messages {
		if _, err := tx.StmtContext(ctx, add).ExecContext(quick(ctx), m.ID, m.Topic, m.Data); err != nil {
			return fmt.Errorf("store message: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if len(messages) > 0 {
		db.wake.signal()
	}
	return nil
}

// translate gives SQLite's errors the store's meaning.
func (s *schema) translate(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		return &DuplicateError{Collection: s.name, Index: s.byPhysical(e.Error())}
	case e.Code()&0xff == sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case e.Code()&0xff == sqlite3.SQLITE_BUSY:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
