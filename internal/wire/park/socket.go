package park

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Socket is a TCP connection that can be parked. It is a net.Conn like any
// other until a tunnel takes it: from then on nobody may read or write, and Close
// ends the tunnel.
type Socket struct {
	mu     sync.Mutex   // guards what follows where it is replaced, against Close
	tcp    *net.TCPConn // nil once it is taken
	stream stream       // what reads and writes: tcp, a shorter way to it, or taken
	taken  endpoint     // what a tunnel made of it
}

// stream is a way to read and write.
type stream interface {
	io.ReadWriter
	// Ask sends a question on a connection that has been silent, and reads the
	// first bytes of the answer.
	Ask(question, room []byte) (int, error)
}

// ErrStale is what Ask returns when a connection that should have been silent
// was not, or has been closed. Nothing was sent.
var ErrStale = errors.New("park: the other side has spoken or gone before it was asked")

// endpoint is the descriptor of a socket that is in a tunnel.
type endpoint interface {
	net.Conn
	CloseWrite() error
	SetLinger(seconds int) error
}

// NewSocket makes a Socket of a connection, which belongs to it from then on.
func NewSocket(conn *net.TCPConn) *Socket {
	return &Socket{tcp: conn, stream: streamOf(conn)}
}

// Parkable returns s, also to those who hold it inside of something else.
func (s *Socket) Parkable() *Socket { return s }

// conn is what to speak to.
func (s *Socket) conn() endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken != nil {
		return s.taken
	}
	return s.tcp
}

// Read reads from the connection. One that is in a tunnel answers at once, with
// a temporary error when nothing has come.
func (s *Socket) Read(p []byte) (int, error) { return s.stream.Read(p) }

// Write writes to the connection. One that is in a tunnel takes everything, and
// keeps what the system does not.
func (s *Socket) Write(p []byte) (int, error) { return s.stream.Write(p) }

// Ask sends a question on a connection that should be silent, and reads the
// first bytes of the answer into room, which must not be empty. It costs fewer
// system calls than to look, to write and to read. With ErrStale nothing was
// sent; with any other error it may have been.
func (s *Socket) Ask(question, room []byte) (int, error) { return s.stream.Ask(question, room) }

// Close closes the connection, or ends the tunnel that it is in.
func (s *Socket) Close() error { return s.conn().Close() }

// CloseWrite tells the other side that nothing more will be sent.
func (s *Socket) CloseWrite() error { return s.conn().CloseWrite() }

// SetLinger is that of net.TCPConn.
func (s *Socket) SetLinger(seconds int) error { return s.conn().SetLinger(seconds) }

// LocalAddr is our address; nil when it is in a tunnel.
func (s *Socket) LocalAddr() net.Addr { return s.conn().LocalAddr() }

// RemoteAddr is the other side's address; nil when it is in a tunnel.
func (s *Socket) RemoteAddr() net.Addr { return s.conn().RemoteAddr() }

// SetDeadline is that of net.Conn. In a tunnel nothing blocks, and it has no
// effect.
func (s *Socket) SetDeadline(t time.Time) error { return s.conn().SetDeadline(t) }

// SetReadDeadline is to SetDeadline as in net.Conn.
func (s *Socket) SetReadDeadline(t time.Time) error { return s.conn().SetReadDeadline(t) }

// SetWriteDeadline is to SetDeadline as in net.Conn.
func (s *Socket) SetWriteDeadline(t time.Time) error { return s.conn().SetWriteDeadline(t) }

// SyscallConn is that of net.TCPConn. It is void once the socket is in a tunnel.
func (s *Socket) SyscallConn() (syscall.RawConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tcp == nil {
		return nil, net.ErrClosed
	}
	return s.tcp.SyscallConn()
}
