package sync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/store"
)

// What a vendor allows an account is shared by all syncs of its connections, in whatever processes they are. How its budget fills is what the
// vendor says, or what its connector declares (connector.Limit). That is kept once for a connection, and syncs take blocks of it, of about
// a second, in their turn: a block is paid by one write, and may be used from when the budget has filled for it. So the budget is used up, and
// never more than it.

const (
	// blockTime is how much of a budget a sync takes at once.
	blockTime = time.Second
	// askedFor is how long a sync that a person asked for comes first after it has taken a block.
	askedFor = 5 * time.Second
	// turns is how many blocks it has for one of another sync meanwhile.
	turns = 8
	// dearer is by which part a page has to cost another amount to be noted.
	dearer = 0.25
	// faster is by which part the budget has to fill faster or slower to be noted.
	faster = 0.01
)

// budget is a connection's, as it is kept.
type budget struct {
	// Rate is how many points come in a second, Max how many there are at most.
	Rate float64 `json:"rate"`
	Max  float64 `json:"max"`
	// Told is Rate as the vendor or the connector has it, Windows what it is made of where pages that cost several requests make it less.
	Told    float64            `json:"told"`
	Windows []connector.Window `json:"windows,omitempty"`
	// Level is how many there were at At that nobody had taken; less than none when they were taken ahead.
	Level float64    `json:"level"`
	At    store.Time `json:"at"`
	// Costs are what a page costs, by stream.
	Costs map[string]float64 `json:"costs"`
	// AskedAt is when a sync that a person asked for took a block last, OtherAt when another one did.
	AskedAt store.Time `json:"asked_at,omitzero"`
	OtherAt store.Time `json:"other_at,omitzero"`
}

// settle has the rate be such that a page of any stream may take what it costs at once.
func (b *budget) settle() {
	dearest := slices.Max(append(slices.Collect(maps.Values(b.Costs)), 1))
	if len(b.Windows) > 0 {
		of := connector.Bucket(b.Windows, dearest)
		b.Rate, b.Max = of.Rate, of.Max
	}
	b.Max = max(b.Max, dearest)
}

// fill lets time pass.
func (b *budget) fill(now time.Time) {
	if passed := now.Sub(b.At.Time); passed > 0 {
		b.Level = min(b.Max, b.Level+passed.Seconds()*b.Rate)
		b.At = store.At(now)
	}
}

// paid is what a sync has of the budget. It is part of its cursor.
type paid struct {
	// Points may be used from From on; less than none were used beyond what was taken.
	Points float64    `json:"points,omitempty"`
	From   store.Time `json:"from,omitzero"`
	// Told is that of the budget when it was taken from.
	Told float64 `json:"told,omitempty"`
	// Cost is what a page takes, Charged what was taken from Points for the page that is asked for.
	Cost    float64 `json:"cost,omitempty"`
	Charged float64 `json:"charged,omitempty"`
	// Left is how many points the vendor had left at LeftAt.
	Left   float64    `json:"left,omitempty"`
	LeftAt store.Time `json:"left_at,omitzero"`
}

func openBudgets(ctx context.Context, db store.DB) (*store.Collection[budget], error) {
	return store.Tenant[budget](ctx, db, store.Def{Name: "sync-budgets"})
}

// limit is what the connector of a sync's connection declares of its stream.
func (s *Service) limit(vendor string, in Input) connector.Limit {
	l, _ := connector.LimitOf(s.Connections.Connector(vendor), in.Stream)
	if s.Limit != nil {
		l = s.Limit(vendor, l)
	}
	return l
}

// budgetID names the budget that a sync takes from.
func budgetID(in Input, l connector.Limit) string {
	if l.Name == "" {
		return in.ConnectionID
	}
	return in.ConnectionID + "." + l.Name
}

