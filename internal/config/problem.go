package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problem is one thing that is wrong with a file, and where.
type Problem struct {
	File    string // as it was given to Parse
	Line    int    // from 1
	Column  int    // from 1, in characters
	Message string // what is wrong and what was expected
	Source  string // the line itself; "" when it is too long to show
	Err     error  // what the message is made from, or nil
}

// Error is FILE:LINE:COLUMN: MESSAGE, and below it the line with a caret.
func (p *Problem) Error() string {
	head := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	if p.Source == "" {
		return head
	}
	number := fmt.Sprintf("%6d | ", p.Line)
	return head + "\n" + number + p.Source + "\n" + strings.Repeat(" ", len(number)+p.Column-1) + "^"
}

func (p *Problem) Unwrap() error { return p.Err }

// Problems is everything that is wrong with a file, in the order of its lines.
type Problems []*Problem

// maxShown is how many problems are spelt out: more than anybody reads at once.
const maxShown = 25

func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == maxShown {
			fmt.Fprintf(&b, "and %d more", len(ps)-i)
			break
		}
		b.WriteString(p.Error())
	}
	return b.String()
}

// Unwrap lets errors.As find what is inside.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// orNil is ps as an error, sorted; nil when there is none.
func (ps Problems) orNil() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps
}

// place is where something stands in a file: line and column, both from 1.
type place struct{ line, column int }

// places is where the parts of one object stand, by their keys in the file
// joined with dots: "port", "health_check.interval", "targets.0". The key ""
// is the object itself.
type places map[string]place

// find returns the place of a part, or of the nearest part that holds it.
func (ps places) find(path string) place {
	for {
		if at, ok := ps[path]; ok || path == "" {
			return at
		}
		path = path[:max(strings.LastIndexByte(path, '.'), 0)]
	}
}

// maxSourceWidth is the longest line that is shown with a problem.
const maxSourceWidth = 120

func (f *File) problem(at place, format string, args ...any) *Problem {
	return &Problem{
		File: f.name, Line: at.line, Column: at.column,
		Message: fmt.Sprintf(format, args...), Source: f.source(at),
	}
}

// source is the line at a place, when it can be shown as it is.
func (f *File) source(at place) string {
	if at.line < 1 || at.line > len(f.lines) {
		return ""
	}
	line := strings.ReplaceAll(strings.TrimRight(f.lines[at.line-1], "\r \t"), "\t", " ")
	width := utf8.RuneCountInString(line)
	// A terminal obeys control characters, so they are not shown.
	if width > maxSourceWidth || at.column > width+1 || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return line
}
