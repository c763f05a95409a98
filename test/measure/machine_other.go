//go:build !linux

package measure

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
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

func resident(pid int) (int64, error) {
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0, fmt.Errorf("ask for the memory of process %d: %w", pid, err)
	}
	kilobytes, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return kilobytes << 10, err
}

func sysctl(name string) (string, error) {
	out, err := exec.Command("sysctl", "-n", name).Output()
	if err != nil {
		return "", fmt.Errorf("sysctl %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}
