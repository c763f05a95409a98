package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/dashboards/series"
)

// emptyInProcess are parts of selectors that find no series in one process after the scenarios, with the reason. Their metrics
// and labels are there all the same.
var emptyInProcess = map[string]string{
	`module="gateway"`:       "one process forwards nothing to others",
	`route="dapr"`:           "one process has no sidecar",
	`group="agentkit"`:       "the group has no routes yet",
	`group="infrastructure"`: "the group has no routes yet",
	`group="ml"`:             "the group has no routes yet",
	`group="onboarding"`:     "the group has no routes yet",
	`from="agentkit"`:        "the group calls nobody yet",
	`from="infrastructure"`:  "the group calls nobody yet",
	`from="ml"`:              "the group calls nobody yet",
	`from="onboarding"`:      "the group calls nobody yet",
	`to="agentkit"`:          "nobody calls the group yet",
	`to="infrastructure"`:    "nobody calls the group yet",
	`to="ml"`:                "nobody calls the group yet",
	`to="onboarding"`:        "nobody calls the group yet",
}

// everyPanelHasSeries looks whether what the dashboards show is there, in what Prometheus would scrape of p.
func everyPanelHasSeries(t *testing.T, p *process) {
	resp, err := http.Get(p.API + "/metrics") //nolint:noctx // a test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	exposed, err := series.Scraped(resp.Body, map[string]string{"app_id": "platform", "part": "app"})
	if err != nil {
		t.Fatal(err)
	}
	queries, err := series.Read("../../dashboards")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, q := range queries {
		expr, err := q.Parse()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range series.Selectors(expr) {
			if s.OfSidecar() {
				continue // see dashboards/generate
			}
			if err := exposed.Missing(s.VectorSelector, s.By); err != nil {
				t.Errorf("%s: %v", q.Where, err)
				continue
			}
			if exposed.Has(s.VectorSelector) {
				continue
			}
			known := false
			for part := range emptyInProcess {
				if strings.Contains(s.String(), part) {
					known, used[part] = true, true
				}
			}
			if !known {
				t.Errorf("%s: no series of %s", q.Where, s)
			}
		}
	}
	for part := range emptyInProcess {
		if !used[part] {
			t.Errorf("%s has series: take it out of the list", part)
		}
	}
}
