package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/test/measure"
	"github.com/tandemhq/tandem/test/system"
)

// runs is how often a benchmark of well under a millisecond is repeated: the median of its runs is what it takes.
const runs = 15

// stack measures what the handler stack adds to a request.
func stack(ctx context.Context, _ options) ([]figure, error) {
	progress("The handler stack: BenchmarkStack of pkg/host, %d times.", runs)
	results, err := benchmark(ctx, "./pkg/host", "^BenchmarkStack$", "-benchtime=200ms", "-count="+strconv.Itoa(runs))
	if err != nil {
		return nil, err
	}
	whole, bare := results["BenchmarkStack/whole_stack ns/op"], results["BenchmarkStack/bare_mux ns/op"]
	if len(whole) != runs || len(bare) != runs {
		return nil, fmt.Errorf("BenchmarkStack of pkg/host printed %d and %d results, want %d", len(whole), len(bare), runs)
	}
	return []figure{atMost("stack", "cost of the handler stack over a bare mux handler, in process", 60*time.Microsecond, median(whole)-median(bare),
		fmt.Sprintf("%s less %s, each the median of %d runs of 200 ms", measure.Duration(median(whole)), measure.Duration(median(bare)), runs))}, nil
}

// stores measures single operations of the embedded store.
func stores(ctx context.Context, _ options) ([]figure, error) {
	progress("The store: benchmarks of pkg/store on 200,000 documents.")
	results, err := benchmark(ctx, "./pkg/store", "^BenchmarkRead200k$/^(Get|PageOf50|GroupedSum200k)$|^BenchmarkInsert$", "-benchtime=2s")
	if err != nil {
		return nil, err
	}
	var figures []figure
	for _, f := range []struct {
		benchmark, what string
		limit           time.Duration
	}{
		{"BenchmarkRead200k/Get", "store, SQLite: get by id", 60 * time.Microsecond},
		{"BenchmarkInsert", "store, SQLite: insert, durable", 500 * time.Microsecond},
		{"BenchmarkRead200k/PageOf50", "store, SQLite: page of 50 on an index", time.Millisecond},
		{"BenchmarkRead200k/GroupedSum200k", "store, SQLite: grouped sum over 200,000", 250 * time.Millisecond},
	} {
		p50, n := results[f.benchmark+" p50-us"], results[f.benchmark+" n"]
		if len(p50) != 1 || len(n) != 1 {
			return nil, fmt.Errorf("%s of pkg/store printed no p50-us", f.benchmark)
		}
		figures = append(figures, atMost("store", f.what, f.limit, time.Duration(p50[0]*1000), fmt.Sprintf("p50 of %.0f", n[0])))
	}
	return figures, nil
}

var (
	resultLine  = regexp.MustCompile(`(?m)^(Benchmark\S+?)(?:-\d+)?\s+(\d+)\t(.*)$`)
	resultValue = regexp.MustCompile(`([\d.]+) (\S+)`)
)

// benchmark runs benchmarks of a package and returns their values by "name unit", one for each run; the
// unit "n" is how often the operation ran.
func benchmark(ctx context.Context, pkg, which string, more ...string) (map[string][]float64, error) {
	command := exec.CommandContext(ctx, "go", append([]string{"test", pkg, "-run=^$", "-bench=" + which}, more...)...)
	command.Dir = system.Repository()
	out, err := command.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	return parseBenchmarks(out)
}

func parseBenchmarks(out []byte) (map[string][]float64, error) {
	results := map[string][]float64{}
	for _, line := range resultLine.FindAllSubmatch(out, -1) {
		name := string(line[1])
		values := append([][][]byte{{nil, line[2], []byte("n")}}, resultValue.FindAllSubmatch(bytes.TrimSpace(line[3]), -1)...)
		for _, value := range values {
			number, err := strconv.ParseFloat(string(value[1]), 64)
			if err != nil {
				return nil, fmt.Errorf("result of %s: %w", name, err)
			}
			key := name + " " + string(value[2])
			results[key] = append(results[key], number)
		}
	}
	return results, nil
}

// median is the middle one of some numbers of nanoseconds.
func median(nanoseconds []float64) time.Duration {
	return time.Duration(slices.Sorted(slices.Values(nanoseconds))[len(nanoseconds)/2])
}
