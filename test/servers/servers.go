// Package servers starts, for tests, the servers that the components in components/production are for: with TLS and passwords,
// as those components demand. Each listens on loopback only and ends with its test. Where a program is missing the test is
// skipped, with a line that says which; with CI=true it fails.
package servers

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/skip"
	"github.com/tandemhq/tandem/pkg/subprocess"
)

const stopTime = 10 * time.Second

// need skips t where a program is missing, which Debian has in a package.
func need(t testing.TB, program, debian string, more ...string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	for _, pattern := range more { // where a distribution keeps it beside PATH
		if found, _ := filepath.Glob(filepath.Join(pattern, program)); err != nil && len(found) > 0 {
			path, err = found[len(found)-1], nil
		}
	}
	if err != nil {
		skip.Missing(t, fmt.Sprintf("there is no %s (Debian's package is %s)", program, debian))
	}
	return path
}

// run starts a server, waits until ready returns no error, and ends the server with t, by SIGTERM at first.
func run(t testing.TB, cmd *exec.Cmd, ready func() error) {
	t.Helper()
	subprocess.Start(t, cmd, filepath.Join(t.TempDir(), "log"), stopTime).Await(t, ready)
}

// do runs a program to its end.
func do(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// ask opens a TLS connection to a port as "localhost", says something, and wants an answer that begins with want.
func (a Authority) ask(port int, say, want string) error {
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: time.Second}, Config: &tls.Config{RootCAs: a.pool, ServerName: host, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.Dial("tcp", at(port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if say == "" {
		return nil
	}
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(say)); err != nil {
		return err
	}
	answer := make([]byte, len(want))
	if n, err := conn.Read(answer); err != nil || string(answer[:n]) != want {
		return errors.Join(fmt.Errorf("it answers %q", answer[:n]), err)
	}
	return nil
}

// host is the name in every certificate.
const host = "localhost"

func at(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

func password() string { return rand.Text() }

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
