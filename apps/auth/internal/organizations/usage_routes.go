package organizations

import (
	"context"
	"slices"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/topology"
)

func (m *Module) usage(ctx context.Context, _ *struct{}) (*authapi.Usage, error) {
	return m.service.Usage(ctx, identity.Organization(ctx))
}

// about refuses a group that acts for one organization and speaks of another: 404 not_found. What belongs to no organization,
// such as a job, may speak of any.
func about(ctx context.Context, organization string) error {
	if acting := identity.Organization(ctx); acting != "" && acting != organization {
		return problem.NotFound("organization")
	}
	return nil
}

// ClaimInput is a claim.
type ClaimInput struct{ Body quota.Claim }

func (m *Module) take(ctx context.Context, in *ClaimInput) (*group.None, error) {
	if err := about(ctx, in.Body.Organization); err != nil {
		return nil, err
	}
	return nil, m.service.Take(ctx, in.Body)
}

func (m *Module) release(ctx context.Context, in *ClaimInput) (*group.None, error) {
	if err := about(ctx, in.Body.Organization); err != nil {
		return nil, err
	}
	return nil, m.service.Release(ctx, in.Body)
}

// ReportInput is a report.
type ReportInput struct{ Body quota.Report }

func (m *Module) report(ctx context.Context, in *ReportInput) (*quota.Standing, error) {
	return m.service.Report(ctx, in.Body)
}

// PlanInput is a change of plan.
type PlanInput struct{ Body authapi.PlanChange }

func (m *Module) plan(ctx context.Context, in *PlanInput) (*authapi.OrganizationProfile, error) {
	if err := about(ctx, in.Body.Organization); err != nil {
		return nil, err
	}
	return m.service.ChangePlan(ctx, in.Body)
}

// ConfirmInput is a confirmation.
type ConfirmInput struct {
	Body authapi.ErasureConfirmation
}

func (m *Module) confirm(ctx context.Context, in *ConfirmInput) (*authapi.Erasure, error) {
	if err := about(ctx, in.Body.Organization); err != nil {
		return nil, err
	}
	// A group speaks for itself; the process that hosts it may speak in its name.
	if p, _ := identity.From(ctx); slices.Contains(topology.Groups(), p.Group) && p.Group != in.Body.Group {
		return nil, problem.Invalid("body.group", "not the group that calls")
	}
	return m.service.Confirm(ctx, in.Body)
}

// ErasureInput names an organization that is being erased.
type ErasureInput struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the organization"`
}

func (m *Module) erasure(ctx context.Context, in *ErasureInput) (*authapi.Erasure, error) {
	if err := about(ctx, in.ID); err != nil {
		return nil, err
	}
	return m.service.Erasure(ctx, in.ID)
}
