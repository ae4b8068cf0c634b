package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func exampleReport() *report {
	r := &report{
		Cores: 2, System: "Linux 6.1, amd64", Load: .1, Plan: fullPlan(), Peers: []string{"Albion", "nginx", "HAProxy", "Caddy"},
		Versions: map[string]string{"Albion": "v0.1.0", "nginx": "1.22.1", "HAProxy": "2.6.12", "Caddy": "v2.11.9", "Go": "go1.26"},
	}
	r.fill([]work{
		{ID: "ahead", Title: "a work that is won", Metric: perOperation, Goal: .7},
		{ID: "missed", Title: "a goal that is missed", Metric: perOperation, Goal: .5},
		{ID: "lost", Title: "a work that is lost", Metric: tail, Goal: 1},
		{ID: "changes", Title: "more is better", Metric: perSecond},
	}, measurements{
		"ahead":   {"Albion": samplesOf(20, 21, 20), "nginx": samplesOf(35, 35, 35), "HAProxy": samplesOf(30, 31, 30), "Caddy": samplesOf(100, 100, 100)},
		"missed":  {"Albion": samplesOf(20, 21, 20), "nginx": samplesOf(35, 35, 35), "HAProxy": samplesOf(30, 31, 30), "Caddy": samplesOf(40, 41, 40)},
		"lost":    {"Albion": samplesOf(3, 3, 3), "nginx": samplesOf(2, 2, 2), "HAProxy": samplesOf(4, 4, 4)},
		"changes": {"Albion": samplesOf(30, 30, 30), "nginx": {{Value: 7, Failed: 1208}}, "HAProxy": samplesOf(4, 4, 4)},
	})
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
		"load average was 3.0":    func(r *report) { r.Load = 3 },
		"fewer than three rounds": func(r *report) { r.Plan.Rounds = 2 },
		"1 rounds failed":         func(r *report) { r.Repeated = 1 },
		"2 of 4 works differed":   func(r *report) { r.Works[0].Verdict.Noisy, r.Works[1].Verdict.Noisy = true, true },
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
	bars := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "rect" {
			bars++
		}
	}
	if bars != 4+14 { // the legend, and who was measured
		t.Errorf("%d bars", bars)
	}
	for _, p := range r.Peers {
		if !strings.Contains(chart, ">"+p+"<") {
			t.Errorf("no %s", p)
		}
	}
}

func TestPublishWritesThreeFiles(t *testing.T) {
	dir, r := t.TempDir(), exampleReport()
	var out strings.Builder
	if err := r.publish(dir, &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != r.table() {
		t.Error(out.String())
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
	for _, bad := range [][]string{{"-peers", "apache"}, {"-only", "("}, {"more"}, {"-rounds", "x"}} {
		if _, err := parseOptions(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
