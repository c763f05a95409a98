package persons

import (
	"context"
	"net/http"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/identity"
)

// Input names a person. The address is in the body, so that it is in no log of addresses.
type Input struct {
	Body struct {
		Email string `json:"email" minLength:"3" maxLength:"320" doc:"The person's e-mail address" example:"ada@example.com"`
	}
}

// Routes binds what the records module has about persons.
func (s *Service) Routes(r *group.Routes) {
	invalid := group.Problems(http.StatusUnprocessableEntity)
	group.Post(r, "/persons/find", s.find, group.Needs("integrations.records:read"), group.Action("find-person"), invalid,
		group.Doc("Find what is kept of a person", "Customers, contacts and payments with the address, of all connections, and records in quarantine that mention it: for a person who asks what is known of them. Orders and deals name persons by a vendor's id alone."))
	group.Post(r, "/persons/erase", s.erase, group.Needs("integrations.records:write"), group.Action("erase-person"), invalid,
		group.Doc("Erase what is kept of a person",
			"Customers and contacts with the address are removed, payments keep their amounts and lose the address, and no sync brings them again, although the vendors have them still: erase the person there, too. Asking again finishes what an error left.",
			"What is kept is a digest of the address. What is erased is told of as what changes is. A vendor that has erased a person itself and says so by webhook (Shopify, HubSpot) needs no such request."))
	group.Post(r, "/persons/readmit", s.readmit, group.Needs("integrations.records:write"), group.Action("readmit-person"), invalid,
		group.Doc("Let a person in again", "For somebody who was erased and has come back: the next sync that reads them keeps them. Of somebody who was not erased it changes nothing."))
}

func (s *Service) find(ctx context.Context, in *Input) (*Person, error) {
	organization := in.begin(ctx)
	return s.Find(ctx, organization, in.Body.Email)
}

func (s *Service) erase(ctx context.Context, in *Input) (*Erased, error) {
	organization := in.begin(ctx)
	return s.Erase(ctx, organization, in.Body.Email)
}

func (s *Service) readmit(ctx context.Context, in *Input) (*group.None, error) {
	organization := in.begin(ctx)
	return &group.None{}, s.Readmit(ctx, organization, in.Body.Email)
}

// begin has the audit log name the person without their address, and is the caller's organization.
func (in *Input) begin(ctx context.Context) (organization string) {
	organization = identity.Organization(ctx)
	audit.On(ctx, "person:"+records.Digest(organization, connector.NormalEmail(in.Body.Email)))
	return organization
}
