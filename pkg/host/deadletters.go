package host

import (
	"context"
	"errors"
	"net/http"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/topology"
)

// deadLetters is a module of every group that takes events: the events of the caller's organization that the group
// could not handle, to look at and to try again.
type deadLetters struct {
	group   topology.Group
	letters *events.DeadLetters
}

func (d deadLetters) Name() string { return "dead-letters" }

func (d deadLetters) Routes(r *group.Routes) {
	permission := string(d.group) + ".dead-letters:"
	group.Get(r, "", d.list, group.Needs(permission+"read"), group.Doc("List the events that this group could not handle"))
	group.Post(r, "/{id}/replay", d.replay, group.Needs(permission+"write"), group.Problems(404, 409), group.Doc("Handle such an event again",
		"It is removed when it succeeds; else the answer is its error."))
	group.Delete(r, "/{id}", d.discard, group.Needs(permission+"write"), group.Problems(404, 409), group.Doc("Discard such an event"))
}

type listInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Most entries in one answer"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before"`
}

type letterID struct {
	ID string `path:"id" doc:"Id of the event"`
}

type letterPage struct {
	Items      []events.DeadLetter `json:"items" nullable:"false" doc:"Events, the newest first"`
	NextCursor string              `json:"next_cursor,omitempty" doc:"Cursor of the next page; absent on the last" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

func (d deadLetters) list(ctx context.Context, in *listInput) (*letterPage, error) {
	page, err := d.letters.List(ctx, identity.Organization(ctx), in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return &letterPage{append([]events.DeadLetter{}, page.Letters...), page.Next}, nil
}

func (d deadLetters) replay(ctx context.Context, in *letterID) (*group.None, error) {
	if err := d.own(ctx, in.ID); err != nil {
		return nil, err
	}
	if err := d.letters.Replay(ctx, in.ID); err != nil {
		return nil, problem.New(http.StatusConflict, "replay_failed", "the event could not be handled this time either").Wrap(err)
	}
	return &group.None{}, nil
}

func (d deadLetters) discard(ctx context.Context, in *letterID) (*group.None, error) {
	if err := d.own(ctx, in.ID); err != nil {
		return nil, err
	}
	return &group.None{}, d.letters.Discard(ctx, in.ID)
}

// own is a 404 for what is not there or another organization's.
func (d deadLetters) own(ctx context.Context, id string) error {
	letter, err := d.letters.Get(ctx, id)
	if errors.Is(err, events.ErrNoDeadLetter) || err == nil && letter.Organization != identity.Organization(ctx) {
		return problem.NotFound("dead letter")
	}
	return err
}
