package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/apps/devstack/internal/process"
)

// nothingListensBeyondLoopback looks at every listening socket of the processes.
func nothingListensBeyondLoopback(t *testing.T, processes []process.Process) {
	t.Helper()
	owners := map[string]process.Process{}
	for _, p := range processes {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.PID))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if target, err := os.Readlink(file); err == nil && strings.HasPrefix(target, "socket:[") {
				owners[strings.Trim(target, "socket:[]")] = p
			}
		}
	}
	const loopback4, loopback6 = "0100007F", "00000000000000000000000001000000"
	listening := 0
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(table)
		if err != nil {
			continue // no IPv6
		}
		for scanner := bufio.NewScanner(file); scanner.Scan(); {
			fields := strings.Fields(scanner.Text())
			if len(fields) < 10 || fields[3] != "0A" {
				continue
			}
			owner, own := owners[fields[9]]
			if !own {
				continue
			}
			listening++
			address, port, _ := strings.Cut(fields[1], ":")
			if address != loopback4 && address != loopback6 {
				t.Errorf("%s (process %d) listens on address %s, port 0x%s", owner.Name(), owner.PID, address, port)
			}
		}
		file.Close()
	}
	// Devstack's twelve, the application's, and four of each sidecar.
	if want := 12 + 1 + 2*4; listening != want {
		t.Errorf("%d sockets listen, want %d", listening, want)
	}
}
