package organizations

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/store"
)

func (f *fixture) take(t testing.TB, r quota.Resource, id string) error {
	t.Helper()
	return f.Take(t.Context(), quota.Claim{Organization: "acme", Resource: r, ID: id, Amount: 1})
}

// usedOf is what the usage endpoint says of a resource: figure and limit, -1 for none.
func (f *fixture) usedOf(t testing.TB, organization string, r quota.Resource) (used, limit int64) {
	t.Helper()
	for _, item := range must[*authapi.Usage](t)(f.Usage(t.Context(), organization)).Items {
		if item.Resource == r {
			if item.Limit == nil {
				return item.Used, quota.Unlimited
			}
			return item.Used, *item.Limit
		}
	}
	t.Fatalf("usage says nothing of %s", r)
	return 0, 0
}

func TestAtTheLimitExactlyTheLimitIsGranted(t *testing.T) {
	for _, r := range []quota.Resource{quota.Connections, quota.AgentRuns} {
		t.Run(string(r), func(t *testing.T) {
			f := newFixture(t)
			f.company(t, "acme", "ada")
			const limit, takers, each = 100, 32, 6 // over the limit, and more than wait in a balance
			must[*authapi.OrganizationProfile](t)(f.ChangePlan(t.Context(), authapi.PlanChange{Organization: "acme", Plan: "free", Limits: own{r: limit}}))
			processes := []*Service{f.Service, f.process(t)}
			var mu sync.Mutex
			granted := map[string]bool{}
			var taking sync.WaitGroup
			for i := range takers {
				taking.Go(func() {
					for n := range each {
						id := fmt.Sprintf("%d/%d", i, n)
						for attempt := range 2 { // an answer that was lost is asked for again
							err := processes[(i+attempt)%2].Take(t.Context(), quota.Claim{Organization: "acme", Resource: r, ID: id, Amount: 1})
							mu.Lock()
							if before, again := granted[id]; again && before && err != nil {
								t.Errorf("%s was granted and then refused: %v", id, err)
							}
							granted[id] = granted[id] || err == nil
							if err != nil && (problem.Code(err) != problem.CodeQuota || problem.From(err).Status != http.StatusPaymentRequired) {
								t.Error(err)
							}
							mu.Unlock()
						}
					}
				})
			}
			taking.Wait()
			n := 0
			for _, ok := range granted {
				if ok {
					n++
				}
			}
			if used, of := f.usedOf(t, "acme", r); n != limit || used != limit || of != limit {
				t.Errorf("%d granted, %d used of %d; want %d", n, used, of, limit)
			}
		})
	}
}

