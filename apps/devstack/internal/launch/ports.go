package launch

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/devstack/internal/process"
)

// checkPorts refuses a run whose ports are taken and says by whom and what to do. All are named at once.
func checkPorts(r Repository, ports map[int]string) error {
	var taken []string
	own := false
	for _, port := range slices.Sorted(maps.Keys(ports)) {
		if !isTaken(port) {
			continue
		}
		by := "a process of another user"
		if holder, found := process.Listener(port); found {
			by = fmt.Sprintf("%s (process %d)", holder.Name(), holder.PID)
			own = own || r.owns(holder)
		}
		taken = append(taken, fmt.Sprintf("  %d, for %s, by %s", port, ports[port], by))
	}
	if len(taken) == 0 {
		return nil
	}
	advice := "end it, or render a run file with other ports"
	if own {
		advice = "`make stop` ends what a killed run left"
	}
	return errors.New("these ports are taken:\n" + strings.Join(taken, "\n") + "\n" + advice)
}

// isTaken reports whether somebody listens on a port where the run would. Listening itself is not enough:
// some systems allow it beside one who listens on every address.
func isTaken(port int) bool {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return true
	}
	if err := listener.Close(); err != nil {
		return true
	}
	connection, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	_ = connection.Close() // nothing was sent
	return true
}
