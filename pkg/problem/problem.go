// Package problem is the one form of an error that leaves the process: RFC 9457 problem+json with a
// stable code. The message is for the caller; the cause is for the log and never crosses the wire.
package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// ContentType is the media type of a problem (RFC 9457, section 3).
const ContentType = "application/problem+json"

// Codes that the platform itself answers; modules add their own beside their routes. A code is part of
// the interface: it may be added, never renamed.
const (
	CodeBadRequest      = "bad_request"
	CodeValidation      = "validation_failed"
	CodeUnauthenticated = "unauthenticated"
	CodeTokenExpired    = "token_expired"
	CodeTokenInvalid    = "token_invalid"
	CodeSessionRevoked  = "session_revoked"
	CodeForbidden       = "permission_denied"
	CodeStepUp          = "step_up_required"
	CodeAcceptance      = "acceptance_required"
	CodeDeleting        = "organization_deleting"
	CodeNetwork         = "network_not_allowed"
	CodeQuota           = "quota_exceeded"
	CodeSidecarOnly     = "sidecar_only"
	CodeNotFound        = "not_found"
	CodeNoRoute         = "route_not_found"
	CodeMethod          = "method_not_allowed"
	CodeConflict        = "conflict"
	CodePrecondition    = "precondition_failed"
	CodeTooLarge        = "body_too_large"
	CodeHeadersTooLarge = "headers_too_large"
	CodeMediaType       = "unsupported_media_type"
	CodeNotAcceptable   = "not_acceptable"
	CodeRateLimited     = "rate_limited"
	CodeInternal        = "internal"
	CodeUnavailable     = "unavailable"
	CodeTimeout         = "timeout"
	CodeCircuitOpen     = "circuit_open"
	CodeBadAnswer       = "bad_upstream_answer"
	CodeUndeclaredCall  = "undeclared_call"
	CodeStorageFull     = "storage_full"
)

// Field is one thing that is wrong with a request.
type Field struct { //nolint:errname // it is a part of a problem first
	// Location is where, e.g. "body.email" or "query.from".
	Location string `json:"location,omitempty" example:"body.email"`
	// Message says what is wrong with it.
	Message string `json:"message" example:"not an e-mail address"`
}

// Error lets a Field travel in a list of errors.
func (f Field) Error() string { return f.Location + ": " + f.Message }

// Problem is an error with its wire form (RFC 9457). The zero value is not useful; use New.
type Problem struct { //nolint:errname // the word of RFC 9457
	// Type is a URI that names the kind of problem; "about:blank" says that Code is all there is.
	Type string `json:"type" doc:"URI of the kind of problem" example:"about:blank"`
	// Title is the text of the HTTP status.
	Title string `json:"title" doc:"Text of the HTTP status" example:"Not Found"`
	// Status is the HTTP status.
	Status int `json:"status" doc:"HTTP status" example:"404"`
	// Code is the stable name of the problem, from a closed set.
	Code string `json:"code" doc:"Stable code of the problem" example:"not_found"`
	// Detail is one sentence for whoever made the request.
	Detail string `json:"detail" doc:"What happened, for whoever made the request" example:"no such member"`
	// Errors are the things that are wrong with the request, one each.
	Errors []Field `json:"errors,omitempty" doc:"What is wrong with the request, one entry each"`
	// TraceID finds the request in logs and traces.
	TraceID string `json:"trace_id,omitempty" doc:"Finds the request in logs and traces" example:"4bf92f3577b34da6a3ce929d0e0e4736"`

	retryAfter time.Duration
	headers    http.Header
	cause      error
}

