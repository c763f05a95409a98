//go:build !linux

package measure

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

func memoryBytes() (int64, error) {
	value, err := sysctl("hw.memsize")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(value, 10, 64)
}

func loadAverages() (string, error) { return sysctl("vm.loadavg") }

// processor is the model of the cores, "" where the kernel does not tell.
func processor() string {
	model, err := sysctl("machdep.cpu.brand_string")
	if err != nil {
		return ""
	}
	return model
}

// resident is the memory of a process; os.ErrProcessDone when it has gone, which ps answers with status 1. What
// of it are pages of files, it does not tell.
func resident(pid int) (bytes, files int64, err error) {
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if ended := (&exec.ExitError{}); errors.As(err, &ended) {
		return 0, 0, os.ErrProcessDone
	}
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the memory of process %d: %w", pid, err)
	}
	kilobytes, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return kilobytes << 10, 0, err
}

// processorTime is what a process has used of the processors; os.ErrProcessDone when it has gone.
func processorTime(pid int) (time.Duration, error) {
	out, err := exec.Command("ps", "-o", "time=", "-p", strconv.Itoa(pid)).Output()
	if ended := (&exec.ExitError{}); errors.As(err, &ended) {
		return 0, os.ErrProcessDone
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the time of process %d: %w", pid, err)
	}
	var used float64 // of minutes:seconds, or hours:minutes:seconds
	for part := range strings.SplitSeq(strings.TrimSpace(string(out)), ":") {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return 0, fmt.Errorf("time of process %d is %q: %w", pid, out, err)
		}
		used = used*60 + n
	}
	return time.Duration(used * float64(time.Second)), nil
}

func sysctl(name string) (string, error) {
	out, err := exec.Command("sysctl", "-n", name).Output()
	if err != nil {
		return "", fmt.Errorf("sysctl %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}
