package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Members of a stored document. A deleted document whose messages are not yet published stays as a tombstone: without
// organization, id and value, so that no index and no query of documents can meet it.
const (
	keyKey      = "_id" // organization/id, or id alone in System collections
	keyOrg      = "o"
	keyID       = "i"
	keyVersion  = "n"
	keyCreated  = "c" // microseconds since 1970
	keyUpdated  = "u"
	keyValue    = "v"
	keyMessages = "m" // array of mongoMessage
	keyOldest   = "w" // least sequence in m
	keyDeleted  = "x"
	keyShape    = "s" // version of the collection that the value is of; none is 0
)

// mongoAttempts bounds how often a write starts again because another one came between its steps.
const mongoAttempts = 20

type mongoCollection struct {
	db        *mongoDB
	schema    *schema
	documents *mongo.Collection
}

type mongoDocument struct {
	Key     string        `bson:"_id"`
	ID      string        `bson:"i"`
	Version int64         `bson:"n"`
	Created int64         `bson:"c"`
	Updated int64         `bson:"u"`
	Value   bson.RawValue `bson:"v"`
	Deleted bool          `bson:"x"`
	Shape   int           `bson:"s"`
}

func mongoKey(org, id string) string {
	if org == "" {
		return id
	}
	return org + "/" + id
}

func live(org, id string) bson.D {
	return bson.D{{Key: keyKey, Value: mongoKey(org, id)}, {Key: keyOrg, Value: org}}
}

func (c *mongoCollection) clock() time.Time { return c.db.now() }

func (c *mongoCollection) get(ctx context.Context, org, id string) (record, error) {
	var d mongoDocument
	err := c.documents.FindOne(ctx, live(org, id), options.FindOne().SetProjection(bson.D{{Key: keyMessages, Value: 0}})).Decode(&d)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return record{}, ErrNotFound
	}
	if err != nil {
		return record{}, c.schema.translateMongo(err)
	}
	return c.record(d)
}

func (c *mongoCollection) insert(ctx context.Context, org string, r record, messages []Message) error {
	value, err := toBSON(r.body)
	if err != nil {
		return err
	}
	members := c.stamp(bson.D{
		{Key: keyOrg, Value: org}, {Key: keyID, Value: r.id}, {Key: keyVersion, Value: r.version},
		{Key: keyCreated, Value: micros(r.created)}, {Key: keyUpdated, Value: micros(r.updated)}, {Key: keyValue, Value: value},
	})
	array, oldest := c.db.embed(messages)
	for range mongoAttempts {
		document := append(bson.D{{Key: keyKey, Value: mongoKey(org, r.id)}}, members...)
		if len(array) > 0 {
			document = append(document, bson.E{Key: keyMessages, Value: array}, bson.E{Key: keyOldest, Value: oldest})
		}
		_, err := c.documents.InsertOne(ctx, document)
		if err = c.schema.translateMongo(err); !errors.Is(err, ErrExists) {
			return c.stored(messages, err)
		}
		// Perhaps a tombstone holds the place; its messages stay, before the new ones.
		revive := append(push(array, oldest), bson.E{Key: "$set", Value: members}, bson.E{Key: "$unset", Value: bson.D{{Key: keyDeleted, Value: 1}}})
		done, err := c.documents.UpdateOne(ctx, bson.D{{Key: keyKey, Value: mongoKey(org, r.id)}, {Key: keyDeleted, Value: true}}, revive)
		if err != nil || done.MatchedCount > 0 {
			return c.stored(messages, c.schema.translateMongo(err))
		}
		if _, err := c.get(ctx, org, r.id); !errors.Is(err, ErrNotFound) {
			return errors.Join(err, ErrExists)
		}
	}
	return ErrConflict
}

