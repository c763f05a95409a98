// Package audit tells of what was done that matters to security: who did what to which resource, from where, and with which
// result. Every group makes an entry of it and gives its message to the store write that it tells of, so that there is no
// change without its entry; one that belongs to no write, such as a refusal, goes to store.Outbox.Add. The auth group keeps the
// entries, in one log for each organization.
//
// Nothing secret belongs into an entry: no password, code, token or key, not even hashed. Of people it holds ids, and the
// address and user agent that a request came from; names and e-mail addresses stay where they can be erased. What is too long
// is cut, because an action must not fail for the sake of its entry.
package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"

	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/store"
)

// Recorded brings entries to their log. The event's organization is the one whose log it is.
var Recorded = events.Topic[Entry]{Name: "audit.recorded"}

// Entry is one action that somebody tried.
type Entry struct {
	// ID is the same in every delivery; the event's id when empty. It is needed only where several events may tell of one action.
	ID string `json:"id,omitempty"`
	// At is when it happened, in UTC; Message takes its clock's time when zero.
	At time.Time `json:"at"`
	// Action is what was tried, "<group>.<module>.<verb>", e.g. "auth.sessions.revoke". The first word is the emitting group.
	Action string `json:"action"`
	// Actor is who tried; Message takes the principal of its context when zero.
	Actor Actor `json:"actor"`
	// Resource is what it was tried on, "<kind>:<id>", e.g. "session:0199b1f2-…"; empty where there is none.
	Resource string `json:"resource,omitempty"`
	// Result is how it went; Success when empty.
	Result Result `json:"result"`
	// Code is the stable problem code of a denial or failure.
	Code string `json:"code,omitempty"`
	// Address is the IP address of the client, UserAgent what it calls itself; Message takes those of WithOrigin when empty.
	Address   string `json:"address,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	// TraceID is the W3C trace that the action was part of; Message takes the context's when empty.
	TraceID string `json:"trace_id,omitempty"`
	// Details say more, in few words: at most MaxDetails, the names of at most MaxName bytes. They hold no user's id, e-mail
	// address, name or other personal data, since they stay in the log when a person is erased.
	Details map[string]string `json:"details,omitempty"`
}

// Actor is who tried an action. It is zero for somebody who was not known, such as at a failed sign-in.
type Actor struct {
	// Subject is a user's id, "key:<id>" for an API key or "group:<name>" for a group.
	Subject string `json:"subject,omitempty"`
	// Session is the sign-in that the user acted with.
	Session string `json:"session,omitempty"`
	// Key is the id of the API key that acted.
	Key string `json:"key,omitempty"`
}

// Result is how an action went.
type Result string

// The results there are.
const (
	// Success is done.
	Success Result = "success"
	// Denied is refused to whoever asked.
	Denied Result = "denied"
	// Failure is allowed and not done.
	Failure Result = "failure"
)

// Bounds of an entry; what is longer is cut, ending in "…".
const (
	MaxDetails = 20  // details in an entry, those that sort first
	MaxName    = 60  // bytes in the name of a detail
	MaxValue   = 256 // bytes in any other text
)

var actionPattern = regexp.MustCompile(`^[a-z]+\.[a-z0-9_-]+\.[a-z0-9_-]+$`)

// Message is the entry as a message for the write that it belongs to, completed from ctx: who acts, from where, in which trace.
// A malformed action or result, or no organization, is an error.
func Message(ctx context.Context, e events.Emitter, organization string, entry Entry) (store.Message, error) {
	group, _, _ := strings.Cut(entry.Action, ".")
	switch {
	case !actionPattern.MatchString(entry.Action) || group != string(e.Group):
		return store.Message{}, fmt.Errorf("audit entry of group %s: action %q is not <group>.<module>.<verb>", e.Group, entry.Action)
	case organization == "":
		return store.Message{}, fmt.Errorf("audit entry %s: %w", entry.Action, errNoOrganization)
	case entry.Result != "" && entry.Result != Success && entry.Result != Denied && entry.Result != Failure:
		return store.Message{}, fmt.Errorf("audit entry %s: result %q", entry.Action, entry.Result)
	}
	entry = entry.completed(ctx, e.Now())
	if t, ok := ctx.Value(trailKey{}).(*Trail); ok && t.action == entry.Action {
		t.tell(entry.Result)
	}
	return Recorded.Message(ctx, e, organization, entry.bounded())
}

var errNoOrganization = errors.New("whose log is it? no organization")

func (e Entry) completed(ctx context.Context, now time.Time) Entry {
	if e.At.IsZero() {
		e.At = now
	}
	e.At = e.At.UTC()
	if e.Result == "" {
		e.Result = Success
	}
	if p, ok := identity.From(ctx); ok && e.Actor == (Actor{}) {
		e.Actor = Actor{Subject: p.Subject, Session: p.Session, Key: p.Key}
	}
	from := OriginOf(ctx)
	if e.Address == "" {
		e.Address = from.Address
	}
	if e.UserAgent == "" {
		e.UserAgent = from.UserAgent
	}
	if span := trace.SpanContextFromContext(ctx); e.TraceID == "" && span.HasTraceID() {
		e.TraceID = span.TraceID().String()
	}
	return e
}

// bounded is e with every text cut to what an entry may hold.
func (e Entry) bounded() Entry {
	for _, text := range []*string{&e.ID, &e.Actor.Subject, &e.Actor.Session, &e.Actor.Key, &e.Resource, &e.Code, &e.Address, &e.UserAgent, &e.TraceID} {
		*text = cut(*text, MaxValue)
	}
	if e.Details == nil {
		return e
	}
	details := make(map[string]string, len(e.Details))
	for i, name := range slices.Sorted(maps.Keys(e.Details)) {
		if i == MaxDetails {
			break
		}
		details[cut(name, MaxName)] = cut(e.Details[name], MaxValue)
	}
	e.Details = details
	return e
}

func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= most {
		return text
	}
	end := most - len("…")
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// Origin is where a request came from, for people to look at.
type Origin struct {
	// Address is the IP address of the client in its one spelling, "" where it is not known.
	Address string
	// UserAgent is what the client calls itself, printable and at most 300 characters long.
	UserAgent string
}

const maxUserAgent = 300 // characters

// cleaned is o as it may be shown.
func (o Origin) cleaned() Origin {
	address, err := netip.ParseAddr(o.Address)
	if err != nil { // some proxies write the port as well
		var with netip.AddrPort
		with, err = netip.ParseAddrPort(o.Address)
		address = with.Addr()
	}
	o.Address = ""
	if err == nil {
		o.Address = address.Unmap().WithZone("").String()
	}
	shown := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return -1
	}, strings.TrimSpace(o.UserAgent)))
	o.UserAgent = string(shown[:min(len(shown), maxUserAgent)])
	return o
}

type originKey struct{}

// WithOrigin is ctx of a request from o, for the entries that are made in it.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o.cleaned())
}

// OriginOf is where the request of ctx came from, zero where there is none.
func OriginOf(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}

// Trail knows with which results the entries that were made in a request tell of its action, and on what it acts.
type Trail struct {
	action string

	mu       sync.Mutex
	told     []Result
	resource string
}

type trailKey struct{}

// Follow is ctx of a request for an action, with the trail of the entries that Message makes in it.
func Follow(ctx context.Context, action string) (context.Context, *Trail) {
	t := &Trail{action: action}
	return context.WithValue(ctx, trailKey{}, t), t
}

func (t *Trail) tell(r Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told = append(t.told, r)
}

// Tells tells whether an entry was made of the action with a result.
func (t *Trail) Tells(r Result) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Contains(t.told, r)
}

// On says that the request of ctx acts on resource, "<kind>:<id>", e.g. one that it has just created, or the only one that it can
// mean. The host names that in the request's entry, where the operation makes none itself; the last word counts. Outside a
// request for an action it does nothing.
func On(ctx context.Context, resource string) {
	t, ok := ctx.Value(trailKey{}).(*Trail)
	if !ok || resource == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resource = resource
}

// Resource is what On said last, "" when it said nothing.
func (t *Trail) Resource() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.resource
}
