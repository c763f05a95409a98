package connector

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limited is a connector of which it is known how often its vendor lets an account be asked.
type Limited interface {
	Connector
	Limits() []Limit
}

// Limit is how often a vendor lets an account be asked. All syncs of a connection keep to it together. It is for a vendor that counts
// requests; one that counts something else tells its Page.Budget.
type Limit struct {
	// Name tells a vendor's limits apart; one has none.
	Name string
	// Streams are those that keep to it; empty for all others.
	Streams []string
	// Path is how the paths of the requests end that count; empty for all.
	Path string
	// Windows are what the vendor's documentation says, all of which hold; none where only answers tell.
	Windows []Window
	// Told is how answers tell more.
	Told Told
}

// Window is how many requests may be made in any time of that length.
type Window struct {
	Requests float64
	Per      time.Duration
}

// Told names what answers say of a limit in their headers; empty where they do not.
type Told struct {
	// Max is how many requests a window allows, Interval how long it is in milliseconds, Remaining how many are left in it, and Reset in
	// how many seconds it ends.
	Max, Interval, Remaining, Reset string
	// Policy has all windows, as "10;w=1, 150;w=60" (draft-ietf-httpapi-ratelimit-headers).
	Policy string
	// Usage are headers with objects of JSON that say which percentage of the limit was used, as Meta's do
	// (developers.facebook.com/docs/graph-api/overview/rate-limiting).
	Usage []string
	// Tiers are the windows of what those objects call ads_api_access_tier.
	Tiers map[string]Window
}

// Limits tells whether answers may say how many requests are allowed.
func (t Told) Limits() bool { return t.Max != "" || t.Policy != "" || len(t.Tiers) > 0 }

// LimitOf is the limit that a stream keeps to, false where the connector declares none.
func LimitOf(c Connector, stream string) (Limit, bool) {
	limited, ok := c.(Limited)
	if !ok {
		return Limit{}, false
	}
	of := func(l Limit) bool { return slices.Contains(l.Streams, stream) }
	all := limited.Limits()
	i := slices.IndexFunc(all, of)
	if i < 0 {
		i = slices.IndexFunc(all, func(l Limit) bool { return len(l.Streams) == 0 })
	}
	if i < 0 {
		return Limit{}, false
	}
	return all[i], true
}

// Limits are how often vendors may be asked where that is not what their connectors declare: windows by the vendor's name, or * for all,
// with the limit's name behind a dot where it has one.
type Limits map[string][]Window

// ParseLimits reads limits such as "190/10s", or "none", where only what answers tell counts.
func ParseLimits(texts map[string]string) (Limits, error) {
	all := Limits{}
	for name, text := range texts {
		if text == "none" {
			all[name] = nil
			continue
		}
		number, length, _ := strings.Cut(text, "/")
		requests, err := strconv.ParseFloat(number, 64)
		per, failed := time.ParseDuration(length)
		if err != nil || failed != nil || !(requests >= 1) || math.IsInf(requests, 0) || per < time.Millisecond {
			return nil, fmt.Errorf("the limit of %q is %q: say how many requests are allowed in which time, such as 100/10s, or none", name, text)
		}
		all[name] = []Window{{requests, per}}
	}
	return all, nil
}

