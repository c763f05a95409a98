package authapi

import (
	"time"

	"github.com/tandemhq/tandem/pkg/events"
)

// Codes of the problems of second factors.
const (
	// CodeSecondFactorInvalid (401, or 422 while enrolling): the code or passkey is wrong, used up or too old;
	// which of them is not told.
	CodeSecondFactorInvalid = "second_factor_invalid"
	// CodeFactorLocked (429): five failures with this factor; Retry-After says when it can be shown again.
	CodeFactorLocked = "factor_locked"
	// CodeTooManyCodes (429): a code was sent a moment ago, or too many were; Retry-After says when the next can be.
	CodeTooManyCodes = "too_many_codes"
	// CodeCodeNotSent (503): the mail or text message with the code was not accepted; ask for another.
	CodeCodeNotSent = "code_not_sent"
	// CodeFactorNotEnrolled (409): the user has no such second factor that counts in the organization.
	CodeFactorNotEnrolled = "factor_not_enrolled"
	// CodeFactorNotAllowed (403): the organization does not accept this kind of second factor.
	CodeFactorNotAllowed = "factor_not_allowed"
	// CodeRecentSignInRequired (401): the first second factor is enrolled within 15 minutes of a sign-in.
	CodeRecentSignInRequired = "recent_sign_in_required"
	// CodeLastFactor (409): an organization of the user demands a second factor, and this is the last that counts.
	CodeLastFactor = "last_factor"
	// CodePasskeyRegistered (409): the authenticator's passkey is registered already.
	CodePasskeyRegistered = "passkey_registered"
	// CodeTooManyPasskeys (409): the user has as many passkeys as a user may have.
	CodeTooManyPasskeys = "too_many_passkeys"
)

// MFA is a user's second factors.
type MFA struct {
	Methods       []MFAMethod   `json:"methods" doc:"Second factors that you have, in the order in which they are offered" example:"[\"passkey\",\"totp\",\"recovery_code\"]"`
	Allowed       []MFAMethod   `json:"allowed" doc:"Second factors that count in this organization" example:"[\"passkey\",\"totp\"]"`
	Required      bool          `json:"required" doc:"Whether this organization demands a second factor of you"`
	TOTP          *MFAEnrolment `json:"totp,omitempty" doc:"Authenticator app, where there is one"`
	Email         *MFAEnrolment `json:"email,omitempty" doc:"Codes by e-mail, where they are set up"`
	SMS           *MFAEnrolment `json:"sms,omitempty" doc:"Codes by text message, where they are set up"`
	Passkeys      []Passkey     `json:"passkeys" doc:"Passkeys, the first registered first"`
	RecoveryCodes int           `json:"recovery_codes" doc:"Recovery codes that were not used yet" example:"10"`
}

// MFAEnrolment is one second factor of a user.
type MFAEnrolment struct {
	EnrolledAt time.Time  `json:"enrolled_at" doc:"When it was set up, UTC"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty" doc:"When it was last shown, UTC"`
	Number     string     `json:"number,omitempty" doc:"Telephone number, all but its beginning and end hidden" example:"+44•••••••000"`
}

// MFAChallenge is what has been begun and is to be completed with a code or a passkey.
type MFAChallenge struct {
	Challenge string         `json:"challenge" doc:"Names what was begun; give it back with the code or the passkey's answer" example:"5f2b6f1c11…"`
	Method    MFAMethod      `json:"method" enum:"passkey,totp,email,sms,recovery_code" example:"email"`
	SentTo    string         `json:"sent_to,omitempty" doc:"Where a code was sent to, most of it hidden" example:"a•••@example.com"`
	ExpiresIn int            `json:"expires_in" doc:"Seconds within which it is to be completed" example:"600"`
	PublicKey map[string]any `json:"public_key,omitempty" doc:"For a passkey: PublicKeyCredentialRequestOptionsJSON or PublicKeyCredentialCreationOptionsJSON (WebAuthn Level 3, section 5.1), for parseRequestOptionsFromJSON or parseCreationOptionsFromJSON" example:"{\"challenge\":\"eV6q…\",\"rpId\":\"localhost\",\"userVerification\":\"preferred\"}"`
}

