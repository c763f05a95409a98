package records_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/store"
)

// history is records whose changes are read. A second writer stamps what it writes as if it had begun a while ago: what a slow write, or
// a process whose clock is late, does.
type history struct {
	*records.Service
	t     *testing.T
	db    store.DB
	slow  *records.Service
	now   time.Time
	delay time.Duration
	// mark is the watermark of the reader, copy what it knows.
	mark time.Time
	copy map[string]int64
}

func newHistory(t *testing.T) *history {
	t.Helper()
	h := &history{t: t, now: day, copy: map[string]int64{}}
	path := filepath.Join(t.TempDir(), "integrations.db")
	service := func(now func() time.Time) (*records.Service, store.DB) {
		db, err := store.SQLite{Path: path, Now: now}.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		s, err := records.New(t.Context(), db, events.Emitter{Group: integrationsapi.Name, Now: func() time.Time { return h.now }, NewID: uuid.NewString})
		if err != nil {
			t.Fatal(err)
		}
		return s, db
	}
	h.Service, h.db = service(func() time.Time { return h.now })
	h.slow, _ = service(func() time.Time { return h.now.Add(-h.delay) })
	return h
}

func (h *history) put(s *records.Service, minor int64, ids ...int) {
	h.t.Helper()
	var orders []integrationsapi.Order
	for _, id := range ids {
		o := order("c1", id, day)
		o.TotalMinor = minor
		orders = append(orders, o)
	}
	if _, err := s.Put(h.t.Context(), "o1", connector.Records{Orders: orders}); err != nil {
		h.t.Fatal(err)
	}
}

func id(n int) string { return fmt.Sprintf("c1:%d", n) }

// read reads on from the watermark, in pages of a size, into the copy; between is called after each page.
func (h *history) read(limit int, between func()) (changes []string) {
	h.t.Helper()
	for cursor := ""; ; {
		page, err := h.Orders.Changes(h.t.Context(), "o1", h.mark, cursor, limit)
		if err != nil {
			h.t.Fatal(err)
		}
		if len(page.Items) > limit {
			h.t.Errorf("a page of %d, not %d", len(page.Items), limit)
		}
		for _, c := range page.Items {
			if c.ChangedAt.Before(h.mark) || !c.ChangedAt.Before(page.Watermark.Time) {
				h.t.Errorf("a change of %s between %s and %s", c.ChangedAt, h.mark, page.Watermark)
			}
			changes = append(changes, c.ID)
			if c.Removed {
				delete(h.copy, c.ID)
			} else {
				h.copy[c.ID] = c.Record.TotalMinor
			}
		}
		between()
		if cursor = page.NextCursor; cursor == "" {
			h.mark = page.Watermark.Time
			return changes
		}
	}
}

func (h *history) want(what string, want map[string]int64) {
	h.t.Helper()
	if !maps.Equal(h.copy, want) {
		h.t.Errorf("%s: %v, want %v", what, h.copy, want)
	}
}

func nothing() {}

func TestWhoeverReadsChangesHasWhatThereIs(t *testing.T) {
	h := newHistory(t)
	h.put(h.Service, 1, 1, 2, 3)
	h.read(2, nothing)
	h.want("before it is old enough", map[string]int64{})
	h.now = h.now.Add(records.Lag + time.Second)
	h.read(2, nothing)
	h.want("all", map[string]int64{id(1): 1, id(2): 1, id(3): 1})
	h.put(h.Service, 2, 2)
	h.put(h.Service, 1, 1) // which is no change
	if err := h.Orders.Remove(t.Context(), "o1", id(3)); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(records.Lag + time.Second)
	if got := h.read(1, nothing); !reflect.DeepEqual(got, []string{id(2), id(3)}) {
		t.Errorf("changes of %v", got)
	}
	h.want("after changes", map[string]int64{id(1): 1, id(2): 2})
	h.put(h.Service, 3, 3)
	h.now = h.now.Add(records.Lag + time.Second)
	h.read(1, nothing)
	h.want("there again", map[string]int64{id(1): 1, id(2): 2, id(3): 3})
	if got := h.read(10, nothing); len(got) != 0 {
		t.Errorf("without changes: %v", got)
	}
}

func TestAWriteThatBecomesVisibleLateIsNotMissed(t *testing.T) {
	h := newHistory(t)
	h.put(h.Service, 1, 1)
	h.now = h.now.Add(records.Lag + time.Second)
	h.put(h.Service, 1, 2)
	h.read(10, nothing)
	h.delay = 7 * time.Second
	h.put(h.slow, 1, 3)
	h.now = h.now.Add(2 * records.Lag)
	h.read(10, nothing)
	h.want("with the late one", map[string]int64{id(1): 1, id(2): 1, id(3): 1})
}

