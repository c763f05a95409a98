package main

import (
	"bytes"
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
	there, err := filepath.Glob(filepath.Join(folder, "*.[js]*"))
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
		if filepath.Ext(name) != ".json" {
			continue
		}
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
