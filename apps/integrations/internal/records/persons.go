package records

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/store"
)

// erasedPerson is all that is kept of a person who was erased: the id is a digest of the address. Without it the next sync would bring
// them again from a vendor that has them still.
type erasedPerson struct {
	At store.Time `json:"at"`
}

func openErased(ctx context.Context, db store.DB) (*store.Collection[erasedPerson], error) {
	return store.Tenant[erasedPerson](ctx, db, store.Def{Name: "erased-persons"})
}

// Digest is of a normalized address in an organization, so that two organizations' cannot be compared.
func Digest(organization, email string) string {
	sum := sha256.Sum256([]byte(organization + "\x00" + email))
	return hex.EncodeToString(sum[:])
}

// OfPerson are the records of a person.
type OfPerson struct {
	Customers []integrationsapi.Customer `json:"customers" nullable:"false" doc:"Customers with the address"`
	Contacts  []integrationsapi.Contact  `json:"contacts" nullable:"false" doc:"Contacts with the address"`
	Payments  []integrationsapi.Payment  `json:"payments" nullable:"false" doc:"Payments by the address"`
}

// Erased is how many records an erasure was about.
type Erased struct {
	Customers int `json:"customers" doc:"Customers that were removed" example:"1"`
	Contacts  int `json:"contacts" doc:"Contacts that were removed" example:"2"`
	Payments  int `json:"payments" doc:"Payments that have no address any more; their amounts stay" example:"5"`
}

func (e Erased) plus(other Erased) Erased {
	return Erased{e.Customers + other.Customers, e.Contacts + other.Contacts, e.Payments + other.Payments}
}

// Of reads what is kept under an organization's person's address, which is normalized.
func (s *Service) Of(ctx context.Context, organization, email string) (of OfPerson, err error) {
	all := OfPerson{[]integrationsapi.Customer{}, []integrationsapi.Contact{}, []integrationsapi.Payment{}}
	if email == "" { // records without an address are nobody's
		return all, nil
	}
	err = errors.Join(
		s.Customers.eachOf(ctx, organization, email, func(r integrationsapi.Customer) { all.Customers = append(all.Customers, r) }),
		s.Contacts.eachOf(ctx, organization, email, func(r integrationsapi.Contact) { all.Contacts = append(all.Contacts, r) }),
		s.Payments.eachOf(ctx, organization, email, func(r integrationsapi.Payment) { all.Payments = append(all.Payments, r) }),
	)
	return all, err
}

func (k *Kind[T]) eachOf(ctx context.Context, organization, email string, found func(T)) error {
	err := k.documents.In(organization).Each(ctx, store.Query{Index: "email", Equal: []any{email}}, func(doc store.Doc[T]) error {
		found(doc.Value)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read %s of a person: %w", k.name, err)
	}
	return nil
}

// Erase removes what is kept under a person's address, which is normalized, and has no sync bring it again. Repeating it is harmless,
// and finishes what an error left.
func (s *Service) Erase(ctx context.Context, organization, email string) (Erased, error) {
	_, err := s.erased.In(organization).Insert(ctx, Digest(organization, email), erasedPerson{store.At(s.now())})
	if err != nil && !errors.Is(err, store.ErrExists) {
		return Erased{}, fmt.Errorf("note that a person is erased: %w", err)
	}
	return s.erase(ctx, organization, email, func(integrationsapi.Head) bool { return true })
}

// Readmit lets syncs bring a person again who was erased, such as one who has come back.
func (s *Service) Readmit(ctx context.Context, organization, email string) error {
	err := s.erased.In(organization).Delete(ctx, Digest(organization, email), 0)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("readmit a person: %w", err)
	}
	return nil
}

// Forget removes what is kept of a person whom a connection's vendor, which knows them by an id, has erased itself.
func (s *Service) Forget(ctx context.Context, organization, connection, person string) (Erased, error) {
	id := connection + ":" + person
	var done Erased
	var addresses []string
	customer, err := s.Customers.documents.In(organization).Get(ctx, id)
	if err == nil {
		addresses = append(addresses, customer.Value.Email)
		done.Customers, err = s.Customers.remove(ctx, organization, []store.Doc[integrationsapi.Customer]{customer})
	}
	contact, contactErr := s.Contacts.documents.In(organization).Get(ctx, id)
	if contactErr == nil {
		addresses = append(addresses, contact.Value.Email)
		done.Contacts, contactErr = s.Contacts.remove(ctx, organization, []store.Doc[integrationsapi.Contact]{contact})
	}
	for _, err := range []error{err, contactErr} {
		if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrBadID) {
			return done, fmt.Errorf("forget a person: %w", err)
		}
	}
	for _, email := range addresses {
		if email == "" {
			continue
		}
		more, err := s.erase(ctx, organization, email, func(h integrationsapi.Head) bool { return h.ConnectionID == connection })
		if done = done.plus(more); err != nil {
			return done, err
		}
	}
	return done, nil
}

