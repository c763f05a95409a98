package measure

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
)

// Machine says in one line what the figures were measured on.
func Machine() (string, error) {
	memory, err := memoryBytes()
	if err != nil {
		return "", err
	}
	kernel, err := exec.Command("uname", "-sr").Output()
	if err != nil {
		return "", fmt.Errorf("ask for the kernel: %w", err)
	}
	// What follows a dash is the distribution's.
	release, _, _ := strings.Cut(strings.TrimSpace(string(kernel)), "-")
	cores := fmt.Sprintf("%d cores", runtime.NumCPU())
	if model := processor(); model != "" {
		cores += " (" + model + ")"
	}
	return fmt.Sprintf("%s, %.1f GiB of memory, %s, %s", cores, float64(memory)/(1<<30), release, runtime.Version()), nil
}

// Load is how many processes ran or waited to, on average over the last minute: more than the machine has
// cores means that what was measured meanwhile had to wait.
func Load() (float64, error) {
	text, err := loadAverages()
	if err != nil {
		return 0, fmt.Errorf("ask for the load: %w", err)
	}
	var load float64
	if _, err := fmt.Sscan(strings.Trim(text, "{ }\n"), &load); err != nil {
		return 0, fmt.Errorf("load averages %.40q: %w", text, err)
	}
	return load, nil
}
