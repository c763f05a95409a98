package triplewhale

import (
	"fmt"
	"strings"
	"testing"
)

const days = "WHERE event_date BETWEEN @startDate AND @endDate"

func TestQueriesThatMakeNoSenseAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT * FROM ads_table " + days + " GROUP BY channel ORDER BY channel":                                                 "SELECT *",
		"SELECT channel FROM ads " + days + " GROUP BY channel ORDER BY channel":                                                 "Unknown table",
		"SELECT channels FROM ads_table " + days + " GROUP BY channels ORDER BY channels":                                        "Unknown identifier",
		"SELECT SUM(order_quantity) AS orders FROM pixel_joined_tvf() " + days + " GROUP BY channel ORDER BY orders":             "Unknown identifier",
		"SELECT channel, ad_id FROM ads_table " + days + " GROUP BY channel ORDER BY channel":                                    "not in GROUP BY",
		"SELECT channel FROM ads_table WHERE channel = 'bing' GROUP BY channel ORDER BY channel":                                 "event_date is a required field",
		"SELECT channel FROM ads_table WHERE event_date BETWEEN '2026-01-01' AND '2026-02-01' GROUP BY channel ORDER BY channel": "event_date is a required field",
		"SELECT channel FROM ads_table " + days + " GROUP BY channel ORDER BY channel LIMIT 0":                                   "LIMIT",
		"SELECT channel FROM ads_table " + days + " GROUP BY channel ORDER BY channel; DROP TABLE ads_table":                     "Syntax error",
		"SELECT median(spend) AS spend FROM ads_table " + days + " GROUP BY channel ORDER BY spend":                              "not simulated",
		"": "expected select",
	} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestRowsAreGroupedOrderedAndFiltered(t *testing.T) {
	table := []record{
		{"event_date": "2026-01-01", "channel": "a", "campaign_name": "old", "spend": amount(12_345), "clicks": int64(3)},
		{"event_date": "2026-01-02", "channel": "a", "campaign_name": "new", "spend": amount(5), "clicks": int64(4)},
		{"event_date": "2026-01-02", "channel": "b", "campaign_name": "other", "spend": amount(20_000), "clicks": int64(5)},
		{"event_date": "2026-01-03", "channel": "a", "campaign_name": "late", "spend": amount(1), "clicks": int64(6)},
		{"event_date": "2026-01-01", "channel": "c", "campaign_name": "left out", "spend": amount(1), "clicks": int64(7)},
	}
	q, err := parse("select channel, round(SUM(spend), 4) AS cost, SUM(clicks) AS clicks, argMax(campaign_name, event_date) AS name, MIN(event_date) AS first, COUNT(DISTINCT event_date) AS days " +
		"FROM ads_table() " + days + " AND channel IN ('a', 'b') AND campaign_name != '' GROUP BY channel ORDER BY cost DESC, channel LIMIT 5 OFFSET 0")
	if err != nil {
		t.Fatal(err)
	}
	got, err := q.run(table, map[string]string{"startDate": "2026-01-01", "endDate": "2026-01-02"})
	want := "[map[channel:b clicks:5 cost:2.0 days:1 first:2026-01-02 name:other] map[channel:a clicks:7 cost:1.235 days:2 first:2026-01-01 name:new]]"
	if err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, %v; want %s", got, err, want)
	}
	if _, err := q.run(table, nil); err == nil {
		t.Error("without its parameters")
	}
}
