package guard_test

import (
	"fmt"
	"os"
	"strings"
)

const hasParentDeathSignal = true

// gone reports whether a process has ended, whether or not its parent has noticed.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
