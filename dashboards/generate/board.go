package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// tag marks the dashboards that link to each other.
const tag = "tandem"

// source is the data source that the reader of a dashboard has chosen.
var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

// board begins a dashboard. Its uid is what links and bookmarks are made of: it never changes.
func board(uid, title, description string) *dashboard.DashboardBuilder {
	return dashboard.NewDashboardBuilder(title).
		Uid(uid).Description(description).Tags([]string{tag}).
		Time("now-1h", "now").Refresh("30s").Timezone("browser").Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Link(dashboard.NewDashboardLinkBuilder("Tandem").Type(dashboard.DashboardLinkTypeDashboards).
			Tags([]string{tag}).AsDropdown(true).KeepTime(true).IncludeVars(true)).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus"))
}

// choice is a variable with the values that a label has, all of them unless the reader chooses.
func choice(name, label, values string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).Label(label).Datasource(source).
		Query(dashboard.StringOrMap{String: cog.ToPtr(values)}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
		Multi(true).IncludeAll(true).AllValue(".*").
		Current(dashboard.VariableOption{
			Text: dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}}, Value: dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}},
		})
}

// query is an expression, and how its series are called.
type query struct{ expr, legend string }

func (q query) build() *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Datasource(source).Expr(q.expr).LegendFormat(q.legend).
		EditorMode(prometheus.QueryEditorModeCode).Range()
}

// panel is one chart of a row.
type panel struct {
	title, description string
	unit               string
	width              uint32 // of 24; 8 when zero
	queries            []query
	stacked            bool
	// exemplars shows the traces behind single values.
	exemplars bool
	// heat draws the buckets of the one query, whose legend is the bucket's bound.
	heat bool
	// rows is a table of the values now, one row a series.
	rows bool
}

func targets(p panel) []cog.Builder[variants.Dataquery] {
	var list []cog.Builder[variants.Dataquery]
	for i, q := range p.queries {
		t := q.build().RefId(string(rune('A' + i)))
		switch {
		case p.heat:
			t.Format(prometheus.PromQueryFormatHeatmap)
		case p.rows:
			t = prometheus.NewDataqueryBuilder().Datasource(source).Expr(q.expr).RefId(string(rune('A' + i))).
				EditorMode(prometheus.QueryEditorModeCode).Format(prometheus.PromQueryFormatTable).Instant()
		case p.exemplars:
			t.Exemplar(true)
		}
		list = append(list, t)
	}
	return list
}

const height = 8

func (p panel) build() cog.Builder[dashboard.Panel] {
	width := p.width
	if width == 0 {
		width = 8
	}
	switch {
	case p.heat:
		return heatmap.NewPanelBuilder().Title(p.title).Description(p.description).Datasource(source).
			Height(height).Span(width).Targets(targets(p)).YAxis(heatmap.NewYAxisConfigBuilder().Unit(p.unit)).ExemplarsColor("rgba(255,0,255,0.7)")
	case p.rows:
		return table.NewPanelBuilder().Title(p.title).Description(p.description).Datasource(source).
			Height(height).Span(width).Targets(targets(p)).Unit(p.unit)
	}
	b := timeseries.NewPanelBuilder().Title(p.title).Description(p.description).Datasource(source).
		Height(height).Span(width).Targets(targets(p)).Unit(p.unit).Min(0).FillOpacity(10).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	if p.stacked {
		b.Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal))
	}
	return b
}

// row adds a titled row of panels.
func row(b *dashboard.DashboardBuilder, title string, panels ...panel) {
	b.WithRow(dashboard.NewRowBuilder(title))
	for _, p := range panels {
		b.WithPanel(p.build())
	}
}

// number gives panels ids in the order of the dashboard, which exemplars and links to one panel need.
func number(d *dashboard.Dashboard) {
	for i := range d.Panels {
		id := uint32(i + 1)
		if p := d.Panels[i].Panel; p != nil {
			p.Id = &id
		} else {
			d.Panels[i].RowPanel.Id = id
		}
	}
}

const (
	perSecond = units.RequestsPerSecond
	ops       = units.OpsPerSecond
	seconds   = units.Seconds
	percent   = units.PercentUnit
	bytesUnit = units.BytesIEC
	count     = units.Short
)

// rate is what is counted a second of selector, by labels.
func rate(selector, labels string) string {
	return "sum by (" + labels + ") (rate(" + selector + "[$__rate_interval]))"
}

// quantile of a histogram, given without _bucket, by further labels.
func quantile(q, name, matchers, labels string) string {
	by := "le"
	if labels != "" {
		by += ", " + labels
	}
	return "histogram_quantile(" + q + ", " + rate(name+"_bucket{"+matchers+"}", by) + ")"
}

// mean of a histogram by labels.
func mean(name, matchers, labels string) string {
	return rate(name+"_sum{"+matchers+"}", labels) + " / " + rate(name+"_count{"+matchers+"}", labels)
}
