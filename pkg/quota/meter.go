package quota

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// reportEvery is how often API calls are reported where MeterConfig does not say.
	reportEvery = 5 * time.Second
	// reportMax is how many organizations are in one report.
	reportMax = 1000
	// lastReport is how long the end of the process waits for the last report.
	lastReport = 2 * time.Second
)

// MeterConfig is what a Meter needs.
type MeterConfig struct {
	Authority Authority
	// Every is the interval between reports; 5 s when zero.
	Every time.Duration
	Now   func() time.Time
	NewID func() string
	Log   *slog.Logger
}

// Meter counts the API calls of one process and refuses those of organizations that have used up their month. It never asks
// while a request waits: it counts, and learns with its reports who is over. So an organization can go over its limit by what
// it calls within one interval, and a process that is killed (kill -9, a power cut) forgets what it counted since its last
// report, one interval at most. While auth cannot be reached nobody is refused for more, and the counts wait.
//
// It is a component, and safe for concurrent use.
type Meter struct {
	c        MeterConfig
	reporter string

	mu      sync.RWMutex
	current *tally
	past    []*tally // months that are over and not reported whole

	reporting sync.Mutex
	cancel    context.CancelFunc
	done      chan struct{}
}

// tally is one month.
type tally struct {
	month         Month
	organizations map[string]*counter // under Meter.mu
}

type counter struct {
	organization string
	calls        atomic.Int64
	over         atomic.Pointer[Overrun]
	reported     int64 // under Meter.reporting
}

// NewMeter is a meter that has counted nothing.
func NewMeter(c MeterConfig) *Meter {
	if c.Every == 0 {
		c.Every = reportEvery
	}
	return &Meter{c: c, reporter: c.NewID(), current: newTally(c.Now())}
}

func newTally(now time.Time) *tally { return &tally{MonthOf(now), map[string]*counter{}} }

// Allow counts one API call of an organization: 429 quota_exceeded, and nothing counted, for one that has used up its month.
// A call of no organization is not counted.
func (m *Meter) Allow(organization string) error {
	if organization == "" {
		return nil
	}
	now := m.c.Now()
	c, month := m.counter(organization, now)
	if over := c.over.Load(); over != nil {
		return exceededUntil(*over, month.To.Sub(now))
	}
	c.calls.Add(1)
	return nil
}

func (m *Meter) counter(organization string, now time.Time) (*counter, Month) {
	m.mu.RLock()
	t := m.current
	c := t.organizations[organization]
	m.mu.RUnlock()
	if c != nil && t.month.has(now) {
		return c, t.month
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !now.Before(m.current.month.To) { // a clock that was set back goes on with the later month
		m.past = append(m.past, m.current)
		m.current = newTally(now)
	}
	t = m.current
	if c = t.organizations[organization]; c == nil {
		c = &counter{organization: organization}
		t.organizations[organization] = c
	}
	return c, t.month
}

// Flush reports now. An error means that some of what was counted waits for the next report.
func (m *Meter) Flush(ctx context.Context) error {
	m.reporting.Lock()
	defer m.reporting.Unlock()
	m.mu.Lock()
	tallies := append(append([]*tally(nil), m.past...), m.current)
	m.mu.Unlock()
	for _, t := range tallies {
		if err := m.report(ctx, t); err != nil {
			return fmt.Errorf("report API calls of %s: %w", t.month.Name, err)
		}
	}
	m.forget(m.c.Now())
	return nil
}

// report tells what is new in a month, and of those that are over whether they still are: a plan may have changed.
func (m *Meter) report(ctx context.Context, t *tally) error {
	m.mu.RLock()
	var due []*counter
	for _, c := range t.organizations {
		if c.calls.Load() != c.reported || c.over.Load() != nil && t == m.current {
			due = append(due, c)
		}
	}
	m.mu.RUnlock()
	for len(due) > 0 {
		n := min(len(due), reportMax)
		if err := m.send(ctx, t.month, due[:n]); err != nil {
			return err
		}
		due = due[n:]
	}
	return nil
}

func (m *Meter) send(ctx context.Context, month Month, due []*counter) error {
	r := Report{Reporter: m.reporter, Month: month.Name, Calls: make([]Calls, len(due))}
	for i, c := range due {
		r.Calls[i] = Calls{c.organization, c.calls.Load()}
	}
	standing, err := m.c.Authority.ReportCalls(ctx, r)
	if err != nil {
		return err
	}
	over := make(map[string]*Overrun, len(standing.Over))
	for i, o := range standing.Over {
		over[o.Organization] = &standing.Over[i]
	}
	for i, c := range due {
		c.reported = r.Calls[i].Calls
		c.over.Store(over[c.organization])
	}
	return nil
}

// forget drops the months that are over and reported whole, an interval after their end: a request may have found its
// counter before the end and count after it.
func (m *Meter) forget(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := m.past[:0]
	for _, t := range m.past {
		if now.Sub(t.month.To) < m.c.Every || !t.reported() {
			kept = append(kept, t)
		}
	}
	clear(m.past[len(kept):])
	m.past = kept
}

func (t *tally) reported() bool {
	for _, c := range t.organizations {
		if c.calls.Load() != c.reported {
			return false
		}
	}
	return true
}

// Start begins to report.
func (m *Meter) Start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m.cancel, m.done = cancel, make(chan struct{})
	go func() {
		defer close(m.done)
		tick := time.NewTicker(m.c.Every)
		defer tick.Stop()
		failing := false
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			err := m.flushWithin(ctx, m.c.Every)
			if err != nil && !failing && ctx.Err() == nil {
				m.c.Log.WarnContext(ctx, "API calls are counted and not reported; nobody is refused for them meanwhile", "error", err)
			}
			failing = err != nil
		}
	}()
	return nil
}

func (m *Meter) flushWithin(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return m.Flush(ctx)
}

// Stop reports a last time and ends. A process must be able to end without auth, so what cannot be reported is lost.
func (m *Meter) Stop(ctx context.Context) error {
	if m.cancel == nil {
		return nil
	}
	m.cancel()
	<-m.done
	if err := m.flushWithin(ctx, lastReport); err != nil {
		m.c.Log.WarnContext(ctx, "the API calls of the last seconds are not counted", "error", err)
	}
	return nil
}
