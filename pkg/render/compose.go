package render

import (
	"bytes"
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
	if err := renderEndpoints(p, "https://", folder+"resources/", files); err != nil {
		return err
	}
	loaded := map[string][]byte{}
	sources := DefaultProduction()
	sources[slices.Index(sources, "secrets-kubernetes")] = "secrets-environment"
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