func TestWhatIsCountedIsGivenBack(t *testing.T) {
	f := newFixture(t)
	f.company(t, "acme", "ada")
	f.company(t, "globex", "grace")
	for i := range 3 {
		if err := f.take(t, quota.Connections, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	err := f.take(t, quota.Connections, "3")
	refused(t, err, http.StatusPaymentRequired, problem.CodeQuota)
	if want := (problem.Field{Location: "quota.connections", Message: "3 of 3"}); problem.From(err).Errors[0] != want {
		t.Errorf("refused with %v; want %v", problem.From(err).Errors, want)
	}
	if err := f.take(t, quota.Connections, "1"); err != nil {
		t.Errorf("taken once more for what has it: %v", err)
	}
	for range 2 { // and once more changes nothing
		for _, id := range []string{"1", "never"} {
			if err := f.Release(t.Context(), quota.Claim{Organization: "acme", Resource: quota.Connections, ID: id}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if used, limit := f.usedOf(t, "acme", quota.Connections); used != 2 || limit != 3 {
		t.Errorf("%d of %d used; want 2 of 3", used, limit)
	}
	if err := f.take(t, quota.Connections, "3"); err != nil {
		t.Error(err)
	}
	if used, _ := f.usedOf(t, "globex", quota.Connections); used != 0 {
		t.Errorf("another organization uses %d", used)
	}
	err = f.Release(t.Context(), quota.Claim{Organization: "acme", Resource: quota.AgentRuns, ID: "1"})
	refused(t, err, http.StatusUnprocessableEntity, problem.CodeValidation)
	err = f.Take(t.Context(), quota.Claim{Organization: "nobody", Resource: quota.Connections, ID: "1", Amount: 1})
	refused(t, err, http.StatusNotFound, problem.CodeNotFound)
	if err := f.Release(t.Context(), quota.Claim{Organization: "nobody", Resource: quota.Connections, ID: "1"}); err != nil {
		t.Errorf("give back what nobody has: %v", err)
	}
}

func TestWhatIsMeteredBeginsAnewEachMonth(t *testing.T) {
	f := newFixture(t)
	f.company(t, "acme", "ada")
	for range 2 {
		for i := range 100 {
			if err := f.take(t, quota.AgentRuns, fmt.Sprint("run-", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	refused(t, f.take(t, quota.AgentRuns, "one more"), http.StatusPaymentRequired, problem.CodeQuota)
	f.Pass(30 * 24 * time.Hour) // from 2 January
	if used, _ := f.usedOf(t, "acme", quota.AgentRuns); used != 0 {
		t.Errorf("%d used at the beginning of a month", used)
	}
	for _, id := range []string{"run-3", "run-99", "one more"} { // two of them are repeated across the end of the month
		if err := f.take(t, quota.AgentRuns, id); err != nil {
			t.Fatal(err)
		}
	}
	if used, limit := f.usedOf(t, "acme", quota.AgentRuns); used != 1 || limit != 100 {
		t.Errorf("%d of %d used; want 1 of 100", used, limit)
	}
	f.Pass(-24 * time.Hour * 20) // a process whose clock is behind
	if err := f.take(t, quota.AgentRuns, "another"); err != nil {
		t.Error(err)
	}
	f.Pass(24 * time.Hour * 20)
	if used, _ := f.usedOf(t, "acme", quota.AgentRuns); used != 2 {
		t.Errorf("%d used; want 2", used)
	}
}

// TestBalancesAgreeWithAModel compares random claims with a map.
func TestBalancesAgreeWithAModel(t *testing.T) {
	f := newFixture(t)
	f.company(t, "acme", "ada")
	must[*authapi.OrganizationProfile](t)(f.ChangePlan(t.Context(), authapi.PlanChange{
		Organization: "acme", Plan: "free", Limits: own{quota.Connections: 20, quota.AgentRuns: 150},
	}))
	random := rand.New(rand.NewPCG(1, 2))
	limit := map[quota.Resource]int64{quota.Connections: 20, quota.AgentRuns: 150}
	held := map[quota.Resource]map[string]int64{quota.Connections: {}, quota.AgentRuns: {}}
	for range 1500 {
		r := []quota.Resource{quota.Connections, quota.AgentRuns}[random.IntN(2)]
		c := quota.Claim{Organization: "acme", Resource: r, ID: fmt.Sprint(random.IntN(200)), Amount: 1 + random.Int64N(2)}
		var sum int64
		for _, n := range held[r] {
			sum += n
		}
		if r == quota.Connections && random.IntN(2) == 0 {
			if err := f.Release(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			delete(held[r], c.ID)
			continue
		}
		err := f.Take(t.Context(), c)
		_, again := held[r][c.ID]
		if want := again || sum+c.Amount <= limit[r]; want != (err == nil) {
			t.Fatalf("take %+v with %d of %d used, again %t: %v", c, sum, limit[r], again, err)
		}
		if err == nil && !again {
			held[r][c.ID] = c.Amount
			sum += c.Amount
		}
		if used, _ := f.usedOf(t, "acme", r); used != sum {
			t.Fatalf("%d of %s used; want %d", used, r, sum)
		}
	}
}

func TestAPICalls(t *testing.T) {
	f := newFixture(t)
	f.company(t, "acme", "ada")
	f.company(t, "globex", "grace")
	month := quota.MonthOf(f.Now()).Name
	report := func(reporter, month string, calls ...quota.Calls) []quota.Overrun {
		t.Helper()
		return must[*quota.Standing](t)(f.Report(t.Context(), quota.Report{Reporter: reporter, Month: month, Calls: calls})).Over
	}
	for range 2 { // a report that comes twice counts once
		if over := report("p1", month, quota.Calls{Organization: "acme", Calls: 60_000}, quota.Calls{Organization: "globex", Calls: 5}, quota.Calls{Organization: "nobody", Calls: 5}); len(over) != 0 {
			t.Errorf("over: %+v", over)
		}
	}
	want := quota.Overrun{Organization: "acme", Used: 100_000, Limit: 100_000}
	if over := report("p2", month, quota.Calls{Organization: "acme", Calls: 40_000}, quota.Calls{Organization: "globex", Calls: 6}); len(over) != 1 || over[0] != want {
		t.Errorf("over: %+v; want %+v", over, want)
	}
	if used, limit := f.usedOf(t, "globex", quota.APICalls); used != 11 || limit != 100_000 {
		t.Errorf("%d of %d used; want 11", used, limit)
	}
	if over := report("p2", "2025-12", quota.Calls{Organization: "acme", Calls: 200_000}); len(over) != 0 {
		t.Errorf("over for a month that is over: %+v", over)
	}
	// A process whose clock is ahead asks of its own month.
	if over := report("p3", "2026-02", quota.Calls{Organization: "acme", Calls: 1}); len(over) != 0 {
		t.Errorf("over in a month that has just begun: %+v", over)
	}
	must[*authapi.OrganizationProfile](t)(f.ChangePlan(t.Context(), authapi.PlanChange{Organization: "acme", Plan: "enterprise"}))
	if over := report("p2", month, quota.Calls{Organization: "acme", Calls: 50_000}); len(over) != 0 {
		t.Errorf("over without a limit: %+v", over)
	}
	if used, limit := f.usedOf(t, "acme", quota.APICalls); used != 110_000 || limit != quota.Unlimited {
		t.Errorf("%d of %d used; want 110000 without a limit", used, limit)
	}
}

func TestOldFiguresAreForgotten(t *testing.T) {
	f := newFixture(t)
	f.company(t, "acme", "ada")
	for i := range maxTaken + 1 {
		if err := f.take(t, quota.AgentRuns, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	must[*quota.Standing](t)(f.Report(t.Context(), quota.Report{Reporter: "p", Month: "2026-01", Calls: []quota.Calls{{Organization: "acme", Calls: 7}}}))
	count := func() [2]int64 {
		t.Helper()
		return [2]int64{
			must[int64](t)(f.d.spent.Count(t.Context(), store.Query{})), must[int64](t)(f.d.reported.Count(t.Context(), store.Query{})),
		}
	}
	for _, c := range []struct {
		after time.Duration
		want  [2]int64
	}{
		{0, [2]int64{maxTaken, 1}},
		{50 * 24 * time.Hour, [2]int64{maxTaken, 1}}, // in February what January took is known still
		{60 * 24 * time.Hour, [2]int64{0, 1}},
		{130 * 24 * time.Hour, [2]int64{0, 0}},
	} {
		f.Pass(c.after)
		if err := f.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := count(); got != c.want {
			t.Errorf("after %v %v documents are left; want %v", c.after, got, c.want)
		}
		f.Pass(-c.after)
	}
}

func TestPlans(t *testing.T) {
	f := newFixture(t)
	f.company(t, "acme", "ada")
	change := func(plan string, limits own) error {
		view, err := f.ChangePlan(t.Context(), authapi.PlanChange{Organization: "acme", Plan: plan, Limits: limits})
		if err == nil && view.Plan != plan {
			t.Errorf("it is on plan %s; want %s", view.Plan, plan)
		}
		return err
	}
	for _, err := range []error{change("free", nil), change("team", nil), change("team", nil), change("team", own{quota.Connections: 40}), change("team", own{quota.Connections: 40})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, limit := f.usedOf(t, "acme", quota.Connections); limit != 40 {
		t.Errorf("its own limit is %d; want 40", limit)
	}
	if _, limit := f.usedOf(t, "acme", quota.Members); limit != 25 {
		t.Errorf("its plan's limit is %d; want 25", limit)
	}
	at := f.Now()
	want := []authapi.PlanChangedData{
		{OrganizationID: "acme", From: "free", To: "team", At: at}, {OrganizationID: "acme", From: "team", To: "team", At: at},
	}
	if got := told(t, f.World, authapi.PlanChanged); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("told %+v; want %+v", got, want)
	}
	refused(t, change("gold", nil), http.StatusUnprocessableEntity, problem.CodeValidation)
	refused(t, change("team", own{"horses": 1}), http.StatusUnprocessableEntity, problem.CodeValidation)
	refused(t, change("team", own{quota.Members: -2}), http.StatusUnprocessableEntity, problem.CodeValidation)
	_, err := f.ChangePlan(t.Context(), authapi.PlanChange{Organization: "nobody", Plan: "team"})
	refused(t, err, http.StatusNotFound, problem.CodeNotFound)

	for name, plans := range map[string]Plans{
		"no default":         {"team": DefaultPlans()["team"]},
		"nothing of members": {"free": {quota.Connections: 1, quota.AgentRuns: 1, quota.APICalls: 1}},
	} {
		c := f.c
		c.Plans = plans
		if _, err := Open(t.Context(), c); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

// TestUsageIsFoundByIndexes keeps many organizations and months from slowing a request down.
func TestUsageIsFoundByIndexes(t *testing.T) {
	f := newFixture(t)
	sum := must[store.Plan](t)(f.d.reported.Explain(t.Context(), store.Query{Index: byOrganization, Equal: []any{"acme", "2026-01"}}, nil, []string{"calls"}))
	if sum.Index != byOrganization || !sum.Covers {
		t.Errorf("API calls are added up by %+v; want the index alone", sum)
	}
	token := must[store.Plan](t)(f.d.invitations.Explain(t.Context(), store.Query{Index: byToken, Equal: []any{"x"}}, nil, nil))
	if token.Index != byToken || token.Sorts {
		t.Errorf("a token is looked for by %+v", token)
	}
}

func BenchmarkTake(b *testing.B) {
	for _, r := range []quota.Resource{quota.Connections, quota.AgentRuns} {
		b.Run(string(r), func(b *testing.B) {
			f := newFixture(b)
			f.company(b, "acme", "ada")
			must[*authapi.OrganizationProfile](b)(f.ChangePlan(b.Context(), authapi.PlanChange{Organization: "acme", Plan: "enterprise"}))
			for i := 0; b.Loop(); i++ {
				if r == quota.Connections && i == 1000 { // as many as a large customer has
					b.StopTimer()
					must[any](b)(nil, f.d.balances.In("acme").Delete(b.Context(), string(r), 0))
					b.StartTimer()
					i = 0
				}
				if err := f.take(b, r, f.NewID()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTakers is 32 takers of one organization's agent runs at once.
func BenchmarkTakers(b *testing.B) {
	f := newFixture(b)
	f.company(b, "acme", "ada")
	must[*authapi.OrganizationProfile](b)(f.ChangePlan(b.Context(), authapi.PlanChange{Organization: "acme", Plan: "enterprise"}))
	b.SetParallelism(16) // times two processors
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f.take(b, quota.AgentRuns, f.NewID()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkReport is a report of 1000 organizations, each of which eight processes have reported before.
func BenchmarkReport(b *testing.B) {
	f := newFixture(b)
	r := quota.Report{Month: quota.MonthOf(f.Now()).Name}
	for i := range 1000 {
		id := fmt.Sprint("org-", i)
		f.found(b, id)
		r.Calls = append(r.Calls, quota.Calls{Organization: id, Calls: 1})
	}
	for i := range 8 {
		r.Reporter = fmt.Sprint("p", i)
		must[*quota.Standing](b)(f.Report(b.Context(), r))
	}
	for b.Loop() {
		for i := range r.Calls {
			r.Calls[i].Calls++
		}
		must[*quota.Standing](b)(f.Report(b.Context(), r))
	}
}
