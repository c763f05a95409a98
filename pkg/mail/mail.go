// Package mail sends messages to people through Dapr's SMTP binding: the inbox of the local stack on a
// laptop, a real server in production, by component.
package mail

import (
	"context"
	"fmt"
	"time"

	"github.com/dapr/go-sdk/client"
)

// Message is one mail to one person.
type Message struct {
	To      string
	Subject string
	// HTML is the body; Dapr's SMTP binding sends nothing else.
	HTML string
}

// Sender sends mail. An error means that the mail may not have been accepted; sending again may
// deliver it twice.
type Sender interface {
	Send(context.Context, Message) error
}

// binding is the name of the output binding component.
const binding = "mail"

const timeout = 10 * time.Second

// Dapr sends through the sidecar's output binding "mail".
type Dapr struct {
	Client client.Client
}

// Send hands the message to the binding.
func (d Dapr) Send(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := d.Client.InvokeOutputBinding(ctx, &client.InvokeBindingRequest{
		Name: binding, Operation: "create", Data: []byte(m.HTML),
		Metadata: map[string]string{"emailTo": m.To, "subject": m.Subject},
	})
	if err != nil {
		return fmt.Errorf("send mail %q: %w", m.Subject, err)
	}
	return nil
}
