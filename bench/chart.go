package main

import (
	"fmt"
	"html"
	"strings"
)

// Measures of the chart, in pixels.
const (
	chartWidth = 920
	labelWidth = 400
	barHeight  = 10
	barGap     = 2
	workGap    = 12
	chartTop   = 64
)

// chartLimit is the ratio at which bars end; what is more is said in a number.
const chartLimit = 3.0

// colours are told apart on light and dark ground, and by most who see colours
// differently.
func colour(peer string) string {
	switch peer {
	case "Albion":
		return "#0b84d8"
	case "nginx":
		return "#3f9c5a"
	case "HAProxy":
		return "#c77700"
	}
	return "#8a7fb5"
}

// chart draws every work as bars, relative to the better of nginx and HAProxy:
// shorter is better.
func (r *report) chart() string {
	var b strings.Builder
	y := chartTop
	for _, w := range r.Works {
		if w.Verdict.Best > 0 {
			y = r.bars(&b, w, y)
		}
	}
	scale := float64(chartWidth-labelWidth-60) / chartLimit
	one := labelWidth + int(scale)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" role="img" aria-label="Cost of each work, relative to the better of nginx and HAProxy; shorter is better">
<style>
text { font: 12px system-ui, sans-serif; fill: #333 }
.title { font-weight: 600; font-size: 14px }
.small { font-size: 9px }
line { stroke: #888; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } }
</style>
<text class="title" x="10" y="20">Cost relative to the better of nginx and HAProxy: shorter is better</text>
%[3]s<line x1="%[4]d" y1="52" x2="%[4]d" y2="%[2]d"/>
<text class="small" x="%[4]d" y="50" text-anchor="middle">1.0</text>
%[5]s</svg>
`, chartWidth, y+4, r.legend(), one, b.String())
}

func (r *report) legend() string {
	var b strings.Builder
	for i, p := range r.Peers {
		fmt.Fprintf(&b, "<rect x=\"%d\" y=\"30\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%d\" y=\"40\">%s</text>\n", 10+i*90, colour(p), 26+i*90, html.EscapeString(p))
	}
	return b.String()
}

// bars draws one work from y downwards, and returns where the next one begins.
func (r *report) bars(b *strings.Builder, w reported, y int) int {
	scale := float64(chartWidth-labelWidth-60) / chartLimit
	height := 0
	for _, p := range r.Peers {
		share := ratio(w.Metric, median(values(w.Samples[p])), w.Verdict.Best)
		if share == 0 {
			continue
		}
		fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>", labelWidth, y+height, min(share, chartLimit)*scale, barHeight, colour(p))
		fmt.Fprintf(b, "<text class=\"small\" x=\"%.1f\" y=\"%d\">%.2f</text>\n", labelWidth+4+min(share, chartLimit)*scale, y+height+barHeight-1, share)
		height += barHeight + barGap
	}
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", labelWidth-8, y+height/2+3, html.EscapeString(w.Title))
	return y + height + workGap
}
