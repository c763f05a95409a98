package organizations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/store"
)

const (
	// maxTaken is how many ids of a metered resource wait in its balance for documents of their own.
	maxTaken = 64
	// callsKept is how long the figures of a month are kept after its end.
	callsKept = 90 * 24 * time.Hour
)

// Usage is how much of its plan an organization uses: 404 not_found.
func (s *Service) Usage(ctx context.Context, organization string) (*authapi.Usage, error) {
	doc, err := s.organization(ctx, organization)
	if err != nil {
		return nil, err
	}
	plan, err := s.limits(ctx, organization, doc.Value.Plan)
	if err != nil {
		return nil, err
	}
	month := quota.MonthOf(s.c.Now())
	usage := &authapi.Usage{Plan: doc.Value.Plan, From: month.From, To: month.To}
	for _, r := range quota.Resources() {
		used, err := s.used(ctx, organization, r, month)
		if err != nil {
			return nil, err
		}
		item := authapi.UsageItem{Resource: r, Metered: r.Metered(), Used: used}
		if limit := plan[r]; limit != quota.Unlimited {
			item.Limit = &limit
		}
		usage.Items = append(usage.Items, item)
	}
	return usage, nil
}

// used is how much of a resource an organization uses, in a month where it is metered.
func (s *Service) used(ctx context.Context, organization string, r quota.Resource, month quota.Month) (int64, error) {
	switch r {
	case quota.Members:
		n, err := s.c.Accounts.Memberships.Count(ctx, membersOf(organization))
		if err != nil {
			return 0, fmt.Errorf("count the members: %w", err)
		}
		return n, nil
	case quota.APICalls:
		return s.calls(ctx, organization, month.Name)
	default:
		doc, err := s.d.balances.In(organization).Get(ctx, string(r))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, fmt.Errorf("read the balance of %s: %w", r, err)
		}
		doc.Value.begin(r, month)
		return doc.Value.Used, nil
	}
}

// seatsLeft refuses when nobody can join: 402 quota_exceeded.
func (s *Service) seatsLeft(ctx context.Context, organization string) error {
	limit, err := s.limit(ctx, organization, quota.Members)
	if err != nil || limit == quota.Unlimited {
		return err
	}
	used, err := s.used(ctx, organization, quota.Members, quota.Month{})
	if err == nil && used >= limit {
		return quota.Exceeded(quota.Members, used, limit)
	}
	return err
}

// begin starts a metered resource anew when month is later than the last. What was taken for stays known, so that who repeats a
// request after midnight is not charged again.
func (b *balance) begin(r quota.Resource, month quota.Month) {
	if r.Metered() && month.Name > b.Month { // processes whose clocks differ never go back
		b.Month, b.Used = month.Name, 0
	}
}

// Take counts a claim, once for each id. All that an organization takes of a resource goes through versions of one document, its
// balance, so that a limit holds exactly, whoever takes at the same time. Problems: 402 quota_exceeded, 404 not_found.
func (s *Service) Take(ctx context.Context, c quota.Claim) error {
	limit, err := s.limit(ctx, c.Organization, c.Resource)
	if err != nil {
		return err
	}
	month := quota.MonthOf(s.c.Now())
	defer s.turns.take(c.Organization + " " + string(c.Resource))()
	return edit(ctx, s.d.balances.In(c.Organization), string(c.Resource), func(b *balance) error {
		b.begin(c.Resource, month)
		known, err := s.takenFor(ctx, b, c)
		if err != nil || known {
			return err
		}
		if limit != quota.Unlimited && b.Used+c.Amount > limit {
			return quota.Exceeded(c.Resource, b.Used, limit)
		}
		if c.Resource.Metered() && len(b.Taken) >= maxTaken {
			if err := s.settle(ctx, c, b.Taken, month); err != nil {
				return err
			}
			b.Taken = nil
		}
		b.Used += c.Amount
		b.Taken = append(b.Taken, taken{c.ID, c.Amount})
		return nil
	})
}

// takenFor tells whether something was taken for c.ID before. What is in the balance gets its document before it leaves the
// balance, and the balance was read first: so an id that is in neither was not taken when this version of the balance was made,
// and if it is taken meanwhile there is another version.
func (s *Service) takenFor(ctx context.Context, b *balance, c quota.Claim) (bool, error) {
	for _, t := range b.Taken {
		if t.ID == c.ID {
			return true, nil
		}
	}
	if !c.Resource.Metered() {
		return false, nil
	}
	switch _, err := s.d.spent.Get(ctx, spentID(c, c.ID)); {
	case err == nil:
		return true, nil
	case !errors.Is(err, store.ErrNotFound):
		return false, fmt.Errorf("look for what was taken: %w", err)
	}
	return false, nil
}

