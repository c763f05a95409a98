// Package jobs runs what a group does on a schedule. The schedule is kept by Dapr's scheduler (or by Local in this
// process); when it fires, the process that hosts the group runs the job: one run at a time, a burst of missed firings
// as one.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/tandemhq/tandem/pkg/topology"
)

// Job is work that is done on a schedule. Run may be called again after a failure and, while a group moves, by two
// processes at once; it does what is due, so that once more is harmless and a missed time is made up by the next.
type Job struct {
	// Name is unique in the group: lower-case letters, digits and "-".
	Name string
	// Schedule is "@every 15m", "@hourly", "@daily", "@weekly", "@monthly", "@yearly", or six fields "second minute hour
	// day-of-month month day-of-week", in UTC.
	Schedule string
	// Run does the work. Its context ends when the process stops.
	Run func(ctx context.Context) error
}

// Table is the jobs of the groups that this process hosts.
type Table map[topology.Group][]Job

// Registrar keeps schedules and fires them at the process. It is safe for concurrent use.
type Registrar interface {
	// Schedule makes or changes a schedule. One that is the same already is left alone: written anew, an "@every"
	// would count from now, and a process restarted often would never see it fire.
	Schedule(ctx context.Context, name, schedule string) error
	// Delete ends a schedule; one that is not there is no error.
	Delete(ctx context.Context, name string) error
}

// Name is how a group's job is called in a Registrar.
func Name(group topology.Group, job string) string { return string(group) + "." + job }

var (
	namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	parser      = cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
)

// parse checks a schedule and makes it computable, in UTC.
func parse(schedule string) (cron.Schedule, error) {
	if strings.Contains(schedule, "TZ=") {
		return nil, errors.New("schedules are in UTC: a time zone in one is not supported")
	}
	if every, ok := strings.CutPrefix(schedule, "@every "); ok {
		// The parser takes a negative or a sub-second interval for one second.
		if d, err := time.ParseDuration(every); err != nil || d < time.Second {
			return nil, fmt.Errorf("interval %q: want a duration of at least 1s", every)
		}
	}
	return parser.Parse("TZ=UTC " + schedule)
}

func (j Job) check() error {
	if !namePattern.MatchString(j.Name) {
		return fmt.Errorf("name %q: want lower-case letters, digits and \"-\"", j.Name)
	}
	if j.Run == nil {
		return errors.New("has nothing to run")
	}
	if _, err := parse(j.Schedule); err != nil {
		return fmt.Errorf("schedule %q: %w", j.Schedule, err)
	}
	return nil
}
