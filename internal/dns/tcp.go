package dns

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds of TCP: RFC 7766 §6.2 leaves them to the server.
const (
	maxConnections = 512
	maxOfNetwork   = 32 // of one /24 or /56
	maxQuestions   = 1000
	idleTimeout    = 10 * time.Second // between questions, and for each to arrive
	writeTimeout   = 5 * time.Second
	maxQuestion    = 4096 // bytes; a question has a few hundred at most
)

// connections is those that are open. The zero value holds none.
type connections struct {
	mu       sync.Mutex // guards what follows
	closed   bool
	open     map[net.Conn]netip.Prefix
	networks map[netip.Prefix]int
}

func (c *connections) add(conn net.Conn, from netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.open) >= maxConnections || c.networks[from] >= maxOfNetwork {
		return false
	}
	if c.open == nil {
		c.open, c.networks = map[net.Conn]netip.Prefix{}, map[netip.Prefix]int{}
	}
	c.open[conn] = from
	c.networks[from]++
	return true
}

func (c *connections) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := c.open[conn]
	delete(c.open, conn)
	if c.networks[from]--; c.networks[from] <= 0 {
		delete(c.networks, from)
	}
}

func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// close ends all of them, and lets no other in.
func (c *connections) close() {
	c.mu.Lock()
	c.closed = true
	all := make([]net.Conn, 0, len(c.open))
	for conn := range c.open {
		all = append(all, conn)
	}
	c.mu.Unlock()
	for _, conn := range all {
		conn.Close()
	}
}

// serveTCP takes connections until the socket is closed; those that are open go
// on.
func (s *Server) serveTCP(l net.Listener, closed <-chan struct{}) {
	pause := time.Duration(0)
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.cfg.Log.Warn("accepting a connection failed", "error", err.Error())
			if !rest(pause, closed) {
				return
			}
			continue
		}
		pause = 0
		var client netip.Addr
		if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
			client = tcp.AddrPort().Addr()
		}
		if !s.tcp.add(conn, network(client)) {
			s.counts.refused.Add(1)
			conn.Close()
			continue
		}
		s.tasks.Go(func() {
			defer s.tcp.remove(conn)
			defer conn.Close()
			s.converse(conn, client)
		})
	}
}

// converse answers the questions of one connection in turn: RFC 1035 §4.2.2.
func (s *Server) converse(conn net.Conn, client netip.Addr) {
	in, out := make([]byte, maxQuestion), make([]byte, 2+1024)
	for range maxQuestions {
		if conn.SetDeadline(time.Now().Add(idleTimeout)) != nil {
			return
		}
		if _, err := io.ReadFull(conn, in[:2]); err != nil {
			return
		}
		size := int(binary.BigEndian.Uint16(in))
		if size < headerSize || size > maxQuestion {
			return
		}
		if _, err := io.ReadFull(conn, in[:size]); err != nil {
			return
		}
		answer := s.answer(in[:size], out[2:], client, true)
		if answer == nil || conn.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
			return
		}
		out = append(out[:2], answer...) // the library may have made a larger one
		binary.BigEndian.PutUint16(out, uint16(len(answer)))
		if _, err := conn.Write(out); err != nil {
			return
		}
		out = out[:cap(out)]
	}
}
