package state

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tandemhq/tandem/pkg/topology"
)

// Memory keeps state in this process, for tests and for a process without a sidecar. Several groups can share one.
type Memory struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[string]entry
	version uint64
}

type entry struct {
	Item
	expires time.Time // zero: never
}

// NewMemory is an empty state that tells expiry by now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, entries: map[string]entry{}}
}

// Bind is the part of m that belongs to group.
func (m *Memory) Bind(group topology.Group) Store { return memory{m, string(group) + "/"} }

type memory struct {
	*Memory
	prefix string
}

func (m memory) Get(ctx context.Context, key string) (Item, error) {
	items, err := m.GetMany(ctx, key)
	if err != nil {
		return Item{}, err
	}
	item, ok := items[key]
	if !ok {
		return Item{}, fmt.Errorf("get state %s: %w", key, ErrNotFound)
	}
	return item, nil
}

func (m memory) GetMany(ctx context.Context, keys ...string) (map[string]Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	items := make(map[string]Item, len(keys))
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return nil, err
		}
		if e, ok := m.live(m.prefix + key); ok {
			items[key] = Item{slices.Clone(e.Value), e.ETag}
		}
	}
	return items, nil
}

func (m memory) Set(ctx context.Context, key string, value []byte, opts Options) error {
	return m.Transact(ctx, Op{Key: key, Value: value, Options: opts})
}

func (m memory) SetMany(ctx context.Context, ops ...Op) error { return m.Transact(ctx, ops...) }

func (m memory) Delete(ctx context.Context, key, etag string) error {
	return m.Transact(ctx, Op{Key: key, Delete: true, Options: Options{ETag: etag}})
}

func (m memory) Transact(ctx context.Context, ops ...Op) error {
	if err := checkOps(ops); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range ops {
		e, found := m.live(m.prefix + op.Key)
		if op.ETag != "" && op.ETag != e.ETag || op.CreateOnly && !op.Delete && found {
			return fmt.Errorf("write state %s: %w", op.Key, ErrConflict)
		}
	}
	for _, op := range ops {
		if op.Delete {
			delete(m.entries, m.prefix+op.Key)
			continue
		}
		m.version++
		e := entry{Item: Item{slices.Clone(op.Value), strconv.FormatUint(m.version, 10)}}
		if op.TTL > 0 {
			e.expires = m.now().Add(time.Duration(seconds(op.TTL)) * time.Second)
		}
		m.entries[m.prefix+op.Key] = e
	}
	return nil
}

// live is the entry of a full key, unless it has expired. The caller holds m.mu.
func (m *Memory) live(key string) (entry, bool) {
	e, ok := m.entries[key]
	if ok && !e.expires.IsZero() && !m.now().Before(e.expires) {
		delete(m.entries, key)
		return entry{}, false
	}
	return e, ok
}
