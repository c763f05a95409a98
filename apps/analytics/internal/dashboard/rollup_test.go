package dashboard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/events"
	"github.com/tandemhq/tandem/pkg/eventually"
	"github.com/tandemhq/tandem/pkg/store"
)

// on is brief of one day.
func (p *process) on(t testing.TB, day string) string {
	t.Helper()
	return brief(p.dashboard(t, "from="+day+"&to="+day).Totals.Figures)
}

func TestTheSameEventAgainChangesNothing(t *testing.T) {
	p, _ := single(t, order(1, "2024-03-01T10:00:00Z", "ann", 1000), order(2, "2024-03-01T10:00:00Z", "ann", 200))
	p.changed(t, "2024-03-01", "2024-03-02")
	before, err := p.documents.days.In(organization).Get(t.Context(), "2024-03-01")
	if err != nil {
		t.Fatal(err)
	}
	p.changed(t, "2024-03-01", "2024-03-02")
	after, err := p.documents.days.In(organization).Get(t.Context(), "2024-03-01")
	if err != nil || after.Version != before.Version {
		t.Errorf("version %d became %d, %v", before.Version, after.Version, err)
	}
	if got := p.on(t, "2024-03-01"); got != "2 1 12.00 6.00" {
		t.Errorf("got %s", got)
	}
}

func TestRecordsThatChange(t *testing.T) {
	p, s := single(t,
		order(1, "2024-03-01T10:00:00Z", "ann", 1000), order(2, "2024-03-02T10:00:00Z", "bob", 200), order(3, "2024-03-03T10:00:00Z", "bob", 300))
	p.changed(t, "2024-03-01", "2024-03-03")
	if got := p.on(t, "2024-03-02"); got != "1 1 2.00 2.00" {
		t.Fatalf("before: %s", got)
	}
	s.change(func(orders []integrationsapi.Order) []integrationsapi.Order {
		orders[0].CancelledAt = &orders[0].PlacedAt // does not count any more
		return slices.Delete(orders, 1, 2)          // is gone altogether
	})
	p.changed(t, "2024-03-01", "2024-03-02")
	for day, want := range map[string]string{"2024-03-01": "0 0 0.00 null", "2024-03-02": "0 0 0.00 null", "2024-03-03": "1 1 3.00 3.00"} {
		if got := p.on(t, day); got != want {
			t.Errorf("%s: %s, want %s", day, got, want)
		}
	}
}

