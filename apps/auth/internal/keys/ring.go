package keys

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tandemhq/tandem/pkg/identity"
)

const (
	// readEvery is how often the secret store is asked for changed keys.
	readEvery = time.Minute
	// settle is how long a key is published before anything is signed with it: until every process of the
	// auth group has read it, whichever of them a verifier asks.
	settle = 2 * readEvery
)

// Ring is the keys as the secret store has them, read again every minute, so that changing the secrets
// changes the keys of running processes. It is a component, and safe for concurrent use.
type Ring struct {
	read func(context.Context) (Signing, error)
	now  func() time.Time
	log  *slog.Logger

	mu       sync.RWMutex
	stored   Signing   // as the store has it
	former   Signing   // signs until stored has settled
	storedAt time.Time // when stored was first seen

	cancel context.CancelFunc
	done   chan struct{}
}

// NewRing reads the keys a first time. The key that is there when a process starts signs at once.
func NewRing(ctx context.Context, read func(context.Context) (Signing, error), now func() time.Time, log *slog.Logger) (*Ring, error) {
	key, err := read(ctx)
	if err != nil {
		return nil, err
	}
	return &Ring{read: read, now: now, log: log, stored: key, former: key, storedAt: now()}, nil
}

// Sign makes an access token with the current key.
func (r *Ring) Sign(claims identity.Claims) (string, error) {
	r.mu.RLock()
	key := r.active()
	r.mu.RUnlock()
	return key.Sign(claims)
}

// active is the key that signs now.
func (r *Ring) active() Signing {
	if r.now().Sub(r.storedAt) >= settle {
		return r.stored
	}
	return r.former
}

// JWKS is the keys that verify access tokens.
func (r *Ring) JWKS() identity.JWKS {
	r.mu.RLock()
	defer r.mu.RUnlock()
	keys, active := r.stored.JWKS(), r.active().public()
	if !slices.ContainsFunc(keys.Keys, func(k identity.JWK) bool { return k.KeyID == active.KeyID }) {
		keys.Keys = append(keys.Keys, active)
	}
	return keys
}

// Refresh reads the keys again. What cannot be read leaves them as they are.
func (r *Ring) Refresh(ctx context.Context) error {
	key, err := r.read(ctx)
	if err != nil {
		return fmt.Errorf("read the keys of access tokens again: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if key.id != r.stored.id {
		r.former, r.storedAt = r.active(), r.now()
		r.log.InfoContext(ctx, "the key of access tokens has changed; it signs when every process knows it", "key", key.id, "in", settle)
	}
	r.stored = key
	return nil
}

// Start begins to read again and again.
func (r *Ring) Start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel, r.done = cancel, make(chan struct{})
	go func() {
		defer close(r.done)
		tick := time.NewTicker(readEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := r.Refresh(ctx); err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "keys", "error", err)
			}
		}
	}()
	return nil
}

// Stop ends the reading and waits for it.
func (r *Ring) Stop(context.Context) error {
	if r.cancel != nil {
		r.cancel()
		<-r.done
	}
	return nil
}
