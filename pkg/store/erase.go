package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// eraseLimit is how many documents go at a time: few enough that another writer waits milliseconds only.
const eraseLimit = 500

func (db *sqliteDB) EraseOrganization(ctx context.Context, organization string) (int64, error) {
	if err := checkOrganization(organization); err != nil {
		return 0, fmt.Errorf("erase organization: %w", err)
	}
	tables, err := db.tables(ctx)
	if err != nil {
		return 0, fmt.Errorf("erase organization %s: list collections: %w", organization, err)
	}
	var erased int64
	for _, table := range tables {
		for {
			var n int64
			err := db.transaction(ctx, nil, func(tx *sql.Tx) (bool, error) {
				result, err := tx.ExecContext(ctx, eraseSQL(quote(table)), organization, eraseLimit)
				if err != nil {
					return false, err
				}
				n, err = result.RowsAffected()
				return n > 0, err
			})
			if err != nil {
				return erased, fmt.Errorf("erase organization %s in %s: %w", organization, table, outboxSchema.translate(err))
			}
			erased += n
			if n < eraseLimit {
				break
			}
		}
	}
	db.mu.Lock()
	owned := owned(db.opened, func(c *sqliteCollection) *schema { return c.schema })
	db.mu.Unlock()
	n, err := eraseOwned(ctx, owned, organization)
	return erased + n, err
}

// opened is an open collection as a backend has it.
type opened struct {
	collection
	schema *schema
}

// owned are those of the open collections that say whose their documents are.
func owned[C collection](all map[string]C, schemaOf func(C) *schema) []opened {
	var list []opened
	for _, c := range all {
		if s := schemaOf(c); s.owner != "" {
			list = append(list, opened{c, s})
		}
	}
	return list
}

// eraseOwned deletes what an organization has in System collections.
func eraseOwned(ctx context.Context, collections []opened, organization string) (erased int64, err error) {
	for _, c := range collections {
		n, err := c.eraseOf(ctx, organization)
		erased += n
		if err != nil {
			return erased, fmt.Errorf("erase organization %s in %s: %w", organization, c.schema.name, err)
		}
	}
	return erased, nil
}

func (c opened) eraseOf(ctx context.Context, organization string) (erased int64, err error) {
	p, err := c.schema.plan("", Query{Index: c.schema.owner, Equal: []any{organization}, Limit: eraseLimit})
	if err != nil {
		return 0, err
	}
	for {
		found, err := c.find(ctx, "", p)
		if err != nil || len(found) == 0 {
			return erased, err
		}
		for _, r := range found {
			switch err := c.delete(ctx, "", r.id, 0, cut(c.clock()), nil); {
			case err == nil:
				erased++
			case !errors.Is(err, ErrNotFound):
				return erased, err
			}
		}
	}
}

// eraseSQL finds nothing in System collections, whose documents have no organization of their own: see eraseOwned.
func eraseSQL(table string) string {
	return "DELETE FROM " + table + " WHERE rowid IN (SELECT rowid FROM " + table + " WHERE org = ? LIMIT ?)"
}

// tables are those of all collections.
func (db *sqliteDB) tables(ctx context.Context) ([]string, error) {
	rows, err := db.query(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'doc_*' ORDER BY name`)
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

func (db *mongoDB) EraseOrganization(ctx context.Context, organization string) (int64, error) {
	if err := checkOrganization(organization); err != nil {
		return 0, fmt.Errorf("erase organization: %w", err)
	}
	names, err := db.database.ListCollectionNames(ctx, bson.D{})
	if err != nil {
		return 0, fmt.Errorf("erase organization %s: list collections: %w", organization, err)
	}
	var erased int64
	for _, name := range names {
		if !namePattern.MatchString(name) {
			continue // the server's own, or the outbox
		}
		c := &mongoCollection{db: db, schema: &schema{name: name}, documents: db.database.Collection(name)}
		for {
			found, n, err := c.erase(ctx, organization)
			erased += n
			if err != nil {
				return erased, fmt.Errorf("erase organization %s in %s: %w", organization, name, c.schema.translateMongo(err))
			}
			if found == 0 { // of few, one may have been spared
				break
			}
		}
	}
	db.mu.Lock()
	owned := owned(db.opened, func(c *mongoCollection) *schema { return c.schema })
	db.mu.Unlock()
	n, err := eraseOwned(ctx, owned, organization)
	return erased + n, err
}

// erase deletes some of an organization's documents, burying those whose messages are not yet published. One whose last
// message is published in between is spared.
func (c *mongoCollection) erase(ctx context.Context, org string) (found int, erased int64, err error) {
	cursor, err := c.documents.Find(ctx, bson.D{{Key: keyOrg, Value: org}},
		options.Find().SetLimit(eraseLimit).SetProjection(bson.D{{Key: keyKey, Value: 1}}))
	if err != nil {
		return 0, 0, err
	}
	var documents []mongoWaiting
	if err := cursor.All(ctx, &documents); err != nil || len(documents) == 0 {
		return 0, 0, err
	}
	keys := make([]string, len(documents))
	for i, d := range documents {
		keys[i] = d.Key
	}
	among := bson.D{{Key: keyKey, Value: bson.D{{Key: "$in", Value: keys}}}, {Key: keyOrg, Value: org}}
	gone, err := c.documents.DeleteMany(ctx, append(among, bson.E{Key: keyMessages, Value: bson.D{{Key: "$exists", Value: false}}}))
	if err != nil {
		return 0, 0, err
	}
	buried, err := c.documents.UpdateMany(ctx, append(among, bson.E{Key: keyMessages, Value: bson.D{{Key: "$exists", Value: true}}}), bury(c.clock()))
	if err != nil {
		return 0, gone.DeletedCount, err
	}
	return len(documents), gone.DeletedCount + buried.ModifiedCount, nil
}
