package dashboard

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tandemhq/tandem/pkg/period"
	"github.com/tandemhq/tandem/pkg/store"
)

// utcDay counts days of UTC since 1970-01-01. Roll-ups are kept by UTC day because every zone's days, weeks and months
// can be cut out of them by the second, whereas days of one zone serve no other.
type utcDay int64

const secondsADay = 24 * 60 * 60

func dayOf(t time.Time) utcDay {
	seconds := t.Unix()
	day := seconds / secondsADay
	if seconds%secondsADay < 0 {
		day--
	}
	return utcDay(day)
}

func parseDay(s string) (utcDay, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fmt.Errorf("day of a roll-up: %w", err)
	}
	return dayOf(t), nil
}

// begins is the first instant of the day.
func (d utcDay) begins() time.Time { return time.Unix(int64(d)*secondsADay, 0).UTC() }

// String is the day as a date, which sorts as the days do.
func (d utcDay) String() string { return d.begins().Format(time.DateOnly) }

// date is the day in package period.
func (d utcDay) date() *period.Date {
	year, month, day := d.begins().Date()
	return &period.Date{Year: year, Month: month, Day: day}
}

// span is the days from first to last, both inclusive.
type span struct{ first, last utcDay }

// latest is the last instant that RFC 3339 can write, to the microsecond.
var latest = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)

// instants are where the days begin, inclusive, and where they end, exclusive; at the latest with what can be asked for.
func (s span) instants() (from, to time.Time) {
	if to = (s.last + 1).begins(); to.After(latest) {
		to = latest
	}
	return s.first.begins(), to
}

func (s span) overlaps(o span) bool { return s.first <= o.last && o.first <= s.last }

// dayRollUp is what is kept of one organization's orders of one UTC day: columns of equal length, an entry for each second,
// customer and currency that has orders, in that order.
type dayRollUp struct {
	Day string `json:"day"`
	// Customers and Currencies are what the entries' indexes stand for. The first customer is "", who is nobody: orders of guests.
	Customers  []string `json:"customers"`
	Currencies []string `json:"currencies"`

	Second   []uint32 `json:"second"` // of the UTC day
	Customer []uint32 `json:"customer"`
	Currency []uint32 `json:"currency"`
	Orders   []uint32 `json:"orders"`
	Minor    []int64  `json:"minor"` // revenue, in minor units of the currency
}

// state is what an organization's roll-ups say of themselves.
type state struct {
	// DataVersion is one more with every published change.
	DataVersion int64 `json:"data_version"`
	// AsOf is when the records behind the latest change were read, or when the latest sync finished if that was later.
	AsOf store.Time `json:"as_of"`
	// First and Last are the first and the last UTC day that has records.
	First string `json:"first,omitempty"`
	Last  string `json:"last,omitempty"`
	// Synced is when the latest sync that succeeded finished, by connection: up to then its orders are known.
	Synced map[string]store.Time `json:"synced,omitempty"`
	// SyncedFrom is the UTC day on which the first of all syncs finished.
	SyncedFrom string `json:"synced_from,omitempty"`
	// Unfinished are events whose days are published in part, the latest last.
	Unfinished []unfinished `json:"unfinished,omitempty"`
	// Changes are the latest changes, oldest first, one for each version.
	Changes []change `json:"changes"`
}

// change says which days, both inclusive, a version changed.
type change struct {
	Version int64  `json:"version"`
	First   string `json:"first"`
	Last    string `json:"last"`
}

// unfinished says how far an event's days are published, so that its next delivery goes on there. That holds for good: the
// days before were read after the event happened.
type unfinished struct {
	Event string `json:"event"`
	// Next is the first day that is not published.
	Next string `json:"next"`
}

// keptUnfinished bounds state.Unfinished: an event that never comes again must not stay for good. One that is forgotten too
// early begins anew.
const keptUnfinished = 32

// request is the days that an event wants made anew.
type request struct {
	event string // its id; without one it always begins anew
	days  span
}

