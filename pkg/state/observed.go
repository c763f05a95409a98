package state

import (
	"context"
	"errors"
	"time"
)

// Observe hears of an operation on state: result is "ok" or why not, one of a few words.
type Observe func(operation, result string, took time.Duration)

// Observed is s whose operations are told to observe.
func Observed(s Store, now func() time.Time, observe Observe) Store { return observed{s, now, observe} }

type observed struct {
	store   Store
	now     func() time.Time
	observe Observe
}

// told tells of an operation that began and ends now with *err.
func (o observed) told(operation string, began time.Time, err *error) {
	result := "ok"
	switch {
	case *err == nil:
	case errors.Is(*err, ErrNotFound):
		result = "not_found"
	case errors.Is(*err, ErrConflict):
		result = "conflict"
	case errors.Is(*err, context.Canceled), errors.Is(*err, context.DeadlineExceeded):
		result = "cancelled"
	default:
		result = "error"
	}
	o.observe(operation, result, o.now().Sub(began))
}

func (o observed) Get(ctx context.Context, key string) (_ Item, err error) {
	defer o.told("get", o.now(), &err)
	return o.store.Get(ctx, key)
}

func (o observed) GetMany(ctx context.Context, keys ...string) (_ map[string]Item, err error) {
	defer o.told("get_many", o.now(), &err)
	return o.store.GetMany(ctx, keys...)
}

func (o observed) Set(ctx context.Context, key string, value []byte, opts Options) (err error) {
	defer o.told("set", o.now(), &err)
	return o.store.Set(ctx, key, value, opts)
}

func (o observed) SetMany(ctx context.Context, ops ...Op) (err error) {
	defer o.told("set_many", o.now(), &err)
	return o.store.SetMany(ctx, ops...)
}

func (o observed) Delete(ctx context.Context, key, etag string) (err error) {
	defer o.told("delete", o.now(), &err)
	return o.store.Delete(ctx, key, etag)
}

func (o observed) Transact(ctx context.Context, ops ...Op) (err error) {
	defer o.told("transact", o.now(), &err)
	return o.store.Transact(ctx, ops...)
}
