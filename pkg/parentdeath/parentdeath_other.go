//go:build !linux

package parentdeath

import (
	"context"
	"os"
	"syscall"
	"time"
)

// lookEvery is how often a process without a parent-death signal looks whether its parent is there.
const lookEvery = 200 * time.Millisecond

// Terminate arranges that this process receives SIGTERM when the process with the id parent ends, which
// must be its parent; os.Getppid() is right unless the parent may have gone before the call. If it has
// gone already, the signal is sent at once. Only Linux has a signal for this; elsewhere a goroutine
// looks five times a second until ctx ends.
func Terminate(ctx context.Context, parent int) error {
	go func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for os.Getppid() == parent {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM) // a process may always signal itself
	}()
	return nil
}
