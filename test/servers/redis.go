package servers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/tandemhq/tandem/pkg/daprtest"
)

// Redis is a Redis server, durable as components/production/state-redis.yaml wants it.
type Redis struct{ Address, Password string }

// NewRedis starts one.
func NewRedis(t testing.TB, a Authority) Redis {
	t.Helper()
	program := need(t, "redis-server", "redis-server")
	dir, port, secret := t.TempDir(), daprtest.Port(t), password()
	chain, key := a.issue(t)
	run(t, exec.Command(program,
		"--bind", "127.0.0.1", "--port", "0", "--tls-port", strconv.Itoa(port), "--tls-auth-clients", "no",
		"--tls-cert-file", write(t, filepath.Join(dir, "cert.pem"), chain), "--tls-key-file", write(t, filepath.Join(dir, "key.pem"), key),
		"--tls-ca-cert-file", a.File, "--requirepass", secret, "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always"),
		func() error {
			return a.ask(port, fmt.Sprintf("AUTH %s\r\nPING\r\n", secret), "+OK\r\n")
		})
	return Redis{at(port), secret}
}
