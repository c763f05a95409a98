package audit

import (
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/topology"
)

func (m *Module) dataRoutes(r *group.Routes) {
	const path = "/data-requests"
	group.Post(r, path, m.ask, group.SignedIn(), group.Action("request-data"), group.Status(http.StatusAccepted), group.Problems(404, 409),
		group.Doc("Ask for a person's data, or that it be erased",
			"For yourself, or with the permission auth.audit:write for anybody of the organization. Every service is asked; the request is answered when all have, or after 24 hours.",
			"To erase needs a session that has shown a second factor. In the audit log an erased person becomes `erased`; its chain stays provable."))
	group.Get(r, path, m.requests, group.SignedIn(),
		group.Doc("List data requests, newest first", "Those about yourself, or with the permission auth.audit:write all of the organization."))
	group.Get(r, path+"/{id}", m.request, group.SignedIn(), group.Problems(404),
		group.Doc("Show a data request", "With what each service delivered or erased, and which have not answered."))
	group.Stream(r, path+"/{id}/download", m.download, group.SignedIn(), group.Action("download-data"), group.Problems(404, 409, 410),
		group.Doc("Download a person's data", "A ZIP with one JSON file for each service, for 7 days."))
	group.Get(r, path+"/{id}/person", m.person, group.Internal(), group.Problems(404), group.Doc("Show whom a data request is about"))
	group.Put(r, path+"/{id}/parts/{group}", m.deliver, group.Internal(), group.MaxBody(privacy.MaxPart), group.Problems(404, 409),
		group.Doc("Deliver a group's part of a data request"))
}

// AskInput is a data request to make.
type AskInput struct {
	Body struct {
		Kind   privacy.Kind `json:"kind" enum:"export,erase_person" doc:"What to do" example:"export"`
		UserID string       `json:"user_id,omitempty" maxLength:"64" doc:"Whom it is about; yourself when missing" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
	}
}

// AskOutput is a data request that was made.
type AskOutput struct {
	Location string `header:"Location" doc:"Where the request is"`
	Body     authapi.DataRequest
}

func (m *Module) ask(ctx context.Context, in *AskInput) (*AskOutput, error) {
	p, _ := identity.From(ctx)
	v, err := m.service.Ask(ctx, p, in.Body.Kind, in.Body.UserID)
	if err != nil {
		return nil, err
	}
	return &AskOutput{location(v.ID), *v}, nil
}

// RequestsInput selects a page of data requests.
type RequestsInput struct {
	Cursor string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"Most requests of the page" example:"20"`
}

func (m *Module) requests(ctx context.Context, in *RequestsInput) (*authapi.DataRequests, error) {
	p, _ := identity.From(ctx)
	return m.service.Requests(ctx, p, in.Cursor, in.Limit)
}

// RequestInput names a data request.
type RequestInput struct {
	ID string `path:"id" maxLength:"128" doc:"Id of the request" example:"0199b1f2-9c20-7e11-8b8e-5a0f6f1e2d3c"`
}

func (m *Module) request(ctx context.Context, in *RequestInput) (*authapi.DataRequest, error) {
	p, _ := identity.From(ctx)
	return m.service.Request(ctx, p, in.ID)
}

func (m *Module) download(ctx context.Context, in *RequestInput) (*huma.StreamResponse, error) {
	p, _ := identity.From(ctx)
	size, err := m.service.Archive(ctx, p, in.ID)
	if err != nil {
		return nil, err
	}
	return group.Download("application/zip", "data-"+in.ID+".zip", size, func(ctx context.Context, w io.Writer) error {
		return m.service.WriteArchive(ctx, w, p.Organization, in.ID)
	}), nil
}

func (m *Module) person(ctx context.Context, in *RequestInput) (*privacy.Person, error) {
	return m.service.Person(ctx, identity.Organization(ctx), in.ID)
}

// DeliverInput is a group's part.
type DeliverInput struct {
	RequestInput
	Group topology.Group `path:"group" maxLength:"40" doc:"Group that delivers" example:"integrations"`
	Body  privacy.Part
}

func (m *Module) deliver(ctx context.Context, in *DeliverInput) (*group.None, error) {
	return nil, m.service.Deliver(ctx, identity.Organization(ctx), in.ID, in.Group, in.Body)
}
