// Package h2 serves HTTP/2 connections of clients, and asks targets over others
// (RFC 9113): it reads frames, checks heads, keeps the windows of both directions,
// schedules what is sent, and ends connections and streams by the book. Frames are
// taken apart and fields packed by golang.org/x/net; which frame means what is
// decided here.
//
//	conn := h2.New(tlsConn, h2.Config{Handler: answer, IdleTimeout: time.Minute}, shared)
//	conn.Serve()          // owns tlsConn; returns when all of it has ended
//	conn.Drain()          // from elsewhere: no more requests; Serve returns after the last answer
//	conn.Cut()            // from elsewhere: the end, now
//
//	func answer(s *h2.Stream) {
//		n, err := s.Read(buf)                    // the request's content, io.EOF after it
//		s.WriteHead(&wire.Response{Status: 200, Fields: fields}, nil, false)
//		s.Finish([]byte("hello"), nil)           // one write for both
//	}
//
// # One exchange for both versions
//
// Handler runs on a goroutine of its own for every request and may do what an
// exchange over HTTP/1.1 does with its connection. A Stream is a net.Conn for
// the content of its two messages: Read, Write, CloseWrite, Close and the
// deadlines mean what they mean there, so a tunnel (RFC 8441) is carried by the
// code that carries one over HTTP/1.1. What an exchange needs of either version
// is this, and a *Stream has it:
//
//	Request() *wire.Request                       // the head, views that last as long as the exchange
//	Refused() (status int, reason string)         // a head to be answered with status, and not served
//	Read(p []byte) (int, error)                   // content; waits; io.EOF; ErrGone; a deadline
//	Trailers() []wire.Field                       // after io.EOF
//	WriteHead(*wire.Response, []wire.Field, bool) // interim or final; kept back until content, an end or Flush
//	Write(p []byte) (int, error)                  // waits for the client's window
//	Finish(p []byte, trailers []wire.Field) error // the last of the content
//	Reset()                                       // the answer broke off
//	Gone() <-chan struct{}                        // the client gave up
//
// A reset of the client wakes every Read and Write, and closes Gone for whoever
// waits for something else. When Handler returns, what it left unfinished is
// reset; it must not touch the Stream after that.
//
// # Targets
//
// The same connection the other way round asks: NewClient makes a Conn whose
// streams are opened here.
//
//	conn := h2.NewClient(netConn, h2.ClientConfig{}, shared)
//	go conn.Serve()                          // joined by the caller
//	conn.Await(ctx)                          // until the target has said what it allows
//	s, err := conn.Open()                    // ErrFull, ErrRefused
//	defer s.Release()
//	s.WriteRequest(&h2.Request{…}, false)
//	s.Finish([]byte("hello"), nil)
//	ends, err := s.ReadHead(&answer)         // interim ones, then the final one
//	n, err := s.Read(buf)                    // io.EOF; then Trailers
//
// Settings of the target are kept: streams at once, windows, the table and the
// size of field sections. What it has not looked at (ErrRefused) may be asked
// again elsewhere. Nobody who asks waits for the connection itself to be written
// to, because others share it.
//
// # Limits
//
// Everything that a client can make grow has a bound: streams (128 at once, of
// which those that were reset count until their handler has returned), fields
// (ALB's quotas), encoded and decoded bytes of one field section, content that
// nobody has read (256 KiB a stream, 1 MiB a connection), what waits to be sent
// (256 KiB), and the number of frames that cause work and bring nothing
// (budget.go). Time has one too: for a head, between requests, for each Read
// and each Write.
//
// A target is bound likewise: what its answers hold (32 KiB of fields), what of
// them nobody has read (256 KiB a stream), how many interim heads wait (8), and
// the frames that bring nothing.
//
// Priorities are read and not acted upon (RFC 9113 §5.3). Nothing is pushed.
// The package dials nothing, knows no TLS, and does not decide what is answered.
package h2
