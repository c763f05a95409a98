package host

import (
	"context"
	"sync"
	"time"
)

// cached keeps a value that costs calls to other processes, so that asking often costs no more than
// asking once. One asks at a time; the others wait for what it gets.
type cached[T any] struct {
	keep time.Duration
	make func(context.Context) T
	now  func() time.Time

	mu    sync.Mutex
	value T
	made  time.Time
}

func (c *cached[T]) get(ctx context.Context) T {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); c.made.IsZero() || now.Sub(c.made) >= c.keep {
		// Whoever asks first may leave; the others wait for the answer all the same.
		c.value, c.made = c.make(context.WithoutCancel(ctx)), now
	}
	return c.value
}
