// Package onboarding is the group that takes in new clients.
package onboarding

import (
	"context"

	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Builder is the onboarding group. It has no modules.
func Builder() group.Builder {
	spec := group.Spec{
		Name:    topology.Onboarding,
		Summary: "The way of a new client from sign-up to first useful findings.",
		Calls:   []topology.Group{topology.Auth},
	}
	return group.Builder{Spec: spec, Build: func(context.Context, group.Kernel) (group.Group, error) {
		return group.Group{Spec: spec}, nil
	}}
}
