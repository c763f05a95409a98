package verification

import (
	"context"
	"fmt"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/auth/internal/accounts"
	"github.com/tandemhq/tandem/apps/auth/internal/mails"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/store"
)

// Registered welcomes who has registered an organization, with the link that proves their address unless
// they have proved it. A user who is gone already is greeted no more.
func (s *Service) Registered(ctx context.Context, e events.Event[authapi.UserRegisteredData]) error {
	person, err := s.c.Accounts.Users.Get(ctx, e.Data.UserID)
	if accounts.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the user to welcome: %w", err)
	}
	organization, err := s.c.Accounts.Organizations.Get(ctx, e.Data.OrganizationID)
	if accounts.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the organization to welcome: %w", err)
	}
	var proof *mails.Link
	if person.Value.EmailVerifiedAt == nil {
		l, err := s.newLink(ctx, link{Purpose: toVerify, User: person.ID, Email: person.Value.Email})
		if err != nil {
			return err
		}
		proof = &l
	}
	return s.c.Mails.Welcome(ctx, recipient(person), organization.Value.Name, proof)
}

// Requested mails what was asked for, as far as it is of use at the moment. A repeated delivery mails links
// of its own; the earlier ones stay good.
func (s *Service) Requested(ctx context.Context, e events.Event[authapi.EmailLinkRequestedData]) error {
	switch {
	case e.Data.UserID != "":
		return s.mailProof(ctx, e.Data.UserID)
	case e.Data.ChangeID != "":
		return s.mailChange(ctx, e.Data.ChangeID)
	}
	return nil // somebody asked for an address that no account has
}

func (s *Service) mailProof(ctx context.Context, user string) error {
	person, err := s.c.Accounts.Users.Get(ctx, user)
	if accounts.IsNotFound(err) || err == nil && person.Value.EmailVerifiedAt != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the user to mail: %w", err)
	}
	proof, err := s.newLink(ctx, link{Purpose: toVerify, User: user, Email: person.Value.Email})
	if err != nil {
		return err
	}
	return s.c.Mails.VerifyAddress(ctx, recipient(person), proof)
}

// mailChange asks both ends of a change, or tells the former address once it has happened.
func (s *Service) mailChange(ctx context.Context, id string) error {
	doc, err := s.changes.Get(ctx, id)
	if accounts.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the change of address: %w", err)
	}
	person, err := s.c.Accounts.Users.Get(ctx, doc.Value.User)
	if accounts.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the user to mail: %w", err)
	}
	if person.Value.Email != doc.Value.From {
		return s.mailFormer(ctx, person, doc)
	}
	c := doc.Value
	if !c.FromUnproved {
		leave, err := s.newLink(ctx, link{Purpose: toLeave, Change: id})
		if err != nil {
			return err
		}
		if err := s.c.Mails.ApproveChange(ctx, recipient(person), c.To, leave); err != nil {
			return err
		}
	}
	owner, err := s.c.Accounts.UserByEmail(ctx, c.To)
	if err == nil {
		return s.c.Mails.AddressTaken(ctx, recipient(owner))
	}
	if !accounts.IsNotFound(err) {
		return fmt.Errorf("look for the new address: %w", err)
	}
	moveIn, err := s.newLink(ctx, link{Purpose: toMoveIn, Change: id})
	if err != nil {
		return err
	}
	return s.c.Mails.VerifyAddress(ctx, mails.Recipient{Email: c.To, FirstName: person.Value.FirstName}, moveIn)
}

// mailFormer tells the former address and forgets the change.
func (s *Service) mailFormer(ctx context.Context, person store.Doc[accounts.User], doc store.Doc[change]) error {
	if !doc.Value.FromUnproved {
		to := mails.Recipient{Email: doc.Value.From, FirstName: person.Value.FirstName}
		if err := s.c.Mails.AddressChanged(ctx, to, doc.Value.To, person.Value.EmailVerifiedAt.Time); err != nil {
			return err
		}
	}
	if err := s.changes.Delete(ctx, doc.ID, 0); err != nil && !accounts.IsNotFound(err) {
		return fmt.Errorf("forget a change of address: %w", err)
	}
	return nil
}

func recipient(person store.Doc[accounts.User]) mails.Recipient {
	return mails.Recipient{Email: person.Value.Email, FirstName: person.Value.FirstName}
}
