package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Bodies are the scenarios that hold in every topology, by name.
var Bodies = map[string]func(*testing.T, Site){
	"slice":                Slice,
	"sessions":             Sessions,
	"lockout":              Lockout,
	"profile":              Profile,
	"passwords":            Passwords,
	"devices":              Devices,
	"emails":               Emails,
	"roles":                Roles,
	"grants":               Grants,
	"second factors":       SecondFactors,
	"API keys":             APIKeys,
	"audit log":            AuditLog,
	"policies":             Policies,
	"personal data":        PersonalData,
	"identity providers":   IdentityProviders,
	"organizations":        Organizations,
	"plans":                Plans,
	"ending":               Ending,
	"bad input":            BadInput,
	"idempotency":          Idempotency,
	"every operation":      EveryOperation,
	"another tenant's ids": AnotherTenantsIDs,
	"stream":               Stream,
	"vendor faults":        VendorFaults,
	"a person":             Person,
	"records":              Records,
	"persons":              Persons,
	"authorizations":       Authorizations,
	"credentials":          Credentials,
	"vendors":              Vendors,
	"webhooks":             Webhooks,
}

// FindOrders is the path of the CDNOW orders: SANDBOX_ORDERS, or the file beside the repository. The
// path is empty where the latter is not there.
func FindOrders() (string, error) {
	path := os.Getenv("SANDBOX_ORDERS")
	named := path != ""
	if !named {
		_, here, _, _ := runtime.Caller(0)
		path = filepath.Join(filepath.Dir(here), "../../../shared/data/cdnow_orders.csv")
	}
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("the CDNOW orders: %w", err)
	}
	return path, nil
}

// OrdersFile is FindOrders for tests. Without the orders the sandbox generates its own, and the exact
// figures are not checked; in CI that is a failure.
func OrdersFile(t testing.TB) (string, bool) {
	t.Helper()
	path, err := FindOrders()
	switch {
	case err != nil:
		t.Fatal(err)
	case path == "" && os.Getenv("CI") == "true":
		t.Fatal("the CDNOW orders are not beside the repository, and SANDBOX_ORDERS names none")
	case path == "":
		t.Log("NOT CHECKED: the figures of the CDNOW orders, because they are not beside the repository (set SANDBOX_ORDERS)")
	}
	return path, path != ""
}
