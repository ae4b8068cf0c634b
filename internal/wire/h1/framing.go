package h1

import (
	"github.com/albion-lb/albion/internal/wire"
)

// maxDigits of a Content-Length: 18 digits always fit in an int64, and 10^18
// bytes are more than anybody sends.
const maxDigits = 18

// framing gathers what Content-Length and Transfer-Encoding fields say.
type framing struct {
	length   int64
	lengths  int // how many values Content-Length fields had
	codings  int // how many codings Transfer-Encoding fields named
	chunked  bool
	identity bool
}

// addLength reads one Content-Length field (RFC 9110 §8.6). Equal values are one
// value: the field keeps the first of a list, and a further field becomes Hop,
// so that what is forwarded holds one number only.
func (f *framing) addLength(field *wire.Field) *Error {
	rest, more := field.Value, true
	for first := true; more; first = false {
		var value []byte
		value, rest, more = element(rest)
		n, ok := decimal(value)
		if !ok {
			return severe(reasonContentLength, "Content-Length is not a number of up to 18 digits")
		}
		if f.lengths > 0 && n != f.length {
			return severe(reasonLengths, "Content-Length is given twice and differs")
		}
		if first {
			field.Value, field.Hop = value, f.lengths > 0
		}
		f.length = n
		f.lengths++
	}
	return nil
}

func decimal(s []byte) (n int64, ok bool) {
	if len(s) == 0 || len(s) > maxDigits {
		return 0, false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// addCoding reads one Transfer-Encoding field (RFC 9112 §6.1). The only coding
// is chunked, alone; identity is tolerated, alone, as ALB does.
func (f *framing) addCoding(value []byte) *Error {
	for more := true; more; {
		var coding []byte
		coding, value, more = element(value)
		f.codings++
		switch {
		case wire.EqualFold(coding, "chunked"):
			if f.chunked {
				return severe(reasonCodings, "chunked is applied twice")
			}
			f.chunked = true
		case wire.EqualFold(coding, "identity"):
			f.identity = true
		case wire.TokenChar.All(coding):
			return &Error{Status: 501, Class: wire.Severe, Reason: reasonCoding, Detail: "unknown transfer coding"}
		default:
			return severe(reasonCoding, "Transfer-Encoding is not a list of codings")
		}
	}
	if f.codings > 1 {
		return severe(reasonCoding, "chunked is not the only transfer coding")
	}
	return nil
}

// frameRequest decides how the body ends (RFC 9112 §6.3).
func frameRequest(r *wire.Request, f *framing) *Error {
	if f.lengths == 0 && f.codings == 0 {
		r.Expect = false // nothing to wait for
		return nil
	}
	if f.codings > 0 && r.Minor == 0 {
		return severe(reasonCoding, "HTTP/1.0 has no Transfer-Encoding")
	}
	if f.lengths > 0 && f.codings > 0 {
		worsen(r, wire.Ambiguous, reasonBoth)
	}
	if f.lengths > 1 {
		worsen(r, wire.Ambiguous, reasonRepeatedLength)
	}
	if f.identity {
		worsen(r, wire.Ambiguous, reasonUndefinedCoding)
	}
	bodiless := string(r.Method) == "GET" || string(r.Method) == "HEAD"
	switch {
	case f.chunked:
		r.Framing = wire.Chunked
		dropLengths(r.Fields)
		if bodiless {
			worsen(r, wire.Ambiguous, reasonUndefinedCoding)
		}
	case f.lengths > 0:
		r.Framing, r.Length = wire.Sized, f.length
		if bodiless && f.length > 0 {
			worsen(r, wire.Ambiguous, reasonUndefinedLength)
		} else if bodiless {
			worsen(r, wire.Acceptable, reasonZeroLength)
		}
	}
	if r.Framing == wire.NoBody || r.Framing == wire.Sized && r.Length == 0 {
		r.Expect = false
	}
	return nil
}

// dropLengths keeps Content-Length from being forwarded: a message has one
// framing when it leaves (RFC 9112 §6.3).
func dropLengths(fields []wire.Field) {
	for i := range fields {
		if fields[i].ID == wire.ContentLength {
			fields[i].Hop = true
		}
	}
}
