package connector

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
)

// Row is an entry of a vendor's list, with what the vendor wrote. One that has not the form of T stops no other: Err says what is wrong.
type Row[T any] struct {
	Value T
	Raw   json.RawMessage
	Err   error
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Row[T]) UnmarshalJSON(data []byte) error {
	r.Raw, r.Err = bytes.Clone(data), json.Unmarshal(data, &r.Value)
	return nil
}

// Bad is a record that cannot be one: what it says is impossible, or cannot be understood.
type Bad struct {
	// ID is the vendor's, as part of the record's id; empty where that is what is missing.
	ID string
	// Err says what is wrong with it, for people.
	Err error
	// Raw is what the vendor wrote, as JSON.
	Raw json.RawMessage
}

// Refuse adds a bad record.
func (p *Page) Refuse(id string, raw json.RawMessage, err error) {
	p.Bad = append(p.Bad, Bad{id, err, raw})
}

// Add adds the record that is made of a row to records, or else to the bad ones of its page. ID is the vendor's id of it.
func Add[T any, R integrationsapi.Record](p *Page, records *[]R, row Row[T], id string, normal func(T) (R, error)) {
	err := row.Err
	var r R
	if err == nil {
		r, err = normal(row.Value)
	}
	if err == nil {
		err = r.Valid()
	}
	if err != nil {
		p.Refuse(id, row.Raw, err)
		return
	}
	*records = append(*records, r)
}

// Check moves what is no possible record from the records to the bad ones: those that were not added by Add.
func (p *Page) Check() {
	p.Bad = slices.Concat(p.Bad,
		check(&p.Records.Orders), check(&p.Records.Customers), check(&p.Records.Products), check(&p.Records.Payments), check(&p.Records.Contacts),
		check(&p.Records.Deals), check(&p.Records.Campaigns), check(&p.Records.Performance), check(&p.Records.EmailPerformance))
}

func check[R integrationsapi.Record](records *[]R) (bad []Bad) {
	*records = slices.DeleteFunc(*records, func(r R) bool {
		err := r.Valid()
		if err == nil {
			return false
		}
		head := r.Head()
		id, _ := strings.CutPrefix(head.ID, head.ConnectionID+":")
		raw, failed := json.Marshal(r)
		if failed != nil { // a time that cannot be written
			raw = nil
		}
		bad = append(bad, Bad{id, err, raw})
		return true
	})
	return bad
}
