package organizations

import (
	"context"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
)

func (m *Module) invitations(ctx context.Context, in *PageInput) (*authapi.Invitations, error) {
	return m.service.Invitations(ctx, identity.Organization(ctx), in.Cursor, in.Limit)
}

// InviteInput is who is invited, as what.
type InviteInput struct {
	Body struct {
		Email string   `json:"email" minLength:"3" maxLength:"254" doc:"Where the invitation is mailed" example:"grace@example.com"`
		Roles []string `json:"roles" minItems:"1" maxItems:"5" nullable:"false" doc:"Roles that the person will have" example:"[\"member\"]"`
	}
}

func (m *Module) invite(ctx context.Context, in *InviteInput) (*authapi.Invitation, error) {
	p, _ := identity.From(ctx)
	return m.service.Invite(ctx, p, in.Body.Email, in.Body.Roles)
}

// InvitationInput names an invitation.
type InvitationInput struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the invitation" example:"0199b1f2-9c20-7e11-8b8e-5a0f6f1e2d3c"`
}

func (m *Module) resend(ctx context.Context, in *InvitationInput) (*authapi.Invitation, error) {
	p, _ := identity.From(ctx)
	return m.service.Resend(ctx, p, in.ID)
}

func (m *Module) revoke(ctx context.Context, in *InvitationInput) (*group.None, error) {
	p, _ := identity.From(ctx)
	return nil, m.service.Revoke(ctx, p, in.ID)
}

// OfferInput is the token of an invitation.
type OfferInput struct {
	Token string `path:"token" maxLength:"64" doc:"Token from the link in the mail" example:"mGq3…"`
}

func (m *Module) offer(ctx context.Context, in *OfferInput) (*authapi.InvitationOffer, error) {
	return m.service.Offer(ctx, in.Token)
}

// AcceptInput is the token of an invitation.
type AcceptInput struct {
	Body struct {
		Token string `json:"token" minLength:"1" maxLength:"64" writeOnly:"true" doc:"Token from the link in the mail" example:"mGq3…"`
	}
}

func (m *Module) accept(ctx context.Context, in *AcceptInput) (*authapi.MyOrganization, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.Accept(ctx, p, in.Body.Token)
}

// RegisterInput is the token of an invitation and the new account.
type RegisterInput struct {
	Body struct {
		Token     string `json:"token" minLength:"1" maxLength:"64" writeOnly:"true" doc:"Token from the link in the mail" example:"mGq3…"`
		FirstName string `json:"first_name" minLength:"1" maxLength:"100" example:"Grace"`
		LastName  string `json:"last_name" minLength:"1" maxLength:"100" example:"Hopper"`
		Password  string `json:"password" maxLength:"512" writeOnly:"true" doc:"12 to 128 characters" example:"three blind mice in a row"`
	}
}

func (m *Module) register(ctx context.Context, in *RegisterInput) (*authapi.Registration, error) {
	return m.service.Register(ctx, in.Body.Token, Newcomer{
		FirstName: in.Body.FirstName, LastName: in.Body.LastName, Password: in.Body.Password,
	})
}
