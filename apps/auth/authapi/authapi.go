// Package authapi is all that other groups may know of the auth group: its views, its events and a
// client.
package authapi

import (
	"time"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
)

// AccessTokenLife is how long an access token is good for, and so how long other processes must
// remember that its session has ended.
const AccessTokenLife = 15 * time.Minute

// ChangesOverlap is by how much two answers of Client.Changes overlap. A change is stamped before it is stored, by the clock of the
// process that stores it, so it must be the sum of what a write may take (SQLite waits 5 s for its lock, MongoDB 30 s for a
// primary) and of what the clocks of processes differ by.
const ChangesOverlap = time.Minute

// DefaultPlan is the plan of a new organization.
const DefaultPlan = "free"

// Codes of the auth group's problems, beside those of package problem.
const (
	// CodeEmailTaken (409): a user has this e-mail address already.
	CodeEmailTaken = "email_taken"
	// CodeWeakPassword (422): the password is against the policy; the field error says which rule.
	CodeWeakPassword = "weak_password"
	// CodePasswordUnchanged (422): the new password is the old one.
	CodePasswordUnchanged = "password_unchanged"
	// CodeInvalidScope (422): the scope is no list of permission patterns, or asks for more than the session has.
	CodeInvalidScope = "invalid_scope"
	// CodeInvalidCredentials (401): wrong password, or no such user; which of them is not told.
	CodeInvalidCredentials = "invalid_credentials"
	// CodeAccountLocked (429): too many failures in a row; Retry-After says when the next attempt counts.
	CodeAccountLocked = "account_locked"
	// CodeRefreshTokenInvalid (401): not a refresh token of a live session.
	CodeRefreshTokenInvalid = "refresh_token_invalid"
	// CodeRefreshTokenExpired (401): the refresh token was not used in time.
	CodeRefreshTokenExpired = "refresh_token_expired"
	// CodeAccountDisabled (403): the account has been closed.
	CodeAccountDisabled = "account_disabled"
	// CodeEmailNotVerified (403): the organization demands a verified e-mail address.
	CodeEmailNotVerified = "email_not_verified"
	// CodeSSORequired (403): members of the organization sign in through its identity provider.
	CodeSSORequired = "sso_required"
	// CodeNoOrganization (403): the user is a member of no such organization.
	CodeNoOrganization = "no_organization"
	// CodeMFANotEnrolled (403): a second factor is demanded and the user has none that counts.
	CodeMFANotEnrolled = "mfa_not_enrolled"
	// CodeChallengeInvalid (401): the sign-in that waited for a second factor is no longer under way.
	CodeChallengeInvalid = "challenge_invalid"
	// CodeRefreshTokenReused (401): the refresh token was used before, so its session has been ended.
	CodeRefreshTokenReused = "refresh_token_reused"
)

// User is a person who can sign in.
type User struct {
	ID            string    `json:"id" doc:"Id of the user" example:"0199b1f2-6f0c-7a51-9d3c-8f5b2f6f1c11"`
	Email         string    `json:"email" format:"email" doc:"E-mail address in its normalized form" example:"ada@example.com"`
	EmailVerified bool      `json:"email_verified" doc:"Whether the person has proved that the address is theirs"`
	FirstName     string    `json:"first_name" example:"Ada"`
	LastName      string    `json:"last_name" example:"Lovelace"`
	Phone         string    `json:"phone,omitempty" doc:"Telephone number in E.164 form" example:"+441632960000"`
	Roles         []string  `json:"roles" doc:"Roles in the organization" example:"[\"owner\"]"`
	CreatedAt     time.Time `json:"created_at" doc:"When the user was registered, UTC"`
}

// Organization is a tenant.
type Organization struct {
	ID        string    `json:"id" doc:"Id of the organization" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
	Name      string    `json:"name" example:"Analytical Engines"`
	CreatedAt time.Time `json:"created_at" doc:"When the organization was registered, UTC"`
}

// Registration is a new organization with its owner.
type Registration struct {
	User         User         `json:"user"`
	Organization Organization `json:"organization"`
}

// Tokens are what a client acts with (RFC 6749, section 5.1).
type Tokens struct {
	AccessToken  string `json:"access_token" doc:"Bearer token for every other operation" example:"eyJhbGciOiJFZERTQSIs…"`
	RefreshToken string `json:"refresh_token" doc:"Gets the next pair of tokens, once, within 30 days" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d.mGq3…"`
	TokenType    string `json:"token_type" enum:"Bearer" example:"Bearer"`
	ExpiresIn    int    `json:"expires_in" doc:"Seconds that the access token is good for" example:"900"`
	Scope        string `json:"scope,omitempty" doc:"What the access token is narrowed to, where it is" example:"analytics.*:read"`
}

// Me is who is asking.
type Me struct {
	User         User         `json:"user"`
	Organization Organization `json:"organization"`
	Roles        []string     `json:"roles" doc:"Roles that the access token carries" example:"[\"owner\"]"`
	Scope        string       `json:"scope,omitempty" doc:"What the access token is narrowed to, where it is" example:"analytics.*:read"`
	ACR          string       `json:"acr,omitempty" doc:"mfa when the session has shown a second factor" example:"mfa"`
	SessionID    string       `json:"session_id" doc:"Session of the access token" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d"`
}

