package vendor

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kinds of faults. All but the two of pages replace or disturb the whole answer.
const (
	Throttle       = "throttle"        // refused as too many requests, whatever the limits say; with Status where the vendor uses several
	Error500       = "error500"        // HTTP 500, or Status
	HTML           = "html"            // an HTML page with HTTP 200, or Status
	Timeout        = "timeout"         // no answer: the connection is dropped after DelayMS, 60,000 when 0
	Truncated      = "truncated"       // the first half of the answer, then the connection is dropped
	Slow           = "slow"            // the right answer after DelayMS, 1,000 when 0
	ExpiredToken   = "expired_token"   // refused as for a revoked token
	DropConnection = "drop_connection" // the connection is dropped at once
	DuplicatePage  = "duplicate_page"  // a page after the first begins with up to a fifth of its length from the page before
	ReorderPages   = "reorder_pages"   // the entries of a page in another order; what it says of itself stays true
	SpoilRecord    = "spoil_record"    // the first entry of a list has null for Field, "id" when empty
)

// RequestFaults are those that a request meets as a whole.
var RequestFaults = []string{Throttle, Error500, HTML, Timeout, Truncated, Slow, ExpiredToken, DropConnection}

// Fault is a fault to simulate. A fault of a page waits until a request has a page
// that it can spoil; a request meets at most one of the other kinds.
type Fault struct {
	Kind          string `json:"kind"`
	Times         int    `json:"times"`          // requests still to be met; negative means until cleared
	AfterRequests int    `json:"after_requests"` // requests let through first, counted from when the fault was set
	DelayMS       int    `json:"delay_ms,omitempty"`
	Field         string `json:"field,omitempty"`
	Status        int    `json:"status,omitempty"` // overrides the HTTP status of throttle, error500 and html

	seen int
}

// Validate names what is wrong with a fault.
func (f Fault) Validate() error {
	known := append(slices.Clone(RequestFaults), DuplicatePage, ReorderPages, SpoilRecord)
	switch {
	case !slices.Contains(known, f.Kind):
		return fmt.Errorf("kind %q is not one of %s", f.Kind, strings.Join(known, ", "))
	case f.AfterRequests < 0 || f.DelayMS < 0 || f.DelayMS > 600_000:
		return fmt.Errorf("after_requests and delay_ms must not be negative, delay_ms at most 600000")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d is not between 200 and 599", f.Status)
	case f.Times == 0:
		return fmt.Errorf("times must not be 0")
	}
	return nil
}

// wait sleeps for the fault's delay; false means that the client left before.
func (f Fault) wait(r *http.Request, fallback time.Duration) bool {
	delay := time.Duration(f.DelayMS) * time.Millisecond
	if delay == 0 {
		delay = fallback
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// StatusOr is the fault's status, or another where it has none.
func (f Fault) StatusOr(fallback int) int {
	if f.Status != 0 {
		return f.Status
	}
	return fallback
}

// Refusals are a vendor's own words for what goes wrong.
type Refusals struct {
	// Broken answers with a status of 500 or more.
	Broken func(w http.ResponseWriter, status int)
	// Unauthorized refuses a token.
	Unauthorized func(w http.ResponseWriter)
}

// Play plays a fault of the whole request; true means go on and answer.
func (f Fault) Play(w http.ResponseWriter, r *http.Request, words Refusals) bool {
	switch f.Kind {
	case Error500:
		words.Broken(w, f.StatusOr(http.StatusInternalServerError))
	case HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(f.StatusOr(http.StatusOK))
		fmt.Fprint(w, "<!DOCTYPE html><html><head><title>Something went wrong</title></head><body><h1>Please try again later</h1></body></html>")
	case ExpiredToken:
		words.Unauthorized(w)
	case DropConnection:
		panic(http.ErrAbortHandler) //nolint:forbidigo // the way to break a connection off
	case Timeout:
		f.wait(r, time.Minute)
		panic(http.ErrAbortHandler) //nolint:forbidigo // the way to break a connection off
	case Slow:
		return f.wait(r, time.Second)
	default:
		return true
	}
	return false
}

// BreakOff sends half of an answer in JSON and drops the connection.
func BreakOff(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler) //nolint:forbidigo // the way to break a connection off
}

// Counts are the requests for data and tokens that an account received.
type Counts struct {
	Total        int            `json:"total"`
	Throttled    int            `json:"throttled"`
	Unauthorized int            `json:"unauthorized"`
	ByOperation  map[string]int `json:"by_operation"` // the operation's name, or the type of grant
	ByFault      map[string]int `json:"by_fault"`     // faults that took effect, by kind
}

// Desk counts an account's requests and keeps the faults that they are to meet. Its zero value has none.
type Desk struct {
	mu     sync.Mutex
	faults []*Fault
	counts Counts
}

// Begin counts a request and lets the faults that wait for requests see it.
func (d *Desk) Begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Total++
	for _, f := range d.faults {
		f.seen++
	}
}

