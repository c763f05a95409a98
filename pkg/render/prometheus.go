package render

import (
	"encoding/json"
	"fmt"
)

// targetGroup is an entry of Prometheus' file_sd format.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// renderPrometheus lists the apps' and their sidecars' metrics. The label app_id says where a series
// was measured; dashboards aggregate it away.
func renderPrometheus(p *plan, files map[string][]byte) error {
	var groups []targetGroup
	for _, a := range p.Apps {
		if a.Devstack {
			continue
		}
		groups = append(groups,
			targetGroup{[]string{loopback(a.Sidecar.App)}, map[string]string{"app_id": a.ID, "part": "app"}},
			targetGroup{[]string{loopback(a.Sidecar.Metrics)}, map[string]string{"app_id": a.ID, "part": "sidecar"}})
	}
	// JSON has no comment to say that the file is generated.
	content, err := json.MarshalIndent(groups, "", "  ")
	if err != nil {
		return fmt.Errorf("encode Prometheus targets: %w", err)
	}
	files["deploy/prometheus/"+p.Name+".json"] = append(content, '\n')
	return nil
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
