package target

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/albion-lb/albion/internal/wire/park"
)

// Conn is a connection to a target. Between Take or Fresh and Put or Close it
// belongs to one user. The embedded Conn is a *tls.Conn for an HTTPS group, else
// what Dial returned.
type Conn struct {
	net.Conn
	raw       net.Conn // below TLS
	target    *Target
	secure    bool
	expired   atomic.Bool
	idleSince time.Time // of an idle one

	// ReadBy and WriteBy are the deadlines that its user has set and leaves to the
	// next one, who need not move those that will still do: a timer that moves at
	// every request costs more than the rest of the pool.
	ReadBy, WriteBy time.Time

	socket syscall.RawConn // nil where peers cannot be watched
	peek   func(fd uintptr)
	quiet  bool // what peek found
}

// Close closes the connection for good.
func (c *Conn) Close() error {
	c.target.pool.drop(c)
	return c.Conn.Close()
}

// Cut ends the connection from anywhere, whoever it belongs to: reads and writes
// that block on it return. Its user still has to Close it.
func (c *Conn) Cut() { c.raw.Close() }

// CloseWrite tells the target that nothing more will be sent.
func (c *Conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// Socket is what of the connection can be parked, nil when nothing can.
func (c *Conn) Socket() *park.Socket {
	s, _ := c.raw.(*park.Socket)
	return s
}

// Asks says whether Ask can be used.
func (c *Conn) Asks() bool { return park.CanAsk && !c.secure && c.Socket() != nil }

// Ask sends a request whole, and reads the first bytes of the answer into room.
// park.ErrStale says that the connection was not silent, or not there any more,
// and that nothing was sent.
func (c *Conn) Ask(request, room []byte) (int, error) { return c.Socket().Ask(request, room) }

// Expired says whether the end of the target's deregistration delay closed this
// connection (502).
func (c *Conn) Expired() bool { return c.expired.Load() }

// abandon closes without a farewell, which could block.
func (c *Conn) abandon() {
	c.target.pool.drop(c)
	c.raw.Close()
}

// alive says whether an idle connection can still be used: the target has
// neither closed it nor sent what nobody asked for.
func (c *Conn) alive() bool {
	if c.secure && !c.silent() {
		return false
	}
	if c.socket == nil {
		return true
	}
	c.quiet = false
	return c.socket.Control(c.peek) == nil && c.quiet // Control, unlike Read, asks no deadline
}

// silent says whether TLS has nothing decrypted that was left unread. With a
// deadline that is long over, Read returns only what is there already.
func (c *Conn) silent() bool {
	if c.SetReadDeadline(time.Unix(1, 0)) != nil {
		return false
	}
	c.ReadBy = time.Time{}
	var one [1]byte
	n, err := c.Conn.(*tls.Conn).Read(one[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.SetReadDeadline(time.Time{}) == nil
}

// watch prepares alive, once, so that it allocates nothing.
func (c *Conn) watch() {
	source, ok := c.raw.(syscall.Conn)
	if !ok || !canPeek {
		return
	}
	socket, err := source.SyscallConn()
	if err != nil {
		return
	}
	c.socket = socket
	c.peek = func(fd uintptr) { c.quiet = peek(fd) }
}
