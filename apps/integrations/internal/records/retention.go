package records

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// expireAction is the action of the audit entry of what the retention erases.
const expireAction = "integrations.records.expire"

// policy is for how many days an organization keeps the records of a kind, from their own time on.
type policy struct {
	Organization string `json:"organization"`
	Kind         string `json:"kind"`
	Days         int    `json:"days"`
}

func openPolicies(ctx context.Context, db store.DB) (*store.Documents[policy], error) {
	return store.System[policy](ctx, db, store.Def{Name: "record-retention", Owner: "organization", Indexes: []store.Index{{Name: "organization", Fields: []string{"organization"}}}})
}

func policyID(organization, kind string) string { return organization + "." + kind }

// before is the time before which records are not kept, to the day; zero without a policy.
func (p policy) before(now time.Time) time.Time {
	if p.Days == 0 {
		return time.Time{}
	}
	return now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -p.Days)
}

// keeps are those of records that are not too old for the organization's policy.
func (k *Kind[T]) keeps(ctx context.Context, organization string, records []T) ([]T, error) {
	if len(records) == 0 {
		return nil, nil
	}
	doc, err := k.policies.Get(ctx, policyID(organization, k.name))
	if errors.Is(err, store.ErrNotFound) {
		return records, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read for how long %s are kept: %w", k.name, err)
	}
	before := doc.Value.before(k.emit.Now())
	return slices.DeleteFunc(slices.Clone(records), func(r T) bool { return r.Head().At.Before(before) }), nil
}

// Job erases every day what is older than its organization keeps it.
func (s *Service) Job() jobs.Job {
	return jobs.Job{Name: "erase-old-records", Schedule: "@daily", Run: s.expire}
}

func (s *Service) expire(ctx context.Context) error {
	var failures []error
	err := s.policies.Each(ctx, store.Query{}, func(doc store.Doc[policy]) error {
		p := doc.Value
		if k, ok := s.kindOf(p.Kind); ok {
			if err := k.expire(identity.AsGroup(ctx, topology.Integrations, p.Organization), p); err != nil { // which stops no other
				failures = append(failures, fmt.Errorf("erase old %s of %s: %w", p.Kind, p.Organization, err))
			}
		}
		return ctx.Err()
	})
	return errors.Join(append(failures, err)...)
}

// expire erases the records of an organization that are older than a policy says. The audit entry comes before, so that there is none
// erased without.
func (k *Kind[T]) expire(ctx context.Context, p policy) error {
	before := p.before(k.emit.Now())
	q := store.Query{Index: k.at, Range: store.Range{Field: k.at, To: before}, Limit: integrationsapi.MaxPage}
	n, err := k.documents.In(p.Organization).Count(ctx, q)
	if err != nil {
		return err
	}
	if n == 0 {
		_, err := k.finishRemoval(ctx, p.Organization)
		return err
	}
	entry, err := audit.Message(ctx, k.emit, p.Organization, audit.Entry{Action: expireAction, Resource: "records:" + k.name, Details: map[string]string{
		"kind": k.name, "days": strconv.Itoa(p.Days), "before": before.Format(time.DateOnly), "records": strconv.FormatInt(n, 10),
	}})
	if err == nil {
		err = k.outbox.Add(ctx, entry)
	}
	if err != nil {
		return fmt.Errorf("enter it in the audit log: %w", err)
	}
	for {
		page, err := k.documents.In(p.Organization).Find(ctx, q)
		if err != nil {
			return err
		}
		if _, err := k.remove(ctx, p.Organization, page.Items); err != nil {
			return err
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
}

// Policy is for how long records of a kind are kept.
type Policy struct {
	Kind string `json:"kind" enum:"orders,customers,products,payments,contacts,deals,campaigns,performance,email_performance" doc:"Kind of record" example:"orders"`
	Days int    `json:"days" minimum:"0" maximum:"36500" doc:"Days for which they are kept, from their own time on; 0 for good" example:"1095"`
}

// PolicyInput sets a policy.
type PolicyInput struct{ Body Policy }

// Policies are an organization's.
type Policies struct {
	Items []Policy `json:"items" nullable:"false" doc:"One for each kind of record"`
}

func (m *Module) bindRetention(r *group.Routes, read group.Option) {
	group.Get(r, "/retention", m.retention, read, group.Doc("Show for how long records are kept"))
	group.Put(r, "/retention", m.retain, group.Needs("integrations.records:write"), group.About("records", "body.kind"), group.Action("retain"), group.Problems(http.StatusUnprocessableEntity),
		group.Doc("Say for how long records of a kind are kept", "Older ones are erased every day, by their own time, and not read from vendors again. What is erased is told of as what changes is."))
}

func (m *Module) retention(ctx context.Context, _ *group.None) (*Policies, error) {
	return m.records.Retention(ctx, identity.Organization(ctx))
}

func (m *Module) retain(ctx context.Context, in *PolicyInput) (*Policies, error) {
	if err := m.records.Retain(ctx, identity.Organization(ctx), in.Body); err != nil {
		return nil, err
	}
	return m.retention(ctx, nil)
}

// Retention is for how long an organization keeps its records.
func (s *Service) Retention(ctx context.Context, organization string) (*Policies, error) {
	days := map[string]int{}
	err := s.policies.Each(ctx, store.Query{Index: "organization", Equal: []any{organization}}, func(doc store.Doc[policy]) error {
		days[doc.Value.Kind] = doc.Value.Days
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read for how long records are kept: %w", err)
	}
	out := &Policies{}
	for _, k := range s.kinds() {
		out.Items = append(out.Items, Policy{k.kind(), days[k.kind()]})
	}
	return out, nil
}

// Retain says for how long an organization keeps records of a kind: a problem validation_failed.
func (s *Service) Retain(ctx context.Context, organization string, p Policy) error {
	if _, known := s.kindOf(p.Kind); !known || p.Days < 0 {
		return problem.Invalid("body.kind", "there are no such records")
	}
	var err error
	if p.Days == 0 {
		if err = s.policies.Delete(ctx, policyID(organization, p.Kind), 0); errors.Is(err, store.ErrNotFound) {
			err = nil
		}
	} else {
		_, err = s.policies.PutMany(ctx, []store.Put[policy]{{ID: policyID(organization, p.Kind), Value: policy{organization, p.Kind, p.Days}}})
	}
	if err != nil {
		return fmt.Errorf("store for how long %s are kept: %w", p.Kind, err)
	}
	return nil
}
