package telemetry

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/tandemhq/tandem/pkg/topology"
)

// CallRate is how often a group calls another from this process.
type CallRate struct {
	From topology.Group `json:"from"`
	To   topology.Group `json:"to"`
	// Total counts calls since the process started.
	Total int64 `json:"total"`
	// PerSecond is the rate now: an average that forgets with a time constant of a minute.
	PerSecond float64 `json:"per_second"`
}

// forgetting is the time constant of a rate.
const forgetting = time.Minute

// callRates keeps a decaying rate for each pair of groups. It is safe for concurrent use.
type callRates struct {
	mu    sync.Mutex
	edges map[edge]*rate
}

type edge struct{ from, to topology.Group }

type rate struct {
	total  int64
	weight float64 // calls, each worth less the longer ago it was
	at     time.Time
}

func (r *rate) decayed(now time.Time) float64 {
	return r.weight * math.Exp(-now.Sub(r.at).Seconds()/forgetting.Seconds())
}

func (c *callRates) count(from, to topology.Group, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.edges[edge{from, to}]
	if r == nil {
		r = &rate{at: now}
		c.edges[edge{from, to}] = r
	}
	r.weight, r.at = r.decayed(now)+1, now
	r.total++
}

func (c *callRates) list(now time.Time) []CallRate {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]CallRate, 0, len(c.edges))
	for e, r := range c.edges {
		perSecond := r.decayed(now) / forgetting.Seconds()
		list = append(list, CallRate{e.from, e.to, r.total, math.Round(perSecond*1000) / 1000})
	}
	slices.SortFunc(list, func(a, b CallRate) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return list
}
