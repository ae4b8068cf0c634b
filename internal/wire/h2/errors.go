package h2

import (
	"errors"

	"golang.org/x/net/http2"
)

// ErrGone is what a Stream says after the client has reset it or its connection
// has ended. It is also what Read says of content that turned out not to be what
// the head announced.
var ErrGone = errors.New("h2: the client gave up")

// ErrMalformed is what Read says when the content or the trailers broke the
// protocol; the stream has been reset.
var ErrMalformed = errors.New("h2: malformed content")

// ErrFinished is what a write after the end of the answer, or a head after the
// final head, gets.
var ErrFinished = errors.New("h2: the answer is finished")

// fault is what a client did wrong: to its connection when stream is 0, else to
// that stream alone.
type fault struct {
	stream uint32
	code   http2.ErrCode
	reason string // for whoever debugs the client; goes out with GOAWAY
}

func (f *fault) Error() string { return "h2: " + f.code.String() + ": " + f.reason }

func connFault(code http2.ErrCode, reason string) *fault { return &fault{code: code, reason: reason} }

func streamFault(id uint32, code http2.ErrCode, reason string) *fault {
	return &fault{stream: id, code: code, reason: reason}
}

// asFault translates what the framer says; nil for an error of the connection
// below, or its end.
func asFault(err error) *fault {
	var ours *fault
	var stream http2.StreamError
	var conn http2.ConnectionError
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &stream):
		return streamFault(stream.StreamID, stream.Code, "invalid frame")
	case errors.As(err, &conn):
		return connFault(http2.ErrCode(conn), "invalid frame")
	case errors.Is(err, http2.ErrFrameTooLarge):
		return connFault(http2.ErrCodeFrameSize, "frame too large")
	}
	return nil
}
