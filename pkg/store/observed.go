package store

import (
	"context"
	"errors"
	"time"
)

// Observe hears of an operation on documents: result is "ok" or why not, one of a few words.
type Observe func(collection, operation, result string, took time.Duration)

// Observed is db whose operations on the documents of collections are told to observe.
func Observed(db DB, now func() time.Time, observe Observe) DB { return observedDB{db, now, observe} }

type observedDB struct {
	DB
	now     func() time.Time
	observe Observe
}

func (db observedDB) open(ctx context.Context, s *schema) (collection, error) {
	c, err := db.DB.open(ctx, s)
	if err != nil {
		return nil, err
	}
	return observedCollection{c, s.name, db.now, db.observe}, nil
}

type observedCollection struct {
	collection
	name    string
	now     func() time.Time
	observe Observe
}

// resultOf names an error of an operation.
func resultOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrNotFound):
		return "not_found"
	case errors.Is(err, ErrExists):
		return "exists"
	case errors.Is(err, ErrDuplicate):
		return "duplicate"
	case errors.Is(err, ErrConflict):
		return "conflict"
	case errors.Is(err, ErrFull):
		return "full"
	case errors.Is(err, ErrBusy):
		return "busy"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	}
	return "error"
}

// told tells of an operation that began and ends now with *err.
func (c observedCollection) told(operation string, began time.Time, err *error) {
	c.observe(c.name, operation, resultOf(*err), c.now().Sub(began))
}

func (c observedCollection) get(ctx context.Context, org, id string) (_ record, err error) {
	defer c.told("get", c.now(), &err)
	return c.collection.get(ctx, org, id)
}

func (c observedCollection) insert(ctx context.Context, org string, r record, messages []Message) (err error) {
	defer c.told("insert", c.now(), &err)
	return c.collection.insert(ctx, org, r, messages)
}

func (c observedCollection) replace(ctx context.Context, org string, r record, messages []Message) (err error) {
	defer c.told("replace", c.now(), &err)
	return c.collection.replace(ctx, org, r, messages)
}

func (c observedCollection) insertMany(ctx context.Context, org string, records []record) (_ []string, err error) {
	defer c.told("insert_many", c.now(), &err)
	return c.collection.insertMany(ctx, org, records)
}

func (c observedCollection) putMany(ctx context.Context, org string, now time.Time, puts []Put[[]byte], messages []Message) (_ int, err error) {
	defer c.told("put_many", c.now(), &err)
	return c.collection.putMany(ctx, org, now, puts, messages)
}

func (c observedCollection) delete(ctx context.Context, org, id string, version int64, now time.Time, messages []Message) (err error) {
	defer c.told("delete", c.now(), &err)
	return c.collection.delete(ctx, org, id, version, now, messages)
}

func (c observedCollection) find(ctx context.Context, org string, p plan) (_ []record, err error) {
	defer c.told("find", c.now(), &err)
	return c.collection.find(ctx, org, p)
}

func (c observedCollection) count(ctx context.Context, org string, p plan) (_ int64, err error) {
	defer c.told("count", c.now(), &err)
	return c.collection.count(ctx, org, p)
}

func (c observedCollection) sum(ctx context.Context, org string, p plan, groupBy, fields []field) (_ []Group, err error) {
	defer c.told("sum", c.now(), &err)
	return c.collection.sum(ctx, org, p, groupBy, fields)
}
