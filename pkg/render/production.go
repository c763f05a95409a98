package render

import (
	"slices"

	"github.com/tandemhq/tandem/components"
	"github.com/tandemhq/tandem/pkg/topology"
)

// caller is an app that may call another, with the paths it may call.
type caller struct {
	ID         string
	Operations []operation
}

type operation struct{ Path, Verb string }

// renderProduction renders what a cluster needs besides Deployments: access control for each app-id,
// resiliency, and the components that a team starts with.
func renderProduction(p *plan, files map[string][]byte) (err error) {
	folder := "deploy/dapr/" + p.Name + "/"
	for _, id := range p.ids() {
		files[folder+"configuration-"+id+".yaml"], err = execute("accesscontrol.yaml.tmpl", map[string]any{
			"Notice": p.Notice, "ID": id, "Namespace": p.namespace, "Callers": p.callers(id), "SamplingRate": p.SamplingRate})
		if err != nil {
			return err
		}
	}
	if files[folder+"resiliency.yaml"], err = renderResiliency(p); err != nil {
		return err
	}
	if err := renderEndpoints(p, "https://", folder, files); err != nil {
		return err
	}
	return expand(p, components.Production, "production", p.production, nil, folder+"components/", files)
}

// callers are the apps that may call an app over the network. A call to the own app-id stays in its
// sidecar, which asks nobody.
func (p *plan) callers(callee string) []caller {
	hosted := p.Topology.Hosted(callee)
	var callers []caller
	for _, id := range p.ids() {
		if id == callee {
			continue
		}
		if id == p.Topology.Gateway() {
			callers = append(callers, caller{id, []operation{{"/api/**", "*"}}})
			continue
		}
		var operations []operation
		for _, g := range hosted {
			for _, from := range p.Topology.Hosted(id) {
				if slices.Contains(p.declarations[from].Calls, g) {
					operations = append(operations, operation{"/api/" + string(g) + "/**", "*"})
					break
				}
			}
		}
		// Everyone verifies tokens with auth's public keys, and asks which sessions have ended.
		if slices.Contains(hosted, topology.Auth) && !slices.Contains(operations, operation{"/api/auth/**", "*"}) {
			operations = append(operations, operation{"/api/auth/jwks", "GET"}, operation{"/api/auth/revocations", "GET"})
		}
		if len(operations) > 0 {
			callers = append(callers, caller{id, operations})
		}
	}
	return callers
}
