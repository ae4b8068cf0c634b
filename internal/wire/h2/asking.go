package h2

import (
	"context"
	"errors"
	"math"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// ClientConfig says how a target is asked. A zero field means the value given
// with it.
type ClientConfig struct {
	// Limits bounds the heads of answers: Head is 32 KiB when it is zero, ALB's
	// quota. Line and DropInvalid mean nothing.
	Limits Limits
	// Streams is how many requests may be under way at once, if the target does
	// not ask for fewer: 128.
	Streams int
	// IdleTimeout bounds each Read, each Write and each ReadHead of a Stream that
	// has no deadline: 60 s
	IdleTimeout time.Duration
	// HeadTimeout is how long the target may take for its preface, or for one field
	// section once that has begun: 10 s
	HeadTimeout time.Duration
}

// A connection to a target that has been silent for pingAfter while it was asked
// something gets a PING; when nothing at all comes within pingWait, it is dead.
// A second PING in the same silence comes after pingAgain only: gRPC's servers
// count more frequent ones as an attack.
const (
	pingAfter = 20 * time.Second
	pingWait  = 10 * time.Second
	pingAgain = 6 * time.Minute
)

const keepPing = "are you?"

// asking is what a connection to a target has besides. Nil, it does nothing.
type asking struct {
	ready chan struct{} // closed when most is known, or the connection is over

	// Guarded by Conn.mu.
	err     error  // what the target did wrong to the connection
	most    uint32 // streams at once, as the target wants it
	list    uint32 // bytes of a field section, as the target wants it
	leaving bool   // the target will serve no more streams
	lastID  uint32 // it serves no stream above
	owed    int64  // bytes of content that may still come on streams that were reset
	pinged  time.Time
	waiting bool // for the answer to a PING

	heard atomic.Int64 // when the last frame came, nanoseconds since 1970
	spoke atomic.Bool  // a frame of a stream has come since the last PING
}

// NewClient makes a Conn that asks; it does nothing until Serve, which has to run
// on a goroutine of its own. A TLS handshake, if any, is done and has agreed on
// "h2"; without TLS this is RFC 9113 §3.3, prior knowledge.
func NewClient(conn net.Conn, cfg ClientConfig, shared *Shared) *Conn {
	if cfg.Limits.Head <= 0 {
		cfg.Limits.Head = 32 << 10
	}
	if cfg.HeadTimeout <= 0 {
		cfg.HeadTimeout = 10 * time.Second
	}
	all := Config{Limits: cfg.Limits, Streams: cfg.Streams, IdleTimeout: cfg.IdleTimeout, HeadTimeout: cfg.HeadTimeout}.resolved()
	all.Limits.Field = min(all.Limits.Field, all.Limits.Head)
	all.Limits.DropInvalid = false
	// A window for each stream: clients share this connection, and one that is slow
	// to read must not hold up the others.
	c := newConn(conn, all, shared, int32(min(all.Streams, 1024))*streamWindow)
	c.asking = &asking{ready: make(chan struct{}), most: math.MaxUint32, list: math.MaxUint32, lastID: math.MaxUint32}
	c.asking.heard.Store(time.Now().UnixNano())
	appender{c}.Write([]byte(http2.ClientPreface))
	c.framer.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(all.Limits.Head)},
	)
	c.framer.WriteWindowUpdate(0, uint32(c.window-firstWindow))
	return c
}

// Await returns when the target has said what it allows, or with what kept it
// from that: ErrNotHTTP2, ErrGone, what it did wrong, or ctx's error.
func (c *Conn) Await(ctx context.Context) error {
	select {
	case <-c.asking.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		if c.asking.err != nil {
			return c.asking.err
		}
		return ErrGone
	}
	return nil
}

// Load says how many requests are under way, how many more there is room for,
// and whether there will ever be room again.
func (c *Conn) Load() (busy, room int, usable bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy, max(0, c.most()-c.busy), c.usable()
}

func (c *Conn) most() int { return int(min(uint32(c.cfg.Streams), c.asking.most)) }

// usable says that streams may be opened at times. With mu held.
func (c *Conn) usable() bool {
	return !c.closing && !c.final && !c.asking.leaving && c.maxID < 1<<30
}

// IdleSince is when the last request was over; the zero time while there is one.
func (c *Conn) IdleSince() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy > 0 || len(c.streams) > 0 {
		return time.Time{}
	}
	return c.active
}

// Open takes room for a request. ErrFull: there is none now; ErrRefused: there
// never will be. Whoever opens a Stream has to Release it.
func (c *Conn) Open() (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.usable():
		return nil, ErrRefused
	case c.busy >= c.most():
		return nil, ErrFull
	}
	s := c.shared.streams.Get().(*Stream)
	s.begin(c, 0)
	s.length = -1
	c.busy++
	return s, nil
}