// declared is a budget of which nobody has taken yet, false where nothing is declared.
func (s *Service) declared(l connector.Limit) (b budget, ok bool) {
	of := connector.Bucket(l.Windows, 1)
	return budget{Rate: of.Rate, Max: of.Max, Told: of.Rate, Windows: of.Windows, Level: of.Max, At: store.At(s.Now())}, of.Rate > 0
}

// pay takes what the next page costs from what the sync has, or a block from the budget. It tells how long to wait before the page is
// asked for; what is to be waited for is the sync's already.
func (s *Service) pay(ctx context.Context, organization string, in Input, l connector.Limit, at *paid) (wait time.Duration, err error) {
	now := s.Now()
	if at.Cost > 0 && at.Points >= at.Cost {
		if early := at.From.Sub(now); early > 0 {
			return early, nil
		}
		at.charge()
		return 0, nil
	}
	at.Charged = 0
	id := budgetID(in, l)
	doc, err := s.budgets.In(organization).Get(ctx, id)
	fresh, declared := s.declared(l)
	switch {
	case errors.Is(err, store.ErrNotFound) && declared:
		if _, err := s.budgets.In(organization).Insert(ctx, id, fresh); err != nil && !errors.Is(err, store.ErrExists) {
			return 0, fmt.Errorf("keep the budget: %w", err)
		}
	case errors.Is(err, store.ErrNotFound) || err == nil && doc.Value.Costs[in.Stream] == 0 && !declared: // the page will tell
		return 0, nil
	case err == nil && !declared && len(doc.Value.Windows) > 0 && !l.Told.Limits(): // it was declared once, and no answer will correct it
		*at = paid{}
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read the budget: %w", err)
	}
	var taken paid
	_, err = s.budgets.In(organization).Update(ctx, id, func(b *budget) ([]store.Message, error) {
		taken, wait = b.take(now, in, *at)
		return nil, nil
	})
	if err != nil {
		return 0, fmt.Errorf("take from the budget: %w", err)
	}
	*at = taken
	if wait == 0 {
		at.charge()
	}
	return wait, nil
}

func (at *paid) charge() {
	at.Points -= at.Cost
	at.Charged = at.Cost
}

// spend takes off what a page has cost, or one that failed.
func (at *paid) spend(hint *connector.Budget) {
	if hint != nil {
		at.Points -= hint.Cost - at.Charged
		at.Charged = 0
	}
}

// take takes a block, or tells how long to let others go first.
func (b *budget) take(now time.Time, in Input, at paid) (paid, time.Duration) {
	b.fill(now)
	if !at.LeftAt.IsZero() { // others may use it who are none of ours
		b.Level = min(b.Level, at.Left+now.Sub(at.LeftAt.Time).Seconds()*b.Rate)
		at.LeftAt = store.Time{}
	}
	cost := b.Costs[in.Stream]
	if cost == 0 { // a request, until the page tells
		cost = 1
	}
	block := cost * max(1, math.Floor(min(b.Rate*blockTime.Seconds(), b.Max/4)/cost))
	if in.Scheduled {
		first := now.Sub(b.AskedAt.Time) < askedFor
		if pause := time.Duration(turns * block / b.Rate * float64(time.Second)); first && now.Sub(b.OtherAt.Time) < pause {
			return at, min(pause-now.Sub(b.OtherAt.Time), askedFor)
		}
		b.OtherAt = store.At(now)
	}
	b.Level += at.Points - block // what was left of the block before goes back
	var wait time.Duration
	if b.Level < 0 {
		wait = connector.Seconds(-b.Level / b.Rate)
	}
	at.Points, at.From, at.Cost, at.Told = block, store.At(now.Add(wait)), cost, b.Told
	if !in.Scheduled {
		b.AskedAt = at.From
	}
	return at, wait
}

