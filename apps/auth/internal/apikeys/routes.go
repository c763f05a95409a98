package apikeys

import (
	"context"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
)

// Module is the routes of API keys.
type Module struct {
	service *Service
	rights  Rights
}

// NewModule serves s, and asks rights what the creators of keys may do.
func NewModule(s *Service, rights Rights) *Module { return &Module{s, rights} }

// Name is "api-keys".
func (m *Module) Name() string { return "api-keys" }

// Routes binds the module's routes.
func (m *Module) Routes(r *group.Routes) {
	read, write := group.Needs("auth.api-keys:read"), group.Needs("auth.api-keys:write")
	// A key outlives the session that made it and asks for no second factor, so it takes one to get or to widen it: GitHub and Stripe
	// ask their users to prove themselves again at this point. To revoke one takes none: that must be quick.
	proof := group.StepUp()
	group.Get(r, "", m.list, read, group.Problems(http.StatusBadRequest), group.Doc("List the organization's API keys", "The latest first. Keys that have expired or were revoked stay for 30 days."))
	group.Post(r, "", m.create, write, proof, group.Sensitive(), group.Status(http.StatusCreated), group.Problems(http.StatusUnprocessableEntity), group.Doc("Make an API key", "The key is in this answer and nowhere else. Its scopes must be within your permissions, and it never may do more than you may at the time. When you leave the organization it is revoked."))
	group.Get(r, "/{id}", m.show, read, group.Problems(http.StatusNotFound), group.Doc("Show an API key", "All but its secret."))
	group.Put(r, "/{id}", m.update, write, group.Action("update"), proof, group.Problems(http.StatusNotFound, http.StatusPreconditionFailed, http.StatusUnprocessableEntity), group.Doc("Change an API key", "You must have all that the key had and is to have. It is in force everywhere within 5 seconds."))
	group.Delete(r, "/{id}", m.revoke, write, group.Action("revoke"), group.Problems(http.StatusNotFound), group.Doc("Revoke an API key", "It is refused everywhere within 5 seconds."))
	group.Post(r, "/{id}/rotate", m.rotate, write, proof, group.Sensitive(), group.Problems(http.StatusNotFound, http.StatusPreconditionFailed, http.StatusUnprocessableEntity), group.Doc("Give an API key another secret", "The key with its new secret is in this answer and nowhere else. The secret before it is accepted for as long as you say, so that machines can change over."))
	group.Post(r, "/verify", m.verify, group.Internal(), group.Sensitive(), group.Problems(http.StatusUnauthorized), group.Doc("What an API key stands for"))
}

// ListInput is the query of a list of keys.
type ListInput struct {
	Cursor string `query:"cursor" maxLength:"1000" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"Keys a page" example:"20"`
}

func (m *Module) list(ctx context.Context, in *ListInput) (*authapi.APIKeys, error) {
	return m.service.List(ctx, identity.Organization(ctx), in.Cursor, in.Limit)
}

// Body is what a key is to be.
type Body struct {
	Name      string     `json:"name" minLength:"1" maxLength:"100" doc:"What the key is for" example:"Nightly export"`
	Scopes    []string   `json:"scopes" nullable:"false" minItems:"1" maxItems:"50" doc:"Permission patterns <group>.<module>:<action>, with * for any" example:"[\"analytics.*:read\"]"`
	Networks  []string   `json:"networks,omitempty" nullable:"false" maxItems:"50" doc:"CIDR prefixes that the key is accepted from; none for anywhere" example:"[\"203.0.113.0/24\"]"`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"When it ends; without it, it does not" example:"2027-01-01T00:00:00Z"`
}

func (b Body) settings() Settings { return Settings(b) }

// CreateInput is a new key.
type CreateInput struct{ Body Body }

// Issued is a key with its secret.
type Issued struct {
	Location string `header:"Location" doc:"Where the key is"`
	ETag     string `header:"ETag" doc:"Version of the key; give it to If-Match when you change it"`
	Body     *authapi.IssuedAPIKey
}

func (m *Module) create(ctx context.Context, in *CreateInput) (*Issued, error) {
	p, err := sessions.Own(ctx) // a key that makes keys could not be got rid of
	if err != nil {
		return nil, err
	}
	return issued(m.service.Create(ctx, p, in.Body.settings()))
}

func issued(v *authapi.IssuedAPIKey, revision int64, err error) (*Issued, error) {
	if err != nil {
		return nil, err
	}
	return &Issued{"/api/auth/api-keys/" + v.ID, group.AtVersion(v, revision).ETag, v}, nil
}

// KeyInput names a key.
type KeyInput struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the key" example:"0199b1f26f0c7a519d3c8f5b2f6f1c11"`
}

func (m *Module) show(ctx context.Context, in *KeyInput) (*group.Versioned[authapi.APIKey], error) {
	v, revision, err := m.service.Show(ctx, identity.Organization(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return group.AtVersion(v, revision), nil
}

// UpdateInput is what a key is to be from now on.
type UpdateInput struct {
	KeyInput
	group.IfMatch
	Body Body
}

func (m *Module) update(ctx context.Context, in *UpdateInput) (*group.Versioned[authapi.APIKey], error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	v, revision, err := m.service.Update(ctx, p, in.ID, in.Body.settings(), in.Check)
	if err != nil {
		return nil, err
	}
	return group.AtVersion(v, revision), nil
}

func (m *Module) revoke(ctx context.Context, in *KeyInput) (*group.None, error) {
	p, _ := identity.From(ctx)
	return nil, m.service.Revoke(ctx, p, in.ID)
}

// defaultOverlap is how long the secret before is accepted where nobody says.
const defaultOverlap = 24

// RotateInput says how long the secret before is accepted.
type RotateInput struct {
	KeyInput
	group.IfMatch
	Body struct {
		OverlapHours *int `json:"overlap_hours,omitempty" minimum:"0" maximum:"168" doc:"Hours for which the secret before is accepted too: 24 without it, 0 when it has leaked" example:"24"`
	}
}

func (m *Module) rotate(ctx context.Context, in *RotateInput) (*Issued, error) {
	p, err := sessions.Own(ctx)
	if err != nil {
		return nil, err
	}
	hours := defaultOverlap
	if in.Body.OverlapHours != nil {
		hours = *in.Body.OverlapHours
	}
	return issued(m.service.Rotate(ctx, p, in.ID, time.Duration(hours)*time.Hour, in.Check))
}

// VerifyInput is a key that somebody has sent.
type VerifyInput struct {
	Body struct {
		Key string `json:"key" writeOnly:"true" doc:"The key"`
	}
}

func (m *Module) verify(ctx context.Context, in *VerifyInput) (*identity.APIKey, error) {
	return m.service.Verify(ctx, m.rights, in.Body.Key)
}
