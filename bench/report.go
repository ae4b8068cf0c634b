package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// report is all that is published. Its JSON is docs/benchmarks.json.
type report struct {
	Cores    int               `json:"cores"`
	System   string            `json:"system"`
	Load     float64           `json:"load_average_at_start"`
	Versions map[string]string `json:"versions"`
	Peers    []string          `json:"peers"` // Albion first
	Plan     plan              `json:"plan"`
	Works    []reported        `json:"works"`
}

// reported is one work with what came of it.
type reported struct {
	ID      string              `json:"id"`
	Title   string              `json:"title"`
	Metric  metric              `json:"metric"`
	Verdict verdict             `json:"verdict"`
	Samples map[string][]sample `json:"samples"` // by peer, in the order of the rounds

	Repeated int      `json:"rounds_repeated,omitempty"` // that failed at first
	LeftOut  []string `json:"left_out,omitempty"`        // peers, and why
}

// put adds a work that has been measured, or replaces what was known of it, and
// keeps the order of all works.
func (r *report) put(w *work, d *done) {
	fresh := reported{w.ID, w.Title, w.Metric, judge(w, d.samples), d.samples, d.repeated, d.leftOut}
	if i := slices.IndexFunc(r.Works, func(old reported) bool { return old.ID == w.ID }); i >= 0 {
		r.Works[i] = fresh
		return
	}
	r.Works = append(r.Works, fresh)
	order := map[string]int{}
	for i, w := range works(r.Plan) {
		order[w.ID] = i
	}
	slices.SortStableFunc(r.Works, func(a, b reported) int { return order[a.ID] - order[b.ID] })
}

// of is what is known of a work; nil when nothing is.
func (r *report) of(id string) *reported {
	for i := range r.Works {
		if r.Works[i].ID == id {
			return &r.Works[i]
		}
	}
	return nil
}

// reportFile is the report that a later run can add to.
const reportFile = "benchmarks.json"

// join takes over what an earlier run wrote into dir, if there is something.
// Numbers of other programs, of another machine or of another plan do not belong
// into one table.
func (r *report) join(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, reportFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	var old report
	if err := json.Unmarshal(data, &old); err != nil {
		return fmt.Errorf("bench: %s in %s: %w", reportFile, dir, err)
	}
	for what, same := range map[string]bool{
		"other versions": maps.Equal(old.Versions, r.Versions), "other peers": slices.Equal(old.Peers, r.Peers),
		"another machine": old.Cores == r.Cores && old.System == r.System, "another plan": old.Plan == r.Plan,
	} {
		if !same {
			return fmt.Errorf("bench: %s in %s is of %s: measure all anew, without -merge and -resume", reportFile, dir, what)
		}
	}
	r.Load, r.Works = max(r.Load, old.Load), old.Works
	return nil
}

// print writes the table for whoever watches.
func (r *report) print(out io.Writer) error {
	text := r.table()
	if r.noisy() != "" {
		text += "\n" + r.noisy() + "\n"
	}
	_, err := io.WriteString(out, text)
	return err
}

