package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// sqliteCollection is a table of JSON texts with indexes on expressions over them.
type sqliteCollection struct {
	db     *sqliteDB
	schema *schema
	table  string // quoted
	sql    sqliteStatements
}

type sqliteStatements struct{ get, version, insert, replace, put, delete, after, migrate string }

func newSQLiteCollection(db *sqliteDB, s *schema) *sqliteCollection {
	table := quote("doc_" + s.name)
	return &sqliteCollection{db: db, schema: s, table: table, sql: sqliteStatements{
		get:     `SELECT id, version, created, updated, body FROM ` + table + ` WHERE org = ? AND id = ?`,
		version: `SELECT version FROM ` + table + ` WHERE org = ? AND id = ?`,
		insert: `INSERT INTO ` + table + ` (org, id, version, created, updated, body) VALUES (?, ?, 1, ?, ?, ?)
			ON CONFLICT (org, id) DO NOTHING`,
		replace: `UPDATE ` + table + ` SET version = version + 1, updated = ?, body = ?
			WHERE org = ? AND id = ? AND version = ? AND ? IN (created, 0)`,
		put: `INSERT INTO ` + table + ` (org, id, version, created, updated, body) VALUES (?, ?, 1, ?, ?, ?)
			ON CONFLICT (org, id) DO UPDATE SET version = version + 1, updated = excluded.updated, body = excluded.body
			WHERE body <> excluded.body`,
		delete:  `DELETE FROM ` + table + ` WHERE org = ? AND id = ? AND ? IN (version, 0)`,
		after:   `SELECT org, id, body FROM ` + table + ` WHERE (org, id) > (?, ?) ORDER BY org, id LIMIT ?`,
		migrate: `UPDATE ` + table + ` SET body = ? WHERE org = ? AND id = ?`,
	}}
}

// create makes the table, migrates its documents and builds the indexes it lacks.
func (c *sqliteCollection) create(ctx context.Context) error {
	err := c.begin(ctx)
	for done := false; err == nil && !done; {
		done, err = c.migrateSome(ctx)
	}
	if err == nil {
		err = c.transaction(ctx, nil, func(tx *sql.Tx) (bool, error) {
			missing, err := c.dropIndexes(ctx, tx)
			if err != nil {
				return false, err
			}
			for name, definition := range missing {
				if _, err := tx.ExecContext(ctx, "CREATE "+fmt.Sprintf(definition, quote(name))); err != nil {
					return false, fmt.Errorf("build index %s: %w", name, err)
				}
			}
			return true, nil
		})
	}
	return c.schema.translate(err)
}

// dropIndexes drops the indexes that are not declared, and returns the definitions of those that are and are not there.
func (c *sqliteCollection) dropIndexes(ctx context.Context, tx *sql.Tx) (missing map[string]string, err error) {
	present, err := c.indexNames(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("list indexes: %w", err)
	}
	missing = map[string]string{}
	for _, ix := range c.schema.indexes {
		ordered := slices.Concat([]string{"org"}, columns(ix.fields), []string{"id"}, columns(ix.include))
		missing["ix_"+c.schema.name+"/"+ix.physical] = "INDEX %s ON " + c.table + " (" + strings.Join(ordered, ", ") + ")"
		if ix.unique {
			unique := slices.Concat([]string{"org"}, columns(ix.fields))
			missing["uq_"+c.schema.name+"/"+ix.physical] = "UNIQUE INDEX %s ON " + c.table + " (" + strings.Join(unique, ", ") + ")"
		}
	}
	for _, name := range present {
		if _, keep := missing[name]; keep {
			delete(missing, name)
			continue
		}
		if !strings.HasPrefix(name, "ix_"+c.schema.name+"/") && !strings.HasPrefix(name, "uq_"+c.schema.name+"/") {
			continue // somebody's own
		}
		if _, err := tx.ExecContext(ctx, "DROP INDEX "+quote(name)); err != nil {
			return nil, fmt.Errorf("drop index %s: %w", name, err)
		}
	}
	return missing, nil
}

// transaction is one of the database that goes on only while no newer code has migrated the collection.
func (c *sqliteCollection) transaction(ctx context.Context, messages []Message, do func(*sql.Tx) (changed bool, err error)) error {
	version, err := c.db.writer.statement(ctx, selectVersion)
	if err != nil {
		return err
	}
	return c.db.transaction(ctx, messages, func(tx *sql.Tx) (bool, error) {
		var stored int
		if err := tx.StmtContext(ctx, version).QueryRowContext(quick(ctx), c.schema.name).Scan(&stored); err != nil {
			return false, fmt.Errorf("look at the version: %w", err)
		}
		if err := c.schema.known(stored); err != nil {
			return false, err
		}
		return do(tx)
	})
}

