// Package prometheus tests the rules and examples beside it with Prometheus' and Alertmanager's own programs.
package prometheus

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tandemhq/tandem/test/system"
)

// run runs a program of bin/ here, and fails the test with what it says.
func run(t *testing.T, program string, arguments ...string) {
	t.Helper()
	system.NeedPrograms(t, "the check of the rules", "bin/"+program)
	out, err := exec.CommandContext(t.Context(), filepath.Join(system.Repository(), "bin", program), arguments...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", program, strings.Join(arguments, " "), err, out)
	}
}

func TestTheExamplesAreValid(t *testing.T) {
	run(t, "promtool", "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
	run(t, "amtool", "check-config", "alertmanager.yml")
	for _, c := range []struct{ severity, receiver string }{{"critical", "on-call"}, {"warning", "channel"}} {
		run(t, "amtool", "config", "routes", "test", "--config.file=alertmanager.yml", "--verify.receivers="+c.receiver, "severity="+c.severity)
	}
}

func TestTheRulesDoWhatTheirTestsSay(t *testing.T) {
	files, err := filepath.Glob("rules/tests*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	run(t, "promtool", append([]string{"test", "rules"}, files...)...)
}

type alert struct {
	Alert, Record string
	Labels        map[string]string
	Annotations   map[string]string
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	read(t, "rules/alerts.yml", &file)
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there are no alerts")
	}
	return all
}

func TestEveryAlertHasATestInWhichItFiresAndOneInWhichItDoesNot(t *testing.T) {
	cases := map[string]map[bool]bool{} // by alert, by whether it fires
	files, err := filepath.Glob("rules/tests*.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		var file struct {
			Tests []struct {
				Rules []struct {
					Alert string `yaml:"alertname"`
					Want  []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		read(t, path, &file)
		for _, test := range file.Tests {
			for _, r := range test.Rules {
				if cases[r.Alert] == nil {
					cases[r.Alert] = map[bool]bool{}
				}
				cases[r.Alert][len(r.Want) > 0] = true
			}
		}
	}
	for _, a := range alerts(t) {
		for _, fires := range []bool{true, false} {
			if !cases[a.Alert][fires] {
				t.Errorf("%s: no test in which it fires: %v", a.Alert, fires)
			}
		}
		delete(cases, a.Alert)
	}
	for name := range cases {
		t.Errorf("%s has a test and is no alert", name)
	}
}

func TestEveryAlertSaysWhatToDo(t *testing.T) {
	const runbook = "https://github.com/tandemhq/tandem/blob/main/docs/runbook.md#"
	text, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]string{} // by heading
	for _, entry := range strings.Split(string(text), "\n## ")[1:] {
		heading, body, _ := strings.Cut(entry, "\n")
		entries[heading] = body
	}
	for _, a := range alerts(t) {
		if a.Labels["severity"] != "critical" && a.Labels["severity"] != "warning" {
			t.Errorf("%s: severity %q", a.Alert, a.Labels["severity"])
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s: no summary or description", a.Alert)
		}
		if want := runbook + strings.ToLower(a.Alert); a.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %q, want %q", a.Alert, a.Annotations["runbook_url"], want)
		}
		for _, part := range []string{"**Means.**", "**Look at.**", "**Do.**"} {
			if !strings.Contains(entries[a.Alert], part) {
				t.Errorf("docs/runbook.md: no %s under ## %s", part, a.Alert)
			}
		}
		delete(entries, a.Alert)
	}
	for name := range entries {
		t.Errorf("docs/runbook.md: ## %s is no alert", name)
	}
}
