package state

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tandemhq/tandem/pkg/topology"
)

// Component is the name of the Dapr state component. It must have `keyPrefix: none`: keys begin with the group, where
// Dapr's default would put the app-id in front and lose them when the group moves.
const Component = "state"

// NewDapr is the group's state behind a sidecar.
func NewDapr(client dapr.Client, group topology.Group) Store {
	return sidecar{client, string(group) + "/"}
}

type sidecar struct {
	client dapr.Client
	prefix string
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, Timeout)
}

func (s sidecar) Get(ctx context.Context, key string) (Item, error) {
	if err := checkKey(key); err != nil {
		return Item{}, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	got, err := s.client.GetState(ctx, Component, s.prefix+key, nil)
	if err != nil {
		return Item{}, fmt.Errorf("get state %s: %w", key, err)
	}
	if got.Etag == "" { // the API answers a missing key with nothing at all; what is there always has an ETag
		return Item{}, fmt.Errorf("get state %s: %w", key, ErrNotFound)
	}
	return Item{got.Value, got.Etag}, nil
}

func (s sidecar) GetMany(ctx context.Context, keys ...string) (map[string]Item, error) {
	items := make(map[string]Item, len(keys))
	if len(keys) == 0 {
		return items, nil
	}
	full := make([]string, len(keys))
	for i, key := range keys {
		if err := checkKey(key); err != nil {
			return nil, err
		}
		full[i] = s.prefix + key
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	got, err := s.client.GetBulkState(ctx, Component, full, nil, 16)
	if err != nil {
		return nil, fmt.Errorf("get %d state keys: %w", len(keys), err)
	}
	for _, g := range got {
		if g.Error != "" {
			return nil, fmt.Errorf("get state %s: %s", g.Key, g.Error)
		}
		if g.Etag != "" {
			items[strings.TrimPrefix(g.Key, s.prefix)] = Item{g.Value, g.Etag}
		}
	}
	return items, nil
}

func (s sidecar) Set(ctx context.Context, key string, value []byte, opts Options) error {
	return s.SetMany(ctx, Op{Key: key, Value: value, Options: opts})
}

func (s sidecar) SetMany(ctx context.Context, ops ...Op) error {
	if err := checkOps(ops); err != nil {
		return err
	}
	var items []*dapr.SetStateItem
	for _, op := range ops {
		if op.Delete {
			if err := s.Delete(ctx, op.Key, op.ETag); err != nil {
				return err
			}
			continue
		}
		items = append(items, s.item(op))
	}
	if len(items) == 0 {
		return nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.failed(ctx, "write", ops, s.client.SaveBulkState(ctx, Component, items...))
}

func (s sidecar) Delete(ctx context.Context, key, etag string) error {
	op := Op{Key: key, Delete: true, Options: Options{ETag: etag}}
	if err := op.check(); err != nil {
		return err
	}
	item := s.item(op)
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.failed(ctx, "delete", []Op{op}, s.client.DeleteStateWithETag(ctx, Component, item.Key, item.Etag, nil, item.Options))
}

func (s sidecar) Transact(ctx context.Context, ops ...Op) error {
	if err := checkOps(ops); err != nil {
		return err
	}
	list := make([]*dapr.StateOperation, len(ops))
	for i, op := range ops {
		kind := dapr.StateOperationTypeUpsert
		if op.Delete {
			kind = dapr.StateOperationTypeDelete
		}
		list[i] = &dapr.StateOperation{Type: kind, Item: s.item(op)}
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.failed(ctx, "transact", ops, s.client.ExecuteStateTransaction(ctx, Component, nil, list))
}

// item is a write as Dapr takes it. First-write concurrency without an ETag is its "create only".
func (s sidecar) item(op Op) *dapr.SetStateItem {
	item := &dapr.SetStateItem{
		Key:     s.prefix + op.Key,
		Value:   op.Value,
		Options: &dapr.StateOptions{Concurrency: dapr.StateConcurrencyLastWrite, Consistency: dapr.StateConsistencyStrong},
	}
	if op.ETag != "" {
		item.Etag = &dapr.ETag{Value: op.ETag}
	}
	if op.ETag != "" || op.CreateOnly {
		item.Options.Concurrency = dapr.StateConcurrencyFirstWrite
	}
	if !op.Delete {
		ttl := int64(-1) // for good; with nothing said, Redis would let the value before decide
		if op.TTL > 0 {
			ttl = seconds(op.TTL)
		}
		item.Metadata = map[string]string{"ttlInSeconds": strconv.FormatInt(ttl, 10)}
	}
	return item
}

// failed tells conflicts from other errors. A transaction reports a conflict as an internal error, so its text decides (Redis: that
// the script refused, which compares ETags); and of a key that CreateOnly finds, SQLite says that it is a conflict, PostgreSQL and
// Redis only that nothing was written: so it is looked for.
func (s sidecar) failed(ctx context.Context, doing string, ops []Op, err error) error {
	if err == nil {
		return nil
	}
	what := ops[0].Key
	if len(ops) > 1 {
		what = fmt.Sprintf("%s and %d more", what, len(ops)-1)
	}
	if text := err.Error(); status.Code(err) == codes.Aborted || strings.Contains(text, "etag mismatch") || strings.Contains(text, "user_script") || s.anyThere(ctx, ops) {
		return fmt.Errorf("%s state %s: %w: %w", doing, what, ErrConflict, err)
	}
	return fmt.Errorf("%s state %s: %w", doing, what, err)
}

// anyThere reports whether a key that was to be created has a value.
func (s sidecar) anyThere(ctx context.Context, ops []Op) bool {
	var keys []string
	for _, op := range ops {
		if op.CreateOnly && !op.Delete {
			keys = append(keys, op.Key)
		}
	}
	there, err := s.GetMany(ctx, keys...)
	return err == nil && len(there) > 0
}
