package sync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/store"
)

// What a vendor allows an account is shared by all syncs of its connections, in whatever processes they are. Where the vendor says how its
// budget fills, that is kept once for a connection, and syncs take blocks of it, of about a second, in their turn: a block is paid by one write,
// and may be used from when the budget has filled for it. So the budget is used up, and never more than it.

const (
	// blockTime is how much of a budget a sync takes at once.
	blockTime = time.Second
	// askedFor is how long a sync that a person asked for comes first after it has taken a block.
	askedFor = 5 * time.Second
	// turns is how many blocks it has for one of another sync meanwhile.
	turns = 8
	// dearer is by which part a page has to cost another amount to be noted.
	dearer = 0.25
)

// budget is a connection's, as it is kept.
type budget struct {
	// Rate is how many points come in a second, Max how many there are at most.
	Rate float64 `json:"rate"`
	Max  float64 `json:"max"`
	// Level is how many there were at At that nobody had taken; less than none when they were taken ahead.
	Level float64    `json:"level"`
	At    store.Time `json:"at"`
	// Costs are what a page costs, by stream.
	Costs map[string]float64 `json:"costs"`
	// AskedAt is when a sync that a person asked for took a block last, OtherAt when another one did.
	AskedAt store.Time `json:"asked_at,omitzero"`
	OtherAt store.Time `json:"other_at,omitzero"`
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

// pay takes what the next page costs from what the sync has, or a block from the budget. It tells how long to wait before the page is
// asked for; what is to be waited for is the sync's already.
func (s *Service) pay(ctx context.Context, organization string, in Input, at *paid) (wait time.Duration, err error) {
	now := s.Now()
	if at.Cost > 0 && at.Points >= at.Cost {
		if early := at.From.Sub(now); early > 0 {
			return early, nil
		}
		at.charge()
		return 0, nil
	}
	at.Charged = 0
	doc, err := s.budgets.In(organization).Get(ctx, in.ConnectionID)
	if errors.Is(err, store.ErrNotFound) || err == nil && doc.Value.Costs[in.Stream] == 0 { // the page will tell
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the budget: %w", err)
	}
	var taken paid
	_, err = s.budgets.In(organization).Update(ctx, in.ConnectionID, func(b *budget) ([]store.Message, error) {
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

// take takes a block, or tells how long to let others go first.
func (b *budget) take(now time.Time, in Input, at paid) (paid, time.Duration) {
	b.fill(now)
	if !at.LeftAt.IsZero() { // others may use it who are none of ours
		b.Level = min(b.Level, at.Left+now.Sub(at.LeftAt.Time).Seconds()*b.Rate)
		at.LeftAt = store.Time{}
	}
	cost := b.Costs[in.Stream]
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
	at.Points, at.From, at.Cost = block, store.At(now.Add(wait)), cost
	if !in.Scheduled {
		b.AskedAt = at.From
	}
	return at, wait
}

// spent notes what a page has cost, where that is new, and what the vendor says is left. The last page of a stream costs less than others.
func (s *Service) spent(ctx context.Context, organization string, in Input, hint *connector.Budget, last bool, at *paid) error {
	if hint == nil {
		return nil
	}
	// A page in hand is left alone, for what others ask for at the same time.
	reserve := hint.Need + min(hint.Cost, hint.Max/4)
	at.Left, at.LeftAt = hint.Left-reserve, store.At(s.Now())
	at.Points -= hint.Cost - at.Charged
	at.Charged = 0
	if at.Cost > 0 && (last || math.Abs(hint.Cost-at.Cost) <= dearer*at.Cost) {
		return nil
	}
	at.Cost = hint.Cost
	fresh := budget{Rate: hint.Rate, Max: max(hint.Cost, hint.Max-reserve), Level: at.Left, At: at.LeftAt, Costs: map[string]float64{in.Stream: hint.Cost}}
	_, err := s.budgets.In(organization).Insert(ctx, in.ConnectionID, fresh)
	if err == nil { // which knows of it
		at.Points = 0
	}
	if errors.Is(err, store.ErrExists) {
		_, err = s.budgets.In(organization).Update(ctx, in.ConnectionID, func(b *budget) ([]store.Message, error) {
			b.fill(s.Now())
			b.Rate, b.Max, b.Level = fresh.Rate, fresh.Max, min(b.Level, fresh.Level)
			b.Costs = maps.Clone(b.Costs)
			b.Costs[in.Stream] = hint.Cost
			return nil, nil
		})
	}
	if err != nil {
		return fmt.Errorf("note what a page costs: %w", err)
	}
	return nil
}

// giveBack gives back what a sync has not used, or, when the vendor has refused it, all that there seemed to be.
func (s *Service) giveBack(ctx context.Context, organization string, in Input, at *paid, refused bool) error {
	if at.Points == 0 && !refused { // what it has used beyond is owed
		return nil
	}
	points := at.Points
	at.Points = 0
	_, err := s.budgets.In(organization).Update(ctx, in.ConnectionID, func(b *budget) ([]store.Message, error) {
		b.fill(s.Now())
		if refused {
			b.Level = min(b.Level, 0)
		} else {
			b.Level = min(b.Max, b.Level+points)
		}
		return nil, nil
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("give back of the budget: %w", err)
	}
	return nil
}
