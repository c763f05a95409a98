package process

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// zombie is the state of a process that has ended and waits for its parent to notice.
const zombie = 5

// List returns every running process that can be seen. Processes that have ended and wait for their
// parent to notice are left out.
func List() ([]Process, error) {
	infos, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []Process
	for _, info := range infos {
		if info.Proc.P_stat == zombie {
			continue
		}
		p := Process{
			PID:     int(info.Proc.P_pid),
			PPID:    int(info.Eproc.Ppid),
			PGID:    int(info.Eproc.Pgid),
			Started: fmt.Sprintf("%d.%06d", info.Proc.P_starttime.Sec, info.Proc.P_starttime.Usec),
		}
		if block, err := unix.SysctlRaw("kern.procargs2", p.PID); err == nil {
			p.Program, _, _, _ = parseArguments(block) // another user's has none
		}
		all = append(all, p)
	}
	return all, nil
}

func launchedWith(pid int) (arguments, environment []string, err error) {
	block, err := unix.SysctlRaw("kern.procargs2", pid)
	if err != nil {
		return nil, nil, err
	}
	_, arguments, environment, err = parseArguments(block)
	return arguments, environment, err
}

// Listener returns the process that listens on a TCP port of this machine, if it can be seen.
func Listener(port int) (Process, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "lsof", "-nP", "-t", "-iTCP:"+strconv.Itoa(port), "-sTCP:LISTEN").Output()
	if err != nil {
		return Process{}, false
	}
	first, _, _ := strings.Cut(string(out), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return Process{}, false
	}
	all, err := List()
	if err != nil {
		return Process{}, false
	}
	return Find(all, pid)
}
