// Package process looks at the processes of this machine: who started whom, from which program, with
// which environment, and who listens on a port.
package process

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
)

// Process is a process at the moment it was listed.
type Process struct {
	PID  int `json:"pid"`
	PPID int `json:"-"`
	PGID int `json:"pgid"`
	// Program is the path of the executable; empty for another user's process.
	Program string `json:"program"`
	// Started tells a process from a later one with the same id. Its form is the system's.
	Started string `json:"started"`
}

// Name is the name of the program.
func (p Process) Name() string { return filepath.Base(p.Program) }

// Same reports whether two listings show one process.
func (p Process) Same(q Process) bool { return p.PID == q.PID && p.Started == q.Started }

// Find returns the listed process with an id.
func Find(all []Process, pid int) (Process, bool) {
	for _, p := range all {
		if p.PID == pid {
			return p, true
		}
	}
	return Process{}, false
}

// Variable returns the value that a process's environment had for a name when it started, or "". Other
// users' processes do not show theirs.
func (p Process) Variable(name string) string {
	_, environment, err := launchedWith(p.PID)
	if err != nil {
		return ""
	}
	for _, entry := range environment {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}

// Arguments returns what a process was started with, its name first; nil for one that has gone.
func (p Process) Arguments() []string {
	arguments, _, err := launchedWith(p.PID)
	if err != nil {
		return nil
	}
	return arguments
}

// Signal sends a signal to the process, if it is still the one that was listed. One that has gone is no
// error.
func (p Process) Signal(sig syscall.Signal) error {
	now, err := List()
	if err != nil {
		return err
	}
	if found, running := Find(now, p.PID); !running || !found.Same(p) {
		return nil
	}
	if err := syscall.Kill(p.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// parseArguments reads the block in which macOS keeps what a process was started with: the number of
// arguments, the program, padding, the arguments, the environment, each ended by a zero byte.
func parseArguments(block []byte) (program string, arguments, environment []string, err error) {
	if len(block) < 4 {
		return "", nil, nil, errors.New("process arguments: too short")
	}
	count := int(binary.LittleEndian.Uint32(block))
	path, rest, found := bytes.Cut(block[4:], []byte{0})
	if !found {
		return "", nil, nil, errors.New("process arguments: no program")
	}
	texts := strings.Split(string(bytes.TrimLeft(rest, "\x00")), "\x00")
	if count < 0 || count > len(texts) {
		return "", nil, nil, errors.New("process arguments: fewer than it says")
	}
	for _, entry := range texts[count:] {
		if entry == "" { // what follows is not the environment
			break
		}
		environment = append(environment, entry)
	}
	return string(path), texts[:count], environment, nil
}
