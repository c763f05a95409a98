package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// ErrNewer says that newer code than this has migrated a collection. It is always inside a *NewerError.
var ErrNewer = errors.New("the data is of a newer version of the program")

// NewerError says which collection is newer than the code that opens it. It matches ErrNewer.
type NewerError struct {
	Collection    string
	Stored, Known int // versions of the collection: see Def.Migrations
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("%v: collection %s is at version %d, and this program knows version %d: run the newer program again, or restore a backup from before it",
		ErrNewer, e.Collection, e.Stored, e.Known)
}

// Is makes errors.Is(err, ErrNewer) true.
func (e *NewerError) Is(target error) bool { return target == ErrNewer }

// Migration makes the JSON of a value what the next version of its collection has. It looks at nothing else, as it may run again after
// a crash; an error, which says that the value cannot be understood, keeps the collection from being opened.
type Migration func(id string, value json.RawMessage) (json.RawMessage, error)

// migrateLimit is how many documents are migrated at a time: few enough that another writer waits milliseconds only.
const migrateLimit = 200

// version of the collection in this code.
func (s *schema) version() int { return len(s.migrations) }

// known is an error if the collection is stored at a version that this code does not know.
func (s *schema) known(stored int) error {
	if stored > s.version() {
		return &NewerError{Collection: s.name, Stored: stored, Known: s.version()}
	}
	return nil
}

// migrate makes the value of a document at version from what version to has.
func (s *schema) migrate(id string, value []byte, from, to int) ([]byte, error) {
	for v := from; v < to; v++ {
		next, err := s.migrations[v](id, value)
		if err == nil && !json.Valid(next) {
			err = errors.New("the answer is no JSON")
		}
		if err != nil {
			return nil, fmt.Errorf("migrate document %s from version %d: %w", id, v, err)
		}
		value = next
	}
	return value, nil
}

// versions are those of migrated collections among the open ones.
func versions[C any](mu *sync.Mutex, all map[string]C, schemaOf func(C) *schema) map[string]int {
	mu.Lock()
	defer mu.Unlock()
	found := map[string]int{}
	for name, c := range all {
		if v := schemaOf(c).version(); v > 0 {
			found[name] = v
		}
	}
	return found
}

func (db *sqliteDB) Versions() map[string]int {
	return versions(&db.mu, db.opened, func(c *sqliteCollection) *schema { return c.schema })
}

func (db *mongoDB) Versions() map[string]int {
	return versions(&db.mu, db.opened, func(c *mongoCollection) *schema { return c.schema })
}

