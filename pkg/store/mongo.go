package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

const (
	mongoCloseTimeout = 5 * time.Second

	// Error codes of the server.
	mongoBadValue       = 2
	mongoIndexNotFound  = 27
	mongoOutOfDiskSpace = 14031
)

// Mongo opens a group's database on a MongoDB server, replica set or Atlas cluster; a standalone server serves too, as
// nothing here needs more than single documents to be atomic.
type Mongo struct {
	URL      string
	Database string
	Now      func() time.Time // time.Now when nil
}

// OpenMongo opens the database on the server at url with the defaults of Mongo.
func OpenMongo(ctx context.Context, url, database string) (DB, error) {
	return Mongo{URL: url, Database: database}.Open(ctx)
}

// Open connects and waits, as long as ctx allows, for the server to answer.
func (o Mongo) Open(ctx context.Context) (DB, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	durable := writeconcern.Majority()
	durable.Journal = new(bool)
	*durable.Journal = true
	// Options apply over the URL: no URL can make an acknowledged write less than durable.
	client, err := mongo.Connect(options.Client().SetAppName("tandem").ApplyURI(o.URL).SetWriteConcern(durable))
	if err != nil {
		return nil, fmt.Errorf("open MongoDB store: %w", err)
	}
	db := &mongoDB{client: client, now: o.Now, wake: make(outboxWake, 1), opened: map[string]*mongoCollection{}}
	level, err := readLevel(ctx, client)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open MongoDB store: %w", err), db.Close())
	}
	db.database = client.Database(o.Database, options.Database().SetReadConcern(level))
	db.loose = &mongoCollection{db: db, schema: looseSchema, documents: db.database.Collection(looseSchema.name)}
	if err := db.loose.create(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open MongoDB store: outbox: %w", looseSchema.translateMongo(err)), db.Close())
	}
	return db, nil
}

// readLevel is majority where there is a majority: only that never shows a write which a failover takes back.
func readLevel(ctx context.Context, client *mongo.Client) (*readconcern.ReadConcern, error) {
	var hello struct {
		SetName string `bson:"setName"`
		Message string `bson:"msg"`
	}
	if err := client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		return nil, err
	}
	if hello.SetName != "" || hello.Message == "isdbgrid" {
		return readconcern.Majority(), nil
	}
	return readconcern.Local(), nil
}

type mongoDB struct {
	client   *mongo.Client
	database *mongo.Database
	now      func() time.Time
	wake     outboxWake
	loose    *mongoCollection // see looseSchema

	mu     sync.Mutex
	opened map[string]*mongoCollection
	last   int64 // see sequence
}

func (db *mongoDB) Ping(ctx context.Context) error {
	stored, err := MongoVersions(ctx, db.client, db.database.Name())
	if err != nil {
		return fmt.Errorf("ping MongoDB store: %w", err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	for name, c := range db.opened {
		if err := c.schema.known(stored[name]); err != nil {
			return fmt.Errorf("ping MongoDB store: %w", err)
		}
	}
	return nil
}

func (db *mongoDB) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), mongoCloseTimeout)
	defer cancel()
	if err := db.client.Disconnect(ctx); err != nil {
		return fmt.Errorf("close MongoDB store: %w", err)
	}
	return nil
}

func (db *mongoDB) open(ctx context.Context, s *schema) (collection, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if c := db.opened[s.name]; c != nil {
		if !c.schema.same(s) {
			return nil, errors.New("is open with another definition")
		}
		return c, nil
	}
	c := &mongoCollection{db: db, schema: s, documents: db.database.Collection(s.name)}
	if err := c.create(ctx); err != nil {
		return nil, s.translateMongo(err)
	}
	db.opened[s.name] = c
	return c, nil
}

// sequence orders messages: nanoseconds since 1970, made increasing within this process.
func (db *mongoDB) sequence() int64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.last = max(db.last+1, db.now().UnixNano())
	return db.last
}

