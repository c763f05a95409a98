package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tandemhq/tandem/dashboards/series"
)

// emptyInProcess are selectors that find no series in one process after the scenarios, with the reason: those of metrics whose
// name begins with metric and that have the matcher. Their metrics and labels are there all the same.
var emptyInProcess = []struct{ metric, matcher, reason string }{
	{"tandem_http_", `module="gateway"`, "one process forwards nothing to others"},
	{"tandem_call_", `route="dapr"`, "one process has no sidecar"},
	{"tandem_http_requests_total", `status=~"5.."`, "no request fails like that"},
	{"tandem_call_total", `result!="ok"`, "no call fails"},
	{"tandem_jobs_total", `result!="ok"`, "no job fails"},
	{"tandem_call_", `to="analytics"`, "nobody calls the group"},
	{"tandem_call_", `from="auth"`, "the group calls nobody"},
	{"tandem_call_", `from="integrations"`, "what it asks auth, it asks by the host"},
	{"tandem_job", `group="analytics"`, "the group has no jobs"},
	{"tandem_state_", `group="analytics"`, "no scenario repeats a request of the group"},
	{"tandem_state_", `group="auth"`, "no scenario repeats a request of the group"},
	{"tandem_", `group="agentkit"`, "the group has no routes yet"},
	{"tandem_", `group="infrastructure"`, "the group has no routes yet"},
	{"tandem_", `group="ml"`, "the group has no routes yet"},
	{"tandem_", `group="onboarding"`, "the group has no routes yet"},
	{"tandem_call_", `from="agentkit"`, "the group calls nobody yet"},
	{"tandem_call_", `from="infrastructure"`, "the group calls nobody yet"},
	{"tandem_call_", `from="ml"`, "the group calls nobody yet"},
	{"tandem_call_", `from="onboarding"`, "the group calls nobody yet"},
	{"tandem_call_", `to="agentkit"`, "nobody calls the group yet"},
	{"tandem_call_", `to="infrastructure"`, "nobody calls the group yet"},
	{"tandem_call_", `to="ml"`, "nobody calls the group yet"},
	{"tandem_call_", `to="onboarding"`, "nobody calls the group yet"},
}

// everyPanelHasSeries looks whether what the dashboards show is there, in what Prometheus would scrape of p.
func everyPanelHasSeries(t *testing.T, p *process) {
	resp, err := http.Get(p.API + "/metrics")
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
	used := map[int]bool{}
	for _, q := range queries {
		expr, err := q.Parse()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range series.Selectors(expr) {
			if s.OfSidecar() || strings.Contains(s.Name, ":") {
				continue // of sidecars and by recording rules: see TestPrometheus in test/topologies
			}
			if err := exposed.Missing(s.VectorSelector, s.By); err != nil {
				t.Errorf("%s: %v", q.Where, err)
				continue
			}
			if exposed.Has(s.VectorSelector) {
				continue
			}
			known := false
			for i, e := range emptyInProcess {
				if strings.HasPrefix(s.Name, e.metric) && strings.Contains(s.String(), e.matcher) {
					known, used[i] = true, true
				}
			}
			if !known {
				t.Errorf("%s: no series of %s", q.Where, s)
			}
		}
	}
	for i, e := range emptyInProcess {
		if !used[i] {
			t.Errorf("%s…{%s} has series, or no panel: take it out of the list (%s)", e.metric, e.matcher, e.reason)
		}
	}
}
