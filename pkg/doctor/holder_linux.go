package doctor

import (
	"fmt"
	"os"
	"strings"

	"github.com/tandemhq/tandem/pkg/sockets"
)

// holder is the process that listens on a port, where this user may see it.
func holder(port int) (Process, bool) {
	pid, found := sockets.Listener(port)
	if !found {
		return Process{}, false
	}
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return Process{}, false // it has gone
	}
	return Process{pid, strings.TrimSuffix(program, " (deleted)")}, true // it was built again since
}
