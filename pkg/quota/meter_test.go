package quota_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/quota"
)

// books are an authority that keeps the last report of each process, and who has which limit. It is also the clock.
type books struct {
	quota.Authority

	mu      sync.Mutex
	now     time.Time
	last    map[string]int64 // by organization, month and reporter
	limits  map[string]int64
	largest int
	reports int
	err     error
}

func newBooks() *books {
	return &books{now: time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC), last: map[string]int64{}, limits: map[string]int64{}}
}

func (b *books) Now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *books) ReportCalls(_ context.Context, r quota.Report) (quota.Standing, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return quota.Standing{}, b.err
	}
	b.reports++
	b.largest = max(b.largest, len(r.Calls))
	var standing quota.Standing
	for _, c := range r.Calls {
		b.last[c.Organization+" "+r.Month+" "+r.Reporter] = c.Calls
		if limit, limited := b.limits[c.Organization]; limited && r.Month == quota.MonthOf(b.now).Name && c.Calls >= limit {
			standing.Over = append(standing.Over, quota.Overrun{Organization: c.Organization, Used: c.Calls, Limit: limit})
		}
	}
	return standing, nil
}

func (b *books) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func (b *books) calls(organization, month, reporter string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last[organization+" "+month+" "+reporter]
}

func newMeter(b *books, name string) *quota.Meter {
	return quota.NewMeter(quota.MeterConfig{
		Authority: b, Now: b.Now, NewID: func() string { return name }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

func flush(t *testing.T, m *quota.Meter) {
	t.Helper()
	if err := m.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func allow(t *testing.T, m *quota.Meter, organization string, times int) {
	t.Helper()
	for range times {
		if err := m.Allow(organization); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCallsAreCountedWhileTheyAreReported(t *testing.T) {
	b := newBooks()
	m := newMeter(b, "p1")
	stop, reporting := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(reporting)
		for {
			select {
			case <-stop:
				return
			default:
				if err := m.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	const callers, each = 8, 2000
	var calling sync.WaitGroup
	for i := range callers {
		calling.Go(func() {
			for range each {
				if err := m.Allow(fmt.Sprintf("org-%d", i%3)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	calling.Wait()
	close(stop)
	<-reporting
	flush(t, m)
	for organization, want := range map[string]int64{"org-0": 3 * each, "org-1": 3 * each, "org-2": 2 * each} {
		if got := b.calls(organization, "2026-01", "p1"); got != want {
			t.Errorf("%s: %d calls counted; want %d", organization, got, want)
		}
	}
}

func TestWhoIsOverIsRefusedUntilTheMonthEnds(t *testing.T) {
	b := newBooks()
	b.limits["acme"] = 3
	m := newMeter(b, "p1")
	allow(t, m, "acme", 5) // nobody is asked while a request waits
	flush(t, m)
	p := problem.From(m.Allow("acme"))
	want := problem.Field{Location: "quota.api_calls", Message: "5 of 3"}
	if p.Status != http.StatusTooManyRequests || p.Code != problem.CodeQuota || p.RetryAfter() != time.Hour || len(p.Errors) != 1 || p.Errors[0] != want {
		t.Errorf("over the limit: %+v, again after %v; want 429 until the month ends", p, p.RetryAfter())
	}
	allow(t, m, "globex", 1)
	flush(t, m)
	if got := b.calls("acme", "2026-01", "p1"); got != 5 {
		t.Errorf("%d calls counted; want 5 without the refused one", got)
	}
	b.set(func() { b.now = b.now.Add(time.Hour) })
	allow(t, m, "acme", 1)
}

func TestARaisedLimitIsHeardOf(t *testing.T) {
	b := newBooks()
	b.limits["acme"] = 1
	m := newMeter(b, "p1")
	allow(t, m, "acme", 1)
	flush(t, m)
	if err := m.Allow("acme"); err == nil {
		t.Fatal("allowed over the limit")
	}
	b.set(func() { b.limits["acme"] = 10 })
	flush(t, m) // nothing was counted, and yet it is asked
	allow(t, m, "acme", 1)
}

func TestNothingNewIsNotReported(t *testing.T) {
	b := newBooks()
	m := newMeter(b, "p1")
	flush(t, m)
	allow(t, m, "acme", 1)
	allow(t, m, "", 1) // a call of no organization
	flush(t, m)
	flush(t, m)
	if b.reports != 1 || len(b.last) != 1 {
		t.Errorf("%d reports of %v; want one", b.reports, b.last)
	}
}

func TestAMonthEndsWithItsOwnFigures(t *testing.T) {
	b := newBooks()
	m := newMeter(b, "p1")
	allow(t, m, "acme", 2)
	b.set(func() { b.err = errors.New("auth is away") })
	if err := m.Flush(t.Context()); err == nil {
		t.Fatal("reported to nobody")
	}
	b.set(func() { b.now = b.now.Add(2 * time.Hour) })
	allow(t, m, "acme", 3)
	b.set(func() { b.err = nil })
	for range 2 { // the second time the old month is forgotten already
		flush(t, m)
		if january, february := b.calls("acme", "2026-01", "p1"), b.calls("acme", "2026-02", "p1"); january != 2 || february != 3 {
			t.Errorf("%d calls in January, %d in February; want 2 and 3", january, february)
		}
	}
	if b.reports != 2 {
		t.Errorf("%d reports; want one a month", b.reports)
	}
}

func TestALostAnswerCountsOnce(t *testing.T) {
	b := newBooks()
	m := newMeter(b, "p1")
	allow(t, m, "acme", 2)
	lost := &losing{books: b}
	m2 := quota.NewMeter(quota.MeterConfig{Authority: lost, Now: b.Now, NewID: func() string { return "p2" }})
	allow(t, m2, "acme", 3)
	if err := m2.Flush(t.Context()); err == nil {
		t.Fatal("the lost answer came")
	}
	allow(t, m2, "acme", 1)
	flush(t, m2)
	flush(t, m)
	if first, second := b.calls("acme", "2026-01", "p1"), b.calls("acme", "2026-01", "p2"); first != 2 || second != 4 {
		t.Errorf("%d and %d calls; want 2 and 4", first, second)
	}
}

// losing loses the answer to the first report, which was counted.
type losing struct {
	*books
	lost bool
}

func (l *losing) ReportCalls(ctx context.Context, r quota.Report) (quota.Standing, error) {
	standing, err := l.books.ReportCalls(ctx, r)
	if !l.lost {
		l.lost = true
		return quota.Standing{}, errors.New("no answer")
	}
	return standing, err
}

func TestManyOrganizationsAreReportedInParts(t *testing.T) {
	b := newBooks()
	m := newMeter(b, "p1")
	const organizations = 2500
	for i := range organizations {
		allow(t, m, fmt.Sprintf("org-%d", i), 1)
	}
	flush(t, m)
	if len(b.last) != organizations || b.largest != 1000 || b.reports != 3 {
		t.Errorf("%d organizations in %d reports of at most %d; want %d in 3 of 1000", len(b.last), b.reports, b.largest, organizations)
	}
}

func TestAMeterReportsByItselfAndALastTime(t *testing.T) {
	b := newBooks()
	m := quota.NewMeter(quota.MeterConfig{
		Authority: b, Every: 2 * time.Millisecond, Now: b.Now, NewID: func() string { return "p1" }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	allow(t, m, "acme", 1)
	for deadline := time.Now().Add(10 * time.Second); b.calls("acme", "2026-01", "p1") != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not reported in 10 s")
		}
	}
	b.set(func() { b.err = errors.New("auth is away") })
	allow(t, m, "acme", 1)
	b.set(func() { b.err = nil })
	if err := m.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.calls("acme", "2026-01", "p1"); got != 2 {
		t.Errorf("%d calls counted after the end; want 2", got)
	}
}

func TestAMeterStopsWithoutAuth(t *testing.T) {
	b := newBooks()
	b.err = errors.New("auth is away")
	m := newMeter(b, "p1")
	if err := m.Stop(t.Context()); err != nil {
		t.Errorf("stop what was not started: %v", err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	allow(t, m, "acme", 1)
	if err := m.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func BenchmarkAllow(b *testing.B) {
	books := newBooks()
	m := quota.NewMeter(quota.MeterConfig{Authority: books, Now: time.Now, NewID: func() string { return "p1" }})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := m.Allow("acme"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