// Count adds to the counts, whose maps are there.
func (d *Desk) Count(add func(*Counts)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.maps()
	add(&d.counts)
}

func (d *Desk) maps() {
	if d.counts.ByOperation == nil {
		d.counts.ByOperation, d.counts.ByFault = map[string]int{}, map[string]int{}
	}
}

// Requests are the counts.
func (d *Desk) Requests() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.maps()
	c := d.counts
	c.ByOperation, c.ByFault = maps.Clone(c.ByOperation), maps.Clone(c.ByFault)
	return c
}

// Forget counts from zero again.
func (d *Desk) Forget() { d.Count(func(c *Counts) { *c = Counts{} }) }

// Take uses up the oldest fault that is due and of one of the kinds.
func (d *Desk) Take(kinds ...string) (Fault, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.maps()
	for _, f := range d.faults {
		if f.seen <= f.AfterRequests || f.Times == 0 || !slices.Contains(kinds, f.Kind) {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		d.counts.ByFault[f.Kind]++
		return *f, true
	}
	return Fault{}, false
}

// Spoil is an answer in JSON with what the faults that spoil records make of it.
func (d *Desk) Spoil(body []byte) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.maps()
	for _, f := range d.faults {
		if f.Kind != SpoilRecord || f.Times == 0 || f.seen <= f.AfterRequests {
			continue
		}
		spoiled, ok := spoil(body, cmp.Or(f.Field, "id"))
		if !ok {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		d.counts.ByFault[f.Kind]++
		body = spoiled
	}
	return body
}

// spoil has the first entry of the first list of entries say null of a field; false where there is no such field.
func spoil(body []byte, field string) ([]byte, bool) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var answer any
	if decoder.Decode(&answer) != nil || !spoilList(answer, field) {
		return body, false
	}
	spoiled, err := json.Marshal(answer)
	return spoiled, err == nil
}

func spoilList(v any, field string) bool {
	switch v := v.(type) {
	case []any:
		return len(v) > 0 && spoilEntry(v[0], field)
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if spoilList(v[name], field) {
				return true
			}
		}
	}
	return false
}

func spoilEntry(v any, field string) bool {
	entry, ok := v.(map[string]any)
	if !ok {
		return false
	}
	if entry[field] != nil {
		entry[field] = nil
		return true
	}
	for _, name := range slices.Sorted(maps.Keys(entry)) {
		if spoilEntry(entry[name], field) {
			return true
		}
	}
	return false
}

// Add sets a fault.
func (d *Desk) Add(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.seen = 0
	d.faults = append(d.faults, &f)
}

// Clear takes all faults back.
func (d *Desk) Clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = nil
}

// Pending are the faults that have not been used up.
func (d *Desk) Pending() []Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := []Fault{}
	for _, f := range d.faults {
		if f.Times != 0 {
			list = append(list, *f)
		}
	}
	return list
}
