// Package doctor finds what would go wrong with a run file before it is run, and with a run while it runs.
//
// Each rule is a Check: a function that looks at one thing and says what is wrong, why that matters and what to do.
// What is read from files is in the Environment; what is asked of the machine goes through Machine, so that a test
// can be any machine.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/pkg/group"
)

// Severity says whether a finding stops the platform from working.
type Severity string

const (
	// Error is something that does not work, or loses data, or opens a door.
	Error Severity = "error"
	// Warning is something that works here and now.
	Warning Severity = "warning"
)

// Finding is one thing that would bite. It never contains a secret.
type Finding struct {
	Severity Severity `json:"severity"`
	// What is wrong, and where.
	What string `json:"what"`
	// Why it matters.
	Why string `json:"why"`
	// Fix is what to do.
	Fix string `json:"fix"`
}

// Check looks at one thing. It returns nothing when all is well, or when what it looks at cannot be read: that is a
// finding of another check.
type Check func(context.Context, Environment) []Finding

// Options are what to examine, and with what.
type Options struct {
	// Root is the repository: the folder of bin and .dapr.
	Root string
	// RunFile is the run file of the Dapr CLI.
	RunFile string
	// Environ is the environment in which the CLI would be started, as "NAME=value".
	Environ []string
	// Installed says that the Dapr of the machine is used and not the repository's.
	Installed bool
	// Groups are the declarations of all groups.
	Groups []group.Spec
	// Machine answers what is not in a file.
	Machine Machine
	// HTTP asks sidecars and apps. Its timeout bounds each question.
	HTTP *http.Client
	// Now is the clock that those of the apps are compared with.
	Now func() time.Time
	// NewID makes the key of a state item that is written and deleted.
	NewID func() string
}

// Checks are all checks: those of files, those of the machine, and those of a run, which find nothing while nothing
// runs.
func Checks() []Check {
	return []Check{
		unreadable,
		rendered,
		configuration,
		places,
		tokens,
		scopes,
		required,
		keyPrefix,
		consumers,
		componentTypes,
		resolver,
		commas,
		hostAddress,
		openAPI,
		secretStores,

		portNumbers,
		portsTaken,
		programs,
		daprVersions,
		dataFolders,
		mongoDB,
		dataVersions,

		sidecars,
		loaded,
		subscriptions,
		readiness,
		clocks,
		sharedState,
	}
}

// Examine reads the files and makes every check. Errors come first, otherwise findings are in the order of Checks;
// a finding that several apps share is there once.
func Examine(ctx context.Context, o Options) []Finding {
	e := read(ctx, o)
	var all []Finding
	for _, check := range Checks() {
		for _, f := range check(ctx, e) {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Finding) int { return strings.Compare(string(a.Severity), string(b.Severity)) })
	return all
}

// Errors counts the findings that are errors.
func Errors(all []Finding) int {
	n := 0
	for _, f := range all {
		if f.Severity == Error {
			n++
		}
	}
	return n
}

// Print writes findings for a person, or that there are none.
func Print(w io.Writer, all []Finding) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "nothing found")
		return err
	}
	for _, f := range all {
		if _, err := fmt.Fprintf(w, "%s: %s\n  why: %s\n  fix: %s\n", f.Severity, f.What, f.Why, f.Fix); err != nil {
			return err
		}
	}
	return nil
}

// PrintJSON writes findings for a machine: an array, empty when there are none.
func PrintJSON(w io.Writer, all []Finding) error {
	if all == nil {
		all = []Finding{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(all)
}
