//go:build !linux

package doctor

import (
	"os/exec"
	"strconv"
	"strings"
)

// holder asks lsof, which comes with macOS, and ps for the path of the program.
func holder(port int) (Process, bool) {
	said, err := exec.Command("lsof", "-nP", "-t", "-iTCP:"+strconv.Itoa(port), "-sTCP:LISTEN").Output()
	if err != nil {
		return Process{}, false
	}
	first, _, _ := strings.Cut(string(said), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return Process{}, false
	}
	program, err := exec.Command("ps", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return Process{}, false
	}
	return Process{pid, strings.TrimSpace(string(program))}, true
}
