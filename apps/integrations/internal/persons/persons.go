// Package persons finds and erases what is kept of the people whom an organization's shops and lists know: at the request of the
// organization, by their address, and at that of a vendor, which has erased them itself.
package persons

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/apps/integrations/internal/sync"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/problem"
	"github.com/tandemhq/tandem/pkg/store"
)

// forgetAction is the action of the audit entry of what a vendor had us erase.
const forgetAction = "integrations.records.forget"

// Quarantine has what syncs could not make records of (see sync.Service).
type Quarantine interface {
	BadAbout(ctx context.Context, organization, connection string, about func(sync.BadRecord) bool) ([]sync.BadRecord, error)
	Discard(ctx context.Context, organization, id string) error
}

// Service is safe for concurrent use.
type Service struct {
	records *records.Service
	syncs   Quarantine
	outbox  store.Outbox
	emit    events.Emitter
}

// New looks after the persons in records and in what syncs could not make records of.
func New(r *records.Service, s Quarantine, outbox store.Outbox, emit events.Emitter) *Service {
	return &Service{r, s, outbox, emit}
}

// Person is what is kept of one.
type Person struct {
	records.OfPerson
	Quarantined []sync.BadRecord `json:"quarantined" nullable:"false" doc:"Records that did not validate, with the address somewhere in them"`
}

// Erased is what an erasure was about.
type Erased struct {
	records.Erased
	Quarantined int `json:"quarantined" doc:"Records that did not validate, which were discarded" example:"0"`
}

// Find reads what an organization keeps of a person: a problem validation_failed for what is no address.
func (s *Service) Find(ctx context.Context, organization, email string) (*Person, error) {
	email, err := normal(email)
	if err != nil {
		return nil, err
	}
	of, err := s.records.Of(ctx, organization, email)
	if err != nil {
		return nil, err
	}
	bad, err := s.syncs.BadAbout(ctx, organization, "", mentions(email))
	return &Person{of, bad}, err
}

// Erase erases it, and has no sync bring it again. Repeating it is harmless, and finishes what an error left. Errors as Find's.
func (s *Service) Erase(ctx context.Context, organization, email string) (*Erased, error) {
	email, err := normal(email)
	if err != nil {
		return nil, err
	}
	done, err := s.records.Erase(ctx, organization, email)
	if err != nil {
		return nil, err
	}
	discarded, err := s.discard(ctx, organization, "", mentions(email))
	return &Erased{done, discarded}, err
}

// Readmit lets syncs bring a person again who was erased. Errors as Find's.
func (s *Service) Readmit(ctx context.Context, organization, email string) error {
	email, err := normal(email)
	if err != nil {
		return err
	}
	return s.records.Readmit(ctx, organization, email)
}

// Forget erases what a vendor has erased itself and tells of by webhook. The audit entry comes last: after a crash before it, the webhook
// is processed again, and the entry tells what was left.
func (s *Service) Forget(ctx context.Context, organization, connection string, whom connector.Forget) error {
	details := map[string]string{"connection_id": connection}
	if whom.Everything {
		removed, err := s.records.ForgetConnection(ctx, organization, connection)
		if err != nil {
			return err
		}
		discarded, err := s.discard(ctx, organization, connection, func(sync.BadRecord) bool { return true })
		if err != nil {
			return err
		}
		details["records"], details["quarantined"] = strconv.Itoa(removed), strconv.Itoa(discarded)
		return s.enter(ctx, organization, details)
	}
	done, err := s.records.Forget(ctx, organization, connection, whom.Person)
	if err != nil {
		return err
	}
	discarded, err := s.discard(ctx, organization, connection, func(b sync.BadRecord) bool {
		return b.RecordID == whom.Person && (b.Stream == integrationsapi.KindCustomers || b.Stream == integrationsapi.KindContacts)
	})
	if err != nil {
		return err
	}
	details["person"], details["quarantined"] = whom.Person, strconv.Itoa(discarded)
	details["customers"], details["contacts"], details["payments"] = strconv.Itoa(done.Customers), strconv.Itoa(done.Contacts), strconv.Itoa(done.Payments)
	return s.enter(ctx, organization, details)
}

// Export is what is known of a person who uses this platform, under the address that they sign in with (see privacy.Personal).
func (s *Service) Export(ctx context.Context, p privacy.Person) (map[string]any, error) {
	if p.Email == "" {
		return nil, nil
	}
	of, err := s.Find(ctx, p.Organization, p.Email)
	if err != nil {
		return nil, err
	}
	found := map[string]any{}
	for name, part := range map[string]struct {
		count int
		value any
	}{
		integrationsapi.KindCustomers: {len(of.Customers), of.Customers}, integrationsapi.KindContacts: {len(of.Contacts), of.Contacts},
		integrationsapi.KindPayments: {len(of.Payments), of.Payments}, "quarantined": {len(of.Quarantined), of.Quarantined},
	} {
		if part.count > 0 {
			found[name] = part.value
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return found, nil
}

func (s *Service) enter(ctx context.Context, organization string, details map[string]string) error {
	entry, err := audit.Message(ctx, s.emit, organization, audit.Entry{Action: forgetAction, Resource: integrationsapi.KindConnection + ":" + details["connection_id"], Details: details})
	if err == nil {
		err = s.outbox.Add(ctx, entry)
	}
	if err != nil {
		return fmt.Errorf("enter in the audit log what was forgotten: %w", err)
	}
	return nil
}

func (s *Service) discard(ctx context.Context, organization, connection string, which func(sync.BadRecord) bool) (n int, err error) {
	bad, err := s.syncs.BadAbout(ctx, organization, connection, which)
	for _, b := range bad {
		discardErr := s.syncs.Discard(ctx, organization, b.ID)
		if problem.Code(discardErr) == problem.CodeNotFound { // a sync has
			continue
		}
		if err = errors.Join(err, discardErr); discardErr == nil {
			n++
		}
	}
	return n, err
}

// mentions tells whether a vendor wrote of an address in a record.
func mentions(email string) func(sync.BadRecord) bool {
	return func(b sync.BadRecord) bool { return slices.Contains(records.AddressesIn(b.Raw), email) }
}

// normal is an address as records have it.
func normal(email string) (string, error) {
	email = connector.NormalEmail(email)
	if all := records.AddressesIn(email); len(all) != 1 || all[0] != email {
		return "", problem.Invalid("body.email", "want an e-mail address")
	}
	return email, nil
}
