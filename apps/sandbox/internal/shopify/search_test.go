package shopify

import (
	"strings"
	"testing"
	"time"
)

// record is a searchable order of 2024-03-05T10:00:00Z.
type record struct{}

func (record) term(field string) any {
	return map[string]any{"id": int64(7), "name": "#7", "test": false}[field]
}

func (record) when(field string) (time.Time, bool) {
	at := time.Date(2024, 3, 5, 10, 0, 0, 0, time.UTC)
	return at, field == "created_at"
}

func (record) text() string { return "#7 Ada Abel ada@example.com" }

var (
	recordFields = map[string]valueKind{"created_at": timeValue, "closed_at": timeValue, "id": numberValue, "name": textValue, "test": boolValue}
	searchNow    = time.Date(2024, 3, 5, 12, 0, 0, 0, time.UTC)
)

func TestSearch(t *testing.T) {
	tests := []struct {
		query string
		want  bool
	}{
		{"", true},
		{"  ", true},
		{"created_at:>=2024-03-05T10:00:00Z", true},
		{"created_at:>'2024-03-05T10:00:00Z'", false},
		{`created_at:<="2024-03-05T10:00:00Z"`, true},
		{"created_at:<2024-03-05T10:00:00Z", false},
		{"created_at:>=2024-03-05T11:00:00+01:00", true},
		{"created_at:>2024-03-05T11:00:00+01:00", false},
		{"created_at:2024-03-05", true},
		{"created_at:>2024-03-05", false},
		{"created_at:>=2024-03-05", true},
		{"created_at:<=2024-03-05", true},
		{"created_at:<2024-03-05", false},
		{"created_at:<2024-03", false},
		{"created_at:<=2024-03", true},
		{"created_at:2024", true},
		{"created_at:>2024", false},
		{"created_at:<=2023", false},
		{"created_at:<now", true},
		{"created_at:>=now", false},
		{"created_at: >= '2024-03-05'", true},
		{"created_at:'2024-01-01..2024-03-05'", true},
		{"created_at:'2024-01-01..2024-03-04'", false},
		{"created_at:>=2024-03-01 created_at:<2024-04-01", true},
		{"created_at:>=2024-03-01 AND created_at:<2024-03-02", false},
		{"created_at:<2024-03-01 OR id:7", true},
		{"id:1 OR id:7 AND name:no", false},
		{"(id:1 OR id:7) AND name:#7", true},
		{"NOT id:7", false},
		{"-id:1", true},
		{"NOT (id:1 id:7)", true},
		{"id:>6 id:<8 id:<=7 id:>=7", true},
		{"id:>7", false},
		{"test:false", true},
		{"test:true", false},
		{"created_at:*", true},
		{"closed_at:*", false},
		{"closed_at:<now", false},
		{"ada", true},
		{"ADA abel", true},
		{"'Ada Abel'", true},
		{"grace", false},
		{"ORDER", false},
		{"id:7 ANDREA", false},
	}
	for _, tt := range tests {
		f, warnings, err := parseSearch(tt.query, recordFields, searchNow)
		if err != nil || len(warnings) > 0 {
			t.Errorf("%q: %v %v", tt.query, err, warnings)
			continue
		}
		if got := f == nil || f(record{}); got != tt.want {
			t.Errorf("%q matches: %v, want %v", tt.query, got, tt.want)
		}
	}
}

func TestSearchIgnoresWithWarning(t *testing.T) {
	for query, code := range map[string]string{
		"colour:red":                         "invalid_field",
		"created_at:>=yesterday":             "invalid_value",
		"created_at:2024-13":                 "invalid_value",
		"created_at:>2024-01-01..2024-02-01": "invalid_value",
		"id:seven":                           "invalid_value",
		"test:perhaps":                       "invalid_value",
		"name:>a":                            "invalid_value",
	} {
		f, warnings, err := parseSearch(query, recordFields, searchNow)
		if err != nil || len(warnings) != 1 || warnings[0].Code != code || !f(record{}) {
			t.Errorf("%q: %v, %v", query, warnings, err)
		}
	}
}

func TestSearchErrors(t *testing.T) {
	for _, query := range []string{"(id:7", "id:7)", "id:", "id:>=", "created_at:'2024", "AND", "OR", "id:7 AND", "id:7 OR", "NOT", "()", "\xff", strings.Repeat("(", 100) + "id:7" + strings.Repeat(")", 100)} {
		if _, _, err := parseSearch(query, recordFields, searchNow); err == nil {
			t.Errorf("%q: no error", query)
		}
	}
}

// FuzzSearch checks laws that hold for every query that parses: its negation
// matches the opposite, and joining it with itself changes nothing.
func FuzzSearch(f *testing.F) {
	for _, seed := range []string{"", "id:7", "created_at:>=2024-03-05T10:00:00Z AND -id:1", "(a OR b) c", "name:'#7' NOT x", "created_at:'2024..2025'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		match := func(q string) (matched, blank bool, err error) {
			filter, _, err := parseSearch(q, recordFields, searchNow)
			if err != nil || filter == nil {
				return false, filter == nil, err
			}
			return filter(record{}), false, nil
		}
		got, blank, err := match(query)
		if err != nil || blank || strings.Count(query, "(")+strings.Count(query, "-")+strings.Count(query, "NOT") > maxSearchDepth-2 {
			return
		}
		for law, want := range map[string]bool{
			"NOT (" + query + ")":                !got,
			"(" + query + ") (" + query + ")":    got,
			"(" + query + ") OR (" + query + ")": got,
			"NOT (NOT (" + query + "))":          got,
		} {
			if again, _, err := match(law); err != nil || again != want {
				t.Errorf("%q is %v, but %q is %v (%v)", query, got, law, again, err)
			}
		}
	})
}