// MFASignIn answers a second factor at sign-in.
type MFASignIn struct {
	SignIn
	DeviceToken string `json:"device_token,omitempty" doc:"Remembers this device, where that was asked for and the organization allows it: give it to the next login" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d.mGq3…"`
}

// TOTPSecret is the secret of an authenticator app, shown once.
type TOTPSecret struct {
	Secret    string `json:"secret" doc:"Base32 (RFC 4648), to be typed into the app" example:"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"`
	URI       string `json:"uri" doc:"The same for a QR code, in the otpauth form that authenticator apps read" example:"otpauth://totp/Tandem:ada@example.com?secret=…&issuer=Tandem"`
	ExpiresIn int    `json:"expires_in" doc:"Seconds within which it is to be confirmed" example:"900"`
}

// MFAEnrolled answers a second factor that has been set up. Showing it counts as a second factor of this
// session, so there is an access token that says so.
type MFAEnrolled struct {
	SignIn
	Passkey       *Passkey `json:"passkey,omitempty" doc:"The passkey, where it is one"`
	RecoveryCodes []string `json:"recovery_codes,omitempty" doc:"With the first second factor: each signs in once instead of it; shown this once" example:"[\"q7k2-m4xw-9c3t-h8va\"]"`
}

// RecoveryCodes sign in once each when the other second factors are lost.
type RecoveryCodes struct {
	Codes []string `json:"codes" doc:"Shown this once" example:"[\"q7k2-m4xw-9c3t-h8va\"]"`
}

// Passkey is a WebAuthn credential of a user.
type Passkey struct {
	ID         string     `json:"id" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d"`
	Name       string     `json:"name" doc:"What its user calls it" example:"Ada's phone"`
	BackedUp   bool       `json:"backed_up" doc:"Whether it is kept in more places than one authenticator, as by a password manager"`
	Cloned     bool       `json:"cloned" doc:"Whether it is refused because its signature counter went back: two authenticators may hold it. Remove it, and register anew"`
	CreatedAt  time.Time  `json:"created_at" doc:"When it was registered, UTC"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty" doc:"When it was last shown, UTC"`
}

// Passkeys are all of a user's passkeys.
type Passkeys struct {
	Items []Passkey `json:"items" doc:"The first registered first"`
}

// RememberedDevice is a device on which a user need not show a second factor for a while.
type RememberedDevice struct {
	ID         string     `json:"id" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d"`
	Address    string     `json:"address,omitempty" doc:"IP address that it was remembered at" example:"203.0.113.7"`
	UserAgent  string     `json:"user_agent,omitempty" doc:"What signed in, in its own words" example:"Mozilla/5.0 (X11; Linux x86_64)"`
	CreatedAt  time.Time  `json:"created_at" doc:"When it was remembered, UTC"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty" doc:"When it last signed in without a second factor, UTC"`
	ExpiresAt  time.Time  `json:"expires_at" doc:"When it is forgotten, UTC"`
}

