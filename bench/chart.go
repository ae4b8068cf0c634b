package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Measures of the chart, in pixels.
const (
	chartWidth = 960
	labelRight = 452 // where titles end
	plotLeft   = 476
	plotRight  = 890
	numberLeft = 906
	chartTop   = 96
	rowHeight  = 24
	groupGap   = 30
)

// The scale is logarithmic: twice as much is as far to the right of 1 as half as
// much is to the left. What is beyond its ends stands at its ends.
const (
	scaleLow  = .125
	scaleHigh = 16.0
)

// place is where a ratio stands.
func place(ratio float64) float64 {
	ratio = min(max(ratio, scaleLow), scaleHigh)
	share := math.Log(ratio/scaleLow) / math.Log(scaleHigh/scaleLow)
	return plotLeft + share*(plotRight-plotLeft)
}

// groups are the headings of the chart, by the first work below each.
var groups = []struct{ before, title string }{
	{"https-1", "HTTPS/1.1 and HTTP/1.1"},
	{"h2-1", "HTTP/2"},
	{"mib-down", "Large bodies"},
	{"tls-full", "Connections and tunnels"},
	{"rules", "Size and change"},
}

const chartStyle = `
text { font: 12.5px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
.title { font-size: 17px; font-weight: 650 }
.sub, .axis, .others { fill: #6e7781 }
.sub { font-size: 12.5px }
.axis { font-size: 10.5px }
.group { font-weight: 650; font-size: 12.5px }
.ratio { font-weight: 650; font-variant-numeric: tabular-nums }
.grid { stroke: #d0d7de; stroke-width: 1 }
.one { stroke: #57606a; stroke-width: 1.5 }
.span { stroke: #d0d7de; stroke-width: 3; stroke-linecap: round }
.goal { fill: #1a7f37; opacity: .13 }
.ahead { fill: #1a7f37 }
.behind { fill: #bc4c00 }
.Albion { fill: #0969da }
.nginx { fill: #2da44e }
.HAProxy { fill: #d4a72c }
.Caddy { fill: #8250df }
circle { stroke: #fff; stroke-width: 1.5 }
.ground { fill: #fff }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.sub, .axis, .others { fill: #8d96a0 }
.grid, .span { stroke: #30363d }
.one { stroke: #8d96a0 }
.goal { fill: #3fb950; opacity: .2 }
.ahead { fill: #3fb950 }
.behind { fill: #f0883e }
.Albion { fill: #58a6ff }
circle { stroke: #0d1117 }
.ground { fill: #0d1117 }
}
`

// chart draws a row for each work: where everybody stands, relative to the better
// of nginx and HAProxy. The further left, the less it costs.
func (r *report) chart() string {
	var rows strings.Builder
	y := chartTop
	for _, w := range r.Works {
		if w.Verdict.Best <= 0 {
			continue
		}
		for _, g := range groups {
			if g.before == w.ID {
				y += groupGap
				fmt.Fprintf(&rows, "<text class=\"group\" x=\"24\" y=\"%d\">%s</text>\n", y-8, g.title)
			}
		}
		r.row(&rows, w, y)
		y += rowHeight
	}
	bottom := y + 8
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" role="img" aria-label="Cost of each work relative to the better of nginx and HAProxy; further left is better">
<style>%[3]s</style>
<rect class="ground" width="%[1]d" height="%[2]d" rx="8"/>
<text class="title" x="24" y="34">What each work costs, relative to the better of nginx and HAProxy</text>
<text class="sub" x="24" y="54">processor time, memory of tunnels, p99 or time for each change: the further left, the better; shaded: the goal</text>
%[4]s%[5]s%[6]s</svg>
`, chartWidth, bottom+28, chartStyle, r.legend(), grid(bottom), rows.String())
}

func (r *report) legend() string {
	var b strings.Builder
	for i, p := range r.Peers {
		x := 30 + i*92
		fmt.Fprintf(&b, "<circle class=\"%[1]s\" cx=\"%[2]d\" cy=\"76\" r=\"6\"/><text x=\"%[3]d\" y=\"80\">%[1]s</text>\n", html.EscapeString(p), x, x+12)
	}
	return b.String()
}

// grid draws the scale.
func grid(bottom int) string {
	var b strings.Builder
	for _, v := range []float64{.125, .25, .5, 1, 2, 4, 8, 16} {
		class := "grid"
		if v == 1 {
			class = "one"
		}
		x := place(v)
		fmt.Fprintf(&b, "<line class=\"%s\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>", class, x, chartTop-4, x, bottom)
		for _, y := range []int{chartTop - 10, bottom + 15} {
			fmt.Fprintf(&b, "<text class=\"axis\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%v×</text>", x, y, v)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// row draws one work at y.
func (r *report) row(b *strings.Builder, w reported, y int) {
	middle := y + rowHeight/2
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", labelRight, middle+4, html.EscapeString(shortened(w.Title)))
	if g := w.Verdict.Goal; g > 0 {
		fmt.Fprintf(b, "<rect class=\"goal\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n", plotLeft, y+3, place(g)-plotLeft, rowHeight-6)
	}
	low, high := scaleHigh, scaleLow
	dots := ""
	for i := range r.Peers {
		p := r.Peers[len(r.Peers)-1-i] // Albion last, above the others
		share := ratio(w.Metric, median(values(w.Samples[p])), w.Verdict.Best)
		if share == 0 {
			continue
		}
		low, high = min(low, share), max(high, share)
		radius := 5.0
		if p == "Albion" {
			radius = 7
		}
		dots += fmt.Sprintf("<circle class=\"%s\" cx=\"%.1f\" cy=\"%d\" r=\"%v\"><title>%s: %s %s, %.2f×</title></circle>\n",
			html.EscapeString(p), place(share), middle, radius, html.EscapeString(p), number(median(values(w.Samples[p]))), unit(w.Metric), share)
	}
	fmt.Fprintf(b, "<line class=\"span\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n%s", place(low), middle, place(high), middle, dots)
	class := "ahead"
	if w.Verdict.Ratio > 1 {
		class = "behind"
	}
	if w.Verdict.Ratio > 0 {
		fmt.Fprintf(b, "<text class=\"ratio %s\" x=\"%d\" y=\"%d\">%.2f</text>\n", class, numberLeft, middle+4, w.Verdict.Ratio)
	}
}

// shortened keeps a title within its column.
func shortened(title string) string {
	const most = 66
	if runes := []rune(title); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return title
}
