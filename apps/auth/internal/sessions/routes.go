package sessions

import (
	"context"
	"net/http"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

// Module is the routes of a user's own sessions.
type Module struct{ service *Service }

// NewModule serves s.
func NewModule(s *Service) *Module { return &Module{s} }

// Name is "sessions".
func (m *Module) Name() string { return "sessions" }

// Routes binds the module's routes.
func (m *Module) Routes(r *group.Routes) {
	// Every role has both permissions; a token's scope may lack them.
	read, write := group.Needs("auth.sessions:read"), group.Needs("auth.sessions:write")
	group.Get(r, "", m.list, read, group.Doc("List your sessions", "Those that have not ended, the latest first."))
	group.Delete(r, "", m.revokeAll, write, group.Doc("End all your sessions", "Their tokens are refused everywhere within 5 seconds."))
	group.Get(r, "/activity", m.activity, read, group.Doc("List your sign-ins", "Those of the last 90 days, ended or not, the latest first."))
	group.Delete(r, "/devices/{device}", m.revokeDevice, write, group.Problems(http.StatusNotFound), group.Doc("End all your sessions on a device", "Their tokens are refused everywhere within 5 seconds."))
	group.Delete(r, "/{id}", m.revoke, write, group.Problems(http.StatusNotFound), group.Doc("End one of your sessions", "Its tokens are refused everywhere within 5 seconds."))
}

// ListInput is the query of a list of sessions.
type ListInput struct {
	Cursor string `query:"cursor" maxLength:"1000" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"Sessions a page" example:"20"`
}

func (m *Module) list(ctx context.Context, in *ListInput) (*authapi.Sessions, error) {
	p, err := Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.List(ctx, p.Subject, p.Session, in.Cursor, in.Limit)
}

func (m *Module) activity(ctx context.Context, in *ListInput) (*authapi.Activities, error) {
	p, err := Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.Activity(ctx, p.Subject, in.Cursor, in.Limit)
}

// RevokeDeviceInput names a device.
type RevokeDeviceInput struct {
	Device string `path:"device" maxLength:"64" doc:"device_id of a session" example:"4f1c0b7d8a0e6f5e"`
}

func (m *Module) revokeDevice(ctx context.Context, in *RevokeDeviceInput) (*group.None, error) {
	p, err := Own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, m.service.RevokeDevice(ctx, p.Subject, in.Device)
}

// RevokeInput names a session.
type RevokeInput struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the session" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d"`
}

func (m *Module) revoke(ctx context.Context, in *RevokeInput) (*group.None, error) {
	p, err := Own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, m.service.Revoke(ctx, p.Subject, in.ID, authapi.ByUser)
}

// RevokeAllInput says whether the session that asks stays.
type RevokeAllInput struct {
	KeepCurrent bool `query:"keep_current" doc:"Keep the session of this request" example:"true"`
}

func (m *Module) revokeAll(ctx context.Context, in *RevokeAllInput) (*group.None, error) {
	p, err := Own(ctx)
	if err != nil {
		return nil, err
	}
	except := ""
	if in.KeepCurrent {
		except = p.Session
	}
	return nil, m.service.RevokeAll(ctx, p.Subject, except, authapi.ByUser)
}

// Own is the signed-in user of ctx. A group acting on its own behalf has no sessions: 403.
func Own(ctx context.Context) (identity.Principal, error) {
	p, ok := identity.From(ctx)
	if !ok || p.Session == "" {
		return p, problem.New(http.StatusForbidden, problem.CodeForbidden, "this is for signed-in users only")
	}
	return p, nil
}
