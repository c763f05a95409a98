package quota_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMonthOf(t *testing.T) {
	zurich := time.FixedZone("CEST", 2*60*60)
	for _, c := range []struct {
		at   time.Time
		name string
		to   time.Time
	}{
		{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), "2026-01", time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)},
		{time.Date(2026, 1, 31, 23, 59, 59, 999, time.UTC), "2026-01", time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)},
		{time.Date(2025, 12, 31, 12, 0, 0, 0, time.UTC), "2025-12", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		{time.Date(2026, 5, 1, 1, 0, 0, 0, zurich), "2026-04", time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)}, // the month is UTC's
	} {
		m := quota.MonthOf(c.at)
		if m.Name != c.name || !m.To.Equal(c.to) || !m.From.Equal(c.to.AddDate(0, -1, 0)) {
			t.Errorf("month of %v is %+v; want %s until %v", c.at, m, c.name, c.to)
		}
	}
}

func TestExceededNamesFigureAndLimit(t *testing.T) {
	for _, c := range []struct {
		resource quota.Resource
		detail   string
	}{
		{quota.Connections, "the plan allows 3 connections, and 2 are used"},
		{quota.AgentRuns, "the plan allows 3 agent runs a month, and 2 are used"},
	} {
		p := quota.Exceeded(c.resource, 2, 3)
		want := problem.Field{Location: "quota." + string(c.resource), Message: "2 of 3"}
		if p.Status != http.StatusPaymentRequired || p.Code != problem.CodeQuota || p.Detail != c.detail || len(p.Errors) != 1 || p.Errors[0] != want {
			t.Errorf("%+v; want 402 %q with %v", p, c.detail, want)
		}
	}
}

// asked is an authority that writes down what it is asked, and refuses with err.
type asked struct {
	quota.Authority
	taken, released []quota.Claim
	err             error
}

func (a *asked) TakeQuota(_ context.Context, c quota.Claim) error {
	a.taken = append(a.taken, c)
	return a.err
}

func (a *asked) ReleaseQuota(_ context.Context, c quota.Claim) error {
	a.released = append(a.released, c)
	return a.err
}

func TestClientAsksTheAuthority(t *testing.T) {
	a := &asked{}
	c := quota.NewClient(a)
	if err := c.Take(t.Context(), "acme", quota.AgentRuns, "run-1", 3); err != nil {
		t.Fatal(err)
	}
	if err := c.Release(t.Context(), "acme", quota.Connections, "shop"); err != nil {
		t.Fatal(err)
	}
	if want := (quota.Claim{Organization: "acme", Resource: quota.AgentRuns, ID: "run-1", Amount: 3}); len(a.taken) != 1 || a.taken[0] != want {
		t.Errorf("taken %+v; want %+v", a.taken, want)
	}
	if want := (quota.Claim{Organization: "acme", Resource: quota.Connections, ID: "shop", Amount: 1}); len(a.released) != 1 || a.released[0] != want {
		t.Errorf("released %+v; want %+v", a.released, want)
	}
	a.err = quota.Exceeded(quota.Connections, 3, 3)
	if err := c.Take(t.Context(), "acme", quota.Connections, "shop", 1); !errors.Is(err, a.err) {
		t.Errorf("over the limit: %v", err)
	}
}
