package h1

import (
	"encoding/binary"
	"math/bits"

	"github.com/albion-lb/albion/internal/wire"
)

// section is how a field section has to be read.
type section struct {
	total       int  // most bytes in all, without the empty line
	line        int  // most bytes in one line
	count       int  // most fields
	dropInvalid bool // leave out fields whose names are not [-A-Za-z0-9]+
	answer      bool // white space before the colon is removed, not refused
}

// flaw is what is wrong with a line.
type flaw uint8

const (
	sound flaw = iota
	tooLarge
	tooMany
	badEnd
	badName
	badValue
	badLength
	badEncoding
)

func (f flaw) String() string {
	return [...]string{
		sound:       "nothing",
		tooLarge:    "fields too large",
		tooMany:     "too many fields",
		badEnd:      "CR without LF",
		badName:     "a line does not begin with a field name and a colon",
		badValue:    "a control character in a field value",
		badLength:   "a control character in Content-Length",
		badEncoding: "a control character in Transfer-Encoding",
	}[f]
}

// read appends the fields at the beginning of buf to dst, up to and with the
// empty line. n is the length of it all, 0 when buf ends before the empty line.
// What it says about a message does not depend on how much of it is there yet:
// a flaw is found from left to right and no later byte cures it.
func (s *section) read(dst []wire.Field, buf []byte) (fields []wire.Field, n int, bad flaw) {
	for count := 0; ; count++ {
		rest := buf[n:]
		if len(rest) == 0 {
			return dst, 0, sound
		}
		if rest[0] == '\r' {
			switch {
			case len(rest) == 1:
				return dst, 0, sound
			case rest[1] != '\n':
				return dst, 0, badEnd
			}
			return dst, n + 2, sound
		}
		if count >= s.count {
			return dst, 0, tooMany
		}
		most := min(s.line, s.total-n)
		if len(rest) > most {
			rest = rest[:most]
		}
		// The field is filled in where it will stay: copying it there would cost as
		// much as reading it.
		if len(dst) == cap(dst) {
			dst = append(dst, wire.Field{})[:len(dst)]
		}
		f := &dst[:len(dst)+1][len(dst)]
		size, bad := s.field(f, rest)
		if bad != sound {
			return dst, 0, bad
		}
		if size == 0 {
			if len(rest) == most {
				return dst, 0, tooLarge
			}
			return dst, 0, sound
		}
		n += size
		if s.dropInvalid && !wire.PlainChar.All(f.Name) {
			continue
		}
		dst = dst[:len(dst)+1]
	}
}

// field reads one line into f (RFC 9112 §5). size is 0 when the line does not
// end here.
func (s *section) field(f *wire.Field, line []byte) (size int, bad flaw) {
	i := 0
	for i < len(line) && wire.TokenChar.Is(line[i]) {
		i++
	}
	if i == len(line) {
		return 0, sound
	}
	// An empty name, white space before the name (a folded line, RFC 9112 §5.2)
	// or before the colon (§5.1) all end up here.
	if i == 0 {
		return 0, badName
	}
	f.Name = line[:i]
	f.ID = wire.NameOf(f.Name)
	f.Hop = f.ID.Hop()
	if s.answer {
		// "A proxy MUST remove any such whitespace from a response message"
		// (RFC 9112 §5.1).
		i = skipBlanks(line, i)
		if i == len(line) {
			return 0, sound
		}
	}
	if line[i] != ':' {
		return 0, badName
	}
	start := skipBlanks(line, i+1)
	end := valueEnd(line, start)
	if end == len(line) {
		return 0, sound
	}
	if line[end] != '\r' {
		return 0, flawOf(f.ID)
	}
	if end+1 == len(line) {
		return 0, sound
	}
	if line[end+1] != '\n' {
		return 0, badEnd
	}
	f.Value = trimRight(line[start:end])
	return end + 2, sound
}

// flawOf is the flaw of a control character in the value of that field; ALB has
// reasons of their own for two.
func flawOf(id wire.Name) flaw {
	switch id {
	case wire.ContentLength:
		return badLength
	case wire.TransferEncoding:
		return badEncoding
	}
	return badValue
}

// request turns a flaw into what the client is told.
func (f flaw) request() *Error {
	switch f {
	case sound:
		return nil
	case tooLarge, tooMany:
		return declined(413, "HeadTooLarge", f.String())
	case badLength:
		return severe(reasonContentLength, f.String())
	case badEncoding:
		return severe(reasonCoding, f.String())
	}
	return severe(reasonHeader, f.String())
}

// lanes repeats a byte in all eight bytes of a word.
const lanes = 0x0101010101010101

// valueEnd returns the index of the first byte from i on that a field value
// cannot hold, or len(s). It looks at eight bytes at once: taking SP from a byte
// below it sets the top bit of its lane, and so does adding one to DEL. A carry
// out of a lane may raise a false alarm in the one above, and HTAB a true one,
// so the table has the last word.
func valueEnd(s []byte, i int) int {
	for i+8 <= len(s) {
		x := binary.LittleEndian.Uint64(s[i:])
		odd := ((x - lanes*0x20) | (x + lanes)) &^ x & (lanes * 0x80)
		if odd == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(odd) >> 3
		if !wire.ValueChar.Is(s[i]) {
			return i
		}
		i++
	}
	for i < len(s) && wire.ValueChar.Is(s[i]) {
		i++
	}
	return i
}

func skipBlanks(s []byte, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
		i++
	}
	return i
}

func trimRight(s []byte) []byte {
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// element cuts the first member off a comma-separated list, without the blanks
// around it.
func element(list []byte) (first, rest []byte, more bool) {
	for i, c := range list {
		if c == ',' {
			return trim(list[:i]), list[i+1:], true
		}
	}
	return trim(list), nil, false
}

func trim(s []byte) []byte { return trimRight(s[skipBlanks(s, 0):]) }
