package proxy

import (
	"crypto/rand"
	"crypto/sha1" // what RFC 6455 §4.2.2 asks for; nothing is kept secret by it
	"encoding/base64"
	"errors"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
	"github.com/albion-lb/albion/internal/wire/h2"
)

// multiplexed is a client's HTTP/2 connection. Each of its requests is a conn of
// its own, whose net.Conn is the stream: what an exchange does with a connection
// means the stream then, and the rest is in this file.
type multiplexed struct {
	*h2.Conn
	listener *Listener
	client   Client
	opened   time.Time

	mu      sync.Mutex // guards streams, and the slot of each
	streams []*conn    // whose exchanges have not ended
}

func newMultiplexed(l *Listener, client Client) *multiplexed {
	m := &multiplexed{listener: l, client: client, opened: time.Now()}
	view := l.view.Load()
	m.Conn = h2.New(client.Conn, h2.Config{
		Handler:     m.exchange,
		IdleTimeout: view.Attributes.IdleTimeout,
		HeadTimeout: view.headTimeout(),
		Limits: h2.Limits{
			Line: view.Limits.Line, Field: view.Limits.Field, Head: view.Limits.Head, Fields: view.Limits.Fields,
			DropInvalid: view.Limits.DropInvalid,
		},
	}, l.shared.http2)
	return m
}

// serve returns when the connection has ended. What the client did wrong to it
// was no request, and is in no log.
func (m *multiplexed) serve() (parked bool) {
	if m.listener.closing.Load() {
		m.Drain()
	}
	_ = m.Serve()
	return false
}

func (m *multiplexed) wakeIfIdle() { m.Drain() }

func (m *multiplexed) cut() {
	m.Cut()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.streams {
		c.cutTarget()
	}
}

func (m *multiplexed) begin(c *conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.slot = len(m.streams)
	m.streams = append(m.streams, c)
}

// forget ends what is left of a request and lets another one use its memory.
func (m *multiplexed) forget(c *conn) {
	c.close()
	m.mu.Lock()
	last := len(m.streams) - 1
	m.streams[c.slot], m.streams[last].slot = m.streams[last], c.slot
	m.streams[last], m.streams = nil, m.streams[:last]
	m.mu.Unlock()
	c.up.Store(nil)
	c.Conn, c.stream, c.listener, c.timer, c.req, c.client = nil, nil, nil, deadlines{}, wire.Request{}, Client{}
	c.x = exchange{location: c.x.location[:0], f: forward{res: wire.Response{Fields: c.x.f.res.Fields[:0]}}}
	m.listener.shared.streams.Put(c)
}

// exchange answers one request.
func (m *multiplexed) exchange(s *h2.Stream) {
	c := m.listener.shared.streams.Get().(*conn)
	c.Conn, c.stream, c.listener, c.client, c.opened = s, s, m.listener, m.client, m.opened
	c.in, c.req, c.timer = m.listener.shared.buffers.get(tinyBuffer), *s.Request(), deadlines{conn: s}
	m.begin(c)
	defer m.forget(c)
	defer m.listener.survive(c, m.client.Remote)
	if time.Since(m.opened) >= m.listener.view.Load().Attributes.ClientKeepAlive {
		m.Drain()
	}
	if status, reason := s.Refused(); status != 0 {
		c.x.refuse(c, &h1.Error{Status: status, Reason: reason})
		return
	}
	c.x.run(c)
}

