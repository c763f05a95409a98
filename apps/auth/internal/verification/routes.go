package verification

import (
	"context"
	"net/http"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
)

// Module is the routes of e-mail addresses.
type Module struct{ service *Service }

// NewModule serves s.
func NewModule(s *Service) *Module { return &Module{s} }

// Name is "email-verification".
func (m *Module) Name() string { return "email-verification" }

// Routes binds the module's routes.
func (m *Module) Routes(r *group.Routes) {
	// An address is a part of one's own account, as the profile is.
	read, write := group.Needs("auth.auth:read"), group.Needs("auth.auth:write")
	group.Get(r, "", m.status, read, group.Problems(http.StatusNotFound), group.Doc("Show whether your address is verified", "With the move to another address that is under way, if there is one."))
	group.Post(r, "/send", m.send, write, group.Status(http.StatusAccepted), group.Problems(http.StatusNotFound, http.StatusConflict), group.Doc("Have yourself mailed a link that verifies your address", limits))
	group.Post(r, "/resend", m.resend, group.Public(), group.Status(http.StatusAccepted), group.Problems(http.StatusUnprocessableEntity), group.Doc("Have a link mailed to an address", "For who may not sign in before the address is verified. The answer is the same whether an account has the address or not.", limits))
	group.Post(r, "/confirm", m.confirm, group.Public(), group.KnowsCaller(), group.BeforeAcceptance(), group.Problems(http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity), group.Doc("Use a link from a mail", "It verifies an address, or agrees to the move of an account to another one at one of its two ends. A link is good for one use, within 24 hours.", "To verify an address, the first or a new one, the link alone is not enough: show also that you are who set the account up, by an access token of one of its sessions or by its password, which is checked as at a sign-in. Without, the answer is 403 `email_link_needs_sign_in` and the link stays good. Whoever got the link and cannot show either has a new password mailed: that verifies the address as well, and removes whatever a stranger has set up."))
	group.Post(r, "/change", m.change, write, group.Action("request-change"), group.Status(http.StatusAccepted), group.Problems(http.StatusNotFound, http.StatusUnprocessableEntity), group.Doc("Move your account to another address", "Both the present address, if it was ever verified, and the new one are mailed a link, and the account moves when both links have been used. Until then nothing changes. It replaces what was asked for before. The answer is the same whether another account has the address or not.", limits))
	group.Delete(r, "/change", m.giveUp, write, group.Problems(http.StatusNotFound), group.Doc("Give up the move to another address"))
}

const limits = "After each mail to an address, or asked for by a person, the wait for the next doubles, from a minute to an hour (429 rate_limited, Retry-After)."

func (m *Module) status(ctx context.Context, _ *struct{}) (*authapi.EmailStatus, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.Status(ctx, p.Subject)
}

func (m *Module) send(ctx context.Context, _ *struct{}) (*group.None, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, m.service.Send(ctx, p.Subject)
}

// ResendInput is an address.
type ResendInput struct {
	Body struct {
		Email string `json:"email" minLength:"3" maxLength:"254" doc:"Address to mail the link to" example:"ada@example.com"`
	}
}

func (m *Module) resend(ctx context.Context, in *ResendInput) (*group.None, error) {
	return nil, m.service.Resend(ctx, in.Body.Email)
}

// ConfirmInput is a link's token, and the password of who is not signed in.
type ConfirmInput struct {
	Body struct {
		Token    string `json:"token" minLength:"1" maxLength:"200" writeOnly:"true" doc:"What follows #token= in the link" example:"q0mGg3fH9l3m0bC1V8tq8w5Hq2yqv2J6m3uZr1xkT4A"`
		Password string `json:"password,omitempty" maxLength:"512" writeOnly:"true" doc:"Password of the account, from who is not signed in" example:"three blind mice in a row"`
	}
}

func (m *Module) confirm(ctx context.Context, in *ConfirmInput) (*authapi.EmailConfirmation, error) {
	p, _ := identity.From(ctx)
	return m.service.Confirm(ctx, in.Body.Token, Proof{Caller: p, Password: in.Body.Password})
}

// ChangeInput is an address to move to.
type ChangeInput struct {
	Body struct {
		Email string `json:"email" minLength:"3" maxLength:"254" doc:"Address to move the account to" example:"ada@example.org"`
	}
}

func (m *Module) change(ctx context.Context, in *ChangeInput) (*authapi.EmailChange, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return m.service.Change(ctx, p, in.Body.Email)
}

func (m *Module) giveUp(ctx context.Context, _ *struct{}) (*group.None, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	return nil, m.service.GiveUp(ctx, p.Subject)
}
