package render

import "fmt"

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
