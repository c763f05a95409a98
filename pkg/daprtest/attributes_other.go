//go:build !linux

package daprtest

import "syscall"

// attributes asks for nothing: only Linux ends a process with its parent.
func attributes() *syscall.SysProcAttr { return nil }
