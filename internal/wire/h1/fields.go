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
type flaw string

const (
	sound       flaw = ""
	tooLarge    flaw = "fields too large"
	tooMany     flaw = "too many fields"
	badEnd      flaw = "CR without LF"
	badName     flaw = "a line does not begin with a field name and a colon"
	badValue    flaw = "a control character in a field value"
	badLength   flaw = "a control character in Content-Length"
	badEncoding flaw = "a control character in Transfer-Encoding"
)

// read appends the fields at the beginning of buf to dst, up to and with the
// empty line. n is the length of it all, 0 when buf ends before the empty line.
// What it says about a message does not depend on how much of it is there yet:
// a flaw is found from left to right and no later byte cures it.
func (s *section) read(dst []wire.Field, buf []byte) (fields []wire.Field, n int, bad flaw) {
	for count := 0; ; count++ {
		rest := buf[n:]
		if len(rest) > 0 && rest[0] == '\r' {
			switch {
			case len(rest) == 1:
				return dst, 0, sound
			case rest[1] != '\n':
				return dst, 0, badEnd
			}
			return dst, n + 2, sound
		}
		if len(rest) > 0 && count >= s.count {
			return dst, 0, tooMany
		}
		most := min(s.line, s.total-n)
		if len(rest) > most {
			rest = rest[:most]
		}
		name, value, size, bad := s.field(rest)
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
		if s.dropInvalid && !wire.PlainChar.All(name) {
			continue
		}
		id := wire.NameOf(name)
		dst = append(dst, wire.Field{Name: name, Value: value, ID: id, Hop: id.Hop()})
	}
}

// field reads one line (RFC 9112 §5). size is 0 when the line does not end here.
func (s *section) field(line []byte) (name, value []byte, size int, bad flaw) {
	i := 0
	for i < len(line) && wire.TokenChar.Is(line[i]) {
		i++
	}
	if i == len(line) {
		return nil, nil, 0, sound
	}
	// An empty name, white space before the name (a folded line, RFC 9112 §5.2)
	// or before the colon (§5.1) all end up here.
	name = line[:i]
	if i == 0 {
		return nil, nil, 0, badName
	}
	if s.answer {
		// "A proxy MUST remove any such whitespace from a response message"
		// (RFC 9112 §5.1).
		i = skipBlanks(line, i)
		if i == len(line) {
			return nil, nil, 0, sound
		}
	}
	if line[i] != ':' {
		return nil, nil, 0, badName
	}
	start := skipBlanks(line, i+1)
	end := valueEnd(line, start)
	if end == len(line) {
		return nil, nil, 0, sound
	}
	if line[end] != '\r' {
		return nil, nil, 0, flawOf(name)
	}
	if end+1 == len(line) {
		return nil, nil, 0, sound
	}
	if line[end+1] != '\n' {
		return nil, nil, 0, badEnd
	}
	return name, trimRight(line[start:end]), end + 2, sound
}

// flawOf is the flaw of a control character in the value of that field; ALB has
// reasons of their own for two.
func flawOf(name []byte) flaw {
	switch wire.NameOf(name) {
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
		return declined(413, "HeadTooLarge", string(f))
	case badLength:
		return severe(reasonContentLength, string(f))
	case badEncoding:
		return severe(reasonCoding, string(f))
	}
	return severe(reasonHeader, string(f))
}

// lanes repeats a byte in all eight bytes of a word.
const lanes = 0x0101010101010101

// valueEnd returns the index of the first byte from i on that a field value
// cannot hold, or len(s). It looks at eight bytes at once: a byte below SP or
// equal to DEL raises the top bit of its lane.
func valueEnd(s []byte, i int) int {
	for i+8 <= len(s) {
		x := binary.LittleEndian.Uint64(s[i:])
		del := x ^ lanes*0x7f
		odd := ((x-lanes*0x20)&^x | (del-lanes)&^del) & (lanes * 0x80)
		if odd == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(odd) >> 3
		if s[i] != '\t' {
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
