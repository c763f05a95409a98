package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/test/measure"
)

func TestBenchmarkOutputIsParsed(t *testing.T) {
	results, err := parseBenchmarks([]byte(`goos: linux
BenchmarkStack/bare_mux-2         	  294210	      4000.5 ns/op
BenchmarkStack/bare_mux-2         	  294210	      3000 ns/op
BenchmarkRead200k/Get         	   50000	     46000 ns/op	        41.20 p50-us
PASS
ok  	github.com/tandemhq/tandem/pkg/host	1.2s
`))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string][]float64{
		"BenchmarkStack/bare_mux ns/op": {4000.5, 3000}, "BenchmarkStack/bare_mux n": {294210, 294210},
		"BenchmarkRead200k/Get p50-us": {41.2}, "BenchmarkRead200k/Get ns/op": {46000},
	} {
		got := results[key]
		if len(got) != len(want) || got[0] != want[0] || got[len(got)-1] != want[len(want)-1] {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("median %d, want 2", got)
	}
}

func TestTheTableShowsWhatMisses(t *testing.T) {
	got := table([]figure{
		atMost("store", "get", 60*time.Microsecond, 45*time.Microsecond, "p50"),
		atMost("start", "start", 6*time.Second, 7*time.Second, "median"),
		{"start", "memory", "", "40.0 MB", "", false},
	})
	want := `| what   | target  | measured   | how    |
|--------|---------|------------|--------|
| get    | ≤ 60 µs | 45.0 µs    | p50    |
| start  | ≤ 6 s   | **7.00 s** | median |
| memory |         | 40.0 MB    |        |
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestTheMemoryTargetIsForAllThatIsResidentWhenReady(t *testing.T) {
	sidecars := map[string]int64{"auth": 120e6, "ml": 100e6}
	figures := memoryFigures("microservices",
		measure.Memory{Apps: map[string]int64{"auth": 81e6, "ml": 60e6}, Files: map[string]int64{"auth": 45e6, "ml": 44e6}, Sidecars: sidecars},
		measure.Memory{Apps: map[string]int64{"auth": 90e6, "ml": 99e6}, Files: map[string]int64{"auth": 46e6, "ml": 49e6}, Sidecars: sidecars})
	want := `| what                                                            | target  | measured    | how                                                                                            |
|-----------------------------------------------------------------|---------|-------------|------------------------------------------------------------------------------------------------|
| microservices: resident memory of an app that is ready, at most | ≤ 80 MB | **81.0 MB** | auth of 2; 36.0 MB of it private, the rest pages of the program's file, once for all processes |
| microservices: the same after all of the above                  |         | 99.0 MB     | ml; 50.0 MB of it private                                                                      |
| microservices: memory of a sidecar, at most                     |         | 120 MB      | resident; 220 MB in all 2                                                                      |
`
	if got := table(figures); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestTheTableGoesBetweenTheMarkers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	read := func() string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if err := os.WriteFile(path, []byte("before\n"+beginMarker+"old\n"+endMarker+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"first\n", "second\n"} {
		if err := writeBetweenMarkers(path, table); err != nil {
			t.Fatal(err)
		}
		if want := "before\n" + beginMarker + table + endMarker + "\nafter\n"; read() != want {
			t.Errorf("got %q, want %q", read(), want)
		}
	}
	unmarked := strings.Replace(read(), endMarker, "", 1)
	if err := os.WriteFile(path, []byte(unmarked), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeBetweenMarkers(path, "third\n"); err == nil || read() != unmarked {
		t.Errorf("a file without both markers: %v, and it is %q", err, read())
	}
}
