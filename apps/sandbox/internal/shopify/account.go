package shopify

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"
)

// account is what the sandbox keeps for one shop.
type account struct {
	mu      sync.Mutex
	shop    string
	seed    uint64
	catalog *catalog
	bucket  bucket
	faults  []*Fault
	counts  Counts
	app     installation
}

// Counts are the requests for data and tokens that a shop received.
type Counts struct {
	Total        int            `json:"total"`
	Throttled    int            `json:"throttled"`
	Unauthorized int            `json:"unauthorized"`
	ByOperation  map[string]int `json:"by_operation"` // the operation's name, or its first root field, or the type of grant
	ByFault      map[string]int `json:"by_fault"`     // faults that took effect, by kind
}

// Limits are a shop's cost bucket: what it holds and what it gains a second, in points.
type Limits struct {
	MaximumAvailable float64 `json:"maximum_available"`
	RestoreRate      float64 `json:"restore_rate"`
}

// Validate refuses a bucket that could never pay.
func (l Limits) Validate() error {
	if !(l.MaximumAvailable > 0 && l.RestoreRate >= 0 && l.MaximumAvailable <= 1e12 && l.RestoreRate <= 1e12) {
		return fmt.Errorf("maximum_available must be positive and restore_rate not negative, both at most 1e12")
	}
	return nil
}

// bucket is a leaky bucket of points.
type bucket struct {
	Limits
	available float64
	at        time.Time
}

func (b *bucket) refill(now time.Time) {
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.available = min(b.MaximumAvailable, b.available+passed*b.RestoreRate)
	}
	b.at = now
}

// pay takes points if there are enough.
func (a *account) pay(points int, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bucket.refill(now)
	if a.bucket.available < float64(points) {
		return false
	}
	a.bucket.available -= float64(points)
	return true
}

// refund gives back what a query asked for and did not use.
func (a *account) refund(points int, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bucket.refill(now)
	a.bucket.available = min(a.bucket.MaximumAvailable, a.bucket.available+float64(points))
}

func (a *account) throttle(now time.Time) throttleStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bucket.refill(now)
	return throttleStatus{
		MaximumAvailable:   decimal(a.bucket.MaximumAvailable),
		CurrentlyAvailable: int64(a.bucket.available),
		RestoreRate:        decimal(a.bucket.RestoreRate),
	}
}

func (a *account) limit(l Limits, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bucket = bucket{Limits: l, available: l.MaximumAvailable, at: now}
}

func (a *account) limits() Limits {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bucket.Limits
}

func (a *account) current() *catalog {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.catalog
}

// begin counts a request and lets the faults that wait for requests see it.
func (a *account) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts.Total++
	for _, f := range a.faults {
		f.seen++
	}
}

func (a *account) count(add func(*Counts)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	add(&a.counts)
}

func (a *account) requests() Counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.counts
	c.ByOperation, c.ByFault = maps.Clone(c.ByOperation), maps.Clone(c.ByFault)
	return c
}

func (a *account) forgetRequests() {
	a.count(func(c *Counts) { *c = newCounts() })
}

func newCounts() Counts {
	return Counts{ByOperation: map[string]int{}, ByFault: map[string]int{}}
}

// takeFault uses up the oldest fault that is due and of one of the kinds.
func (a *account) takeFault(kinds ...string) (Fault, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.faults {
		if f.seen <= f.AfterRequests || f.Times == 0 {
			continue
		}
		for _, kind := range kinds {
			if f.Kind == kind {
				if f.Times > 0 {
					f.Times--
				}
				a.counts.ByFault[kind]++
				return *f, true
			}
		}
	}
	return Fault{}, false
}

func (a *account) addFault(f Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f.seen = 0
	a.faults = append(a.faults, &f)
}

func (a *account) clearFaults() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = nil
}

// pendingFaults are those that have not been used up.
func (a *account) pendingFaults() []Fault {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := []Fault{}
	for _, f := range a.faults {
		if f.Times != 0 {
			list = append(list, *f)
		}
	}
	return list
}

func (a *account) pageFaults() pageFaults {
	return pageFaults{
		duplicate: func() bool {
			_, due := a.takeFault(DuplicatePage)
			return due
		},
		reorder: func() (func(int, func(i, j int)), bool) {
			_, due := a.takeFault(ReorderPages)
			return rand.New(rand.NewPCG(a.seed, uint64(a.requests().Total))).Shuffle, due
		},
	}
}
