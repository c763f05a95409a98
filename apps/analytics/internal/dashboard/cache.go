package dashboard

import (
	"container/list"
	"context"
	"sync"

	"github.com/tandemhq/tandem/pkg/store"
)

// cache keeps the columns of the organizations that asked last. Whoever asks has read the organization's state just before,
// so no process answers from columns that another has outdated.
type cache struct {
	documents *documents
	maxRows   int // over all organizations but the one asked for last

	mu      sync.Mutex
	rows    int
	recent  *list.List // of *cached, the last asked for first
	entries map[string]*list.Element
}

type cached struct {
	organization string
	turn         chan struct{} // holds a token while somebody reads
	names        *names        // belongs to whoever has the turn
	rows         int           // as counted in cache.rows

	mu      sync.Mutex
	columns *columns
}

// newCache bounds the columns to maxRows entries of about 24 bytes each.
func newCache(d *documents, maxRows int) *cache {
	return &cache{documents: d, maxRows: maxRows, recent: list.New(), entries: map[string]*list.Element{}}
}

// state is the organization's as it is stored now. It is only read: it may be shared with others who ask.
func (c *cache) state(ctx context.Context, organization string) (store.Doc[state], error) {
	var have store.Doc[state]
	c.mu.Lock()
	at, ok := c.entries[organization]
	c.mu.Unlock()
	if ok {
		if current := at.Value.(*cached).current(); current != nil {
			have = current.state
		}
	}
	return c.documents.refreshed(ctx, organization, have)
}

// columns are the organization's as its state st, just read, says, or newer.
func (c *cache) columns(ctx context.Context, organization string, st store.Doc[state]) (*columns, error) {
	e := c.entry(organization)
	if have := e.current(); have.serves(st) {
		return have, nil
	}
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-e.turn }()
	have := e.current()
	if have.serves(st) {
		return have, nil
	}
	// Read again: what is here may be newer than st, and what is behind a restored database may be older than both.
	st, err := c.documents.state(ctx, organization)
	if err != nil {
		return nil, err
	}
	if have.serves(st) {
		return have, nil
	}
	next, err := c.read(ctx, e, have, st)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.columns = next
	e.mu.Unlock()
	c.count(e, next.rows)
	return next, nil
}

// serves tells whether the columns are those of st. It is false for nil columns.
func (c *columns) serves(st store.Doc[state]) bool {
	return c != nil && c.state.Value.DataVersion == st.Value.DataVersion && c.state.CreatedAt.Equal(st.CreatedAt)
}

func (e *cached) current() *columns {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.columns
}

// read reads the days that changed since have, or all of them when that is not known. The days are at least as new as st
// says; what is newer still is read again under its own version.
func (c *cache) read(ctx context.Context, e *cached, have *columns, st store.Doc[state]) (*columns, error) {
	var changed []span
	partly := false
	if have != nil && have.state.CreatedAt.Equal(st.CreatedAt) {
		var err error
		if changed, partly, err = st.Value.since(have.state.Value.DataVersion); err != nil {
			return nil, err
		}
	}
	var blocks []*block
	add := func(r dayRollUp) error {
		b, err := e.names.block(r)
		if err == nil {
			blocks = append(blocks, b)
		}
		return err
	}
	if !partly {
		e.names = newNames()
		if err := c.documents.every(ctx, e.organization, add); err != nil {
			return nil, err
		}
		return (&columns{}).with(st, blocks, e.names), nil
	}
	for _, s := range merge(changed) {
		if err := c.documents.eachDay(ctx, e.organization, s, add); err != nil {
			return nil, err
		}
	}
	return have.with(st, blocks, e.names), nil
}

// entry is the organization's, made the most recent.
func (c *cache) entry(organization string) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.entries[organization]; ok {
		c.recent.MoveToFront(at)
		return at.Value.(*cached)
	}
	e := &cached{organization: organization, turn: make(chan struct{}, 1), names: newNames(), rows: entryCost}
	c.rows += e.rows
	c.entries[organization] = c.recent.PushFront(e)
	return e
}

// count notes the size of e and forgets who asked longest ago until all the others fit.
func (c *cache) count(e *cached, rows int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.entries[e.organization]
	if !ok || at.Value.(*cached) != e {
		return // forgotten meanwhile; whoever holds it finishes with it
	}
	rows += entryCost
	c.rows += rows - e.rows
	e.rows = rows
	c.recent.MoveToFront(at)
	for c.rows > c.maxRows && c.recent.Len() > 1 {
		last := c.recent.Remove(c.recent.Back()).(*cached)
		delete(c.entries, last.organization)
		c.rows -= last.rows
	}
}

// entryCost is what an organization without data costs, in rows.
const entryCost = 64