func (c *mongoCollection) insertMany(ctx context.Context, org string, records []record) ([]string, error) {
	documents := make([]any, len(records))
	for i, r := range records {
		value, err := toBSON(r.body)
		if err != nil {
			return nil, err
		}
		documents[i] = c.stamp(bson.D{
			{Key: keyKey, Value: mongoKey(org, r.id)}, {Key: keyOrg, Value: org}, {Key: keyID, Value: r.id}, {Key: keyVersion, Value: r.version},
			{Key: keyCreated, Value: micros(r.created)}, {Key: keyUpdated, Value: micros(r.updated)}, {Key: keyValue, Value: value},
		})
	}
	_, err := c.documents.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	var refused mongo.BulkWriteException
	if !errors.As(err, &refused) || refused.WriteConcernError != nil {
		return nil, c.schema.translateMongo(err)
	}
	var there []string
	for _, e := range refused.WriteErrors {
		// One by one, as a tombstone may hold the place.
		switch err := c.insert(ctx, org, records[e.Index], nil); {
		case errors.Is(err, ErrExists):
			there = append(there, records[e.Index].id)
		case err != nil:
			return nil, err
		}
	}
	return there, nil
}

func (c *mongoCollection) replace(ctx context.Context, org string, r record, messages []Message) error {
	value, err := toBSON(r.body)
	if err != nil {
		return err
	}
	filter := append(live(org, r.id), bson.E{Key: keyVersion, Value: r.version - 1})
	if !r.created.IsZero() {
		filter = append(filter, bson.E{Key: keyCreated, Value: micros(r.created)})
	}
	update := append(push(c.db.embed(messages)), bson.E{Key: "$set", Value: c.stamp(bson.D{
		{Key: keyVersion, Value: r.version}, {Key: keyUpdated, Value: micros(r.updated)}, {Key: keyValue, Value: value}})})
	done, err := c.documents.UpdateOne(ctx, append(filter, c.mine()), update)
	if err == nil && done.MatchedCount == 0 {
		return c.conflict(ctx, org, r.id)
	}
	return c.stored(messages, c.schema.translateMongo(err))
}

// conflict tells why a document did not have the expected version.
func (c *mongoCollection) conflict(ctx context.Context, org, id string) error {
	r, err := c.get(ctx, org, id)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: is at version %d", ErrConflict, r.version)
}

// bury is the update that leaves nothing of a document but its messages.
func bury(now time.Time) bson.D {
	return bson.D{
		{Key: "$set", Value: bson.D{{Key: keyDeleted, Value: true}, {Key: keyUpdated, Value: micros(now)}}},
		{Key: "$unset", Value: bson.D{{Key: keyOrg, Value: 1}, {Key: keyID, Value: 1}, {Key: keyValue, Value: 1}, {Key: keyShape, Value: 1}}},
	}
}

func (c *mongoCollection) delete(ctx context.Context, org, id string, version int64, now time.Time, messages []Message) error {
	filter := append(live(org, id), c.mine())
	if version != 0 {
		filter = append(filter, bson.E{Key: keyVersion, Value: version})
	}
	buried := append(push(c.db.embed(messages)), bury(now)...)
	for range mongoAttempts {
		if len(messages) == 0 {
			// Messages of earlier writes may still wait in the document: only without them may it go at once.
			done, err := c.documents.DeleteOne(ctx, append(filter, bson.E{Key: keyMessages, Value: bson.D{{Key: "$exists", Value: false}}}))
			if err != nil || done.DeletedCount > 0 {
				return c.schema.translateMongo(err)
			}
		}
		buryFilter := filter
		if len(messages) == 0 {
			buryFilter = append(filter, bson.E{Key: keyMessages, Value: bson.D{{Key: "$exists", Value: true}}})
		}
		done, err := c.documents.UpdateOne(ctx, buryFilter, buried)
		if err != nil || done.MatchedCount > 0 {
			return c.stored(messages, c.schema.translateMongo(err))
		}
		r, err := c.get(ctx, org, id)
		if err != nil {
			return err
		}
		if version != 0 && r.version != version {
			return fmt.Errorf("%w: is at version %d", ErrConflict, r.version)
		}
	}
	return ErrConflict
}

