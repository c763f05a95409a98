package webhooks

import (
	"context"
	"sync"
	"time"

	"github.com/tandemhq/tandem/pkg/store"
)

const (
	// maxBatch is the most deliveries that are kept in one step.
	maxBatch = 256
	// keepTime bounds how long one step may take.
	keepTime = 10 * time.Second
)

// batches keeps deliveries that come at the same time in one durable step, since the step costs, not what is in it: while one is
// made, those that come wait for the next.
type batches struct {
	into *store.Documents[delivery]

	mu      sync.Mutex
	waiting []*kept
	writing sync.WaitGroup
	busy    bool
}

// kept is deliveries that wait to be kept, and what came of it.
type kept struct {
	puts  []store.Put[delivery]
	done  chan struct{}
	there int
	err   error
}

// keep returns when the deliveries outlive a kill, and tells how many of them were there already.
func (b *batches) keep(ctx context.Context, puts []store.Put[delivery]) (there int, err error) {
	mine := &kept{puts: puts, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, mine)
	if !b.busy {
		b.busy = true
		b.writing.Go(b.write)
	}
	b.mu.Unlock()
	select {
	case <-mine.done:
		return mine.there, mine.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// write keeps what waits until nothing does.
func (b *batches) write() {
	for {
		b.mu.Lock()
		n, size := 0, 0
		for n < len(b.waiting) && (n == 0 || size+len(b.waiting[n].puts) <= maxBatch) {
			size += len(b.waiting[n].puts)
			n++
		}
		batch := b.waiting[:n:n]
		b.waiting = b.waiting[n:]
		if n == 0 {
			b.busy, b.waiting = false, nil
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		b.step(batch)
	}
}

func (b *batches) step(batch []*kept) {
	ctx, cancel := context.WithTimeout(context.Background(), keepTime)
	defer cancel()
	var puts []store.Put[delivery]
	for _, one := range batch {
		puts = append(puts, one.puts...)
	}
	existing, err := b.into.InsertMany(ctx, puts)
	there := map[string]bool{}
	for _, id := range existing {
		there[id] = true
	}
	for _, one := range batch {
		one.err = err
		for _, p := range one.puts {
			if there[p.ID] {
				one.there++
			}
			there[p.ID] = true // the same delivery twice in one step is one
		}
		close(one.done)
	}
}

// idle waits for what is being kept.
func (b *batches) idle() { b.writing.Wait() }
