//go:build !linux

package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// endWithCLI ends the sidecar when its parent, the Dapr CLI, has gone. Without a parent-death signal
// (Linux only) it looks once a second.
func endWithCLI() {
	parent := os.Getppid()
	name, err := exec.Command("ps", "-o", "comm=", "-p", strconv.Itoa(parent)).Output()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(name)), "dapr") {
		return
	}
	go func() {
		for range time.Tick(time.Second) {
			if os.Getppid() != parent {
				os.Exit(1)
			}
		}
	}()
}
