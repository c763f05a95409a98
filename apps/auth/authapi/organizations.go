package authapi

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/quota"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Codes of the organizations module. Over a limit of the plan it is problem.CodeQuota (402, and 429 for API calls).
const (
	// CodeAlreadyInvited (409): an invitation to this e-mail address waits to be accepted; resend it instead.
	CodeAlreadyInvited = "already_invited"
	// CodeInvitationInvalid (404): no invitation has this token, or it was accepted, was revoked or has expired.
	CodeInvitationInvalid = "invitation_invalid"
	// CodeInvitationForOther (403): the invitation is for another e-mail address than that of who is signed in.
	CodeInvitationForOther = "invitation_for_other"
	// CodeErasing (409): the organization's time of grace is over; it is being erased.
	CodeErasing = "organization_erasing"
	// CodeSignInAgain (403): the session was proved by one organization's identity provider, and another organization
	// does not take its word.
	CodeSignInAgain = "sign_in_again"
)

// OrganizationProfile is an organization as its members see it.
type OrganizationProfile struct {
	ID        string     `json:"id" doc:"Id of the organization" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
	Name      string     `json:"name" example:"Analytical Engines"`
	Plan      string     `json:"plan" doc:"Plan that it is on" example:"team"`
	CreatedAt time.Time  `json:"created_at" doc:"When the organization was registered, UTC"`
	EraseAt   *time.Time `json:"erase_at,omitempty" doc:"When it is erased, UTC; missing for one that is not deleted. Until then an owner can restore it"`
}

// MyOrganization is an organization that a user works for.
type MyOrganization struct {
	OrganizationProfile
	Roles    []string  `json:"roles" nullable:"false" doc:"Your roles in it" example:"[\"member\"]"`
	Current  bool      `json:"current" doc:"Whether this request's access token is for it"`
	JoinedAt time.Time `json:"joined_at" doc:"When you joined it, UTC"`
}

// MyOrganizations is a page of the organizations that a user works for, the first joined first.
type MyOrganizations struct {
	Items      []MyOrganization `json:"items" nullable:"false"`
	NextCursor string           `json:"next_cursor,omitempty" doc:"The next page's cursor; missing on the last page" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// Member is a person who works for the organization.
type Member struct {
	ID            string     `json:"id" doc:"Id of the user" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
	Email         string     `json:"email" format:"email" example:"ada@example.com"`
	EmailVerified bool       `json:"email_verified" doc:"Whether the person has proved that the address is theirs"`
	FirstName     string     `json:"first_name" example:"Ada"`
	LastName      string     `json:"last_name" example:"Lovelace"`
	Roles         []string   `json:"roles" nullable:"false" doc:"Roles in the organization" example:"[\"member\"]"`
	JoinedAt      time.Time  `json:"joined_at" doc:"When the person joined, UTC"`
	SignedInAt    *time.Time `json:"signed_in_at,omitempty" doc:"When the person last signed in to the organization, UTC; missing for never"`
}

// Members is a page of members, the first joined first.
type Members struct {
	Items      []Member `json:"items" nullable:"false"`
	NextCursor string   `json:"next_cursor,omitempty" doc:"The next page's cursor; missing on the last page" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// Invitation waits for a person to join the organization.
type Invitation struct {
	ID        string     `json:"id" example:"0199b1f2-9c20-7e11-8b8e-5a0f6f1e2d3c"`
	Email     string     `json:"email" format:"email" doc:"Who is invited" example:"grace@example.com"`
	Roles     []string   `json:"roles" nullable:"false" doc:"Roles that the person will have" example:"[\"member\"]"`
	InvitedBy string     `json:"invited_by" doc:"Id of the user, or key:<id>, who invited" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
	CreatedAt time.Time  `json:"created_at" doc:"UTC"`
	SentAt    *time.Time `json:"sent_at,omitempty" doc:"When its latest mail went out, UTC; missing while none has"`
	ExpiresAt time.Time  `json:"expires_at" doc:"When it ends unless it is accepted, UTC"`
}

// Invitations is a page of the invitations that wait, the latest first.
type Invitations struct {
	Items      []Invitation `json:"items" nullable:"false"`
	NextCursor string       `json:"next_cursor,omitempty" doc:"The next page's cursor; missing on the last page" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// InvitationOffer is what the holder of an invitation's token is offered.
type InvitationOffer struct {
	Organization string    `json:"organization" doc:"Name of the organization" example:"Analytical Engines"`
	Email        string    `json:"email" format:"email" doc:"Who is invited" example:"grace@example.com"`
	Roles        []string  `json:"roles" nullable:"false" doc:"Roles that the person will have" example:"[\"member\"]"`
	ExpiresAt    time.Time `json:"expires_at" doc:"When it ends unless it is accepted, UTC"`
	HasAccount   bool      `json:"has_account" doc:"Whether to sign in and accept; else to register"`
}

// Usage is how much of its plan an organization uses.
type Usage struct {
	Plan string    `json:"plan" example:"team"`
	From time.Time `json:"from" doc:"Beginning of the month that metered figures are of, UTC, inclusive" example:"2026-01-01T00:00:00Z"`
	To   time.Time `json:"to" doc:"Its end, UTC, exclusive: when they begin anew" example:"2026-02-01T00:00:00Z"`
	// Items are one a resource.
	Items []UsageItem `json:"items" nullable:"false"`
}

// UsageItem is how much of one resource an organization uses.
type UsageItem struct {
	Resource quota.Resource `json:"resource" enum:"members,connections,agent_runs,api_calls" example:"connections"`
	Metered  bool           `json:"metered" doc:"Whether it is counted by the month; else it is what there is"`
	Used     int64          `json:"used" doc:"How much is used. API calls of the last seconds are missing" example:"3"`
	Limit    *int64         `json:"limit,omitempty" doc:"How much the plan allows; missing where it does not limit" example:"10"`
}

// PlanChange puts an organization on a plan. It comes from whoever bills.
type PlanChange struct {
	Organization string `json:"organization_id" minLength:"1" maxLength:"64"`
	Plan         string `json:"plan" minLength:"1" maxLength:"40" example:"team"`
	// Limits are those of this organization that differ from its plan's; quota.Unlimited (-1) lifts one.
	Limits map[quota.Resource]int64 `json:"limits,omitempty" doc:"Limits that differ from the plan's, by resource; -1 for none"`
}

// ErasureConfirmation says that a group has erased all that it kept of an organization.
type ErasureConfirmation struct {
	Organization string         `json:"organization_id" minLength:"1" maxLength:"64"`
	Group        topology.Group `json:"group" minLength:"1" maxLength:"40"`
}

// Erasure is how far an organization is erased.
type Erasure struct {
	Organization string                       `json:"organization_id"`
	BegunAt      time.Time                    `json:"begun_at" doc:"UTC"`
	Confirmed    map[topology.Group]time.Time `json:"confirmed" doc:"When each group had erased what it kept, UTC"`
	Missing      []topology.Group             `json:"missing" nullable:"false" doc:"Groups that have not confirmed"`
	DoneAt       *time.Time                   `json:"done_at,omitempty" doc:"When nothing was left, UTC"`
}

// OrganizationUpdated tells that an organization was renamed, deleted or restored.
var OrganizationUpdated = events.Topic[OrganizationUpdatedData]{Name: "auth.organization.updated"}

// OrganizationUpdatedData says which and how it stands.
type OrganizationUpdatedData struct {
	OrganizationID string `json:"organization_id"`
	// EraseAt is when it will be erased, in UTC; nil for one that is not deleted. Work for one that is can rest.
	EraseAt *time.Time `json:"erase_at,omitempty"`
	At      time.Time  `json:"at"`
}

// OrganizationErased tells that every group has erased what it kept of an organization. That it is to be erased tells
// privacy.OrganizationErasing.
var OrganizationErased = events.Topic[privacy.Erasing]{Name: "auth.organization.erased"}

// PlanChanged tells that an organization is on another plan, or has other limits.
var PlanChanged = events.Topic[PlanChangedData]{Name: "auth.plan.changed"}

// PlanChangedData says from which plan to which; they are the same where only limits changed.
type PlanChangedData struct {
	OrganizationID string    `json:"organization_id"`
	From           string    `json:"from"`
	To             string    `json:"to"`
	At             time.Time `json:"at"`
}

// UserJoined tells that a person works for an organization from now on.
var UserJoined = events.Topic[UserJoinedData]{Name: "auth.member.joined"}

// UserJoinedData says who joined which.
type UserJoinedData struct {
	OrganizationID string    `json:"organization_id"`
	UserID         string    `json:"user_id"`
	At             time.Time `json:"at"`
}

// UserRemoved tells that a person does not work for an organization any more.
var UserRemoved = events.Topic[UserRemovedData]{Name: "auth.member.removed"}

// UserRemovedData says who left which.
type UserRemovedData struct {
	OrganizationID string `json:"organization_id"`
	UserID         string `json:"user_id"`
	// By is who removed them: the user themselves when they left.
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// InvitationIssued asks the auth group itself to mail an invitation. The token is made when it is mailed, so that no event
// holds one.
var InvitationIssued = events.Topic[InvitationIssuedData]{Name: "auth.invitation.issued"}

// InvitationIssuedData says which.
type InvitationIssuedData struct {
	InvitationID string `json:"invitation_id"`
}

// TakeQuota implements quota.Authority.
func (c Client) TakeQuota(ctx context.Context, claim quota.Claim) error {
	_, err := ask[struct{}](ctx, c, http.MethodPost, "/api/auth/organizations/usage/take", nil, claim)
	return err
}

// ReleaseQuota implements quota.Authority.
func (c Client) ReleaseQuota(ctx context.Context, claim quota.Claim) error {
	_, err := ask[struct{}](ctx, c, http.MethodPost, "/api/auth/organizations/usage/release", nil, claim)
	return err
}

// ReportCalls implements quota.Authority.
func (c Client) ReportCalls(ctx context.Context, r quota.Report) (quota.Standing, error) {
	return ask[quota.Standing](ctx, c, http.MethodPost, "/api/auth/organizations/usage/report", nil, r)
}

// ChangePlan puts an organization on a plan: 404 not_found, 422 validation_failed. Once more changes nothing.
func (c Client) ChangePlan(ctx context.Context, change PlanChange) (OrganizationProfile, error) {
	return ask[OrganizationProfile](ctx, c, http.MethodPut, "/api/auth/organizations/plan", nil, change)
}

// ConfirmErasure says that a group has erased all that it kept of an organization; once more changes nothing.
func (c Client) ConfirmErasure(ctx context.Context, confirmation ErasureConfirmation) (Erasure, error) {
	return ask[Erasure](ctx, c, http.MethodPost, "/api/auth/organizations/erasures", nil, confirmation)
}

// Erasure is how far an organization is erased: 404 not_found for one that is not to be.
func (c Client) Erasure(ctx context.Context, organization string) (Erasure, error) {
	return ask[Erasure](ctx, c, http.MethodGet, "/api/auth/organizations/erasures/"+url.PathEscape(organization), nil, nil)
}
