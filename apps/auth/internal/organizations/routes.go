package organizations

import (
	"context"
	"net/http"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
)

// Module is the routes of organizations. "The organization" is always that of the access token.
type Module struct{ service *Service }

// NewModule serves s.
func NewModule(s *Service) *Module { return &Module{s} }

// Name is "organizations".
func (m *Module) Name() string { return "organizations" }

// Routes binds the module's routes.
func (m *Module) Routes(r *group.Routes) {
	read, write := group.Needs("auth.organizations:read"), group.Needs("auth.organizations:write")
	invite, remove := group.Needs("auth.organizations:invite"), group.Needs("auth.organizations:delete")

	group.Get(r, "", m.mine, group.SignedIn(), group.BeforeAcceptance(), group.Doc("List the organizations that you work for", "The first joined first."))
	group.Get(r, "/current", m.show, read, group.Problems(http.StatusNotFound), group.Doc("Show the organization"))
	group.Patch(r, "/current", m.update, write, group.Action("rename"), group.Problems(http.StatusNotFound, http.StatusPreconditionFailed), group.Doc("Rename the organization"))
	group.Delete(r, "/current", m.delete, remove, group.Action("delete"), group.StepUp(), group.Problems(http.StatusNotFound), group.Doc("Delete the organization", "Owners only. Nobody can use it from then on: other requests get 403 organization_deleting. For 30 days an owner can restore it; then all that any service keeps of it is erased, and those who work for no other organization with it."))
	group.Post(r, "/current/restore", m.restore, remove, group.Problems(http.StatusNotFound, http.StatusConflict), group.Doc("Restore the deleted organization", "Owners only, within 30 days. After that it is a 409 organization_erasing."))
	group.Post(r, "/{id}/switch", m.change, group.SignedIn(), group.Sensitive(), group.BeforeAcceptance(), group.Problems(http.StatusNotFound), group.Doc("Get tokens for another organization that you work for", "Begins a session there with what this session has proved, or asks for the second factor that the other organization demands. This session goes on. Whoever signed in through an identity provider signs in to the other organization itself (403 sign_in_again)."))

	group.Get(r, "/members", m.members, read, group.Doc("List the members", "The first joined first."))
	group.Get(r, "/members/{id}", m.member, read, group.Problems(http.StatusNotFound), group.Doc("Show a member"))
	group.Delete(r, "/members/{id}", m.remove, write, group.Action("remove-member"), group.Problems(http.StatusNotFound, http.StatusConflict), group.Doc("Remove a member", "Their sessions in the organization end. Nobody removes who has more than they have, and the last owner stays (409 last_owner)."))
	group.Delete(r, "/members/{id}/sessions", m.signOut, write, group.Action("sign-out-member"), group.Problems(http.StatusNotFound), group.Doc("Sign a member out", "Ends their sessions in the organization; their tokens are refused everywhere within 5 seconds. They stay a member and can sign in again. Nobody signs out who has more than they have."))
	group.Post(r, "/leave", m.leave, group.SignedIn(), group.BeforeAcceptance(), group.Problems(http.StatusNotFound, http.StatusConflict), group.Doc("Leave the organization", "The last owner cannot (409 last_owner)."))

	group.Get(r, "/invitations", m.invitations, invite, group.Doc("List the invitations that wait", "The latest first."))
	group.Post(r, "/invitations", m.invite, invite, group.Action("invite"), group.Status(http.StatusCreated), group.Problems(http.StatusPaymentRequired, http.StatusUnprocessableEntity), group.Doc("Invite somebody by mail", "The link in the mail works once, for 7 days. Nobody gives roles that carry more than they have; owners invite owners."))
	group.Post(r, "/invitations/{id}/resend", m.resend, invite, group.Action("resend-invitation"), group.Problems(http.StatusNotFound), group.Doc("Mail an invitation again", "With a new link, for another 7 days; the one before works no more. The pause before each further mail doubles, from a minute on (429, Retry-After)."))
	group.Delete(r, "/invitations/{id}", m.revoke, invite, group.Action("revoke-invitation"), group.Problems(http.StatusNotFound), group.Doc("Take an invitation back"))
	group.Get(r, "/invitations/{token}", m.offer, group.Public(), group.Problems(http.StatusNotFound), group.Doc("Show what an invitation is for", "For the page that its link leads to."))
	group.Post(r, "/invitations/accept", m.accept, group.SignedIn(), group.Action("join"), group.BeforeAcceptance(), group.Problems(http.StatusPaymentRequired, http.StatusNotFound, http.StatusConflict), group.Doc("Join by an invitation", "With the account that has the invited address. Then switch to the organization."))
	group.Post(r, "/invitations/register", m.register, group.Public(), group.Status(http.StatusCreated), group.Problems(http.StatusPaymentRequired, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity), group.Doc("Make an account by an invitation", "For who has none that can sign in; the invited address counts as verified. Then sign in."))

	group.Get(r, "/usage", m.usage, read, group.Problems(http.StatusNotFound), group.Doc("Show how much of its plan the organization uses", "Over a limit it is a 402 quota_exceeded, and for API calls a 429 quota_exceeded until the month ends (Retry-After)."))
	group.Post(r, "/usage/take", m.take, group.Internal(), group.Problems(http.StatusPaymentRequired, http.StatusNotFound), group.Doc("Take of a quota"))
	group.Post(r, "/usage/release", m.release, group.Internal(), group.Doc("Give back to a quota"))
	group.Post(r, "/usage/report", m.report, group.Internal(), group.Doc("Report API calls"))
	group.Put(r, "/plan", m.plan, group.Internal(), group.Problems(http.StatusNotFound), group.Doc("Put an organization on a plan"))
	group.Post(r, "/erasures", m.confirm, group.Internal(), group.Problems(http.StatusNotFound), group.Doc("Confirm that a group has erased an organization"))
	group.Get(r, "/erasures/{id}", m.erasure, group.Internal(), group.Problems(http.StatusNotFound), group.Doc("Show how far an organization is erased"))
}

