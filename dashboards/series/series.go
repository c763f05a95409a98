// Package series reads the dashboards and tells which series their panels and variables want, so that tests can look
// whether a process has them.
package series

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Query is an expression of a panel, or the query of a variable.
type Query struct {
	// Where names dashboard and panel.
	Where string
	Expr  string
	// Legend names the series, with labels as {{label}}.
	Legend string
}

// Read reads the queries of the dashboards in a folder.
func Read(folder string) ([]Query, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no dashboards in %s: %w", folder, err)
	}
	var all []Query
	for _, path := range paths {
		body, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read dashboard: %w", err)
		}
		var d struct {
			Title  string
			Panels []struct {
				Type, Title string
				Targets     []struct {
					Expr   string
					Legend string `json:"legendFormat"`
				}
			}
			Templating struct {
				List []struct {
					Name, Type string
					Query      any
				}
			}
		}
		if err := json.Unmarshal(body, &d); err != nil {
			return nil, fmt.Errorf("dashboard %s: %w", path, err)
		}
		for _, p := range d.Panels {
			if p.Type != "row" && len(p.Targets) == 0 {
				return nil, fmt.Errorf("dashboard %s: panel %s has no query", path, p.Title)
			}
			for _, t := range p.Targets {
				all = append(all, Query{d.Title + ": " + p.Title, t.Expr, t.Legend})
			}
		}
		for _, v := range d.Templating.List {
			if v.Type != "query" {
				continue
			}
			text, ok := v.Query.(string)
			if !ok {
				return nil, fmt.Errorf("dashboard %s: variable %s has query %v", path, v.Name, v.Query)
			}
			expr, err := ofVariable(text)
			if err != nil {
				return nil, fmt.Errorf("dashboard %s: variable %s: %w", path, v.Name, err)
			}
			all = append(all, Query{Where: d.Title + ": variable " + v.Name, Expr: expr})
		}
	}
	return all, nil
}

var labelValues = regexp.MustCompile(`^label_values\((.+), *(\w+)\)$`)

// ofVariable is an expression that has the labels of label_values(selector, label), a function of Grafana alone.
func ofVariable(text string) (string, error) {
	m := labelValues.FindStringSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%q is not label_values(selector, label)", text)
	}
	return "group by (" + m[2] + ") (" + m[1] + ")", nil
}

// Parse parses a query as Grafana sends it when the reader has chosen nothing.
func (q Query) Parse() (parser.Expr, error) {
	text := strings.ReplaceAll(q.Expr, "$__rate_interval", "5m")
	text = regexp.MustCompile(`=~"\$\w+"`).ReplaceAllString(text, `=~".*"`)
	if strings.Contains(text, "$") {
		return nil, fmt.Errorf("%s: %s has a variable that is no choice", q.Where, q.Expr)
	}
	expr, err := parser.ParseExpr(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", q.Where, q.Expr, err)
	}
	return expr, nil
}

var inLegend = regexp.MustCompile(`\{\{(\w+)\}\}`)

// Labels are those that the legend names and those that the expression puts series together by.
func (q Query) Labels(expr parser.Expr) []string {
	var names []string
	for _, m := range inLegend.FindAllStringSubmatch(q.Legend, -1) {
		names = append(names, m[1])
	}
	for {
		switch e := expr.(type) {
		case *parser.ParenExpr:
			expr = e.Expr
		case *parser.BinaryExpr:
			expr = e.LHS
		case *parser.AggregateExpr:
			if e.Op == parser.TOPK {
				expr = e.Expr
				continue
			}
			if !e.Without {
				names = append(names, e.Grouping...)
			}
			return names
		default:
			return names
		}
	}
}

// Names are what the legend calls the series with these labels, each once.
func (q Query) Names(found []map[string]string) []string {
	names := map[string]bool{}
	for _, l := range found {
		names[inLegend.ReplaceAllStringFunc(q.Legend, func(label string) string { return l[strings.Trim(label, "{}")] })] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Parts are the expressions that tell what a rule looks at, without the conditions under which it fires.
func Parts(expr parser.Expr) []parser.Expr {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return Parts(e.Expr)
	case *parser.BinaryExpr:
		switch {
		case e.Op.IsSetOperator():
			return append(Parts(e.LHS), Parts(e.RHS)...)
		case e.Op.IsComparisonOperator():
			return Parts(e.LHS)
		}
	}
	return []parser.Expr{expr}
}

// Exposed are the series of one process, each with the labels of its target, or those that Prometheus has.
type Exposed []labels.Labels

// Scraped reads what a process exposes in Prometheus' text format, and adds its target's labels. A series' own label of the
// same name is renamed, as Prometheus does without honor_labels.
func Scraped(r io.Reader, target map[string]string) (Exposed, error) {
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(r)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	var all Exposed
	for _, f := range families {
		samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, f)
		if err != nil {
			return nil, fmt.Errorf("read metric %s: %w", f.GetName(), err)
		}
		for _, s := range samples {
			set := map[string]string{}
			for name, value := range s.Metric {
				if _, taken := target[string(name)]; taken {
					name = model.ExportedLabelPrefix + name
				}
				set[string(name)] = string(value)
			}
			maps.Copy(set, target)
			all = append(all, labels.FromMap(set))
		}
	}
	return all, nil
}

// Has tells whether a selector finds a series.
func (e Exposed) Has(s *parser.VectorSelector) bool { return len(e.find(s)) > 0 }

func (e Exposed) find(s *parser.VectorSelector) Exposed {
	var found Exposed
	for _, series := range e {
		if !slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool { return !m.Matches(series.Get(m.Name)) }) {
			found = append(found, series)
		}
	}
	return found
}

// Missing are the names of what a selector needs, and the labels that its expression puts series together by, that no
// series of its metric has.
func (e Exposed) Missing(s *parser.VectorSelector, by []string) error {
	metric := e.find(&parser.VectorSelector{LabelMatchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, s.Name)}})
	if len(metric) == 0 {
		return fmt.Errorf("there is no metric %s", s.Name)
	}
	wanted := slices.Clone(by)
	for _, m := range s.LabelMatchers {
		wanted = append(wanted, m.Name)
	}
	var missing []error
	for _, label := range wanted {
		if !slices.ContainsFunc(metric, func(l labels.Labels) bool { return l.Has(label) }) {
			missing = append(missing, fmt.Errorf("metric %s has no label %s", s.Name, label))
		}
	}
	return errors.Join(missing...)
}

// Selector is a selector of an expression with the labels that the aggregations around it keep.
type Selector struct {
	*parser.VectorSelector
	By []string
}

// Selectors are those of an expression.
func Selectors(expr parser.Expr) []Selector {
	var all []Selector
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		s, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		var by []string
		for _, around := range path {
			if a, ok := around.(*parser.AggregateExpr); ok && !a.Without {
				by = append(by, a.Grouping...)
			}
		}
		all = append(all, Selector{s, by})
		return nil
	})
	return all
}

// OfSidecar tells whether a selector is of what sidecars expose.
func (s Selector) OfSidecar() bool {
	return strings.HasPrefix(s.Name, "dapr_") || slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool {
		return m.Name == "part" && m.Value == "sidecar"
	})
}
