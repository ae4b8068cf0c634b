package park

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// direct reads and writes a socket that the runtime's poller watches. One
// goroutine at a time reads, and one writes.
type direct struct {
	raw     syscall.RawConn
	in, out operation
	inquiry inquiry
}

// operation is what is to be done when the socket is ready. It is kept, so that
// nothing is allocated for it.
type operation struct {
	do  func(fd uintptr) (done bool)
	p   []byte
	n   int
	err syscall.Errno
}

// inquiry is a question and where its asking stands.
type inquiry struct {
	do   func(fd uintptr) (done bool)
	in   *operation // reads the answer
	p    []byte     // what is still to be sent
	step askStep
}

type askStep int

const (
	unasked askStep = iota
	stale           // somebody spoke first, or the end had come
	begun           // sent as far as there was room
	asked           // sent whole
)

// CanAsk says whether Ask looks whether a connection has been silent.
const CanAsk = true

// streamOf is the way to a connection that knows its descriptor. A connection
// without one is closed, and says so when it is used.
func streamOf(conn *net.TCPConn) stream {
	raw, err := conn.SyscallConn()
	if err != nil {
		return gone{conn}
	}
	d := &direct{raw: raw}
	d.in.do, d.out.do, d.inquiry.do = d.in.read, d.out.write, d.inquiry.run
	d.inquiry.in = &d.in
	return d
}

// gone is a connection that can only say that it is closed.
type gone struct{ *net.TCPConn }

// Ask says that the connection is closed.
func (g gone) Ask(question, _ []byte) (int, error) { return g.Write(question) }

// read is done when there was something to read, be it the end.
func (o *operation) read(fd uintptr) bool {
	o.n, o.err = readNow(int(fd), o.p)
	return o.err != syscall.EAGAIN
}

// write is done when everything is written.
func (o *operation) write(fd uintptr) bool {
	for o.n < len(o.p) {
		n, err := writeNow(int(fd), o.p[o.n:])
		if err != 0 {
			o.err = err
			return err != syscall.EAGAIN
		}
		o.n += n
	}
	o.err = 0
	return true
}

// run sends the question the first time that it is called, and waits then.
//
// The poller forgets what it knew just before that, so it has to be true that
// nothing has come; and all that comes later it will tell.
func (q *inquiry) run(fd uintptr) bool {
	if q.step == asked {
		return q.in.read(fd)
	}
	if q.in.read(fd) {
		q.step = stale
		return true
	}
	n, err := writeNow(int(fd), q.p)
	if err != 0 && err != syscall.EAGAIN {
		q.step, q.in.err = asked, err
		return true
	}
	q.p, q.step, q.in.err = q.p[n:], begun, 0
	if len(q.p) > 0 {
		return true // the rest has to wait until it can be written
	}
	q.step = asked
	return false
}

func (d *direct) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	d.in.p = p
	err := d.raw.Read(d.in.do)
	return d.in.outcome(err)
}

// outcome is what a read led to, when err is why it was given up.
func (o *operation) outcome(err error) (int, error) {
	n, failed := o.n, o.err
	o.p, o.n, o.err = nil, 0, 0
	switch {
	case err != nil:
		return 0, err
	case failed != 0:
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", failed)}
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (d *direct) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	o := &d.out
	o.p, o.n = p, 0
	err := d.raw.Write(o.do)
	n, failed := o.n, o.err
	o.p, o.n, o.err = nil, 0, 0
	if err == nil && failed != 0 {
		err = &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", failed)}
	}
	return n, err
}

// Ask is that of Socket.
func (d *direct) Ask(question, room []byte) (int, error) {
	q := &d.inquiry
	q.p, q.step, d.in.p = question, unasked, room
	err := d.raw.Read(q.do)
	if q.step == unasked && errors.Is(err, os.ErrDeadlineExceeded) {
		// The time to wait was over before it began, as happens to a busy machine.
		// Who goes on waiting after that has to know the question sent.
		if err = d.raw.Control(func(fd uintptr) { q.run(fd) }); err == nil && q.step == asked && d.in.err == 0 {
			err = os.ErrDeadlineExceeded
		}
	}
	step, rest := q.step, q.p
	q.p = nil
	n, err := d.in.outcome(err)
	switch step {
	case stale:
		return 0, ErrStale
	case begun:
		if _, err := d.Write(rest); err != nil {
			return 0, err
		}
		return d.Read(room)
	}
	return n, err
}