// PageInput asks for a page of a list.
type PageInput struct {
	Cursor string `query:"cursor" maxLength:"1000" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"Entries a page" example:"20"`
}

func (m *Module) mine(ctx context.Context, in *PageInput) (*authapi.MyOrganizations, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.Mine(ctx, p, in.Cursor, in.Limit)
}

func (m *Module) show(ctx context.Context, _ *struct{}) (*group.Versioned[authapi.OrganizationProfile], error) {
	return versioned(m.service.Profile(ctx, identity.Organization(ctx)))
}

func versioned(view *authapi.OrganizationProfile, version int64, err error) (*group.Versioned[authapi.OrganizationProfile], error) {
	if err != nil {
		return nil, err
	}
	return group.AtVersion(view, version), nil
}

// UpdateInput is what an organization is to be.
type UpdateInput struct {
	group.IfMatch
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"200" doc:"Name of the organization" example:"Analytical Engines"`
	}
}

func (m *Module) update(ctx context.Context, in *UpdateInput) (*group.Versioned[authapi.OrganizationProfile], error) {
	return versioned(m.service.Rename(ctx, identity.Organization(ctx), in.Body.Name, in.Check))
}

func (m *Module) delete(ctx context.Context, _ *struct{}) (*authapi.OrganizationProfile, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.Delete(ctx, p)
}

func (m *Module) restore(ctx context.Context, _ *struct{}) (*authapi.OrganizationProfile, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.Restore(ctx, p)
}

// SwitchInput names another organization.
type SwitchInput struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the organization" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
}

func (m *Module) change(ctx context.Context, in *SwitchInput) (*authapi.SignIn, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.Switch(ctx, p, in.ID)
}

func (m *Module) members(ctx context.Context, in *PageInput) (*authapi.Members, error) {
	return m.service.Members(ctx, identity.Organization(ctx), in.Cursor, in.Limit)
}

// MemberInput names a member.
type MemberInput struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the user" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
}

func (m *Module) member(ctx context.Context, in *MemberInput) (*authapi.Member, error) {
	return m.service.Member(ctx, identity.Organization(ctx), in.ID)
}

func (m *Module) remove(ctx context.Context, in *MemberInput) (*group.None, error) {
	p, _ := identity.From(ctx)
	return nil, m.service.Remove(ctx, p, in.ID)
}

func (m *Module) signOut(ctx context.Context, in *MemberInput) (*group.None, error) {
	p, _ := identity.From(ctx)
	return nil, m.service.SignOut(ctx, p, in.ID)
}

func (m *Module) leave(ctx context.Context, _ *struct{}) (*group.None, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, m.service.Leave(ctx, p)
}
