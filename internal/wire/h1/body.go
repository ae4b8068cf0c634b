package h1

import (
	"math"

	"github.com/albion-lb/albion/internal/wire"
)

// maxExtensions bounds the bytes of chunk extensions in one body. Nothing here
// reads them, so they only serve to keep somebody busy (RFC 9112 §7.1.1).
const maxExtensions = 16 << 10

// maxSizeDigits of a chunk size, leading zeros included.
const maxSizeDigits = 16

// Where a chunked body is being read (RFC 9112 §7.1).
const (
	atSize    = iota // before or between the digits of a chunk's size
	atBlank          // white space before an extension
	atExt            // in extensions
	atSizeLF         // LF after a chunk's size
	atData           // in a chunk's data
	atDataCR         // CR after the data
	atDataLF         // LF after the data
	atTrailer        // in the trailer section
	atEnd            // behind it all
)

// Body finds the payload in the bytes of a body. It keeps none of them but the
// trailer section. Its zero value is a body that is empty and done.
type Body struct {
	framing  wire.Framing
	closed   bool // UntilClose: the end has come
	state    uint8
	digits   uint8
	left     int64 // bytes of a Sized body or of this chunk still to come
	ext      int   // bytes of extensions so far
	raw      []byte
	rawLine  int // where the last line in raw begins
	trailers []wire.Field
	rules    section
	err      error
}

// Reset begins a body that is framed so; length is that of a Sized one. The
// memory for trailers is used again: what Trailers returned is lost.
func (b *Body) Reset(f wire.Framing, length int64, lim *Limits) {
	most := lim.resolve()
	*b = Body{
		framing:  f,
		raw:      b.raw[:0],
		trailers: b.trailers[:0],
		rules:    section{total: most.Field, line: most.Field, count: most.Fields, dropInvalid: most.DropInvalid},
	}
	if f == wire.Sized {
		b.left = max(length, 0)
	}
}

// Next reads on in src: n bytes of it are used up, and payload, a view into
// them, is content. It may use less than there is, and payload may be empty;
// call it until the body is Done or src is used up. After an error, an *Error,
// it returns the same one again.
func (b *Body) Next(src []byte) (payload []byte, n int, err error) {
	switch {
	case b.err != nil:
		return nil, 0, b.err
	case b.framing == wire.Sized:
		n = int(min(int64(len(src)), b.left))
		b.left -= int64(n)
		return src[:n], n, nil
	case b.framing == wire.UntilClose && !b.closed:
		return src, len(src), nil
	case b.framing == wire.Chunked:
		return b.nextChunked(src)
	}
	return nil, 0, nil
}

// Done reports whether all of the body has been read.
func (b *Body) Done() bool {
	switch b.framing {
	case wire.Sized:
		return b.left == 0
	case wire.Chunked:
		return b.state == atEnd
	case wire.UntilClose:
		return b.closed
	}
	return true
}

// Trailers returns the fields behind a chunked body that may be forwarded, once
// it is Done. They are copies that live until the next Reset.
func (b *Body) Trailers() []wire.Field {
	if b.state != atEnd {
		return nil
	}
	return b.trailers
}

// EOF tells the body that its sender has closed. It returns nil when that is
// where the body ends, which a body framed by UntilClose takes from it, and an
// *Error when something is missing.
func (b *Body) EOF() error {
	if b.err != nil {
		return b.err
	}
	if b.framing == wire.UntilClose {
		b.closed = true
	}
	if !b.Done() {
		b.err = declined(400, "TruncatedBody", "the sender closed before the end of the body")
	}
	return b.err
}

func (b *Body) nextChunked(src []byte) (payload []byte, n int, err error) {
	for n < len(src) && b.state != atEnd {
		if b.state == atData {
			size := int(min(int64(len(src)-n), b.left))
			b.left -= int64(size)
			if b.left == 0 {
				b.state = atDataCR
			}
			return src[n : n+size], n + size, nil
		}
		if bad := b.step(src[n]); bad != nil {
			b.err = bad
			return nil, n, b.err
		}
		n++
	}
	return nil, n, nil
}

// step takes one byte that is not content.
func (b *Body) step(c byte) *Error {
	switch b.state {
	case atSize:
		return b.size(c)
	case atBlank:
		if c == ';' {
			b.state = atExt
		} else if c != ' ' && c != '\t' {
			return badChunk("white space after a chunk size")
		}
		return b.extension()
	case atExt:
		if c == '\r' {
			b.state = atSizeLF
			return nil
		}
		if !wire.ValueChar.Is(c) {
			return badChunk("a control character in a chunk extension")
		}
		return b.extension()
	case atDataCR:
		if c != '\r' {
			return badChunk("a chunk is longer than its size")
		}
		b.state = atDataLF
		return nil
	case atSizeLF, atDataLF:
		if c != '\n' {
			return badChunk("CR without LF")
		}
		b.nextLine()
		return nil
	}
	return b.trailer(c)
}

// nextLine goes on behind the line end of a chunk's size or data.
func (b *Body) nextLine() {
	switch {
	case b.state == atDataLF:
		b.state = atSize
	case b.left == 0:
		b.state = atTrailer
	default:
		b.state = atData
	}
	b.digits = 0
}

// size takes a byte of a chunk's size: hexadecimal digits and nothing else
// before the extensions or the line end.
func (b *Body) size(c byte) *Error {
	if wire.HexChar.Is(c) {
		if b.digits == 0 {
			b.left = 0
		}
		if b.digits == maxSizeDigits || b.left > math.MaxInt64>>4 {
			return badChunk("a chunk size is too large")
		}
		b.digits++
		b.left = b.left<<4 | int64(hexValue(c))
		return nil
	}
	if b.digits == 0 {
		return badChunk("a chunk has no size")
	}
	switch c {
	case '\r':
		b.state = atSizeLF
		return nil
	case ';':
		b.state = atExt
	case ' ', '\t':
		// RFC 9112 §7.1.1 has white space before an extension, and nowhere else.
		b.state = atBlank
	default:
		return badChunk("a chunk size is not hexadecimal")
	}
	return b.extension()
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

func (b *Body) extension() *Error {
	if b.ext++; b.ext > maxExtensions {
		return badChunk("chunk extensions are too long")
	}
	return nil
}

// trailer takes a byte of the trailer section (RFC 9112 §7.1.2). It is copied,
// for it may arrive in pieces, and read when it is complete.
func (b *Body) trailer(c byte) *Error {
	if len(b.raw) >= b.rules.total+2 {
		return declined(413, "TrailersTooLarge", "")
	}
	b.raw = append(b.raw, c)
	if c != '\n' {
		return nil
	}
	end := len(b.raw) - 1
	if end == b.rawLine || b.raw[end-1] != '\r' {
		return badChunk("a trailer line ends in a lone LF")
	}
	if end-1 > b.rawLine {
		b.rawLine = end + 1
		return nil
	}
	fields, n, bad := b.rules.read(b.trailers, b.raw)
	if bad != sound {
		return bad.request()
	}
	if n != len(b.raw) {
		return badChunk("the trailer section is not a list of fields")
	}
	b.trailers = fields[:0]
	for i := range fields {
		if !fields[i].Hop && fields[i].InTrailer() {
			b.trailers = append(b.trailers, fields[i])
		}
	}
	b.state = atEnd
	return nil
}

func badChunk(detail string) *Error {
	return &Error{Status: 400, Class: wire.Severe, Reason: reasonCoding, Detail: detail}
}
