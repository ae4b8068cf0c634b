package sockjs

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// socket is a WebSocket connection of some version. One goroutine reads and
// one writes, pings and closes; abort may be called by any.
type socket interface {
	// read returns the next message; after an error it is not called again.
	read() (string, error)
	// write blocks until the message is on its way or ctx ends.
	write(ctx context.Context, msg string) error
	// ping finds out whether the peer is alive, where the version can.
	ping(ctx context.Context) error
	// close says goodbye; read then ends within a few seconds.
	close(code int, reason string)
	// abort closes the connection without a word.
	abort()
}

// serveWebSocket serves the transport: a WebSocket that carries frames.
func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, _ string) {
	if c := s.upgrade(w, r); c != nil {
		s.serveSocket(r, c, framed)
	}
}

// serveRawWebSocket serves a WebSocket whose messages are the session's, for
// clients that are no browsers (SockJS 0.3.3, "Raw WebSocket url").
func (s *Server) serveRawWebSocket(w http.ResponseWriter, r *http.Request, _ string) {
	if c := s.upgrade(w, r); c != nil {
		s.serveSocket(r, c, raw)
	}
}

// upgrade makes a WebSocket of the request, or answers why not and returns
// nil.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) socket {
	h := r.Header
	switch {
	case !hasToken(h.Values("Upgrade"), "websocket"):
		http.Error(w, `Can "Upgrade" only to "WebSocket".`, http.StatusBadRequest)
		return nil
	case !hasToken(h.Values("Connection"), "upgrade"):
		http.Error(w, `"Connection" must be "Upgrade".`, http.StatusBadRequest)
		return nil
	}
	s.mu.Lock()
	err := s.room()
	s.mu.Unlock()
	if err != nil {
		http.Error(w, "No room for a session.", http.StatusServiceUnavailable)
		return nil
	}
	if h.Get("Sec-WebSocket-Key1") != "" {
		return upgradeHixie(w, r, s.opts.MaxMessage)
	}
	return upgradeRFC6455(w, r, s.opts.MaxMessage)
}

// hasToken reports whether a comma-separated header has the token, in lower
// case; Firefox 6 says "Connection: keep-alive, Upgrade".
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// framing is how a session's messages stand in a WebSocket's.
type framing bool

const (
	framed framing = true
	raw    framing = false
)

// serveSocket runs a session over c until either has ended. This goroutine
// reads, the one it starts writes, and it waits for that.
func (s *Server) serveSocket(r *http.Request, c socket, f framing) {
	sess, rc, err := s.connect(r)
	if err != nil { // the last place went while the handshake was made
		c.close(int(websocket.StatusTryAgainLater), "")
		return
	}
	defer sess.dismiss()
	defer sess.leave(rc)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.write(ctx, sess, rc, c, f)
	}()
	read(ctx, sess, c, f)
	sess.finish(interrupted(), true)
	cancel()
	<-written
	c.abort()
}

// read delivers what the client sends, until the connection ends. Broken
// data ends it abruptly, as the protocol asks.
func read(ctx context.Context, sess *Session, c socket, f framing) {
	for {
		msg, err := c.read()
		if err != nil {
			return
		}
		msgs := []string{msg}
		if f == framed {
			if msgs, err = decodeFrame(msg); err != nil {
				c.abort()
				return
			}
		}
		if len(msgs) == 0 {
			continue
		}
		if err := sess.deliver(ctx, msgs, nil); err != nil {
			drain(c)
			return
		}
	}
}

// drain reads on after the session has ended, so that the goodbyes of both
// sides can cross.
func drain(c socket) {
	for {
		if _, err := c.read(); err != nil {
			return
		}
	}
}

