package authapi

import (
	"time"

	"github.com/tandemhq/tandem/pkg/events"
)

// Codes of passwords.
const (
	// CodeReauthenticate (403): give the current password, or sign in again, and try once more.
	CodeReauthenticate = "reauthentication_required"
	// CodeResetTokenInvalid (401): not the token of a reset under way.
	CodeResetTokenInvalid = "reset_token_invalid"
)

// PasswordResetRequested tells that somebody asked for a new password by mail. It does not say whether
// there is an account.
var PasswordResetRequested = events.Topic[PasswordResetRequestedData]{Name: "auth.password.resetrequested"}

// PasswordResetRequestedData names the request.
type PasswordResetRequestedData struct {
	RequestID string `json:"request_id"`
}

// PasswordChanged tells that a user has a new password.
var PasswordChanged = events.Topic[PasswordChangedData]{Name: "auth.password.changed"}

// PasswordChangedData says whose password is new.
type PasswordChangedData struct {
	UserID string    `json:"user_id"`
	Reset  bool      `json:"reset"` // by mail, not by who knew the old one
	At     time.Time `json:"at"`
}

// DeviceAdded tells that a user signed in with what they never signed in with before. The first device of
// an account is none to tell of.
var DeviceAdded = events.Topic[DeviceAddedData]{Name: "auth.device.added"}

// DeviceAddedData names the session that began on the device.
type DeviceAddedData struct {
	UserID    string `json:"user_id"`
	SessionID string `json:"session_id"`
}

// Activity is a sign-in, as a user's history shows it.
type Activity struct {
	SessionID string     `json:"session_id" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d"`
	DeviceID  string     `json:"device_id,omitempty" doc:"The same for all sign-ins with one device" example:"4f1c…"`
	Address   string     `json:"address,omitempty" doc:"IP address that signed in" example:"203.0.113.7"`
	UserAgent string     `json:"user_agent,omitempty" doc:"What signed in, in its own words" example:"Mozilla/5.0 (X11; Linux x86_64)"`
	Methods   []string   `json:"methods" doc:"How the user proved who they are (RFC 8176)" example:"[\"pwd\",\"otp\",\"mfa\"]"`
	SignedIn  time.Time  `json:"signed_in_at" doc:"When it began, UTC"`
	LastSeen  time.Time  `json:"last_seen_at" doc:"When it last got an access token, UTC"`
	EndedAt   *time.Time `json:"ended_at,omitempty" doc:"When it ended, UTC; missing while it lives"`
	Reason    string     `json:"reason,omitempty" doc:"Why it ended: expired, or a reason of its revocation" example:"logout"`
}

// Activities is a page of sign-ins, the latest first.
type Activities struct {
	Items      []Activity `json:"items"`
	NextCursor string     `json:"next_cursor,omitempty" doc:"The next page's cursor; missing on the last page" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}