func (c *sqliteCollection) indexNames(ctx context.Context, tx *sql.Tx) ([]string, error) {
	rows, err := tx.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL`, "doc_"+c.schema.name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// column is a field as SQL; the planner takes an index only for literally the same expression.
func (f field) column() string {
	if f.own() {
		return "updated"
	}
	return `json_extract(body, '$."` + strings.Join(f.parts(), `"."`) + `"')`
}

func columns(fields []field) []string {
	var all []string
	for _, f := range fields {
		all = append(all, f.column())
	}
	return all
}

func (c *sqliteCollection) clock() time.Time { return c.db.now() }

func (c *sqliteCollection) get(ctx context.Context, org, id string) (record, error) {
	if err := ctx.Err(); err != nil {
		return record{}, err
	}
	rows, err := c.db.query(quick(ctx), c.sql.get, org, id)
	if err != nil {
		return record{}, c.schema.translate(err)
	}
	records, err := scanRecords(rows, nil)
	if err != nil {
		return record{}, c.schema.translate(err)
	}
	if len(records) == 0 {
		return record{}, ErrNotFound
	}
	return records[0], nil
}

func (c *sqliteCollection) insert(ctx context.Context, org string, r record, messages []Message) error {
	return c.write(ctx, messages, c.sql.insert, []any{org, r.id, micros(r.created), micros(r.updated), string(r.body)},
		func(*sql.Tx) error { return ErrExists })
}

func (c *sqliteCollection) insertMany(ctx context.Context, org string, records []record) ([]string, error) {
	prepared, err := c.db.writer.statement(ctx, c.sql.insert)
	if err != nil {
		return nil, c.schema.translate(err)
	}
	var there []string
	err = c.transaction(ctx, nil, func(tx *sql.Tx) (bool, error) {
		insert := tx.StmtContext(ctx, prepared)
		for _, r := range records {
			result, err := insert.ExecContext(ctx, org, r.id, micros(r.created), micros(r.updated), string(r.body))
			if err != nil {
				return false, fmt.Errorf("document %s: %w", r.id, err)
			}
			n, err := result.RowsAffected()
			if err != nil {
				return false, err
			}
			if n == 0 {
				there = append(there, r.id)
			}
		}
		return len(there) < len(records), nil
	})
	if err != nil {
		return nil, c.schema.translate(err)
	}
	return there, nil
}

func (c *sqliteCollection) replace(ctx context.Context, org string, r record, messages []Message) error {
	return c.write(ctx, messages, c.sql.replace, []any{micros(r.updated), string(r.body), org, r.id, r.version - 1, micros(r.created)},
		func(tx *sql.Tx) error { return c.conflict(ctx, tx, org, r.id) })
}

func (c *sqliteCollection) delete(ctx context.Context, org, id string, version int64, _ time.Time, messages []Message) error {
	return c.write(ctx, messages, c.sql.delete, []any{org, id, version},
		func(tx *sql.Tx) error { return c.conflict(ctx, tx, org, id) })
}

// write runs one statement with its messages; refused says why it touched no row.
func (c *sqliteCollection) write(ctx context.Context, messages []Message, statement string, args []any, refused func(*sql.Tx) error) error {
	prepared, err := c.db.writer.statement(ctx, statement)
	if err != nil {
		return c.schema.translate(err)
	}
	err = c.transaction(ctx, messages, func(tx *sql.Tx) (bool, error) {
		result, err := tx.StmtContext(ctx, prepared).ExecContext(quick(ctx), args...)
		if err != nil {
			return false, err
		}
		n, err := result.RowsAffected()
		if err == nil && n == 0 {
			err = refused(tx)
		}
		return true, err
	})
	return c.schema.translate(err)
}

// conflict tells why a document did not have the expected version.
func (c *sqliteCollection) conflict(ctx context.Context, tx *sql.Tx, org, id string) error {
	var version int64
	err := tx.QueryRowContext(ctx, c.sql.version, org, id).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: is at version %d", ErrConflict, version)
}

func (c *sqliteCollection) putMany(ctx context.Context, org string, now time.Time, puts []Put[[]byte], messages []Message) (int, error) {
	prepared, err := c.db.writer.statement(ctx, c.sql.put)
	if err != nil {
		return 0, c.schema.translate(err)
	}
	var changed int64
	err = c.transaction(ctx, messages, func(tx *sql.Tx) (bool, error) {
		put := tx.StmtContext(ctx, prepared)
		for _, p := range puts {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			result, err := put.ExecContext(quick(ctx), org, p.ID, micros(now), micros(now), string(p.Value))
			if err != nil {
				return false, fmt.Errorf("document %s: %w", p.ID, err)
			}
			n, err := result.RowsAffected()
			if err != nil {
				return false, err
			}
			changed += n
		}
		return changed > 0, nil
	})
	if err != nil {
		return 0, c.schema.translate(err)
	}
	return int(changed), nil
}

// query reads with a cached statement; every read sees all that was committed before it.
func (db *sqliteDB) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	prepared, err := db.readers.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return prepared.QueryContext(ctx, args...)
}

// quick is ctx for a statement that touches one document. What it takes to interrupt a statement, goroutines that wait for the
// end of ctx, would cost about as much as such a statement does; it is let through to its end instead.
func quick(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// scanRecords appends all rows to records and closes rows.
func scanRecords(rows *sql.Rows, records []record) ([]record, error) {
	defer rows.Close()
	for rows.Next() {
		var r record
		var created, updated int64
		if err := rows.Scan(&r.id, &r.version, &created, &updated, &r.body); err != nil {
			return nil, err
		}
		r.created, r.updated = fromMicros(created), fromMicros(updated)
		records = append(records, r)
	}
	return records, rows.Err()
}

// micros is a time as both backends store it; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }
