package park

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// descriptor is a socket that belongs to a tunnel. Nothing of it blocks. One
// goroutine at a time reads and writes: the row's, and after the end of the
// tunnel whoever was told of it.
type descriptor struct {
	fd      int
	drained bool          // there is nothing to read until the set says so
	ending  bool          // an end is to be read, also behind a short read
	unsent  []byte        // what the system did not take
	stuck   time.Duration // when it last took something of that, since the row's epoch; 0: all was sent
	cut     atomic.Bool   // somebody wants the tunnel to end

	mu     sync.Mutex // guards what follows, and fd from being closed
	free   bool       // the tunnel has ended
	closed bool
}

// again says that nothing has come yet. crypto/tls keeps what it has after an
// error that is Temporary, and can be asked again.
type again struct{}

func (again) Error() string   { return "park: nothing has come yet" }
func (again) Timeout() bool   { return false }
func (again) Temporary() bool { return true }

var errAgain error = again{}

// Read reads what has come.
func (d *descriptor) Read(p []byte) (int, error) {
	if d.drained {
		return 0, errAgain
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := readNow(d.fd, p)
	switch {
	case n > 0:
		// Had more come in the meantime, the set would tell (epoll(7), Q9).
		d.drained = n < len(p) && !d.ending
		return n, nil
	case err == 0:
		return 0, io.EOF
	case err == syscall.EAGAIN:
		d.drained = true
		return 0, errAgain
	}
	return 0, os.NewSyscallError("read", err)
}

// Ask is not for tunnels, where nobody waits for an answer.
func (d *descriptor) Ask([]byte, []byte) (int, error) { return 0, ErrStale }

// Write takes all of p.
func (d *descriptor) Write(p []byte) (int, error) {
	if len(d.unsent) > 0 {
		d.unsent = append(d.unsent, p...)
		return len(p), nil
	}
	n, err := d.send(p)
	if err != nil {
		return n, err
	}
	if n < len(p) {
		d.unsent = append([]byte(nil), p[n:]...)
	}
	return len(p), nil
}

// flush sends what was left.
func (d *descriptor) flush() error {
	if len(d.unsent) == 0 {
		return nil
	}
	n, err := d.send(d.unsent)
	if n > 0 {
		d.stuck = 0
	}
	if d.unsent = d.unsent[n:]; len(d.unsent) == 0 {
		d.unsent = nil
	}
	return err
}

// send writes what the system takes. Less than all of it means that the set will
// tell when it takes more.
func (d *descriptor) send(p []byte) (total int, err error) {
	for total < len(p) {
		n, err := writeNow(d.fd, p[total:])
		switch err {
		case 0:
			total += n
		case syscall.EAGAIN:
			return total, nil
		default:
			return total, os.NewSyscallError("write", err)
		}
	}
	return total, nil
}

// CloseWrite tells the other side that nothing more will be sent.
func (d *descriptor) CloseWrite() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	return os.NewSyscallError("shutdown", syscall.Shutdown(d.fd, syscall.SHUT_WR))
}

// SetLinger is that of net.TCPConn.
func (d *descriptor) SetLinger(seconds int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	l := syscall.Linger{Linger: int32(max(seconds, 0))}
	if seconds >= 0 {
		l.Onoff = 1
	}
	return os.NewSyscallError("setsockopt", syscall.SetsockoptLinger(d.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &l))
}

// Close closes the descriptor after the end of the tunnel. Before, it brings the
// end about: the row is told that the connection is over. That may be called from
// anywhere.
func (d *descriptor) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return net.ErrClosed
	case d.free:
		d.closed = true
		return os.NewSyscallError("close", syscall.Close(d.fd))
	}
	d.cut.Store(true)
	return os.NewSyscallError("shutdown", syscall.Shutdown(d.fd, syscall.SHUT_RDWR))
}

// release lets Close close.
func (d *descriptor) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = true
}

func (d *descriptor) LocalAddr() net.Addr              { return nil }
func (d *descriptor) RemoteAddr() net.Addr             { return nil }
func (d *descriptor) SetDeadline(time.Time) error      { return nil }
func (d *descriptor) SetReadDeadline(time.Time) error  { return nil }
func (d *descriptor) SetWriteDeadline(time.Time) error { return nil }

// duplicate makes a descriptor of the connection that is s's own, and that the
// runtime's poller does not watch.
func (s *Socket) duplicate() (*descriptor, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, errno := -1, syscall.Errno(0)
	err = raw.Control(func(old uintptr) {
		var dup uintptr
		dup, _, errno = syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		fd = int(dup)
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("fcntl", errno)
	}
	if err != nil {
		return nil, err
	}
	return &descriptor{fd: fd}, nil
}

// take makes d what s is. False: s was closed before, and stays so.
func (s *Socket) take(d *descriptor) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	tcp := s.tcp
	s.tcp, s.stream, s.taken = nil, d, d
	return tcp.Close() == nil
}
