package route

import (
	"bytes"
	"strings"
)

// glob is a pattern with ALB's wildcards: * is any run of bytes, ? exactly one.
//
// It is kept as what lies between the stars. The first piece is anchored at the
// beginning, the last at the end, and each one between is found leftmost behind
// the one before, which is enough: a later place would leave less to the rest.
// So no choice is ever taken back, and the cost is at most the text's length
// times the pattern's.
type glob struct {
	head   piece
	middle []piece
	tail   piece
	star   bool // false: head is the whole pattern
}

// piece is a run without stars. To find it, its longest part without question
// marks is looked for first, because a literal is found fast.
type piece struct {
	text   []byte
	wild   bool // has a ?
	part   []byte
	offset int // of part in text
}

func compileGlob(pattern string) glob {
	parts := strings.Split(pattern, "*")
	g := glob{head: newPiece(parts[0])}
	if len(parts) == 1 {
		return g
	}
	g.star = true
	g.tail = newPiece(parts[len(parts)-1])
	for _, part := range parts[1 : len(parts)-1] {
		if part != "" {
			g.middle = append(g.middle, newPiece(part))
		}
	}
	return g
}

func newPiece(text string) piece {
	p := piece{text: []byte(text), wild: strings.Contains(text, "?")}
	offset := 0
	for part := range strings.SplitSeq(text, "?") {
		if len(part) > len(p.part) {
			p.part, p.offset = []byte(part), offset
		}
		offset += len(part) + 1
	}
	return p
}

func (g *glob) match(s []byte) bool {
	if !g.star {
		return len(s) == len(g.head.text) && g.head.at(s)
	}
	ends := len(s) - len(g.tail.text)
	if ends < len(g.head.text) || !g.head.at(s) || !g.tail.at(s[ends:]) {
		return false
	}
	s = s[len(g.head.text):ends]
	for i := range g.middle {
		found := g.middle[i].index(s)
		if found < 0 {
			return false
		}
		s = s[found+len(g.middle[i].text):]
	}
	return true
}

// literal returns the whole pattern when it has no wildcard.
func (g *glob) literal() (string, bool) {
	return string(g.head.text), !g.star && !g.head.wild
}

// prefix is the literal text that every match begins with.
func (g *glob) prefix() string {
	before, _, _ := bytes.Cut(g.head.text, []byte{'?'})
	return string(before)
}

// suffix is the literal text that every match ends with.
func (g *glob) suffix() string {
	last := g.tail.text
	if !g.star {
		last = g.head.text
	}
	return string(last[bytes.LastIndexByte(last, '?')+1:])
}

// at reports whether s, which is long enough, begins with p.
func (p *piece) at(s []byte) bool {
	s = s[:len(p.text)]
	if !p.wild {
		return bytes.Equal(s, p.text)
	}
	for i, c := range p.text {
		if c != '?' && c != s[i] {
			return false
		}
	}
	return true
}

// index returns the first place of p in s, or -1.
func (p *piece) index(s []byte) int {
	for i := 0; i+len(p.text) <= len(s); i++ {
		found := bytes.Index(s[i+p.offset:], p.part)
		if found < 0 {
			return -1
		}
		i += found
		if i+len(p.text) <= len(s) && p.at(s[i:]) {
			return i
		}
	}
	return -1
}
