package sockjs

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// Errors of a Session.
var (
	// ErrClosed says that the session has ended.
	ErrClosed = errors.New("sockjs: session closed")
	// ErrSlow says that the client has not read what was sent to it before,
	// and that Options.MaxQueue bytes of it are waiting already.
	ErrSlow = errors.New("sockjs: client too slow")
)

// messageCost is what a queued message weighs beside its bytes, so that a
// flood of empty messages is bounded too.
const messageCost = 64

// Session is one client's channel. Its methods may be called from any
// goroutine.
//
// A session over HTTP outlives the requests that carry it: it ends when one
// of them is cut, or when none has come for Options.DisconnectDelay. A
// session over a WebSocket ends with its connection.
type Session struct {
	id       string
	request  *http.Request
	maxQueue int
	// delay is how long the session waits for its client to come back; 0
	// over a WebSocket, where it cannot.
	delay time.Duration
	// forget takes the session out of the server's table; called once,
	// without mu.
	forget func()

	done     chan struct{} // closed when the session has ended
	finished chan struct{} // closed when handle has returned
	settled  chan struct{} // closed when it has ended and nothing is left to tell the client
	inReady  chan struct{} // capacity 1: there may be something to receive
	inSpace  chan struct{} // capacity 1: there may be room to deliver
	outReady chan struct{} // capacity 1: the receiver should look again

	// mu guards what follows.
	mu       sync.Mutex
	in       queue
	out      queue
	end      *closing        // nil while open
	idle     []chan struct{} // closed when the handler comes back for more
	receiver *receiver       // the connection that frames go to, if any
	writing  int             // connections that may still write
	timer    *time.Timer     // runs while there is no receiver; nil when it does not
	timerRun int             // counts timers, so that one that was stopped late knows
	gone     bool            // forgotten: the client would get a new session
}

// queue is a list of messages with what they weigh.
type queue struct {
	msgs   []string
	weight int
}

func (q *queue) push(msgs ...string) {
	for _, m := range msgs {
		q.weight += len(m) + messageCost
	}
	q.msgs = append(q.msgs, msgs...)
}

func (q *queue) pop() string {
	m := q.msgs[0]
	q.msgs[0] = "" // let go of the text while the array lives on
	q.msgs = q.msgs[1:]
	q.weight -= len(m) + messageCost
	return m
}

func (q *queue) take() []string {
	msgs := q.msgs
	*q = queue{}
	return msgs
}

func newSession(r *http.Request, maxQueue int) *Session {
	return &Session{
		id:       rand.Text(),
		request:  openingRequest(r),
		maxQueue: maxQueue,
		done:     make(chan struct{}),
		finished: make(chan struct{}),
		settled:  make(chan struct{}),
		inReady:  make(chan struct{}, 1),
		inSpace:  make(chan struct{}, 1),
		outReady: make(chan struct{}, 1),
	}
}

// openingRequest is a copy of r that stays valid after r has been answered.
func openingRequest(r *http.Request) *http.Request {
	c := r.Clone(context.WithoutCancel(r.Context()))
	c.Body = http.NoBody
	return c
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// ID names the session in logs: random, unique, and not the id in the
// session's URLs, which is the client's secret (SockJS 0.3.3, "Session URLs":
// an application must not see it).
func (s *Session) ID() string { return s.id }

// Request is the request that opened the session, without its body and with
// a context that is never cancelled.
func (s *Session) Request() *http.Request { return s.request }

// Done is closed when the session has ended, whoever ended it.
func (s *Session) Done() <-chan struct{} { return s.done }

// Recv returns the next message of the client, waiting for it until ctx
// ends. After the session has ended it returns what had come before, then
// io.EOF.
func (s *Session) Recv(ctx context.Context) (string, error) {
	for {
		msg, ok, ended := s.receive()
		if ok {
			return msg, nil
		}
		if ended {
			return "", io.EOF
		}
		select {
		case <-s.inReady:
		case <-s.done:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// receive takes one message. When there is none, everything delivered so far
// has been handled: whoever waits for that is told.
func (s *Session) receive() (msg string, ok, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.in.msgs) == 0 {
		for _, c := range s.idle {
			close(c)
		}
		s.idle = nil
		return "", false, s.end != nil
	}
	msg = s.in.pop()
	if len(s.in.msgs) > 0 {
		poke(s.inReady) // for another goroutine that receives
	}
	poke(s.inSpace)
	return msg, true, false
}

// Send queues msg for the client and never blocks. It returns ErrSlow, and
// queues nothing, when the client has left Options.MaxQueue bytes unread;
// a message longer than that is taken when nothing else is waiting. It
// returns ErrClosed when the session has ended. Bytes of msg that are not
// UTF-8 reach the client as U+FFFD.
func (s *Session) Send(msg string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return ErrClosed
	}
	if len(s.out.msgs) > 0 && s.out.weight+len(msg)+messageCost > s.maxQueue {
		return ErrSlow
	}
	s.out.push(msg)
	poke(s.outReady)
	return nil
}

// Close ends the session. The client still gets what was sent before, then
// the close frame with code and reason; over a raw WebSocket they are the
// WebSocket's own, where RFC 6455 §7.4 allows the code. It returns ErrClosed
// when the session had ended already.
func (s *Session) Close(code int, reason string) error {
	if !s.finish(closing{code, reason}, false) {
		return ErrClosed
	}
	return nil
}

// finish ends the session, once. lost says that its client is beyond reach,
// so that what waits for it is dropped.
func (s *Session) finish(end closing, lost bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lost {
		s.out.take()
	}
	first := s.end == nil
	if first {
		s.end = &end
		close(s.done)
		poke(s.outReady)
	}
	s.settle()
	return first
}

// settle notices, under mu, that nothing is left to be written.
func (s *Session) settle() {
	if s.end == nil || s.writing > 0 || len(s.out.msgs) > 0 {
		return
	}
	select {
	case <-s.settled:
	default:
		close(s.settled)
	}
}

// deliver hands the client's messages to the handler, waiting for room while
// it has more than enough to do: over a WebSocket, the waiting is the back
// pressure. When handled is not nil it is closed as soon as the handler has
// taken all the messages and comes back for more.
func (s *Session) deliver(ctx context.Context, msgs []string, handled chan struct{}) error {
	for {
		ok, ended := s.offer(msgs, handled)
		if ended {
			return ErrClosed
		}
		if ok {
			return nil
		}
		select {
		case <-s.inSpace:
		case <-s.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Session) offer(msgs []string, handled chan struct{}) (ok, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return false, true
	}
	if s.pressed() {
		return false, false
	}
	s.in.push(msgs...)
	if handled != nil {
		s.idle = append(s.idle, handled)
	}
	poke(s.inReady)
	if !s.pressed() {
		poke(s.inSpace) // for another request that delivers
	}
	return true, false
}

// pressed reports, under mu, that the handler has more than enough to do.
func (s *Session) pressed() bool { return s.in.weight > s.maxQueue }

// busy reports that whoever delivers has to wait for the handler.
func (s *Session) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pressed()
}
