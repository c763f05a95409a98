package sockets_test

import (
	"net"
	"os"
	"testing"

	"github.com/tandemhq/tandem/pkg/sockets"
)

func TestListener(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if pid, found := sockets.Listener(port); !found || pid != os.Getpid() {
			t.Errorf("%s: process %d, %t; want this one", l.Addr(), pid, found)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if pid, found := sockets.Listener(port); found {
			t.Errorf("%s: process %d after it was closed", address, pid)
		}
	}
}
