package mfa

import (
	"context"
	"net/http"
	"strings"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/pkg/group"
)

// Module is the routes of second factors.
type Module struct{ service *Service }

// NewModule serves s.
func NewModule(s *Service) *Module { return &Module{s} }

// Name is "mfa".
func (m *Module) Name() string { return "mfa" }

// maxBody bounds a request: a passkey's attestation is the longest.
const maxBody = 64 << 10

// Routes binds the module's routes.
func (m *Module) Routes(r *group.Routes) {
	// Every role has both permissions; a token's scope may lack them.
	read, write := group.Needs("auth.mfa:read"), group.Needs("auth.mfa:write")
	secret, small := group.Sensitive(), group.MaxBody(maxBody)
	// What setting a factor up may answer, and removing one.
	enrolling := group.Problems(http.StatusConflict, http.StatusUnprocessableEntity, http.StatusServiceUnavailable)
	removing := group.Problems(http.StatusNotFound, http.StatusConflict)

	group.Get(r, "", m.show, read, group.Doc("Show your second factors"))
	group.Post(r, "/challenge", m.challenge, group.Public(), secret, small, group.Problems(http.StatusUnauthorized, http.StatusConflict, http.StatusServiceUnavailable), group.Doc("Send a code, or ask for a passkey, at sign-in", "For the sign-in that waits under a challenge. A code has six digits, works once and for 10 minutes, and only where it was asked for; there is one a minute at most, and five in a row, after which an hour must pass (429 too_many_codes). A passkey is asked for with PublicKeyCredentialRequestOptions (W3C Web Authentication Level 3, section 5.5), to be answered within 5 minutes."))
	group.Post(r, "/verify", m.verify, group.Public(), secret, small, group.Problems(http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict), group.Doc("Sign in with a second factor", "A code of an authenticator app is one of RFC 6238 (six digits, 30 seconds, one step before and after is accepted) and works once. After 5 failures in a row the factor is locked for 15 minutes (429 factor_locked, Retry-After).", "remember_device gets a device_token where the organization allows it: a login that brings it needs no second factor."))
	group.Post(r, "/step-up/challenge", m.stepUpChallenge, group.SignedIn(), secret, small, group.Problems(http.StatusConflict, http.StatusServiceUnavailable), group.Doc("Send a code, or ask for a passkey, in a session"))
	group.Post(r, "/step-up", m.stepUp, group.SignedIn(), group.Action("verify"), secret, small, group.Problems(http.StatusConflict), group.Doc("Show a second factor in a session", "For operations that answer 401 step_up_required (RFC 9470, OAuth 2.0 Step Up Authentication Challenge). The answer has an access token and no refresh token; the session keeps the one that it has, and its next access tokens have shown the factor as well."))

	group.Post(r, "/totp", m.beginTOTP, write, secret, enrolling, group.Doc("Make a secret for an authenticator app", "RFC 6238 with SHA-1, six digits and 30 seconds. It counts when a code of it was confirmed within 15 minutes. Whoever has a second factor shows it first (401 step_up_required); who has none must have signed in within 15 minutes (401 recent_sign_in_required). So it is for every second factor."))
	group.Post(r, "/totp/confirm", m.confirmTOTP, write, group.Action("enrol"), secret, enrolling, group.Doc("Set up an authenticator app", "It takes the place of one that was set up before. With the first second factor come ten recovery codes, shown this once."))
	group.Delete(r, "/totp", m.removeTOTP, write, group.Action("remove"), group.StepUp(), removing, group.Doc("Remove the authenticator app"))
	group.Post(r, "/email", m.beginEmail, write, secret, enrolling, group.Doc("Send a code to your e-mail address, to set it up"))
	group.Post(r, "/email/confirm", m.confirmEmail, write, group.Action("enrol"), secret, small, enrolling, group.Doc("Set up codes by e-mail"))
	group.Delete(r, "/email", m.removeEmail, write, group.Action("remove"), group.StepUp(), removing, group.Doc("Remove codes by e-mail"))
	group.Post(r, "/sms", m.beginSMS, write, secret, small, enrolling, group.Doc("Send a code to a telephone number, to set it up"))
	group.Post(r, "/sms/confirm", m.confirmSMS, write, group.Action("enrol"), secret, small, enrolling, group.Doc("Set up codes by text message"))
	group.Delete(r, "/sms", m.removeSMS, write, group.Action("remove"), group.StepUp(), removing, group.Doc("Remove codes by text message"))
	group.Post(r, "/recovery-codes", m.renewRecovery, write, group.Action("renew-recovery-codes"), secret, group.StepUp(), group.Problems(http.StatusConflict), group.Doc("Make new recovery codes", "Ten codes that sign in once each when other second factors are lost; those before no longer work."))

	group.Get(r, "/passkeys", m.passkeys, read, group.Doc("List your passkeys"))
	group.Post(r, "/passkeys/begin", m.beginPasskey, write, secret, enrolling, group.Doc("Begin to register a passkey", "Answers PublicKeyCredentialCreationOptions (W3C Web Authentication Level 3, section 5.4), to be answered within 5 minutes. Browsers know no passkeys on http://127.0.0.1; use http://localhost."))
	group.Post(r, "/passkeys/finish", m.finishPasskey, write, group.Action("enrol"), secret, small, enrolling, group.Doc("Register a passkey", "As W3C Web Authentication Level 3, section 7.1, says. Which make of authenticator it is does not matter."))
	group.Get(r, "/passkeys/{id}", m.passkey, read, group.Problems(http.StatusNotFound), group.Doc("Show a passkey"))
	group.Patch(r, "/passkeys/{id}", m.renamePasskey, write, small, group.Problems(http.StatusNotFound, http.StatusPreconditionFailed), group.Doc("Rename a passkey"))
	group.Delete(r, "/passkeys/{id}", m.removePasskey, write, group.Action("remove"), group.StepUp(), removing, group.Doc("Remove a passkey"))
	group.Post(r, "/passkeys/login/begin", m.beginPasswordless, group.Public(), secret, small, group.Doc("Begin to sign in with a passkey alone", "The browser offers the passkeys that it has; nobody is named. Answers PublicKeyCredentialRequestOptions (W3C Web Authentication Level 3, section 5.5), to be answered within 5 minutes."))
	group.Post(r, "/passkeys/login/finish", m.finishPasswordless, group.Public(), secret, small, group.Problems(http.StatusUnauthorized, http.StatusForbidden), group.Doc("Sign in with a passkey alone", "As W3C Web Authentication Level 3, section 7.2, says. The passkey must have verified its user, so that it is two factors at once."))

	group.Get(r, "/devices", m.devices, read, group.Doc("List remembered devices", "Devices on which you need not show a second factor, the latest first."))
	group.Delete(r, "/devices", m.forgetDevices, write, group.Action("forget-devices"), group.Doc("Forget all remembered devices"))
	group.Delete(r, "/devices/{id}", m.forgetDevice, write, group.Action("forget-device"), group.Problems(http.StatusNotFound), group.Doc("Forget a remembered device"))
}

