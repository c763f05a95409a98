package integrations_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox"
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

// BenchmarkBackfill backfills a business with a shop and four advertising platforms. It reports the records that are kept a second, and
// the time of processors for each of them, that of the simulated vendors in the same process included.
func BenchmarkBackfill(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		p := start(b, 3)
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPut, p.sandbox+"/sandbox/businesses/large/size", strings.NewReader(`{"days":365,"new_customers_per_day":20,"campaigns":50}`))
		if err != nil {
			b.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			b.Fatalf("%s: %s, %v", resp.Status, text, err)
		}
		resp.Body.Close()
		u := p.user("o1", "owner")
		streams := map[string]string{u.connect("large"): "orders"}
		for _, vendor := range []string{"google-ads", "linkedin-ads", "meta-ads", "tiktok-ads"} {
			streams[u.connectAds(vendor, "large")] = "performance"
		}
		before := processorTime(b)
		b.StartTimer()
		began := time.Now()
		var runs []string
		for connection, stream := range streams {
			runs = append(runs, u.want(202, "POST /sync/runs", `{"connection_id":"`+connection+`","stream":"`+stream+`","mode":"backfill"}`).id())
		}
		records := 0.0
		for _, run := range runs {
			for {
				a := u.want(200, "GET /sync/runs/"+run, "")
				if a.body["finished_at"] != nil {
					if a.body["status"] != "succeeded" {
						b.Fatal(a.text)
					}
					records += a.body["records"].(float64)
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		took := time.Since(began)
		b.ReportMetric(records, "records")
		b.ReportMetric(records/took.Seconds(), "records/s")
		b.ReportMetric(float64((processorTime(b)-before).Microseconds())/records, "cpu-us/record")
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

var _ = json.Valid
var _ = sandbox.ClientID
