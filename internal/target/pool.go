package target

import (
	"errors"
	"sync"
	"time"
)

// What a target's pool keeps. A thousand clients who ask at once leave as many
// connections behind, and will again: fewer, and they are made anew all the time.
// The idle time is below the sixty seconds after which many servers close an
// idle connection.
const (
	maxIdle     = 1024
	maxIdleTime = 55 * time.Second
)

// pool is all connections of one target.
type pool struct {
	mu   sync.Mutex // guards what follows
	idle []*Conn    // the one used last at the end
	open map[*Conn]struct{}
	why  error // why no more are kept; nil while they are
}

// pop takes the connection that was used last, nil when none is idle.
func (p *pool) pop() *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return c
}

// push keeps c for the next one, unless there are enough or no more are kept.
func (p *pool) push(c *Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why != nil || len(p.idle) >= maxIdle {
		return false
	}
	p.idle = append(p.idle, c)
	return true
}

// adopt makes a new connection known, in use.
func (p *pool) adopt(c *Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why != nil {
		return p.why
	}
	p.open[c] = struct{}{}
	return nil
}

// drop forgets a connection.
func (p *pool) drop(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// reap closes what has been idle since before.
func (p *pool) reap(before time.Time) {
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && !p.idle[n].idleSince.After(before) {
		n++
	}
	old := append([]*Conn(nil), p.idle[:n]...)
	kept := copy(p.idle, p.idle[n:])
	clear(p.idle[kept:])
	p.idle = p.idle[:kept]
	p.mu.Unlock()
	for _, c := range old {
		c.abandon()
	}
}

// shut refuses every connection from now on for the reason why, and closes the
// idle ones.
func (p *pool) shut(why error) {
	p.mu.Lock()
	if p.why == nil {
		p.why = why
	}
	idle := p.idle
	p.idle = nil
	for _, c := range idle {
		delete(p.open, c)
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.raw.Close()
	}
}

// abort shuts the pool, closes the connections in use as well, and returns how
// many there were. When the reason is ErrExpired they know it before they are
// closed.
func (p *pool) abort(why error) (inUse int) {
	p.shut(why)
	p.mu.Lock()
	open := p.open
	p.open = map[*Conn]struct{}{}
	p.mu.Unlock()
	for c := range open {
		c.expired.Store(errors.Is(why, ErrExpired))
		c.raw.Close()
	}
	return len(open)
}

func (p *pool) expired() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Is(p.why, ErrExpired)
}