func (m *Module) show(ctx context.Context, _ *struct{}) (*authapi.MFA, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.Show(ctx, p)
}

// ChallengeInput names a sign-in that waits, and the factor to be shown.
type ChallengeInput struct {
	Body struct {
		Challenge string            `json:"challenge" minLength:"1" maxLength:"200" doc:"challenge of the login" example:"5f2b6f1c11…"`
		Method    authapi.MFAMethod `json:"method" enum:"passkey,email,sms" example:"email"`
	}
}

func (m *Module) challenge(ctx context.Context, in *ChallengeInput) (*authapi.MFAChallenge, error) {
	return m.service.Challenge(ctx, in.Body.Challenge, in.Body.Method)
}

// ProofBody is a second factor as it is shown.
type ProofBody struct {
	Method     authapi.MFAMethod         `json:"method" enum:"passkey,totp,email,sms,recovery_code" example:"totp"`
	Code       string                    `json:"code,omitempty" maxLength:"40" writeOnly:"true" doc:"For every method but passkey; spaces do not matter" example:"287082"`
	Credential *authapi.PasskeyAssertion `json:"credential,omitempty" doc:"For a passkey: what PublicKeyCredential.toJSON makes"`
}

func (b ProofBody) proof() Proof {
	b.Code = unspaced(b.Code)
	return Proof(b)
}

// unspaced is a code without the spaces with which apps show it.
func unspaced(code string) string { return strings.ReplaceAll(code, " ", "") }

// VerifyInput is a second factor for a sign-in that waits.
type VerifyInput struct {
	Body struct {
		Challenge string `json:"challenge" minLength:"1" maxLength:"200" doc:"challenge of the login" example:"5f2b6f1c11…"`
		ProofBody
		Remember bool `json:"remember_device,omitempty" doc:"Remember this device, so that it needs no second factor for a while"`
	}
}

