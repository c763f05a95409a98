// Package mails writes the mails of the auth group. What people typed is shown as text that no mail program
// turns into a link, because anybody can have a mail with their words sent to anybody's address.
package mails

import (
	"context"
	"embed"
	"fmt"
	"html/template"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/tandemhq/tandem/pkg/mail"
)

//go:embed *.html
var files embed.FS

// Pages of the web application that links lead to. A token is in the link's fragment, "#token=…", which no
// server gets to see, neither in its logs nor as a Referer; the page posts it to the operation named here.
const (
	// VerifyPage posts to /api/auth/email-verification/confirm.
	VerifyPage = "verify-email"
	// ResetPage posts to /api/auth/password/reset, with the new password.
	ResetPage = "reset-password"
	// InvitationPage posts to /api/auth/organizations/invitations/accept, or /register for a new account.
	InvitationPage = "accept-invitation"
	// SessionsPage shows where one is signed in.
	SessionsPage = "sessions"
)

// Mails writes and sends mails. It is safe for concurrent use. Every error means that the mail may not have
// been accepted; sending again may deliver it twice.
type Mails struct {
	sender mail.Sender
	base   *url.URL
	bodies map[string]*template.Template
}

// New sends with sender. Links lead to pages below base, the address of the web application: an absolute
// http or https URL without query and fragment.
func New(sender mail.Sender, base *url.URL) (*Mails, error) {
	if base == nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("links in mails: %v is no absolute http or https URL without query and fragment", base)
	}
	m := &Mails{sender: sender, base: base, bodies: map[string]*template.Template{}}
	functions := template.FuncMap{
		"typed": typed, "time": utc,
		"verifyLink": m.link(VerifyPage, "Confirm"), "resetLink": m.link(ResetPage, "Set a new password"),
		"invitationLink": m.link(InvitationPage, "Accept the invitation"),
		"sessionsPage":   func() button { return button{"See your sessions", base.JoinPath(SessionsPage).String()} },
	}
	layout, err := template.New("layout.html").Funcs(functions).ParseFS(files, "layout.html")
	if err != nil {
		return nil, fmt.Errorf("parse the layout of mails: %w", err)
	}
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("list the mails: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if name == layout.Name() {
			continue
		}
		body, err := layout.Clone()
		if err == nil {
			body, err = body.ParseFS(files, name)
		}
		if err != nil {
			return nil, fmt.Errorf("parse the mail %s: %w", name, err)
		}
		m.bodies[strings.TrimSuffix(name, ".html")] = body
	}
	return m, nil
}

// Recipient is who a mail is for.
type Recipient struct {
	// Email is a normalized address (accounts.ParseEmail).
	Email string
	// FirstName is "" where none is known.
	FirstName string
}

// Link is a token that a mail's link carries, and when it ends.
type Link struct {
	// Token is base64url text.
	Token     string
	ExpiresAt time.Time
}

// Welcome greets who has registered an organization. The link proves the address; it is nil for who has
// proved it already.
func (m *Mails) Welcome(ctx context.Context, to Recipient, organization string, link *Link) error {
	return m.send(ctx, to, "welcome", "Welcome to Tandem", struct {
		Organization string
		Link         *Link
	}{organization, link})
}

// VerifyAddress asks to prove that the address is the recipient's, in a new account as for an account that
// moves to it.
func (m *Mails) VerifyAddress(ctx context.Context, to Recipient, link Link) error {
	return m.send(ctx, to, "verify", "Confirm your e-mail address", link)
}

// ApproveChange asks, at the address that an account has, whether it may move to another.
func (m *Mails) ApproveChange(ctx context.Context, to Recipient, address string, link Link) error {
	return m.send(ctx, to, "approve", "Confirm the change of your e-mail address", struct {
		Address string
		Link    Link
	}{address, link})
}

// AddressTaken tells the owner of an address that somebody wanted to move another account to it.
func (m *Mails) AddressTaken(ctx context.Context, to Recipient) error {
	return m.send(ctx, to, "taken", "You have an account with this e-mail address", nil)
}

// AddressChanged tells the former address of an account that it is no longer in use.
func (m *Mails) AddressChanged(ctx context.Context, to Recipient, address string, at time.Time) error {
	return m.send(ctx, to, "changed", "Your e-mail address was changed", struct {
		Address string
		At      time.Time
	}{address, at})
}

// ResetPassword lets the recipient set a new password.
func (m *Mails) ResetPassword(ctx context.Context, to Recipient, link Link) error {
	return m.send(ctx, to, "reset", "Set a new password", link)
}

// SignIn is a sign-in as the list of sessions shows it.
type SignIn struct {
	At        time.Time
	Address   string
	UserAgent string
}

// NewDevice tells that somebody signed in from where the recipient was not seen before.
func (m *Mails) NewDevice(ctx context.Context, to Recipient, in SignIn) error {
	return m.send(ctx, to, "device", "A new device signed in to your account", in)
}

// SecurityNotice tells of a change in how the recipient signs in: what happened, such as "Your password was changed", and more
// sentences where they are needed. Both are ours; nothing that anybody typed.
func (m *Mails) SecurityNotice(ctx context.Context, to Recipient, what, more string, at time.Time) error {
	return m.send(ctx, to, "notice", what, struct {
		What, More string
		At         time.Time
	}{what, more, at})
}

// Invitation is what somebody is invited to.
type Invitation struct {
	Organization string
	// InvitedBy is the name of the person who invites.
	InvitedBy string
	Role      string
	Link      Link
}

// Invitation invites the recipient into an organization.
func (m *Mails) Invitation(ctx context.Context, to Recipient, in Invitation) error {
	return m.send(ctx, to, "invitation", "You are invited to Tandem", in)
}

// Code brings a code that is typed where the recipient asked for it.
func (m *Mails) Code(ctx context.Context, to Recipient, code string, expires time.Time) error {
	return m.send(ctx, to, "code", "Your code for Tandem", struct {
		Code      string
		ExpiresAt time.Time
	}{code, expires})
}

// send renders a mail and hands it on. Subjects hold nothing that anybody typed, so that nobody can write
// headlines into strangers' inboxes.
func (m *Mails) send(ctx context.Context, to Recipient, name, subject string, data any) error {
	var html strings.Builder
	err := m.bodies[name].Execute(&html, struct {
		To      Recipient
		Subject string
		Data    any
	}{to, subject, data})
	if err != nil {
		return fmt.Errorf("write the mail %s: %w", name, err)
	}
	return m.sender.Send(ctx, mail.Message{To: to.Email, Subject: subject, HTML: html.String()})
}

// button is a link with what it does.
type button struct{ Label, URL string }

// link makes links to a page from tokens.
func (m *Mails) link(page, label string) func(token string) button {
	return func(token string) button {
		to := m.base.JoinPath(page)
		to.Fragment = "token=" + token
		return button{label, to.String()}
	}
}

func utc(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

const maxTyped = 100 // runes

// linkish are the places at which mail programs see a link begin or go on.
var linkish = regexp.MustCompile(`([.:/@])([^\s])`)

// typed is text that somebody typed, of a bounded length, on one line and with nothing that is taken for a
// link.
func typed(text string) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > maxTyped {
		runes = append(runes[:maxTyped-1], '…')
	}
	return linkish.ReplaceAllString(string(runes), "$1\u200b$2")
}