func TestOnlyTheDaysOfTheEventAreRead(t *testing.T) {
	p, s := single(t, order(1, "2024-03-01T23:59:59Z", "ann", 1000))
	event := events.Event[integrationsapi.RecordsChanged]{Data: integrationsapi.RecordsChanged{
		Kind: integrationsapi.KindOrders,
		From: time.Date(2024, 3, 1, 23, 59, 59, 0, time.UTC), To: time.Date(2024, 3, 2, 0, 0, 0, 0, time.UTC),
	}}
	event.Organization = organization
	if err := p.RollUp(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	if want := []string{"2024-03-01..2024-03-02"}; !slices.Equal(s.reads, want) {
		t.Errorf("read %v, want %v", s.reads, want)
	}
}

func TestEventsThatAreNone(t *testing.T) {
	p, s := single(t)
	at := time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name         string
		organization string
		data         integrationsapi.RecordsChanged
		poison       bool
	}{
		{"of other records", organization, integrationsapi.RecordsChanged{Kind: "contacts", From: at, To: at.Add(1)}, false},
		{"of no organization", "", integrationsapi.RecordsChanged{Kind: integrationsapi.KindOrders, From: at, To: at.Add(1)}, true},
		{"of an empty range", organization, integrationsapi.RecordsChanged{Kind: integrationsapi.KindOrders, From: at, To: at}, true},
	} {
		event := events.Event[integrationsapi.RecordsChanged]{Data: tt.data}
		event.Organization = tt.organization
		if err := p.RollUp(t.Context(), event); events.IsPoison(err) != tt.poison || (err != nil) != tt.poison {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if len(s.reads) > 0 {
		t.Errorf("read %v", s.reads)
	}
}

func TestASourceThatFails(t *testing.T) {
	p, s := single(t, order(1, "2024-03-01T10:00:00Z", "ann", 1000))
	broken := errors.New("page 2 did not come")
	s.breaks = func() error { return broken }
	if err := p.tell(t.Context(), organization, "2024-03-01", "2024-03-01"); !errors.Is(err, broken) || events.IsPoison(err) {
		t.Fatalf("got %v", err)
	}
	if got := p.on(t, "2024-03-01"); got != "null null null null" {
		t.Errorf("half of a read is shown: %s", got)
	}
	s.breaks = nil
	p.changed(t, "2024-03-01", "2024-03-01")
	if got := p.on(t, "2024-03-01"); got != "1 1 10.00 10.00" {
		t.Errorf("got %s", got)
	}
	s.change(func(orders []integrationsapi.Order) []integrationsapi.Order {
		return []integrationsapi.Order{order(2, "2024-03-02T10:00:00Z", "ann", 1), orders[0]}
	})
	if err := p.tell(t.Context(), organization, "2024-03-01", "2024-03-02"); err == nil || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("orders out of order: %v", err)
	}
}

func TestLongRangesInPasses(t *testing.T) {
	var orders []integrationsapi.Order
	for i := range 40 {
		o := order(i, "2024-03-01T10:00:00Z", fmt.Sprint(i%7), 100)
		o.PlacedAt = store.At(o.PlacedAt.AddDate(0, 0, i/2))
		orders = append(orders, o)
	}
	p, s := single(t, orders...)
	p.maxPass = 3
	p.changed(t, "2024-02-01", "2024-04-01")
	if len(s.reads) < 10 {
		t.Errorf("%d reads of 40 orders, 3 or 4 at a time", len(s.reads))
	}
	d := p.dashboard(t, "from=2024-03-01&to=2024-03-20")
	if got := brief(d.Totals.Figures); got != counted(orders) {
		t.Errorf("got %s, want %s", got, counted(orders))
	}
	if d.Coverage.From.String() != "2024-03-01" || d.Coverage.To.String() != "2024-03-20" {
		t.Errorf("coverage %v to %v", d.Coverage.From, d.Coverage.To)
	}
}

// TestWhoReadEarlierDoesNotHaveTheLastWord lets a process read, then another one read newer records and store them, before
// the first stores what it has.
func TestWhoReadEarlierDoesNotHaveTheLastWord(t *testing.T) {
	for name, edit := range map[string]func([]integrationsapi.Order) []integrationsapi.Order{
		"new order": func(o []integrationsapi.Order) []integrationsapi.Order {
			return append(o, order(2, "2024-03-01T11:00:00Z", "bob", 500))
		},
		"order that went away": func([]integrationsapi.Order) []integrationsapi.Order { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			db, s := openDB(t), newShop(order(1, "2024-03-01T10:00:00Z", "ann", 1000))
			first, second := start(t, db, s), start(t, db, s)
			s.after = func(read int) {
				if read == 1 {
					s.change(edit)
					second.changed(t, "2024-03-01", "2024-03-01")
				}
			}
			first.changed(t, "2024-02-28", "2024-03-02")
			want := counted(s.orders[organization])
			d := first.dashboard(t, "from=2024-03-01&to=2024-03-01")
			if d.Coverage.From == nil {
				want = "null null null null"
			}
			if got := brief(d.Totals.Figures); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if len(s.reads) != 3 {
				t.Errorf("reads %v, want one more of the first process", s.reads)
			}
		})
	}
}

// TestDeathBeforePublishing stores days as a process does that dies right after.
func TestDeathBeforePublishing(t *testing.T) {
	p, s := single(t, order(1, "2024-03-01T10:00:00Z", "ann", 1000))
	p.changed(t, "2024-03-01", "2024-03-01")
	if got := p.on(t, "2024-03-01"); got != "1 1 10.00 10.00" {
		t.Fatalf("got %s", got)
	}
	s.add(organization, order(2, "2024-03-01T11:00:00Z", "bob", 500))
	days := span{dayOf(s.orders[organization][0].PlacedAt.Time), dayOf(s.orders[organization][0].PlacedAt.Time)}
	if err := p.store(t.Context(), organization, days, pass{entryOf(s.orders[organization][0], days.first), entryOf(s.orders[organization][1], days.first)}); err != nil {
		t.Fatal(err)
	}
	p.changed(t, "2024-03-01", "2024-03-01") // the event comes again
	if got := p.on(t, "2024-03-01"); got != "2 2 15.00 7.50" {
		t.Errorf("got %s", got)
	}
}