// answerStream sends an answer of the balancer's own.
func (x *exchange) answerStream(a answer) {
	add := func(fields []wire.Field, name, value string) []wire.Field {
		return append(fields, wire.Field{Name: []byte(name), Value: []byte(value)})
	}
	fields := add(nil, "server", "albion")
	fields = add(fields, "date", time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
	if a.location != nil {
		fields = add(fields, "location", string(a.location))
	}
	if bodiless := a.status == 204 || a.status == 304; !bodiless {
		if a.body != "" {
			fields = add(fields, "content-type", a.contentType)
		}
		fields = add(fields, "content-length", strconv.Itoa(len(a.body)))
		if isHead(&x.c.req) {
			a.body = ""
		}
	} else {
		a.body = ""
	}
	err := x.c.stream.WriteHead(&wire.Response{Status: a.status, Fields: fields}, nil, a.body == "")
	if err == nil && a.body != "" {
		err = x.finishStream([]byte(a.body), nil)
	}
	if err != nil {
		x.keep = false
	}
}

// openStream sends the head of the target's answer. A WebSocket begins with 200
// there (RFC 8441 §5).
func (x *exchange) openStream(p *response) error {
	res := x.f.res
	var extra []wire.Field
	for _, value := range p.cookies {
		extra = append(extra, wire.Field{Name: setCookieName, Value: value, ID: wire.SetCookie})
	}
	if res.Status == 101 {
		res.Status = 200
		x.status = 200
	}
	return x.c.stream.WriteHead(&res, extra, false)
}

// finishStream sends the last of an answer.
func (x *exchange) finishStream(out []byte, trailers []wire.Field) error {
	x.c.timer.writeAfter(x.view.Attributes.IdleTimeout)
	err := x.c.stream.Finish(out, trailers)
	if err == nil {
		x.sent += int64(len(out))
	}
	return err
}

// passStream passes the content of a request on, framed for HTTP/1.1. False: it
// did not end well.
func (p *pump) passStream(x *exchange) bool {
	c := x.c
	pool := c.listener.shared.buffers
	in, out := pool.get(largeBuffer), pool.get(largeBuffer)
	defer func() { pool.put(in); pool.put(out) }()
	chunked := c.req.Framing == wire.Chunked
	most := len(in.b) - 64 // room for what frames a chunk
	var meter meter
	waiting := c.req.Expect
	for {
		asked := time.Now()
		c.timer.readAfter(x.view.Attributes.IdleTimeout)
		if p.stopped.Load() { // after the deadline: see stop
			return false
		}
		n, err := c.stream.Read(in.b[:most])
		x.f.received += int64(n)
		switch {
		case err == nil && chunked:
			if !p.pass(x, h1.AppendChunk(out.b[:0], in.b[:n])) {
				return false
			}
		case err == nil:
			if !p.pass(x, in.b[:n]) {
				return false
			}
		case errors.Is(err, io.EOF) && chunked:
			return p.pass(x, h1.AppendLastChunk(out.b[:0], c.stream.Trailers()))
		case errors.Is(err, io.EOF):
			return true
		default:
			p.abort(x, streamVerdict(err))
			return false
		}
		if !waiting {
			meter.waited += time.Since(asked)
		}
		if waiting = false; meter.slow(n) {
			p.abort(x, slow)
			return false
		}
	}
}

// streamVerdict says why the content of a request does not come.
func streamVerdict(err error) verdict {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return slow
	case errors.Is(err, h2.ErrMalformed):
		return broken
	}
	return gone
}

// watchStream waits for the client to give up.
func (p *pump) watchStream(x *exchange) {
	select {
	case <-x.c.stream.Gone():
		p.abort(x, gone)
	case <-p.quit:
	}
}

// newKey makes a Sec-WebSocket-Key: 16 random bytes (RFC 6455 §4.1).
func newKey() string {
	var nonce [16]byte
	rand.Read(nonce[:]) // never fails
	return base64.StdEncoding.EncodeToString(nonce[:])
}

// accepted says that the target proved to speak WebSocket, to whoever made the
// key: the client, or we for a client of HTTP/2 (RFC 6455 §4.2.2).
func (x *exchange) accepted() bool {
	if x.f.key == "" {
		return true
	}
	sum := sha1.Sum([]byte(x.f.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	want := base64.StdEncoding.EncodeToString(sum[:])
	for i := range x.f.res.Fields {
		if f := &x.f.res.Fields[i]; wire.EqualFold(f.Name, "sec-websocket-accept") {
			return string(f.Value) == want
		}
	}
	return false
}
