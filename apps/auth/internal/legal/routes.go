package legal

import (
	"context"
	"net/http"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/sessions"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
)

// maxPublication bounds a version in all its languages, in bytes.
const maxPublication = 8 << 20

// Module is the routes of legal documents.
type Module struct{ service *Service }

// NewModule serves s.
func NewModule(s *Service) *Module { return &Module{s} }

// Name is "legal".
func (m *Module) Name() string { return "legal" }

// Routes binds the module's routes.
func (m *Module) Routes(r *group.Routes) {
	// Accepting takes no permission, or somebody whose roles lack it could never do anything again.
	mine := []group.Option{group.SignedIn(), group.BeforeAcceptance()}
	group.Get(r, "/documents", m.list, group.Public(), group.Doc("List legal documents", "Those in force and those announced, without their texts."))
	group.Get(r, "/documents/{kind}", m.show, group.Public(), group.Problems(http.StatusNotFound), group.Doc("Read a legal document", "The version in force, or any that was published."))
	group.Get(r, "/pending", m.pending, append(mine, group.Doc("List what you can accept and have not", "While an item is required, everything else answers 403 acceptance_required."))...)
	group.Post(r, "/acceptances", m.accept, append(mine, group.Action("accept"), group.Status(http.StatusCreated), group.Problems(http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity), group.Doc("Accept a legal document", "Of the version in force, or one that is announced. What is kept as evidence: the text's hash and language, the time, the address and the user agent. Once more changes nothing. It is heeded everywhere within 5 seconds."))...)
	group.Get(r, "/acceptances", m.acceptances, append(mine, group.Doc("List what you accepted", "The latest first."))...)
	group.Put(r, "/documents/{kind}/versions/{version}", m.publish, group.Internal(), group.MaxBody(maxPublication), group.Problems(http.StatusConflict, http.StatusUnprocessableEntity), group.Doc("Publish a legal document"))
	group.Delete(r, "/documents/{kind}/versions/{version}", m.withdraw, group.Internal(), group.Problems(http.StatusNotFound, http.StatusConflict), group.Doc("Withdraw a legal document before it takes effect"))
}

// Languages says in which languages somebody reads.
type Languages struct {
	Locale         string `query:"locale" maxLength:"200" doc:"Language (BCP 47), or several as in Accept-Language; the authoritative one where the document has none of them" example:"de-CH"`
	AcceptLanguage string `header:"Accept-Language" maxLength:"1000" doc:"What locale is without it" example:"de-CH, en;q=0.8"`
}

func (l Languages) wanted() string {
	if l.Locale != "" {
		return l.Locale
	}
	return l.AcceptLanguage
}

// ListInput is the query of the list of documents.
type ListInput struct{ Languages }

func (m *Module) list(ctx context.Context, in *ListInput) (*authapi.LegalDocuments, error) {
	return m.service.Documents(ctx, in.wanted())
}

// ShowInput names a document.
type ShowInput struct {
	Languages
	Kind    string `path:"kind" maxLength:"40" doc:"Kind of document" example:"terms"`
	Version int    `query:"version" minimum:"1" doc:"Version; the one in force without it" example:"3"`
}

func (m *Module) show(ctx context.Context, in *ShowInput) (*authapi.LegalDocument, error) {
	return m.service.Document(ctx, in.Kind, in.Version, in.wanted())
}

// PendingInput is the query of the list of pending documents.
type PendingInput struct{ Languages }

func (m *Module) pending(ctx context.Context, in *PendingInput) (*authapi.LegalPendings, error) {
	p, err := own(ctx, "auth.legal:read")
	if err != nil {
		return nil, err
	}
	return m.service.Pending(ctx, p.Subject, in.wanted())
}

// AcceptInput is somebody's word that they accept a text.
type AcceptInput struct {
	Body struct {
		Kind    string `json:"kind" minLength:"1" maxLength:"40" example:"terms"`
		Version int    `json:"version" minimum:"1" example:"3"`
		SHA256  string `json:"sha256" pattern:"^[0-9A-Fa-f]{64}$" doc:"SHA-256 of the text that you read, as it came with it" example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	}
}

func (m *Module) accept(ctx context.Context, in *AcceptInput) (*authapi.LegalAcceptance, error) {
	p, err := own(ctx, "auth.legal:write")
	if err != nil {
		return nil, err
	}
	return m.service.Accept(ctx, p, Consent{
		Kind: in.Body.Kind, Version: in.Body.Version, SHA256: in.Body.SHA256,
	})
}

// AcceptancesInput is the query of the list of acceptances.
type AcceptancesInput struct {
	Cursor string `query:"cursor" maxLength:"1000" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"Acceptances a page" example:"20"`
}

func (m *Module) acceptances(ctx context.Context, in *AcceptancesInput) (*authapi.LegalAcceptances, error) {
	p, err := own(ctx, "auth.legal:read")
	if err != nil {
		return nil, err
	}
	return m.service.Acceptances(ctx, p.Subject, in.Cursor, in.Limit)
}

// own is the signed-in user. A token that was narrowed to something else does not bind a person to a contract:
// 403 permission_denied.
func own(ctx context.Context, permission string) (identity.Principal, error) {
	p, err := sessions.Own(ctx)
	if err == nil && len(p.Scope) > 0 && !identity.CoversAny(p.Scope, permission) {
		err = problem.Newf(http.StatusForbidden, problem.CodeForbidden, "the token's scope does not cover %s", permission)
	}
	return p, err
}

// VersionInput names a version.
type VersionInput struct {
	Kind    string `path:"kind" maxLength:"40" doc:"Kind of document" example:"terms"`
	Version int    `path:"version" minimum:"1" doc:"Version" example:"3"`
}

// PublishInput is a version to publish.
type PublishInput struct {
	VersionInput
	Body authapi.LegalPublication
}

func (m *Module) publish(ctx context.Context, in *PublishInput) (*authapi.LegalDocument, error) {
	return m.service.Publish(ctx, in.Kind, in.Version, in.Body)
}

func (m *Module) withdraw(ctx context.Context, in *VersionInput) (*authapi.LegalDocument, error) {
	return m.service.Withdraw(ctx, in.Kind, in.Version)
}
