package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/keyring"
	"github.com/albion-lb/albion/internal/proxy"
)

// port is a listener's sockets and the connections that came in by them.
type port struct {
	edge    *Edge
	live    *proxy.Listener
	ring    atomic.Pointer[keyring.Ring]
	tls     atomic.Pointer[tls.Config]
	policy  string // that tls was made for; guarded by Edge.mu, as all below
	now     atomic.Pointer[compiled]
	sockets map[netip.AddrPort]net.Listener
	problem error // why some socket is not open

	handshakes, handshakesFailed, refused atomic.Uint64
}

func newPort(e *Edge, c *compiled) *port {
	return &port{edge: e, live: proxy.NewListener(e.shared), sockets: map[netip.AddrPort]net.Listener{}}
}

// sameSockets says that c listens exactly where this port does.
func (p *port) sameSockets(c *compiled) bool {
	now := p.now.Load()
	return now.listener.Port == c.listener.Port && now.listener.Protocol == c.listener.Protocol &&
		slices.Equal(now.addresses, c.addresses)
}

// set makes c apply to every connection and request that begins from now on.
func (p *port) set(c *compiled) {
	if c.ring != nil {
		p.ring.Store(c.ring)
		if p.policy != c.listener.SSLPolicy {
			config, err := p.edge.tlsConfig(p, c.listener.SSLPolicy)
			if err != nil {
				p.problem = err
				return
			}
			p.policy = c.listener.SSLPolicy
			p.tls.Store(config)
		}
	}
	p.now.Store(c)
	p.live.Set(c.view)
}

// open opens the sockets that are not open yet.
func (p *port) open() {
	if p.now.Load() == nil {
		return
	}
	before := p.problem
	p.problem = nil
	for _, at := range p.places() {
		if p.sockets[at] != nil {
			continue
		}
		socket, err := p.listen(at)
		if err != nil {
			p.problem = explain(at, err)
			continue
		}
		p.sockets[at] = socket
		p.edge.tasks.Go(func() { p.accept(socket) })
	}
	if p.problem != nil && (before == nil || before.Error() != p.problem.Error()) {
		p.edge.cfg.Log.Error("listener cannot serve", "listener", string(p.now.Load().listener.ARN), "problem", p.problem.Error())
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

func (p *port) listen(at netip.AddrPort) (net.Listener, error) {
	address := ":" + strconv.Itoa(int(at.Port()))
	if at.Addr().IsValid() {
		address = at.String()
	}
	// The zero KeepAliveConfig of ListenConfig turns TCP keep-alive on, which finds
	// out about clients whose machine vanished.
	var config net.ListenConfig
	return config.Listen(context.Background(), "tcp", address)
}

// explain says what to do about a socket that cannot be opened.
func explain(at netip.AddrPort, err error) error {
	where := fmt.Sprintf("port %d", at.Port())
	if at.Addr().IsValid() {
		where = "address " + at.String()
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program: stop it (`ss -ltnp 'sport = :%d'` shows which one, as root) or choose another port", where, at.Port())
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be opened by this user: run as root, allow it with `setcap cap_net_bind_service=+ep` on the albion binary, or choose a port above 1023", where)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine: see `ip addr`, or leave addresses out to listen on all of them", where)
	}
	return fmt.Errorf("%s cannot be opened: %w", where, err)
}

// closeSockets stops accepting; what was accepted goes on.
func (p *port) closeSockets() {
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
			time.Sleep(pause)
			continue
		}
		pause = 0
		p.edge.tasks.Go(func() { p.serve(raw) })
	}
}

// serve owns an accepted connection until it is closed.
func (p *port) serve(raw net.Conn) {
	remote := addrPort(raw.RemoteAddr())
	c := p.now.Load()
	if !c.filter.allows(remote.Addr()) || p.edge.clients.Add(1) > int64(p.edge.cfg.MaxConnections) {
		p.refuse(c, raw, remote.Addr())
		return
	}
	defer p.edge.clients.Add(-1)
	client := proxy.Client{Conn: raw, Remote: remote, Local: addrPort(raw.LocalAddr())}
	if c.listener.Protocol == albion.HTTPS {
		if !p.shake(&client) {
			raw.Close()
			return
		}
	}
	p.live.Serve(client)
}

// refuse resets a connection that may not be here.
func (p *port) refuse(c *compiled, raw net.Conn, from netip.Addr) {
	if c.filter.allows(from) {
		p.edge.clients.Add(-1)
	}
	p.refused.Add(1)
	if tcp, ok := raw.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
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
