package limits

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/problem"
)

func TestAllow(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	r := NewRate(2, 4, func() time.Time { return now })
	h := http.Header{}
	for i := range 4 {
		if err := r.Allow("ada", h); err != nil {
			t.Fatalf("request %d of a burst of 4: %v", i+1, err)
		}
	}
	err := r.Allow("ada", h)
	p := problem.From(err)
	if p.Code != problem.CodeRateLimited || p.Status != http.StatusTooManyRequests || p.RetryAfter() != 500*time.Millisecond {
		t.Fatalf("over the limit: %v, again after %v", err, p.RetryAfter())
	}
	if h.Get("RateLimit") != `"default";r=0;t=2` || h.Get("RateLimit-Policy") != `"default";q=4;w=2` {
		t.Errorf("headers %v", h)
	}
	if err := r.Allow("bob", h); err != nil {
		t.Errorf("another caller: %v", err)
	}
	now = now.Add(500 * time.Millisecond)
	if err := r.Allow("ada", h); err != nil {
		t.Errorf("after the wait it named: %v", err)
	}
}

func TestNoLimit(t *testing.T) {
	r := NewRate(0, 0, time.Now)
	h := http.Header{}
	for range 1000 {
		if err := r.Allow("ada", h); err != nil || len(h) != 0 {
			t.Fatalf("%v, headers %v", err, h)
		}
	}
}

func TestTheCallersRememberedAreBounded(t *testing.T) {
	r := NewRate(1, 1, time.Now)
	for i := range maxCallers + 10 {
		_ = r.Allow(fmt.Sprint(i), http.Header{}) // only who is remembered counts here
	}
	if len(r.callers) != maxCallers || r.seen.Len() != maxCallers {
		t.Errorf("%d and %d callers remembered, want %d", len(r.callers), r.seen.Len(), maxCallers)
	}
	if _, ok := r.callers["0"]; ok {
		t.Error("the one longest unseen is remembered")
	}
}