func (m *Module) verify(ctx context.Context, in *VerifyInput) (*authapi.MFASignIn, error) {
	return m.service.Verify(ctx, Verification{in.Body.Challenge, in.Body.proof(), in.Body.Remember})
}

// StepUpChallengeInput names the factor to be shown.
type StepUpChallengeInput struct {
	Body struct {
		Method authapi.MFAMethod `json:"method" enum:"passkey,email,sms" example:"email"`
	}
}

func (m *Module) stepUpChallenge(ctx context.Context, in *StepUpChallengeInput) (*authapi.MFAChallenge, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.StepUpChallenge(ctx, p, in.Body.Method)
}

// StepUpInput is a second factor for the session that asks.
type StepUpInput struct {
	Body struct {
		Challenge string `json:"challenge,omitempty" maxLength:"200" doc:"challenge of step-up/challenge; none for totp and recovery_code" example:"5f2b6f1c11…"`
		ProofBody
	}
}

func (m *Module) stepUp(ctx context.Context, in *StepUpInput) (*authapi.SignIn, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.StepUp(ctx, p, in.Body.Challenge, in.Body.proof())
}

func (m *Module) beginTOTP(ctx context.Context, _ *struct{}) (*authapi.TOTPSecret, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.BeginTOTP(ctx, p)
}

// CodeInput is a code of an authenticator app.
type CodeInput struct {
	Body struct {
		Code string `json:"code" minLength:"6" maxLength:"7" writeOnly:"true" doc:"Six digits, with a space between them or none" example:"287082"`
	}
}

func (m *Module) confirmTOTP(ctx context.Context, in *CodeInput) (*authapi.MFAEnrolled, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.ConfirmTOTP(ctx, p, unspaced(in.Body.Code))
}

func (m *Module) removeTOTP(ctx context.Context, _ *struct{}) (*group.None, error) {
	return m.remove(ctx, authapi.MFATOTP)
}

func (m *Module) removeEmail(ctx context.Context, _ *struct{}) (*group.None, error) {
	return m.remove(ctx, authapi.MFAEmail)
}

func (m *Module) removeSMS(ctx context.Context, _ *struct{}) (*group.None, error) {
	return m.remove(ctx, authapi.MFASMS)
}

func (m *Module) remove(ctx context.Context, method authapi.MFAMethod) (*group.None, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, m.service.Remove(ctx, p, method)
}

func (m *Module) beginEmail(ctx context.Context, _ *struct{}) (*authapi.MFAChallenge, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.BeginEmail(ctx, p)
}

// NumberInput is a telephone number.
type NumberInput struct {
	Body struct {
		Number string `json:"number" maxLength:"16" pattern:"^\\+[1-9][0-9]{6,14}$" doc:"Telephone number in E.164 form" example:"+441632960000"`
	}
}

func (m *Module) beginSMS(ctx context.Context, in *NumberInput) (*authapi.MFAChallenge, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.BeginSMS(ctx, p, in.Body.Number)
}

// SentCodeInput is a code that was sent.
type SentCodeInput struct {
	Body struct {
		Challenge string `json:"challenge" minLength:"1" maxLength:"200" doc:"challenge of the answer that the code was sent with" example:"5f2b6f1c11…"`
		Code      string `json:"code" minLength:"6" maxLength:"7" writeOnly:"true" doc:"Six digits, with a space between them or none" example:"287082"`
	}
}

func (m *Module) confirmEmail(ctx context.Context, in *SentCodeInput) (*authapi.MFAEnrolled, error) {
	return m.confirmCodes(ctx, authapi.MFAEmail, in)
}

func (m *Module) confirmSMS(ctx context.Context, in *SentCodeInput) (*authapi.MFAEnrolled, error) {
	return m.confirmCodes(ctx, authapi.MFASMS, in)
}

func (m *Module) confirmCodes(ctx context.Context, method authapi.MFAMethod, in *SentCodeInput) (*authapi.MFAEnrolled, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.ConfirmCodes(ctx, p, method, in.Body.Challenge, unspaced(in.Body.Code))
}

func (m *Module) renewRecovery(ctx context.Context, _ *struct{}) (*authapi.RecoveryCodes, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.RenewRecovery(ctx, p)
}

