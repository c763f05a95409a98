package authapi

import (
	"time"

	"github.com/tandemhq/tandem/pkg/events"
)

// Codes of the problems of e-mail verification.
const (
	// CodeEmailLinkInvalid (410): the link was used, has expired or never was; have another one mailed.
	CodeEmailLinkInvalid = "email_link_invalid"
	// CodeEmailLinkNeedsSignIn (403): the link proves an address only for who also shows that the account is theirs, by signing in or
	// by its password. Whoever cannot sets a new password by mail.
	CodeEmailLinkNeedsSignIn = "email_link_needs_sign_in"
	// CodeEmailAlreadyVerified (409): the address of the account is verified, so there is no link to send.
	CodeEmailAlreadyVerified = "email_already_verified"
)

// EmailStatus is what is known of the address of an account.
type EmailStatus struct {
	Email      string       `json:"email" format:"email" doc:"Address of the account" example:"ada@example.com"`
	Verified   bool         `json:"verified" doc:"Whether the person has proved that the address is theirs"`
	VerifiedAt *time.Time   `json:"verified_at,omitempty" doc:"When, UTC"`
	Change     *EmailChange `json:"change,omitempty" doc:"Move to another address that is under way"`
}

// EmailChange is a move of an account to another address. It happens when both ends have agreed.
type EmailChange struct {
	Email             string    `json:"email" format:"email" doc:"Address to move to" example:"ada@example.org"`
	AgreedByCurrent   bool      `json:"agreed_by_current" doc:"Whether the present address has agreed, or has no say because it was never verified"`
	AgreedByRequested bool      `json:"agreed_by_requested" doc:"Whether the new address has agreed"`
	RequestedAt       time.Time `json:"requested_at" doc:"When it was asked for, UTC"`
	ExpiresAt         time.Time `json:"expires_at" doc:"When it is given up, UTC"`
}

// EmailConfirmation is what a link has done.
type EmailConfirmation struct {
	Result EmailConfirmationResult `json:"result" enum:"verified,agreed,changed" doc:"verified: the address is proved; agreed: the other end of the change is asked still; changed: the account has its new address" example:"verified"`
}

// EmailConfirmationResult is what a link has done.
type EmailConfirmationResult string

// The results there are.
const (
	// EmailVerified is a proved address.
	EmailVerified EmailConfirmationResult = "verified"
	// EmailChangeAgreed is one end of a change that has agreed, while the other has not yet.
	EmailChangeAgreed EmailConfirmationResult = "agreed"
	// EmailChanged is a change that has happened.
	EmailChanged EmailConfirmationResult = "changed"
)

// UserVerified tells an organization that one of its people has proved their address, the first or a new one.
var UserVerified = events.Topic[UserVerifiedData]{Name: "auth.user.verified"}

// UserVerifiedData says who it was. The address is to be asked for.
type UserVerifiedData struct {
	UserID         string    `json:"user_id"`
	OrganizationID string    `json:"organization_id"`
	At             time.Time `json:"at"`
}

// UserEmailChanged tells an organization that one of its people has another address.
var UserEmailChanged = events.Topic[UserEmailChangedData]{Name: "auth.user.emailchanged"}

// UserEmailChangedData says who it was. The address is to be asked for.
type UserEmailChangedData struct {
	UserID         string    `json:"user_id"`
	OrganizationID string    `json:"organization_id"`
	At             time.Time `json:"at"`
}

// EmailLinkRequested makes the auth group mail links. They are mailed after the answer, so that its timing
// tells nobody who has an account; and a link's token is made only then, since events carry no secrets.
var EmailLinkRequested = events.Topic[EmailLinkRequestedData]{Name: "auth.emaillink.requested"}

// EmailLinkRequestedData says what to mail; with neither id, nothing.
type EmailLinkRequestedData struct {
	// UserID is who is to prove their address.
	UserID string `json:"user_id,omitempty"`
	// ChangeID is the change of address that both ends are to agree to, or to be told of once it has happened.
	ChangeID string `json:"change_id,omitempty"`
}
