// Package limits keeps one caller from taking what is everybody's: a rate per principal, with the
// answer saying what is left (the RateLimit header fields of draft-ietf-httpapi-ratelimit-headers-07).
package limits

import (
	"container/list"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tandemhq/tandem/pkg/problem"
)

// maxCallers bounds the callers remembered; the one longest unseen is forgotten first, with a full
// allowance when it comes back.
const maxCallers = 100_000

// Rate allows each caller PerSecond requests on average and Burst at once, per process.
type Rate struct {
	perSecond float64
	burst     int
	now       func() time.Time

	mu      sync.Mutex
	callers map[string]*list.Element
	seen    *list.List // of *caller, latest first
}

type caller struct {
	name    string
	limiter *rate.Limiter
}

// NewRate limits to perSecond with burst; perSecond 0 means no limit.
func NewRate(perSecond float64, burst int, now func() time.Time) *Rate {
	return &Rate{perSecond: perSecond, burst: burst, now: now, callers: map[string]*list.Element{}, seen: list.New()}
}

// Allow takes one request from name's allowance and says in h what is left of it. Over the limit it
// is a 429 rate_limited with Retry-After.
func (r *Rate) Allow(name string, h http.Header) error {
	if r.perSecond == 0 {
		return nil
	}
	now := r.now()
	l := r.limiter(name)
	allowed := l.AllowN(now, 1)
	left := max(0, int(l.TokensAt(now)))
	untilFull := math.Ceil((float64(r.burst) - l.TokensAt(now)) / r.perSecond)
	h.Set("RateLimit-Policy", fmt.Sprintf(`"default";q=%d;w=%d`, r.burst, int(math.Ceil(float64(r.burst)/r.perSecond))))
	h.Set("RateLimit", fmt.Sprintf(`"default";r=%d;t=%d`, left, int(untilFull)))
	if allowed {
		return nil
	}
	wait := time.Duration((1 - l.TokensAt(now)) / r.perSecond * float64(time.Second))
	return problem.Newf(http.StatusTooManyRequests, problem.CodeRateLimited,
		"more than %g requests a second", r.perSecond).After(wait)
}

func (r *Rate) limiter(name string) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.callers[name]; ok {
		r.seen.MoveToFront(e)
		return e.Value.(*caller).limiter
	}
	if r.seen.Len() >= maxCallers {
		oldest := r.seen.Back()
		delete(r.callers, r.seen.Remove(oldest).(*caller).name)
	}
	c := &caller{name, rate.NewLimiter(rate.Limit(r.perSecond), r.burst)}
	r.callers[name] = r.seen.PushFront(c)
	return c.limiter
}
