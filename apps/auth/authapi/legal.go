package authapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tandemhq/tandem/pkg/events"
)

// Codes of the problems of legal documents.
const (
	// CodeVersionPublished (409): the version was published with other contents; publish the next one.
	CodeVersionPublished = "version_published"
	// CodeNotNextVersion (409): versions follow each other without gaps; the detail says which one is next.
	CodeNotNextVersion = "not_next_version"
	// CodeInForce (409): the version has taken effect, so it cannot be withdrawn.
	CodeInForce = "in_force"
	// CodeNotCurrent (409): the version is not, or no longer, one that can be accepted; read the current one.
	CodeNotCurrent = "not_current"
	// CodeTextMismatch (409): the hash is not that of a text of this version; read it again.
	CodeTextMismatch = "text_mismatch"
)

// Kinds of legal document that every platform has. Others may be published: lower-case letters, digits and "-".
const (
	LegalTerms   = "terms"
	LegalPrivacy = "privacy"
	LegalCookies = "cookies"
)

// LegalDocument is a version of a document in one language. Once published it stays as it is.
type LegalDocument struct {
	Kind        string    `json:"kind" doc:"Kind of document" example:"terms"`
	Version     int       `json:"version" doc:"1 for the first, and one more for each that follows" example:"3"`
	Locale      string    `json:"locale" doc:"Language of the text (BCP 47)" example:"en"`
	Locales     []string  `json:"locales" doc:"Languages that the version has, the authoritative one first" example:"[\"en\",\"de\"]"`
	Title       string    `json:"title" example:"Terms of service"`
	Text        string    `json:"text,omitempty" doc:"Text as Markdown; missing in lists" example:"# Terms of service"`
	SHA256      string    `json:"sha256" doc:"SHA-256 of the text in UTF-8, in hexadecimal; give it with your acceptance" example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	Mandatory   bool      `json:"mandatory" doc:"Whether who accepted an earlier version has to accept this one as well"`
	InForce     bool      `json:"in_force" doc:"Whether it is in force; else it is announced, or was replaced by a later one"`
	PublishedAt time.Time `json:"published_at" doc:"When it was published, UTC"`
	EffectiveAt time.Time `json:"effective_at" doc:"When it takes effect, UTC"`
}

// LegalDocuments are the documents in force and those announced, without their texts. They are few, so they are not paged.
type LegalDocuments struct {
	Items []LegalDocument `json:"items"`
}

// LegalPending is a document that somebody has not accepted.
type LegalPending struct {
	LegalDocument
	Required bool `json:"required" doc:"Whether nothing else is allowed before it is accepted"`
}

// LegalPendings are the documents that somebody can accept and has not. They are few, so they are not paged.
type LegalPendings struct {
	Items []LegalPending `json:"items"`
}

// LegalAcceptance is the evidence that somebody accepted a text.
type LegalAcceptance struct {
	Kind           string    `json:"kind" example:"terms"`
	Version        int       `json:"version" example:"3"`
	Locale         string    `json:"locale" doc:"Language of the text that was accepted" example:"en"`
	SHA256         string    `json:"sha256" doc:"SHA-256 of that text" example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	AcceptedAt     time.Time `json:"accepted_at" doc:"When, UTC"`
	Address        string    `json:"address,omitempty" doc:"IP address that it came from" example:"203.0.113.7"`
	UserAgent      string    `json:"user_agent,omitempty" doc:"What it was accepted with, in its own words" example:"Mozilla/5.0 (X11; Linux x86_64)"`
	OrganizationID string    `json:"organization_id" doc:"Organization that the person was signed in to" example:"0199b1f2-6f0b-7c9e-b5aa-0f60a2a6a0d4"`
	SessionID      string    `json:"session_id" doc:"Session that it was accepted in" example:"0199b1f2-7a10-7d35-8a0e-6f5e3f0f2b7d"`
}

// LegalAcceptances is a page of acceptances, the latest first.
type LegalAcceptances struct {
	Items      []LegalAcceptance `json:"items"`
	NextCursor string            `json:"next_cursor,omitempty" doc:"The next page's cursor; missing on the last page" example:"q0J1x2yMWyIyMDI2LTAxLTAyVDAzOjA0OjA1WiJd"`
}

// LegalPublication is a version to publish, in all its languages.
type LegalPublication struct {
	Mandatory bool `json:"mandatory,omitempty" doc:"Ask everybody to accept it, also who accepted an earlier version"`
	// EffectiveAt is when the version takes effect, in UTC; the zero time for at once.
	EffectiveAt time.Time   `json:"effective_at,omitzero" doc:"When it takes effect; at once without it"`
	Texts       []LegalText `json:"texts" minItems:"1" maxItems:"50" doc:"The text in each language, the authoritative one first"`
}

// LegalText is a document's text in one language.
type LegalText struct {
	Locale string `json:"locale" minLength:"2" maxLength:"35" doc:"Language (BCP 47)" example:"en"`
	Title  string `json:"title" minLength:"1" maxLength:"200" example:"Terms of service"`
	Text   string `json:"text" minLength:"1" maxLength:"500000" doc:"Markdown" example:"# Terms of service"`
}

// LegalAccepted tells that somebody accepted a legal document.
var LegalAccepted = events.Topic[LegalAcceptedData]{Name: "auth.legal.accepted"}

// LegalAcceptedData says who accepted which version.
type LegalAcceptedData struct {
	UserID         string    `json:"user_id"`
	OrganizationID string    `json:"organization_id"`
	Kind           string    `json:"kind"`
	Version        int       `json:"version"`
	At             time.Time `json:"at"`
}

// PublishLegal publishes a version of a document for the whole platform. It is for operators, whose command
// calls it as the platform; the same once more changes nothing. Problems: 409 version_published or
// not_next_version, 422 validation_failed.
func (c Client) PublishLegal(ctx context.Context, kind string, version int, p LegalPublication) (LegalDocument, error) {
	return ask[LegalDocument](ctx, c, http.MethodPut, legalVersion(kind, version), nil, p)
}

// WithdrawLegal takes back a version that has not taken effect. Problems: 404, 409 in_force.
func (c Client) WithdrawLegal(ctx context.Context, kind string, version int) (LegalDocument, error) {
	return ask[LegalDocument](ctx, c, http.MethodDelete, legalVersion(kind, version), nil, nil)
}

func legalVersion(kind string, version int) string {
	return fmt.Sprintf("/api/auth/legal/documents/%s/versions/%d", url.PathEscape(kind), version)
}