// rest is what has not been published of requests.
func (s *state) rest(requests []request) ([]request, error) {
	var rest []request
	for _, r := range requests {
		for _, u := range s.Unfinished {
			if u.Event != r.event {
				continue
			}
			next, err := parseDay(u.Next)
			if err != nil {
				return nil, err
			}
			r.days.first = max(r.days.first, next)
		}
		if r.days.first <= r.days.last {
			rest = append(rest, r)
		}
	}
	return rest, nil
}

// reached notes that the requests' days up to last are published.
func (s *state) reached(last utcDay, requests []request) {
	for _, r := range requests {
		if r.event == "" || r.days.first > last {
			continue
		}
		s.Unfinished = slices.DeleteFunc(slices.Clone(s.Unfinished), func(u unfinished) bool { return u.Event == r.event })
		if last < r.days.last {
			s.Unfinished = append(s.Unfinished, unfinished{r.event, (last + 1).String()})
		}
	}
	s.Unfinished = s.Unfinished[max(0, len(s.Unfinished)-keptUnfinished):]
}

// syncedUntil is when the latest sync that succeeded finished; zero when none did.
func (s *state) syncedUntil() store.Time {
	var latest store.Time
	for _, at := range s.Synced {
		if at.After(latest.Time) {
			latest = at
		}
	}
	return latest
}

// changed makes a version in which the days of s are new.
func (s *state) changed(days span) {
	s.DataVersion++
	s.Changes = append(slices.Clone(s.Changes), change{s.DataVersion, days.first.String(), days.last.String()})
	s.Changes = s.Changes[max(0, len(s.Changes)-keptChanges):]
}

// keptChanges bounds state.Changes, which every query reads. Who is further behind reads everything anew.
const keptChanges = 16

// since are the days that changed after a version; known is false when the changes do not reach back that far.
func (s *state) since(version int64) (changed []span, known bool, err error) {
	if version > s.DataVersion || version < s.DataVersion-int64(len(s.Changes)) {
		return nil, false, nil
	}
	for _, c := range s.Changes {
		if c.Version <= version {
			continue
		}
		first, err := parseDay(c.First)
		if err != nil {
			return nil, false, err
		}
		last, err := parseDay(c.Last)
		if err != nil {
			return nil, false, err
		}
		changed = append(changed, span{first, last})
	}
	return changed, true, nil
}

// documents are the dashboard's collections.
type documents struct {
	days   *store.Collection[dayRollUp]
	states *store.Collection[state]
}

const (
	byDay   = "day"
	stateID = "roll-ups"
)

func openDocuments(ctx context.Context, db store.DB) (*documents, error) {
	days, err := store.Tenant[dayRollUp](ctx, db, store.Def{
		Name: "dashboard-days", Indexes: []store.Index{{Name: byDay, Fields: []string{"day"}}},
	})
	if err != nil {
		return nil, err
	}
	states, err := store.Tenant[state](ctx, db, store.Def{Name: "dashboard-states"})
	if err != nil {
		return nil, err
	}
	return &documents{days: days, states: states}, nil
}

// state is an organization's state; one that never had records has an empty one of version 0.
func (d *documents) state(ctx context.Context, organization string) (store.Doc[state], error) {
	return d.refreshed(ctx, organization, store.Doc[state]{})
}

// refreshed is the organization's state, which is have when that is up to date.
func (d *documents) refreshed(ctx context.Context, organization string, have store.Doc[state]) (store.Doc[state], error) {
	have.ID = stateID
	doc, err := d.states.In(organization).Refresh(ctx, have)
	if errors.Is(err, store.ErrNotFound) {
		return store.Doc[state]{ID: stateID, Organization: organization}, nil
	}
	return doc, err
}

func daysQuery(s span) store.Query {
	// The end is the text that follows the last day's, since dates after 9999-12-31 do not sort.
	return store.Query{Index: byDay, Range: store.Range{Field: "day", From: s.first.String(), To: s.last.String() + " "}}
}

