package auth

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"strings"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/mail"
	"github.com/tandemhq/tandem/pkg/store"
)

//go:embed welcome.html
var welcomeHTML string

// Welcome greets new users by mail.
type Welcome struct {
	service *Service
	mail    mail.Sender
	body    *template.Template
}

// NewWelcome sends with m to the users of s.
func NewWelcome(s *Service, m mail.Sender) (*Welcome, error) {
	body, err := template.New("welcome").Parse(welcomeHTML)
	if err != nil {
		return nil, fmt.Errorf("parse the welcome mail: %w", err)
	}
	return &Welcome{s, m, body}, nil
}

// Send greets the user whom the event tells of. A user who is gone already is greeted no more.
func (w *Welcome) Send(ctx context.Context, e events.Event[authapi.UserRegisteredData]) error {
	person, err := w.service.c.Accounts.Users.Get(ctx, e.Data.UserID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the user to welcome: %w", err)
	}
	org, err := w.service.c.Accounts.Organizations.Get(ctx, e.Data.OrganizationID)
	if err != nil {
		return fmt.Errorf("read the organization to welcome: %w", err)
	}
	var html strings.Builder
	err = w.body.Execute(&html, struct{ FirstName, Organization, Email string }{person.Value.FirstName, org.Value.Name, person.Value.Email})
	if err != nil {
		return fmt.Errorf("write the welcome mail: %w", err)
	}
	return w.mail.Send(ctx, mail.Message{To: person.Value.Email, Subject: "Welcome to Tandem", HTML: html.String()})
}
