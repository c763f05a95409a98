package runs_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tandemhq/tandem/pkg/runs"
)

// TestLatency prints what an executor adds to a run, and holds it to what a sync can bear.
func TestLatency(t *testing.T) {
	onBoth(t, func(t *testing.T, executor func() runs.Executor) {
		const many, steps = 20, 30
		p := newProcess(t, filepath.Join(t.TempDir(), "db"), executor(), 0, runs.Kind{
			Name: "quick", Step: func(_ context.Context, run runs.Run) (runs.Next, error) {
				return runs.Next{Cursor: run.Steps, Done: run.Steps+1 == steps}, nil
			},
		}, runs.Kind{Name: "slow", Step: func(_ context.Context, run runs.Run) (runs.Next, error) {
			return runs.Next{Cursor: run.Steps, Wait: 300 * time.Millisecond, Done: run.Steps == 5}, nil
		}}).start(t)
		var first, each, accepted []time.Duration
		for i := range many {
			id := fmt.Sprint("q", i)
			begun := time.Now()
			if _, err := p.Start(t.Context(), "quick", org, id, nil); err != nil {
				t.Fatal(err)
			}
			accepted = append(accepted, time.Since(begun))
			run := p.ends(t, id)
			if i == 0 {
				continue // the sidecar connects
			}
			first = append(first, run.StartedAt.Sub(run.CreatedAt.Time))
			each = append(each, run.FinishedAt.Sub(run.StartedAt.Time)/steps)
		}
		if _, err := p.Start(t.Context(), "slow", org, "s", nil); err != nil {
			t.Fatal(err)
		}
		slow := p.ends(t, "s")
		median := func(d []time.Duration) time.Duration { slices.Sort(d); return d[len(d)/2] }
		t.Logf("accepted after %s, first step after %s, worst %s, then %s a step; five waits of 300 ms took %s", median(accepted), median(first), slices.Max(first), median(each), slow.FinishedAt.Sub(slow.StartedAt.Time))
		// On an idle machine it is a tenth of this; tests share theirs.
		if m := median(first); m > time.Second {
			t.Errorf("the first step began after %s", m)
		}
		if m := median(each); m > 50*time.Millisecond {
			t.Errorf("a step took %s", m)
		}
	})
}
