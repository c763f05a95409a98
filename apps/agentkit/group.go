// Package agentkit is the group that runs agents and workflows.
package agentkit

import (
	"context"

	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Builder is the agentkit group. It has no modules.
func Builder() group.Builder {
	spec := group.Spec{
		Name:    topology.AgentKit,
		Summary: "Agents and workflows that act on an organization's platforms, with people in the loop.",
		Calls:   []topology.Group{topology.Auth},
	}
	return group.Builder{Spec: spec, Build: func(context.Context, group.Kernel) (group.Group, error) {
		return group.Group{Spec: spec}, nil
	}}
}