func spentID(c quota.Claim, id string) string {
	return c.Organization + "/" + string(c.Resource) + "/" + id
}

// settle gives what was taken documents of its own. They say what is true already, so it does no harm that the balance may be
// stored without it after all.
func (s *Service) settle(ctx context.Context, c quota.Claim, all []taken, month quota.Month) error {
	keep := store.At(month.To.AddDate(0, 1, 0))
	puts := make([]store.Put[spent], len(all))
	for i, t := range all {
		puts[i] = store.Put[spent]{ID: spentID(c, t.ID), Value: spent{c.Organization, keep}}
	}
	if _, err := s.d.spent.PutMany(ctx, puts); err != nil {
		return fmt.Errorf("settle a balance: %w", err)
	}
	return nil
}

// Release gives back what was taken of a counted resource for c.ID, if anything was: 422 validation_failed for a metered one.
func (s *Service) Release(ctx context.Context, c quota.Claim) error {
	if c.Resource.Metered() {
		return problem.Invalid("body.resource", "what is metered is used for good")
	}
	defer s.turns.take(c.Organization + " " + string(c.Resource))()
	_, err := s.d.balances.In(c.Organization).Update(ctx, string(c.Resource), func(b *balance) ([]store.Message, error) {
		for i, t := range b.Taken {
			if t.ID == c.ID {
				b.Used -= t.Amount
				b.Taken = append(b.Taken[:i], b.Taken[i+1:]...)
				break
			}
		}
		return nil, nil
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrBadID) {
		return fmt.Errorf("give back %s: %w", c.Resource, err)
	}
	return nil
}

// Report counts the API calls of a process, all in one write, and tells which of their organizations have used up the month.
// Those that are no organizations are passed over.
func (s *Service) Report(ctx context.Context, r quota.Report) (*quota.Standing, error) {
	limits := make(map[string]int64, len(r.Calls))
	puts := make([]store.Put[reported], 0, len(r.Calls))
	for _, c := range r.Calls {
		limit, err := s.limit(ctx, c.Organization, quota.APICalls)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
			continue
		}
		if err != nil {
			return nil, err
		}
		limits[c.Organization] = limit
		puts = append(puts, store.Put[reported]{
			ID: c.Organization + "/" + r.Month + "/" + r.Reporter, Value: reported{c.Organization, r.Month, c.Calls},
		})
	}
	if _, err := s.d.reported.PutMany(ctx, puts); err != nil {
		return nil, fmt.Errorf("count API calls: %w", err)
	}
	standing := &quota.Standing{Over: []quota.Overrun{}}
	if r.Month < quota.MonthOf(s.c.Now()).Name {
		return standing, nil
	}
	for organization, limit := range limits {
		if limit == quota.Unlimited {
			continue
		}
		used, err := s.calls(ctx, organization, r.Month)
		if err != nil {
			return nil, err
		}
		if used >= limit {
			standing.Over = append(standing.Over, quota.Overrun{Organization: organization, Used: used, Limit: limit})
		}
	}
	return standing, nil
}

// calls are the API calls of an organization in a month, over all processes that reported any.
func (s *Service) calls(ctx context.Context, organization, month string) (int64, error) {
	q := store.Query{Index: byOrganization, Equal: []any{organization, month}}
	groups, err := s.d.reported.Sum(ctx, q, nil, []string{"calls"})
	if err != nil {
		return 0, fmt.Errorf("add up API calls: %w", err)
	}
	if len(groups) == 0 {
		return 0, nil
	}
	return groups[0].Sums[0], nil
}

// forgetUsage deletes figures that nobody asks for any more.
func (s *Service) forgetUsage(ctx context.Context) error {
	now := s.c.Now()
	err := s.d.spent.DeleteDue(ctx, store.Query{Index: byDeletion, Range: store.Range{Field: "delete_after", To: store.At(now)}})
	if err != nil {
		return fmt.Errorf("forget what was spent: %w", err)
	}
	oldest := quota.MonthOf(now.Add(-callsKept)).Name
	err = s.d.reported.DeleteDue(ctx, store.Query{Index: byMonth, Range: store.Range{Field: "month", To: oldest}})
	if err != nil {
		return fmt.Errorf("forget API calls: %w", err)
	}
	return nil
}
