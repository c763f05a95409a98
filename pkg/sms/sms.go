// Package sms sends text messages to telephones through a Dapr output binding: the inbox of the local
// stack on a laptop, Twilio in production, by component.
package sms

import (
	"context"
	"fmt"
	"time"

	"github.com/dapr/go-sdk/client"
)

// Message is one text to one telephone.
type Message struct {
	// To is the telephone number in E.164 form (ITU-T E.164), e.g. "+441632960000".
	To   string
	Text string
}

// Sender sends text messages. An error means that the message may not have been accepted; sending again
// may deliver it twice.
type Sender interface {
	Send(context.Context, Message) error
}

// binding is the name of the output binding component.
const binding = "sms"

const timeout = 10 * time.Second

// Dapr sends through the sidecar's output binding "sms".
type Dapr struct {
	Client client.Client
}

// Send hands the message to the binding.
func (d Dapr) Send(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := d.Client.InvokeOutputBinding(ctx, &client.InvokeBindingRequest{
		Name: binding, Operation: "create", Data: []byte(m.Text),
		Metadata: map[string]string{
			"toNumber": m.To, // where Twilio's binding looks
			// The HTTP binding makes headers of what begins with a capital.
			"To": m.To, "Content-Type": "text/plain; charset=utf-8",
		},
	})
	if err != nil {
		return fmt.Errorf("send a text message: %w", err)
	}
	return nil
}
