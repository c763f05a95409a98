//go:build !linux

package guard_test

import "syscall"

const hasParentDeathSignal = false

// gone reports whether a process has ended.
func gone(pid int) bool { return syscall.Kill(pid, 0) != nil }
