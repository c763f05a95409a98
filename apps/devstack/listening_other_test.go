//go:build !linux

package main

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/devstack/internal/process"
)

// nothingListensBeyondLoopback tries the ports that devstack uses on the machine's other addresses.
func nothingListensBeyondLoopback(t *testing.T, processes []process.Process) {
	t.Helper()
	var base int
	for _, p := range processes {
		if port, err := strconv.Atoi(p.Variable("TANDEM_DEVSTACK_PORT")); err == nil {
			base = port
		}
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		ip, _, err := net.ParseCIDR(address.String())
		if err != nil || ip.IsLoopback() || ip.To4() == nil {
			continue
		}
		for port := base; port < base+40; port++ {
			connection, err := net.DialTimeout("tcp", net.JoinHostPort(ip.String(), strconv.Itoa(port)), time.Second)
			if err == nil {
				connection.Close()
				t.Errorf("port %d answers on %s", port, ip)
			}
		}
	}
}
