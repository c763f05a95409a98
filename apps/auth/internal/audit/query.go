package audit

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/audit"
	"github.com/tandemhq/tandem/pkg/store"
)

// lookedAt bounds the records that one page looks at where few of them fit the filter.
const lookedAt = 2000

// Filter selects entries; what is empty selects all.
type Filter struct {
	Actor    string
	Action   string // the beginning of it
	Resource string
	Result   audit.Result
	From, To time.Time // when it happened: inclusive, exclusive
}

// query selects by the index that leaves the fewest, in the order of time.
func (f Filter) query() store.Query {
	var q store.Query
	words := strings.Split(f.Action, ".")
	switch {
	case f.Resource != "":
		q = store.Query{Index: byResource, Equal: []any{f.Resource}}
	case f.Actor != "":
		q = store.Query{Index: byActor, Equal: []any{f.Actor}}
	case len(words) > 2: // what follows the module's name begins the verb
		q = store.Query{Index: byModule, Equal: []any{words[0] + "." + words[1]}}
	case f.Result != "" && f.Result != audit.Success:
		q = store.Query{Index: byResult, Equal: []any{f.Result}}
	default:
		q = store.Query{Index: byTime}
	}
	if !f.From.IsZero() {
		q.Range.Field, q.Range.From = "at", store.At(f.From)
	}
	if !f.To.IsZero() {
		q.Range.Field, q.Range.To = "at", store.At(f.To)
	}
	return q
}

// fits applies what the index does not.
func (f Filter) fits(r record) bool {
	return (f.Actor == "" || f.Actor == r.Who.Subject) && strings.HasPrefix(r.Action, f.Action) && (f.Result == "" || f.Result == r.Result)
}

// List is a page of an organization's entries, newest first. A page may have fewer entries than limit and still not be the last.
func (s *Service) List(ctx context.Context, organization string, f Filter, cursor string, limit int) (*authapi.AuditEntries, error) {
	list := &authapi.AuditEntries{Items: []authapi.AuditEntry{}, NextCursor: cursor}
	q := f.query()
	q.Descending, q.Cursor = true, cursor
	for looked := 0; len(list.Items) < limit && looked < lookedAt; looked += q.Limit {
		q.Limit = limit - len(list.Items) // so that a page never ends within what was read
		page, err := s.d.records.In(organization).Find(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("list audit entries: %w", err)
		}
		for _, doc := range page.Items {
			if f.fits(doc.Value) {
				list.Items = append(list.Items, doc.Value.view(doc.ID))
			}
		}
		if q.Cursor, list.NextCursor = page.Next, page.Next; page.Next == "" {
			break
		}
	}
	return list, nil
}

// Each visits an organization's entries, oldest first, until visit returns an error, which it returns. All of them come in the order
// of the log, in which each hashes the one before, whatever came late.
func (s *Service) Each(ctx context.Context, organization string, f Filter, visit func(authapi.AuditEntry) error) error {
	q := f.query()
	if f == (Filter{}) {
		q = store.Query{Index: bySequence}
	}
	return s.d.records.In(organization).Each(ctx, q, func(doc store.Doc[record]) error {
		if !f.fits(doc.Value) {
			return nil
		}
		return visit(doc.Value.view(doc.ID))
	})
}
