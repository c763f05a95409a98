package identity

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// changesEvery is how often changes are asked for: often enough that a session is refused everywhere
	// within 5 s, also when one answer gets lost.
	changesEvery = 2 * time.Second
	// changesBack is how far the first question reaches back, and the first after an outage that long: as
	// long as an access token lives, so that all that still matter are known.
	changesBack = 16 * time.Minute
	// changesAll is how many answers make a round, which begins with a question that reaches back as far. A
	// change that the overlap of answers did not catch is known a minute later.
	changesAll = 30
)

// Revocation is the end of a session.
type Revocation struct {
	// ID is the session's.
	ID string `json:"id"`
	// RevokedAt is when it ended, in UTC.
	RevokedAt time.Time `json:"revoked_at"`
}

// AccessChange says that somebody may do something else from a moment on.
type AccessChange struct {
	// Organization is where; empty for everywhere.
	Organization string `json:"organization,omitempty"`
	// Subject is who, a user or "key:<id>"; empty for everybody in the organization.
	Subject string `json:"subject,omitempty"`
	// ChangedAt is when it was known, in UTC.
	ChangedAt time.Time `json:"changed_at"`
}

// Changes are what has changed lately in who may do what.
type Changes struct {
	Sessions []Revocation   `json:"sessions"`
	Access   []AccessChange `json:"access"`
	// AsOf is what to ask for next. It lies before now, so that two answers overlap and a change that was
	// being written is in the second one.
	AsOf time.Time `json:"as_of"`
}

// Feed knows what has changed lately, in every process alike: it asks the auth group. While auth cannot be
// reached, what is known stays in force, and access tokens end by themselves.
type Feed struct {
	ask func(ctx context.Context, since time.Time) (Changes, error)
	now func() time.Time
	log *slog.Logger

	mu      sync.RWMutex
	ended   map[string]time.Time
	changed map[place]time.Time

	// Only update touches them: what to ask for next, and how many answers there were.
	asOf    time.Time
	answers int

	cancel context.CancelFunc
	done   chan struct{}
}

// place is where somebody's access changed; an empty part stands for all.
type place struct{ organization, subject string }

// NewFeed asks with ask once it is started.
func NewFeed(ask func(ctx context.Context, since time.Time) (Changes, error), now func() time.Time, log *slog.Logger) *Feed {
	return &Feed{ask: ask, now: now, log: log, ended: map[string]time.Time{}, changed: map[place]time.Time{}}
}

// Revoked tells whether the session is known to have ended.
func (f *Feed) Revoked(session string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, ended := f.ended[session]
	return ended
}

// AccessChanged is when the access of subject in organization changed last, zero for not lately.
func (f *Feed) AccessChanged(organization, subject string) time.Time {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var last time.Time
	for _, p := range [...]place{{organization, subject}, {organization, ""}, {"", subject}, {"", ""}} {
		if at := f.changed[p]; at.After(last) {
			last = at
		}
	}
	return last
}

// Start asks once, so that a process that begins to serve knows what changed before, and goes on asking.
// While auth cannot be reached, that must not keep the others from starting.
func (f *Feed) Start(ctx context.Context) error {
	if err := f.update(ctx); err != nil {
		f.log.WarnContext(ctx, "ask for ended sessions; those that ended before this start are known later", "error", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f.cancel, f.done = cancel, make(chan struct{})
	go func() {
		defer close(f.done)
		tick := time.NewTicker(changesEvery)
		defer tick.Stop()
		failing := false
		for {
			err := f.update(ctx)
			if err != nil && !failing && ctx.Err() == nil {
				f.log.WarnContext(ctx, "ask for ended sessions and changed access", "error", err)
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

func (f *Feed) update(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, changesEvery)
	defer cancel()
	oldest := f.now().Add(-changesBack)
	since := f.asOf
	if since.Before(oldest) || f.answers%changesAll == 0 {
		since = oldest
	}
	list, err := f.ask(ctx, since)
	if err != nil {
		return err
	}
	f.asOf = list.AsOf
	f.answers++
	f.mu.Lock()
	defer f.mu.Unlock()
	forget(f.ended, oldest)
	forget(f.changed, oldest)
	for _, revocation := range list.Sessions {
		f.ended[revocation.ID] = revocation.RevokedAt
	}
	for _, c := range list.Access {
		if p := (place{c.Organization, c.Subject}); c.ChangedAt.After(f.changed[p]) {
			f.changed[p] = c.ChangedAt
		}
	}
	return nil
}

func forget[K comparable](times map[K]time.Time, oldest time.Time) {
	for key, at := range times {
		if at.Before(oldest) {
			delete(times, key)
		}
	}
}

// Stop ends the asking and waits for it.
func (f *Feed) Stop(context.Context) error {
	if f.cancel != nil {
		f.cancel()
		<-f.done
	}
	return nil
}
