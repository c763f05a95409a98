package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/tandemhq/tandem/components"
)

// Ports of the sidecars of containers, where each has a network of its own: Dapr's defaults.
const containerMetricsPort = 9090

// renderCompose renders what runs the topology in containers on one machine: the compose file, what its sidecars load,
// and the targets of its Prometheus.
func renderCompose(p *plan, files map[string][]byte) (err error) {
	if files["deploy/docker/"+p.Name+".yaml"], err = execute("compose.yaml.tmpl", p); err != nil {
		return err
	}
	folder := "deploy/docker/" + p.Name + "/"
	if files[folder+"configuration.yaml"], err = execute("compose-configuration.yaml.tmpl", p); err != nil {
		return err
	}
	if files[folder+"resources/resiliency.yaml"], err = renderResiliency(p); err != nil {
		return err
	}
	loaded := map[string][]byte{}
	sources := []string{"state-postgresql", "events-jetstream", "consumer-jetstream", "secrets-environment", "mail-smtp", "sms-twilio"}
	if err := expand(p, components.Production, "production", sources, nil, folder+"resources/", loaded); err != nil {
		return err
	}
	for path, content := range loaded {
		files[path] = secretsFromComponent(content)
	}
	files[folder+"targets.json"], err = p.targets(func(a app) (appAddress, sidecarAddress string) {
		return fmt.Sprintf("%s:%d", a.ID, a.Port), fmt.Sprintf("%s:%d", a.ID, containerMetricsPort)
	})
	return err
}

var secretReference = regexp.MustCompile(`(?m)^( +secretKeyRef:\n +name: )tandem(\n +key: )(\S+)$`)

// secretsFromComponent lets a component read its secrets from the component named secrets, where each has the name that is the
// key in Kubernetes' Secret.
func secretsFromComponent(component []byte) []byte {
	filled := secretReference.ReplaceAll(component, []byte("${1}${3}${2}${3}"))
	if bytes.Equal(filled, component) {
		return component
	}
	return append(filled, "auth:\n  secretStore: secrets\n"...)
}

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
