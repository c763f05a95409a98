package call

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/topology"
)

// A callee that did not answer this often in a row is left alone for a while; then one call tries.
const (
	opensAfter = 5
	staysOpen  = 5 * time.Second
)

// circuits keeps one circuit breaker a callee. Dapr's own cannot serve: it takes every 4xx for a failure
// and keeps one breaker a path, so six wrong passwords close the login to everybody
// (docs/decisions tells what was measured).
type circuits struct {
	mu sync.Mutex
	of map[topology.Group]*gobreaker.CircuitBreaker[*http.Response]
}

func (c *circuits) to(g topology.Group) *gobreaker.CircuitBreaker[*http.Response] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.of[g]; ok {
		return b
	}
	if c.of == nil {
		c.of = map[topology.Group]*gobreaker.CircuitBreaker[*http.Response]{}
	}
	b := gobreaker.NewCircuitBreaker[*http.Response](gobreaker.Settings{ //nolint:bodyclose // the caller of Send closes it
		Name: string(g), Timeout: staysOpen,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= opensAfter },
		// What the callee itself answered, whatever it says, is a sign of life.
		IsSuccessful: func(err error) bool { return !errors.As(err, new(unanswered)) },
		// A caller that left says nothing of the callee.
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
	})
	c.of[g] = b
	return b
}

// through does the exchange unless the circuit to g is open.
func (c *circuits) through(g topology.Group, exchange func() (*http.Response, error)) (*http.Response, error) {
	resp, err := c.to(g).Execute(exchange)
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return nil, Unanswered(g, problem.CodeCircuitOpen, err)
	}
	return resp, err
}
