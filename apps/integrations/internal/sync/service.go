// Package sync brings the records of connections up to date: it starts syncs, one at a time for each stream of a
// connection, and is the engine that pulls pages through any connector, keeps them, and goes on after any interruption
// where it was.
package sync

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/jobs"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Kind is the kind of run that a sync is.
const Kind = "sync"

// Every is how often each connection is synced on the schedule.
const Every = 15 * time.Minute

// Codes of this package's problems.
const (
	CodeRunning  = "sync_running"
	CodeFinished = "sync_finished"
)

// Mode is how much a sync reads.
type Mode string

const (
	// Backfill reads everything that the vendor has.
	Backfill Mode = "backfill"
	// Incremental reads what changed since the last sync; everything when there was none.
	Incremental Mode = "incremental"
	// Full reads everything that the vendor has, and removes what it has not.
	Full Mode = "full"
)

// Input is what a sync is to do. It is the input of its run.
type Input struct {
	ConnectionID string `json:"connection_id"`
	Stream       string `json:"stream"`
	Mode         Mode   `json:"mode"`
	// Since is from when on what changed is read; zero for what Mode says.
	Since store.Time `json:"since,omitzero"`
	// Scheduled tells that nobody asked for the sync.
	Scheduled bool `json:"scheduled,omitempty"`
	// By is who had it started, as Start finds it.
	By connection.Actor `json:"by,omitzero"`
}

// About implements runs.Subject.
func (in Input) About() string { return in.ConnectionID }

// Options are what a Service works with; all but Limit and Metrics are required.
type Options struct {
	DB          store.DB
	Runs        *runs.Runner
	Connections *connection.Service
	Records     *records.Service
	Emit        events.Emitter
	// Limit is what a vendor's limit is here, where that is not what its connector declares; nil where it always is.
	Limit func(vendor string, declared connector.Limit) connector.Limit
	// Metrics takes the series tandem_sync_….
	Metrics prometheus.Registerer
	Now     func() time.Time
	NewID   func() string
}

// Service starts, reads and cancels syncs. It is safe for concurrent use.
type Service struct {
	Options
	claims *store.Collection[claim]
	bad    *store.Collection[bad]
	sent   *store.Collection[sent]
	// budgets are what vendors allow, by connection.
	budgets *store.Collection[budget]
	counts  counts
}

// claim is the right of one run to sync a stream of a connection. It ends when the run does; the next one replaces it.
type claim struct {
	RunID string `json:"run_id"`
	Input Input  `json:"input"`
}

// New opens the syncs.
func New(ctx context.Context, o Options) (*Service, error) {
	claims, err := store.Tenant[claim](ctx, o.DB, store.Def{Name: "sync-claims"})
	if err != nil {
		return nil, fmt.Errorf("open syncs: %w", err)
	}
	quarantine, err := openQuarantine(ctx, o.DB)
	if err != nil {
		return nil, fmt.Errorf("open the quarantine: %w", err)
	}
	marks, err := openSent(ctx, o.DB)
	if err != nil {
		return nil, fmt.Errorf("open what vendors have sent: %w", err)
	}
	budgets, err := openBudgets(ctx, o.DB)
	if err != nil {
		return nil, fmt.Errorf("open the budgets of syncs: %w", err)
	}
	c, err := newCounts(o.Metrics)
	if err != nil {
		return nil, err
	}
	return &Service{o, claims, quarantine, marks, budgets, c}, nil
}

// Start begins a sync of an organization's connection. Errors are problems: not_found, connection_disconnected,
// connection_needs_attention, connection_paused, sync_running with the Location of the one that runs (409), validation_failed for a stream
// that the vendor does not have.
func (s *Service) Start(ctx context.Context, organization string, in Input) (runs.Run, error) {
	c, err := s.Connections.Get(ctx, organization, in.ConnectionID)
	if err != nil {
		return runs.Run{}, err
	}
	if err := c.Syncable(); err != nil {
		return runs.Run{}, err
	}
	if streams := s.streams(c.Vendor); in.Stream == "" && len(streams) > 0 {
		in.Stream = streams[0].Name
	}
	if _, ok := s.stream(c.Vendor, in.Stream); !ok {
		return runs.Run{}, problem.Invalid("body.stream", c.Vendor+" has no such stream")
	}
	in.By = connection.ActorOf(ctx)
	for {
		run, err := s.tryStart(ctx, organization, in)
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
			return run, err
		}
		// Somebody else made a claim in between, and is now found.
		if ctx.Err() != nil {
			return runs.Run{}, ctx.Err()
		}
	}
}

