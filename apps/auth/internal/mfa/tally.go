package mfa

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandemhq/tandem/pkg/store"
)

// limit is how often something may be done.
type limit struct {
	// most is how often in a row, where none comes later than within after the one before. After that many,
	// within is how long nothing may be done.
	most   int
	within time.Duration
	// gap is how long the next must wait in any case.
	gap time.Duration
}

// The limits there are.
var (
	tries = limit{most: 5, within: 15 * time.Minute}
	sends = limit{most: 5, within: time.Hour, gap: time.Minute}
	// unconfirmed is for a telephone number that nobody has proved to be theirs, whoever names it: nobody's
	// telephone is to ring all day because strangers type its number.
	unconfirmed = limit{most: 5, within: 24 * time.Hour, gap: time.Minute}
)

// tally is how often something was done.
type tally struct {
	Count       int        `json:"count"`
	LastAt      store.Time `json:"last_at"`
	DeleteAfter store.Time `json:"delete_after"`
}

// add counts one more at now, or is how long to wait.
func (t *tally) add(l limit, now time.Time) time.Duration {
	since := now.Sub(t.LastAt.Time)
	if since >= l.within {
		t.Count = 0
	}
	switch {
	case t.Count >= l.most:
		return l.within - since
	case t.Count > 0 && since < l.gap:
		return l.gap - since
	}
	t.Count++
	t.LastAt, t.DeleteAfter = store.At(now), store.At(now.Add(l.within))
	return 0
}

// tallies count what is limited.
type tallies struct {
	*store.Documents[tally]
	now func() time.Time
}

func openTallies(ctx context.Context, db store.DB, now func() time.Time) (tallies, error) {
	d, err := store.System[tally](ctx, db, store.Def{Name: "second_factor_tallies", Indexes: []store.Index{
		{Name: byDeletion, Fields: []string{"delete_after"}},
	}})
	if err != nil {
		return tallies{}, fmt.Errorf("open the tallies of second factors: %w", err)
	}
	return tallies{d, now}, nil
}

// take counts one more of key before it is done, so that however many are done at once no more than l allows
// are. It tells how many that makes, or how long to wait.
func (t tallies) take(ctx context.Context, key string, l limit) (count int, wait time.Duration, err error) {
	for {
		doc, err := t.Update(ctx, key, func(v *tally) ([]store.Message, error) {
			wait = v.add(l, t.now())
			return nil, nil
		})
		if errors.Is(err, store.ErrNotFound) {
			var first tally
			wait = first.add(l, t.now())
			doc, err = t.Insert(ctx, key, first)
		}
		switch {
		case err == nil:
			return doc.Value.Count, wait, nil
		case errors.Is(err, store.ErrExists) && ctx.Err() == nil:
			continue // another was the first
		}
		return 0, 0, fmt.Errorf("count a second factor: %w", err)
	}
}

// clear forgets what was counted of key.
func (t tallies) clear(ctx context.Context, key string) error {
	if err := t.Delete(ctx, key, 0); err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("forget the failures of a second factor: %w", err)
	}
	return nil
}

func (t tallies) forget(ctx context.Context) error {
	return t.DeleteDue(ctx, store.Query{Index: byDeletion, Range: store.Range{Field: "delete_after", To: store.At(t.now())}})
}
