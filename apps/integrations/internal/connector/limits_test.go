package connector_test

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// sliding is how many requests come in the busiest time of a length when each is made as soon as the bucket has a point for it.
func sliding(b connector.Budget, length time.Duration) (most int) {
	var at []float64
	level, now := b.Max, 0.0
	for range 5000 {
		if level < 1 {
			now += (1 - level) / b.Rate
			level = 1
		}
		level--
		at = append(at, now)
	}
	first := 0
	for i := range at {
		for at[i]-at[first] >= length.Seconds() {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func TestABucketKeepsToItsWindowsAndUsesThem(t *testing.T) {
	for _, windows := range [][]connector.Window{
		{{Requests: 5, Per: time.Second}},
		{{Requests: 100, Per: 10 * time.Second}},
		{{Requests: 3, Per: time.Second}, {Requests: 60, Per: time.Minute}},
		{{Requests: 75, Per: time.Second}, {Requests: 750, Per: time.Minute}},
		{{Requests: 600, Per: time.Hour}},
	} {
		b := connector.Bucket(windows, 1)
		fullest := 0.0
		for _, w := range windows {
			n := float64(sliding(b, w.Per))
			if n > w.Requests {
				t.Errorf("%+v: %.0f requests in %s", windows, n, w.Per)
			}
			fullest = max(fullest, b.Rate*w.Per.Seconds()/w.Requests)
		}
		if fullest < 0.93 {
			t.Errorf("%+v: %.3f of the narrowest is used", windows, fullest)
		}
	}
	if b := connector.Bucket(nil, 1); b.Rate != 0 {
		t.Errorf("without windows: %+v", b)
	}
}

func TestAnswersTellTheLimit(t *testing.T) {
	ten := connector.Window{Requests: 100, Per: 10 * time.Second}
	counted := connector.Told{Max: "X-Max", Remaining: "X-Remaining", Interval: "X-Interval"}
	policy := connector.Told{Policy: "RateLimit-Limit", Remaining: "RateLimit-Remaining", Reset: "RateLimit-Reset"}
	used := connector.Told{Usage: []string{"X-Usage"}, Tiers: map[string]connector.Window{"full": {Requests: 1000, Per: time.Hour}}}
	for _, c := range []struct {
		name    string
		told    connector.Told
		headers []string
		windows []connector.Window
		left    float64 // of the bucket: all of it where answers do not tell less
	}{
		{"nothing", counted, nil, []connector.Window{ten}, math.Inf(1)},
		{"more, and much left", counted, []string{"X-Max", "190", "X-Interval", "10000", "X-Remaining", "150"}, []connector.Window{{Requests: 190, Per: 10 * time.Second}}, math.Inf(1)},
		{"little left", counted, []string{"X-Remaining", "2"}, []connector.Window{ten}, 2},
		{"nothing left, for a window", counted, []string{"X-Remaining", "0", "X-Interval", "10000"}, []connector.Window{ten}, -10},
		{"what is no number", counted, []string{"X-Max", "many", "X-Interval", "-1", "X-Remaining", "NaN"}, []connector.Window{ten}, math.Inf(1)},
		{"two windows", policy, []string{"RateLimit-Limit", "10, 10;w=1, 150;w=60", "RateLimit-Remaining", "9", "RateLimit-Reset", "1"},
			[]connector.Window{{Requests: 10, Per: time.Second}, {Requests: 150, Per: time.Minute}}, math.Inf(1)},
		{"a number without a window", policy, []string{"RateLimit-Limit", "10"}, []connector.Window{ten}, math.Inf(1)},
		{"nothing left, until a reset", policy, []string{"RateLimit-Remaining", "0", "RateLimit-Reset", "7"}, []connector.Window{ten}, -7},
		{"a tier", used, []string{"X-Usage", `{"1":[{"type":"a","call_count":10,"ads_api_access_tier":"full"}]}`}, []connector.Window{{Requests: 1000, Per: time.Hour}}, math.Inf(1)},
		{"nearly all used", used, []string{"X-Usage", `{"call_count":5,"total_time":99,"total_cputime":1}`}, []connector.Window{ten}, 1},
		{"all used, for two minutes", used, []string{"X-Usage", `{"1":[{"call_count":100,"estimated_time_to_regain_access":2}]}`}, []connector.Window{ten}, -120},
		{"no JSON", used, []string{"X-Usage", "{"}, []connector.Window{ten}, math.Inf(1)},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(c.headers); i += 2 {
				w.Header().Set(c.headers[i], c.headers[i+1])
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]string{})
		}))
		limit := connector.Limit{Windows: []connector.Window{ten}, Told: c.told}
		ctx, meter := limit.Metered(t.Context())
		for range 2 {
			ask(ctx, t, server.URL)
		}
		server.Close()
		want := connector.Bucket(c.windows, 1)
		want.Cost = 2
		if c.left < 0 { // seconds
			want.Left = c.left * want.Rate
		} else {
			want.Left = min(want.Max, c.left)
		}
		if got := meter.Budget(); got == nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, want)
		}
	}
}

func ask(ctx context.Context, t *testing.T, address string) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if err := connector.Fetch(http.DefaultClient, time.Now, r, nil); err != nil {
		t.Fatal(err)
	}
}

func TestLimitsOfTheConfiguration(t *testing.T) {
	declared := []connector.Window{{Requests: 5, Per: time.Second}}
	all, err := connector.ParseLimits(map[string]string{"*": "none", "hubspot": "190/10s", "hubspot.search": "4/1s", "stripe": "25/1s"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		limits       connector.Limits
		vendor, name string
		want         []connector.Window
	}{
		{all, "hubspot", "", []connector.Window{{Requests: 190, Per: 10 * time.Second}}},
		{all, "hubspot", "search", []connector.Window{{Requests: 4, Per: time.Second}}},
		{all, "stripe", "", []connector.Window{{Requests: 25, Per: time.Second}}},
		{all, "klaviyo", "contacts", nil},
		{connector.Limits{"hubspot": {{Requests: 190, Per: time.Second}}}, "hubspot", "search", declared},
		{connector.Limits{"*": {{Requests: 190, Per: time.Second}}}, "klaviyo", "contacts", declared},
		{connector.Limits{}, "stripe", "", declared},
	} {
		if got := c.limits.Of(c.vendor, connector.Limit{Name: c.name, Windows: declared}).Windows; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %s %q: %v, want %v", c.limits, c.vendor, c.name, got, c.want)
		}
	}
	for _, text := range []string{"", "10", "0/1s", "NaN/1s", "Inf/1s", "10/", "10/0s", "-1/1s"} {
		if _, err := connector.ParseLimits(map[string]string{"stripe": text}); err == nil {
			t.Errorf("%q is a limit", text)
		}
	}
}

// search is a vendor with a limit of its own for searches.
type search struct{ connector.Connector }

func (search) Vendor() string            { return "hubspot" }
func (search) Limits() []connector.Limit { return []connector.Limit{{Name: "search"}, {}} }

func TestALimitOfNothingIsNone(t *testing.T) {
	for name, ok := range map[string]bool{
		"*": true, "hubspot": true, "hubspot.search": true, "hubpsot": false, "hubspot.": false, "hubspot.other": false, "*.search": false, "": false,
	} {
		err := connector.Limits{name: nil}.Check([]connector.Connector{search{}})
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), strconv.Quote(name)) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
