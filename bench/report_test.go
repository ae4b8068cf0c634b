package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func exampleReport() *report {
	r := &report{
		Cores: 2, System: "Linux 6.1, amd64", Load: .1, Plan: fullPlan(), Peers: []string{"Albion", "nginx", "HAProxy", "Caddy"},
		Versions: map[string]string{"Albion": "v0.1.0", "nginx": "1.22.1", "HAProxy": "2.6.12", "Caddy": "v2.11.9", "Go": "go1.26"},
	}
	all := []work{
		{ID: "ahead", Title: "a work that is won", Metric: perOperation, Goal: .7},
		{ID: "missed", Title: "a goal that is missed", Metric: perOperation, Goal: .5},
		{ID: "lost", Title: "a work that is lost", Metric: tail, Goal: 1},
		{ID: "changes", Title: "more is better", Metric: perSecond},
	}
	samples := map[string]map[string][]sample{
		"ahead":   {"Albion": samplesOf(20, 21, 20), "nginx": samplesOf(35, 35, 35), "HAProxy": samplesOf(30, 31, 30), "Caddy": samplesOf(100, 100, 100)},
		"missed":  {"Albion": samplesOf(20, 21, 20), "nginx": samplesOf(35, 35, 35), "HAProxy": samplesOf(30, 31, 30), "Caddy": samplesOf(40, 41, 40)},
		"lost":    {"Albion": samplesOf(3, 3, 3), "nginx": samplesOf(2, 2, 2), "HAProxy": samplesOf(4, 4, 4)},
		"changes": {"Albion": samplesOf(30, 30, 30), "nginx": {{Value: 7, Failed: 1208}}, "HAProxy": samplesOf(4, 4, 4)},
	}
	for i := range all {
		r.put(&all[i], &done{samples: samples[all[i].ID]})
	}
	return r
}

func TestTable(t *testing.T) {
	table := exampleReport().table()
	for _, line := range []string{
		"| a work that is won | µs CPU | **20.0** | 35.0 | **30.0** | 100 | 0.67 | ≤ 0.70 | yes | 5 % |",
		"| a goal that is missed | µs CPU | **20.0** | 35.0 | **30.0** | 40.0 | 0.67 | ≤ 0.50 | **no** | 5 % |",
		"| a work that is lost | ms | **3.00** | **2.00** | 4.00 | – | 1.50 | ≤ 1.00 | **no** | 0 % |",
		"| more is better | per second | **30.0** | **7.00** | 4.00 | – | 0.23 |  |  | 0 % |",
	} {
		if !strings.Contains(table, line+"\n") {
			t.Errorf("missing: %s\nin\n%s", line, table)
		}
	}
}

func TestPageTellsWhereAlbionLoses(t *testing.T) {
	page := exampleReport().page()
	for _, words := range []string{
		"- a work that is lost: nginx is ahead, 2.00 against 3.00 ms.",
		"- a goal that is missed: ahead of HAProxy, but 0.67 is not the goal of 0.50.",
		"- a goal that is missed: 0.50 times Caddy, and the goal is 0.35.",
		"- more is better: nginx left 1,208 requests without their answer.",
		"Albion v0.1.0, nginx 1.22.1, HAProxy 2.6.12, Caddy v2.11.9, Go go1.26",
		"2 cores",
	} {
		if !strings.Contains(page, words) {
			t.Errorf("missing: %s", words)
		}
	}
	if strings.Contains(page, "a work that is won: ") || strings.Contains(page, "%!") || strings.Contains(page, "Too noisy") {
		t.Error(page)
	}
}

func TestPageSaysWhenItWasNoisy(t *testing.T) {
	for name, disturb := range map[string]func(*report){
		"load average was 3.0":                              func(r *report) { r.Load = 3 },
		"fewer than three rounds":                           func(r *report) { r.Plan.Rounds = 2 },
		"1 rounds failed":                                   func(r *report) { r.Works[3].Repeated = 1 },
		"2 of 4 works differed":                             func(r *report) { r.Works[0].Verdict.Spread, r.Works[1].Verdict.Spread = .2, .3 },
		"took up to 30 % of the processors in 1 of 4 works": func(r *report) { r.Works[2].Verdict.Foreign = .3 },
	} {
		r := exampleReport()
		disturb(r)
		if page := r.page(); !strings.Contains(page, "**Too noisy to conclude from:**") || !strings.Contains(page, name) {
			t.Errorf("%s is not said", name)
		}
	}
}

