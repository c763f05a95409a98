package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/tandemhq/tandem/apps/devstack/internal/process"
)

// record is what a run leaves on disk about itself while it lasts, for whoever must end what is left of
// it after a kill.
type record struct {
	RunFile   string          `json:"run_file"`
	Launcher  process.Process `json:"launcher"`
	Processes []recorded      `json:"processes"`
}

// recorded is a process of the run and its part in it: "cli", "auth", "sidecar of auth".
type recorded struct {
	process.Process
	Part string `json:"part"`
}

func recordPath(r Repository) string { return r.path("run.json") }

// readRecord returns the record of the last run that did not remove it; there may be none.
func readRecord(r Repository) (record, error) {
	content, err := os.ReadFile(recordPath(r))
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil
	}
	if err != nil {
		return record{}, fmt.Errorf("read the record of the run: %w", err)
	}
	var found record
	if err := json.Unmarshal(content, &found); err != nil {
		return record{}, fmt.Errorf("read the record of the run in %s: %w", recordPath(r), err)
	}
	return found, nil
}

// write replaces the record as a whole.
func (c record) write(r Repository) error {
	content, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("record the run: %w", err)
	}
	next := recordPath(r) + ".next"
	if err := os.MkdirAll(filepath.Dir(next), 0o700); err != nil {
		return fmt.Errorf("record the run: %w", err)
	}
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return fmt.Errorf("record the run: %w", err)
	}
	if err := os.Rename(next, recordPath(r)); err != nil {
		return fmt.Errorf("record the run: %w", err)
	}
	return nil
}

func removeRecord(r Repository) error {
	if err := os.Remove(recordPath(r)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the record of the run: %w", err)
	}
	return nil
}

// add notes a process once and reports whether it was new.
func (c *record) add(part string, p process.Process) bool {
	if slices.ContainsFunc(c.Processes, func(known recorded) bool { return known.Same(p) }) {
		return false
	}
	c.Processes = append(c.Processes, recorded{Process: p, Part: part})
	return true
}

// part is what a process of the run is, "" if it is not recorded.
func (c record) part(p process.Process) string {
	for _, known := range c.Processes {
		if known.Same(p) {
			return known.Part
		}
	}
	return ""
}
