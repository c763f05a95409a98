// Package sockets finds out who listens on this machine.
package sockets

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Listener is the id of the process that listens on a TCP port, looked for among the open files of the
// processes that this user may see.
func Listener(port int) (pid int, found bool) {
	names := listening(port)
	if len(names) == 0 {
		return 0, false
	}
	files, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0, false
	}
	for _, file := range files {
		if target, err := os.Readlink(file); err != nil || !names[target] {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(file, "/")[2]); err == nil {
			return pid, true
		}
	}
	return 0, false
}

// listening returns the names that the sockets which listen on a port have among open files.
func listening(port int) map[string]bool {
	const listen = "0A"
	names := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(table)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) > 9 && fields[3] == listen && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				names["socket:["+fields[9]+"]"] = true
			}
		}
		_ = file.Close() // it was only read
	}
	return names
}
