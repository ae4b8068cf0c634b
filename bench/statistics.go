package main

import (
	"math"
	"slices"
)

// median of no values is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// spread is how far values lie apart, as a share of their median.
func spread(values []float64) float64 {
	m := median(values)
	if m == 0 {
		return 0
	}
	return (slices.Max(values) - slices.Min(values)) / math.Abs(m)
}

// values are those of all rounds, in the work's metric.
func values(samples []sample) []float64 {
	return each(samples, func(s sample) float64 { return s.Value })
}

func each(samples []sample, f func(sample) float64) []float64 {
	out := make([]float64, len(samples))
	for i, s := range samples {
		out[i] = f(s)
	}
	return out
}

// verdict compares Albion with others in one work.
type verdict struct {
	Ours     float64 `json:"albion"`
	Best     float64 `json:"best"` // of those that the goal speaks of
	BestName string  `json:"best_is"`
	Ratio    float64 `json:"ratio"` // less than 1: Albion is better; 0: cannot be said
	Caddy    float64 `json:"ratio_to_caddy"`
	Goal     float64 `json:"goal,omitempty"`
	Met      bool    `json:"met"`       // the goal
	CaddyMet bool    `json:"caddy_met"` // the one against Caddy
	Spread   float64 `json:"spread"`    // the largest of all peers
	Foreign  float64 `json:"foreign"`   // the largest share of the processors that others took in a round
	Noisy    bool    `json:"noisy"`
}

// A comparison says little when rounds differ by more than noisy, or when
// programs of no concern took more than foreignNoise of the processors.
const (
	noisy        = .15
	foreignNoise = .05
)

// judge says how Albion did in a work.
func judge(w *work, by map[string][]sample) verdict {
	v := verdict{Ours: median(values(by["Albion"])), Goal: w.Goal}
	for _, name := range []string{"nginx", "HAProxy"} {
		samples := by[name]
		if len(samples) == 0 || w.Than != "" && w.Than != name {
			continue
		}
		if m := median(values(samples)); v.BestName == "" || better(w.Metric, m, v.Best) {
			v.Best, v.BestName = m, name
		}
	}
	v.Ratio = ratio(w.Metric, v.Ours, v.Best)
	v.Caddy = ratio(w.Metric, v.Ours, median(values(by["Caddy"])))
	v.Met = v.Ratio > 0 && v.Ratio <= w.Goal
	v.CaddyMet = v.Caddy > 0 && v.Caddy <= caddyGoal
	for _, samples := range by {
		v.Spread = max(v.Spread, spread(values(samples)))
		for _, s := range samples {
			v.Foreign = max(v.Foreign, s.Foreign)
		}
	}
	v.Noisy = v.Spread > noisy || v.Foreign > foreignNoise
	return v
}

func better(m metric, a, b float64) bool {
	if m == perSecond {
		return a > b
	}
	return a < b
}

// ratio of a to b; turned over where more is better, so that less than 1 always
// is good for a. 0 when one of them is not known.
func ratio(m metric, a, b float64) float64 {
	if a <= 0 || b <= 0 {
		return 0
	}
	if m == perSecond {
		return b / a
	}
	return a / b
}
