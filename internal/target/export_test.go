package target

// Ended says whether a target's drain is over, one way or the other.
func Ended(t *Target) bool { return t.work.word.Load()&ended != 0 }

// Sessions is how many sessions are remembered.
func (r *Registry) Sessions() (n int) {
	for i := range r.sessions.shards {
		s := &r.sessions.shards[i]
		s.mu.Lock()
		n += len(s.pins)
		s.mu.Unlock()
	}
	return n
}

// Open is how many connections a target has, idle or in use.
func (t *Target) Open() int {
	t.pool.mu.Lock()
	defer t.pool.mu.Unlock()
	return len(t.pool.open)
}

// SessionID is the session of a path.
func SessionID(path []byte) []byte { return sessionID(path) }

// EachCookie gives yield the values of the stickiness cookies of a Cookie field.
func EachCookie(field []byte, yield func([]byte) bool) { eachCookie(field, yield) }

// Watched says whether this system can tell that an idle peer is gone.
const Watched = canPeek

// AwaitNoise blocks until the kernel has something to tell about c, and leaves
// it there.
func (c *Conn) AwaitNoise() error {
	return c.socket.Read(func(fd uintptr) bool { return !peek(fd) })
}

// Work is the count of a target's work in flight.
type Work = work

// The steps of a Work.
func (w *work) Begin() bool   { return w.begin() }
func (w *work) Join() bool    { return w.join() }
func (w *work) Finish() bool  { return w.finish() }
func (w *work) Drain()        { w.drain() }
func (w *work) Revive() bool  { return w.revive() }
func (w *work) End() bool     { return w.end() }
func (w *work) Expire()       { w.expire() }
func (w *work) Count() uint64 { return w.count() }
