package doctor

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holder looks for the port's socket among the open files of the processes that this user may see.
func holder(port int) (Process, bool) {
	sockets := listening(port)
	if len(sockets) == 0 {
		return Process{}, false
	}
	files, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return Process{}, false
	}
	for _, file := range files {
		if target, err := os.Readlink(file); err != nil || !sockets[target] {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(file, "/")[2])
		if err != nil {
			continue
		}
		program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil {
			continue // it has gone
		}
		return Process{pid, strings.TrimSuffix(program, " (deleted)")}, true // it was built again since
	}
	return Process{}, false
}

// listening returns the names that the sockets which listen on a port have among open files.
func listening(port int) map[string]bool {
	const listen = "0A"
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(table)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) > 9 && fields[3] == listen && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				sockets["socket:["+fields[9]+"]"] = true
			}
		}
		_ = file.Close() // it was only read
	}
	return sockets
}
