//go:build !linux

package guard

import "syscall"

// attributes are the default: only Linux has a parent-death signal. `make stop` ends what a killed guard
// leaves.
func attributes() *syscall.SysProcAttr { return nil }
