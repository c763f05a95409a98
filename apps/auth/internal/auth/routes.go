package auth

import (
	"context"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/vault"
)

// Module is the group's core routes, directly below its prefix.
type Module struct {
	service *Service
	sealed  func(context.Context) (vault.Sealing, error)
}

// NewModule serves s, and to other groups how what the group encrypts is sealed.
func NewModule(s *Service, sealed func(context.Context) (vault.Sealing, error)) *Module {
	return &Module{s, sealed}
}

// Name is "auth".
func (m *Module) Name() string { return "auth" }

// Routes binds the module's routes.
func (m *Module) Routes(r *group.Routes) {
	group.Post(r, "/register", m.register, group.Public(), group.Status(http.StatusCreated), group.Problems(http.StatusConflict, http.StatusUnprocessableEntity), group.Doc("Register an organization with its owner", "A password has 12 to 128 characters, does not contain the e-mail address or the organization's name, and is no run such as abcdefghijkl."))
	group.Post(r, "/login", m.login, group.Public(), group.Sensitive(), group.Problems(http.StatusUnauthorized, http.StatusTooManyRequests), group.Doc("Sign in", "After 5 failures in a row each further one doubles the wait, from a minute to an hour (429 account_locked, Retry-After)."))
	group.Post(r, "/refresh", m.refresh, group.Public(), group.Sensitive(), group.Problems(http.StatusUnauthorized), group.Doc("Get the next access token", "A refresh token is good for one use. Repeated within 5 seconds it gets the same answer again, in case the first was lost; after that it ends its session (401 refresh_token_reused)."))
	group.Post(r, "/logout", m.logout, group.SignedIn(), group.BeforeAcceptance(), group.Doc("Sign out", "Ends the session of the access token; its tokens are refused everywhere within 5 seconds. It takes no permission, so that whoever holds a token, however narrow its scope, can get rid of it."))
	group.Get(r, "/me", m.me, group.Needs("auth.auth:read"), group.BeforeAcceptance(), group.Doc("Who you are"))
	group.Patch(r, "/me", m.updateProfile, group.Needs("auth.auth:write"), group.Problems(http.StatusPreconditionFailed), group.Doc("Change your profile", "Members that are left out stay as they are."))
	group.Post(r, "/logout-everywhere", m.logoutEverywhere, group.SignedIn(), group.BeforeAcceptance(), group.Doc("Sign out everywhere", "Ends all your sessions; their tokens are refused everywhere within 5 seconds."))
	group.Post(r, "/password", m.changePassword, group.Needs("auth.auth:write"), group.Action("change-password"), group.Sensitive(), group.BeforeAcceptance(), group.Problems(http.StatusUnprocessableEntity), group.Doc("Change your password", "Give the current one, or sign in again within the last 5 minutes. Your other sessions end."))
	group.Post(r, "/password/reset-request", m.requestReset, group.Public(), group.Sensitive(), group.Status(http.StatusAccepted), group.Doc("Ask for a new password by mail", "The answer is the same whether there is an account or not. At most 5 mails an hour."))
	group.Post(r, "/password/reset", m.reset, group.Public(), group.Sensitive(), group.Problems(http.StatusUnauthorized, http.StatusUnprocessableEntity), group.Doc("Set a new password with the token that was mailed", "A token is good for one use within 30 minutes. All sessions of the user end."))
	group.Get(r, "/jwks", m.jwks, group.Public(), group.Doc("Keys that verify access tokens", "A JSON Web Key Set (RFC 7517)."))
	group.Get(r, "/sealing", m.sealing, group.Internal(), group.Doc("Count the secrets that are encrypted with a former key"))
	group.Get(r, "/changes", m.changes, group.Internal(), group.Doc("Sessions that ended and access that changed lately"))
	group.Get(r, "/access", m.access, group.Internal(), group.Problems(http.StatusUnauthorized), group.Doc("What a user or an API key may do now"))
}

func (m *Module) sealing(ctx context.Context, _ *struct{}) (*vault.Sealing, error) {
	count, err := m.sealed(ctx)
	return &count, err
}

// RegisterInput is a new organization and its owner.
type RegisterInput struct {
	Body struct {
		Organization struct {
			Name string `json:"name" minLength:"1" maxLength:"200" doc:"Name of the organization" example:"Analytical Engines"`
		} `json:"organization"`
		Email     string `json:"email" minLength:"3" maxLength:"254" doc:"E-mail address; upper and lower case are the same" example:"ada@example.com"`
		Password  string `json:"password" maxLength:"512" writeOnly:"true" doc:"12 to 128 characters" example:"three blind mice in a row"`
		FirstName string `json:"first_name" minLength:"1" maxLength:"100" example:"Ada"`
		LastName  string `json:"last_name" minLength:"1" maxLength:"100" example:"Lovelace"`
	}
}

func (m *Module) register(ctx context.Context, in *RegisterInput) (*authapi.Registration, error) {
	return m.service.Register(ctx, NewAccount{
		Organization: in.Body.Organization.Name, Email: in.Body.Email, Password: in.Body.Password,
		FirstName: in.Body.FirstName, LastName: in.Body.LastName,
	})
}

