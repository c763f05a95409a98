package records

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/store"
)

// erasedPerson is all that is kept of a person who was erased: its id is a digest of the address, or of the id of the record. Without it
// the next sync would bring them again from a vendor that has them still, and a page that is being read at the time in any case.
type erasedPerson struct {
	At store.Time `json:"at"`
}

func openErased(ctx context.Context, db store.DB) (*store.Collection[erasedPerson], error) {
	return store.Tenant[erasedPerson](ctx, db, store.Def{Name: "erased-persons"})
}

// Digest is of a normalized address, or a record's id, in an organization, so that two organizations' cannot be compared.
func Digest(organization, of string) string {
	sum := sha256.Sum256([]byte(organization + "\x00" + of))
	return hex.EncodeToString(sum[:])
}

// ErasedPersons are those of an organization who were erased.
type ErasedPersons struct {
	organization string
	digests      map[string]bool
}

// ErasedPersons reads who was erased.
func (s *Service) ErasedPersons(ctx context.Context, organization string) (ErasedPersons, error) {
	return erasedOf(ctx, s.erased, organization)
}

func erasedOf(ctx context.Context, all *store.Collection[erasedPerson], organization string) (ErasedPersons, error) {
	e := ErasedPersons{organization, map[string]bool{}}
	err := all.In(organization).Each(ctx, store.Query{}, func(doc store.Doc[erasedPerson]) error {
		e.digests[doc.ID] = true
		return nil
	})
	if err != nil {
		return e, fmt.Errorf("read who was erased: %w", err)
	}
	return e, nil
}

// Has tells whether a normalized address, or a record's id, is one of theirs.
func (e ErasedPersons) Has(of string) bool {
	return of != "" && len(e.digests) > 0 && e.digests[Digest(e.organization, of)]
}

// In tells whether any of them is mentioned in what a vendor wrote, as JSON.
func (e ErasedPersons) In(raw string) bool {
	return len(e.digests) > 0 && slices.ContainsFunc(AddressesIn(raw), e.Has)
}

var address = regexp.MustCompile(`[a-z0-9.!#$%&'*+/=?^_{|}~-]+@[a-z0-9-]+(\.[a-z0-9-]+)+`)

// AddressesIn are the e-mail addresses, normalized, in what a vendor wrote, which is looked through as text where it is no JSON.
func AddressesIn(raw string) (all []string) {
	var value any
	if json.Unmarshal([]byte(raw), &value) != nil {
		value = raw
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			all = append(all, address.FindAllString(strings.ToLower(v), -1)...)
		case []any:
			for _, one := range v {
				walk(one)
			}
		case map[string]any:
			for name, one := range v {
				walk(name)
				walk(one)
			}
		}
	}
	walk(value)
	return all
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
	if err := s.note(ctx, organization, email); err != nil {
		return Erased{}, err
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

// note has no sync bring whom an address or a record's id stands for.
func (s *Service) note(ctx context.Context, organization, of string) error {
	_, err := s.erased.In(organization).Insert(ctx, Digest(organization, of), erasedPerson{store.At(s.Customers.emit.Now())})
	if err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("note that a person is erased: %w", err)
	}
	return nil
}

// Forget removes what is kept of a person whom a connection's vendor, which knows them by an id, has erased itself. Repeating it is
// harmless, and finishes what an error or a crash left: what tells the person's address goes last.
func (s *Service) Forget(ctx context.Context, organization, connection, person string) (Erased, error) {
	id := connection + ":" + person
	if err := s.note(ctx, organization, id); err != nil {
		return Erased{}, err
	}
	customer, err := s.Customers.find(ctx, organization, id)
	if err != nil {
		return Erased{}, err
	}
	contact, err := s.Contacts.find(ctx, organization, id)
	if err != nil {
		return Erased{}, err
	}
	var done Erased
	for _, email := range []string{customer.Value.Email, contact.Value.Email} {
		if email == "" {
			continue
		}
		more, err := s.erase(ctx, organization, email, func(h integrationsapi.Head) bool { return h.ConnectionID == connection && h.ID != id })
		if done = done.plus(more); err != nil {
			return done, err
		}
	}
	customers, err := s.Customers.eraseID(ctx, organization, id)
	if err != nil {
		return done, err
	}
	contacts, err := s.Contacts.eraseID(ctx, organization, id)
	return done.plus(Erased{Customers: customers, Contacts: contacts}), err
}

// find is a record by its id, zero where there is none.
func (k *Kind[T]) find(ctx context.Context, organization, id string) (store.Doc[T], error) {
	doc, err := k.documents.In(organization).Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadID) {
		return store.Doc[T]{}, nil
	}
	if err != nil {
		return doc, fmt.Errorf("find one of %s: %w", k.name, err)
	}
	return doc, nil
}

// eraseID removes a record, and tells whether it was there, as 1 or 0.
func (k *Kind[T]) eraseID(ctx context.Context, organization, id string) (int, error) {
	doc, err := k.find(ctx, organization, id)
	if err != nil || doc.ID == "" {
		return 0, err
	}
	return k.remove(ctx, organization, []store.Doc[T]{doc})
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

// outcast is whom put has met who was erased.
type outcast struct{ emails, ids []string }

// admitted are records without what is of persons who were erased, and whom it has met of those.
func (k *Kind[T]) admitted(ctx context.Context, organization string, records []T) (kept []T, met outcast, err error) {
	if k.personal.address == nil || len(records) == 0 {
		return records, met, nil
	}
	erased, err := erasedOf(ctx, k.erased, organization)
	if err != nil || len(erased.digests) == 0 {
		return records, met, err
	}
	for _, r := range records {
		email, id := k.personal.address(&r), r.Head().ID
		byAddress, byID := erased.Has(*email), k.personal.whole && erased.Has(id)
		if byAddress {
			met.emails = append(met.emails, *email)
		}
		if byID {
			met.ids = append(met.ids, id)
		}
		if k.personal.whole && (byAddress || byID) {
			continue
		}
		if byAddress {
			*email = ""
		}
		kept = append(kept, r)
	}
	return kept, met, nil
}

// castOut erases what is kept of persons who were erased: what was written while they were, or by a process that died before it had looked.
func (k *Kind[T]) castOut(ctx context.Context, organization string, met outcast) error {
	slices.Sort(met.emails)
	for _, email := range slices.Compact(met.emails) {
		if _, err := k.eraseOf(ctx, organization, email, func(integrationsapi.Head) bool { return true }); err != nil {
			return err
		}
	}
	for _, id := range met.ids {
		if _, err := k.eraseID(ctx, organization, id); err != nil {
			return err
		}
	}
	return nil
}
