package subprocess

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A process that catches SIGTERM says so and ends; one that does not heed it is killed after its grace.
func TestAProcessEndsWithItsTest(t *testing.T) {
	for name, c := range map[string]struct {
		trap  string
		grace time.Duration
		ends  string
	}{
		"by SIGTERM":                  {`trap 'exit 0' TERM`, time.Minute, "exit status 0"},
		"by SIGKILL":                  {`trap 'exit 0' TERM`, 0, "signal: killed"},
		"by SIGKILL, after its grace": {`trap '' TERM`, 50 * time.Millisecond, "signal: killed"},
	} {
		var p *Process
		t.Run(name, func(t *testing.T) {
			p = Start(t, exec.Command("sh", "-c", c.trap+`; echo up; while :; do sleep 0.01; done`), filepath.Join(t.TempDir(), "log"), c.grace)
			p.Await(t, func() error {
				if !strings.Contains(p.Log(), "up") {
					return errors.New("it is silent")
				}
				return nil
			})
		})
		select {
		case <-p.Ended:
		default:
			t.Errorf("%s: it lives on", name)
		}
		if state := p.Cmd.ProcessState.String(); state != c.ends {
			t.Errorf("%s: it ended with %s, want %s", name, state, c.ends)
		}
	}
}
