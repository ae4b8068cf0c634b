package sockjs

import (
	"context"
	"time"
)

// takeover is how long a second connection to a session waits for the first
// one to go away before it is told that another is still open. A client that
// cuts a connection and opens the next at once would otherwise race with the
// news of the cut, the more so when a balancer has to pass it on.
const takeover = 250 * time.Millisecond

// receiver is a connection that has been given the session's frames. There
// is one at a time (SockJS 0.3.3, "Protocol and framing").
type receiver struct {
	left chan struct{} // closed when it is the receiver no more
}

// join makes the caller the receiver, or returns nil when another one stays.
func (s *Session) join(ctx context.Context) *receiver {
	patience := time.NewTimer(takeover)
	defer patience.Stop()
	for {
		rc, other := s.attach()
		if rc != nil {
			return rc
		}
		select {
		case <-other.left:
		case <-patience.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// attach makes the caller the receiver, or says who is.
func (s *Session) attach() (rc, other *receiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiver != nil {
		return nil, s.receiver
	}
	s.receiver = &receiver{left: make(chan struct{})}
	s.writing++
	if s.end == nil {
		s.stopTimer()
	}
	return s.receiver, nil
}

// next takes what rc has to write: the queued messages, or, when there are
// none and the session has ended, why. Then rc is the receiver no more, so
// that whoever comes next is told the same instead of being sent away.
func (s *Session) next(rc *receiver) (msgs []string, end *closing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.out.msgs) > 0 {
		return s.out.take(), nil
	}
	if s.end != nil {
		s.detach(rc)
	}
	return nil, s.end
}

// cut ends the session because its receiver was cut: what was lost on the
// way is unknown, so the session cannot go on (SockJS 0.3.3, "Handling
// close").
func (s *Session) cut(rc *receiver) {
	s.mu.Lock()
	receiving := s.receiver == rc
	s.mu.Unlock()
	if receiving {
		s.finish(interrupted(), true)
	}
}

// leave is the last thing that a receiver does.
func (s *Session) leave(rc *receiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detach(rc)
	s.writing--
	s.settle()
}

// detach, under mu, takes the session away from rc, if rc still has it, and
// begins to wait for the client to come back.
func (s *Session) detach(rc *receiver) {
	if s.receiver != rc {
		return
	}
	s.receiver = nil
	close(rc.left)
	if s.delay > 0 && s.timer == nil && !s.gone {
		s.timerRun++
		run := s.timerRun
		s.timer = time.AfterFunc(s.delay, func() { s.expire(run) })
	}
}

// stopTimer, under mu, stops waiting. A timer that fires at this very moment
// finds that its number is over.
func (s *Session) stopTimer() {
	if s.timer == nil {
		return
	}
	s.timer.Stop()
	s.timer = nil
	s.timerRun++
}

// expire forgets a session whose client did not come back in time.
func (s *Session) expire(run int) {
	s.mu.Lock()
	current := s.timerRun == run
	s.mu.Unlock()
	if current {
		s.dismiss()
	}
}

// dismiss ends the session, if it had not ended, and forgets it.
func (s *Session) dismiss() {
	s.finish(interrupted(), true)
	s.mu.Lock()
	first := !s.gone
	s.gone = true
	s.stopTimer()
	s.mu.Unlock()
	if first {
		s.forget()
	}
}
