package sync

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/runs"
)

// Module is the routes of the syncs.
type Module struct {
	syncs *Service
	feed  feed
}

// NewModule serves the syncs. Who follows one hears something every heartbeat.
func NewModule(s *Service, heartbeat time.Duration) *Module {
	return &Module{s, feed{askAgain, heartbeat}}
}

// Name implements group.Module.
func (m *Module) Name() string { return "sync" }

// Routes implements group.Module.
func (m *Module) Routes(r *group.Routes) {
	read, write := group.Needs("integrations.sync:read"), group.Needs("integrations.sync:write")
	group.Post(r, "/runs", m.start, write, group.About(integrationsapi.KindConnection, "body.connection_id"), group.Status(http.StatusAccepted), group.Problems(404, 409),
		group.Doc("Start a sync", "One sync of a connection's stream runs at a time: a second is refused with `sync_running` and the Location of the first."))
	group.Post(r, "/pause", m.pause, write, group.About(integrationsapi.KindConnection, "body.connection_id"), group.Problems(404, 409),
		group.Doc("Pause a connection", "Its syncs wait where they are, and none starts until it is resumed: not by hand, nor by the schedule or a webhook. Pausing it again changes nothing."))
	group.Post(r, "/resume", m.resume, write, group.About(integrationsapi.KindConnection, "body.connection_id"), group.Problems(404, 409),
		group.Doc("Resume a connection", "Syncs that waited go on where they were, and what changed meanwhile is synced within a minute. Resuming one that is not paused changes nothing else."))
	group.Get(r, "/runs", m.list, read, group.Doc("List syncs, newest first"))
	group.Get(r, "/runs/{id}", m.show, read, group.Problems(404), group.Doc("Show a sync"))
	group.Post(r, "/runs/{id}/cancel", m.cancel, write, group.About(integrationsapi.KindSync, "path.id"), group.Problems(404, 409),
		group.Doc("Cancel a sync", "What it has kept stays; the next sync goes on from there."))
	group.Get(r, "/quarantine", m.quarantine, read, group.About(integrationsapi.KindConnection, "query.connection_id"),
		group.Doc("List records that did not validate", "They stop no sync. An entry goes when its vendor sends a good version, when a sync that reads far enough back does not meet it any more, or 30 days after it was last met."))
	group.Get(r, "/quarantine/{id}", m.bad, read, group.Problems(404), group.Doc("Show a record that did not validate", "With what the vendor wrote."))
	group.Post(r, "/quarantine/{id}/replay", m.replay, write, group.About(kindBad, "path.id"), group.Status(http.StatusAccepted), group.Problems(404, 409),
		group.Doc("Read a record that did not validate again", "Starts a sync of its stream from where it was met, which reads everything that changed since."))
	group.Delete(r, "/quarantine/{id}", m.discard, write, group.About(kindBad, "path.id"), group.Problems(404), group.Doc("Discard a record that did not validate"))
	group.Stream(r, "/runs/{id}/events", m.events, read, group.Problems(404),
		group.Doc("Follow a sync",
			"Server-sent events, each with the sync as JSON: `progress` at once and whenever it changed, and `end` when it has ended. Silence is broken by comments.",
			"A stream without `end` was cut: ask again with the id of the last event as Last-Event-ID. After `end`, the answer to that is 204."))
}

func location(id string) string { return "/api/integrations/sync/runs/" + url.PathEscape(id) }

// StartInput is a sync to start.
type StartInput struct {
	Body struct {
		ConnectionID string `json:"connection_id" minLength:"1" maxLength:"100" doc:"Connection to sync" example:"0197a3f2-1111-7000-8000-000000000001"`
		Mode         Mode   `json:"mode" enum:"backfill,incremental,full" doc:"backfill reads everything, incremental what changed since the last sync; full reads everything and then removes what the vendor has no more" example:"backfill"`
		Stream       string `json:"stream,omitempty" maxLength:"40" doc:"Kind of data; the vendor's first when missing" example:"orders"`
	}
}

// StartOutput is a sync that was started.
type StartOutput struct {
	Location string `header:"Location" doc:"Where the sync is"`
	Body     View
}

func (m *Module) start(ctx context.Context, in *StartInput) (*StartOutput, error) {
	return m.started(ctx)(m.syncs.Start(ctx, identity.Organization(ctx), Input{
		ConnectionID: in.Body.ConnectionID, Stream: in.Body.Stream, Mode: in.Body.Mode,
	}))
}