// SQLiteVersions are the versions of the collections in the file at path, by name, whichever program migrated them. The file is only
// read, and may be in use.
func SQLiteVersions(ctx context.Context, path string) (map[string]int, error) {
	db, err := openPool(path, 1, url.Values{"mode": {"ro"}, "_pragma": {"query_only(1)", "busy_timeout(1000)"}})
	if err != nil {
		return nil, fmt.Errorf("versions of %s: %w", path, err)
	}
	defer db.close()
	var there int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE name = 'collections'`).Scan(&there); err != nil {
		return nil, fmt.Errorf("versions of %s: %w", path, err)
	}
	if there == 0 { // it is of before there were versions
		return nil, nil
	}
	found, err := storedVersions(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("versions of %s: %w", path, err)
	}
	return found, nil
}

func storedVersions(ctx context.Context, db *pool) (map[string]int, error) {
	rows, err := db.QueryContext(ctx, `SELECT name, version FROM collections`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[string]int{}
	for rows.Next() {
		var name string
		var version int
		if err := rows.Scan(&name, &version); err != nil {
			return nil, err
		}
		found[name] = version
	}
	return found, rows.Err()
}

// MongoVersions are the versions of the migrated collections of a database, by name, whichever program migrated them.
func MongoVersions(ctx context.Context, client *mongo.Client, database string) (map[string]int, error) {
	cursor, err := client.Database(database).Collection(mongoCollections).Find(ctx, bson.D{})
	if err != nil {
		return nil, fmt.Errorf("versions of %s: %w", database, err)
	}
	var all []mongoVersion
	if err := cursor.All(ctx, &all); err != nil {
		return nil, fmt.Errorf("versions of %s: %w", database, err)
	}
	found := map[string]int{}
	for _, v := range all {
		found[v.Name] = v.Version
	}
	return found, nil
}

// In SQLite a row for each collection says how far it is. While migrated is less than version, documents up to the cursor are at
// version and those behind it at migrated. Every write looks at it in its own transaction, so that from the moment at which a migration
// begins no older code writes, and nobody needs to know of which version a document is.
const (
	createCollections = `CREATE TABLE IF NOT EXISTS collections (name TEXT PRIMARY KEY, version INTEGER NOT NULL, migrated INTEGER NOT NULL,
		org TEXT NOT NULL DEFAULT '', id TEXT NOT NULL DEFAULT '')`
	insertCollection = `INSERT INTO collections (name, version, migrated) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING`
	selectCollection = `SELECT version, migrated, org, id FROM collections WHERE name = ?`
	selectVersion    = `SELECT version FROM collections WHERE name = ?`
	updateCollection = `UPDATE collections SET version = ?, migrated = ?, org = ?, id = ? WHERE name = ?`
)

// begin makes the table, or finds it: NewerError. It drops the indexes that are no longer declared, which may not fit what migrations
// make.
func (c *sqliteCollection) begin(ctx context.Context) error {
	err := c.db.transaction(ctx, nil, func(tx *sql.Tx) (bool, error) {
		var tables int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?`, "doc_"+c.schema.name).Scan(&tables); err != nil {
			return false, fmt.Errorf("look for the table: %w", err)
		}
		version := c.schema.version()
		if tables > 0 {
			version = 0 // if nothing says more: it is older than migrations
		}
		_, err := tx.ExecContext(ctx, insertCollection, c.schema.name, version, version)
		return true, err
	})
	if err != nil {
		return fmt.Errorf("note the version: %w", err)
	}
	return c.transaction(ctx, nil, func(tx *sql.Tx) (bool, error) {
		_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS `+c.table+` (
			org TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
			created INTEGER NOT NULL, updated INTEGER NOT NULL, body TEXT NOT NULL, UNIQUE (org, id))`)
		if err != nil {
			return false, fmt.Errorf("create table: %w", err)
		}
		_, err = c.dropIndexes(ctx, tx)
		return true, err
	})
}

// migrateSome takes the migration of the collection a step further, unless it is done.
func (c *sqliteCollection) migrateSome(ctx context.Context) (done bool, err error) {
	err = c.db.transaction(ctx, nil, func(tx *sql.Tx) (bool, error) {
		var version, migrated int
		var org, id string
		if err := tx.QueryRowContext(ctx, selectCollection, c.schema.name).Scan(&version, &migrated, &org, &id); err != nil {
			return false, fmt.Errorf("look at the version: %w", err)
		}
		if err := c.schema.known(version); err != nil {
			return false, err
		}
		if migrated == version { // nothing is under way
			if done = version == c.schema.version(); done {
				return false, nil
			}
			version = c.schema.version()
		}
		batch, err := c.after(ctx, tx, org, id)
		if err != nil {
			return false, fmt.Errorf("read documents to migrate: %w", err)
		}
		for _, d := range batch {
			body, err := c.schema.migrate(d.id, d.body, migrated, version)
			if err == nil {
				_, err = tx.ExecContext(ctx, c.sql.migrate, string(body), d.org, d.id)
			}
			if err != nil {
				return false, err
			}
			org, id = d.org, d.id
		}
		if len(batch) == 0 {
			migrated, org, id = version, "", ""
		}
		_, err = tx.ExecContext(ctx, updateCollection, version, migrated, org, id, c.schema.name)
		return true, err
	})
	return done, err
}

type located struct {
	org, id string
	body    []byte
}

// after are the documents that follow one.
func (c *sqliteCollection) after(ctx context.Context, tx *sql.Tx, org, id string) ([]located, error) {
	rows, err := tx.QueryContext(ctx, c.sql.after, org, id, migrateLimit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var batch []located
	for rows.Next() {
		var d located
		if err := rows.Scan(&d.org, &d.id, &d.body); err != nil {
			return nil, err
		}
		batch = append(batch, d)
	}
	return batch, rows.Err()
}

// In MongoDB, where a write is of one document, each document says of which version it is, if not of version 0: in keyShape. A write of
// older code meets a newer document's keyShape and is refused; a document that older code inserts beside newer code is migrated when it is
// read, and for good when the collection is opened next.

// mongoCollections has a document for each collection that was migrated, with its version. No Def can have its name.
const mongoCollections = "collections.versions"

type mongoVersion struct {
	Name    string `bson:"_id"`
	Version int    `bson:"version"`
}

// settle notes the version of the collection, or finds a newer one: NewerError.
func (c *mongoCollection) settle(ctx context.Context) error {
	versions, byName := c.db.database.Collection(mongoCollections), bson.D{{Key: keyKey, Value: c.schema.name}}
	if c.schema.version() > 0 {
		raise := bson.D{{Key: "$max", Value: bson.D{{Key: "version", Value: c.schema.version()}}}}
		if _, err := versions.UpdateOne(ctx, byName, raise, options.UpdateOne().SetUpsert(true)); err != nil && !mongo.IsDuplicateKeyError(err) {
			return fmt.Errorf("note the version: %w", err)
		}
	}
	var stored mongoVersion
	if err := versions.FindOne(ctx, byName).Decode(&stored); err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
		return fmt.Errorf("look at the version: %w", err)
	}
	return c.schema.known(stored.Version)
}

// older selects documents below a version.
func older(version int) bson.E {
	return bson.E{Key: keyShape, Value: bson.D{{Key: "$not", Value: bson.D{{Key: "$gte", Value: version}}}}}
}

// mine selects documents that this code may change.
func (c *mongoCollection) mine() bson.E { return older(c.schema.version() + 1) }

// stamp is members with the version that this code writes.
func (c *mongoCollection) stamp(members bson.D) bson.D {
	if v := c.schema.version(); v > 0 {
		members = append(members, bson.E{Key: keyShape, Value: v})
	}
	return members
}

// record is a document as this code knows it: NewerError.
func (c *mongoCollection) record(d mongoDocument) (record, error) {
	if err := c.schema.known(d.Shape); err != nil {
		return record{}, err
	}
	body, err := appendJSON(nil, d.Value)
	if err == nil {
		body, err = c.schema.migrate(d.ID, body, d.Shape, c.schema.version())
	}
	return record{id: d.ID, version: d.Version, created: fromMicros(d.Created), updated: fromMicros(d.Updated), body: body}, err
}

// migrateSome migrates documents that follow the one with key last, and returns the key to go on from, empty at the end. What another
// writer changes meanwhile is left to it, or to the next pass.
func (c *mongoCollection) migrateSome(ctx context.Context, last string) (string, error) {
	filter := bson.D{{Key: keyKey, Value: bson.D{{Key: "$gt", Value: last}}}, {Key: keyOrg, Value: bson.D{{Key: "$exists", Value: true}}}, older(c.schema.version())}
	cursor, err := c.documents.Find(ctx, filter, options.Find().SetSort(bson.D{{Key: keyKey, Value: 1}}).SetLimit(migrateLimit).
		SetProjection(bson.D{{Key: keyMessages, Value: 0}}))
	if err != nil {
		return "", fmt.Errorf("read documents to migrate: %w", err)
	}
	var batch []mongoDocument
	if err := cursor.All(ctx, &batch); err != nil {
		return "", fmt.Errorf("read documents to migrate: %w", err)
	}
	if len(batch) == 0 {
		return "", nil
	}
	var writes []mongo.WriteModel
	for _, d := range batch {
		r, err := c.record(d)
		if err != nil {
			return "", err
		}
		value, err := toBSON(r.body)
		if err != nil {
			return "", err
		}
		unchanged := bson.D{{Key: keyKey, Value: d.Key}, {Key: keyVersion, Value: d.Version}, {Key: keyCreated, Value: d.Created}, older(c.schema.version())}
		writes = append(writes, mongo.NewUpdateOneModel().SetFilter(unchanged).
			SetUpdate(bson.D{{Key: "$set", Value: c.stamp(bson.D{{Key: keyValue, Value: value}})}}))
		last = d.Key
	}
	_, err = c.documents.BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false))
	return last, err
}

// migrate migrates documents until it meets none to migrate.
func (c *mongoCollection) migrate(ctx context.Context) error {
	if c.schema.version() == 0 {
		return nil
	}
	for last, clean := "", true; ; {
		next, err := c.migrateSome(ctx, last)
		switch {
		case err != nil:
			return err
		case next != "":
			last, clean = next, false
		case clean:
			return nil
		default:
			last, clean = "", true
		}
	}
}