func (m *Module) passkeys(ctx context.Context, _ *struct{}) (*authapi.Passkeys, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.Passkeys(ctx, p.Subject)
}

func (m *Module) passkey(ctx context.Context, in *OneInput) (*group.Versioned[authapi.Passkey], error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	view, version, err := m.service.Passkey(ctx, p.Subject, in.ID)
	if err != nil {
		return nil, err
	}
	return group.AtVersion(view, version), nil
}

func (m *Module) beginPasskey(ctx context.Context, _ *struct{}) (*authapi.MFAChallenge, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.BeginPasskey(ctx, p)
}

// FinishPasskeyInput is a new passkey.
type FinishPasskeyInput struct {
	Body struct {
		Challenge  string                     `json:"challenge" minLength:"1" maxLength:"200" doc:"challenge of passkeys/begin" example:"5f2b6f1c11…"`
		Name       string                     `json:"name" minLength:"1" maxLength:"100" doc:"What to call it" example:"Ada's phone"`
		Credential authapi.PasskeyAttestation `json:"credential" doc:"What PublicKeyCredential.toJSON makes"`
	}
}

func (m *Module) finishPasskey(ctx context.Context, in *FinishPasskeyInput) (*authapi.MFAEnrolled, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.FinishPasskey(ctx, p, in.Body.Challenge, in.Body.Name, in.Body.Credential)
}

// RenamePasskeyInput is a passkey's new name.
type RenamePasskeyInput struct {
	group.IfMatch
	ID   string `path:"id" maxLength:"64" doc:"Id of the passkey" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d"`
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"100" doc:"What to call it" example:"Ada's phone"`
	}
}

func (m *Module) renamePasskey(ctx context.Context, in *RenamePasskeyInput) (*group.Versioned[authapi.Passkey], error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	view, version, err := m.service.RenamePasskey(ctx, p.Subject, in.ID, in.Body.Name, in.Check)
	if err != nil {
		return nil, err
	}
	return group.AtVersion(view, version), nil
}

// OneInput names a passkey or a device.
type OneInput struct {
	ID string `path:"id" maxLength:"64" doc:"Id from the list" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d"`
}

func (m *Module) removePasskey(ctx context.Context, in *OneInput) (*group.None, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, m.service.RemovePasskey(ctx, p, in.ID)
}

func (m *Module) beginPasswordless(ctx context.Context, _ *struct{}) (*authapi.MFAChallenge, error) {
	return m.service.BeginPasswordless(ctx)
}

// PasswordlessInput is a passkey's answer, and what its user asks for.
type PasswordlessInput struct {
	Body struct {
		Challenge    string                   `json:"challenge" minLength:"1" maxLength:"200" doc:"challenge of passkeys/login/begin" example:"5f2b6f1c11…"`
		Credential   authapi.PasskeyAssertion `json:"credential" doc:"What PublicKeyCredential.toJSON makes"`
		Organization string                   `json:"organization_id,omitempty" maxLength:"64" doc:"Organization to sign in to, for who works for several; else the one signed in to last" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
		Scope        string                   `json:"scope,omitempty" maxLength:"1000" doc:"Permission patterns, separated by spaces, that the tokens are narrowed to (RFC 6749, section 3.3)" example:"analytics.*:read"`
		RememberMe   bool                     `json:"remember_me,omitempty" doc:"Keep the session for 30 days without use, else 7"`
	}
}

func (m *Module) finishPasswordless(ctx context.Context, in *PasswordlessInput) (*authapi.SignIn, error) {
	return m.service.FinishPasswordless(ctx, Passwordless{
		Challenge: in.Body.Challenge, Credential: in.Body.Credential, Organization: in.Body.Organization, Scope: in.Body.Scope,
		RememberMe: in.Body.RememberMe,
	})
}

// DevicesInput is the query of a list of devices.
type DevicesInput struct {
	Cursor string `query:"cursor" maxLength:"1000" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"Devices a page" example:"20"`
}

func (m *Module) devices(ctx context.Context, in *DevicesInput) (*authapi.RememberedDevices, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.Devices(ctx, p.Subject, in.Cursor, in.Limit)
}

func (m *Module) forgetDevices(ctx context.Context, _ *struct{}) (*group.None, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, m.service.ForgetDevices(ctx, p)
}

func (m *Module) forgetDevice(ctx context.Context, in *OneInput) (*group.None, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, m.service.ForgetDevice(ctx, p, in.ID)
}
