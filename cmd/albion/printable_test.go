package main

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/admin"
	"github.com/albion-lb/albion/internal/doctor"
)

// hostile is what a web page or a folder of somebody else's may be called.
const hostile = "a\x1b]0;title\x07\x1b[2J\u009b31m\u202e"

func checkCalm(t *testing.T, text string) {
	t.Helper()
	if strings.ContainsAny(text, "\x1b\x07\r\u009b\u202e") {
		t.Errorf("the terminal is disturbed: %q", text)
	}
	if !strings.Contains(text, "a·]0;title") {
		t.Errorf("the text is not there: %q", text)
	}
}

func TestReportsDisturbNoTerminal(t *testing.T) {
	report := &doctor.Report{
		URL: "https://x.example/" + hostile, Summary: hostile, Unseen: []string{hostile},
		Findings: []doctor.Finding{{Grade: doctor.Problem, Says: hostile, Detail: []string{hostile}, Next: hostile}},
		Methods:  []doctor.Method{{Name: "http", Works: doctor.Cannot, Why: hostile}},
	}
	var out strings.Builder
	if err := (&globals{streams: streams{out: &out}}).showReport(report, true); err != nil {
		t.Fatal(err)
	}
	checkCalm(t, out.String())
}

func TestAdoptionsDisturbNoTerminal(t *testing.T) {
	var out strings.Builder
	g := &globals{streams: streams{out: &out}}
	g.showAdopted(&adoption{
		Adopted: admin.Adopted{Name: hostile, Action: admin.ActionAdopt, Warnings: []string{hostile}}, Decision: hostile, MethodHere: "dns-exec=" + hostile,
		Hooks: []string{hostile + "/letsencrypt/live"}, Notes: []string{hostile},
	})
	checkCalm(t, out.String())
	out.Reset()
	if err := table(&out, []string{"NAME"}, [][]string{{hostile}}); err != nil {
		t.Fatal(err)
	}
	checkCalm(t, out.String())
}

func TestPrintableLeavesWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-zA-Z0-9 .,:äöüß→✗“”/-]*`).Draw(t, "text")
		if got := printable(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}