// RememberedDevices is a page of remembered devices, the latest first.
type RememberedDevices struct {
	Items      []RememberedDevice `json:"items"`
	NextCursor string             `json:"next_cursor,omitempty" doc:"The next page's cursor; missing on the last page" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// PasskeyAttestation is a browser's answer to a registration: RegistrationResponseJSON (WebAuthn Level 3,
// section 5.1), which PublicKeyCredential.toJSON makes. What else a browser adds is ignored.
type PasskeyAttestation struct {
	_        struct{} `json:"-" additionalProperties:"true"`
	ID       string   `json:"id" minLength:"1" maxLength:"1400" doc:"Credential id, base64url" example:"4Ozv0GSSXKkT3AXL"`
	RawID    string   `json:"rawId" minLength:"1" maxLength:"1400" doc:"The same" example:"4Ozv0GSSXKkT3AXL"`
	Type     string   `json:"type" enum:"public-key"`
	Response struct {
		_                 struct{} `json:"-" additionalProperties:"true"`
		ClientDataJSON    string   `json:"clientDataJSON" minLength:"1" maxLength:"4096" doc:"What the browser says of the ceremony, base64url" example:"eyJ0eXBlIjoid2ViYXV0aG4…"`
		AttestationObject string   `json:"attestationObject" minLength:"1" maxLength:"32768" doc:"The new public key with what vouches for it, base64url" example:"o2NmbXRkbm9uZWdhdHRTdG10…"`
		Transports        []string `json:"transports,omitempty" maxItems:"16" doc:"How the authenticator can be reached" example:"[\"internal\"]"`
	} `json:"response"`
	Attachment string         `json:"authenticatorAttachment,omitempty" maxLength:"64" example:"platform"`
	Extensions map[string]any `json:"clientExtensionResults,omitempty" doc:"What the browser made of extensions" example:"{\"credProps\":{\"rk\":true}}"`
}

// PasskeyAssertion is a browser's answer to a sign-in: AuthenticationResponseJSON (WebAuthn Level 3, section
// 5.1), which PublicKeyCredential.toJSON makes. What else a browser adds is ignored.
type PasskeyAssertion struct {
	_        struct{} `json:"-" additionalProperties:"true"`
	ID       string   `json:"id" minLength:"1" maxLength:"1400" doc:"Credential id, base64url" example:"4Ozv0GSSXKkT3AXL"`
	RawID    string   `json:"rawId" minLength:"1" maxLength:"1400" doc:"The same" example:"4Ozv0GSSXKkT3AXL"`
	Type     string   `json:"type" enum:"public-key"`
	Response struct {
		_                 struct{} `json:"-" additionalProperties:"true"`
		ClientDataJSON    string   `json:"clientDataJSON" minLength:"1" maxLength:"4096" doc:"What the browser says of the ceremony, base64url" example:"eyJ0eXBlIjoid2ViYXV0aG4…"`
		AuthenticatorData string   `json:"authenticatorData" minLength:"1" maxLength:"4096" doc:"What the authenticator says of it, base64url" example:"SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2MF…"`
		Signature         string   `json:"signature" minLength:"1" maxLength:"8192" doc:"The passkey's signature over both, base64url" example:"MEUCIQDx…"`
		UserHandle        string   `json:"userHandle,omitempty" maxLength:"128" doc:"Whose passkey it is, base64url" example:"MDE5OWIxZjItNmYwYy03YTUx…"`
	} `json:"response"`
	Attachment string         `json:"authenticatorAttachment,omitempty" maxLength:"64" example:"platform"`
	Extensions map[string]any `json:"clientExtensionResults,omitempty" doc:"What the browser made of extensions" example:"{\"credProps\":{\"rk\":true}}"`
}

// MFAChanged tells of a change in a user's second factors, of which the user gets a mail.
var MFAChanged = events.Topic[MFAChangedData]{Name: "auth.mfa.changed"}

// MFAChangedData says whose second factor changed, and how.
type MFAChangedData struct {
	UserID string    `json:"user_id"`
	Method MFAMethod `json:"method"`
	Change MFAChange `json:"change"`
	At     time.Time `json:"at"`
}

// MFAChange is what happened to a second factor.
type MFAChange string

// The changes there are.
const (
	// MFAAdded is a second factor that was set up.
	MFAAdded MFAChange = "added"
	// MFARemoved is one that was removed.
	MFARemoved MFAChange = "removed"
	// MFARenewed is recovery codes that were made anew, or an authenticator app that replaced another.
	MFARenewed MFAChange = "renewed"
	// MFAUsed is a recovery code that was used.
	MFAUsed MFAChange = "used"
	// MFALocked is a factor that is locked after five failures.
	MFALocked MFAChange = "locked"
	// MFACloned is a passkey that is refused because two authenticators may hold it.
	MFACloned MFAChange = "cloned"
)
