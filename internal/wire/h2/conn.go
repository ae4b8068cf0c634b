package h2

import (
	"bufio"
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Conn is one connection, to a client that asks or to a target that is asked.
// One goroutine reads it, one serves each request of a client; whoever has
// something to send and finds nobody sending, sends.
type Conn struct {
	net    net.Conn
	cfg    Config
	shared *Shared
	asking *asking // of a connection to a target; nil: the other side asks
	window int32   // content of all streams that nobody has read, in bytes

	// Of the goroutine that reads.
	in      *bufio.Reader
	framer  *http2.Framer // its writing half belongs to mu
	decoder *hpack.Decoder
	block   block
	scrap   section // of blocks that nobody wants
	budgets budgets
	granted float64      // how many of explains the budget knows of
	said    atomic.Int64 // frames of content, and resets, that budgets.control has not been told of

	underWay sync.WaitGroup
	writers  sync.WaitGroup

	mu       sync.Mutex // guards all that follows, and what a Stream says it does
	streams  map[uint32]*Stream
	past     past
	maxID    uint32 // the highest stream the client has opened
	served   uint32 // the highest that was looked at; the same until final
	busy     int    // streams that are open, or whose handlers have something left to do
	requests int
	send     int32 // the client's window for all content
	initial  int32 // the client's window for the content of a new stream
	recv     int32 // our window for all content
	unsaid   int32 // what the client may send more and has not been told of

	encoder  *hpack.Encoder
	packed   bytes.Buffer // what encoder wrote
	resized  bool         // encoder has a change of its table's size to announce
	strings  interner
	recent   [8]repeated // the first fields of the latest answers
	pending  *[]byte     // frames to be written; nil when there are none
	flushing bool        // somebody writes
	explains float64     // how many WINDOW_UPDATEs the content that was sent explains, in all
	waiting  []*Stream
	writeBy  time.Time // the write deadline that is set

	draining bool // the client was asked to open no more streams
	final    bool // streams above maxID are not served
	settled  bool // nothing is left to do: reading has been woken
	closing  bool // nothing more is said or served
	active   time.Time
	armed    bool // idle will fire
	idle     *time.Timer
	drain    *time.Timer
}

// New makes a Conn that does nothing until Serve. The connection's TLS
// handshake, which agreed on "h2", is done.
func New(conn net.Conn, cfg Config, shared *Shared) *Conn {
	c := newConn(conn, cfg.resolved(), shared, connWindow)
	// The first of all frames (RFC 9113 §3.4). Nobody else has c yet.
	c.framer.WriteSettings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(c.cfg.Streams)},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(c.cfg.Limits.Head)},
		http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1}, // RFC 8441 §3
	)
	c.framer.WriteWindowUpdate(0, connWindow-firstWindow)
	return c
}

// newConn makes what both sides have in common.
func newConn(conn net.Conn, cfg Config, shared *Shared, window int32) *Conn {
	c := &Conn{
		net: conn, cfg: cfg, shared: shared, window: window,
		streams: map[uint32]*Stream{},
		send:    firstWindow, initial: firstWindow, recv: window,
		active: time.Now(),
	}
	c.budgets = newBudgets(c.active)
	c.in = bufio.NewReaderSize(conn, smallOutput)
	c.framer = http2.NewFramer(appender{c}, c.in)
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(frameSize)
	c.decoder = hpack.NewDecoder(tableSize, func(f hpack.HeaderField) { c.block.section.add(&f) })
	c.decoder.SetMaxStringLength(c.cfg.Limits.Head)
	c.encoder = hpack.NewEncoder(&c.packed)
	return c
}

// Serve owns the connection until it is closed. The error says what the client
// did wrong; it is nil when the connection just ended.
func (c *Conn) Serve() error {
	c.mu.Lock()
	c.armed = true
	if c.asking == nil {
		c.idle = time.AfterFunc(c.cfg.IdleTimeout, c.rest)
	} else {
		c.idle = time.AfterFunc(pingWait, c.tick)
	}
	c.mu.Unlock()
	c.shared.crew.enter()
	defer c.shared.crew.leave()
	err := c.read()
	return c.end(err)
}

// Drain asks the client, in the two steps of RFC 9113 §6.8, to open no more
// streams; Serve returns when those that are open have been answered. Of a
// connection to a target it is enough to open no more.
func (c *Conn) Drain() {
	c.mu.Lock()
	switch {
	case c.draining || c.closing:
	case c.asking != nil:
		c.sayLast()
	default:
		c.retire()
	}
	c.unlockAndFlushAside()
}

// Cut ends the connection wherever it stands.
func (c *Conn) Cut() { c.raw().Close() }

