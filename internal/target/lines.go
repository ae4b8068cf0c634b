package target

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/wire/h2"
)

// ErrNoALPN is in the tree of an error of Stream when a target's TLS does not agree
// on HTTP/2 (RFC 9113 §3.2).
var ErrNoALPN = errors.New("TLS agrees on no HTTP/2")

// line is one HTTP/2 connection to a target. Its Conn is known to the target's
// pool, which closes it when the deregistration delay is over.
type line struct {
	conn *Conn
	h2   *h2.Conn
}

// lines is the HTTP/2 connections of one target.
type lines struct {
	mu     sync.Mutex // guards what follows
	all    []*line
	making *making // nil: no connection is being made
}

// making is a connection that is being made, for whoever waits for it.
type making struct {
	done chan struct{}
	err  error // valid once done is closed
}

// Stream takes room for a request on one of the target's HTTP/2 connections: the
// one with the least to do, or a new one when all are full. Errors are those of
// Take, ErrNoALPN and h2.ErrNotHTTP2. The Stream has to be released.
func (t *Target) Stream(ctx context.Context) (*h2.Stream, error) {
	for {
		if s := t.lines.open(t.secure()); s != nil {
			return s, nil
		}
		m, mine := t.lines.make()
		if mine {
			s, err := t.connect(ctx)
			t.lines.made(m, err)
			return s, err
		}
		select {
		case <-m.done:
		case <-ctx.Done():
			return nil, t.explain("connect", ctx.Err())
		}
		// Whoever made it may have given up for reasons of its own.
		if m.err != nil && !errors.Is(m.err, context.Canceled) {
			return nil, m.err
		}
		if ctx.Err() != nil {
			return nil, t.explain("connect", ctx.Err())
		}
	}
}

// open takes room on a connection that is there, nil when all are full.
func (ls *lines) open(secure bool) *h2.Stream {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for {
		var best *line
		least := 0
		ls.all = slices.DeleteFunc(ls.all, func(l *line) bool {
			busy, room, usable := l.h2.Load()
			if usable && l.conn.secure != secure {
				l.h2.Drain()
				usable = false
			}
			if usable && room > 0 && (best == nil || busy < least) {
				best, least = l, busy
			}
			return !usable
		})
		if best == nil {
			return nil
		}
		if s, err := best.h2.Open(); err == nil {
			return s
		}
	}
}

// make says who makes the next connection: the caller, or somebody before it.
func (ls *lines) make() (m *making, mine bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.making != nil {
		return ls.making, false
	}
	ls.making = &making{done: make(chan struct{})}
	return ls.making, true
}

func (ls *lines) made(m *making, err error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.making = nil
	m.err = err
	close(m.done)
}

func (ls *lines) add(l *line) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.all = append(ls.all, l)
}

func (ls *lines) remove(l *line) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.all = slices.DeleteFunc(ls.all, func(other *line) bool { return other == l })
}

// retire ends the connections that have been idle since before, each when its
// last request is over.
func (ls *lines) retire(before time.Time) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.all = slices.DeleteFunc(ls.all, func(l *line) bool {
		since := l.h2.IdleSince()
		if since.IsZero() || since.After(before) {
			return false
		}
		l.h2.Drain() // does not block
		return true
	})
}

// connect makes a connection and takes room for the first request on it.
func (t *Target) connect(ctx context.Context) (*h2.Stream, error) {
	c, err := t.Fresh(ctx)
	if err != nil {
		return nil, err
	}
	r := t.group.registry
	l := &line{conn: c, h2: h2.NewClient(c.Conn, h2.ClientConfig{}, r.http2)}
	if !r.joins() {
		c.abandon()
		return nil, t.explain("connect", ErrClosed)
	}
	go func() { // Run waits for it
		defer r.readers.Done()
		_ = l.h2.Serve() // what the target did wrong, its requests say
		t.lines.remove(l)
		t.pool.drop(c)
	}()
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	err = l.h2.Await(ctx)
	var s *h2.Stream
	if err == nil {
		s, err = l.h2.Open()
	}
	if err != nil {
		expired := c.Expired()
		l.h2.Cut()
		if expired {
			err = ErrExpired
		}
		return nil, t.explain("HTTP/2", err)
	}
	t.lines.add(l)
	return s, nil
}

// joins counts one more goroutine that Run waits for, unless Run has ended.
func (r *Registry) joins() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.readers.Add(1)
	return true
}

// shut refuses every connection from now on, and ends the idle ones.
func (t *Target) shut(why error) {
	t.pool.shut(why)
	t.lines.retire(time.Now().Add(time.Hour)) // whenever that was
}

// tlsFor is how TLS begins: for HTTP/2 with its name, and from 1.2 on (RFC 9113
// §9.2).
func (t *Target) tlsFor(version albion.ProtocolVersion) *tls.Config {
	if version == albion.HTTP1 {
		return t.tls
	}
	config := t.tls.Clone()
	config.NextProtos = []string{"h2"}
	config.MinVersion = tls.VersionTLS12
	return config
}

// Version is the version of HTTP that the group's targets speak.
func (g *Group) Version() albion.ProtocolVersion { return g.view.Load().settings.Version() }

// Secure says whether TLS is spoken with the group's targets.
func (g *Group) Secure() bool { return g.view.Load().settings.Protocol == albion.HTTPS }
