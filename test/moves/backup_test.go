package moves

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tandemhq/tandem/pkg/topology"
	"github.com/tandemhq/tandem/test/scenario"
	"github.com/tandemhq/tandem/test/system"
)

// TestABackupComesBack ends a monolith, copies its data, and has it come up as microservices from the copy, with everything there:
// who signed up, the credentials of the shop, the orders and what the dashboard makes of them, and answers kept in Dapr's state.
func TestABackupComesBack(t *testing.T) {
	system.NeedBinaries(t)
	dir, vars := t.TempDir(), map[string]string{"shop": "demo"}
	s := start(t, topology.Monolith, dir)
	scenario.Play(t, s.Site, vars, scenario.Register(vars, "keeper"))
	scenario.Play(t, s.Site, vars, scenario.Connect())
	once := scenario.Once(t, s.Site, vars)
	scenario.Play(t, s.Site, vars, scenario.Sync("backfill"))
	file := filepath.Join(t.TempDir(), "tandem.backup")
	if out, err := platform(t, "backup", "--data", filepath.Join(dir, "data"), "--into", file); err == nil {
		t.Errorf("a backup was made while the platform ran: %s", out)
	}
	s.Stop(t)
	if out, err := platform(t, "backup", "--data", filepath.Join(dir, "data"), "--into", file); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.RemoveAll(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	if out, err := platform(t, "restore", "--data", filepath.Join(dir, "data"), "--from", file); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	s = start(t, topology.Microservices, dir)
	scenario.Play(t, s.Site, vars, []scenario.Step{scenario.Login(nil)})
	once(t, s.Site)
	if s.Orders {
		scenario.Play(t, s.Site, vars, scenario.Dashboards())
	}
	scenario.Play(t, s.Site, vars, scenario.Sync("incremental"))
}

func platform(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(system.Repository(), "bin/platform"), arguments...).CombinedOutput()
	return string(out), err
}
