package target

// Lease is the right to send one request (or keep one tunnel) to a target, which
// counts as work in flight until Release. It is used by one goroutine and not
// copied while it is held.
type Lease struct {
	target  *Target
	pin     *pin // of a session, else nil
	cookies bool
	held    bool
}

// Target is where to send the request. It is known after Release as well.
func (l *Lease) Target() *Target { return l.target }

// SetCookies returns the values of the Set-Cookie fields to add to the answer,
// none unless the group is sticky by cookie. ALB adds them to every answer, so
// that the stickiness lasts as long as the client comes back in time. They must
// not be written.
func (l *Lease) SetCookies() [][]byte {
	if !l.cookies {
		return nil
	}
	return l.target.cookies()
}

// Release ends the work. Only the first call counts.
func (l *Lease) Release() {
	if !l.held {
		return
	}
	l.held = false
	if l.pin != nil {
		// First the session, then the target: work in flight of a session is always
		// work in flight of its target (see join).
		l.pin.release(l.target.now())
	}
	if l.target.work.finish() {
		l.target.group.registry.finished(l.target)
	}
}
