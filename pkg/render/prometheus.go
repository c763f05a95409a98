package render

import (
	"encoding/json"
	"fmt"
	"slices"
)

// targetGroup is an entry of Prometheus' file_sd format.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// renderPrometheus lists the metrics of the run file's apps and sidecars.
func renderPrometheus(p *plan, files map[string][]byte) (err error) {
	files["deploy/prometheus/"+p.Name+".json"], err = p.targets(func(a app) (appAddress, sidecarAddress string) {
		return loopback(a.Sidecar.App), loopback(a.Sidecar.Metrics)
	})
	return err
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// targets is a file of Prometheus' file_sd format. The label app_id says where a series was measured; dashboards aggregate it
// away.
func (p *plan) targets(addresses func(app) (appAddress, sidecarAddress string)) ([]byte, error) {
	var groups []targetGroup
	for _, a := range slices.DeleteFunc(slices.Clone(p.Apps), func(a app) bool { return a.Devstack }) {
		process, sidecar := addresses(a)
		groups = append(groups,
			targetGroup{[]string{process}, map[string]string{"app_id": a.ID, "part": "app"}},
			targetGroup{[]string{sidecar}, map[string]string{"app_id": a.ID, "part": "sidecar"}})
	}
	// JSON has no comment to say that the file is generated.
	content, err := json.MarshalIndent(groups, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode Prometheus targets: %w", err)
	}
	return append(content, '\n'), nil
}
