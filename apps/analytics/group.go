// Package analytics is the group that turns an organization's records into figures.
package analytics

import (
	"context"

	"github.com/tandemhq/tandem/apps/analytics/analyticsapi"
	"github.com/tandemhq/tandem/apps/analytics/internal/dashboard"
	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Builder is the analytics group.
func Builder() group.Builder {
	spec := group.Spec{
		Name:     analyticsapi.Name,
		Summary:  "One view over orders, customers and revenue of an organization's platforms.",
		Calls:    []topology.Group{topology.Auth, topology.Integrations},
		Consumes: []string{integrationsapi.TopicRecordsChanged.Name, integrationsapi.TopicSyncFinished.Name},
	}
	return group.Builder{Spec: spec, Build: func(ctx context.Context, k group.Kernel) (group.Group, error) {
		board, err := dashboard.New(ctx, k.DB, integrationsapi.Client{Client: k.Call}, k.Now)
		if err != nil {
			return group.Group{}, err
		}
		return group.Group{
			Spec:    spec,
			Modules: []group.Module{board},
			On: []events.Handler{
				events.On(integrationsapi.TopicRecordsChanged, board.RollUp),
				events.On(integrationsapi.TopicSyncFinished, board.CloseSync),
			},
		}, nil
	}}
}
