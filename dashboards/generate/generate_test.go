package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/tandemhq/tandem/dashboards/series"
	"github.com/tandemhq/tandem/pkg/topology"
)

// folder is where the dashboards are.
const folder = ".."

func TestTheFilesAreWhatIsGenerated(t *testing.T) {
	made, err := files()
	if err != nil {
		t.Fatal(err)
	}
	there, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(there) != len(made) {
		t.Errorf("%d files, and %d dashboards are generated (%v); run make generate", len(there), len(made), err)
	}
	for name, want := range made {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what is generated (%v); run make generate", name, err)
		}
	}
	for _, g := range topology.Groups() {
		if made[string(g)+".json"] == nil {
			t.Errorf("group %s has no dashboard", g)
		}
	}
}

func TestTheFilesDecodeStrictly(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	made, err := files()
	if err != nil {
		t.Fatal(err)
	}
	uids := map[string]string{}
	for name, body := range made {
		var d dashboard.Dashboard
		if err := d.UnmarshalJSONStrict(body); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d.SchemaVersion < 40 { // of Grafana 11
			t.Errorf("%s: schema version %d, want that of Grafana 11 or newer", name, d.SchemaVersion)
		}
		if d.Uid == nil || !strings.HasPrefix(*d.Uid, "tandem-") || uids[*d.Uid] != "" {
			t.Errorf("%s: uid %v, want one of its own with tandem-", name, d.Uid)
			continue
		}
		uids[*d.Uid] = name
		if len(d.Links) == 0 || !d.Links[0].KeepTime {
			t.Errorf("%s: its links do not keep the time range", name)
		}
		for _, want := range []string{"datasource", "app_id"} {
			found := false
			for _, v := range d.Templating.List {
				found = found || v.Name == want
			}
			if !found {
				t.Errorf("%s: no variable %s", name, want)
			}
		}
		for _, p := range d.Panels {
			if p.Panel != nil && (p.Panel.Datasource == nil || *p.Panel.Datasource.Uid != "${datasource}") {
				t.Errorf("%s: panel %s is of a fixed data source", name, *p.Panel.Title)
			}
		}
	}
	var d dashboard.Dashboard
	if err := d.UnmarshalJSONStrict(bytes.Replace(made["auth.json"], []byte(`"editable"`), []byte(`"edible"`), 1)); err == nil {
		t.Error("a field that Grafana does not know passes: the decoding is not strict")
	}
}

func TestEveryExpressionParses(t *testing.T) {
	queries, err := series.Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queries {
		if _, err := q.Parse(); err != nil {
			t.Error(err)
		}
	}
}

// notInTheRun are series that the run behind daprd-1.18.1.json has none of: a sidecar exposes them once something has failed,
// and times of state once an operation took a millisecond. Their names and labels are those of Dapr 1.18.1, pkg/diagnostics.
var notInTheRun = map[string][]string{
	"dapr_runtime_acl_global_policy_action_blocked_total": {"app_id"},
	"dapr_runtime_acl_app_policy_action_blocked_total":    {"app_id"},
	"dapr_resiliency_activations_total":                   {"app_id", "policy", "target", "status"},
	"dapr_component_job_failure_count":                    {"app_id"},
	"dapr_runtime_component_init_fail_total":              {"app_id"},
	"dapr_component_state_latencies_bucket":               {"app_id", "component", "operation", "le"},
}

// testdata/daprd-1.18.1.json has the labels by metric that sidecars of that version exposed: eight of a run of microservices,
// and one whose state was written and read.
func TestTheSidecarsSeriesAreThoseOfDaprd(t *testing.T) {
	body, err := os.ReadFile("testdata/daprd-1.18.1.json")
	if err != nil {
		t.Fatal(err)
	}
	var have map[string][]string // labels by metric
	if err := json.Unmarshal(body, &have); err != nil {
		t.Fatal(err)
	}
	for name, labels := range notInTheRun {
		if have[name] != nil {
			t.Errorf("%s is in the run: take it out of the list", name)
		}
		have[name] = labels
	}
	var lines strings.Builder
	for name, labels := range have {
		lines.WriteString(name + "{")
		for _, label := range labels {
			lines.WriteString(label + `="x",`)
		}
		lines.WriteString("} 1\n")
	}
	exposed, err := series.Scraped(strings.NewReader(lines.String()), map[string]string{"app_id": "x", "part": "sidecar"})
	if err != nil {
		t.Fatal(err)
	}
	queries, err := series.Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queries {
		expr, err := q.Parse()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range series.Selectors(expr) {
			if !s.OfSidecar() {
				continue
			}
			if err := exposed.Missing(s.VectorSelector, s.By); err != nil {
				t.Errorf("%s: %v", q.Where, err)
			}
		}
	}
}

func TestThePlatformLinksNothingOfTheDashboards(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "../../apps/platform").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		for _, not := range []string{"github.com/grafana/", "github.com/prometheus/prometheus/", "github.com/tandemhq/tandem/dashboards"} {
			if strings.HasPrefix(line, not) {
				t.Errorf("the platform links %s", strings.TrimSpace(line))
			}
		}
	}
}
