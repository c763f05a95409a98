package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// mongoOutbox finds messages inside the documents they were written with: only a single document is atomic on a
// standalone server.
type mongoOutbox struct{ db *mongoDB }

type mongoMessage struct {
	ID       string `bson:"i"`
	Topic    string `bson:"t"`
	Data     []byte `bson:"d"`
	Sequence int64  `bson:"s"`
}

// Room is nothing here: the database's own monitoring tells.
func (db *mongoDB) Room() (used, free int64, err error) { return 0, 0, nil }

func (db *mongoDB) Outbox() Outbox { return mongoOutbox{db} }

// embed is messages as stored, with the least sequence among them.
func (db *mongoDB) embed(messages []Message) (array []mongoMessage, oldest int64) {
	for _, m := range messages {
		array = append(array, mongoMessage{ID: m.ID, Topic: m.Topic, Data: m.Data, Sequence: db.sequence()})
	}
	if len(array) > 0 {
		oldest = array[0].Sequence
	}
	return array, oldest
}

// push is the part of an update that adds messages to those that still wait.
func push(array []mongoMessage, oldest int64) bson.D {
	if len(array) == 0 {
		return bson.D{}
	}
	return bson.D{
		{Key: "$push", Value: bson.D{{Key: keyMessages, Value: bson.D{{Key: "$each", Value: array}}}}},
		{Key: "$min", Value: bson.D{{Key: keyOldest, Value: oldest}}},
	}
}

// stored wakes the publisher after a successful write and passes err on.
func (c *mongoCollection) stored(messages []Message, err error) error {
	if err == nil && len(messages) > 0 {
		c.db.wake.signal()
	}
	return err
}

func (o mongoOutbox) Wake() <-chan struct{} { return o.db.wake }

// looseSchema is the collection of messages that belong to no document. Its documents are tombstones from the beginning, so
// they go when their messages do. No Def can have its name.
var looseSchema = &schema{name: "outbox.loose"}

func (o mongoOutbox) Add(ctx context.Context, messages ...Message) error {
	messages, err := complete(messages)
	if err != nil || len(messages) == 0 {
		return o.db.loose.adding(err)
	}
	array, oldest := o.db.embed(messages)
	_, err = o.db.loose.documents.InsertOne(ctx, bson.D{
		{Key: keyKey, Value: bson.NewObjectID().Hex()}, {Key: keyDeleted, Value: true},
		{Key: keyMessages, Value: array}, {Key: keyOldest, Value: oldest},
	})
	return o.db.loose.adding(o.db.loose.stored(messages, err))
}

func (c *mongoCollection) adding(err error) error {
	if err != nil {
		return fmt.Errorf("add to outbox: %w", c.schema.translateMongo(err))
	}
	return nil
}

func (o mongoOutbox) Pending(ctx context.Context, limit int) ([]Message, error) {
	var waiting []mongoMessage
	for _, c := range o.collections() {
		part, err := c.pending(ctx, limit)
		if err != nil {
			return nil, fmt.Errorf("read outbox in %s: %w", c.schema.name, c.schema.translateMongo(err))
		}
		waiting = append(waiting, part...)
	}
	slices.SortFunc(waiting, func(a, b mongoMessage) int { return cmp.Compare(a.Sequence, b.Sequence) })
	messages := make([]Message, min(limit, len(waiting)))
	for i := range messages {
		messages[i] = Message{ID: waiting[i].ID, Topic: waiting[i].Topic, Data: waiting[i].Data}
	}
	return messages, nil
}

func (o mongoOutbox) Done(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	for _, c := range o.collections() {
		if err := c.forget(ctx, ids); err != nil {
			return fmt.Errorf("forget published messages in %s: %w", c.schema.name, c.schema.translateMongo(err))
		}
	}
	return nil
}

func (o mongoOutbox) collections() []*mongoCollection {
	o.db.mu.Lock()
	defer o.db.mu.Unlock()
	all := []*mongoCollection{o.db.loose}
	for _, c := range o.db.opened {
		all = append(all, c)
	}
	return all
}