// write sends what the session has for the client, until either has ended.
func (s *Server) write(ctx context.Context, sess *Session, rc *receiver, c socket, f framing) {
	if f == framed && send(ctx, c, openFrame) != nil {
		c.abort()
		return
	}
	beat := time.NewTimer(s.opts.HeartbeatDelay)
	defer beat.Stop()
	for ctx.Err() == nil {
		msgs, end := sess.next(rc)
		var err error
		switch {
		case end != nil:
			goodbye(ctx, c, f, *end)
			return
		case msgs != nil:
			err = sendAll(ctx, c, f, msgs)
		default:
			select {
			case <-sess.outReady:
				continue
			case <-ctx.Done():
				return
			case <-beat.C:
			}
			err = heartbeat(ctx, sess, c, f)
		}
		if err != nil {
			c.abort() // read ends too, and with it the session
			return
		}
		beat.Reset(s.opts.HeartbeatDelay)
	}
}

func send(ctx context.Context, c socket, msg string) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return c.write(ctx, msg)
}

func sendAll(ctx context.Context, c socket, f framing, msgs []string) error {
	if f == framed {
		return send(ctx, c, messageFrame(msgs))
	}
	for _, m := range msgs {
		if err := send(ctx, c, strings.ToValidUTF8(m, "\ufffd")); err != nil {
			return err
		}
	}
	return nil
}

// heartbeat keeps balancers from cutting a silent connection, and notices a
// peer that has vanished. While the handler keeps the client waiting the
// answer to a ping cannot be read, so none is missed.
func heartbeat(ctx context.Context, sess *Session, c socket, f framing) error {
	if f == framed {
		if err := send(ctx, c, heartbeatFrame); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := c.ping(ctx); err != nil && !sess.busy() {
		return err
	}
	return nil
}

// goodbye tells the client why the session has ended: framed, in the close
// frame, and the WebSocket then closes normally.
func goodbye(ctx context.Context, c socket, f framing, end closing) {
	if f == raw {
		c.close(end.code, end.reason)
		return
	}
	if send(ctx, c, end.frame()) != nil {
		c.abort()
		return
	}
	c.close(int(websocket.StatusNormalClosure), "Normal closure")
}

// rfc6455 is a socket of RFC 6455 or of its drafts 7 and 8, whose frames are
// the same.
type rfc6455 struct{ conn *websocket.Conn }

func upgradeRFC6455(w http.ResponseWriter, r *http.Request, maxMessage int) socket {
	switch r.Header.Get("Sec-WebSocket-Version") {
	case "7", "8":
		// The handshake of the drafts differs in this number alone.
		r = r.Clone(r.Context())
		r.Header.Set("Sec-WebSocket-Version", "13")
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // Options.CheckOrigin has decided
	})
	if err != nil {
		return nil // and Accept has answered
	}
	conn.SetReadLimit(int64(maxMessage))
	return rfc6455{conn}
}

var errNotText = errors.New("sockjs: message is not text")

// read takes any message that is UTF-8, binary or not: RFC 6455 §8.1 lets an
// endpoint fail a connection whose text is not.
func (c rfc6455) read() (string, error) {
	_, data, err := c.conn.Read(context.Background())
	if err != nil {
		return "", err
	}
	if !utf8.Valid(data) {
		c.close(int(websocket.StatusInvalidFramePayloadData), "not UTF-8")
		return "", errNotText
	}
	return string(data), nil
}

func (c rfc6455) write(ctx context.Context, msg string) error {
	return c.conn.Write(ctx, websocket.MessageText, []byte(msg))
}

func (c rfc6455) ping(ctx context.Context) error { return c.conn.Ping(ctx) }

// close maps what an application may say to what a WebSocket may: RFC 6455
// §7.4.1 and §7.4.2, and §5.5 for the length of the reason.
func (c rfc6455) close(code int, reason string) {
	status := websocket.StatusCode(code)
	if status < 1000 || status > 4999 || status > 1003 && status < 1007 || status > 1014 && status < 3000 {
		status = websocket.StatusNormalClosure
	}
	reason = strings.ToValidUTF8(reason, "\ufffd")
	for len(reason) > 123 {
		_, n := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-n]
	}
	_ = c.conn.Close(status, reason) // a peer that does not answer is gone all the same
}

func (c rfc6455) abort() { _ = c.conn.CloseNow() }
