package target

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/wire/park"
)

// ErrTimeout is in the tree of an error of Take and Fresh when the target did
// not answer the connection or the TLS handshake in time (504; others are 502).
var ErrTimeout = errors.New("no answer in time")

// ErrExpired is in the tree of an error of Take and Fresh when the target's
// deregistration delay is over (502).
var ErrExpired = errors.New("the deregistration delay is over")

// ErrClosed is in the tree of an error of Take and Fresh once Run has ended.
var ErrClosed = errors.New("the balancer has stopped")

// errGone: deregistered, and nothing left. Nobody with a lease sees it.
var errGone = errors.New("deregistered")

// ALB gives a target ten seconds to accept a connection, and as many for the TLS
// handshake ("Troubleshoot your Application Load Balancers", HTTP 504).
const (
	connectTimeout   = 10 * time.Second
	handshakeTimeout = 10 * time.Second
)

// Target is one live target of one group.
type Target struct {
	group  *Group
	id     albion.Target
	name   string
	hash   uint64 // its place in the order of a session's choices
	tls    *tls.Config
	work   work
	pool   pool
	lines  lines                  // of HTTP/2
	issued atomic.Pointer[issued] // the cookie that it had last

	// Guarded by group.registry.mu.
	health  albion.Health
	drained time.Time // when draining began
	until   time.Time // when draining ends at the latest
}

// newTarget is a target that nobody has reported on. registry.mu is held.
func newTarget(g *Group, id albion.Target, now time.Time) *Target {
	name := id.String()
	sum := sha256.Sum256([]byte(name))
	t := &Target{
		group: g, id: id, name: name, hash: binary.BigEndian.Uint64(sum[:]),
		tls: clientTLS(id.Host),
		health: albion.Health{
			State: albion.Initial, Reason: albion.ReasonRegistration,
			Description: "Target registration is in progress", Since: now,
		},
	}
	t.pool.open = map[*Conn]struct{}{}
	if g.registry.closed {
		t.pool.why = ErrClosed
	}
	return t
}

// clientTLS is how the balancer speaks with an HTTPS target. As ALB does, it
// takes whatever certificate the target shows: the page "Target groups for your
// Application Load Balancers", Routing configuration. It speaks what
// ELBSecurityPolicy-2016-08 speaks, ALB's policy for targets, and 1.3.
func clientTLS(host string) *tls.Config {
	config := &tls.Config{
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS10,
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
	if _, err := netip.ParseAddr(host); err != nil {
		config.ServerName = host // RFC 6066 §3: names only
	}
	return config
}

// Name is HOST:PORT, for logs.
func (t *Target) Name() string { return t.name }

// ID is what was registered.
func (t *Target) ID() albion.Target { return t.id }

// Take returns the connection that was used last and is still alive, or else a
// new one. One that has been idle may still turn out to be dead; then, and only
// when reused, one try with Fresh is in order.
func (t *Target) Take(ctx context.Context) (c *Conn, reused bool, err error) {
	return t.take(ctx, (*Conn).alive)
}

// TakeToAsk is Take for somebody who begins with Conn.Ask, which finds out by
// itself, and for less, whether the connection is alive.
func (t *Target) TakeToAsk(ctx context.Context) (c *Conn, reused bool, err error) {
	return t.take(ctx, func(c *Conn) bool { return c.Asks() || c.alive() })
}

func (t *Target) take(ctx context.Context, alive func(*Conn) bool) (c *Conn, reused bool, err error) {
	secure := t.secure()
	for {
		c := t.pool.pop()
		if c == nil {
			break
		}
		if c.secure == secure && c.idleSince.Add(maxIdleTime).After(t.now()) && alive(c) {
			return c, true, nil
		}
		c.abandon()
	}
	c, err = t.Fresh(ctx)
	return c, false, err
}

// Fresh returns a new connection.
func (t *Target) Fresh(ctx context.Context) (*Conn, error) {
	raw, err := t.dial(ctx)
	if err != nil {
		return nil, t.explain("connect", err)
	}
	if tcp, ok := raw.(*net.TCPConn); ok && t.group.Version() == albion.HTTP1 { // others are never idle tunnels
		raw = park.NewSocket(tcp)
	}
	c := &Conn{Conn: raw, raw: raw, target: t, secure: t.secure()}
	if err := t.pool.adopt(c); err != nil {
		raw.Close()
		return nil, t.explain("connect", err)
	}
	if c.secure {
		if err := t.handshake(ctx, c); err != nil {
			expired := c.Expired()
			c.abandon()
			if expired {
				err = ErrExpired
			}
			return nil, t.explain("TLS handshake", err)
		}
	}
	c.watch()
	return c, nil
}

func (t *Target) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return t.group.registry.cfg.Dial(ctx, "tcp", t.name)
}

func (t *Target) handshake(ctx context.Context, c *Conn) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	version := t.group.Version()
	secured := tls.Client(c.raw, t.tlsFor(version))
	if err := secured.HandshakeContext(ctx); err != nil {
		return err
	}
	if version != albion.HTTP1 && secured.ConnectionState().NegotiatedProtocol != "h2" {
		return ErrNoALPN
	}
	c.Conn = secured
	return nil
}

// explain says what failed with which target, and puts ErrTimeout where time
// ran out.
func (t *Target) explain(what string, err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("target %s: %s: %w (%w)", t.name, what, ErrTimeout, err)
	}
	return fmt.Errorf("target %s: %s: %w", t.name, what, err)
}

// Put takes back a connection on which an exchange is complete: nothing is
// unread, and neither side has said that it will close. Its deadlines stay as
// they are, for the next user to move.
func (t *Target) Put(c *Conn) {
	c.idleSince = t.now()
	if !t.pool.push(c) {
		c.abandon()
	}
}

// Expired says whether the target's deregistration delay is over, which closed
// what was in flight (502).
func (t *Target) Expired() bool { return t.pool.expired() }

func (t *Target) secure() bool {
	return t.group.view.Load().settings.Protocol == albion.HTTPS
}

func (t *Target) now() time.Time { return t.group.registry.cfg.Now() }

// well says whether the target should get work. registry.mu is held.
func (t *Target) well() bool {
	return t.health.State == albion.Healthy || t.health.State == albion.Unavailable
}

// seen is how the target fares. registry.mu is held.
func (t *Target) seen() albion.TargetSeen {
	seen := albion.TargetSeen{
		Group: t.group.arn, Target: t.id, Health: t.health,
		Outstanding: int(t.work.count()), Until: t.until,
	}
	switch {
	case !t.drained.IsZero():
		seen.Health = albion.Health{
			State: albion.Draining, Reason: albion.ReasonDeregistration,
			Description: "Target deregistration is in progress", Since: t.drained,
		}
	case !t.group.used:
		seen.Health = albion.Health{
			State: albion.Unused, Reason: albion.ReasonNotInUse,
			Description: "Target group is not configured to receive traffic from the load balancer",
			Since:       t.group.usedSince,
		}
	}
	return seen
}
