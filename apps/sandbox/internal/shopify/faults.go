package shopify

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Kinds of faults. All but the two of pages replace or disturb the whole answer.
const (
	Throttle       = "throttle"        // answered as THROTTLED, whatever the bucket holds, with HTTP 200, or Status
	Error500       = "error500"        // HTTP 500, or Status
	HTML           = "html"            // an HTML page with HTTP 200, or Status
	Timeout        = "timeout"         // no answer: the connection is dropped after DelayMS, 60,000 when 0
	Truncated      = "truncated"       // the first half of the answer, then the connection is dropped
	Slow           = "slow"            // the right answer after DelayMS, 1,000 when 0
	ExpiredToken   = "expired_token"   // HTTP 401 as for a revoked token
	DropConnection = "drop_connection" // the connection is dropped at once
	DuplicatePage  = "duplicate_page"  // a page after the first begins with up to a fifth of its length from the page before
	ReorderPages   = "reorder_pages"   // the nodes of a page in another order; pageInfo stays true
)

var requestFaults = []string{Throttle, Error500, HTML, Timeout, Truncated, Slow, ExpiredToken, DropConnection}

// Fault is a fault to simulate. A fault of a page waits until a request has a page
// that it can spoil; a request meets at most one of the other kinds.
type Fault struct {
	Kind          string `json:"kind"`
	Times         int    `json:"times"`          // requests still to be met; negative means until cleared
	AfterRequests int    `json:"after_requests"` // requests let through first, counted from when the fault was set
	DelayMS       int    `json:"delay_ms,omitempty"`
	Status        int    `json:"status,omitempty"` // overrides the HTTP status of throttle, error500 and html

	seen int
}

// Validate names what is wrong with a fault.
func (f Fault) Validate() error {
	known := append(slices.Clone(requestFaults), DuplicatePage, ReorderPages)
	switch {
	case !slices.Contains(known, f.Kind):
		return fmt.Errorf("kind %q is not one of %s", f.Kind, strings.Join(known, ", "))
	case f.AfterRequests < 0 || f.DelayMS < 0 || f.DelayMS > 600_000:
		return fmt.Errorf("after_requests and delay_ms must not be negative, delay_ms at most 600000")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d is not between 200 and 599", f.Status)
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

func (f Fault) status(fallback int) int {
	if f.Status != 0 {
		return f.Status
	}
	return fallback
}
