package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion/internal/doctor"
)

// Lines hold all words in their order, none too long, and no command is torn.
func TestWrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
			"a", "word", "größer", "`albion up --to :1`", "(`albion status`),", "https://chat.example.com/chat", "and",
		}), 1, 40).Draw(t, "words"), " ")
		width := rapid.IntRange(20, 100).Draw(t, "width")
		lines := wrap(text, width)
		if got := strings.Join(lines, " "); got != text {
			t.Errorf("%q became %q", text, got)
		}
		for _, l := range lines {
			if utf8.RuneCountInString(l) > width && len(words(l)) > 1 {
				t.Errorf("%q is longer than %d", l, width)
			}
			if strings.Count(l, "`")%2 != 0 {
				t.Errorf("%q is half a command", l)
			}
		}
	})
}

func TestReportForPeople(t *testing.T) {
	report := &doctor.Report{
		URL: "https://chat.example.com/", Name: "chat.example.com", Summary: "One thing stands between you and it: the page is blocked.",
		Findings: []doctor.Finding{
			{Grade: doctor.Problem, Says: "the page is blocked", Detail: []string{"app.js:1: new SockJS(…)"}, Next: "write https://"},
			{Grade: doctor.Warning, Says: "chat.example.com leads elsewhere", Next: "change it"},
			{Grade: doctor.Note, Says: "https:// answers", Next: ""},
			{Grade: doctor.OK, Says: "port 443 answers"},
		},
		Methods: []doctor.Method{{Name: "http", Works: doctor.Works, Why: "port 80 answers"}, {Name: "dns-delegated", Works: doctor.Cannot, Why: "no"}},
		Unseen:  []string{"page: what answers is no page"},
	}
	const want = `https://chat.example.com/
One thing stands between you and it: the page is blocked.

✗ The page is blocked
    app.js:1: new SockJS(…)
  → write https://

! chat.example.com leads elsewhere
  → change it

· https:// answers

Proving the name to a CA
  http          works   port 80 answers
  dns-delegated cannot  no

Not looked at
  page: what answers is no page

✓ 1 thing is in order (--all shows them)
`
	var out strings.Builder
	g := &globals{streams: streams{out: &out}}
	if err := g.showReport(report, false); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
	out.Reset()
	if err := g.showReport(report, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\n✓ Port 443 answers\n") || strings.Contains(out.String(), "--all") {
		t.Errorf("with --all:\n%s", &out)
	}
}