// ownIndex begins the names of the indexes made here; others belong to whoever runs the server and are left alone.
const ownIndex = "tandem-"

// create migrates the documents and builds the indexes that are missing. It drops before it builds, as MongoDB refuses two indexes of
// one key pattern, and before it migrates, as what migrations make may not fit an index that is no longer declared.
func (c *mongoCollection) create(ctx context.Context) error {
	if err := c.settle(ctx); err != nil {
		return err
	}
	wanted := c.indexModels()
	present, err := c.documents.Indexes().ListSpecifications(ctx)
	if err != nil {
		return fmt.Errorf("list indexes: %w", err)
	}
	for _, spec := range present {
		if _, keep := wanted[spec.Name]; keep {
			delete(wanted, spec.Name)
			continue
		}
		if !strings.HasPrefix(spec.Name, ownIndex) {
			continue
		}
		err := c.documents.Indexes().DropOne(ctx, spec.Name)
		var server mongo.ServerError
		if errors.As(err, &server) && server.HasErrorCode(mongoIndexNotFound) {
			continue // another process has dropped it
		}
		if err != nil {
			return fmt.Errorf("drop index %s: %w", spec.Name, err)
		}
	}
	if model, missing := wanted[ownIndex+"shape"]; missing { // which finds what is to be migrated
		if _, err := c.documents.Indexes().CreateOne(ctx, model); err != nil {
			return fmt.Errorf("build index of versions: %w", err)
		}
	}
	if err := c.migrate(ctx); err != nil {
		return err
	}
	for name, model := range wanted {
		if _, err := c.documents.Indexes().CreateOne(ctx, model); err != nil {
			return fmt.Errorf("build index %s: %w", name, err)
		}
	}
	return nil
}

func (c *mongoCollection) indexModels() map[string]mongo.IndexModel {
	models := map[string]mongo.IndexModel{}
	add := func(name string, keys []string, o *options.IndexOptionsBuilder) {
		pattern := bson.D{}
		for _, key := range keys {
			pattern = append(pattern, bson.E{Key: key, Value: 1})
		}
		models[ownIndex+name] = mongo.IndexModel{Keys: pattern, Options: o.SetName(ownIndex + name)}
	}
	add("id", []string{keyOrg, keyID}, options.Index())
	if c.schema.version() > 0 {
		add("shape", []string{keyShape}, options.Index())
	}
	add("outbox-order", []string{keyOldest}, options.Index().SetSparse(true))
	add("outbox-id", []string{keyMessages + ".i"}, options.Index().SetSparse(true))
	for _, ix := range c.schema.indexes {
		add("ix-"+ix.physical, slices.Concat([]string{keyOrg}, keys(ix.fields), []string{keyID}, keys(ix.include)), options.Index())
		if ix.unique {
			// Null and missing are no duplicates of each other, so only documents with every field are in the index.
			filter := bson.D{}
			for _, key := range keys(ix.fields) {
				filter = append(filter, bson.E{Key: key, Value: bson.D{{Key: "$type", Value: bson.A{"string", "number", "bool"}}}})
			}
			add("uq-"+ix.physical, append([]string{keyOrg}, keys(ix.fields)...), options.Index().SetUnique(true).SetPartialFilterExpression(filter))
		}
	}
	return models
}

// translateMongo gives the server's errors the store's meaning; a duplicate _id is ErrExists.
func (s *schema) translateMongo(err error) error {
	var server mongo.ServerError
	switch {
	case !errors.As(err, &server):
		return err
	case mongo.IsDuplicateKeyError(err):
		message, _, _ := strings.Cut(err.Error(), "dup key:") // the rest is document content
		if index := s.byPhysical(message); index != "" {
			return &DuplicateError{Collection: s.name, Index: index}
		}
		return ErrExists
	case server.HasErrorCode(mongoOutOfDiskSpace):
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
