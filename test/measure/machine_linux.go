package measure

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
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