// Check tells which name is none of a vendor, or of a limit of it.
func (all Limits) Check(vendors []Connector) error {
	known := []string{"*"}
	for _, c := range vendors {
		known = append(known, c.Vendor())
		if limited, ok := c.(Limited); ok {
			for _, l := range limited.Limits() {
				known = append(known, c.Vendor()+"."+l.Name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(known, name) || strings.HasSuffix(name, ".") {
			return fmt.Errorf("there is a limit of %q, but no such vendor, or no such limit of it", name)
		}
	}
	return nil
}

// Of is a vendor's limit as it is here. One with a name is told apart, and follows that of the vendor only when that is none.
func (all Limits) Of(vendor string, l Limit) Limit {
	names := []string{vendor, "*"}
	if l.Name != "" {
		names = []string{vendor + "." + l.Name}
		for _, name := range []string{vendor, "*"} {
			if windows, ok := all[name]; ok && windows == nil {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		if windows, ok := all[name]; ok {
			l.Windows = windows
			break
		}
	}
	return l
}

const (
	// atOnce is the part of a window's requests that may be made at once, and never less than one: the rest comes evenly.
	atOnce = 0.03
	// pace is the part of a limit that is used, as requests may arrive closer together than they were sent.
	pace = 0.98
)

// Bucket is windows as points, of which each request takes one, and a page at most cost of them at once: so filled, no time of a window's
// length has more requests than it allows. Its Rate is 0 without windows.
func Bucket(windows []Window, cost float64) (b Budget) {
	for i, w := range windows {
		if most := max(1, min(cost, w.Requests/2), atOnce*w.Requests); i == 0 || most < b.Max {
			b.Max = most
		}
	}
	for i, w := range windows { // what there is at first, and what comes in the window, is less than one more than allowed
		if rate := pace * (w.Requests + 1 - b.Max) / w.Per.Seconds(); i == 0 || rate < b.Rate {
			b.Rate = rate
		}
	}
	b.Left, b.Windows = b.Max, windows
	return b
}

// said is what an answer says of a limit.
type said struct {
	windows []Window
	// left is how many requests there are in the narrowest window, where that is known.
	left  float64
	known bool
	// wait is how long to wait once nothing is left.
	wait time.Duration
}

// read reads an answer's headers; declared are the windows that hold otherwise.
func (t Told) read(h http.Header, declared []Window) (s said) {
	s.windows = t.windows(h)
	s.left, s.known = number(h, t.Remaining)
	if reset, ok := number(h, t.Reset); ok {
		s.wait = Seconds(reset)
	} else if millis, ok := number(h, t.Interval); ok {
		s.wait = Seconds(millis / 1000)
	}
	var used usage
	for _, name := range t.Usage {
		var said any
		if json.Unmarshal([]byte(h.Get(name)), &said) == nil {
			used.add(said)
		}
	}
	if used.regain > 0 {
		s.wait = used.regain
	}
	if !used.known {
		return s
	}
	if of, ok := t.Tiers[used.tier]; ok {
		s.windows = []Window{of}
	}
	all := s.windows
	if len(all) == 0 {
		all = declared
	}
	if len(all) > 0 {
		s.left, s.known = all[0].Requests*max(0, 100-used.percent)/100, true
		if s.wait == 0 { // of a window that moves on, a little is always about to come
			s.wait = all[0].Per / 60
		}
	}
	return s
}

// windows are those that headers name.
func (t Told) windows(h http.Header) (list []Window) {
	most, ok := number(h, t.Max)
	millis, timed := number(h, t.Interval)
	if ok && timed && most >= 1 && millis >= 1 {
		list = append(list, Window{most, time.Duration(millis * float64(time.Millisecond))})
	}
	if t.Policy == "" {
		return list
	}
	for _, item := range strings.Split(h.Get(t.Policy), ",") {
		text, parameters, _ := strings.Cut(strings.TrimSpace(item), ";")
		most, err := strconv.ParseFloat(text, 64)
		for _, parameter := range strings.Split(parameters, ";") {
			length, found := strings.CutPrefix(strings.TrimSpace(parameter), "w=")
			if seconds, failed := strconv.ParseFloat(length, 64); found && err == nil && failed == nil && most >= 1 && Seconds(seconds) > 0 {
				list = append(list, Window{most, Seconds(seconds)})
			}
		}
	}
	return list
}

// Wait is how long the headers of a refusal say to wait; 0 where they do not.
func (t Told) Wait(h http.Header) time.Duration { return t.read(h, nil).wait }

// number is a header's; false where there is none, or none that can be.
func number(h http.Header, name string) (float64, bool) {
	if name == "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(h.Get(name)), 64)
	return n, err == nil && n >= 0 && !math.IsInf(n, 0)
}

// usage is the largest use that objects tell of.
type usage struct {
	known   bool
	percent float64
	regain  time.Duration
	tier    string
}

// add reads an object, and those in it.
func (u *usage) add(said any) {
	switch said := said.(type) {
	case []any:
		for _, one := range said {
			u.add(one)
		}
	case map[string]any:
		for name, value := range said {
			n, _ := value.(float64)
			switch name {
			case "call_count", "total_time", "total_cputime", "acc_id_util_pct":
				u.known, u.percent = true, max(u.percent, n)
			case "estimated_time_to_regain_access":
				u.regain = max(u.regain, Seconds(60*n))
			case "ads_api_access_tier":
				u.tier, _ = value.(string)
			default:
				u.add(value)
			}
		}
	}
}

// Meter counts the requests of a page and keeps what the last answer says of the limit.
type Meter struct {
	limit Limit
	mu    sync.Mutex
	cost  float64
	said  said
}

type meterKey struct{}

// Metered has the requests that are made with the context counted for a limit.
func (l Limit) Metered(ctx context.Context) (context.Context, *Meter) {
	m := &Meter{limit: l}
	return context.WithValue(ctx, meterKey{}, m), m
}

// meter notes an answer, or that none came.
func meter(r *http.Request, resp *http.Response) {
	m, _ := r.Context().Value(meterKey{}).(*Meter)
	if m == nil || !strings.HasSuffix(r.URL.Path, m.limit.Path) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cost++
	if resp == nil {
		return
	}
	now := m.limit.Told.read(resp.Header, m.limit.Windows)
	if len(now.windows) == 0 {
		now.windows = m.said.windows
	}
	m.said = now
}

// Budget is what the vendor allows after the requests; its Rate is 0 where only their number is known.
func (m *Meter) Budget() *Budget {
	m.mu.Lock()
	defer m.mu.Unlock()
	windows := m.limit.Windows
	if len(m.said.windows) > 0 {
		windows = m.said.windows
	}
	b := Bucket(windows, 1)
	b.Cost = m.cost
	switch {
	case m.said.known && m.said.left < 1:
		b.Left = -m.said.wait.Seconds() * b.Rate
	case m.said.known:
		b.Left = min(b.Left, m.said.left)
	}
	return &b
}
