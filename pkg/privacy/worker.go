package privacy

import (
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
	Log       *slog.Logger
}

// Worker does a group's part of requests. It is safe for concurrent use.
type Worker struct{ c Config }

// New makes a group's worker. Mount its Handlers and its Kind.
func New(c Config) (*Worker, error) {
	if c.Group == "" || c.DB == nil || c.Runs == nil || c.Authority == nil || c.Log == nil {
		return nil, errors.New("open privacy: group, database, runs, authority and log are required")
	}
	return &Worker{c}, nil
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
			return w.start(ctx, "data-"+e.Data.ID, job{e.Data.Kind, e.Data.ID, e.Data.OrganizationID})
		}),
		events.On(OrganizationErasing, func(ctx context.Context, e events.Event[Erasing]) error {
			return w.start(ctx, "erase-"+e.Data.OrganizationID, job{Kind: eraseOrganization, Organization: e.Data.OrganizationID})
		}),
	}
}

func (w *Worker) start(ctx context.Context, id string, j job) error {
	if !slices.Contains([]Kind{Export, ErasePerson, eraseOrganization}, j.Kind) {
		return events.Poison(fmt.Errorf("data request of kind %q", j.Kind))
	}
	_, err := w.c.Runs.Start(ctx, runKind, j.Organization, id, j)
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
	case !at.Erased:
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
	slice, cancel := context.WithTimeout(ctx, sliceTime)
	defer cancel()
	var n int64
	var err error
	if j.Kind == eraseOrganization {
		n, err = w.eraseOrganization(slice, j.Organization)
	} else {
		n, err = w.erasePerson(slice, j)
	}
	at.Documents += n
	switch {
	case err == nil:
		at.Erased = true
		return runs.Next{Cursor: at}, nil
	case n > 0:
		return runs.Next{Cursor: at, Wait: again}, nil
	}
	return runs.Next{}, final(err)
}

func (w *Worker) eraseOrganization(ctx context.Context, organization string) (int64, error) {
	n, err := w.c.DB.EraseOrganization(ctx, organization)
	if err != nil || w.c.Personal.EraseOrganization == nil {
		return n, err
	}
	more, err := w.c.Personal.EraseOrganization(ctx, organization)
	return n + more, err
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