// publish writes the files into dir, unless it is "" or nothing was measured.
func (r *report) publish(dir string) error {
	if dir == "" || len(r.Works) == 0 {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		reportFile: string(data) + "\n", "benchmarks.svg": r.chart(), "benchmarks.md": r.page(),
	} {
		if err := replaceFile(filepath.Join(dir, name), []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// noisy says when the machine was too busy for the numbers to be trusted; "" when
// not.
func (r *report) noisy() string {
	var why []string
	if limit := .5 * float64(r.Cores); r.Load > limit {
		why = append(why, fmt.Sprintf("the load average was %.1f at the start", r.Load))
	}
	unsteady, disturbed, repeated, most := 0, 0, 0, 0.0
	for _, w := range r.Works {
		if w.Verdict.Spread > noisy {
			unsteady++
		}
		if w.Verdict.Foreign > foreignNoise {
			disturbed++
		}
		most = max(most, w.Verdict.Foreign)
		repeated += w.Repeated
	}
	if unsteady > len(r.Works)/4 {
		why = append(why, fmt.Sprintf("%d of %d works differed by more than %.0f %% from round to round", unsteady, len(r.Works), 100*noisy))
	}
	if disturbed > 0 {
		why = append(why, fmt.Sprintf("other programs took up to %.0f %% of the processors in %d of %d works", 100*most, disturbed, len(r.Works)))
	}
	if repeated > 0 {
		why = append(why, fmt.Sprintf("%d rounds failed and were repeated", repeated))
	}
	if r.Plan.Rounds < 3 {
		why = append(why, "there were fewer than three rounds")
	}
	if len(why) == 0 {
		return ""
	}
	return "**Too noisy to conclude from:** " + strings.Join(why, "; ") + "."
}

// number writes a value with about three digits.
func number(v float64) string {
	switch {
	case v <= 0:
		return "–"
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return count(int(v + .5))
}

// table is the comparison, in Markdown.
func (r *report) table() string {
	var b strings.Builder
	b.WriteString("| work | unit |")
	for _, p := range r.Peers {
		b.WriteString(" " + p + " |")
	}
	b.WriteString(" ratio | goal | met | spread |\n|---|---|" + strings.Repeat("--:|", len(r.Peers)) + "--:|--:|---|--:|\n")
	for _, w := range r.Works {
		fmt.Fprintf(&b, "| %s | %s |", w.Title, unit(w.Metric))
		for _, p := range r.Peers {
			text := number(median(values(w.Samples[p])))
			if w.Verdict.BestName == p || p == "Albion" {
				text = "**" + text + "**"
			}
			b.WriteString(" " + text + " |")
		}
		v := w.Verdict
		fmt.Fprintf(&b, " %s | %s | %s | %.0f %%%s |\n", number(v.Ratio), goal(v.Goal), met(v), 100*v.Spread, doubt(v))
	}
	return b.String()
}

func unit(m metric) string {
	switch m {
	case perOperation:
		return "µs CPU"
	case perTunnel:
		return "KiB"
	case tail:
		return "ms"
	}
	return "per second"
}

func goal(g float64) string {
	if g == 0 {
		return ""
	}
	return fmt.Sprintf("≤ %.2f", g)
}

// met says whether the goals of a work are reached, in a word or two.
func met(v verdict) string {
	switch {
	case v.Goal == 0:
		return ""
	case v.Ratio == 0:
		return "not measured"
	case !v.Met:
		return "**no**"
	case v.Caddy > 0 && !v.CaddyMet:
		return "yes, but not against Caddy"
	}
	return "yes"
}

// doubt marks a comparison that says little.
func doubt(v verdict) string {
	if v.Noisy {
		return " (!)"
	}
	return ""
}

// losses are the works in which somebody is ahead or a goal is missed.
func (r *report) losses() []string {
	var all []string
	for _, w := range r.Works {
		v := w.Verdict
		for _, f := range w.LeftOut {
			all = append(all, "- "+w.Title+": "+f+", and was left out.")
		}
		switch {
		case v.Ratio > 1:
			all = append(all, fmt.Sprintf("- %s: %s is ahead, %s against %s %s.", w.Title, v.BestName, number(v.Best), number(v.Ours), unit(w.Metric)))
		case v.Goal > 0 && v.Ratio > v.Goal:
			all = append(all, fmt.Sprintf("- %s: ahead of %s, but %.2f is not the goal of %.2f.", w.Title, v.BestName, v.Ratio, v.Goal))
		}
		if v.Goal > 0 && v.Caddy > 0 && !v.CaddyMet {
			all = append(all, fmt.Sprintf("- %s: %.2f times Caddy, and the goal is %.2f.", w.Title, v.Caddy, caddyGoal))
		}
		for _, p := range r.Peers {
			if failed := failures(w.Samples[p]); failed > 0 {
				all = append(all, fmt.Sprintf("- %s: %s left %s requests without their answer.", w.Title, p, count(failed)))
			}
		}
	}
	return all
}

func failures(samples []sample) (n int) {
	for _, s := range samples {
		n += s.Failed
	}
	return n
}

// details is a table of everything else that was measured.
func (r *report) details() string {
	var b strings.Builder
	b.WriteString("| work | | operations/s | p50 ms | p99 ms | p99.9 ms | CPU µs | load's CPU µs | resident MiB | start ms | unanswered | others |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, w := range r.Works {
		for _, p := range r.Peers {
			s := w.Samples[p]
			if len(s) == 0 {
				continue
			}
			of := func(f func(sample) float64) string { return number(median(each(s, f))) }
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %d | %.0f %% |\n", w.ID, p,
				of(func(s sample) float64 { return s.Rate }), of(func(s sample) float64 { return s.P50 }),
				of(func(s sample) float64 { return s.P99 }), of(func(s sample) float64 { return s.P999 }),
				of(func(s sample) float64 { return s.CPU }), of(func(s sample) float64 { return s.Around }),
				of(func(s sample) float64 { return s.Memory }), of(func(s sample) float64 { return s.Start }), failures(s),
				100*slices.Max(each(s, func(s sample) float64 { return s.Foreign })))
		}
	}
	return b.String()
}

// versions lists them, in the order of the peers.
func (r *report) versions() string {
	names := append(slices.Clone(r.Peers), "Go")
	for i, name := range names {
		names[i] = name + " " + r.Versions[name]
	}
	return strings.Join(names, ", ")
}