// eachDay calls visit with the roll-ups of the days of s.
func (d *documents) eachDay(ctx context.Context, organization string, s span, visit func(dayRollUp) error) error {
	return d.days.In(organization).Each(ctx, daysQuery(s), func(doc store.Doc[dayRollUp]) error { return visit(doc.Value) })
}

// every calls visit with all of the organization's roll-ups.
func (d *documents) every(ctx context.Context, organization string, visit func(dayRollUp) error) error {
	return d.days.In(organization).Each(ctx, store.Query{Index: byDay}, func(doc store.Doc[dayRollUp]) error { return visit(doc.Value) })
}

// daysKept lists the days of s that have a roll-up.
func (d *documents) daysKept(ctx context.Context, organization string, s span) ([]string, error) {
	groups, err := d.days.In(organization).Sum(ctx, daysQuery(s), []string{"day"}, nil)
	if err != nil {
		return nil, err
	}
	kept := make([]string, len(groups))
	for i, g := range groups {
		day, ok := g.Key[0].(string)
		if !ok {
			return nil, fmt.Errorf("day of a roll-up is a %T", g.Key[0])
		}
		kept[i] = day
	}
	return kept, nil
}

// put stores whole days in one durable step.
func (d *documents) put(ctx context.Context, organization string, days []dayRollUp) error {
	puts := make([]store.Put[dayRollUp], len(days))
	for i, day := range days {
		puts[i] = store.Put[dayRollUp]{ID: day.Day, Value: day}
	}
	_, err := d.days.In(organization).PutMany(ctx, puts)
	return err
}

// errOvertaken says that somebody else published some of the same days meanwhile.
var errOvertaken = errors.New("roll-ups were recomputed by another process at the same time")

// published is days made anew.
type published struct {
	days        span
	withRecords *span     // the first and the last of them that has records; nil when none has
	readAt      time.Time // when their records were read
	since       int64     // version before that
	requests    []request // what they were made for
}

// publish makes the next version of the organization's roll-ups known. It refuses with errOvertaken when one of the days was
// published after the version p.since.
func (d *documents) publish(ctx context.Context, organization string, p published) error {
	return d.update(ctx, organization, func(st *state) error {
		changed, known, err := st.since(p.since)
		if err != nil {
			return err
		}
		if !known || slices.ContainsFunc(changed, p.days.overlaps) {
			return errOvertaken
		}
		if at := store.At(p.readAt); at.After(st.AsOf.Time) {
			st.AsOf = at
		}
		if p.withRecords != nil {
			if first := p.withRecords.first.String(); st.First == "" || first < st.First {
				st.First = first
			}
			st.Last = max(st.Last, p.withRecords.last.String())
		}
		st.reached(p.days.last, p.requests)
		st.changed(p.days)
		return nil
	})
}

// synced makes known that all orders of a connection up to an instant are in the roll-ups.
func (d *documents) synced(ctx context.Context, organization, connection string, until time.Time) error {
	return d.update(ctx, organization, func(st *state) error {
		at := store.At(until)
		if !at.After(st.Synced[connection].Time) {
			return nil // told late, or again
		}
		synced := maps.Clone(st.Synced)
		if synced == nil {
			synced = map[string]store.Time{}
		}
		synced[connection] = at
		st.Synced = synced
		day := dayOf(until)
		if st.SyncedFrom == "" || day.String() < st.SyncedFrom {
			st.SyncedFrom = day.String()
		}
		if at.After(st.AsOf.Time) {
			st.AsOf = at
		}
		st.changed(span{day, day})
		return nil
	})
}

// update edits an organization's state, which may be its first.
func (d *documents) update(ctx context.Context, organization string, edit func(*state) error) error {
	states := d.states.In(organization)
	for {
		_, err := states.Update(ctx, stateID, func(st *state) ([]store.Message, error) { return nil, edit(st) })
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		var first state
		if err := edit(&first); err != nil {
			return err
		}
		if _, err := states.Insert(ctx, stateID, first); !errors.Is(err, store.ErrExists) {
			return err
		}
	}
}
