// Package skip lets a test go without what a machine lacks: a server, a program, data. It is said loudly, and in CI, where all of it
// has to be, it is a failure.
package skip

import (
	"fmt"
	"os"
	"testing"
)

// Missing ends t because of reason, which says what is not there and how to come by it: skipped, with a line on standard error that go
// test shows also when it passes; failed where CI is in the environment.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s; in CI it must be there", reason)
	}
	fmt.Fprintf(os.Stderr, "SKIPPED: %s: %s\n", t.Name(), reason)
	t.Skipf("SKIPPED: %s", reason)
}
