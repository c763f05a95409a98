//go:build !linux

package storetest

import "os/exec"

// dieWithParent needs the parent-death signal, which only Linux has: elsewhere a server outlives tests that are killed.
func dieWithParent(*exec.Cmd) {}