// raw is the connection below TLS.
func (c *Conn) raw() net.Conn {
	if secure, ok := c.net.(interface{ NetConn() net.Conn }); ok {
		return secure.NetConn()
	}
	return c.net
}

// drainPing is the PING whose answer says that the client has read the first
// GOAWAY.
const drainPing = "draining"

// retire takes the first step: the client may not know yet, so whatever it opens
// until it does is served. With mu held.
func (c *Conn) retire() {
	c.draining = true
	c.framer.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil)
	c.framer.WritePing(false, [8]byte([]byte(drainPing)))
	c.drain = time.AfterFunc(drainWait, c.conclude)
}

// conclude takes the second step.
func (c *Conn) conclude() {
	c.mu.Lock()
	c.sayLast()
	c.unlockAndFlushAside()
}

// sayLast tells the client which stream is the last that is served. With mu
// held.
func (c *Conn) sayLast() {
	if c.final || c.closing {
		return
	}
	c.draining, c.final = true, true
	c.framer.WriteGoAway(c.served, http2.ErrCodeNo, nil)
	c.settle()
}

// settle wakes the reader when there is nothing left to read for. With mu held.
func (c *Conn) settle() {
	if c.final && !c.settled && !c.closing && len(c.streams) == 0 && (c.asking == nil || c.busy == 0) {
		c.settled = true
		c.net.SetReadDeadline(longAgo()) // does not block
	}
}

// rest ends the connection when it has been idle for long enough. It does not
// look again while requests are being answered: the last of them winds it up.
func (c *Conn) rest() {
	c.mu.Lock()
	c.armed = false
	switch quiet := time.Since(c.active); {
	case c.closing || len(c.streams) > 0:
	case quiet >= c.cfg.IdleTimeout:
		c.sayLast()
	default:
		c.wind(c.cfg.IdleTimeout - quiet)
	}
	c.unlockAndFlushAside()
}

// wind makes rest look again. With mu held.
func (c *Conn) wind(wait time.Duration) {
	if !c.armed && !c.closing && c.idle != nil {
		c.armed = true
		c.idle.Reset(wait)
	}
}

// readBy sets the end of the next reads; not once the reader has been woken for
// good.
func (c *Conn) readBy(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.settled && !c.closing {
		c.net.SetReadDeadline(t)
	}
}

// end closes the connection after reading has ended with err, and returns when
// every goroutine has.
func (c *Conn) end(err error) error {
	bad := asFault(err)
	c.mu.Lock()
	said := bad != nil || c.settled
	if said && !c.closing {
		wait := c.cfg.IdleTimeout
		if bad != nil {
			c.framer.WriteGoAway(c.served, bad.code, []byte(bad.reason))
		}
		if bad != nil || c.asking != nil {
			wait = lingerTime // who breaks the protocol, or is asked no more, is not waited for
		}
		c.net.SetWriteDeadline(time.Now().Add(wait))
	}
	mine := c.claim()
	if bad != nil && c.asking != nil {
		c.abortAll(ErrMalformed)
	}
	c.abandon()
	c.asking.over(bad)
	c.mu.Unlock()
	if !said {
		c.Cut()
	}
	if mine {
		c.write(false)
	}
	c.writers.Wait()
	half, ok := c.net.(interface{ CloseWrite() error })
	said = said && ok && half.CloseWrite() == nil
	c.underWay.Wait()
	if said {
		c.linger()
	}
	c.Cut()
	c.mu.Lock()
	c.shared.discard(c.pending)
	c.pending = nil
	c.mu.Unlock()
	if bad != nil {
		return bad
	}
	return nil
}

// abandon ends whatever goes on. With mu held.
func (c *Conn) abandon() {
	if c.closing {
		return
	}
	c.closing = true
	if c.idle != nil {
		c.idle.Stop()
	}
	if c.drain != nil {
		c.drain.Stop()
	}
	c.abortAll(ErrGone)
	for _, s := range c.waiting { // some of them may have no number yet
		s.writable.Broadcast()
	}
}

// abortAll ends what all streams do. With mu held.
func (c *Conn) abortAll(err error) {
	for _, s := range c.streams {
		s.abort(err)
	}
}

// linger reads on for a moment after the last word: closing with unread bytes
// would reset the connection, and the word could be lost with it.
func (c *Conn) linger() {
	c.net.SetReadDeadline(time.Now().Add(lingerTime))
	scratch := c.shared.lend(largeOutput)
	defer c.shared.discard(scratch)
	for total := 0; total < lingerBytes; {
		n, err := c.net.Read((*scratch)[:largeOutput])
		if total += n; err != nil {
			return
		}
	}
}

// longAgo is a deadline that has passed: it wakes whoever waits.
func longAgo() time.Time { return time.Unix(1, 0) }
