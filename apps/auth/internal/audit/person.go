package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/pkg/privacy"
	"github.com/tandemhq/tandem/pkg/store"
)

// mostEntries bounds the entries of each kind in an export of a person's data.
const mostEntries = 10_000

// export is what the log knows of a person, newest first: what they did, and what was done about them.
func (s *Service) export(ctx context.Context, p privacy.Person) (map[string]any, error) {
	data := map[string]any{}
	for name, queries := range about(p) {
		entries := []authapi.AuditEntry{}
		for _, q := range queries {
			q.Descending = true
			err := s.d.records.In(p.Organization).Each(ctx, q, func(doc store.Doc[record]) error {
				if len(entries) == mostEntries {
					data[name+"_truncated"] = true
					return errEnough
				}
				entries = append(entries, doc.Value.view(doc.ID))
				return nil
			})
			if err != nil && !errors.Is(err, errEnough) {
				return nil, fmt.Errorf("read the audit log: %w", err)
			}
		}
		data[name] = entries
	}
	return data, nil
}

// about are the records that lead to a person: what they did, and what was done about them.
func about(p privacy.Person) map[string][]store.Query {
	all := map[string][]store.Query{"actions": {{Index: byActor, Equal: []any{p.User}}}}
	for _, resource := range resourcesOf(p.User) {
		all["about"] = append(all["about"], store.Query{Index: byResource, Equal: []any{resource}})
	}
	return all
}

// erase takes a person out of the log, now and out of entries of what they did before that come late, and deletes what was
// collected of them for a download. The chain stays provable (see record).
func (s *Service) erase(ctx context.Context, p privacy.Person) (int64, error) {
	note := []store.Put[erased]{{ID: p.User, Value: erased{store.At(s.c.Now())}}}
	if _, err := s.d.erased.In(p.Organization).PutMany(ctx, note); err != nil {
		return 0, fmt.Errorf("note that a person is erased: %w", err)
	}
	var n int64
	records := s.d.records.In(p.Organization)
	for _, q := range slices.Concat(slices.Collect(maps.Values(about(p)))...) {
		err := records.Each(ctx, q, func(doc store.Doc[record]) error {
			was := false
			_, err := records.Update(ctx, doc.ID, func(r *record) ([]store.Message, error) {
				was = r.erase(p.User)
				return nil, nil
			})
			if was && err == nil {
				n++
			}
			if isNotFound(err) {
				return nil // deleted by its age
			}
			return err
		})
		if err != nil {
			return n, fmt.Errorf("erase a person from the audit log: %w", err)
		}
	}
	archives := store.Query{Index: byUser, Equal: []any{p.Organization, p.User}}
	err := s.d.requests.Each(ctx, archives, func(doc store.Doc[request]) error {
		if doc.Value.State != ready {
			return nil
		}
		n++
		return s.forget(ctx, doc)
	})
	return n, wrapped(err, "erase what was collected of a person")
}

// EraseOrganization erases what is kept of an organization outside of Tenant collections, and closes its log, so that late
// entries do not begin it anew. It may be called again.
func (s *Service) EraseOrganization(ctx context.Context, organization string) error {
	if _, err := s.d.closed.PutMany(ctx, []store.Put[closed]{{ID: organization, Value: closed{store.At(s.c.Now())}}}); err != nil {
		return fmt.Errorf("close the audit log: %w", err)
	}
	all := store.Query{Index: byCreation, Equal: []any{organization}}
	err := s.d.requests.Each(ctx, all, func(doc store.Doc[request]) error {
		if err := s.dropBlobs(ctx, doc.ID, nil); err != nil {
			return err
		}
		if err := s.d.requests.Delete(ctx, doc.ID, 0); err != nil && !isNotFound(err) {
			return err
		}
		return nil
	})
	return wrapped(err, "erase data requests")
}
