package googleads

import (
	"slices"
	"testing"
)

func TestQueriesAreCheckedAsStrictlyAsTheVendorDoes(t *testing.T) {
	const days = "SELECT campaign.id, segments.date, metrics.clicks FROM campaign WHERE segments.date "
	for _, c := range []struct{ text, code string }{
		{days + "BETWEEN '2026-01-01' AND '2026-01-31'", ""},
		{days + "= '2026-01-01' AND campaign.status != 'REMOVED'", ""},
		{"select campaign.id from campaign where campaign.advertising_channel_type not in ('VIDEO', \"DEMAND_GEN\")", ""},
		{"SELECT customer_client.id FROM customer_client WHERE customer_client.status = 'ENABLED' AND customer_client.manager = FALSE", ""},
		{"SELECT campaign.id FROM campaign WHERE campaign.id = 7 AND campaign.name = 'Brand 1'", ""},
		{"", "EXPECTED_SELECT"},
		{"campaign.id FROM campaign", "EXPECTED_SELECT"},
		{"SELECT campaign.id", "EXPECTED_FROM"},
		{"SELECT campaign.id,", "UNEXPECTED_END_OF_QUERY"},
		{"SELECT campaign.id FROM", "UNEXPECTED_END_OF_QUERY"},
		{"SELECT campaign.id FROM campaigns", "BAD_RESOURCE_TYPE_IN_FROM_CLAUSE"},
		{"SELECT campaign.id FROM campaign WHERE campaign.id = 7 campaign.id", "UNEXPECTED_INPUT"},
		{"SELECT campaign.id FROM campaign; DROP", "BAD_SYMBOL"},
		{"SELECT campaign.id FROM campaign WHERE campaign.name = 'Brand", "BAD_SYMBOL"},
		{"SELECT campaign.start_date FROM campaign", "UNRECOGNIZED_FIELD"}, // until v22
		{"SELECT campaign.id FROM campaign WHERE campaign.spend = 1", "UNRECOGNIZED_FIELD"},
		{"SELECT campaign.id, segments.date, metrics.video_views FROM campaign WHERE segments.date BETWEEN '2026-01-01' AND '2026-01-31'", "UNRECOGNIZED_FIELD"}, // until v22
		{"SELECT campaign.id FROM customer", "PROHIBITED_RESOURCE_TYPE_IN_SELECT_CLAUSE"},
		{"SELECT customer.id FROM customer WHERE campaign.id = 7", "PROHIBITED_RESOURCE_TYPE_IN_WHERE_CLAUSE"},
		{"SELECT campaign.id, segments.date, metrics.clicks FROM campaign", "EXPECTED_FILTERS_ON_DATE_RANGE"},
		{days + "BETWEEN '2026-01-31' AND '2026-01-01'", "DATE_RANGE_TOO_NARROW"},
		{days + "BETWEEN '2026-01-01' AND '2026-02-31'", "INVALID_DATE_FORMAT"},
		{days + "BETWEEN 2026 AND '2026-01-31'", "INVALID_DATE_FORMAT"},
		{days + "BETWEEN '2026-01-01', '2026-01-31'", "EXPECTED_AND"},
		{days + "IN ('2026-01-01')", "OPERATOR_FIELD_MISMATCH"},
		{days + "> '2026-01-01'", "BAD_SYMBOL"},
		{days + "LIKE '2026%'", "BAD_OPERATOR"},
		{"SELECT campaign.id FROM campaign WHERE campaign.status = 'ACTIVE'", "BAD_ENUM_CONSTANT"},
		{"SELECT campaign.id FROM campaign WHERE campaign.status IN ()", "PROHIBITED_EMPTY_LIST_IN_CONDITION"},
		{"SELECT campaign.id FROM campaign WHERE campaign.status IN 'PAUSED'", "EXPECTED_LIST"},
		{"SELECT campaign.id FROM campaign WHERE campaign.status NOT 'PAUSED'", "BAD_OPERATOR"},
		{"SELECT campaign.id FROM campaign WHERE campaign.name = Brand", "INVALID_STRING_VALUE"},
		{"SELECT campaign.id FROM campaign WHERE campaign.id = 'seven'", "BAD_NUMBER"},
		{"SELECT campaign.id FROM campaign WHERE campaign.id BETWEEN 1 AND 2", "INVALID_VALUE_WITH_BETWEEN_OPERATOR"},
		{"SELECT customer.id FROM customer WHERE customer.manager = 'true'", "BAD_VALUE"},
	} {
		_, wrong := parse(c.text)
		if wrong == nil {
			wrong = &queryError{}
		}
		if wrong.code != c.code {
			t.Errorf("%s: %+v, want %q", c.text, wrong, c.code)
		}
	}
}

func TestConditionsLeaveRowsOut(t *testing.T) {
	row := map[string]any{"campaign.id": "7", "campaign.status": "PAUSED", "segments.date": "2026-01-15", "metrics.clicks": "1"}
	for condition, want := range map[string]bool{
		"segments.date BETWEEN '2026-01-15' AND '2026-01-15'": true, "segments.date BETWEEN '2026-01-01' AND '2026-01-14'": false, "segments.date = '2026-01-16'": false,
		"segments.date = '2026-01-15' AND campaign.status IN ('ENABLED', 'PAUSED')": true, "segments.date = '2026-01-15' AND campaign.status NOT IN ('PAUSED')": false,
		"segments.date = '2026-01-15' AND campaign.id != 7": false,
	} {
		q, wrong := parse("SELECT campaign.id, segments.date, metrics.clicks FROM campaign WHERE " + condition)
		if wrong != nil || q.matches(valuesOf(row)) != want {
			t.Errorf("%s: %v, %t", condition, wrong, !want)
		}
	}
	q, _ := parse("SELECT metrics.cost_micros, segments.date FROM campaign WHERE segments.date = '2026-01-15'")
	if q.mask() != "metrics.costMicros,segments.date" || !slices.Equal(q.fields, []string{"metrics.cost_micros", "segments.date"}) {
		t.Errorf("%q", q.mask())
	}
}

func FuzzQueries(f *testing.F) {
	f.Add("SELECT campaign.id FROM campaign WHERE campaign.status IN ('PAUSED')")
	f.Add("SELECT customer.id FROM customer WHERE x BETWEEN '")
	f.Fuzz(func(t *testing.T, text string) {
		q, wrong := parse(text)
		if wrong == nil {
			q.matches(valuesOf(nil))
			return
		}
		if wrong.code == "" || wrong.message == "" {
			t.Errorf("%q is refused with %+v", text, wrong)
		}
	})
}

func TestAPageTokenIsGoodForItsQuery(t *testing.T) {
	token := pageTokenOf(500, "SELECT a")
	if start, ok := startOf(token, "SELECT a"); !ok || start != 500 {
		t.Errorf("%d, %t", start, ok)
	}
	for _, c := range [][2]string{{token, "SELECT b"}, {"!", "SELECT a"}, {"NTAw", "SELECT a"}} {
		if _, ok := startOf(c[0], c[1]); ok {
			t.Errorf("%q is taken for %q", c[0], c[1])
		}
	}
}
