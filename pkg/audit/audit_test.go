package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"

	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/topology"
)

var (
	now     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	emitter = events.Emitter{Group: topology.Auth, Now: func() time.Time { return now }, NewID: func() string { return "event-1" }}
)

// sent is the entry as its event carries it.
func sent(ctx context.Context, t *testing.T, e audit.Entry) (events.Raw, audit.Entry) {
	t.Helper()
	m, err := audit.Message(ctx, emitter, "o1", e)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := events.Decode(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	var entry audit.Entry
	if err := json.Unmarshal(raw.Data, &entry); err != nil {
		t.Fatal(err)
	}
	return raw, entry
}

func TestATrailKnowsTheEntriesOfItsAction(t *testing.T) {
	ctx, trail := audit.Follow(t.Context(), "auth.sessions.revoke")
	sent(ctx, t, audit.Entry{Action: "auth.sessions.list"})
	sent(ctx, t, audit.Entry{Action: "auth.sessions.revoke", Result: audit.Denied})
	for result, want := range map[audit.Result]bool{audit.Denied: true, audit.Success: false, audit.Failure: false} {
		if got := trail.Tells(result); got != want {
			t.Errorf("it tells of %s: %t", result, got)
		}
	}
}

func TestATrailKnowsWhatTheRequestActsOn(t *testing.T) {
	audit.On(t.Context(), "session:s0") // outside a request
	ctx, trail := audit.Follow(t.Context(), "auth.sessions.revoke")
	if got := trail.Resource(); got != "" {
		t.Errorf("it acts on %q before anybody said so", got)
	}
	for _, resource := range []string{"session:s1", "session:s2", ""} {
		audit.On(ctx, resource)
	}
	if got := trail.Resource(); got != "session:s2" {
		t.Errorf("it acts on %q; want what was said last", got)
	}
}

func TestMessageIsCompletedFromItsContext(t *testing.T) {
	ctx := identity.With(t.Context(), identity.Principal{Subject: "u1", Organization: "o1", Session: "s1"})
	ctx = audit.WithOrigin(ctx, audit.Origin{Address: "203.0.113.7", UserAgent: "curl/8"})
	traceID := trace.TraceID{1, 2, 3}
	ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: trace.SpanID{4}}))

	raw, entry := sent(ctx, t, audit.Entry{Action: "auth.sessions.revoke", Resource: "session:s2"})
	if raw.Type != "audit.recorded" || raw.Organization != "o1" || raw.ID != "event-1" {
		t.Errorf("event %+v", raw.Meta)
	}
	want := audit.Entry{
		At: now, Action: "auth.sessions.revoke", Actor: audit.Actor{Subject: "u1", Session: "s1"}, Resource: "session:s2",
		Result: audit.Success, Address: "203.0.113.7", UserAgent: "curl/8", TraceID: traceID.String(),
	}
	if fmt.Sprint(entry) != fmt.Sprint(want) {
		t.Errorf("entry %+v\nwant  %+v", entry, want)
	}
}

func TestMessageKeepsWhatItIsTold(t *testing.T) {
	ctx := identity.With(t.Context(), identity.Principal{Subject: "u1", Organization: "o1"})
	ctx = audit.WithOrigin(ctx, audit.Origin{Address: "203.0.113.7", UserAgent: "curl/8"})
	told := audit.Entry{
		ID: "e1", At: now.Add(-time.Hour), Action: "auth.auth.login", Actor: audit.Actor{Subject: "key:k1", Key: "k1"},
		Result: audit.Denied, Code: "invalid_credentials", Address: "198.51.100.1", UserAgent: "other", TraceID: "t1",
		Details: map[string]string{"method": "password"},
	}
	if _, entry := sent(ctx, t, told); fmt.Sprint(entry) != fmt.Sprint(told) {
		t.Errorf("entry %+v\nwant  %+v", entry, told)
	}
}

func TestLongTextsAreCut(t *testing.T) {
	details := map[string]string{strings.Repeat("n", 100): strings.Repeat("é", 400), "broken": "a\xffb"}
	for i := range 30 {
		details[fmt.Sprintf("z%02d", i)] = ""
	}
	_, entry := sent(t.Context(), t, audit.Entry{
		Action: "auth.auth.login", UserAgent: strings.Repeat("x", 10_000), Resource: strings.Repeat("€", 1000), Details: details,
	})
	for _, text := range []string{entry.UserAgent, entry.Resource, entry.Details["broken"]} {
		if len(text) > audit.MaxValue || !utf8.ValidString(text) {
			t.Errorf("%d bytes were kept: %q", len(text), text)
		}
	}
	if !strings.HasSuffix(entry.UserAgent, "…") || len(entry.UserAgent) != audit.MaxValue {
		t.Errorf("user agent %q", entry.UserAgent)
	}
	if len(entry.Details) != audit.MaxDetails || len(details) != 32 {
		t.Errorf("%d details were kept, %d are the caller's", len(entry.Details), len(details))
	}
	for name, value := range entry.Details {
		if len(name) > audit.MaxName || len(value) > audit.MaxValue || !utf8.ValidString(value) {
			t.Errorf("detail %q: %q", name, value)
		}
	}
}

func TestMalformedEntriesAreErrors(t *testing.T) {
	for name, test := range map[string]struct {
		organization string
		entry        audit.Entry
	}{
		"no action":            {"o1", audit.Entry{}},
		"two words":            {"o1", audit.Entry{Action: "auth.login"}},
		"another group's":      {"o1", audit.Entry{Action: "analytics.dashboard.read"}},
		"spaces":               {"o1", audit.Entry{Action: "auth.auth.log in"}},
		"no organization":      {"", audit.Entry{Action: "auth.auth.login"}},
		"a result of its own":  {"o1", audit.Entry{Action: "auth.auth.login", Result: "maybe"}},
		"upper case in action": {"o1", audit.Entry{Action: "auth.auth.Login"}},
	} {
		if m, err := audit.Message(t.Context(), emitter, test.organization, test.entry); err == nil {
			t.Errorf("%s: message %s", name, m.Data)
		}
	}
}

func TestAnOriginIsFitToBeShown(t *testing.T) {
	for address, want := range map[string]string{
		"":                          "",
		"203.0.113.7":               "203.0.113.7",
		"203.0.113.7:4711":          "203.0.113.7",
		"::ffff:203.0.113.7":        "203.0.113.7",
		"2001:DB8::1":               "2001:db8::1",
		"[2001:db8::1]:443":         "2001:db8::1",
		"fe80::1%eth0":              "fe80::1",
		"unknown":                   "",
		"203.0.113.7; DROP TABLE x": "",
	} {
		if got := audit.OriginOf(audit.WithOrigin(t.Context(), audit.Origin{Address: address})).Address; got != want {
			t.Errorf("%q is shown as %q; want %q", address, got, want)
		}
	}
	for agent, want := range map[string]string{
		" curl/8.5\x00\u202e ": "curl/8.5", "a\xffb\r\nc": "abc", strings.Repeat("ü", 1000): strings.Repeat("ü", 300),
	} {
		if got := audit.OriginOf(audit.WithOrigin(t.Context(), audit.Origin{UserAgent: agent})).UserAgent; got != want {
			t.Errorf("%q is shown as %q; want %q", agent, got, want)
		}
	}
	if got := audit.OriginOf(t.Context()); got != (audit.Origin{}) {
		t.Errorf("without one: %+v", got)
	}
}
