// Package infrastructure is the group that controls the infrastructure around the platform.
package infrastructure

import (
	"context"

	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Builder is the infrastructure group. It has no modules.
func Builder() group.Builder {
	spec := group.Spec{
		Name:    topology.Infrastructure,
		Summary: "Control of the gateways, workflows, pipelines and reports that surround the platform.",
	}
	return group.Builder{Spec: spec, Build: func(context.Context, group.Kernel) (group.Group, error) {
		return group.Group{Spec: spec}, nil
	}}
}
