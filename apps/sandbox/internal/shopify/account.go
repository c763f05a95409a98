package shopify

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// account is what the sandbox keeps for one shop.
type account struct {
	mu      sync.Mutex
	shop    string
	seed    uint64
	catalog *catalog
	bucket  bucket
	app     installation
	hooks   vendor.Hooks
	vendor.Desk
}

// TheHooks are the shop's webhooks.
func (a *account) TheHooks() *vendor.Hooks { return &a.hooks }

// TheDesk is where the shop's requests are counted.
func (a *account) TheDesk() *vendor.Desk { return &a.Desk }

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
	// spent is what was taken since the bucket has its limits.
	spent float64
}

// bucketView is a bucket as the admin endpoint shows it.
type bucketView struct {
	Limits
	Available float64 `json:"currently_available"`
	Spent     float64 `json:"spent"`
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
	a.bucket.spent += float64(points)
	return true
}

// refund gives back what a query asked for and did not use.
func (a *account) refund(points int, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bucket.refill(now)
	a.bucket.available = min(a.bucket.MaximumAvailable, a.bucket.available+float64(points))
	a.bucket.spent -= float64(points)
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

func (a *account) limits(now time.Time) bucketView {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bucket.refill(now)
	return bucketView{a.bucket.Limits, a.bucket.available, a.bucket.spent}
}

func (a *account) current() *catalog {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.catalog
}

func (a *account) pageFaults() pageFaults {
	return pageFaults{
		duplicate: func() bool {
			_, due := a.Take(vendor.DuplicatePage)
			return due
		},
		reorder: func() (func(int, func(i, j int)), bool) {
			_, due := a.Take(vendor.ReorderPages)
			return rand.New(rand.NewPCG(a.seed, uint64(a.Requests().Total))).Shuffle, due
		},
	}
}
