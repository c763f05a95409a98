package connection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/store"
)

// Purpose is what credentials are opened for.
type Purpose string

// The purposes there are.
const (
	ForSync       Purpose = "sync"
	ForTest       Purpose = "test"
	ForRefresh    Purpose = "refresh"
	ForAccounts   Purpose = "accounts"
	ForRead       Purpose = "read"
	ForWrite      Purpose = "write"
	ForDisconnect Purpose = "disconnect"
)

const (
	// useEvery is how exact the times of uses are: what goes on is noted once in so long, so that a sync costs one write a minute.
	useEvery = time.Minute
	// useGap is how far apart two uses of a kind are that are told apart.
	useGap = 10 * time.Minute
	// maxUses is how many uses of a connection's credentials are remembered.
	maxUses = 20
	// maxRecent is how many uses a process remembers to have noted before it forgets those that are over.
	maxRecent = 1000
)

// Use is that somebody had credentials opened, for one purpose, from one moment to another without a long pause.
type Use struct {
	Purpose Purpose `json:"purpose"`
	Actor
	// RunID is the sync's, of several the latest that was noted.
	RunID string     `json:"run_id,omitempty"`
	Since store.Time `json:"since"`
	Until store.Time `json:"until"`
}

// Actor is who had it done.
type Actor struct {
	// Subject is a user's id, or "group:<name>" for a group that acts by itself.
	Subject string `json:"subject"`
	// Key is the id of the API key that acted for the user; empty for none.
	Key string `json:"key,omitempty"`
}

// ActorOf is who acts in ctx.
func ActorOf(ctx context.Context) Actor {
	p, _ := identity.From(ctx)
	return Actor{p.Subject, p.Key}
}

// alike tells whether two uses are of one kind.
func (u Use) alike(o Use) bool { return u.Purpose == o.Purpose && u.Actor == o.Actor }

// uses is the document of a connection's uses, under its id: the latest first.
type uses struct {
	Uses []Use `json:"uses"`
}

// add notes a use at one moment. Of more than there is room for, the oldest of the most frequent kind is forgotten, so that a
// schedule does not drive out what a person did.
func (h *uses) add(u Use) {
	at := slices.IndexFunc(h.Uses, u.alike)
	if at >= 0 && u.Until.Sub(h.Uses[at].Until.Time) < useGap {
		if u.Until.Sub(h.Uses[at].Until.Time) < useEvery {
			return // another process has noted it
		}
		u.Since = h.Uses[at].Since
		h.Uses = slices.Delete(h.Uses, at, at+1)
	}
	h.Uses = append([]Use{u}, h.Uses...)
	if len(h.Uses) <= maxUses {
		return
	}
	oldest, most := 0, 0
	for i, one := range slices.Backward(h.Uses) {
		count := 0
		for _, other := range h.Uses {
			if other.alike(one) {
				count++
			}
		}
		if count > most {
			oldest, most = i, count
		}
	}
	h.Uses = slices.Delete(h.Uses, oldest, oldest+1)
}

// recent is the uses that this process has noted lately.
type recent struct {
	mu sync.Mutex
	at map[recentUse]time.Time
}

type recentUse struct {
	organization, connection string
	purpose                  Purpose
	actor                    Actor
}

// take tells whether a use is to be noted now.
func (r *recent) take(u recentUse, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.at[u]; ok && now.Sub(at) < useEvery {
		return false
	}
	if len(r.at) >= maxRecent {
		for other, at := range r.at {
			if now.Sub(at) >= useEvery {
				delete(r.at, other)
			}
		}
	}
	if r.at == nil {
		r.at = map[recentUse]time.Time{}
	}
	r.at[u] = now
	return true
}

func (r *recent) forget(u recentUse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.at, u)
}

// note remembers that credentials are opened, before whoever asked gets them. Without an actor it is who acts in ctx.
func (s *Service) note(ctx context.Context, organization, id string, u Use) error {
	if u.Actor == (Actor{}) {
		u.Actor = ActorOf(ctx)
	}
	now := s.Now()
	this := recentUse{organization, id, u.Purpose, u.Actor}
	if !s.recent.take(this, now) {
		return nil
	}
	u.Since, u.Until = store.At(now), store.At(now)
	kept := s.used.In(organization)
	for {
		_, err := kept.Update(ctx, id, func(h *uses) ([]store.Message, error) {
			h.add(u)
			return nil, nil
		})
		if errors.Is(err, store.ErrNotFound) {
			_, err = kept.Insert(ctx, id, uses{[]Use{u}})
		}
		switch {
		case errors.Is(err, store.ErrExists):
			continue // the first use of somebody else came between
		case err != nil:
			s.recent.forget(this)
			return fmt.Errorf("note the use of credentials: %w", err)
		}
		return nil
	}
}

// Uses are who had the credentials of a connection opened lately, and what for: the latest first, at most 20, exact to a minute.
func (s *Service) Uses(ctx context.Context, organization, id string) ([]Use, error) {
	doc, err := s.used.In(organization).Get(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("read the uses of credentials: %w", err)
	}
	return doc.Value.Uses, nil
}
