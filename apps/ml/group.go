// Package ml is the group that predicts and recommends.
package ml

import (
	"context"

	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Builder is the ml group. It has no modules.
func Builder() group.Builder {
	spec := group.Spec{
		Name:    topology.ML,
		Summary: "Predictions, recommendations and segments from an organization's history.",
		Calls:   []topology.Group{topology.Auth, topology.Analytics},
	}
	return group.Builder{Spec: spec, Build: func(context.Context, group.Kernel) (group.Group, error) {
		return group.Group{Spec: spec}, nil
	}}
}
