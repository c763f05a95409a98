package dashboard

import (
	"net/http"
	"syscall"
	"testing"
	"time"
)

// BenchmarkShow answers 16 clients at once, from the request to the last byte of JSON, on the data set of 6,919 orders.
func BenchmarkShow(b *testing.B) {
	p, _ := single(b, cdnow(b)...)
	p.changed(b, "1997-01-01", "1998-06-30")
	for name, query := range map[string]string{
		"month":    "from=1997-01-01&to=1998-06-30&granularity=month",
		"day":      "from=1997-01-01&to=1998-06-30&granularity=day",
		"new-york": "from=1997-01-01&to=1998-06-30&granularity=week&tz=America/New_York",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(8)
			before := processorTime(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if w := p.get(b, organization, query); w.Code != http.StatusOK {
						b.Error(w.Body)
					}
				}
			})
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// processorTime is what the process has used so far. Unlike the time on the wall it is the same on a busy machine.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkRollUp makes all 546 days anew.
func BenchmarkRollUp(b *testing.B) {
	p, _ := single(b, cdnow(b)...)
	b.ReportAllocs()
	for b.Loop() {
		p.changed(b, "1997-01-01", "1998-06-30")
	}
}
