package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/tandemhq/tandem/pkg/daprtest"
)

// nobody is the user in whose name PostgreSQL runs where the test runs as root, which PostgreSQL refuses.
const nobody = 65534

// NewPostgreSQL starts a PostgreSQL server and returns its connection string, with a full check of its certificate.
func NewPostgreSQL(t testing.TB, a Authority) string {
	t.Helper()
	const debian = "postgresql"
	folders := "/usr/lib/postgresql/*/bin"
	initdb, postgres, isReady := need(t, "initdb", debian, folders), need(t, "postgres", debian, folders), need(t, "pg_isready", debian, folders)
	// Not t.TempDir(), into whose parent nobody may not look.
	dir, err := os.MkdirTemp("", "postgresql")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	secret, port := password(), daprtest.Port(t)
	chain, key := a.issue(t)
	files := []string{dir, write(t, filepath.Join(dir, "password"), secret), write(t, filepath.Join(dir, "cert.pem"), chain), write(t, filepath.Join(dir, "key.pem"), key)}
	if os.Geteuid() == 0 {
		for _, file := range files {
			if err := os.Chown(file, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	data := filepath.Join(dir, "data")
	do(t, unprivileged(dir, initdb, "--pgdata", data, "--username", "tandem", "--pwfile", files[1], "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-sync"))
	run(t, unprivileged(dir, postgres, "-D", data, "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-c", "unix_socket_directories=",
		"-c", "ssl=on", "-c", "ssl_cert_file="+files[2], "-c", "ssl_key_file="+files[3]),
		func() error {
			return exec.Command(isReady, "--quiet", "--host", "127.0.0.1", "--port", strconv.Itoa(port)).Run()
		})
	return fmt.Sprintf("host=%s port=%d user=tandem password=%s dbname=postgres sslmode=verify-full", host, port, secret)
}

// unprivileged is a command in the name of nobody where this process is root's.
func unprivileged(dir, program string, arguments ...string) *exec.Cmd {
	if os.Geteuid() == 0 {
		id := strconv.Itoa(nobody)
		arguments = append([]string{"--reuid", id, "--regid", id, "--clear-groups", "--pdeathsig", "KILL", program}, arguments...)
		program = "setpriv"
	}
	cmd := exec.Command(program, arguments...)
	cmd.Dir = dir
	return cmd
}
