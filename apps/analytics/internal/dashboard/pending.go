package dashboard

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// pending runs one recompute an organization at a time in this process. Ranges that come while one runs wait together and
// are recomputed as one: a sync tells of many pages that touch the same days.
type pending struct {
	mu    sync.Mutex
	queue map[string]*queue // by organization; only those that somebody waits for
}

type queue struct {
	turn    chan struct{} // holds a token while somebody runs
	next    *batch        // what is not running yet
	waiting int
}

// batch is the ranges that will be recomputed together.
type batch struct {
	requests []request
	done     bool
	err      error
}

// do returns when the days of r have been recomputed by run, here or together with others; err is that run's. All runs start
// after do was called.
func (p *pending) do(ctx context.Context, organization string, r request, run func(context.Context, []request) error) error {
	p.mu.Lock()
	q := p.queue[organization]
	if q == nil {
		q = &queue{turn: make(chan struct{}, 1)}
		p.queue[organization] = q
	}
	if q.next == nil {
		q.next = &batch{}
	}
	mine := q.next
	mine.requests = append(mine.requests, r)
	q.waiting++
	p.mu.Unlock()

	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if q.waiting--; q.waiting == 0 {
			delete(p.queue, organization)
		}
	}()
	select {
	case q.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-q.turn }()
	if mine.done {
		return mine.err
	}
	p.mu.Lock()
	if q.next == mine {
		q.next = nil
	}
	p.mu.Unlock()
	mine.err = run(ctx, mine.requests)
	// The others do not fail because this caller gave up: the next of them runs.
	mine.done = mine.err == nil || ctx.Err() == nil
	return mine.err
}

// merge joins spans that overlap or follow each other.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	merged := spans[:0:0]
	for _, s := range spans {
		if last := len(merged) - 1; last >= 0 && s.first <= merged[last].last+1 {
			merged[last].last = max(merged[last].last, s.last)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}
