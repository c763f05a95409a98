package dashboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/identity"
	"github.com/tandemhq/tandem/pkg/runs"
	"github.com/tandemhq/tandem/pkg/topology"
)

// Orders is where the roll-ups come from: integrationsapi.Client.
type Orders interface {
	// EachOrder calls visit with every order placed from from (inclusive) to to (exclusive), in the order of their placement.
	EachOrder(ctx context.Context, from, to time.Time, visit func(integrationsapi.Order) error) error
}

// RollUp recomputes the days that an event of integrations tells of. A day is always made anew from all of its orders, so
// that it comes out the same however often and in whatever order events arrive.
func (m *Module) RollUp(ctx context.Context, event events.Event[integrationsapi.RecordsChanged]) error {
	changed := event.Data
	switch {
	case changed.Kind != integrationsapi.KindOrders:
		return nil
	case event.Organization == "":
		return events.Poison(errors.New("roll up orders: the event is of no organization"))
	case !changed.From.Before(changed.To):
		return events.Poison(fmt.Errorf("roll up orders: range from %v to %v is empty", changed.From, changed.To))
	}
	days := span{dayOf(changed.From), dayOf(changed.To.Add(-time.Nanosecond))}
	return m.remake(ctx, event.Organization, request{event.ID, days})
}

// CloseSync extends what is covered to the end of a sync, for a day without orders is told of by no other event.
//
// The event may be here before the last changes that the sync made have been rolled up, which would then look like zeros.
// So everything that becomes covered is read first, now that the sync has ended: what follows the sync before, and all there
// is when a connection is new or was read from its beginning.
func (m *Module) CloseSync(ctx context.Context, event events.Event[integrationsapi.SyncFinished]) error {
	sync := event.Data
	switch {
	case sync.Stream != integrationsapi.KindOrders || sync.Status != string(runs.Succeeded):
		return nil
	case event.Organization == "":
		return events.Poison(errors.New("close a sync: the event is of no organization"))
	case sync.ConnectionID == "" || sync.FinishedAt.IsZero():
		return events.Poison(fmt.Errorf("close a sync: connection %q finished %v", sync.ConnectionID, sync.FinishedAt))
	}
	st, err := m.documents.state(ctx, event.Organization)
	if err != nil {
		return fmt.Errorf("close a sync: %w", err)
	}
	days := span{beginning, dayOf(sync.FinishedAt)}
	if _, known := st.Value.Synced[sync.ConnectionID]; known && sync.Mode != backfill {
		days.first = min(dayOf(st.Value.syncedUntil().Time), days.last)
	}
	if err := m.remake(ctx, event.Organization, request{event.ID, days}); err != nil {
		return err
	}
	if err := m.documents.synced(ctx, event.Organization, sync.ConnectionID, sync.FinishedAt); err != nil {
		return fmt.Errorf("close a sync: %w", err)
	}
	return nil
}

// backfill is the mode of a sync that reads everything.
const backfill = "backfill"

// beginning is the first day that can be asked for.
var beginning = dayOf(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))

// remake makes the roll-ups anew that r asks for, together with what others ask for meanwhile.
func (m *Module) remake(ctx context.Context, organization string, r request) error {
	return m.pending.do(ctx, organization, r, func(ctx context.Context, requests []request) error {
		ctx = identity.AsGroup(ctx, topology.Analytics, organization)
		st, err := m.documents.state(ctx, organization)
		if err != nil {
			return fmt.Errorf("roll up orders: %w", err)
		}
		if requests, err = st.Value.rest(requests); err != nil {
			return fmt.Errorf("roll up orders: %w", err)
		}
		var days []span
		for _, r := range requests {
			days = append(days, r.days)
		}
		for _, s := range merge(days) {
			if err := m.recompute(ctx, organization, s, requests); err != nil {
				return fmt.Errorf("roll up orders of %s to %s: %w", s.first, s.last, err)
			}
		}
		return nil
	})
}

// recompute makes the roll-ups of the days of s anew and publishes them, as many at a time as can be read in a pass. A
// delivery that ends before the last pass has the passes before it behind it; the next goes on after them.
//
// Two processes may do this for the same days, when a group moves. The one that read older records must not have the last
// word, so whoever publishes looks first whether one of its days was published since before it read them, and if so reads
// them again. Days are published even where nothing differs: a process that died after storing them could not say so.
func (m *Module) recompute(ctx context.Context, organization string, s span, requests []request) error {
	for s.first <= s.last {
		before, err := m.documents.state(ctx, organization)
		if err != nil {
			return err
		}
		readAt := m.now()
		read, days, err := m.read(ctx, s)
		if err != nil {
			return err
		}
		if err := m.store(ctx, organization, days, read); err != nil {
			return err
		}
		err = m.documents.publish(ctx, organization, published{
			days: days, withRecords: read.days(), readAt: readAt, since: before.Value.DataVersion, requests: requests,
		})
		switch {
		case errors.Is(err, errOvertaken):
		case err != nil:
			return err
		default:
			s.first = days.last + 1
		}
	}
	return nil
}

