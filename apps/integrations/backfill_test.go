package integrations_test

import (
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

// connectAds connects the advertising account of a business by a click on the vendor's page.
func (u user) connectAds(vendor, business string) string {
	u.p.t.Helper()
	page := u.want(200, "GET /"+vendor+"/oauth/authorize", "").body["url"].(string)
	at, query, _ := strings.Cut(page, "?")
	r, err := http.NewRequestWithContext(u.p.t.Context(), http.MethodPost, at, strings.NewReader(query+"&account="+business))
	if err != nil {
		u.p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		u.p.t.Fatal(err)
	}
	resp.Body.Close()
	back, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || back.RawQuery == "" {
		u.p.t.Fatalf("%s: sent to %v, %v", resp.Status, back, err)
	}
	return u.want(201, "POST /"+vendor+"/oauth/callback", finish(back.RawQuery)).id()
}

// startLarge hosts the group with a business that has a shop and four advertising platforms. It returns its owner, and what to backfill: the
// stream of each connection.
func startLarge(b *testing.B) (u user, streams map[string]string) {
	b.Helper()
	p := start(b, 3)
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPut, p.sandbox+"/sandbox/businesses/large/size", strings.NewReader(`{"days":365,"new_customers_per_day":20,"campaigns":50}`))
	if err != nil {
		b.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Fatal(resp.Status)
	}
	u = p.user("o1", "owner")
	streams = map[string]string{u.connect("large"): "orders"}
	for _, vendor := range []string{"google-ads", "linkedin-ads", "meta-ads", "tiktok-ads"} {
		streams[u.connectAds(vendor, "large")] = "performance"
	}
	return u, streams
}

// backfill reads all of the streams at once, and returns how many records that were.
func (u user) backfill(b *testing.B, streams map[string]string) (records float64) {
	b.Helper()
	var runs []string
	for connection, stream := range streams {
		runs = append(runs, u.want(202, "POST /sync/runs", `{"connection_id":"`+connection+`","stream":"`+stream+`","mode":"backfill"}`).id())
	}
	for _, run := range runs {
		for {
			a := u.want(200, "GET /sync/runs/"+run, "")
			if a.body["finished_at"] == nil {
				time.Sleep(20 * time.Millisecond)
				continue
			}
			if a.body["status"] != "succeeded" {
				b.Fatal(a.text)
			}
			records += a.body["records"].(float64)
			break
		}
	}
	return records
}

// BenchmarkBackfill reports the records that are kept a second, and the time of processors for each of them, that of the simulated vendors
// in the same process included.
func BenchmarkBackfill(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		u, streams := startLarge(b)
		before, began := processorTime(b), time.Now()
		b.StartTimer()
		records := u.backfill(b, streams)
		b.ReportMetric(records, "records")
		b.ReportMetric(records/time.Since(began).Seconds(), "records/s")
		b.ReportMetric(float64((processorTime(b)-before).Microseconds())/records, "cpu-us/record")
	}
}

// BenchmarkPageOf500 reads pages of records through the whole stack.
func BenchmarkPageOf500(b *testing.B) {
	u, streams := startLarge(b)
	u.backfill(b, streams)
	for _, kind := range []string{"orders", "performance"} {
		b.Run(kind, func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				from := time.Now().UTC().AddDate(0, 0, -n*7919%300-60).Format(time.RFC3339)
				if a := u.want(200, "GET /records/"+kind+"?limit=500&from="+from, ""); len(a.body["items"].([]any)) != 500 {
					b.Fatal(a.text)
				}
			}
		})
	}
}

// processorTime is what this process has used of its processors.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
