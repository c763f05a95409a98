package launch

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/devstack/internal/process"
	"github.com/tandemhq/tandem/pkg/eventually"
)

func TestTheShippedRunFiles(t *testing.T) {
	for name, gateway := range map[string]int{"monolith": 8000, "microservices": 8000, "hybrid": 8000} {
		t.Run(name, func(t *testing.T) {
			f, err := readRunFile(filepath.Join("..", "..", "..", "..", "dapr", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			if f.Apps[0].ID != devstackApp {
				t.Errorf("%s starts first, before what everything needs", f.Apps[0].ID)
			}
			if answers, found := f.gateway(); !found || answers.Port != gateway {
				t.Errorf("gateway %+v, want the app on %d", answers, gateway)
			}
			s, found := f.devstack()
			if !found || s.HTTP() != "127.0.0.1:8090" || filepath.Base(s.Data) != ".tandem" {
				t.Errorf("devstack: %+v", s)
			}
			ports := f.ports()
			if want := len(s.Ports()) + 5*len(f.Apps) - 1; len(ports) != want {
				t.Errorf("%d ports, want %d: %v", len(ports), want, ports)
			}
			for port, use := range ports {
				if port >= 32768 {
					t.Errorf("port %d (%s) is one that the system hands out", port, use)
				}
			}
		})
	}
}

func TestRunFilesThatCannotBeRun(t *testing.T) {
	for content, want := range map[string]string{
		"apps: []":                "no apps",
		"apps: [{appID: a}]":      "no appPort",
		"apps: [{appPort: 8000}]": "no appID",
		"apps: {":                 "read the run file",
	} {
		path := filepath.Join(t.TempDir(), "run.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readRunFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", content, err, want)
		}
	}
	if _, err := readRunFile(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestInstalledRuntimes(t *testing.T) {
	for said, want := range map[string]string{
		"CLI version: 1.16.5 \nRuntime version: 1.18.1\n": "",
		"CLI version: 1.17.0 \nRuntime version: 1.17.0":   "",
		"CLI version: 1.16.5 \nRuntime version: 1.16.9":   "does not stream across sidecars",
		"CLI version: 1.16.5 \nRuntime version: 0.99.1":   "does not stream across sidecars",
		"CLI version: 1.16.5 \nRuntime version: v2.0.0":   "",
		"CLI version: 1.16.5 \nRuntime version: n/a":      "dapr init",
		"": "dapr init",
	} {
		err := checkRuntime(said)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", said, err, want)
		}
	}
}

func TestTheEnvironmentOfTheCLI(t *testing.T) {
	t.Setenv("APP_API_TOKEN", "")
	t.Setenv("DAPR_API_TOKEN", "mine")
	own := []string{"HOME=/home/ada", "DAPR_API_TOKEN=mine", keptVariable + "=true"}
	got := environmentOf(own, Repository{Data: "/data"})
	for _, want := range []string{"HOME=/home/ada", "DAPR_API_TOKEN=mine", "DAPR_HOST_IP=127.0.0.1", "TANDEM_RUN=/data"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q lacks %s", got, want)
		}
	}
	tokens := slices.DeleteFunc(slices.Clone(got), func(entry string) bool { return !strings.Contains(entry, "API_TOKEN=") })
	if len(tokens) != 2 || len(tokens[1]) < len("APP_API_TOKEN=")+20 || slices.Contains(got, keptVariable+"=true") {
		t.Errorf("got %q", got)
	}
	if again := environmentOf(own, Repository{Data: "/data"}); slices.Equal(got, again) {
		t.Error("two runs have the same token")
	}
}

func TestOnlyTheRepositorysProgramsAreItsOwn(t *testing.T) {
	r := Repository{Root: "/src/tandem", Data: "/src/tandem/.tandem"}
	for program, want := range map[string]bool{
		"/src/tandem/bin/platform":         true,
		"/src/tandem/bin/devstack":         true,
		"/src/tandem/.dapr/bin/daprd":      true,
		"/src/tandem/.dapr/bin/scheduler":  true,
		"/home/ada/.dapr/bin/daprd":        false,
		"/src/other/bin/platform":          false,
		"/src/tandem/bin/platform/../../x": false,
		"/src/tandem/.dapr/bin/other":      false,
		"":                                 false,
	} {
		if got := r.owns(process.Process{Program: program}); got != want {
			t.Errorf("%s: own %v, want %v", program, got, want)
		}
	}
}

func TestOrphans(t *testing.T) {
	r := Repository{Root: "/r"}
	all := []process.Process{
		{PID: 10, PPID: 1, Program: "/usr/bin/bash"},
		{PID: 11, PPID: 10, Program: "/r/.dapr/bin/dapr"},
		{PID: 12, PPID: 11, Program: "/r/.dapr/bin/daprd"},
		{PID: 20, PPID: 1, Program: "/r/bin/devstack"},
		{PID: 21, PPID: 20, Program: "/r/bin/devstack"},
		{PID: 22, PPID: 21, Program: "/r/.dapr/bin/scheduler"},
		{PID: 30, PPID: 29, Program: "/r/bin/platform"},
	}
	for pid, want := range map[int]bool{11: false, 12: false, 20: true, 21: true, 22: true, 30: true} {
		p, _ := process.Find(all, pid)
		if got := orphaned(r, all, p); got != want {
			t.Errorf("%s (%d): orphaned %v, want %v", p.Name(), pid, got, want)
		}
	}
}

func TestARecordIsReadAgain(t *testing.T) {
	r := Repository{Data: filepath.Join(t.TempDir(), "data")}
	if none, err := readRecord(r); err != nil || len(none.Processes) != 0 {
		t.Fatalf("without a record: %+v, %v", none, err)
	}
	auth := process.Process{PID: 7, Started: "now", Program: "/r/bin/platform"}
	var c record
	if !c.add("auth", auth) || c.add("auth", auth) {
		t.Error("a process is to be noted once")
	}
	if err := c.write(r); err != nil {
		t.Fatal(err)
	}
	again, err := readRecord(r)
	if err != nil || again.part(auth) != "auth" {
		t.Errorf("read %+v, %v", again, err)
	}
	if later := (process.Process{PID: 7, Started: "later"}); again.part(later) != "" {
		t.Error("a later process with the same id is taken for the recorded one")
	}
	for range 2 {
		if err := removeRecord(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAProcessIsRecordedOnceItSaysWhatItIsFor(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.Env = []string{"APP_ID=auth"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })

	const cliPID, none = 10, 1 << 23 // more than any system's greatest id
	r := run{Options: Options{Repository: Repository{Data: t.TempDir()}}, cli: &exec.Cmd{Process: &os.Process{Pid: cliPID}}}
	cli := process.Process{PID: cliPID, PPID: 1, Program: "/r/.dapr/bin/dapr"}
	silent := process.Process{PID: none, PPID: cliPID, Program: "/r/.dapr/bin/daprd"}
	auth := process.Process{PID: cmd.Process.Pid, PPID: cliPID, Program: "/r/bin/platform"}
	eventually.Holds(t, 10*time.Second, "the system shows the program's environment", func() bool {
		if err := r.note([]process.Process{cli, silent, auth}); err != nil {
			t.Fatal(err)
		}
		return r.record.part(auth) != ""
	})
	if got := r.record.part(auth); got != "auth" {
		t.Errorf("the application is recorded as %q", got)
	}
	if got := r.record.part(silent); got != "" {
		t.Errorf("a sidecar that does not say yet whose it is, is recorded as %q, and its end would not be noticed", got)
	}
}

func TestTailsOfLogs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	var log strings.Builder
	for range 30 {
		log.WriteString("== APP - auth == old\n\n")
	}
	log.WriteString("\x1b[94m== APP - auth == last words\x1b[0m\n== APP - ml == others\n")
	if err := os.WriteFile(path, []byte(log.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := tail(path, "auth =="); len(got) != tailLines || got[tailLines-1] != "last words" {
		t.Errorf("got %q", got)
	}
	if quote(tail(path+".none", "")) != "" {
		t.Error("a log that is not there is quoted")
	}
}
