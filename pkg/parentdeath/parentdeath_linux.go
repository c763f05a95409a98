package parentdeath

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Terminate arranges that this process receives SIGTERM when the process with the id parent ends, which
// must be its parent; os.Getppid() is right unless the parent may have gone before the call. If it has
// gone already, the signal is sent at once. On Linux the kernel sends the signal, and ctx is not used.
//
// A parent with several threads makes the kernel send it more than once: the second must not be taken
// for a demand to hurry.
func Terminate(_ context.Context, parent int) error {
	// The request belongs to the thread that makes it. The Go runtime keeps a thread that was not
	// left locked, so unlocking afterwards is what keeps the request.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		return fmt.Errorf("ask for the parent-death signal: %w", err)
	}
	if os.Getppid() != parent {
		return unix.Kill(os.Getpid(), unix.SIGTERM)
	}
	return nil
}
