// Package authtest is what the auth group's tests run on: a clock that stands still until it is moved,
// ids that count, and a real database in a file.
package authtest

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/subtle/random"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// World is one test's surroundings. It is safe for concurrent use.
type World struct {
	DB  store.DB
	ids atomic.Int64

	mu  sync.Mutex
	now time.Time
}

// New is a world of its own for t, early in 2026.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	db, err := store.SQLite{Path: filepath.Join(t.TempDir(), "auth.db"), Now: w.Now}.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	w.DB = db
	return w
}

// Now is the clock.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// Pass moves the clock.
func (w *World) Pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// NewID is id-1, id-2 and so on.
func (w *World) NewID() string { return fmt.Sprintf("id-%d", w.ids.Add(1)) }

// Emit makes the auth group's events.
func (w *World) Emit() events.Emitter {
	return events.Emitter{Group: topology.Auth, Now: w.Now, NewID: w.NewID}
}

// Sealer encrypts with a key of its own (see atrest.Sealer).
type Sealer struct{ *subtle.XChaCha20Poly1305 }

// NewSealer is a sealer with a random key.
func NewSealer(t testing.TB) Sealer {
	t.Helper()
	cipher, err := subtle.NewXChaCha20Poly1305(random.GetRandomBytes(chacha20poly1305.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return Sealer{cipher}
}

// Seal encrypts value for owner.
func (s Sealer) Seal(_ context.Context, owner string, value []byte) ([]byte, error) {
	return s.Encrypt(value, []byte(owner))
}

// Open decrypts what was sealed for owner.
func (s Sealer) Open(_ context.Context, owner string, sealed []byte) ([]byte, error) {
	return s.Decrypt(sealed, []byte(owner))
}

// Outbox is the events that were stored and not published, oldest first.
func (w *World) Outbox(t testing.TB) []events.Raw {
	t.Helper()
	messages, err := w.DB.Outbox().Pending(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]events.Raw, len(messages))
	for i, m := range messages {
		if all[i], err = events.Decode(m.Data); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