func TestRemovalsAreToldOfWhenTheRecordsAreGone(t *testing.T) {
	h := newHistory(t)
	h.put(h.Service, 1, 1, 2)
	told(t, h.db)
	if err := h.Orders.BeginRemoval(t.Context(), "o1", id(1), id(2)); err != nil { // then a crash
		t.Fatal(err)
	}
	if changed := told(t, h.db); len(changed) != 0 {
		t.Errorf("told %v before anything is removed", changed)
	}
	told(t, h.db)
	h.put(h.Service, 2, 2) // the vendor has it still
	told(t, h.db)
	if err := h.Orders.EndRemoval(t.Context(), "o1"); err != nil {
		t.Fatal(err)
	}
	if changed := told(t, h.db); len(changed) != 1 || changed[0].ConnectionID != "c1" || changed[0].From.After(day) || !changed[0].To.After(day) {
		t.Errorf("told %v", changed)
	}
	page, err := h.Orders.Page(t.Context(), "o1", "", records.Range{}, "", 10)
	if err != nil || len(page.Items) != 1 || page.Items[0].ID != id(2) {
		t.Errorf("%+v, %v", page, err)
	}
}

// Whatever happens while changes are read, in whatever pages, the reader has in the end what there is.
func TestChangesReadWhileThereAreMore(t *testing.T) {
	for seed := range uint64(20) {
		h, r := newHistory(t), rand.New(rand.NewPCG(seed, 1))
		there := map[string]int64{}
		something := func() {
			h.now = h.now.Add(time.Duration(r.IntN(3000)) * time.Millisecond)
			h.delay = time.Duration(r.IntN(9900)) * time.Millisecond
			ids := r.Perm(30)[:1+r.IntN(5)]
			switch r.IntN(5) {
			case 0, 1:
				minor := r.Int64N(100)
				h.put(h.Service, minor, ids...)
				for _, n := range ids {
					there[id(n)] = minor
				}
			case 2:
				minor := r.Int64N(100)
				h.put(h.slow, minor, ids...)
				for _, n := range ids {
					there[id(n)] = minor
				}
			case 3:
				known := slices.Sorted(maps.Keys(there))
				if len(known) == 0 {
					return
				}
				gone := known[r.IntN(len(known))]
				if err := h.Orders.BeginRemoval(t.Context(), "o1", gone); err != nil {
					t.Fatal(err)
				}
				if r.IntN(3) == 0 { // the vendor has it again before it is gone
					h.now = h.now.Add(time.Millisecond)
					there[gone]++
					var n int
					if _, err := fmt.Sscanf(gone, "c1:%d", &n); err != nil {
						t.Fatal(err)
					}
					h.put(h.Service, there[gone], n)
				} else {
					delete(there, gone)
				}
				h.now = h.now.Add(time.Millisecond)
				if err := h.Orders.EndRemoval(t.Context(), "o1"); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 40 {
			something()
			if r.IntN(3) == 0 {
				h.read(1+r.IntN(4), something)
			}
		}
		h.now = h.now.Add(2 * records.Lag)
		h.read(3, nothing)
		h.want(fmt.Sprint("seed ", seed), there)
		if t.Failed() {
			return
		}
	}
}

func TestCursorsOfChangesAreOfOneReading(t *testing.T) {
	h := newHistory(t)
	h.put(h.Service, 1, 1, 2, 3)
	h.now = h.now.Add(records.Lag + time.Second)
	page, err := h.Orders.Changes(t.Context(), "o1", time.Time{}, "", 1)
	if err != nil || page.NextCursor == "" {
		t.Fatalf("%+v, %v", page, err)
	}
	for name, err := range map[string]error{
		"nonsense":         changesError(h, "o1", time.Time{}, "nonsense"),
		"of another since": changesError(h, "o1", day, page.NextCursor),
		"of another's":     changesError(h, "o2", time.Time{}, page.NextCursor),
		"without an end":   changesError(h, "o1", time.Time{}, "e30"),
	} {
		if !errors.Is(err, store.ErrBadCursor) {
			t.Errorf("a cursor %s: %v", name, err)
		}
	}
	if got, err := h.Orders.Changes(t.Context(), "o2", time.Time{}, "", 10); err != nil || len(got.Items) != 0 {
		t.Errorf("another organization's: %+v, %v", got, err)
	}
}

func changesError(h *history, organization string, since time.Time, cursor string) error {
	_, err := h.Orders.Changes(h.t.Context(), organization, since, cursor, 1)
	return err
}