// ForgetConnection removes all records of a connection and tells how many they were.
func (s *Service) ForgetConnection(ctx context.Context, organization, connection string) (removed int, err error) {
	for _, k := range s.kinds() {
		for cursor, more := "", true; more; more = cursor != "" {
			var n int
			cursor, n, err = k.sweep(ctx, organization, connection, time.Time{}, cursor, func(integrationsapi.Head) bool { return true })
			if removed += n; err != nil {
				return removed, err
			}
		}
	}
	return removed, nil
}

func (s *Service) erase(ctx context.Context, organization, email string, which func(integrationsapi.Head) bool) (Erased, error) {
	customers, err := s.Customers.eraseOf(ctx, organization, email, which)
	if err != nil {
		return Erased{Customers: customers}, err
	}
	contacts, err := s.Contacts.eraseOf(ctx, organization, email, which)
	if err != nil {
		return Erased{Customers: customers, Contacts: contacts}, err
	}
	payments, err := s.Payments.eraseOf(ctx, organization, email, which)
	return Erased{customers, contacts, payments}, err
}

// personal is where records of a kind have a person's address.
type personal[T any] struct {
	address func(*T) *string
	// whole records are about the person and go with them; others lose the address.
	whole bool
}

// eraseOf removes, or takes the address out of, those records under an address which are to be, and tells how many they were.
func (k *Kind[T]) eraseOf(ctx context.Context, organization, email string, which func(integrationsapi.Head) bool) (n int, err error) {
	documents, q := k.documents.In(organization), store.Query{Index: "email", Equal: []any{email}, Limit: integrationsapi.MaxPage}
	for {
		page, err := documents.Find(ctx, q)
		if err != nil {
			return n, fmt.Errorf("find %s of a person: %w", k.name, err)
		}
		docs := slices.DeleteFunc(page.Items, func(doc store.Doc[T]) bool { return !which(doc.Value.Head()) })
		done, err := k.depersonalize(ctx, organization, docs)
		if n += done; err != nil {
			return n, fmt.Errorf("erase %s of a person: %w", k.name, err)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return n, nil
		}
	}
}

func (k *Kind[T]) depersonalize(ctx context.Context, organization string, docs []store.Doc[T]) (n int, err error) {
	if k.personal.whole {
		return k.remove(ctx, organization, docs)
	}
	for _, doc := range docs {
		head := doc.Value.Head()
		messages, err := k.tell(ctx, organization, head.Vendor, map[string][]time.Time{head.ConnectionID: {head.At.Time}})
		if err == nil {
			_, err = k.documents.In(organization).Update(ctx, doc.ID, func(now *T) ([]store.Message, error) {
				*k.personal.address(now) = ""
				return messages, nil
			})
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return n, err
		}
		n++
	}
	return n, nil
}

// admitted are records without what is of persons who were erased.
func (k *Kind[T]) admitted(ctx context.Context, organization string, records []T) (kept []T, erased []string, err error) {
	if k.personal.address == nil || len(records) == 0 {
		return records, nil, nil
	}
	all := k.erased.In(organization)
	one, err := all.Find(ctx, store.Query{Limit: 1})
	if err != nil || len(one.Items) == 0 {
		return records, nil, err
	}
	known := map[string]bool{"": false}
	for _, r := range records {
		email := *k.personal.address(&r)
		gone, asked := known[email]
		if !asked {
			_, err := all.Get(ctx, Digest(organization, email))
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, nil, err
			}
			if gone = err == nil; gone {
				erased = append(erased, email)
			}
			known[email] = gone
		}
		if gone && k.personal.whole {
			continue
		}
		if gone {
			*k.personal.address(&r) = ""
		}
		kept = append(kept, r)
	}
	return kept, erased, nil
}
