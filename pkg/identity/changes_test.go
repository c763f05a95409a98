package identity_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/identity"
)

// TestAFeedRepairsItself has a change stored that was stamped before the answers' overlap, as a clock that is slow does it, and the
// question that would tell of it fail once.
func TestAFeedRepairsItself(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	late := identity.Revocation{ID: "s1", RevokedAt: now.Add(-70 * time.Second)}
	var told []int // the questions that were
	asked := 0
	feed := identity.NewFeed(func(_ context.Context, since time.Time) (identity.Changes, error) {
		answer := identity.Changes{AsOf: now.Add(-time.Minute)}
		asked++
		switch {
		case asked == 31:
			return identity.Changes{}, errors.New("down")
		case asked > 1 && !late.RevokedAt.Before(since):
			told = append(told, asked)
			answer.Sessions = []identity.Revocation{late}
		}
		return answer, nil
	}, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	for asked < 70 {
		if err := errors.Join(feed.Start(t.Context()), feed.Stop(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(told, []int{32, 62}) || !feed.Revoked("s1") {
		t.Errorf("questions %v told of the change, of which is known: %v; want the 30th answer after each that told of all", told, feed.Revoked("s1"))
	}
}

// TestAFeedAsksForWhatIsNew has each question begin where the answer before said, and none forget what was told.
func TestAFeedAsksForWhatIsNew(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now, down := start, false
	var asked []time.Duration // after the start
	feed := identity.NewFeed(func(_ context.Context, since time.Time) (identity.Changes, error) {
		asked = append(asked, since.Sub(start))
		if down {
			return identity.Changes{}, errors.New("down")
		}
		answer := identity.Changes{AsOf: now.Add(-time.Minute)}
		if now.Equal(start) {
			answer.Sessions = []identity.Revocation{{ID: "s1", RevokedAt: start}}
		}
		return answer, nil
	}, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	poll := func(after time.Duration) {
		t.Helper()
		now = start.Add(after)
		if err := errors.Join(feed.Start(t.Context()), feed.Stop(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	poll(0)
	poll(2 * time.Second)
	if asked[0] != -16*time.Minute || slices.Min(asked[1:]) != -time.Minute {
		t.Errorf("asked for %v; want all once, then from where the answer before says", asked)
	}
	down = true
	poll(4 * time.Second)
	down, asked = false, nil
	poll(10 * time.Second)
	if asked[0] != 2*time.Second-time.Minute {
		t.Errorf("asked for %v after an outage; want what happened since the last answer", asked)
	}
	if !feed.Revoked("s1") {
		t.Error("what was told once is forgotten")
	}
	down = true
	poll(20 * time.Minute)
	down, asked = false, nil
	poll(40 * time.Minute)
	if asked[0] != 24*time.Minute {
		t.Errorf("asked for %v after an outage longer than tokens live; want 16 minutes back", asked[0])
	}
	if feed.Revoked("s1") {
		t.Error("a session is remembered for longer than its tokens live")
	}
}
