package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/albion-lb/albion/internal/doctor"
)

// paper is where a report is written: with colours and lines of a readable width
// for a person at a terminal, plain for everybody else.
type paper struct {
	w     io.Writer
	color bool
	width int // 0: lines are as long as they are
	err   error
}

// readable is how wide a line of text may be, in characters.
const readable = 88

func newPaper(w io.Writer) *paper {
	p := &paper{w: w}
	if terminal(w) {
		// https://no-color.org
		p.color, p.width = os.Getenv("NO_COLOR") == "", readable
	}
	return p
}

// The colours, by what they mean (ECMA-48 §8.3.117).
const (
	bold   = "1"
	dim    = "2"
	red    = "1;31"
	yellow = "1;33"
	blue   = "1;34"
	green  = "32"
)

func (p *paper) paint(style, text string) string {
	text = printable(text)
	if !p.color || style == "" || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (p *paper) line(text string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, text)
	}
}

// block writes text behind a mark, its further lines indented as far.
func (p *paper) block(mark, style, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(mark))
	for i, l := range wrap(text, p.width-len(indent)) {
		if i == 0 {
			p.line(p.paint(markStyle(style), mark) + p.paint(style, l))
		} else {
			p.line(indent + p.paint(style, l))
		}
	}
}

// markStyle lets a mark take the colour of what it marks.
func markStyle(style string) string {
	if style == "" {
		return dim
	}
	return style
}

// words cuts text at spaces, and leaves commands in one piece, since they are
// there to be copied.
func words(text string) []string {
	var all []string
	command, begin := false, 0
	for i := range len(text) {
		if text[i] == '`' {
			command = !command
		}
		if text[i] == ' ' && !command {
			all, begin = append(all, text[begin:i]), i+1
		}
	}
	return append(all, text[begin:])
}

// wrap cuts text into lines of a width, at spaces; a width of less than a few
// words leaves it whole.
func wrap(text string, width int) []string {
	text = printable(text)
	if width < 20 {
		return []string{text}
	}
	var lines []string
	var line strings.Builder
	n := 0
	for _, word := range words(text) {
		size := utf8.RuneCountInString(word)
		if n > 0 && n+1+size > width {
			lines = append(lines, line.String())
			line.Reset()
			n = 0
		}
		if n > 0 {
			line.WriteByte(' ')
			n++
		}
		line.WriteString(word)
		n += size
	}
	return append(lines, line.String())
}

// marks are the signs of the grades, and their colours.
func marks(g doctor.Grade) (mark, style string) {
	switch g {
	case doctor.Problem:
		return "✗ ", red
	case doctor.Warning:
		return "! ", yellow
	case doctor.Note:
		return "· ", blue
	}
	return "✓ ", green
}

// showReport writes a report for a person: first what it comes to, then what is
// wrong, then how the name can be proved.
func (g *globals) showReport(r *doctor.Report, all bool) error {
	p := newPaper(g.out)
	p.line(p.paint(bold, r.URL))
	p.block("", bold, r.Summary)
	for _, grade := range doctor.Grades() {
		findings := r.Of(grade)
		if grade == doctor.OK && !all || len(findings) == 0 {
			continue
		}
		p.line("")
		for i, f := range findings {
			// What needs doing stands apart; what only wants to be known need not.
			if i > 0 && (grade == doctor.Problem || grade == doctor.Warning) {
				p.line("")
			}
			p.finding(f, r.Name)
		}
	}
	p.methods(r.Methods)
	if len(r.Unseen) > 0 {
		p.line("")
		p.line(p.paint(bold, "Not looked at"))
		for _, u := range r.Unseen {
			p.block("  ", "", u)
		}
	}
	if good := len(r.Of(doctor.OK)); good > 0 && !all {
		p.line("")
		p.line(p.paint(green, fmt.Sprintf("✓ %s in order", things(good))) + p.paint(dim, " (--all shows them)"))
	}
	return p.err
}

func things(n int) string {
	if n == 1 {
		return "1 thing is"
	}
	return fmt.Sprintf("%d things are", n)
}

func (p *paper) finding(f doctor.Finding, name string) {
	mark, style := marks(f.Grade)
	const indent = "  "
	for i, l := range wrap(sentence(f.Says, name), p.width-len(indent)) {
		if i > 0 {
			p.line(indent + l)
			continue
		}
		p.line(p.paint(style, mark) + l)
	}
	for _, d := range f.Detail {
		p.block(indent+"  ", dim, d)
	}
	if f.Next != "" {
		p.block(indent+"→ ", green, f.Next)
	}
}

// sentence begins with a capital letter, unless it begins with a name or an
// address.
func sentence(text, name string) string {
	first, _, _ := strings.Cut(text, " ")
	if first == name || strings.Contains(first, ".") || strings.Contains(first, "://") {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// methods shows how the name can be proved, in a column of names and a column of
// reasons.
func (p *paper) methods(all []doctor.Method) {
	if len(all) == 0 {
		return
	}
	p.line("")
	p.line(p.paint(bold, "Proving the name to a CA"))
	for _, m := range all {
		word, style := "works   ", green
		switch m.Works {
		case doctor.Cannot:
			word, style = "cannot  ", red
		case doctor.Unsure:
			word, style = "perhaps ", yellow
		}
		name := fmt.Sprintf("  %-14s", m.Name)
		indent := strings.Repeat(" ", len(name)+len(word))
		for i, l := range wrap(m.Why, p.width-len(indent)) {
			if i > 0 {
				p.line(indent + l)
				continue
			}
			p.line(name + p.paint(style, word) + l)
		}
	}
}