// LoginInput is a user's credentials and where they come from.
type LoginInput struct {
	Body struct {
		Email    string `json:"email" minLength:"3" maxLength:"254" example:"ada@example.com"`
		Password string `json:"password" maxLength:"512" writeOnly:"true" example:"three blind mice in a row"`
		Scope    string `json:"scope,omitempty" maxLength:"1000" doc:"Permission patterns, separated by spaces, that the tokens are narrowed to (RFC 6749, section 3.3)" example:"analytics.*:read"`

		Organization string `json:"organization_id,omitempty" maxLength:"64" doc:"Organization to sign in to, for who works for several; else the one signed in to last" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
		RememberMe   bool   `json:"remember_me,omitempty" doc:"Keep the session for 30 days without use, else 7"`
		Device       string `json:"device_token,omitempty" maxLength:"200" doc:"Token of a remembered device, which needs no second factor" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d.mGq3…"`
	}
}

func (m *Module) login(ctx context.Context, in *LoginInput) (*authapi.SignIn, error) {
	return m.service.Login(ctx, Credentials{
		Email: in.Body.Email, Password: in.Body.Password, Scope: in.Body.Scope,
		Organization: in.Body.Organization, RememberMe: in.Body.RememberMe, Device: in.Body.Device,
	})
}

// RefreshInput is a refresh token.
type RefreshInput struct {
	Body struct {
		RefreshToken string `json:"refresh_token" maxLength:"200" doc:"The latest refresh token of the session" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d.mGq3…"`
		Scope        string `json:"scope,omitempty" maxLength:"1000" doc:"Narrows this access token within the session's scope" example:"analytics.dashboard:read"`
	}
}

func (m *Module) refresh(ctx context.Context, in *RefreshInput) (*authapi.Tokens, error) {
	return m.service.Refresh(ctx, in.Body.RefreshToken, in.Body.Scope)
}

func (m *Module) logout(ctx context.Context, _ *struct{}) (*group.None, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, m.service.Logout(ctx, p)
}

func (m *Module) me(ctx context.Context, _ *struct{}) (*group.Versioned[authapi.Me], error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	me, version, err := m.service.Me(ctx, p)
	if err != nil {
		return nil, err
	}
	return group.AtVersion(me, version), nil
}

// ProfileInput is what changes of a user.
type ProfileInput struct {
	group.IfMatch
	Body struct {
		FirstName *string `json:"first_name,omitempty" minLength:"1" maxLength:"100" example:"Ada"`
		LastName  *string `json:"last_name,omitempty" minLength:"1" maxLength:"100" example:"Lovelace"`
	}
}

func (m *Module) updateProfile(ctx context.Context, in *ProfileInput) (*group.Versioned[authapi.Me], error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	me, version, err := m.service.UpdateProfile(ctx, p, in.Body.FirstName, in.Body.LastName, in.IfMatch)
	if err != nil {
		return nil, err
	}
	return group.AtVersion(me, version), nil
}

func (m *Module) logoutEverywhere(ctx context.Context, _ *struct{}) (*group.None, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, m.service.c.Sessions.RevokeAll(ctx, p.Subject, "", authapi.ByLogout)
}

// PasswordInput is a new password.
type PasswordInput struct {
	Body struct {
		Current  string `json:"current_password,omitempty" maxLength:"512" writeOnly:"true" doc:"The one to replace; not needed within 5 minutes after signing in" example:"three blind mice in a row"`
		Password string `json:"password" maxLength:"512" writeOnly:"true" doc:"12 to 128 characters" example:"see how they run, see how they run"`
	}
}

func (m *Module) changePassword(ctx context.Context, in *PasswordInput) (*group.None, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, m.service.ChangePassword(ctx, p, in.Body.Current, in.Body.Password)
}

// ResetRequestInput names an account.
type ResetRequestInput struct {
	Body struct {
		Email string `json:"email" minLength:"3" maxLength:"254" example:"ada@example.com"`
	}
}

func (m *Module) requestReset(ctx context.Context, in *ResetRequestInput) (*group.None, error) {
	return nil, m.service.RequestReset(ctx, in.Body.Email)
}

// ResetInput is a token that was mailed, and the password to set.
type ResetInput struct {
	Body struct {
		Token    string `json:"token" minLength:"1" maxLength:"100" writeOnly:"true" doc:"From the link in the mail" example:"mGq3…"`
		Password string `json:"password" maxLength:"512" writeOnly:"true" doc:"12 to 128 characters" example:"see how they run, see how they run"`
	}
}

func (m *Module) reset(ctx context.Context, in *ResetInput) (*group.None, error) {
	return nil, m.service.Reset(ctx, in.Body.Token, in.Body.Password)
}

func (m *Module) jwks(context.Context, *struct{}) (*authapi.JWKS, error) {
	keys := m.service.c.Key.JWKS()
	return &keys, nil
}

// ChangesInput says what the caller knows already.
type ChangesInput struct {
	Since time.Time `query:"since" doc:"as_of of the answer before; all that matter without it"`
}

func (m *Module) changes(ctx context.Context, in *ChangesInput) (*identity.Changes, error) {
	changed, asOf, err := m.service.c.Access.Since(ctx, in.Since)
	if err != nil {
		return nil, err
	}
	ended, err := m.service.c.Sessions.Revocations(ctx, in.Since)
	if err != nil {
		return nil, err
	}
	return &identity.Changes{Sessions: ended, Access: changed, AsOf: asOf}, nil
}

// AccessInput names who acts where.
type AccessInput struct {
	Organization string `query:"organization" required:"true" maxLength:"64" doc:"Id of the organization"`
	Subject      string `query:"subject" required:"true" maxLength:"80" doc:"Id of a user, or key:<id>"`
}

func (m *Module) access(ctx context.Context, in *AccessInput) (*identity.CurrentAccess, error) {
	return m.service.c.Access.Current(ctx, in.Organization, in.Subject)
}
