// Package measure times operations and looks at the machine and at the memory of a run, for the bench
// and the demo.
package measure

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Operation is what is timed; it fails when it did not do what it is timed for.
type Operation func(context.Context) error

// Samples are the times of single operations, in any order.
type Samples []time.Duration

// Median is the 50th percentile.
func (s Samples) Median() time.Duration { return s.Percentile(50) }

// Percentile is the smallest sample that p percent of all do not exceed (nearest rank); 0 without samples.
func (s Samples) Percentile(p int) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// InTurn gives each operation n turns and returns its samples, in the operations' order. They take turns,
// every other round in reverse, so that whatever else the machine does meets all of them alike. In a turn
// an operation runs row times one after the other: with 1 each run follows one of another operation and finds the
// processor's caches as that left them. Warm more rounds come first and are not counted.
func InTurn(ctx context.Context, row, warm, n int, operations ...Operation) ([]Samples, error) {
	samples := make([]Samples, len(operations))
	for round := range warm + n {
		for turn := range operations {
			if round%2 == 1 {
				turn = len(operations) - 1 - turn
			}
			for range row {
				took, err := timed(ctx, operations[turn])
				if err != nil {
					return nil, err
				}
				if round >= warm {
					samples[turn] = append(samples[turn], took)
				}
			}
		}
	}
	return samples, nil
}

// AtOnce runs op n times for each of so many clients at once, after warm times for each that do not count.
// The first error ends all of them.
func AtOnce(ctx context.Context, clients, warm, n int, op Operation) (Samples, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	each := make([]Samples, clients)
	run := func(times int) {
		var wait sync.WaitGroup
		for client := range each {
			each[client] = each[client][:0]
			wait.Go(func() {
				for range times {
					took, err := timed(ctx, op)
					if err != nil {
						cancel(err)
						return
					}
					each[client] = append(each[client], took)
				}
			})
		}
		wait.Wait()
	}
	run(warm)
	run(n)
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return slices.Concat(each...), nil
}

func timed(ctx context.Context, op Operation) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	began := time.Now()
	err := op(ctx)
	return time.Since(began), err
}

// Duration writes d with three digits and the unit that suits it.
func Duration(d time.Duration) string {
	switch {
	case d >= time.Second:
		return digits(d.Seconds()) + " s"
	case d >= time.Millisecond:
		return digits(float64(d)/float64(time.Millisecond)) + " ms"
	default:
		return digits(float64(d)/float64(time.Microsecond)) + " µs"
	}
}

// Bytes writes a size in megabytes of 1,000,000 bytes.
func Bytes(n int64) string { return digits(float64(n)/1e6) + " MB" }

func digits(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
