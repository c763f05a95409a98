package mails_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/pkg/mail"
)

// inbox keeps what is sent, or refuses it.
type inbox struct {
	mails   []mail.Message
	refused error
}

func (i *inbox) Send(_ context.Context, m mail.Message) error {
	if i.refused != nil {
		return i.refused
	}
	i.mails = append(i.mails, m)
	return nil
}

func open(t testing.TB, base string) (*mails.Mails, *inbox) {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	i := &inbox{}
	m, err := mails.New(i, u)
	if err != nil {
		t.Fatal(err)
	}
	return m, i
}

var (
	moment = time.Date(2026, 3, 1, 9, 30, 0, 0, time.FixedZone("", 3600))
	ada    = mails.Recipient{Email: "ada@example.com", FirstName: "Ada"}
	link   = mails.Link{Token: "ab_-12", ExpiresAt: moment}
)

const hostile = `<script>alert(1)</script> see https://evil.example/x or mail a@evil.example`

// TestMails sends each mail with typed text that means harm.
func TestMails(t *testing.T) {
	for _, c := range []struct {
		name    string
		send    func(context.Context, *mails.Mails) error
		subject string
		says    []string
		links   bool
	}{
		{"welcome", func(ctx context.Context, m *mails.Mails) error { return m.Welcome(ctx, ada, hostile, &link) },
			"Welcome to Tandem", []string{"Hello Ada,", `href="https://app.example/t/verify-email#token=ab_-12"`, "1 March 2026, 08:30 UTC"}, true},
		{"welcome, proved already", func(ctx context.Context, m *mails.Mails) error { return m.Welcome(ctx, ada, hostile, nil) },
			"Welcome to Tandem", []string{"Hello Ada,"}, false},
		{"verify", func(ctx context.Context, m *mails.Mails) error {
			return m.VerifyAddress(ctx, mails.Recipient{Email: "ada@example.com", FirstName: hostile}, link)
		}, "Confirm your e-mail address", []string{`href="https://app.example/t/verify-email#token=ab_-12"`, "08:30 UTC"}, true},
		{"approve", func(ctx context.Context, m *mails.Mails) error {
			return m.ApproveChange(ctx, ada, "new@example.com", link)
		},
			"Confirm the change of your e-mail address", []string{"new@example.com", `href="https://app.example/t/verify-email#token=ab_-12"`, "https://app.example/t/sessions"}, true},
		{"taken", func(ctx context.Context, m *mails.Mails) error { return m.AddressTaken(ctx, ada) },
			"You have an account with this e-mail address", []string{"nothing was\nchanged"}, false},
		{"changed", func(ctx context.Context, m *mails.Mails) error {
			return m.AddressChanged(ctx, ada, "new@example.com", moment)
		},
			"Your e-mail address was changed", []string{"new@example.com", "08:30 UTC"}, false},
		{"reset", func(ctx context.Context, m *mails.Mails) error { return m.ResetPassword(ctx, ada, link) },
			"Set a new password", []string{`href="https://app.example/t/reset-password#token=ab_-12"`, "08:30 UTC"}, true},
		{"device", func(ctx context.Context, m *mails.Mails) error {
			return m.NewDevice(ctx, ada, mails.SignIn{At: moment, Address: "203.0.113.7", UserAgent: hostile})
		}, "A new device signed in to your account", []string{"203.0.113.7", "08:30 UTC", `href="https://app.example/t/sessions"`}, true},
		{"device that says nothing of itself", func(ctx context.Context, m *mails.Mails) error {
			return m.NewDevice(ctx, ada, mails.SignIn{At: moment})
		}, "A new device signed in to your account", []string{"Address: unknown", "Device: unknown"}, true},
		{"notice", func(ctx context.Context, m *mails.Mails) error {
			return m.SecurityNotice(ctx, ada, "Your password was changed", "That took a while.", moment)
		}, "Your password was changed", []string{"<p>Your password was changed on 1 March 2026, 08:30 UTC. That took a while.</p>", ">See your sessions</a>", `href="https://app.example/t/sessions"`}, true},
		{"invitation", func(ctx context.Context, m *mails.Mails) error {
			return m.Invitation(ctx, mails.Recipient{Email: "eve@example.com"},
				mails.Invitation{Organization: hostile, InvitedBy: hostile, Role: hostile, Link: link})
		}, "You are invited to Tandem", []string{"Hello,", `href="https://app.example/t/accept-invitation#token=ab_-12"`, "08:30 UTC"}, true},
		{"code", func(ctx context.Context, m *mails.Mails) error { return m.Code(ctx, ada, "012345", moment) },
			"Your code for Tandem", []string{">012345<", "08:30 UTC"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, in := open(t, "https://app.example/t/")
			if err := c.send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if len(in.mails) != 1 || !strings.HasSuffix(in.mails[0].To, "@example.com") || in.mails[0].Subject != c.subject {
				t.Fatalf("sent %+v; want one mail %q", in.mails, c.subject)
			}
			html := in.mails[0].HTML
			for _, text := range append(c.says, "<title>"+c.subject+"</title>", "sent this mail to "+in.mails[0].To, "</html>") {
				if !strings.Contains(html, text) {
					t.Errorf("no %q in %s", text, html)
				}
			}
			if strings.Contains(html, "<script") || strings.Contains(html, "//evil") || strings.Contains(html, "@evil") || strings.Contains(html, "ZgotmplZ") {
				t.Errorf("typed text came through: %s", html)
			}
			if strings.Contains(html, "href=") != c.links {
				t.Errorf("links: %t, want %t", !c.links, c.links)
			}
		})
	}
}

func TestTypedTextIsBoundedAndReadable(t *testing.T) {
	for typed, shown := range map[string]string{
		"O'Neill & Söhne Inc.":      "O&#39;Neill &amp; Söhne Inc.",
		"two\r\nlines":              "two lines",
		"www.evil.example":          "www.\u200bevil.\u200bexample",
		strings.Repeat("ü", 101):    strings.Repeat("ü", 99) + "…",
		strings.Repeat("ü", 100):    strings.Repeat("ü", 100),
		"{{.Data}}":                 "{{.\u200bData}}",
		"https://a/ javascript:x()": "https:\u200b//\u200ba/ javascript:\u200bx()",
	} {
		m, in := open(t, "http://localhost:8000")
		if err := m.Welcome(t.Context(), ada, typed, nil); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(in.mails[0].HTML, "<p>"+shown+" is registered") {
			t.Errorf("%q is not shown as %q: %s", typed, shown, in.mails[0].HTML)
		}
	}
}

func TestARefusedMailIsTold(t *testing.T) {
	m, in := open(t, "http://localhost:8000")
	in.refused = errors.New("no room")
	if err := m.Code(t.Context(), ada, "012345", moment); !errors.Is(err, in.refused) {
		t.Errorf("got %v", err)
	}
}

func TestLinksNeedAnAddress(t *testing.T) {
	for _, base := range []string{"", "/app", "app.example", "ftp://app.example", "javascript:alert(1)", "https://app.example?x=1", "https://app.example#x"} {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mails.New(&inbox{}, u); err == nil {
			t.Errorf("%q was taken", base)
		}
	}
	if _, err := mails.New(&inbox{}, nil); err == nil {
		t.Error("no base was taken")
	}
}
