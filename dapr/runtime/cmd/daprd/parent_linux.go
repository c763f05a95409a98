package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// endWithCLI asks for SIGTERM when the parent ends, if the parent is the Dapr CLI: killed, the CLI
// leaves its sidecars behind and cannot find them again.
func endWithCLI() {
	parent := os.Getppid()
	name, err := os.ReadFile("/proc/" + strconv.Itoa(parent) + "/comm")
	if err != nil || strings.TrimSpace(string(name)) != "dapr" {
		return
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err == nil && os.Getppid() != parent {
		os.Exit(1) // the parent ended before the request took effect
	}
}
