package parentdeath

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Spawn starts cmd so that it receives sig when this process ends, where the kernel has a signal for that
// (Linux); elsewhere it only starts it. With ownGroup, cmd leads a new process group, which a terminal's
// Ctrl-C does not reach. The channel yields what cmd.Wait returns, once.
func Spawn(cmd *exec.Cmd, sig syscall.Signal, ownGroup bool) (<-chan error, error) {
	cmd.SysProcAttr = attributes(sig)
	cmd.SysProcAttr.Setpgid = ownGroup
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		// The kernel takes the end of the thread that started a process for the end of its parent:
		// this one stays until the process has gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return ended, nil
}
