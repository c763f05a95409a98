package measure

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

func memoryBytes() (int64, error) { return kilobytes("/proc/meminfo", "MemTotal") }

// resident is the memory of a process, and what of it are pages of files; os.ErrProcessDone when it has gone.
func resident(pid int) (bytes, files int64, err error) {
	status := fmt.Sprintf("/proc/%d/status", pid)
	if bytes, err = kilobytes(status, "VmRSS"); err == nil {
		files, err = kilobytes(status, "RssFile")
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = os.ErrProcessDone
	}
	return bytes, files, err
}

// ticks is how many of the kernel's ticks are a second: USER_HZ, which is 100 on every architecture that Go runs on.
const ticks = 100

// processorTime is what a process has used of the processors; os.ErrProcessDone when it has gone.
func processorTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, os.ErrProcessDone
	}
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything; the times are the 12th and 13th fields behind it (proc_pid_stat(5)).
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var sum int64
	for _, i := range []int{11, 12} {
		if i >= len(fields) {
			return 0, fmt.Errorf("/proc/%d/stat is %q", pid, text)
		}
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

func loadAverages() (string, error) {
	text, err := os.ReadFile("/proc/loadavg")
	return string(text), err
}

// processor is the model of the first core, "" where the kernel does not tell.
func processor() string {
	model, err := field("/proc/cpuinfo", "model name")
	if err != nil {
		return ""
	}
	return model
}

func kilobytes(path, name string) (int64, error) {
	value, err := field(path, name)
	if err != nil {
		return 0, err
	}
	var n int64
	if _, err := fmt.Sscanf(value, "%d kB", &n); err != nil {
		return 0, fmt.Errorf("%s in %s is %q: %w", name, path, value, err)
	}
	return n << 10, nil
}

// field is the value of a line "name: value".
func field(path, name string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for line := range bytes.Lines(text) {
		if key, value, found := strings.Cut(string(line), ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("%s has no %s", path, name)
}
