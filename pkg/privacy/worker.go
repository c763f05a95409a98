package privacy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

const (
	// runKind is the kind of run that a request is in each group.
	runKind = "privacy"
	// maxFailures is about a day of trying, which is how long a request waits for its parts.
	maxFailures = 300
	// outboxWindow is how many messages that wait are looked at; of more some may be about anybody.
	outboxWindow = 1000
	// outboxPause is long enough for a broker to come back.
	outboxPause = time.Minute
	// sliceTime is how long one step erases, which is what a crash makes the count forget.
	sliceTime = 5 * time.Second
	again     = time.Second
)

// Config is what a Worker works with. All but Personal are required.
type Config struct {
	// Group is whose part it delivers.
	Group topology.Group
	// DB is the group's database, from which organizations are erased.
	DB store.DB
	// Runs are the group's durable runs.
	Runs      *runs.Runner
	Authority Authority
	Personal  Personal
	// Settle is how long after an organization was erased it is erased once more, of what was still under way then, before the
	// group confirms. What the group keeps outside of its database, such as answers to idempotency keys, must be gone by then.
	Settle time.Duration
	Log    *slog.Logger
}

// Worker does a group's part of requests. It is safe for concurrent use.
type Worker struct {
	c Config
	// turn is whose erasure goes on: a database writes for one at a time, and the others' slices would pass while they wait.
	turn chan struct{}
}

// New makes a group's worker. Mount its Handlers and its Kind.
func New(c Config) (*Worker, error) {
	if c.Group == "" || c.DB == nil || c.Runs == nil || c.Authority == nil || c.Settle <= 0 || c.Log == nil {
		return nil, errors.New("open privacy: group, database, runs, authority, time to settle and log are required")
	}
	return &Worker{c: c, turn: make(chan struct{}, 1)}, nil
}

// job is the input of a run.
type job struct {
	Kind         Kind   `json:"kind"`
	Request      string `json:"request,omitempty"`
	Organization string `json:"organization"`
}

// eraseOrganization is a job beside those of requests.
const eraseOrganization Kind = "erase_organization"

// Handlers take what is announced. An event that comes again finds its run.
func (w *Worker) Handlers() []events.Handler {
	return []events.Handler{
		events.On(Requested, func(ctx context.Context, e events.Event[Request]) error {
			return w.start(ctx, "data-"+e.Data.ID, e.Data.OrganizationID, job{e.Data.Kind, e.Data.ID, e.Data.OrganizationID})
		}),
		events.On(OrganizationErasing, func(ctx context.Context, e events.Event[Erasing]) error {
			// The run belongs to nobody: those of the organization are erased. It stays as the group's proof.
			return w.start(ctx, "erase-"+e.ID, "", job{Kind: eraseOrganization, Organization: e.Data.OrganizationID})
		}),
	}
}

func (w *Worker) start(ctx context.Context, id, organization string, j job) error {
	if !slices.Contains([]Kind{Export, ErasePerson, eraseOrganization}, j.Kind) {
		return events.Poison(fmt.Errorf("data request of kind %q", j.Kind))
	}
	_, err := w.c.Runs.Start(ctx, runKind, organization, id, j)
	if errors.Is(err, runs.ErrBadID) || errors.Is(err, runs.ErrOtherRun) {
		err = events.Poison(err)
	}
	return err
}

// Kind makes the work a kind of durable run.
func (w *Worker) Kind() runs.Kind {
	return runs.Kind{Name: runKind, MaxFailures: maxFailures, Step: w.step}
}

// progress is the cursor of a run that erases.
type progress struct {
	Documents int64 `json:"documents"`
	Erased    bool  `json:"erased"`
	// Settled says that an organization was erased once more.
	Settled bool `json:"settled,omitempty"`
}

