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
	return m.pending.do(ctx, event.Organization, days, func(ctx context.Context, days []span) error {
		ctx = identity.AsGroup(ctx, topology.Analytics, event.Organization)
		for _, s := range days {
			if err := m.recompute(ctx, event.Organization, s); err != nil {
				return fmt.Errorf("roll up orders of %s to %s: %w", s.first, s.last, err)
			}
		}
		return nil
	})
}

// recompute makes the roll-ups of the days of s anew and publishes them, as many at a time as their orders allow.
//
// Two processes may do this for the same days, when a group moves. The one that read older records must not have the last
// word, so whoever publishes looks first whether one of its days was published since before it read them, and if so reads
// them again. Days are published even where nothing differs: a process that died after storing them could not say so.
func (m *Module) recompute(ctx context.Context, organization string, s span) error {
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
		err = m.documents.publish(ctx, organization, before.Value.DataVersion, days, read.days(), readAt)
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

// read reads the orders of s, or of its first days when there are too many.
func (m *Module) read(ctx context.Context, s span) (pass, span, error) {
	var read pass
	from, to := s.instants()
	err := m.orders.EachOrder(ctx, from, to, func(o integrationsapi.Order) error {
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
	if err != nil && !errors.Is(err, errFull) {
		return nil, span{}, err
	}
	return read, s, nil
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