type mongoWaiting struct {
	Key      string         `bson:"_id"`
	Oldest   int64          `bson:"w"`
	Messages []mongoMessage `bson:"m"`
}

// pending holds at least the limit oldest messages, if there are as many.
func (c *mongoCollection) pending(ctx context.Context, limit int) ([]mongoMessage, error) {
	documents, err := c.waiting(ctx, bson.D{{Key: keyOldest, Value: bson.D{{Key: "$gt", Value: 0}}}},
		options.Find().SetSort(bson.D{{Key: keyOldest, Value: 1}}).SetLimit(int64(limit)))
	if err != nil {
		return nil, err
	}
	var messages []mongoMessage
	var emptied []string
	for _, d := range documents {
		messages = append(messages, d.Messages...)
		if len(d.Messages) == 0 {
			emptied = append(emptied, d.Key)
		}
	}
	if len(emptied) == 0 {
		return messages, nil
	}
	// A process ended between the steps of forget: finish them, or the documents take the places of others for ever.
	if err := c.tidy(ctx, emptied); err != nil {
		return nil, err
	}
	return c.pending(ctx, limit)
}

func (c *mongoCollection) waiting(ctx context.Context, filter bson.D, o *options.FindOptionsBuilder) ([]mongoWaiting, error) {
	cursor, err := c.documents.Find(ctx, filter, o.SetProjection(bson.D{{Key: keyOldest, Value: 1}, {Key: keyMessages, Value: 1}}))
	if err != nil {
		return nil, err
	}
	var documents []mongoWaiting
	return documents, cursor.All(ctx, &documents)
}

func (c *mongoCollection) forget(ctx context.Context, ids []string) error {
	holds := bson.D{{Key: keyMessages + ".i", Value: bson.D{{Key: "$in", Value: ids}}}}
	documents, err := c.waiting(ctx, holds, options.Find())
	if err != nil || len(documents) == 0 {
		return err
	}
	pull := bson.D{{Key: "$pull", Value: bson.D{{Key: keyMessages, Value: bson.D{{Key: "i", Value: bson.D{{Key: "$in", Value: ids}}}}}}}}
	if _, err := c.documents.UpdateMany(ctx, holds, pull); err != nil {
		return err
	}
	var keys []string
	for _, d := range documents {
		keys = append(keys, d.Key)
		if err := c.raiseOldest(ctx, d, ids); err != nil {
			return err
		}
	}
	return c.tidy(ctx, keys)
}

// raiseOldest keeps the order of what waits when only a part of a document's messages was published.
func (c *mongoCollection) raiseOldest(ctx context.Context, d mongoWaiting, published []string) error {
	left := slices.DeleteFunc(d.Messages, func(m mongoMessage) bool { return slices.Contains(published, m.ID) })
	if len(left) == 0 {
		return nil
	}
	oldest := slices.MinFunc(left, func(a, b mongoMessage) int { return cmp.Compare(a.Sequence, b.Sequence) }).Sequence
	_, err := c.documents.UpdateOne(ctx, bson.D{{Key: keyKey, Value: d.Key}, {Key: keyMessages + ".s", Value: oldest}},
		bson.D{{Key: "$set", Value: bson.D{{Key: keyOldest, Value: oldest}}}})
	return err
}

// tidy takes documents whose last message was published out of the outbox, and tombstones out of the collection.
func (c *mongoCollection) tidy(ctx context.Context, keys []string) error {
	among := bson.E{Key: keyKey, Value: bson.D{{Key: "$in", Value: keys}}}
	_, err := c.documents.UpdateMany(ctx, bson.D{among, {Key: keyMessages, Value: bson.D{{Key: "$size", Value: 0}}}},
		bson.D{{Key: "$unset", Value: bson.D{{Key: keyMessages, Value: 1}, {Key: keyOldest, Value: 1}}}})
	if err != nil {
		return err
	}
	_, err = c.documents.DeleteMany(ctx, bson.D{among, {Key: keyDeleted, Value: true}, {Key: keyMessages, Value: bson.D{{Key: "$exists", Value: false}}}})
	return err
}
