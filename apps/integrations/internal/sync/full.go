package sync

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connection"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/store"
)

// A full sync reads everything over what there is, and then removes what the vendor has not sent: readers see a complete set at all
// times. What was sent is noted a page at a time, as marks of eight bytes, so that little is written beside the records and ten million of
// them take 80 MB. Two ids of one mark only keep a record that is gone.

// sent is the marks of the records that a page brought.
type sent struct {
	ConnectionID string `json:"connection_id"`
	Stream       string `json:"stream"`
	RunID        string `json:"run_id"`
	Marks        string `json:"marks"` // base64 of 64-bit numbers, big-endian
}

func openSent(ctx context.Context, db store.DB) (*store.Collection[sent], error) {
	return store.Tenant[sent](ctx, db, store.Def{Name: "sync-sent", Indexes: []store.Index{{Name: "stream", Fields: []string{"connection_id", "stream", "run_id"}}}})
}

func mark(id string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // never fails
	return h.Sum64()
}

// sweep is where the removal of a full sync is. It is part of the cursor.
type sweep struct {
	// Accounts are those that are read, of a vendor whose authorization opens several; the records of others stay.
	Accounts []string `json:"accounts,omitempty"`
	// Unsure tells that the vendor has a record of which it is not known which it is: then none is removed.
	Unsure bool `json:"unsure,omitempty"`
	// Begun tells that all is read, Page is where the records are looked at.
	Begun bool   `json:"begun,omitempty"`
	Page  string `json:"page,omitempty"`
}

// noteSent notes what a page brought. Done again it notes the same.
func (s *Service) noteSent(ctx context.Context, run runs.Run, of bad, number int, page connector.Page) error {
	var marks []byte
	for _, id := range page.Records.IDs() {
		marks = binary.BigEndian.AppendUint64(marks, mark(id))
	}
	for _, b := range page.Bad {
		marks = binary.BigEndian.AppendUint64(marks, mark(of.ConnectionID+":"+b.ID))
	}
	_, err := s.sent.In(run.Organization).PutMany(ctx, []store.Put[sent]{{
		ID: run.ID + "." + strconv.Itoa(number), Value: sent{of.ConnectionID, of.Stream, run.ID, base64.RawStdEncoding.EncodeToString(marks)},
	}})
	if err != nil {
		return fmt.Errorf("note what the vendor has sent: %w", err)
	}
	return nil
}

// marks are those of all that a run has read, in order.
func (s *Service) marks(ctx context.Context, run runs.Run, in Input) ([]uint64, error) {
	var all []uint64
	err := s.sent.In(run.Organization).Each(ctx, store.Query{Index: "stream", Equal: []any{in.ConnectionID, in.Stream, run.ID}}, func(doc store.Doc[sent]) error {
		data, err := base64.RawStdEncoding.DecodeString(doc.Value.Marks)
		for ; len(data) >= 8; data = data[8:] {
			all = append(all, binary.BigEndian.Uint64(data))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what the vendor has sent: %w", err)
	}
	slices.Sort(all)
	return all, nil
}

// forgetSent forgets what runs of a stream have noted, but for one.
func (s *Service) forgetSent(ctx context.Context, organization string, in Input, but string) error {
	err := s.sent.In(organization).Each(ctx, store.Query{Index: "stream", Equal: []any{in.ConnectionID, in.Stream}}, func(doc store.Doc[sent]) error {
		if doc.Value.RunID == but {
			return nil
		}
		if err := s.sent.In(organization).Delete(ctx, doc.ID, 0); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget what the vendor has sent: %w", err)
	}
	return nil
}

// sweep removes what the vendor has not sent, as far as it gets in a step. It tells whether it is done.
func (s *Service) sweep(ctx context.Context, run runs.Run, c connection.Connection, stream connector.Stream, in Input, at *cursor) (done bool, err error) {
	if at.Sweep.Unsure {
		return true, s.forgetSent(ctx, run.Organization, in, "")
	}
	kept, err := s.marks(ctx, run, in)
	if err != nil {
		return false, err
	}
	var from time.Time
	if stream.History > 0 { // a day of doubt, for time zones, and another as the sync may have begun the day before
		from = run.StartedAt.Add(2*24*time.Hour - stream.History)
	}
	_, several := s.Connections.Connector(c.Vendor).(connector.Lister)
	gone := func(h integrationsapi.Head) bool {
		if several && !slices.Contains(at.Sweep.Accounts, h.AccountID) {
			return false
		}
		_, sent := slices.BinarySearch(kept, mark(h.ID))
		return !sent
	}
	for end := s.Now().Add(stepTime); ; {
		next, n, err := s.Records.Sweep(ctx, run.Organization, c.ID, stream.Name, from, at.Sweep.Page, gone)
		if err != nil {
			return false, err
		}
		at.Removed += n
		if at.Sweep.Page = next; next == "" {
			return true, s.forgetSent(ctx, run.Organization, in, "")
		}
		if !s.Now().Before(end) {
			return false, nil
		}
	}
}