func (c *mongoCollection) putMany(ctx context.Context, org string, now time.Time, puts []Put[[]byte], messages []Message) (int, error) {
	changed := 0
	for range mongoAttempts {
		n, err := c.tryPutMany(ctx, org, now, puts, messages)
		changed += n
		err = c.schema.translateMongo(err)
		if !errors.Is(err, ErrExists) { // two upserts of one new id met: what is left to do is seen by reading again
			return changed, err
		}
	}
	return changed, ErrConflict
}

// tryPutMany writes the documents that differ, in order, the messages with the last.
func (c *mongoCollection) tryPutMany(ctx context.Context, org string, now time.Time, puts []Put[[]byte], messages []Message) (int, error) {
	stored, err := c.read(ctx, org, puts)
	if err != nil {
		return 0, err
	}
	var models []*mongo.UpdateOneModel
	var updates []bson.D
	for _, p := range puts {
		value, err := toBSON(p.Value)
		if err != nil {
			return 0, err
		}
		key := mongoKey(org, p.ID)
		old, exists := stored[key]
		same, err := sameBSON(old.Value, value)
		if err != nil {
			return 0, err
		}
		if err := c.schema.known(old.Shape); err != nil {
			return 0, err
		}
		if exists && !old.Deleted && same && old.Shape == c.schema.version() {
			continue
		}
		set := c.stamp(bson.D{{Key: keyOrg, Value: org}, {Key: keyID, Value: p.ID}, {Key: keyUpdated, Value: micros(now)}, {Key: keyValue, Value: value}})
		update := bson.D{{Key: "$inc", Value: bson.D{{Key: keyVersion, Value: int64(1)}}}, {Key: "$unset", Value: bson.D{{Key: keyDeleted, Value: 1}}}}
		created := bson.E{Key: keyCreated, Value: micros(now)}
		if old.Deleted {
			set = append(set, created)
		} else {
			update = append(update, bson.E{Key: "$setOnInsert", Value: bson.D{created}})
		}
		updates = append(updates, append(update, bson.E{Key: "$set", Value: set}))
		models = append(models, mongo.NewUpdateOneModel().SetFilter(bson.D{{Key: keyKey, Value: key}, c.mine()}).SetUpsert(true))
	}
	if len(models) == 0 {
		return 0, nil
	}
	last := len(updates) - 1
	updates[last] = append(updates[last], push(c.db.embed(messages))...)
	writes := make([]mongo.WriteModel, len(models))
	for i, m := range models {
		writes[i] = m.SetUpdate(updates[i])
	}
	result, err := c.documents.BulkWrite(ctx, writes)
	if result == nil {
		return 0, err
	}
	return int(result.MatchedCount + result.UpsertedCount), c.stored(messages, err)
}

func (c *mongoCollection) read(ctx context.Context, org string, puts []Put[[]byte]) (map[string]mongoDocument, error) {
	keys := make(bson.A, len(puts))
	for i, p := range puts {
		keys[i] = mongoKey(org, p.ID)
	}
	cursor, err := c.documents.Find(ctx, bson.D{{Key: keyKey, Value: bson.D{{Key: "$in", Value: keys}}}},
		options.Find().SetProjection(bson.D{{Key: keyMessages, Value: 0}}))
	if err != nil {
		return nil, err
	}
	var documents []mongoDocument
	if err := cursor.All(ctx, &documents); err != nil {
		return nil, err
	}
	stored := make(map[string]mongoDocument, len(documents))
	for _, d := range documents {
		stored[d.Key] = d
	}
	return stored, nil
}

func sameBSON(stored bson.RawValue, value any) (bool, error) {
	kind, encoded, err := bson.MarshalValue(value)
	if err != nil {
		return false, fmt.Errorf("encode value: %w", err)
	}
	return stored.Type == kind && bytes.Equal(stored.Value, encoded), nil
}
