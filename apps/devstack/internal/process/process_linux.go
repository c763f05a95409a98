package process

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
	sockets := listening(port)
	if len(sockets) == 0 {
		return Process{}, false
	}
	files, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return Process{}, false
	}
	for _, file := range files {
		target, err := os.Readlink(file)
		if err != nil || !sockets[target] {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(file, "/")[2])
		if err != nil {
			continue
		}
		return read(pid)
	}
	return Process{}, false
}

// listening returns the names under which the sockets that listen on a port appear among open files.
func listening(port int) map[string]bool {
	const listen = "0A"
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(table)
		if err != nil {
			continue
		}
		for scanner := bufio.NewScanner(file); scanner.Scan(); {
			fields := strings.Fields(scanner.Text())
			if len(fields) > 9 && fields[3] == listen && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				sockets["socket:["+fields[9]+"]"] = true
			}
		}
		_ = file.Close() // it was only read
	}
	return sockets
}
