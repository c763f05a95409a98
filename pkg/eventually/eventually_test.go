package eventually_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandemhq/tandem/pkg/eventually"
)

// judged is a test that fails without the one that watches it.
type judged struct {
	testing.TB
	verdict string
}

func (*judged) Helper() {}

func (j *judged) Fatalf(format string, args ...any) {
	j.verdict = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestWaiting(t *testing.T) {
	for _, c := range []struct {
		name    string
		after   time.Duration // from when on it is so
		took    time.Duration
		verdict string
	}{
		{"at once", 0, 0, ""},
		{"after a while", time.Second, time.Second, ""},
		{"at the last moment", 2 * time.Second, 2 * time.Second, ""},
		{"too late", 3 * time.Second, 2 * time.Second, "not within 2s: dawn: "},
	} {
		for form, wait := range map[string]func(testing.TB, func() bool){
			"not yet": func(t testing.TB, so func() bool) { eventually.Holds(t, 2*time.Second, "dawn", so) },
			"dark": func(t testing.TB, so func() bool) {
				eventually.Succeeds(t, 2*time.Second, "dawn", func() error {
					if !so() {
						return errors.New("dark")
					}
					return nil
				})
			},
		} {
			t.Run(c.name+", "+form, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					j, began := &judged{TB: t}, time.Now()
					var all sync.WaitGroup
					all.Go(func() { wait(j, func() bool { return time.Since(began) >= c.after }) })
					all.Wait()
					want := c.verdict
					if want != "" {
						want += form
					}
					if took := time.Since(began); j.verdict != want || took != c.took {
						t.Errorf("%q after %s, want %q after %s", j.verdict, took, want, c.took)
					}
				})
			})
		}
	}
}