// spent notes what a page has cost, where that is new, what the vendor says is left, and how fast the budget fills. The last page of a
// stream costs less than others.
func (s *Service) spent(ctx context.Context, organization string, in Input, l connector.Limit, hint *connector.Budget, last bool, at *paid) error {
	if hint == nil {
		return nil
	}
	if hint.Rate == 0 {
		return s.costs(ctx, organization, in, l, hint, last, at)
	}
	at.Left, at.LeftAt = hint.Left-hint.Reserve, store.At(s.Now())
	at.spend(hint)
	known := at.Cost > 0 && (last || hint.Cost == 0 || math.Abs(hint.Cost-at.Cost) <= dearer*at.Cost)
	if known && math.Abs(hint.Rate-at.Told) <= faster*at.Told {
		return nil
	}
	if !known {
		at.Cost = hint.Cost
	}
	at.Told = hint.Rate
	id := budgetID(in, l)
	fresh := budget{
		Rate: hint.Rate, Max: hint.Max - hint.Reserve, Told: hint.Rate, Windows: hint.Windows, Level: at.Left, At: at.LeftAt, Costs: map[string]float64{in.Stream: at.Cost},
	}
	fresh.settle()
	_, err := s.budgets.In(organization).Insert(ctx, id, fresh)
	if err == nil { // which knows of it
		at.Points = 0
	}
	if errors.Is(err, store.ErrExists) {
		_, err = s.budgets.In(organization).Update(ctx, id, func(b *budget) ([]store.Message, error) {
			b.fill(s.Now())
			costs := maps.Clone(b.Costs)
			if costs == nil {
				costs = map[string]float64{}
			}
			costs[in.Stream] = at.Cost
			level := min(b.Level, fresh.Level)
			*b = budget{
				Rate: fresh.Rate, Max: fresh.Max, Told: fresh.Told, Windows: fresh.Windows, Level: level, At: b.At, Costs: costs, AskedAt: b.AskedAt, OtherAt: b.OtherAt,
			}
			b.settle()
			return nil, nil
		})
	}
	if err != nil {
		return fmt.Errorf("note what a page costs: %w", err)
	}
	return nil
}

// costs notes what a page has cost of which the vendor told nothing else, where it has told of others.
func (s *Service) costs(ctx context.Context, organization string, in Input, l connector.Limit, hint *connector.Budget, last bool, at *paid) error {
	if at.Told == 0 {
		return nil
	}
	at.spend(hint)
	if last || hint.Cost == 0 || math.Abs(hint.Cost-at.Cost) <= dearer*at.Cost {
		return nil
	}
	at.Cost = hint.Cost
	_, err := s.budgets.In(organization).Update(ctx, budgetID(in, l), func(b *budget) ([]store.Message, error) {
		b.fill(s.Now())
		costs := map[string]float64{in.Stream: hint.Cost}
		for stream, cost := range b.Costs {
			if stream != in.Stream {
				costs[stream] = cost
			}
		}
		b.Costs = costs
		b.settle()
		return nil, nil
	})
	if err != nil {
		return fmt.Errorf("note what a page costs: %w", err)
	}
	return nil
}

// giveBack gives back what a sync has not used.
func (s *Service) giveBack(ctx context.Context, organization string, in Input, l connector.Limit, at *paid) error {
	points := at.Points
	if points == 0 { // what it has used beyond is owed
		return nil
	}
	at.Points = 0
	_, err := s.budgets.In(organization).Update(ctx, budgetID(in, l), func(b *budget) ([]store.Message, error) {
		b.fill(s.Now())
		b.Level = min(b.Max, b.Level+points)
		return nil, nil
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("give back of the budget: %w", err)
	}
	return nil
}

// refused has all syncs wait for as long as the vendor wants, who has refused one of them, and gives up what that one had.
func (s *Service) refused(ctx context.Context, organization string, in Input, l connector.Limit, wait time.Duration, at *paid) error {
	owed := min(0, at.Points)
	at.Points = 0
	_, err := s.budgets.In(organization).Update(ctx, budgetID(in, l), func(b *budget) ([]store.Message, error) {
		b.fill(s.Now())
		b.Level = min(b.Level, -wait.Seconds()*b.Rate) + owed
		return nil, nil
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("note that the vendor has refused: %w", err)
	}
	return nil
}