// Retire makes the connection end when its last request is over.
func (c *Conn) Retire() { c.Drain() }

// over says that the connection is. With mu held.
func (a *asking) over(bad *fault) {
	if a == nil {
		return
	}
	if bad != nil && a.err == nil {
		a.err = bad
		switch bad.reason {
		case notHTTP2:
			a.err = ErrNotHTTP2
		case slowHead:
			a.err = os.ErrDeadlineExceeded
		}
	}
	a.isReady()
}

func (a *asking) isReady() {
	select {
	case <-a.ready:
	default:
		close(a.ready)
	}
}

// setting takes what concerns whoever asks (RFC 9113 §6.5.2). With mu held.
func (a *asking) setting(s http2.Setting) {
	if a == nil {
		return
	}
	switch s.ID {
	case http2.SettingMaxConcurrentStreams:
		a.most = s.Val
	case http2.SettingMaxHeaderListSize:
		a.list = s.Val
	}
}

// heardOf notes that the target lives.
func (a *asking) heardOf(what http2.FrameType) {
	if a == nil {
		return
	}
	a.heard.Store(time.Now().UnixNano())
	if what == http2.FrameData || what == http2.FrameHeaders {
		a.spoke.Store(true)
	}
}

// late counts content of a stream that is over. The target was allowed to send it
// before it knew.
func (a *asking) late(size int32) bool {
	if a == nil || a.owed < int64(size) || size == 0 {
		return false
	}
	a.owed -= int64(size)
	return true
}

// welcome reads the target's preface: a SETTINGS frame (RFC 9113 §3.4).
func (c *Conn) welcome() error {
	if got, err := c.in.Peek(len("HTTP/1.")); err == nil && string(got) == "HTTP/1." {
		return connFault(http2.ErrCodeHTTP11Required, notHTTP2)
	}
	if err := c.firstSettings(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asking.isReady()
	return nil
}

// Reasons of faults that are told apart.
const (
	notHTTP2 = "the answer is HTTP/1"
	slowHead = "slow head"
)

// goAway takes a GOAWAY frame (RFC 9113 §6.8): that of a client says nothing new,
// since it closes when it wants to. After that of a target there are no new
// streams, and those above the last one were not served.
func (c *Conn) goAway(f *http2.GoAwayFrame) {
	a := c.asking
	if a == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a.leaving = true
	a.lastID = min(a.lastID, f.LastStreamID)
	for id, s := range c.streams {
		if id > a.lastID && !s.over() {
			s.how = resetByThem
			s.abort(ErrRefused)
		}
	}
	c.sayLast()
}

// tick looks every pingWait whether the target is still there.
func (c *Conn) tick() {
	a := c.asking
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	now, heard := time.Now(), time.Unix(0, a.heard.Load())
	switch {
	case a.waiting && !heard.Before(a.pinged):
		a.waiting = false
	case a.waiting && now.Sub(a.pinged) >= pingWait:
		c.abandon()
		c.raw().Close() // wakes the reader
		c.mu.Unlock()
		return
	case a.waiting || len(c.streams) == 0 || now.Sub(heard) < pingAfter:
	case a.pinged.IsZero() || a.spoke.Load() || now.Sub(a.pinged) >= pingAgain:
		a.pinged, a.waiting = now, true
		a.spoke.Store(false)
		c.framer.WritePing(false, [8]byte([]byte(keepPing)))
	}
	c.idle.Reset(pingWait)
	c.unlockAndFlushAside()
}

// ErrFull is what Open says while as many requests are under way as may be.
var ErrFull = errors.New("h2: as many requests as the target takes")

// ErrRefused is in the tree of what a Stream says that the target has not looked
// at: the request may be sent again, elsewhere (RFC 9113 §8.7).
var ErrRefused = errors.New("h2: the target did not take the request")

// ErrNotHTTP2 is what Await says of a target that answers in HTTP/1.
var ErrNotHTTP2 = errors.New("h2: the target speaks HTTP/1")

// ErrHeadTooLarge is what a request gets whose fields are more than the target
// takes.
var ErrHeadTooLarge = errors.New("h2: more fields than the target takes")

// Code is an error code of RFC 9113 §7.
type Code uint32

// The codes that others act on.
const (
	CodeNo       = Code(http2.ErrCodeNo)
	CodeInternal = Code(http2.ErrCodeInternal)
	CodeRefused  = Code(http2.ErrCodeRefusedStream)
	CodeCancel   = Code(http2.ErrCodeCancel)
)

func (c Code) String() string { return http2.ErrCode(c).String() }

// ResetError is what a Stream says that the target has reset.
type ResetError struct{ Code Code }

func (e *ResetError) Error() string { return "h2: the target reset the request: " + e.Code.String() }