// started answers with a sync that was started.
func (m *Module) started(ctx context.Context) func(runs.Run, error) (*StartOutput, error) {
	return func(run runs.Run, err error) (*StartOutput, error) {
		if err != nil {
			return nil, err
		}
		audit.On(ctx, integrationsapi.KindSync+":"+run.ID)
		v, err := view(run)
		if err != nil {
			return nil, err
		}
		return &StartOutput{location(run.ID), v}, nil
	}
}

// ListInput selects a page of syncs.
type ListInput struct {
	ConnectionID string `query:"connection_id" maxLength:"100" doc:"Syncs of this connection only"`
	Cursor       string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before, with the same connection_id"`
	Limit        int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Most syncs of the page"`
}

// ListView is a page of syncs.
type ListView struct {
	Items      []View `json:"items" nullable:"false" doc:"Syncs, newest first"`
	NextCursor string `json:"next_cursor,omitempty" doc:"The cursor of the next page; missing on the last" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

func (m *Module) list(ctx context.Context, in *ListInput) (*ListView, error) {
	page, err := m.syncs.Runs.List(ctx, identity.Organization(ctx), Kind, in.ConnectionID, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	out := &ListView{Items: []View{}, NextCursor: page.Next}
	for _, run := range page.Runs {
		v, err := view(run)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, v)
	}
	return out, nil
}

// ConnectionInput names a connection to pause or resume.
type ConnectionInput struct {
	Body struct {
		ConnectionID string `json:"connection_id" minLength:"1" maxLength:"100" doc:"Connection to pause or resume" example:"0197a3f2-1111-7000-8000-000000000001"`
	}
}

func (m *Module) pause(ctx context.Context, in *ConnectionInput) (*connection.View, error) {
	return m.paused(m.syncs.Pause(ctx, identity.Organization(ctx), in.Body.ConnectionID))
}

func (m *Module) resume(ctx context.Context, in *ConnectionInput) (*connection.View, error) {
	return m.paused(m.syncs.Resume(ctx, identity.Organization(ctx), in.Body.ConnectionID))
}

func (m *Module) paused(c connection.Connection, err error) (*connection.View, error) {
	if err != nil {
		return nil, err
	}
	v := m.syncs.Connections.View(c)
	return &v, nil
}

// RunInput names a sync.
type RunInput struct {
	ID string `path:"id" maxLength:"128" doc:"Id of the sync" example:"0197a3f2-2222-7000-8000-000000000001"`
}

func (m *Module) show(ctx context.Context, in *RunInput) (*View, error) {
	run, err := m.syncs.Get(ctx, identity.Organization(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	v, err := view(run)
	return &v, err
}

func (m *Module) cancel(ctx context.Context, in *RunInput) (*View, error) {
	run, err := m.syncs.Cancel(ctx, identity.Organization(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	v, err := view(run)
	return &v, err
}

// kindBad is the kind of resource that a record in quarantine is.
const kindBad = "quarantined"

// QuarantineInput selects a page of records that did not validate.
type QuarantineInput struct {
	ConnectionID string `query:"connection_id" maxLength:"100" doc:"Records of this connection only"`
	Cursor       string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before, with the same connection_id"`
	Limit        int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Most records of the page"`
}

func (m *Module) quarantine(ctx context.Context, in *QuarantineInput) (*BadRecords, error) {
	page, err := m.syncs.Quarantine(ctx, identity.Organization(ctx), in.ConnectionID, in.Cursor, in.Limit)
	return &page, err
}

// BadInput names a record that did not validate.
type BadInput struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the entry" example:"9f86d081884c7d659a2feaa0c55ad015"`
}

func (m *Module) bad(ctx context.Context, in *BadInput) (*BadRecord, error) {
	one, err := m.syncs.Bad(ctx, identity.Organization(ctx), in.ID)
	return &one, err
}

func (m *Module) replay(ctx context.Context, in *BadInput) (*StartOutput, error) {
	return m.started(ctx)(m.syncs.Replay(ctx, identity.Organization(ctx), in.ID))
}

func (m *Module) discard(ctx context.Context, in *BadInput) (*group.None, error) {
	return &group.None{}, m.syncs.Discard(ctx, identity.Organization(ctx), in.ID)
}

// EventsInput names a sync to follow.
type EventsInput struct {
	RunInput
	LastEventID string `header:"Last-Event-ID" maxLength:"100" doc:"Id of the last event that the client has seen; it is not sent again" example:"9f86d081884c7d65"`
}

func (m *Module) events(ctx context.Context, in *EventsInput) (*huma.StreamResponse, error) {
	read := func(ctx context.Context) (event, error) {
		v, err := m.show(ctx, &in.RunInput)
		if err != nil {
			return event{}, err
		}
		return newEvent(*v)
	}
	now, err := read(ctx)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) { m.feed.follow(hc, in.LastEventID, now, read) }}, nil
}
