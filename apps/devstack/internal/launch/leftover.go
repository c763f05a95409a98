package launch

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/tandemhq/tandem/apps/devstack/internal/process"
)

const (
	// graceful is how long processes have between SIGTERM and SIGKILL. The guard needs most of it if
	// the scheduler is slow.
	graceful  = 25 * time.Second
	pollEvery = 100 * time.Millisecond
)

// leftover is a process that a run left, and what it was.
type leftover struct {
	process.Process
	part string
}

func (l leftover) String() string {
	if l.part == "" || l.part == l.Name() {
		return fmt.Sprintf("%s (process %d)", l.Name(), l.PID)
	}
	return fmt.Sprintf("%s (%s, process %d)", l.Name(), l.part, l.PID)
}

// ofRun finds what is there of runs recorded in the repository's data directory: processes that the record
// names, and the repository's own programs that carry the run's mark. Whatever called this program is not
// among them, nor is a devstack that is to be kept.
func ofRun(r Repository, known record) ([]leftover, error) {
	return find(func(p process.Process, _ []process.Process) (string, bool) {
		if part := known.part(p); part != "" {
			return part, true
		}
		return describe(p), r.owns(p) && p.Variable(keptVariable) == "" && p.Variable(runVariable) == r.Data
	})
}

// orphans finds the repository's own programs that carry no run's mark and whose parents have gone: what a
// `dapr run` that was killed leaves.
func orphans(r Repository) ([]leftover, error) {
	return find(func(p process.Process, all []process.Process) (string, bool) {
		return describe(p), r.owns(p) && p.Variable(keptVariable) == "" && p.Variable(runVariable) == "" && orphaned(r, all, p)
	})
}

// ofKept finds the devstack that is kept on the repository's data directory, with its children.
func ofKept(r Repository) ([]leftover, error) {
	return find(func(p process.Process, _ []process.Process) (string, bool) {
		return describe(p), r.owns(p) && p.Variable(keptVariable) != "" && p.Variable("TANDEM_DATA") == r.Data
	})
}

// find lists the processes that belong, with their parts, without this one and those that called it.
func find(belongs func(process.Process, []process.Process) (part string, does bool)) ([]leftover, error) {
	all, err := process.List()
	if err != nil {
		return nil, err
	}
	callers := ancestors(all, os.Getpid())
	var found []leftover
	for _, p := range all {
		if callers[p.PID] {
			continue
		}
		if part, does := belongs(p, all); does {
			found = append(found, leftover{p, part})
		}
	}
	return found, nil
}

// ancestors are the process ids from pid up.
func ancestors(all []process.Process, pid int) map[int]bool {
	above := map[int]bool{}
	for pid > 0 && !above[pid] {
		above[pid] = true
		p, found := process.Find(all, pid)
		if !found {
			break
		}
		pid = p.PPID
	}
	return above
}

// orphaned reports whether the first process above p that is not one of the repository's is the system's
// first, which takes the children of those that have gone.
func orphaned(r Repository, all []process.Process, p process.Process) bool {
	for r.owns(p) {
		if p.PPID <= 1 {
			return true
		}
		parent, found := process.Find(all, p.PPID)
		if !found {
			return true
		}
		p = parent
	}
	return false
}

// describe says what a process that is not recorded was for.
func describe(p process.Process) string {
	if id := appOf(p); id != "" {
		if p.Name() == "daprd" {
			return "sidecar of " + id
		}
		return id
	}
	return p.Name()
}

// appOf is the app-id that a process of the CLI serves, "" if it serves none.
func appOf(p process.Process) string {
	if p.Name() != "daprd" {
		return p.Variable("APP_ID") // set by the CLI
	}
	arguments := p.Arguments()
	for i, argument := range arguments {
		if argument == "--app-id" && i+1 < len(arguments) {
			return arguments[i+1]
		}
	}
	return ""
}

// end stops processes: SIGTERM first, SIGKILL for those that are there after patience. Children of a
// guard are left to it as long as it lives: it stops them in order.
func end(processes []leftover, patience time.Duration) error {
	var failures []error
	for _, l := range processes {
		if guarded(l, processes) {
			continue
		}
		failures = append(failures, l.Signal(syscall.SIGTERM))
	}
	left := remaining(processes, patience)
	for _, l := range left {
		failures = append(failures, l.Signal(syscall.SIGKILL))
	}
	for _, l := range remaining(left, graceful) {
		failures = append(failures, fmt.Errorf("%s does not end", l))
	}
	return errors.Join(failures...)
}

// guarded reports whether a process is held by a guard that is stopped too.
func guarded(l leftover, processes []leftover) bool {
	for _, other := range processes {
		if other.PID == l.PPID && other.Name() == "devstack" && (l.Name() == "placement" || l.Name() == "scheduler") {
			return true
		}
	}
	return false
}

// remaining waits until the processes have gone or patience is over and returns those that are there.
func remaining(processes []leftover, patience time.Duration) []leftover {
	for deadline := time.Now().Add(patience); ; time.Sleep(pollEvery) {
		all, err := process.List()
		if err != nil {
			return processes
		}
		var left []leftover
		for _, l := range processes {
			if now, found := process.Find(all, l.PID); found && now.Same(l.Process) {
				left = append(left, l)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}
