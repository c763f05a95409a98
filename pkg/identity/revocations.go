package identity

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// revocationsEvery is how often ended sessions are asked for: often enough that a session is refused
	// everywhere within 5 s, also when one answer gets lost.
	revocationsEvery = 2 * time.Second
	// revocationsBack is how far each question reaches back: as long as an access token lives, so that
	// a process that has just started knows of all that still matter.
	revocationsBack = 16 * time.Minute
)

// Revocation is the end of a session.
type Revocation struct {
	// ID is the session's.
	ID string `json:"id"`
	// RevokedAt is when it ended, in UTC.
	RevokedAt time.Time `json:"revoked_at"`
}

// RevocationFeed asks the auth group for the sessions that ended at or after since.
type RevocationFeed func(ctx context.Context, since time.Time) ([]Revocation, error)

// Revocations knows which sessions have ended lately, in every process alike: it asks the auth group.
// While auth cannot be reached, what is known stays in force, and access tokens end by themselves.
type Revocations struct {
	feed RevocationFeed
	now  func() time.Time
	log  *slog.Logger

	mu    sync.RWMutex
	ended map[string]time.Time

	cancel context.CancelFunc
	done   chan struct{}
}

// NewRevocations asks feed once it is started.
func NewRevocations(feed RevocationFeed, now func() time.Time, log *slog.Logger) *Revocations {
	return &Revocations{feed: feed, now: now, log: log, ended: map[string]time.Time{}}
}

// Revoked tells whether the session is known to have ended.
func (r *Revocations) Revoked(session string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ended := r.ended[session]
	return ended
}

// Start asks once, so that a process that begins to serve knows what ended before, and goes on asking.
// While auth cannot be reached, that must not keep the others from starting.
func (r *Revocations) Start(ctx context.Context) error {
	if err := r.ask(ctx); err != nil {
		r.log.WarnContext(ctx, "ask for ended sessions; those that ended before this start are known later", "error", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel, r.done = cancel, make(chan struct{})
	go func() {
		defer close(r.done)
		tick := time.NewTicker(revocationsEvery)
		defer tick.Stop()
		failing := false
		for {
			err := r.ask(ctx)
			if err != nil && !failing && ctx.Err() == nil {
				r.log.WarnContext(ctx, "ask for ended sessions", "error", err)
			}
			failing = err != nil
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

func (r *Revocations) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, revocationsEvery)
	defer cancel()
	oldest := r.now().Add(-revocationsBack)
	list, err := r.feed(ctx, oldest)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, at := range r.ended {
		if at.Before(oldest) {
			delete(r.ended, id)
		}
	}
	for _, revocation := range list {
		r.ended[revocation.ID] = revocation.RevokedAt
	}
	return nil
}

// Stop ends the asking and waits for it.
func (r *Revocations) Stop(context.Context) error {
	if r.cancel != nil {
		r.cancel()
		<-r.done
	}
	return nil
}
