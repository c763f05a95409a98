package measure

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Memory is what the processes of a run hold resident, in bytes, by name.
type Memory struct {
	// Apps are the platform's processes, by app-id; Sidecars those beside them.
	Apps, Sidecars map[string]int64
	// Files is how much of Apps are pages of files, nearly all of them the program's own, of which the
	// machine has one copy however many processes run it. Systems other than Linux do not tell.
	Files map[string]int64
	// Rest is the Dapr CLI, devstack with its sidecar, placement and scheduler.
	Rest map[string]int64
}

// MemoryOf asks for the memory of a run that records itself below data (see devstack run). Apps are the
// app-ids of the platform in it.
func MemoryOf(data string, apps []string) (Memory, error) {
	processes, err := recorded(data)
	if err != nil {
		return Memory{}, err
	}
	m := Memory{map[string]int64{}, map[string]int64{}, map[string]int64{}, map[string]int64{}}
	for _, p := range processes {
		bytes, files, err := resident(p.PID)
		if errors.Is(err, os.ErrProcessDone) {
			continue // the record keeps those that have come and gone
		}
		if err != nil {
			return Memory{}, fmt.Errorf("memory of %s: %w", p.Part, err)
		}
		beside, isSidecar := strings.CutPrefix(p.Part, "sidecar of ")
		switch {
		case isSidecar && slices.Contains(apps, beside):
			m.Sidecars[beside] += bytes
		case slices.Contains(apps, p.Part):
			m.Apps[p.Part] += bytes
			m.Files[p.Part] += files
		default:
			m.Rest[p.Part] += bytes
		}
	}
	if len(m.Apps) != len(apps) || len(m.Sidecars) != len(apps) {
		return Memory{}, fmt.Errorf("the run's record has the apps %v and sidecars of %v, want those of %v", m.Apps, m.Sidecars, apps)
	}
	return m, nil
}

// process is one of a run, by what it records of itself.
type process struct {
	PID  int    `json:"pid"`
	Part string `json:"part"`
}

func recorded(data string) ([]process, error) {
	text, err := os.ReadFile(filepath.Join(data, "run.json"))
	if err != nil {
		return nil, fmt.Errorf("read the record of the run: %w", err)
	}
	var record struct {
		Processes []process `json:"processes"`
	}
	if err := json.Unmarshal(text, &record); err != nil {
		return nil, fmt.Errorf("read the record of the run: %w", err)
	}
	return record.Processes, nil
}

// Usage is what the processes of a part of a run have used since they began: time of processors, of user and system together.
type Usage map[string]time.Duration

// UsageOf asks for the usage of a run that records itself below data, by part: an app-id, "sidecar of" one, or "devstack", which has the
// simulated vendors.
func UsageOf(data string) (Usage, error) {
	processes, err := recorded(data)
	if err != nil {
		return nil, err
	}
	usage := Usage{}
	for _, p := range processes {
		used, err := processorTime(p.PID)
		if errors.Is(err, os.ErrProcessDone) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("time of %s: %w", p.Part, err)
		}
		usage[p.Part] += used
	}
	return usage, nil
}

// Private is what the apps hold beside pages of files.
func (m Memory) Private() map[string]int64 {
	private := maps.Clone(m.Apps)
	for app := range private {
		private[app] -= m.Files[app]
	}
	return private
}

// Sum adds up the processes of one kind.
func Sum(processes map[string]int64) int64 {
	var sum int64
	for _, bytes := range processes {
		sum += bytes
	}
	return sum
}

// Largest is the process that holds most.
func Largest(processes map[string]int64) (name string, bytes int64) {
	for n, b := range processes {
		if b > bytes || b == bytes && n < name {
			name, bytes = n, b
		}
	}
	return name, bytes
}
