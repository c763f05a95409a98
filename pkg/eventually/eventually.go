// Package eventually lets a test wait for what comes about by itself: it looks again and again, and the
// test fails when that takes too long.
package eventually

import (
	"errors"
	"testing"
	"time"
)

// pause is the time between two looks.
const pause = 5 * time.Millisecond

var errNotYet = errors.New("not yet")

// Holds waits until condition is true. When it is not within the time given, t fails and ends, saying
// what it waited for.
func Holds(t testing.TB, within time.Duration, what string, condition func() bool) {
	t.Helper()
	Succeeds(t, within, what, func() error {
		if !condition() {
			return errNotYet
		}
		return nil
	})
}

// Succeeds waits until try returns no error. When it does not within the time given, t fails and ends,
// saying what it waited for and the last error.
func Succeeds(t testing.TB, within time.Duration, what string, try func() error) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(pause) {
		err := try()
		if err == nil {
			return
		}
		if time.Since(began) >= within {
			t.Fatalf("not within %s: %s: %v", within, what, err)
		}
	}
}
