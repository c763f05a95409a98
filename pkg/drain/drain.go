// Package drain waits for what has been told to end, and no longer than it is worth.
package drain

import (
	"context"
	"fmt"
	"sync"
)

// Wait waits until running is done, at most until ctx is; then the error names what did not end. What is
// still running keeps a goroutine waiting.
func Wait(ctx context.Context, running *sync.WaitGroup, what string) error {
	ended := make(chan struct{})
	go func() {
		running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop %s: %w", what, ctx.Err())
	}
}
