package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tandemhq/tandem/test/measure"
	"github.com/tandemhq/tandem/test/scenario"
)

// The questions that every topology must answer alike, by the names of their steps.
const (
	whoAmI      = "who you are"
	firstOrders = "the first orders"
)

// questions are asked in every topology. The last one is the dashboard of a month.
func (d *demo) questions(ctx context.Context, site scenario.Site) ([]scenario.Step, error) {
	steps := []scenario.Step{
		{Name: whoAmI, Method: http.MethodGet, Path: "/api/auth/me", Want: http.StatusOK},
		{Name: firstOrders, Method: http.MethodGet, Path: "/api/integrations/records/orders?limit=3", Want: http.StatusOK},
	}
	dashboards := scenario.Dashboards()
	if !site.Orders {
		var err error
		if dashboards, err = d.generated(ctx, site); err != nil {
			return nil, err
		}
	}
	for _, step := range dashboards {
		step.Lacks, step.Within = []string{`"restating"`}, time.Minute // the roll-ups go on after the sync
		steps = append(steps, step)
	}
	return steps, nil
}

// generated are the dashboards of a shop that the sandbox generated: of all its orders until yesterday,
// which are of two years, and of the last whole month. It waits until the roll-ups have every order.
func (d *demo) generated(ctx context.Context, site scenario.Site) ([]scenario.Step, error) {
	_, body, err := scenario.Step{Method: http.MethodGet, Path: site.Devstack + "/sandbox/truth?shop=${shop}", Want: http.StatusOK}.Do(ctx, site, d.vars)
	if err != nil {
		return nil, fmt.Errorf("ask the sandbox for its totals: %w", err)
	}
	type totals struct{ Orders int }
	var truth struct {
		totals
		Cancelled, Test totals
	}
	if err := json.Unmarshal(body, &truth); err != nil {
		return nil, fmt.Errorf("the sandbox's totals: %w", err)
	}
	// An order can be both cancelled and a test.
	least := truth.Orders - truth.Cancelled.Orders - truth.Test.Orders
	complete := func(got string) error {
		if orders, err := strconv.Atoi(got); err != nil || orders < least {
			return fmt.Errorf("%s orders, want %d or more", got, least)
		}
		return nil
	}
	month := time.Date(d.today.Year(), d.today.Month()-1, 1, 0, 0, 0, 0, time.UTC)
	query := func(from, to time.Time, granularity string) string {
		return "/api/analytics/dashboard?from=" + from.Format(time.DateOnly) + "&to=" + to.Format(time.DateOnly) + "&granularity=" + granularity + "&tz=UTC"
	}
	begin, yesterday := d.today.AddDate(-2, 0, -1), d.today.AddDate(0, 0, -1)
	rolledUp := scenario.Step{
		Method: http.MethodGet, Path: query(begin, d.today.AddDate(0, 0, 1), "month"), Want: http.StatusOK, Within: time.Minute,
		Has: map[string]any{"totals.orders": complete},
	}
	if _, _, err := rolledUp.Do(ctx, site, d.vars); err != nil {
		return nil, fmt.Errorf("wait for the last roll-up: %w", err)
	}
	return []scenario.Step{
		{Name: "the dashboard of all", Method: http.MethodGet, Path: query(begin, yesterday, "month"), Want: http.StatusOK},
		{Name: "the dashboard of " + month.Format("January 2006"), Method: http.MethodGet, Path: query(month, month.AddDate(0, 1, -1), "day"), Want: http.StatusOK},
	}, nil
}

// answer is what a question got, without what tells one sign-in or sync from another.
type answer struct {
	question string
	value    any
}

// volatile are the fields that may differ.
var volatile = []string{"as_of", "session_id"}

func newAnswer(question string, body []byte) (answer, error) {
	var fields map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return answer{}, fmt.Errorf("the answer to %q: %w", question, err)
	}
	for _, name := range volatile {
		delete(fields, name)
	}
	return answer{question, fields}, nil
}

// difference is where two answers differ first, and how, such as ".totals.orders: 1 instead of 2"; "" when there is none.
func difference(a, b any) string {
	list, isList := a.([]any)
	other, isOther := b.([]any)
	if isList && isOther && len(list) == len(other) {
		for i := range list {
			if at := difference(list[i], other[i]); at != "" {
				return "." + strconv.Itoa(i) + at
			}
		}
		return ""
	}
	fields, isObject := a.(map[string]any)
	others, areObjects := b.(map[string]any)
	if isObject && areObjects && len(fields) == len(others) {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			there, found := others[name]
			if !found {
				return "." + name + ": there is none in the other"
			}
			if at := difference(fields[name], there); at != "" {
				return "." + name + at
			}
		}
		return ""
	}
	if reflect.DeepEqual(a, b) {
		return ""
	}
	return fmt.Sprintf(": %v instead of %v", a, b)
}

// compared are the figures of the last table: what the answers to a question say at a path.
var compared = []struct{ question, path, label string }{
	{whoAmI, "organization.name", "organization"},
	{firstOrders, "items.0.number", "first order"},
	{"dashboard", "totals.orders", "orders"},
	{"dashboard", "totals.customers", "customers"},
	{"dashboard", "totals.revenue", "revenue"},
	{"dashboard", "totals.average_order_value", "average order value"},
}

// compare prints what the topologies answered and what they cost, side by side. Answers that differ are an
// error.
func (d *demo) compare() error {
	w := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	line := func(label string, cell func(shown) string) {
		fmt.Fprint(w, "  "+label)
		for _, s := range d.shown {
			fmt.Fprint(w, "\t"+cell(s))
		}
		fmt.Fprintln(w)
	}
	header := func(title string) {
		fmt.Fprintf(w, "\n%s\n\n", title)
		line("", func(s shown) string { return s.topology })
	}
	header("What they answered")
	var different []error
	for n, a := range d.shown[0].answers {
		for _, c := range compared {
			if strings.Contains(a.question, c.question) {
				line(a.question+": "+c.label, func(s shown) string {
					value, _ := scenario.At(s.answers[n].value, c.path)
					return cut(value, maxString)
				})
			}
		}
		line(a.question+": the whole answer", func(s shown) string {
			if s.topology == d.shown[0].topology {
				return "-"
			}
			at := difference(s.answers[n].value, a.value)
			if at == "" {
				return "the same"
			}
			different = append(different, fmt.Errorf("%s: %s answers otherwise than %s at %s", a.question, s.topology, d.shown[0].topology, at))
			return "DIFFERENT"
		})
	}
	header("What it cost")
	for n, c := range d.shown[0].costs {
		line(c.label, func(s shown) string { return s.costs[n].value })
	}
	if err := w.Flush(); err != nil {
		return err
	}
	load, err := measure.Load()
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nTimes of requests are medians of %d, one after the other. Memory is what processes hold resident. The load average was %.1f.\n", rounds, load)
	return errors.Join(different...)
}