var errFull = errors.New("enough orders for one pass")

// read reads the orders of s, or of its first days when there are too many for one pass or its time is over.
func (m *Module) read(ctx context.Context, s span) (pass, span, error) {
	var read pass
	from, to := s.instants()
	reading, cancel := context.WithTimeout(ctx, m.passTime)
	defer cancel()
	err := m.orders.EachOrder(reading, from, to, func(o integrationsapi.Order) error {
		day := dayOf(o.PlacedAt.Time)
		previous := s.first
		if len(read) > 0 {
			previous = read[len(read)-1].day
		}
		if day < previous || day > s.last {
			return fmt.Errorf("order %s of %v came out of order", o.ID, o.PlacedAt)
		}
		if len(read) >= m.maxPass && day > previous {
			s.last = day - 1
			return errFull
		}
		read = append(read, entryOf(o, day))
		return nil
	})
	switch {
	case err == nil, errors.Is(err, errFull):
		return read, s, nil
	case reading.Err() != nil && ctx.Err() == nil && len(read) > 0 && read[len(read)-1].day > s.first:
		// The last day may lack orders; those before it are whole.
		s.last = read[len(read)-1].day - 1
		return read[:slices.IndexFunc(read, func(e entry) bool { return e.day > s.last })], s, nil
	}
	return nil, span{}, err
}

// store stores all the days of s that have records or had some.
func (m *Module) store(ctx context.Context, organization string, s span, read pass) error {
	kept, err := m.documents.daysKept(ctx, organization, s)
	if err != nil {
		return err
	}
	rollUps := read.rollUps()
	made := make(map[string]bool, len(rollUps))
	for _, r := range rollUps {
		made[r.Day] = true
	}
	for _, day := range kept {
		if !made[day] {
			rollUps = append(rollUps, dayRollUp{Day: day}) // its orders are gone
		}
	}
	return m.documents.put(ctx, organization, rollUps)
}

// entry is an order as far as the dashboard counts it.
type entry struct {
	day      utcDay
	second   uint32
	customer string
	currency string
	minor    int64
	counts   bool
}

// entryOf applies the definition in package analyticsapi: test orders and cancelled orders do not count.
func entryOf(o integrationsapi.Order, day utcDay) entry {
	return entry{
		day: day, second: uint32(o.PlacedAt.Unix() - int64(day)*secondsADay),
		customer: o.CustomerID, currency: o.Currency, minor: o.TotalMinor,
		counts: !o.Test && o.CancelledAt == nil,
	}
}

// pass is the orders of some days, day after day.
type pass []entry

// days are the first and the last day that has records, counted or not; nil when there are none.
func (p pass) days() *span {
	if len(p) == 0 {
		return nil
	}
	return &span{p[0].day, p[len(p)-1].day}
}

// rollUps are the days that have records.
func (p pass) rollUps() []dayRollUp {
	var all []dayRollUp
	for len(p) > 0 {
		end := slices.IndexFunc(p, func(e entry) bool { return e.day != p[0].day })
		if end < 0 {
			end = len(p)
		}
		all = append(all, rollUp(p[0].day, p[:end]))
		p = p[end:]
	}
	return all
}

func rollUp(day utcDay, entries []entry) dayRollUp {
	entries = slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return !e.counts })
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.second, b.second), cmp.Compare(a.customer, b.customer), cmp.Compare(a.currency, b.currency))
	})
	r := dayRollUp{Day: day.String()}
	customers, currencies := index{&r.Customers, map[string]uint32{}}, index{&r.Currencies, map[string]uint32{}}
	customers.of("")
	for i, e := range entries {
		if last := len(r.Second) - 1; i > 0 && e.second == entries[i-1].second &&
			e.customer == entries[i-1].customer && e.currency == entries[i-1].currency {
			r.Orders[last]++
			r.Minor[last] += e.minor
			continue
		}
		r.Second = append(r.Second, e.second)
		r.Customer = append(r.Customer, customers.of(e.customer))
		r.Currency = append(r.Currency, currencies.of(e.currency))
		r.Orders = append(r.Orders, 1)
		r.Minor = append(r.Minor, e.minor)
	}
	return r
}

// index gives names small numbers, in the order of their coming.
type index struct {
	names *[]string
	at    map[string]uint32
}

func (x index) of(name string) uint32 {
	n, known := x.at[name]
	if !known {
		n = uint32(len(*x.names))
		*x.names = append(*x.names, name)
		x.at[name] = n
	}
	return n
}
