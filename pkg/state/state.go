// Package state keeps small values by key, with ETags, expiry and transactions: what a group caches or counts, not its
// documents. A Store is bound to a group; every key it is given is `<module>/<id>` and lies under the group's name, so
// the values stay where they are when the group moves to another process.
package state

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors that callers tell apart with errors.Is. Every other error is the backend's own, wrapped.
var (
	ErrNotFound = errors.New("no state under this key")
	ErrConflict = errors.New("state was changed by another writer")
	ErrBadKey   = errors.New("malformed state key")
	ErrTooLarge = errors.New("state value too large")
)

// MaxValue bounds one value, in bytes. The sidecar takes 4 MiB in one message by default; a value is no place for more.
const MaxValue = 1 << 20

// Item is a value, of at least one byte, and the ETag that names this version of it.
type Item struct {
	Value []byte
	ETag  string
}

// Options says under which condition and for how long a value is kept. The zero value writes whatever is there, for good.
type Options struct {
	// ETag makes the write fail with ErrConflict unless the key is at this version.
	ETag string
	// CreateOnly makes the write fail with ErrConflict when the key has a value. It excludes ETag. A key that was made so is
	// changed with its ETag from then on: Redis refuses another write.
	CreateOnly bool
	// TTL is when the value goes by itself, rounded up to whole seconds; zero is never.
	TTL time.Duration
}

// Op is one write of a SetMany or Transact.
type Op struct {
	Key   string
	Value []byte
	// Delete removes the key; Value, TTL and CreateOnly are not used.
	Delete bool
	Options
}

// Store is one group's state. It is safe for concurrent use. A call whose context has no deadline gets Timeout.
//
// Redis holds less of this than the other backends do: an ETag of a key that has gone is no conflict there, and a transaction
// looks at no CreateOnly and rolls nothing back when an ETag differs.
type Store interface {
	// Get reads a value: ErrNotFound.
	Get(ctx context.Context, key string) (Item, error)
	// GetMany reads what there is of keys; those without a value are missing from the result.
	GetMany(ctx context.Context, keys ...string) (map[string]Item, error)
	// Set writes a value: ErrConflict as its options say, ErrTooLarge.
	Set(ctx context.Context, key string, value []byte, opts Options) error
	// SetMany writes values, each for itself: after an error some may be written. ErrConflict.
	SetMany(ctx context.Context, ops ...Op) error
	// Delete removes a key; with an ETag only that version, else ErrConflict. A key that is not there is no error
	// without an ETag.
	Delete(ctx context.Context, key, etag string) error
	// Transact applies all writes or none: ErrConflict. A key may occur once.
	Transact(ctx context.Context, ops ...Op) error
}

// Timeout bounds a call whose context has no deadline.
const Timeout = 5 * time.Second

// maxKey bounds a key, in bytes.
const maxKey = 400

func checkKey(key string) error {
	module, id, ok := strings.Cut(key, "/")
	// Dapr splits keys at "||".
	if !ok || module == "" || id == "" || len(key) > maxKey || strings.Contains(key, "||") ||
		strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("%w %.60q: want <module>/<id> without spaces, control characters or \"||\"", ErrBadKey, key)
	}
	return nil
}

func (op Op) check() error {
	if err := checkKey(op.Key); err != nil {
		return err
	}
	switch {
	case op.CreateOnly && op.ETag != "":
		return fmt.Errorf("state %s: CreateOnly and ETag exclude each other", op.Key)
	case len(op.Value) == 0 && !op.Delete:
		return fmt.Errorf("state %s: the value is empty, which PostgreSQL cannot keep", op.Key)
	case op.TTL < 0:
		return fmt.Errorf("state %s: negative TTL", op.Key)
	case len(op.Value) > MaxValue:
		return fmt.Errorf("state %s: %w: %d bytes, %d at most", op.Key, ErrTooLarge, len(op.Value), MaxValue)
	}
	return nil
}

// checkOps checks each write, and that no key occurs twice: backends differ in which one would count.
func checkOps(ops []Op) error {
	seen := make(map[string]bool, len(ops))
	for _, op := range ops {
		if err := op.check(); err != nil {
			return err
		}
		if seen[op.Key] {
			return fmt.Errorf("%w: %s occurs twice", ErrBadKey, op.Key)
		}
		seen[op.Key] = true
	}
	return nil
}

// seconds is a TTL as backends count it.
func seconds(ttl time.Duration) int64 { return int64((ttl + time.Second - 1) / time.Second) }