func (s *Service) tryStart(ctx context.Context, organization string, in Input) (runs.Run, error) {
	claims, id := s.claims.In(organization), in.ConnectionID+"."+in.Stream
	held, err := claims.Get(ctx, id)
	switch {
	case err == nil:
		run, err := s.claimed(ctx, organization, held.Value)
		if err != nil {
			return runs.Run{}, err
		}
		if !run.Status.Final() {
			return runs.Run{}, problem.Newf(http.StatusConflict, CodeRunning, "sync %s of this connection is running", run.ID).
				Header("Location", location(run.ID))
		}
	case !errors.Is(err, store.ErrNotFound):
		return runs.Run{}, fmt.Errorf("read the claim: %w", err)
	}
	mine := claim{RunID: s.NewID(), Input: in}
	if held.Version == 0 {
		_, err = claims.Insert(ctx, id, mine)
	} else {
		held.Value = mine
		_, err = claims.Replace(ctx, held)
	}
	if err != nil {
		return runs.Run{}, fmt.Errorf("claim the connection: %w", err)
	}
	return s.claimed(ctx, organization, mine)
}

// claimed is the run that holds a claim. One that is not there yet, because whoever claimed was killed before it could start
// it, or is about to, is started: its id is the claim's, so that it is one run whoever starts it.
func (s *Service) claimed(ctx context.Context, organization string, c claim) (runs.Run, error) {
	run, err := s.Runs.Start(ctx, Kind, organization, c.RunID, c.Input)
	if err != nil {
		return runs.Run{}, fmt.Errorf("start the sync: %w", err)
	}
	return run, nil
}

// Get reads an organization's sync: a problem not_found.
func (s *Service) Get(ctx context.Context, organization, id string) (runs.Run, error) {
	run, err := s.Runs.Get(ctx, organization, id)
	if errors.Is(err, runs.ErrNotFound) || err == nil && run.Kind != Kind {
		return runs.Run{}, problem.NotFound("sync").Wrap(err)
	}
	return run, err
}

// Cancel ends an organization's sync: a problem not_found or sync_finished (409). What it has kept stays.
func (s *Service) Cancel(ctx context.Context, organization, id string) (runs.Run, error) {
	if _, err := s.Get(ctx, organization, id); err != nil {
		return runs.Run{}, err
	}
	run, err := s.Runs.Cancel(ctx, organization, id)
	if errors.Is(err, runs.ErrFinished) {
		return runs.Run{}, problem.New(http.StatusConflict, CodeFinished, "the sync has ended already").Wrap(err)
	}
	return run, err
}

// Pause has an organization's connection be left alone: syncs that run wait where they are, and none starts. Errors are
// problems: not_found and connection_disconnected.
func (s *Service) Pause(ctx context.Context, organization, id string) (connection.Connection, error) {
	return s.Connections.Pause(ctx, organization, id)
}

// Resume undoes Pause: syncs that wait go on, and the schedule starts the others within a minute. Errors are problems as of Pause.
func (s *Service) Resume(ctx context.Context, organization, id string) (connection.Connection, error) {
	c, err := s.Connections.Resume(ctx, organization, id)
	if err != nil {
		return c, err
	}
	var failures []error
	for _, stream := range s.streams(c.Vendor) {
		held, err := s.claims.In(organization).Get(ctx, id+"."+stream.Name)
		if err == nil {
			err = s.Runs.Wake(ctx, organization, held.Value.RunID)
		}
		if !errors.Is(err, store.ErrNotFound) && !errors.Is(err, runs.ErrNotFound) && !errors.Is(err, runs.ErrFinished) {
			failures = append(failures, err)
		}
	}
	return c, errors.Join(failures...)
}

// Job starts the syncs that are due on the schedule. It looks every minute, since connections fall due at times of their
// own.
func (s *Service) Job() jobs.Job {
	return jobs.Job{Name: "incremental-sync", Schedule: "@every 1m", Run: s.startDue}
}

func (s *Service) startDue(ctx context.Context) error {
	return s.Connections.EachDue(ctx, func(ctx context.Context, organization, id string) error {
		ctx = identity.AsGroup(ctx, topology.Integrations, organization)
		c, err := s.Connections.Get(ctx, organization, id)
		if err != nil {
			return err
		}
		var failures []error
		for _, stream := range s.streams(c.Vendor) {
			_, err := s.Start(ctx, organization, Input{ConnectionID: id, Stream: stream.Name, Mode: Incremental, Scheduled: true})
			if err != nil && problem.Code(err) != CodeRunning {
				failures = append(failures, fmt.Errorf("sync %s of connection %s: %w", stream.Name, id, err))
			}
		}
		return errors.Join(failures...)
	})
}

func (s *Service) streams(vendor string) []connector.Stream {
	if c := s.Connections.Connector(vendor); c != nil {
		return c.Streams()
	}
	return nil
}

func (s *Service) stream(vendor, name string) (connector.Stream, bool) {
	for _, stream := range s.streams(vendor) {
		if stream.Name == name {
			return stream, true
		}
	}
	return connector.Stream{}, false
}
