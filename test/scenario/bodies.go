package scenario

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Bodies are the scenarios that hold in every topology, by name.
var Bodies = map[string]func(*testing.T, Site){
	"slice":           Slice,
	"sessions":        Sessions,
	"lockout":         Lockout,
	"bad input":       BadInput,
	"idempotency":     Idempotency,
	"every operation": EveryOperation,
	"stream":          Stream,
	"vendor faults":   VendorFaults,
}

// OrdersFile is the CDNOW orders beside the repository. Without them the sandbox generates its own, and
// the exact figures are not checked; in CI that is a failure.
func OrdersFile(t testing.TB) (string, bool) {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(here), "../../../shared/data/cdnow_orders.csv")
	if named := os.Getenv("SANDBOX_ORDERS"); named != "" {
		path = named
	}
	_, err := os.Stat(path)
	switch {
	case err == nil:
		return path, true
	case errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") != "true":
		t.Logf("NOT CHECKED: the figures of the CDNOW orders, because %s is not there (set SANDBOX_ORDERS)", path)
		return "", false
	default:
		t.Fatalf("the CDNOW orders: %v", err)
		return "", false
	}
}