// Session is one sign-in that has not ended.
type Session struct {
	ID         string    `json:"id" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d"`
	Current    bool      `json:"current" doc:"Whether the access token of this request came from it"`
	DeviceID   string    `json:"device_id,omitempty" doc:"The same for all sessions of one device, as far as its user agent tells" example:"4f1c…"`
	Methods    []string  `json:"methods,omitempty" doc:"How the user proved who they are (RFC 8176)" example:"[\"pwd\"]"`
	Address    string    `json:"address,omitempty" doc:"IP address that signed in" example:"203.0.113.7"`
	UserAgent  string    `json:"user_agent,omitempty" doc:"What signed in, in its own words" example:"Mozilla/5.0 (X11; Linux x86_64)"`
	Scope      string    `json:"scope,omitempty" doc:"What the session is narrowed to, where it is" example:"analytics.*:read"`
	CreatedAt  time.Time `json:"created_at" doc:"When it began, UTC"`
	LastSeenAt time.Time `json:"last_seen_at" doc:"When it last got an access token, UTC"`
	ExpiresAt  time.Time `json:"expires_at" doc:"When it ends unless it gets another access token, UTC"`
}

// Sessions is a page of sessions, the latest first.
type Sessions struct {
	Items      []Session `json:"items"`
	NextCursor string    `json:"next_cursor,omitempty" doc:"The next page's cursor; missing on the last page" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// SignIn answers a login: tokens, or the second factors of which one is still to be shown.
type SignIn struct {
	AccessToken  string      `json:"access_token,omitempty" doc:"Bearer token for every other operation" example:"eyJhbGciOiJFZERTQSIs…"`
	RefreshToken string      `json:"refresh_token,omitempty" doc:"Gets the next pair of tokens, once" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d.mGq3…"`
	TokenType    string      `json:"token_type,omitempty" enum:"Bearer" example:"Bearer"`
	ExpiresIn    int         `json:"expires_in" doc:"Seconds that the access token, or the challenge, is good for" example:"900"`
	Scope        string      `json:"scope,omitempty" doc:"What the access token is narrowed to, where it is" example:"analytics.*:read"`
	MFARequired  bool        `json:"mfa_required,omitempty" doc:"A second factor is to be shown: POST /api/auth/mfa/verify with the challenge"`
	Challenge    string      `json:"challenge,omitempty" doc:"Names the sign-in that waits for its second factor" example:"5f2b6f1c11…"`
	Methods      []MFAMethod `json:"methods,omitempty" doc:"Second factors of which one is to be shown" example:"[\"totp\"]"`
}

// AccessChanged tells that somebody may do something else than before. Whoever changes what members may do
// gives it to the store with the change; every process heeds it within 5 s.
var AccessChanged = events.Topic[AccessChangedData]{Name: "auth.access.changed"}

// AccessChangedData says whose access has changed.
type AccessChangedData struct {
	// OrganizationID is where; empty for everywhere.
	OrganizationID string `json:"organization_id,omitempty"`
	// Subject is a user, or "key:<id>" for an API key; empty for everybody in the organization.
	Subject string `json:"subject,omitempty"`
	// Reason is what was changed, e.g. "roles", for people to read.
	Reason string `json:"reason"`
}

// UserRegistered tells that an organization and its first user signed up.
var UserRegistered = events.Topic[UserRegisteredData]{Name: "auth.user.registered"}

// UserRegisteredData names who signed up; whoever needs more asks for it, so that no copy of a
// person's data stays behind in a broker.
type UserRegisteredData struct {
	UserID         string    `json:"user_id"`
	OrganizationID string    `json:"organization_id"`
	At             time.Time `json:"at"`
}

// SessionRevoked tells that a session ended before its time.
var SessionRevoked = events.Topic[SessionRevokedData]{Name: "auth.session.revoked"}

// SessionRevokedData says which session ended and why.
type SessionRevokedData struct {
	SessionID      string           `json:"session_id"`
	UserID         string           `json:"user_id"`
	OrganizationID string           `json:"organization_id"`
	Reason         RevocationReason `json:"reason"`
	At             time.Time        `json:"at"`
}

// RevocationReason is why a session ended before its time.
type RevocationReason string

// The reasons there are.
const (
	// ByLogout is the user signing out of it.
	ByLogout RevocationReason = "logout"
	// ByUser is the user ending it from the list of sessions.
	ByUser RevocationReason = "user"
	// ByPassword is a new password, which ends the sessions of who had the old one.
	ByPassword RevocationReason = "password_changed"
	// ByAdministrator is an administrator ending it.
	ByAdministrator RevocationReason = "administrator"
	// ByRemoval is the user leaving the organization, or the account being closed.
	ByRemoval RevocationReason = "removed"
	// ByReuse is a refresh token that came a second time: two parties hold it, and one of them stole it.
	ByReuse RevocationReason = "refresh_token_reuse"
)

// JWKS is the set of public keys that verify access tokens.
type JWKS = identity.JWKS
