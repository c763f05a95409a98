package vendor

import (
	"context"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/identity"
)

// contacts is the route of a vendor at which contacts can be entered.
type contacts struct {
	*Module
	vendor connector.ContactCreator
}

// NewContactInput is somebody to be entered at the vendor.
type NewContactInput struct {
	ConnectionInput
	Body struct {
		Email     string `json:"email" format:"email" minLength:"3" maxLength:"254" doc:"E-mail address" example:"ada@example.com"`
		FirstName string `json:"first_name,omitempty" maxLength:"100" doc:"First name" example:"Ada"`
		LastName  string `json:"last_name,omitempty" maxLength:"100" doc:"Last name" example:"Lovelace"`
		Phone     string `json:"phone,omitempty" maxLength:"50" doc:"Phone number, with the code of its country" example:"+15551234567"`
	}
}

func (c contacts) create(ctx context.Context, in *NewContactInput) (*integrationsapi.Contact, error) {
	var made integrationsapi.Contact
	_, err := c.connections.Ask(ctx, identity.Organization(ctx), c.Name(), in.ConnectionID, connection.ForWrite, func(a connector.Account) (err error) {
		made, err = c.vendor.CreateContact(ctx, a, connector.NewContact{
			Email: in.Body.Email, FirstName: in.Body.FirstName, LastName: in.Body.LastName, Phone: in.Body.Phone,
		})
		return err
	})
	return &made, err
}