func TestChartIsXMLWithEverybody(t *testing.T) {
	r := exampleReport()
	r.Works[0].Title = "less than < & more"
	chart := r.chart()
	decoder := xml.NewDecoder(strings.NewReader(chart))
	dots := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "circle" {
			dots++
		}
	}
	if dots != 4+14 { // the legend, and who was measured
		t.Errorf("%d dots", dots)
	}
	for _, p := range r.Peers {
		if !strings.Contains(chart, ">"+p+"<") {
			t.Errorf("no %s", p)
		}
	}
}

func TestRatiosStandWhereTheyBelong(t *testing.T) {
	if place(1)-place(.5) < 1 || math.Abs((place(1)-place(.5))-(place(2)-place(1))) > 1e-9 {
		t.Error("half and double are not equally far from one")
	}
	if place(0) != plotLeft || place(1e9) != plotRight {
		t.Errorf("%v and %v are outside", place(0), place(1e9))
	}
}

func TestPublishWritesThreeFiles(t *testing.T) {
	dir, r := t.TempDir(), exampleReport()
	var out strings.Builder
	if err := errors.Join(r.publish(dir), r.print(&out)); err != nil {
		t.Fatal(err)
	}
	if out.String() != r.table() {
		t.Error(out.String())
	}
	if err := (&report{}).publish(dir); err != nil { // leaves what is there
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "benchmarks.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if back.page() != r.page() || back.chart() != r.chart() {
		t.Error("the page made of the JSON is another one")
	}
	for _, name := range []string{"benchmarks.md", "benchmarks.svg"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a second run measures replaces what the first one found, in its place.
func TestRunsCanBeJoined(t *testing.T) {
	dir := t.TempDir()
	first := exampleReport()
	first.Works = nil
	all := works(first.Plan)
	put := func(r *report, id string, value float64) {
		i := slices.IndexFunc(all, func(w work) bool { return w.ID == id })
		r.put(&all[i], &done{samples: map[string][]sample{"Albion": samplesOf(value)}, leftOut: []string{"Caddy failed twice"}})
	}
	put(first, "tls-full", 1)
	put(first, "https-64", 2)
	put(first, "h2-32x4", 3)
	if err := first.publish(dir); err != nil {
		t.Fatal(err)
	}
	second := exampleReport()
	second.Works = nil
	if err := second.join(dir); err != nil {
		t.Fatal(err)
	}
	put(second, "tls-full", 4)
	put(second, "http-1", 5)
	var got []string
	for _, w := range second.Works {
		got = append(got, fmt.Sprint(w.ID, " ", w.Verdict.Ours))
	}
	if want := []string{"https-64 2", "http-1 5", "h2-32x4 3", "tls-full 4"}; !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
	if page := second.page(); !strings.Contains(page, "64 clients: Caddy failed twice, and was left out.") {
		t.Error(page)
	}
	if err := (&report{}).join(t.TempDir()); err != nil {
		t.Errorf("without a first run: %v", err)
	}
	for what, change := range map[string]func(*report){
		"other versions":  func(r *report) { r.Versions["Albion"] = "v0.2.0" },
		"other peers":     func(r *report) { r.Peers = r.Peers[:3] },
		"another machine": func(r *report) { r.Cores = 4 },
		"another plan":    func(r *report) { r.Plan.Rounds = 5 },
	} {
		other := exampleReport()
		change(other)
		if err := other.join(dir); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, reportFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := exampleReport().join(dir); err == nil {
		t.Error("half a file is a report")
	}
}

func TestOptions(t *testing.T) {
	t.Setenv("BENCH_PEERS", "nginx, HAProxy")
	o, err := parseOptions(nil)
	if err != nil || o.out != "docs" || o.quick || len(o.peers) != 2 || o.keep != fullPlan() {
		t.Errorf("%+v, %v", o, err)
	}
	o, err = parseOptions([]string{"-quick", "-peers", "caddy", "-only", "http.*", "-rounds", "2"})
	if err != nil || o.out != "" || len(o.peers) != 1 || o.keep.Rounds != 2 || !o.only.MatchString("http-64") || o.only.MatchString("xhttp-64") {
		t.Errorf("%+v, %v", o, err)
	}
	for _, more := range []string{"-merge", "-resume"} {
		if o, err = parseOptions([]string{more, "-only", "h2-.*"}); err != nil || o.out != "docs" {
			t.Errorf("%s: %+v, %v", more, o, err)
		}
	}
	for _, bad := range [][]string{{"-peers", "apache"}, {"-only", "("}, {"more"}, {"-rounds", "x"}} {
		if _, err := parseOptions(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
