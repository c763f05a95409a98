package guard

import "syscall"

// attributes let a child die with a guard that was killed itself: then nobody could stop it gracefully.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
