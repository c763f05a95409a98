package dashboard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/store"
)

// slowShop hands out a few orders a read and then nothing until its reader gives up. Every other read comes to nothing at
// all, because the delivery that it is for is over.
type slowShop struct {
	*shop
	deliver int // orders a read
	expire  context.CancelFunc
	from    []string
}

func (s *slowShop) EachOrder(ctx context.Context, from, to time.Time, visit func(integrationsapi.Order) error) error {
	s.from = append(s.from, from.Format(time.DateOnly))
	if len(s.from)%2 == 0 {
		s.expire()
		return fmt.Errorf("read orders: %w", ctx.Err())
	}
	errSlow := errors.New("slow")
	n := 0
	err := s.shop.EachOrder(ctx, from, to, func(o integrationsapi.Order) error {
		if n++; n > s.deliver {
			return errSlow
		}
		return visit(o)
	})
	if errors.Is(err, errSlow) {
		<-ctx.Done()
		return fmt.Errorf("read orders: %w", ctx.Err())
	}
	return err
}

// deliveries repeats handle, as deliveries that end early do, until it succeeds, and counts.
func (s *slowShop) deliveries(t *testing.T, handle func(context.Context) error) int {
	t.Helper()
	for n := 1; n <= 50; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		s.expire = cancel
		err := handle(ctx)
		cancel()
		if err == nil {
			return n
		}
		if !errors.Is(err, context.Canceled) || events.IsPoison(err) {
			t.Fatal(err)
		}
	}
	t.Fatal("50 deliveries do not suffice")
	return 0
}

func slow(t *testing.T) (*process, *slowShop, []integrationsapi.Order) {
	t.Helper()
	var orders []integrationsapi.Order
	for i := range 40 {
		o := order(i, "2024-03-01T10:00:00Z", fmt.Sprint(i%7), 100)
		o.PlacedAt = store.At(o.PlacedAt.AddDate(0, 0, i/2))
		orders = append(orders, o)
	}
	s := &slowShop{shop: newShop(orders...), deliver: 9}
	p := start(t, openDB(t), s)
	p.passTime = 5 * time.Millisecond
	return p, s, orders
}

func TestAHugeRangeGoesOnWithTheNextDelivery(t *testing.T) {
	p, s, orders := slow(t)
	event := events.Event[integrationsapi.RecordsChanged]{Data: integrationsapi.RecordsChanged{
		Kind: integrationsapi.KindOrders,
		From: time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2024, 3, 21, 0, 0, 0, 0, time.UTC),
	}}
	event.ID, event.Organization = "e1", organization
	n := s.deliveries(t, func(ctx context.Context) error { return p.RollUp(ctx, event) })
	// Nine orders are four days and a half.
	want := []string{"2024-03-01", "2024-03-05", "2024-03-05", "2024-03-09", "2024-03-09", "2024-03-13", "2024-03-13", "2024-03-17", "2024-03-17"}
	if n != 5 || !slices.Equal(s.from, want) {
		t.Errorf("%d deliveries read from %v, want 5 from %v", n, s.from, want)
	}
	if got := brief(p.dashboard(t, "from=2024-03-01&to=2024-03-20").Totals.Figures); got != counted(orders) {
		t.Errorf("got %s, want %s", got, counted(orders))
	}
	st, err := p.documents.state(t.Context(), organization)
	if err != nil || len(st.Value.Unfinished) > 0 {
		t.Errorf("left behind: %v, %v", st.Value.Unfinished, err)
	}
}

func TestAFirstSyncOfAHugeShopIsClosedByAndBy(t *testing.T) {
	p, s, orders := slow(t)
	p.clock.set("2024-03-21T12:00:00Z")
	event := finished(t, "c", "2024-03-21T11:00:00Z")
	event.ID = "e1"
	half := false
	s.deliveries(t, func(ctx context.Context) error {
		err := p.CloseSync(ctx, event)
		if d := p.dashboard(t, "from=2024-03-01&to=2024-03-20"); err != nil && d.Coverage.From != nil {
			half = true
			if last := states(d)[19]; last != "2024-03-20 null missing" {
				t.Errorf("before the end: %s", last)
			}
		}
		return err
	})
	d := p.dashboard(t, "from=2024-03-01&to=2024-03-20")
	if got := brief(d.Totals.Figures); !half || got != counted(orders) || covers(d) != "2024-03-01 2024-03-21" {
		t.Errorf("half-way %t, %s, covers %s", half, got, covers(d))
	}
}

// TestEventsThatAreTakenTogetherGoOnApart has two events in one run that ends early: each goes on after what that run did.
func TestEventsThatAreTakenTogetherGoOnApart(t *testing.T) {
	var st state
	requests := []request{{"a", span{1, 10}}, {"b", span{5, 20}}, {"c", span{40, 50}}, {"", span{1, 50}}}
	st.reached(6, requests)
	rest, err := st.rest(requests)
	if want := []request{{"a", span{7, 10}}, {"b", span{7, 20}}, {"c", span{40, 50}}, {"", span{1, 50}}}; err != nil || !slices.Equal(rest, want) {
		t.Errorf("rest %v, %v, want %v", rest, err, want)
	}
	st.reached(12, rest)
	if want := []unfinished{{"b", utcDay(13).String()}}; !slices.Equal(st.Unfinished, want) {
		t.Errorf("unfinished %v, want %v", st.Unfinished, want)
	}
	for i := range 2 * keptUnfinished {
		st.reached(1, []request{{fmt.Sprint(i), span{1, 2}}})
	}
	if len(st.Unfinished) != keptUnfinished || st.Unfinished[keptUnfinished-1].Event != fmt.Sprint(2*keptUnfinished-1) {
		t.Errorf("%d are kept, the last %v", len(st.Unfinished), st.Unfinished[len(st.Unfinished)-1])
	}
}
