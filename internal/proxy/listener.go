package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/accesslog"
	"github.com/albion-lb/albion/internal/route"
	"github.com/albion-lb/albion/internal/target"
	"github.com/albion-lb/albion/internal/wire/h1"
	"github.com/albion-lb/albion/internal/wire/h2"
	"github.com/albion-lb/albion/internal/wire/park"
)

// View is what one listener does with a request, compiled from a State and
// never written again. Every request loads it once.
type View struct {
	Listener     albion.ARN
	LoadBalancer string // as logs name it: app/NAME/ID
	Protocol     albion.Protocol
	Port         uint16
	Attributes   albion.LoadBalancerAttributes
	Limits       h1.Limits
	Routes       *route.Table
	Groups       map[albion.ARN]*target.Group
	Proofs       map[string]string // by token: what a CA is answered before any rule
	Beacon       Beacon            // nil: none
	Log          *accesslog.Log    // nil: no access log; a line goes to the one that is set when it is written
}

// Beacon answers a token that was made in this process, so that it can be
// recognised from outside. It must not block. ok is false for every other token.
type Beacon func(token string) (answer string, ok bool)

// Client is an accepted connection whose TLS handshake, if any, is done.
type Client struct {
	Conn   net.Conn
	Remote netip.AddrPort
	Local  netip.AddrPort
	TLS    *TLS   // nil on an HTTP listener
	HTTP2  bool   // what the handshake agreed on
	Ended  func() // called once when the connection has ended; nil: nobody asks
}

// TLS is what the log and the targets are told of a handshake.
type TLS struct {
	Version     uint16 // as crypto/tls numbers them
	Cipher      uint16
	ServerName  string
	Certificate string // ARN, or "session-reused"
}

// Shared is what all listeners of a process have in common.
type Shared struct {
	buffers *buffers
	http2   *h2.Shared
	streams sync.Pool // of *conn, each for a request over HTTP/2
	lot     *park.Lot
	log     *slog.Logger
}

// NewShared makes the common part.
func NewShared(log *slog.Logger) *Shared {
	s := &Shared{buffers: newBuffers(), http2: h2.NewShared(), lot: park.NewLot(), log: log}
	s.streams.New = func() any { return &conn{} }
	return s
}

// Run looks after idle connections and tunnels, which hold no goroutine while it
// runs. It has to outlast Drain of every Listener.
func (s *Shared) Run(ctx context.Context) error { return s.lot.Run(ctx) }

// Listener serves the connections of one listener. It outlives the changes of
// its View.
type Listener struct {
	shared  *Shared
	view    atomic.Pointer[View]
	closing atomic.Bool
	ctx     context.Context // of connections to targets that are being made
	giveUp  context.CancelFunc
	Metrics Metrics

	mu    sync.Mutex // guards conns and empty
	conns map[connection]struct{}
	empty chan struct{} // closed when the last connection ends while closing
}

// NewListener makes a Listener that serves nothing until Set is called.
func NewListener(shared *Shared) *Listener {
	l := &Listener{shared: shared, conns: map[connection]struct{}{}, empty: make(chan struct{})}
	l.ctx, l.giveUp = context.WithCancel(context.Background())
	return l
}

// Set makes view apply to every request that begins from now on.
func (l *Listener) Set(view *View) { l.view.Store(view) }

// Connections is how many clients are connected.
func (l *Listener) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Serve owns client.Conn until it is closed. It returns then, or earlier, when
// the connection waits where it needs no goroutine: Ended says when it is over.
func (l *Listener) Serve(client Client) {
	var c connection
	if client.HTTP2 {
		c = newMultiplexed(l, client)
	} else {
		c = newConn(l, client)
	}
	if !l.add(c) {
		client.Conn.Close()
		client.end()
		return
	}
	l.attend(c, &client)
}

// attend serves a connection until it has ended or is parked.
func (l *Listener) attend(c connection, client *Client) {
	parked := false // read by nobody afterwards: c may be with somebody else by then
	defer func() {
		if !parked {
			l.remove(c)
			client.end()
		}
	}()
	defer l.survive(c, client.Remote)
	parked = c.serve()
}

func (c *Client) end() {
	if c.Ended != nil {
		c.Ended()
	}
}

// connection is a client's, of either version of HTTP.
type connection interface {
	serve() (parked bool)
	wakeIfIdle() // when the listener is closing: no more requests; does not block
	cut()
}

// survive is deferred by every goroutine of a connection: a mistake of ours in
// one of them ends that connection and not everybody's.
func (l *Listener) survive(c interface{ cut() }, client netip.AddrPort) {
	mistake := recover()
	if mistake == nil {
		return
	}
	c.cut()
	l.confess(client, mistake, debug.Stack())
}

// confess reports a mistake of ours that ended a connection.
func (l *Listener) confess(client netip.AddrPort, mistake any, stack []byte) {
	l.Metrics.Panics.Add(1)
	l.shared.log.Error("a connection was ended by a mistake in the program: please report it",
		"client", client.String(), "panic", fmt.Sprint(mistake), "stack", string(stack))
}

// Drain ends the connections: idle ones at once, the others after the answer
// that they are waiting for, tunnels when they end by themselves. When ctx ends
// first, what is left is cut. It returns when nothing is left.
func (l *Listener) Drain(ctx context.Context) {
	defer l.giveUp()
	l.closing.Store(true)
	for _, c := range l.snapshot() {
		c.wakeIfIdle()
	}
	l.closeEmpty()
	select {
	case <-l.empty:
		return
	case <-ctx.Done():
	}
	l.giveUp()
	for _, c := range l.snapshot() {
		c.cut()
	}
	<-l.empty
}

func (l *Listener) snapshot() []connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]connection, 0, len(l.conns))
	for c := range l.conns {
		all = append(all, c)
	}
	return all
}

func (l *Listener) add(c connection) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing.Load() {
		return false
	}
	l.conns[c] = struct{}{}
	l.Metrics.Connections.Add(1)
	return true
}

func (l *Listener) remove(c connection) {
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	if l.closing.Load() {
		l.closeEmpty()
	}
}

func (l *Listener) closeEmpty() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) > 0 {
		return
	}
	select {
	case <-l.empty:
	default:
		close(l.empty)
	}
}

// group picks the target group of a forward by weight; nil when all weights are
// zero.
func (v *View) group(d *route.Decision) *target.Group {
	arn, ok := d.Group(rand.Uint64())
	if !ok {
		return nil
	}
	return v.Groups[arn]
}

func (v *View) scheme() string {
	if v.Protocol == albion.HTTPS {
		return "https"
	}
	return "http"
}

// headTimeout is how long a client may take for a whole head once it has begun
// one; a byte now and then does not extend it.
func (v *View) headTimeout() time.Duration { return min(v.Attributes.IdleTimeout, 60*time.Second) }