func (w *Worker) step(ctx context.Context, run runs.Run) (runs.Next, error) {
	var j job
	var at progress
	if err := run.Into(&j, &at); err != nil {
		return runs.Next{}, err
	}
	var err error
	switch {
	case j.Kind == Export:
		err = w.export(ctx, j)
	case !at.Erased || j.Kind == eraseOrganization && !at.Settled:
		return w.erase(ctx, j, at)
	case j.Kind == eraseOrganization:
		err = w.c.Authority.OrganizationErased(ctx, j.Organization, w.c.Group, at.Documents)
	default:
		err = w.c.Authority.Deliver(ctx, j.Request, w.c.Group, Part{Documents: at.Documents})
	}
	if err != nil {
		return runs.Next{}, final(err)
	}
	w.c.Log.InfoContext(ctx, "did our part of a data request", "kind", j.Kind, "request", j.Request, "organization", j.Organization,
		"documents", at.Documents)
	return runs.Next{Done: true}, nil
}

func (w *Worker) export(ctx context.Context, j job) error {
	var part Part
	if w.c.Personal.Export != nil {
		p, err := w.c.Authority.Person(ctx, j.Request)
		if err != nil {
			return err
		}
		data, err := w.c.Personal.Export(ctx, p)
		if err != nil {
			return fmt.Errorf("export what is known of a person: %w", err)
		}
		if data != nil {
			if part.Data, err = json.Marshal(data); err != nil {
				return runs.Permanent(fmt.Errorf("encode what is known of a person: %w", err))
			}
		}
	}
	if size := len(part.Data); size > MaxPart-1024 { // the rest is what surrounds it
		part = Part{Problem: fmt.Sprintf("%d bytes are more than an export takes", size)}
	}
	return w.c.Authority.Deliver(ctx, j.Request, w.c.Group, part)
}

// erase erases for a while. What was erased before an error counts, and the error is met again if it lasts.
func (w *Worker) erase(ctx context.Context, j job, at progress) (runs.Next, error) {
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return runs.Next{}, context.Cause(ctx)
	}
	slice, cancel := context.WithTimeout(ctx, sliceTime)
	defer cancel()
	var n int64
	var err error
	if j.Kind == eraseOrganization {
		n, err = w.c.DB.EraseOrganization(slice, j.Organization)
	} else {
		n, err = w.erasePerson(slice, j)
	}
	at.Documents += n
	switch {
	case err != nil && n > 0:
		return runs.Next{Cursor: at, Wait: again}, nil
	case err != nil:
		return runs.Next{}, final(err)
	case j.Kind != eraseOrganization:
		at.Erased = true
		return runs.Next{Cursor: at}, nil
	case !at.Erased:
		at.Erased = true
		return runs.Next{Cursor: at, Wait: w.c.Settle}, nil
	}
	waiting, err := w.unpublished(ctx, j.Organization)
	if err != nil || waiting {
		return runs.Next{Cursor: at, Wait: outboxPause}, err
	}
	at.Settled = true
	return runs.Next{Cursor: at}, nil
}

// unpublished tells whether messages about an organization may be waiting for the broker still.
func (w *Worker) unpublished(ctx context.Context, organization string) (bool, error) {
	waiting, err := w.c.DB.Outbox().Pending(ctx, outboxWindow)
	if err != nil {
		return false, fmt.Errorf("look for messages about an organization: %w", err)
	}
	return len(waiting) == outboxWindow || slices.ContainsFunc(waiting, func(m store.Message) bool {
		return bytes.Contains(m.Data, []byte(organization))
	}), nil
}

func (w *Worker) erasePerson(ctx context.Context, j job) (int64, error) {
	if w.c.Personal.Erase == nil {
		return 0, nil
	}
	p, err := w.c.Authority.Person(ctx, j.Request)
	if err != nil {
		return 0, err
	}
	return w.c.Personal.Erase(ctx, p)
}

// final marks the answers that will be the same however often the auth group is asked.
func final(err error) error {
	var p *problem.Problem
	if errors.As(err, &p) && slices.Contains([]int{http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity}, p.Status) {
		return runs.Permanent(err)
	}
	return err
}
