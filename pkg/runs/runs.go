// Package runs executes long operations that survive everything: a killed process, a killed sidecar, a group that moves
// to another app-id.
//
// A run is a record in its group's store and a row of small steps. Each step takes the record's cursor and returns the
// next; the record is written after every step, under a lease that lets one process at a time work on it. What calls the
// steps, an Executor, is replaceable and may lose everything it knows: a run whose lease or wait has passed is adopted by
// whichever process hosts the group now, and goes on at its cursor. So a step may be executed twice, and is written to
// have the same effect then.
package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNotFound    = errors.New("no such run")
	ErrUnknownKind = errors.New("no such kind of run")
	ErrOtherRun    = errors.New("a run of another kind or organization has this id")
	ErrFinished    = errors.New("the run has finished")
	ErrBadID       = errors.New("malformed run id")
)

// Status is where a run stands.
type Status string

// Queued and Running are on their way; the others are final.
const (
	Queued    Status = "queued"
	Running   Status = "running"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// Final tells whether nothing more will happen.
func (s Status) Final() bool { return s == Succeeded || s == Failed || s == Cancelled }

// Run is the record of one operation.
type Run struct {
	// ID is unique in the group.
	ID string `json:"id"`
	// Kind is the Kind's name.
	Kind string `json:"kind"`
	// Organization is the tenant that the run works for.
	Organization string `json:"organization"`
	// About is what List finds the run by: what its input, as a Subject, says; empty for other inputs.
	About string `json:"about,omitempty"`
	// Input is what Start was given.
	Input json.RawMessage `json:"input,omitempty"`
	// Cursor is where the next step goes on: what the last one returned, nothing before the first.
	Cursor json.RawMessage `json:"cursor,omitempty"`
	// Progress is what the last step that had any to tell told.
	Progress json.RawMessage `json:"progress,omitempty"`
	Status   Status          `json:"status"`
	// Error says why the run failed, or what its last step failed with while it is being retried.
	Error *Error `json:"error,omitempty"`
	// Steps counts the steps that were finished.
	Steps int `json:"steps"`
	// Failures counts the steps that failed since the last one that did not.
	Failures int `json:"failures,omitempty"`
	// Attempt counts the executions that were launched: 1, and one more each time the run was adopted.
	Attempt int `json:"attempt"`
	// Stalls counts the adoptions since the last step that finished.
	Stalls     int        `json:"stalls,omitempty"`
	CreatedAt  store.Time `json:"created_at"`
	StartedAt  store.Time `json:"started_at,omitzero"`
	FinishedAt store.Time `json:"finished_at,omitzero"`
	// Lease is who works on the run.
	Lease Lease `json:"lease,omitzero"`
	// WakeAt is when a waiting run goes on.
	WakeAt store.Time `json:"wake_at,omitzero"`
	// Woken says that the wait which the step at work may ask for is over already.
	Woken bool `json:"woken,omitempty"`
	// DueAt is when the run, if nothing was heard of it until then, is adopted; none when it has finished.
	DueAt *store.Time `json:"due_at,omitempty"`
	// AwaitedAt is since when the run's next step might have been done: the end of the one before, or of the wait that it asked
	// for. Steps that fail leave it as it is. None when the run has finished.
	AwaitedAt *store.Time `json:"awaited_at,omitempty"`
	// TraceParent is the W3C trace context of whoever started the run.
	TraceParent string `json:"traceparent,omitempty"`
}

// Lease is a process's right to work on a run.
type Lease struct {
	// Owner is the process; nobody when empty.
	Owner string `json:"owner,omitempty"`
	// Until is when the lease ends by itself.
	Until store.Time `json:"until,omitzero"`
}

// Error is why a run failed, for its owner's eyes.
type Error struct {
	// Code is stable: a problem's code, or CodeFailed.
	Code string `json:"code"`
	// Message is one sentence.
	Message string `json:"message"`
}

// Subject is an input that says what its run is about, such as the id of a connection, by which List finds it.
type Subject interface{ About() string }

// CodeFailed is the code of an error that is no problem.
const CodeFailed = "run_failed"

// Into decodes the run's input and, when there is one, its cursor. Either may be nil.
func (r Run) Into(input, cursor any) error {
	for _, part := range []struct {
		name string
		data json.RawMessage
		into any
	}{{"input", r.Input, input}, {"cursor", r.Cursor, cursor}} {
		if part.into == nil || len(part.data) == 0 {
			continue
		}
		if err := json.Unmarshal(part.data, part.into); err != nil {
			return Permanent(fmt.Errorf("decode %s of run %s: %w", part.name, r.ID, err))
		}
	}
	return nil
}

// Kind is a kind of run.
type Kind struct {
	// Name is unique in the group: lower-case letters, digits, "." and "-".
	Name string
	// Step does the next small part of the work, within seconds, and says how to go on. It has the same effect when it
	// is done twice from the same cursor, even at the same time. Its context ends when the lease is lost, the run is
	// cancelled or the process stops. An error is retried with growing pauses, or after the pause it names (see
	// RetryAfter), unless it is Permanent; a panic is an error.
	Step func(ctx context.Context, run Run) (Next, error)
	// MaxFailures is how many steps may fail in a row before the run fails; 12 when zero, which takes about half an hour.
	MaxFailures int
	// OnFailed makes the messages that are stored with the record when the run fails or is cancelled. Optional.
	OnFailed func(ctx context.Context, run Run) ([]store.Message, error)
}

// Next is how a run goes on after a step. The zero value is another step at once, with the same cursor.
type Next struct {
	// Cursor is where the next step goes on, as JSON; nil keeps the one there is.
	Cursor any
	// Progress is what readers of the run see, as JSON; nil keeps what there is.
	Progress any
	// Wait is how long to wait before the next step. Nothing is held meanwhile.
	Wait time.Duration
	// Done ends the run successfully.
	Done bool
	// Messages are stored with the record, atomically.
	Messages []store.Message
}

// Permanent marks an error of a step that will be the same however often it is tried. The run fails with the code of the
// problem in it, if there is one.
func Permanent(err error) error { return permanent{err} }

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// RetryAfter marks an error of a step that is worth another try after a pause, such as a vendor's throttling. It does not
// count as a failure of the step.
func RetryAfter(pause time.Duration, err error) error { return retry{err, pause} }

type retry struct {
	error
	pause time.Duration
}

func (r retry) Unwrap() error { return r.error }

// RetryAfter is the pause.
func (r retry) RetryAfter() time.Duration { return r.pause }

// Key names an execution of a run. It is all that an Executor knows and keeps.
type Key struct {
	Group   topology.Group `json:"group"`
	Run     string         `json:"run"`
	Attempt int            `json:"attempt"`
}

// String is the key as an instance id.
func (k Key) String() string { return fmt.Sprintf("%s.%s.%d", k.Group, k.Run, k.Attempt) }

// Outcome is what became of a slice of work.
type Outcome struct {
	// Done says that this execution has nothing more to do: the run finished, or belongs to another execution.
	Done bool `json:"done,omitempty"`
	// Wait is how long to wait before the next slice, when not done.
	Wait time.Duration `json:"wait,omitempty"`
}

// Drive executes a slice of a run: steps, until there is something to wait for, nothing left to do, or about a second
// has passed.
type Drive func(ctx context.Context, key Key) (Outcome, error)

// Executor calls a Drive again and again until it is done. It is shared by the groups of a process.
type Executor interface {
	// Host tells which groups' runs to drive, before Start.
	Host(group topology.Group, drive Drive)
	// Start begins to drive what was and will be launched; ctx bounds the start only.
	Start(ctx context.Context) error
	// Launch begins an execution and returns when it has been accepted. The same key twice is allowed.
	Launch(ctx context.Context, key Key) error
	// Stop cancels the slices at work and waits for them, at most until ctx is done. What was launched is left to
	// whoever adopts it.
	Stop(ctx context.Context) error
}

var (
	idPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	kindPattern = regexp.MustCompile(`^[a-z][a-z0-9.-]*$`)
)