// New is a problem with the message that the caller sees.
func New(status int, code, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// Newf is New with a format.
func Newf(status int, code, format string, args ...any) *Problem {
	return New(status, code, fmt.Sprintf(format, args...))
}

// NotFound says that there is no such thing here, in the same words whether it never was, was deleted
// or belongs to another organization.
func NotFound(what string) *Problem { return New(http.StatusNotFound, CodeNotFound, "no such "+what) }

// StepUp asks for a second factor, and tells how to come to one (RFC 9470, section 3).
func StepUp() *Problem {
	return New(http.StatusUnauthorized, CodeStepUp,
		"show a second factor first: POST /api/auth/mfa/step-up; who has none sets one up, such as an authenticator app: POST /api/auth/mfa/totp").
		Header("WWW-Authenticate", `Bearer error="insufficient_user_authentication", acr_values="mfa"`)
}

// Invalid is a 422 about one field.
func Invalid(location, message string) *Problem {
	return New(http.StatusUnprocessableEntity, CodeValidation, "the request is not valid").With(Field{location, message})
}

// Internal hides a cause behind a 500.
func Internal(cause error) *Problem {
	return New(http.StatusInternalServerError, CodeInternal, "something went wrong here; the trace id finds it in the logs").Wrap(cause)
}

// With is a copy with more fields named.
func (p *Problem) With(fields ...Field) *Problem {
	c := *p
	c.Errors = append(append([]Field(nil), p.Errors...), fields...)
	return &c
}

// Wrap is a copy with the cause that only the log sees.
func (p *Problem) Wrap(cause error) *Problem {
	c := *p
	c.cause = cause
	return &c
}

// After is a copy that tells the caller when to try again (Retry-After, whole seconds, rounded up).
func (p *Problem) After(d time.Duration) *Problem {
	c := *p
	c.retryAfter = d
	return &c
}

// Header is a copy that answers with one more header.
func (p *Problem) Header(name, value string) *Problem {
	c := *p
	c.headers = p.headers.Clone()
	if c.headers == nil {
		c.headers = http.Header{}
	}
	c.headers.Set(name, value)
	return &c
}

// Error is the message with its cause, for logs.
func (p *Problem) Error() string {
	s := p.Code + ": " + p.Detail
	for _, f := range p.Errors {
		s += "; " + f.Error()
	}
	if p.cause != nil {
		s += ": " + p.cause.Error()
	}
	return s
}

// Unwrap is the cause.
func (p *Problem) Unwrap() error { return p.cause }

// Is compares codes, so that errors.Is works across a hop.
func (p *Problem) Is(target error) bool {
	t, ok := target.(*Problem)
	return ok && t.Code == p.Code
}

// RetryAfter is how long the caller should wait; zero when nothing is known.
func (p *Problem) RetryAfter() time.Duration { return p.retryAfter }

// GetStatus makes a Problem an error of huma.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders are the headers that go with the answer.
func (p *Problem) GetHeaders() http.Header {
	h := p.headers.Clone()
	if h == nil {
		h = http.Header{}
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retryAfter+time.Second-1)/time.Second)))
	}
	return h
}

// ContentType tells huma the media type of a problem.
func (p *Problem) ContentType(string) string { return ContentType }

// From is err as a Problem: itself, the Problem inside it, or a 500 that hides it.
func From(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return Internal(err)
}

// Code is the code of err, or "" when err is not a problem.
func Code(err error) string {
	var p *Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// Write answers a request with p.
func Write(w http.ResponseWriter, p *Problem) {
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", ContentType)
	w.WriteHeader(p.Status)
	// The client may be gone; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(p)
}

// maxBody bounds what Read believes to be a problem.
const maxBody = 1 << 20

// Read is the problem in a response that is not a success. A body that is no problem (a proxy's page,
// an empty answer) becomes one with the status and code `bad_upstream_answer`.
func Read(resp *http.Response) *Problem {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	p := &Problem{}
	if err == nil && json.Unmarshal(body, p) == nil && p.Code != "" && p.Status != 0 {
		p.headers = http.Header{}
		for _, name := range []string{"Retry-After", "WWW-Authenticate"} {
			if v := resp.Header.Get(name); v != "" {
				p.headers.Set(name, v)
			}
		}
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
			p.retryAfter = time.Duration(s) * time.Second
		}
		return p
	}
	return New(resp.StatusCode, CodeBadAnswer, "the answer was not in the expected form").
		Wrap(fmt.Errorf("status %d, body %.200q", resp.StatusCode, body))
}
