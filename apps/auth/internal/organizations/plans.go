package organizations

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/store"
)

// Plan is how much there is of each resource; quota.Unlimited for no limit.
type Plan map[quota.Resource]int64

// Plans are the plans there are, by name. authapi.DefaultPlan must be among them.
type Plans map[string]Plan

// DefaultPlans are those that are sold. Agent runs and API calls are by the month.
func DefaultPlans() Plans {
	return Plans{
		authapi.DefaultPlan: {quota.Members: 5, quota.Connections: 3, quota.AgentRuns: 100, quota.APICalls: 100_000},
		"team":              {quota.Members: 25, quota.Connections: 15, quota.AgentRuns: 2_000, quota.APICalls: 1_000_000},
		"business":          {quota.Members: 200, quota.Connections: 100, quota.AgentRuns: 20_000, quota.APICalls: 10_000_000},
		"enterprise": {
			quota.Members: quota.Unlimited, quota.Connections: quota.Unlimited, quota.AgentRuns: quota.Unlimited, quota.APICalls: quota.Unlimited,
		},
	}
}

// check finds plans that say nothing of a resource, which would be a limit of none.
func (p Plans) check() error {
	if p[authapi.DefaultPlan] == nil {
		return fmt.Errorf("no plan is named %s", authapi.DefaultPlan)
	}
	for name, plan := range p {
		for _, r := range quota.Resources() {
			if limit, ok := plan[r]; !ok || limit < quota.Unlimited {
				return fmt.Errorf("plan %s: no limit of %s", name, r)
			}
		}
	}
	return nil
}

// limits are those of an organization on a plan. One whose plan is sold no more has the default's.
func (s *Service) limits(ctx context.Context, organization, plan string) (Plan, error) {
	base := s.c.Plans[plan]
	if base == nil {
		base = s.c.Plans[authapi.DefaultPlan]
	}
	own, err := s.d.limits.In(organization).Get(ctx, only)
	if errors.Is(err, store.ErrNotFound) {
		return base, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the limits of an organization: %w", err)
	}
	base = maps.Clone(base)
	maps.Copy(base, own.Value.Own)
	return base, nil
}

// limit is that of one resource: 404 not_found for no organization.
func (s *Service) limit(ctx context.Context, organization string, r quota.Resource) (int64, error) {
	doc, err := s.organization(ctx, organization)
	if err != nil {
		return 0, err
	}
	all, err := s.limits(ctx, organization, doc.Value.Plan)
	return all[r], err
}

// ChangePlan puts an organization on a plan. Its own limits are replaced by those given. What is used already stays, also
// beyond a lower limit. Problems: 404 not_found, 422 validation_failed.
func (s *Service) ChangePlan(ctx context.Context, change authapi.PlanChange) (*authapi.OrganizationProfile, error) {
	if s.c.Plans[change.Plan] == nil {
		return nil, problem.Invalid("body.plan", "want one of "+strings.Join(slices.Sorted(maps.Keys(s.c.Plans)), ", "))
	}
	for r, limit := range change.Limits {
		if !slices.Contains(quota.Resources(), r) || limit < quota.Unlimited {
			return nil, problem.Invalid("body.limits."+string(r), "want a resource with the limit 0 or more, or -1 for none")
		}
	}
	doc, err := s.organization(ctx, change.Organization)
	if err != nil {
		return nil, err
	}
	// The event comes with the second write, so after a crash between the two it is missing until the change is repeated;
	// the limits hold from the first on.
	relimited := false
	err = edit(ctx, s.d.limits.In(doc.ID), only, func(l *limits) error {
		relimited = !maps.Equal(l.Own, change.Limits)
		l.Own = change.Limits
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("set the limits of an organization: %w", err)
	}
	doc, err = s.change(ctx, doc.ID, anyVersion, func(o *accounts.Organization) ([]store.Message, error) {
		from := o.Plan
		if from == change.Plan && !relimited {
			return nil, nil
		}
		o.Plan = change.Plan
		changed, err := authapi.PlanChanged.Message(ctx, s.c.Emit, doc.ID, authapi.PlanChangedData{
			OrganizationID: doc.ID, From: from, To: o.Plan, At: s.c.Now().UTC(),
		})
		recorded, err2 := s.record(ctx, doc.ID, "change-plan", "organization:"+doc.ID, map[string]string{"from": from, "to": o.Plan})
		return []store.Message{changed, recorded}, errors.Join(err, err2)
	})
	if err != nil {
		return nil, err
	}
	return profile(doc), nil
}

// record makes an entry of the audit log.
func (s *Service) record(ctx context.Context, organization, verb, resource string, details map[string]string) (store.Message, error) {
	return audit.Message(ctx, s.c.Emit, organization, audit.Entry{Action: "auth.organizations." + verb, Resource: resource, Details: details})
}
