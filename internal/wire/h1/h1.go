// Package h1 reads and writes HTTP/1.1 on bytes: the heads of requests and
// answers, and the payload inside their bodies. It does no I/O, starts no
// goroutine and knows no time; what it hands out are views into the caller's
// buffer, and an ordinary head costs no allocation.
//
//	n, err := h1.ReadRequest(&req, buf, &limits)
//	switch {
//	case err != nil: // an *Error: answer with its Status and close
//	case n == 0: // read more and call again
//	}
//	body.Reset(req.Framing, req.Length, &limits)
//	for !body.Done() {
//		payload, used, err := body.Next(buf[n:])
//		…
//	}
//
// It is strict where a message could be read in two ways (RFC 9112 §11.2), so
// that whatever passes can be written again as exactly one message. The class
// and reason that a request gets are those of ALB's page "Desync mitigation
// mode".
//
// Unlike AWS, which forwards some of these in defensive mode and all of them in
// monitor mode, the following are refused in every mode: control characters in
// a target or a field, a raw space or "#" in a target, white space around a
// field name, folded lines, lines that end in a lone LF, versions other than
// 1.0 and 1.1, and Transfer-Encoding in an HTTP/1.0 message. Nobody sends these
// by accident any more, and servers disagree about them.
//
// It does not decide what to do with a request, does not decode any content,
// and does not speak HTTP/2.
package h1

import (
	"strconv"

	"github.com/albion-lb/albion/internal/wire"
)

// Limits bounds what a peer may send. All sizes are in bytes and count line
// ends; a zero field means the value given with it, which is ALB's quota where
// ALB has one.
type Limits struct {
	Line   int // one request line or status line; 16 KiB
	Field  int // one field line, and a whole trailer section; 16 KiB
	Head   int // all fields of a request; 64 KiB
	Answer int // all fields of an answer; 32 KiB
	Fields int // how many fields a head or a trailer section has; 256
	// DropInvalid is routing.http.drop_invalid_header_fields.enabled: a field of
	// a request, or of a trailer section, whose name is not [-A-Za-z0-9]+ is left
	// out. Otherwise it is kept as long as its name is a token; no other name is
	// ever accepted. Fields of an answer are all kept, as ALB does.
	DropInvalid bool
}

// resolve fills in what is zero. A nil receiver means all of it.
func (l *Limits) resolve() Limits {
	var r Limits
	if l != nil {
		r = *l
	}
	if r.Line <= 0 {
		r.Line = 16 << 10
	}
	if r.Field <= 0 {
		r.Field = 16 << 10
	}
	if r.Head <= 0 {
		r.Head = 64 << 10
	}
	if r.Answer <= 0 {
		r.Answer = 32 << 10
	}
	if r.Fields <= 0 {
		r.Fields = 256
	}
	return r
}

// Error says why a message cannot be accepted. Whoever sent it gets Status when
// it was a request; an answer that fails so is the server's fault, Status 502.
type Error struct {
	Status int // 400, 405, 413, 414, 417, 501, 502 or 505
	// Class and Reason are for the access log. Reason is ALB's name when Class
	// is worse than wire.Compliant, else a short word of our own.
	Class  wire.Class
	Reason string
	Detail string // what exactly was wrong; never holds a byte of the message
}

func (e *Error) Error() string {
	s := "h1: " + strconv.Itoa(e.Status) + " " + e.Reason
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// severe is a request that ALB would refuse with 400.
func severe(reason, detail string) *Error {
	return &Error{Status: 400, Class: wire.Severe, Reason: reason, Detail: detail}
}

// declined is a well-formed request that is not served.
func declined(status int, reason, detail string) *Error {
	return &Error{Status: status, Reason: reason, Detail: detail}
}

// badAnswer is an answer that cannot be trusted to end where it seems to.
func badAnswer(detail string) *Error {
	return &Error{Status: 502, Reason: "BadAnswer", Detail: detail}
}

// ALB's reasons (page "Access logs", "Classification reasons").
const (
	reasonContentLength   = "BadContentLength"
	reasonHeader          = "BadHeader"
	reasonCoding          = "BadTransferEncoding"
	reasonURI             = "BadUri"
	reasonMethod          = "BadMethod"
	reasonVersion         = "BadVersion"
	reasonLengths         = "MultipleContentLength"
	reasonCodings         = "MultipleTransferEncodingChunked"
	reasonBoth            = "BothTeClPresent"
	reasonRepeatedLength  = "DuplicateContentLength"
	reasonSuspicious      = "SuspiciousHeader"
	reasonUndefinedLength = "UndefinedContentLengthSemantics"
	reasonUndefinedCoding = "UndefinedTransferEncodingSemantics"
	reasonZeroLength      = "GetHeadZeroContentLength"
	reasonNonCompliant    = "NonCompliantHeader"
)
