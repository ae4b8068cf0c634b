package edge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/albion-lb/albion/internal/accesslog"
	"github.com/albion-lb/albion/internal/proxy"
	"github.com/albion-lb/albion/internal/wire/park"
)

// port is a listener's sockets and the connections that came in by them.
type port struct {
	edge   *Edge
	live   *proxy.Listener
	now    atomic.Pointer[compiled]
	ctx    context.Context // ends with the port: no more handshakes
	cancel context.CancelFunc

	// Guarded by Edge.mu.
	sockets map[netip.AddrPort]net.Listener
	problem error // why some socket is not open

	handshakes, handshakesFailed, refused atomic.Uint64
}

func newPort(e *Edge) *port {
	p := &port{edge: e, live: proxy.NewListener(e.shared), sockets: map[netip.AddrPort]net.Listener{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// set makes c apply to every connection and request that begins from now on, and
// closes the sockets that c does not have. Connections that came in by those
// stay.
func (p *port) set(c *compiled) {
	p.now.Store(c)
	p.live.Set(c.view)
	places := p.places()
	for at, socket := range p.sockets {
		if !slices.Contains(places, at) {
			socket.Close()
			delete(p.sockets, at)
		}
	}
}

// moveLog makes the port write its lines to another log.
func (p *port) moveLog(from, to *accesslog.Log) {
	c := *p.now.Load()
	if c.view.Log != from {
		return
	}
	view := *c.view
	view.Log = to
	c.view = &view
	p.now.Store(&c)
	p.live.Set(&view)
}

// listen opens the sockets that are not open yet.
func (p *port) listen() {
	before := p.problem
	p.problem = nil
	for _, at := range p.places() {
		if p.sockets[at] != nil {
			continue
		}
		socket, err := listen(at)
		if err != nil {
			p.problem = cmp.Or(p.problem, explain(at, err))
			continue
		}
		p.sockets[at] = socket
		p.edge.tasks.Go(func() { p.accept(socket) })
	}
	p.report(before)
}

// report tells the operator when a listener begins to fail, and when it serves
// again.
func (p *port) report(before error) {
	log, name := p.edge.cfg.Log, string(p.now.Load().listener.ARN)
	switch {
	case p.problem == nil && before != nil:
		log.Info("listener serves again", "listener", name)
	case p.problem != nil && (before == nil || before.Error() != p.problem.Error()):
		log.Error("listener cannot serve", "listener", name, "problem", p.problem.Error())
	}
}

// places is where the port listens; the zero address stands for all of them.
func (p *port) places() []netip.AddrPort {
	c := p.now.Load()
	if len(c.addresses) == 0 {
		return []netip.AddrPort{netip.AddrPortFrom(netip.Addr{}, c.listener.Port)}
	}
	var all []netip.AddrPort
	for _, a := range c.addresses {
		all = append(all, netip.AddrPortFrom(a, c.listener.Port))
	}
	return all
}

func listen(at netip.AddrPort) (net.Listener, error) {
	network, address := "tcp", ":"+strconv.Itoa(int(at.Port()))
	if at.Addr().IsValid() {
		address = at.String()
	}
	if at.Addr().Is4() {
		network = "tcp4" // package net takes 0.0.0.0 for every address, IPv6 too
	}
	// The zero KeepAliveConfig of ListenConfig turns TCP keep-alive on, which finds
	// out about clients whose machine vanished.
	var config net.ListenConfig
	return config.Listen(context.Background(), network, address)
}

// What Windows says where others say EADDRINUSE, EACCES and EADDRNOTAVAIL
// (Winsock's error codes); nobody else has these numbers.
const (
	wsaInUse        = syscall.Errno(10048)
	wsaDenied       = syscall.Errno(10013)
	wsaNotAvailable = syscall.Errno(10049)
)

// explain says what to do about a socket that cannot be opened.
func explain(at netip.AddrPort, err error) error {
	where := fmt.Sprintf("port %d", at.Port())
	if at.Addr().IsValid() {
		where = "address " + at.String()
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, wsaInUse):
		return fmt.Errorf("%s is in use by another program: stop it (%s shows which one) or choose another port", where, whoListens(at.Port()))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, wsaDenied):
		return fmt.Errorf("%s may not be opened by this user: run as root, allow it with `setcap cap_net_bind_service=+ep` on the albion binary, or choose a port above 1023", where)
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, wsaNotAvailable):
		return fmt.Errorf("%s is not an address of this machine: choose one of its own, or leave addresses out to listen on all of them", where)
	}
	return fmt.Errorf("%s cannot be opened: %w", where, err)
}

// whoListens is the command that tells which program has a port.
func whoListens(port uint16) string {
	switch runtime.GOOS {
	case "linux":
		return fmt.Sprintf("`ss -ltnp 'sport = :%d'`, as root,", port)
	case "windows":
		return "`netstat -abn -p TCP`"
	}
	return fmt.Sprintf("`lsof -nP -iTCP:%d -sTCP:LISTEN`, as root,", port)
}

// close stops accepting and shaking hands; who is in already goes on.
func (p *port) close() {
	p.cancel()
	for at, socket := range p.sockets {
		socket.Close()
		delete(p.sockets, at)
	}
}

// accept takes connections until the socket is closed.
func (p *port) accept(socket net.Listener) {
	pause := time.Duration(0)
	for {
		raw, err := socket.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of files or memory: others need a moment to give some back.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			p.edge.cfg.Log.Warn("accepting a connection failed", "error", err.Error())
			p.rest(pause)
			continue
		}
		pause = 0
		p.admit(park.NewSocket(raw.(*net.TCPConn))) // listen opens no other
	}
}

// rest waits, unless the port closes.
func (p *port) rest(pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ctx.Done():
	}
}

// admit serves a connection, or resets it when it may not be here: for its
// address, or because there are too many.
func (p *port) admit(raw *park.Socket) {
	c, remote, e := p.now.Load(), addrPort(raw.RemoteAddr()), p.edge
	if !c.filter.allows(remote.Addr()) {
		p.refuse(raw)
		return
	}
	if e.clients.Add(1) > int64(e.cfg.MaxConnections) {
		e.clients.Add(-1)
		p.refuse(raw)
		return
	}
	e.tasks.Add(1) // until the connection has ended, with or without a goroutine
	go p.serve(c, raw, proxy.Client{Conn: raw, Remote: remote, Local: addrPort(raw.LocalAddr()), Ended: e.left})
}

// left is called when a client's connection has ended.
func (e *Edge) left() {
	e.clients.Add(-1)
	e.tasks.Done()
}

// serve owns an accepted connection until it is closed, or parked.
func (p *port) serve(c *compiled, raw *park.Socket, client proxy.Client) {
	if c.tls != nil && !p.shake(c.tls, raw, &client) {
		raw.Close()
		p.edge.left()
		return
	}
	p.live.Serve(client)
}

func (p *port) refuse(raw *park.Socket) {
	p.refused.Add(1)
	raw.SetLinger(0)
	raw.Close()
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
