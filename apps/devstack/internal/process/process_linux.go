package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/tandemhq/tandem/pkg/sockets"
)

// List returns every running process that can be seen. Processes that have ended and wait for their
// parent to notice are left out.
func List() ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []Process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if p, running := read(pid); running {
			all = append(all, p)
		}
	}
	return all, nil
}

func read(pid int) (Process, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, false // it has gone
	}
	// The name, in parentheses, may contain anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return Process{}, false
	}
	p := Process{PID: pid, Started: fields[19]}
	p.PPID, _ = strconv.Atoi(fields[1]) // the kernel writes numbers
	p.PGID, _ = strconv.Atoi(fields[2])
	if program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil {
		p.Program = strings.TrimSuffix(program, " (deleted)") // it was built again since
	}
	return p, true
}

func launchedWith(pid int) (arguments, environment []string, err error) {
	for name, texts := range map[string]*[]string{"cmdline": &arguments, "environ": &environment} {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			return nil, nil, err
		}
		*texts = strings.Split(strings.TrimSuffix(string(content), "\x00"), "\x00")
	}
	return arguments, environment, nil
}

// Listener returns the process that listens on a TCP port of this machine, if it can be seen.
func Listener(port int) (Process, bool) {
	pid, found := sockets.Listener(port)
	if !found {
		return Process{}, false
	}
	return read(pid)
}