func TestEventsThatWaitAreTakenTogether(t *testing.T) {
	p, s := single(t, order(1, "2024-03-05T10:00:00Z", "ann", 1000))
	reading, release := make(chan struct{}), make(chan struct{})
	s.after = func(read int) {
		if read == 1 {
			close(reading)
			<-release
		}
	}
	var all sync.WaitGroup
	tell := func(from, to string) {
		all.Go(func() {
			if err := p.tell(t.Context(), organization, from, to); err != nil {
				t.Error(err)
			}
		})
	}
	tell("2024-03-05", "2024-03-05")
	<-reading
	ranges := [][2]string{{"2024-03-01", "2024-03-03"}, {"2024-03-03", "2024-03-06"}, {"2024-03-07", "2024-03-08"}, {"2024-04-01", "2024-04-02"}, {"2024-03-05", "2024-03-05"}}
	for _, r := range ranges {
		tell(r[0], r[1])
	}
	eventually.Holds(t, 10*time.Second, "all wait", func() bool {
		p.pending.mu.Lock()
		defer p.pending.mu.Unlock()
		return p.pending.queue[organization].waiting == 1+len(ranges)
	})
	close(release)
	all.Wait()
	if want := []string{"2024-03-05..2024-03-06", "2024-03-01..2024-03-09", "2024-04-01..2024-04-03"}; !slices.Equal(s.reads, want) {
		t.Errorf("read %v, want %v", s.reads, want)
	}
	if len(p.pending.queue) > 0 {
		t.Error("a queue that nobody waits in is kept")
	}
}

func TestWhoGivesUpDoesNotFailTheOthers(t *testing.T) {
	p := &pending{queue: map[string]*queue{}}
	block, blocked := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = p.do(t.Context(), "o", request{"1", span{1, 1}}, func(context.Context, []request) error { close(blocked); <-block; return nil })
	})
	<-blocked
	// Both wait in one batch; whichever runs first finds its caller gone.
	gone, leave := context.WithCancel(t.Context())
	ran := make(chan []request, 2)
	run := func(ctx context.Context, requests []request) error {
		leave()
		ran <- requests
		return ctx.Err()
	}
	errs := make(chan error, 2)
	all.Go(func() { errs <- p.do(gone, "o", request{"2", span{2, 2}}, run) })
	eventually.Holds(t, 10*time.Second, "the second waits", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.queue["o"].waiting == 2 })
	all.Go(func() { errs <- p.do(t.Context(), "o", request{"3", span{3, 3}}, run) })
	eventually.Holds(t, 10*time.Second, "the third waits", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.queue["o"].waiting == 3 })
	close(block)
	all.Wait()
	close(errs)
	succeeded := 0
	for err := range errs {
		if err == nil {
			succeeded++
		} else if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if succeeded < 1 {
		t.Error("the caller that waited on got no answer")
	}
	for len(ran) > 0 {
		if requests := <-ran; !slices.Equal(requests, []request{{"2", span{2, 2}}, {"3", span{3, 3}}}) {
			t.Errorf("ran %v", requests)
		}
	}
}

// TestManyAtOnce lets two processes roll up while orders change and others look. In the end the figures are those of the
// orders, in both.
func TestManyAtOnce(t *testing.T) {
	var orders []integrationsapi.Order
	for i := range 60 {
		o := order(i, "2024-03-01T10:00:00Z", fmt.Sprint(i%9), 100)
		o.PlacedAt = store.At(o.PlacedAt.AddDate(0, 0, i%10))
		orders = append(orders, o)
	}
	db, s := openDB(t), newShop(orders...)
	processes := []*process{start(t, db, s), start(t, db, s)}
	processes[0].changed(t, "2024-03-01", "2024-03-10")
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var writers, readers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(w)))
			for range 6 {
				day := random.IntN(10)
				s.change(func(orders []integrationsapi.Order) []integrationsapi.Order {
					for i := range orders {
						if orders[i].PlacedAt.Day() == 1+day {
							orders[i].TotalMinor = random.Int64N(1000)
							orders[i].Test = random.IntN(3) == 0
						}
					}
					return orders
				})
				from, to := fmt.Sprintf("2024-03-%02d", max(1, 1+day-random.IntN(3))), fmt.Sprintf("2024-03-%02d", 1+day)
				if err := processes[w%2].tell(ctx, organization, from, to); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	for r := range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					processes[r%2].get(t, organization, "from=2024-03-01&to=2024-03-10")
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	for i, p := range processes {
		for day := 1; day <= 10; day++ {
			date := fmt.Sprintf("2024-03-%02d", day)
			var of []integrationsapi.Order
			for _, o := range s.orders[organization] {
				if strings.HasPrefix(o.PlacedAt.String(), date) {
					of = append(of, o)
				}
			}
			if got, want := p.on(t, date), counted(of); got != want {
				t.Errorf("process %d, %s: %s, want %s", i, date, got, want)
			}
		}
	}
}
