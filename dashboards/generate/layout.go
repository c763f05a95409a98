package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
)

// sketch is what the picture of a dashboard's layout is drawn from: its JSON.
type sketch struct {
	Title, Refresh string
	Time           struct{ From, To string }
	Templating     struct {
		List []struct{ Name, Label string }
	}
	Panels []struct {
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
		FieldConfig struct{ Defaults struct{ Unit string } }
		Targets     []struct{ LegendFormat string }
	}
}

// Sizes of the picture in pixels. Grafana's grid has 24 columns.
const (
	columns   = 24
	column    = 50
	unit      = 15
	gap       = 8
	top       = 64
	character = 6.2 // of the small text, on average
)

// unitNames are the units of the panels as a reader says them.
var unitNames = map[string]string{
	"short": "number", "reqps": "requests/s", "ops": "per second", "s": "seconds", "bytes": "bytes", "percentunit": "share", "percent": "%",
}

var legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// layout draws where a dashboard's panels are, and what kind they are, as SVG. It has no figures: those are of a running system.
func layout(dashboard []byte) ([]byte, error) {
	var d sketch
	if err := json.Unmarshal(dashboard, &d); err != nil {
		return nil, fmt.Errorf("read the dashboard: %w", err)
	}
	height := 0
	for _, p := range d.Panels {
		height = max(height, top+(p.GridPos.Y+p.GridPos.H)*unit+gap)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title desc">
<title id="title">Layout of the dashboard %[3]s</title>
<desc id="desc">The panels of the dashboard, each at its place with its title, its kind and its unit. It shows no data.</desc>
<style>
  text { font: 11px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #9a9aa8; }
  .name { font-size: 17px; font-weight: 600; fill: #e6e6ee; } .row { font-size: 13px; font-weight: 600; fill: #d0d0dc; } .panel { font-size: 12px; font-weight: 600; fill: #d0d0dc; }
  .ground { fill: #111217; } .box { fill: #181b1f; stroke: #2c3038; } .chip { fill: #22252b; stroke: #34383f; } .grid { stroke: #2a2e36; } .axis { stroke: #464c58; }
  .head { fill: #22252b; } .key { fill: #5794f2; } .more { fill: #ff9830; }
</style>
<rect class="ground" width="%[1]d" height="%[2]d" rx="6"/>
<text class="name" x="%[4]d" y="34">%[3]s</text>
`, columns*column, height, html.EscapeString(d.Title), 2*gap)
	d.drawChoices(&out)
	for _, p := range d.Panels {
		x, y := p.GridPos.X*column, top+p.GridPos.Y*unit
		w, h := p.GridPos.W*column, p.GridPos.H*unit
		if p.Type == "row" {
			fmt.Fprintf(&out, "<path class=\"axis\" fill=\"none\" d=\"M%d %dl4 4 4-4\"/><text class=\"row\" x=\"%d\" y=\"%d\">%s</text>\n",
				x+2*gap, y+5, x+4*gap, y+12, html.EscapeString(p.Title))
			continue
		}
		fmt.Fprintf(&out, "<rect class=\"box\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\"/><text class=\"panel\" x=\"%d\" y=\"%d\">%s</text>\n",
			x+gap/2, y+gap/2, w-gap, h-gap, x+2*gap, y+23, html.EscapeString(p.Title))
		left, right, upper, lower := x+2*gap, x+w-2*gap, y+34, y+h-2*gap
		said := p.Type
		switch p.Type {
		case "table":
			fmt.Fprintf(&out, "<rect class=\"head\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"14\"/>\n", left, upper, right-left)
			for line := upper + 29; line < lower; line += 15 {
				fmt.Fprintf(&out, "<path class=\"grid\" d=\"M%d %dH%d\"/>\n", left, line, right)
			}
			drawText(&out, left+4, upper+11, right-left-8, said)
		default:
			if p.Type == "timeseries" {
				said = "time series"
			}
			lower -= 12
			for i := range 4 {
				class := "grid"
				if i == 3 {
					class = "axis"
				}
				fmt.Fprintf(&out, "<path class=\"%s\" d=\"M%d %dH%d\"/>\n", class, left, upper+i*(lower-upper)/3, right)
			}
			if name := unitNames[p.FieldConfig.Defaults.Unit]; name != "" {
				said += ", " + name
			}
			drawText(&out, left, upper+12, right-left, said)
			var keys []string
			for _, t := range p.Targets {
				keys = append(keys, strings.TrimSpace(legendLabel.ReplaceAllString(t.LegendFormat, "‹$1›")))
			}
			at := left
			for i, key := range slices.Compact(keys) {
				class := "key"
				if i > 0 {
					class = "more"
				}
				fmt.Fprintf(&out, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"10\" height=\"3\"/>", class, at, lower+11)
				at += 14 + drawText(&out, at+14, lower+15, right-at-14, key) + 2*gap
			}
		}
	}
	out.WriteString("</svg>\n")
	return out.Bytes(), nil
}

// drawChoices draws what the reader chooses, from the right.
func (d sketch) drawChoices(out *bytes.Buffer) {
	chips := []string{}
	for _, v := range d.Templating.List {
		chips = append(chips, v.Label)
	}
	chips = append(chips, strings.Replace(d.Time.From, "now-", "last ", 1)+", every "+d.Refresh)
	right := columns*column - 2*gap
	for _, chip := range slices.Backward(chips) {
		w := int(float64(len([]rune(chip)))*character) + 2*gap
		right -= w
		fmt.Fprintf(out, "<rect class=\"chip\" x=\"%d\" y=\"18\" width=\"%d\" height=\"24\" rx=\"3\"/><text x=\"%d\" y=\"34\">%s</text>\n",
			right, w, right+gap, html.EscapeString(chip))
		right -= gap
	}
}

// drawText writes text, cut to what fits into w pixels, and tells how wide it is.
func drawText(out *bytes.Buffer, x, y, w int, text string) int {
	letters := []rune(text)
	if fit := int(float64(w) / character); len(letters) > fit && fit > 1 {
		letters = append(letters[:fit-1], '…')
	}
	fmt.Fprintf(out, "<text x=\"%d\" y=\"%d\">%s</text>\n", x, y, html.EscapeString(string(letters)))
	return int(float64(len(letters)) * character)
}
