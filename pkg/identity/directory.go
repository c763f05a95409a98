package identity

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// accessMax bounds the accesses that are remembered. Few are different: they hang on roles, not on
	// people.
	accessMax = 10_000
	// accessGood is how long the answer for one person is used whose access changed after their token was
	// made; by then they have a new token.
	accessGood = 16 * time.Minute
)

// CurrentAccess is what a subject may do now.
type CurrentAccess struct {
	Access
	// AsOf is a moment, in UTC, not after the one at which the access was read.
	AsOf time.Time `json:"as_of"`
}

// Directory knows what each principal may do. An access token names its holder's access by hash, and the
// auth group is asked what is behind a hash once; when somebody's access changes, Feed says so, and auth
// is asked what they may do now. So a decision costs a look into a map, and a change of roles reaches
// every process with Feed. It is safe for concurrent use.
type Directory struct {
	feed *Feed
	ask  func(ctx context.Context, organization, subject string) (CurrentAccess, error)
	now  func() time.Time

	asking singleflight.Group
	mu     sync.RWMutex
	byHash map[string]*Access
	latest map[place]*CurrentAccess
}

// NewDirectory asks with ask, and heeds what feed says.
func NewDirectory(feed *Feed, ask func(ctx context.Context, organization, subject string) (CurrentAccess, error), now func() time.Time) *Directory {
	return &Directory{feed: feed, ask: ask, now: now, byHash: map[string]*Access{}, latest: map[place]*CurrentAccess{}}
}

// Access is what p may do now: a problem when auth does not know p any more or cannot be reached.
func (d *Directory) Access(ctx context.Context, p Principal) (*Access, error) {
	changed := d.feed.AccessChanged(p.Organization, p.Subject)
	who := place{p.Organization, p.Subject}
	if known := d.known(who, p, changed); known != nil {
		return known, nil
	}
	found, err, _ := d.asking.Do(who.organization+" "+who.subject, func() (any, error) {
		return d.Fresh(context.WithoutCancel(ctx), p)
	})
	if err != nil {
		return nil, err
	}
	return found.(*Access), nil
}

// Fresh is Access as auth tells it when asked now, whatever is remembered: for a refusal that the person may just have done away with.
func (d *Directory) Fresh(ctx context.Context, p Principal) (*Access, error) {
	current, err := d.ask(ctx, p.Organization, p.Subject)
	if err != nil {
		return nil, err
	}
	d.remember(place{p.Organization, p.Subject}, current)
	return &current.Access, nil
}

// Current is p with what p may do now, for what goes on without p's token: a 401 problem as of Access, or session_revoked.
func (d *Directory) Current(ctx context.Context, p Principal) (Principal, error) {
	if d.feed.Revoked(p.Session) {
		return Principal{}, sessionEnded()
	}
	var err error
	p.Access, err = d.Access(ctx, p)
	return p, err
}

func (d *Directory) known(who place, p Principal, changed time.Time) *Access {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if p.IssuedAt.After(changed) && p.AccessHash != "" {
		if known := d.byHash[p.AccessHash]; known != nil {
			return known
		}
	}
	// A token's time is in whole seconds, so one second after it is certain to be after it was made.
	after := p.IssuedAt.Add(time.Second)
	if latest := d.latest[who]; latest != nil && latest.AsOf.After(changed) && latest.AsOf.After(after) && d.now().Sub(latest.AsOf) < accessGood {
		return &latest.Access
	}
	return nil
}

func (d *Directory) remember(who place, current CurrentAccess) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.byHash)+len(d.latest) >= accessMax {
		clear(d.byHash) // asking again costs less than keeping an order of use
		clear(d.latest)
	}
	d.byHash[current.Hash()] = &current.Access
	d.latest[who] = &current
}
