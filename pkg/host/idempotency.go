package host

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/state"
)

const (
	// answerKept is how long a POST can be repeated with the same key.
	answerKept = 24 * time.Hour
	// answerAwaited is how long the first of two POSTs with the same key may take before a second one
	// is let through: after a crash there is nobody left to finish it.
	answerAwaited = time.Minute
	maxKey        = 200
)

// keptAnswer is what a repeated POST is answered with. Status 0 says that the first is still at work.
type keptAnswer struct {
	Request []byte      `json:"request"` // fingerprint of target and body
	Status  int         `json:"status,omitempty"`
	Header  http.Header `json:"header,omitempty"`
	Body    []byte      `json:"body,omitempty"`
}

// idempotent lets a POST that carries an Idempotency-Key be repeated: the same key and body get the
// first answer again, and the effects happen once (draft-ietf-httpapi-idempotency-key-header-06).
func (h *Host) idempotent(o *group.Operation) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		key := hc.Header(call.HeaderIdempotencyKey)
		if o.Method != http.MethodPost || key == "" || o.Sensitive {
			next(hc)
			return
		}
		if err := h.onceOnly(hc, o, key, next); err != nil {
			writeProblem(hc, problem.From(err))
		}
	}
}

func (h *Host) onceOnly(hc huma.Context, o *group.Operation, key string, next func(huma.Context)) error {
	if len(key) > maxKey {
		return problem.Invalid("header."+call.HeaderIdempotencyKey, fmt.Sprintf("longer than %d characters", maxKey))
	}
	body, err := readBody(hc)
	if err != nil {
		return err
	}
	digest := h.fingerprint(hc.URL(), body)
	states := h.groups[o.Group].kernel.State
	name := answerKey(hc.Context(), o, key)
	ctx := hc.Context()

	reserved, err := json.Marshal(keptAnswer{Request: digest})
	if err != nil {
		return err
	}
	switch err := states.Set(ctx, name, reserved, state.Options{CreateOnly: true, TTL: answerAwaited}); {
	case errors.Is(err, state.ErrConflict):
		return h.repeat(hc, states, name, digest)
	case err != nil:
		return problem.New(http.StatusServiceUnavailable, problem.CodeUnavailable, "the key cannot be remembered right now, so nothing was done").After(time.Second).Wrap(err)
	}

	held := &heldAnswer{humaContext: hc, body: bytes.NewReader(body), header: http.Header{}}
	next(held)

	// The answer is kept before it is sent, and whatever happens to the client.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if !lasting(held.status) {
		err = states.Delete(ctx, name, "") // it may be answered otherwise the next time
	} else {
		var kept []byte
		if kept, err = json.Marshal(keptAnswer{digest, held.status, held.header, held.out.Bytes()}); err == nil {
			err = keep(ctx, states, name, kept)
		}
	}
	if err != nil {
		h.log.ErrorContext(ctx, "keep the answer to an idempotency key", "route", o.Route(), "error", err)
	}
	held.send()
	return nil
}

// keep puts an answer in the place of its reservation, which has gone where the answer took too long.
func keep(ctx context.Context, states state.Store, name string, answer []byte) error {
	options := state.Options{TTL: answerKept}
	switch reserved, err := states.Get(ctx, name); {
	case errors.Is(err, state.ErrNotFound):
		options.CreateOnly = true
	case err != nil:
		return err
	default:
		options.ETag = reserved.ETag
	}
	return states.Set(ctx, name, answer, options)
}

// readBody is the body of a request, cut to one byte more than it may have, so that huma refuses that: a problem when it ends early.
func readBody(hc huma.Context) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(hc.BodyReader(), hc.Operation().MaxBodyBytes+1))
	if err != nil {
		return nil, problem.New(http.StatusBadRequest, problem.CodeBadRequest, "the body ended early").Wrap(err)
	}
	return body, nil
}

// lasting tells the answers that the same request would get again: successes, and refusals of what the
// request itself says.
func lasting(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	default:
		return status < 300
	}
}

// fingerprint tells requests apart without keeping what they say: bodies may hold passwords, so it takes
// a key to check a guess.
func (h *Host) fingerprint(target url.URL, body []byte) []byte {
	mac := hmac.New(sha256.New, h.groupSecret)
	mac.Write([]byte(target.EscapedPath() + "?" + target.RawQuery + "\n"))
	mac.Write(body)
	return mac.Sum(nil)
}

func (h *Host) repeat(hc huma.Context, states state.Store, name string, digest []byte) error {
	item, err := states.Get(hc.Context(), name)
	if errors.Is(err, state.ErrNotFound) {
		return inProgress()
	}
	if err != nil {
		return fmt.Errorf("read the kept answer: %w", err)
	}
	var kept keptAnswer
	if err := json.Unmarshal(item.Value, &kept); err != nil {
		return fmt.Errorf("decode the kept answer: %w", err)
	}
	switch {
	case !bytes.Equal(kept.Request, digest):
		return problem.New(http.StatusUnprocessableEntity, "idempotency_key_reused", "this key came before with another request; use a new one")
	case kept.Status == 0:
		return inProgress()
	}
	setHeaders(hc, kept.Header)
	hc.SetHeader("Idempotency-Replayed", "true")
	hc.SetStatus(kept.Status)
	_, _ = hc.BodyWriter().Write(kept.Body) // the client may be gone again
	return nil
}

func setHeaders(hc huma.Context, header http.Header) {
	for name, values := range header {
		for _, value := range values {
			hc.AppendHeader(name, value)
		}
	}
}

func inProgress() error {
	return problem.New(http.StatusConflict, "idempotency_in_progress", "a request with this key is still at work").After(time.Second)
}

// answerKey names the kept answer by who asks for what with which key.
func answerKey(ctx context.Context, o *group.Operation, key string) string {
	p, _ := identity.From(ctx)
	sum := sha256.Sum256([]byte(p.Organization + "\x00" + p.Subject + "\x00" + o.Route() + "\x00" + key))
	return "idempotency/" + hex.EncodeToString(sum[:])
}

// heldAnswer keeps an answer until it is stored.
type heldAnswer struct {
	humaContext
	body   io.Reader
	status int
	header http.Header
	out    bytes.Buffer
}

func (a *heldAnswer) BodyReader() io.Reader         { return a.body }
func (a *heldAnswer) BodyWriter() io.Writer         { return &a.out }
func (a *heldAnswer) SetStatus(status int)          { a.status = status }
func (a *heldAnswer) Status() int                   { return a.status }
func (a *heldAnswer) SetHeader(name, value string)  { a.header.Set(name, value) }
func (a *heldAnswer) AppendHeader(name, val string) { a.header.Add(name, val) }
func (a *heldAnswer) Unwrap() huma.Context          { return a.humaContext }

func (a *heldAnswer) send() {
	setHeaders(a.humaContext, a.header)
	a.humaContext.SetStatus(a.status)
	_, _ = a.humaContext.BodyWriter().Write(a.out.Bytes()) // the client may be gone; the answer is kept
}
