// Package target owns the live targets: which server gets the next request, how
// much each has in flight, and the connections to it. A live target outlives
// every change of configuration that leaves it registered; one that is
// deregistered gets no new work, and what it has may finish until the
// deregistration delay is over.
//
//	targets := target.New(target.Config{Now: time.Now, Log: log})
//	go targets.Run(ctx) // joined by the caller
//	targets.Sync(groups, used)
//
//	lease, ok := targets.Group(arn).Choose(&request) // !ok: 503
//	defer lease.Release()
//	conn, reused, err := lease.Target().Take(ctx)    // ErrTimeout: 504, else 502
//	…
//	lease.Target().Put(conn)
//
// It does not probe (package health does, and reports here), speaks no HTTP, and
// knows nothing of listeners or rules.
package target

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/wire/h2"
)

// Config is what a Registry needs; its zero value works.
type Config struct {
	// Dial opens a connection; nil: a net.Dialer. It has to give up when ctx is
	// done.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Now  func() time.Time // nil: time.Now
	// StickinessKey seals stickiness cookies and spreads sessions: 32 bytes, the
	// same on every node and after a restart. Of another length: random, which
	// forgets every client at a restart.
	StickinessKey []byte
	MaxSessions   int          // how many sessions are remembered; 0: 1,000,000
	Log           *slog.Logger // nil: none
}

// Registry is all live targets, by target group.
type Registry struct {
	cfg      Config
	key      [32]byte    // of the hash that spreads sessions
	aead     cipher.AEAD // of cookies
	sessions *sessions
	wake     chan struct{} // tells Run that a drain has begun
	http2    *h2.Shared
	readers  sync.WaitGroup // of HTTP/2 connections; waited for by Run

	mu     sync.Mutex // guards what follows, and the fields of Group and Target that say so
	groups map[albion.ARN]*Group
	closed bool
	seed   uint64 // where the next group's round robin starts
}

const (
	defaultSessions = 1_000_000
	tidyInterval    = 5 * time.Second // how often idle connections and sessions are looked over
)

// New returns a Registry without targets.
func New(cfg Config) *Registry {
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MaxSessions <= 0 {
		cfg.MaxSessions = defaultSessions
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	secret := cfg.StickinessKey
	if len(secret) != 32 {
		secret = make([]byte, 32)
		rand.Read(secret)
	}
	cfg.StickinessKey = nil // kept in derived form only
	r := &Registry{
		cfg:      cfg,
		key:      derive(secret, "sessions"),
		aead:     seal(derive(secret, "cookies")),
		sessions: newSessions(cfg.MaxSessions),
		wake:     make(chan struct{}, 1),
		http2:    h2.NewShared(),
		groups:   map[albion.ARN]*Group{},
	}
	var seed [8]byte
	rand.Read(seed[:])
	r.seed = binary.NativeEndian.Uint64(seed[:])
	return r
}

// derive makes the key of one purpose, so that no two purposes share one.
func derive(secret []byte, purpose string) [32]byte {
	return sha256.Sum256(append([]byte("albion target "+purpose+"\x00"), secret...))
}

// seal is AES-256-GCM under key.
func seal(key [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil // unreachable: 32 bytes are a key
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil // unreachable: AES has GCM's block size
	}
	return aead
}

// Run ends drains whose delay is over, and closes connections and forgets
// sessions that have been idle for long. When ctx is done it closes every
// connection, idle or in use, and returns nil; Take fails from then on.
func (r *Registry) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	tidy := r.cfg.Now()
	for {
		select {
		case <-ctx.Done():
			r.close()
			r.readers.Wait()
			return nil
		case <-r.wake:
		case <-timer.C:
		}
		now := r.cfg.Now()
		next := r.expire(now)
		if !now.Before(tidy) {
			r.tidy(now)
			tidy = now.Add(tidyInterval)
		}
		if next.IsZero() || tidy.Before(next) {
			next = tidy
		}
		timer.Reset(next.Sub(now))
	}
}

// Sync makes the registered targets those of groups, by identity: group, host
// and port. A target that is gone, or whose group is gone, drains: no new work;
// what it has may finish until the deregistration delay is over, then its
// connections are closed. It ends as soon as nothing is left. One that is
// registered again while it drains is live again. used names the groups that a
// listener forwards to; targets of others are shown as unused.
func (r *Registry) Sync(groups []*albion.TargetGroup, used map[albion.ARN]bool) {
	now := r.cfg.Now()
	var gone []*Target
	wanted := make(map[albion.ARN]bool, len(groups))

	r.mu.Lock()
	for _, tg := range groups {
		wanted[tg.ARN] = true
		g := r.groups[tg.ARN]
		if g == nil {
			r.seed = mix(r.seed + 1)
			g = newGroup(r, tg.ARN, r.seed)
			r.groups[tg.ARN] = g
		}
		gone = append(gone, g.reconcile(tg, now)...)
		g.use(used[tg.ARN], now)
	}
	for arn, g := range r.groups {
		if !wanted[arn] {
			gone = append(gone, g.abandon(now)...)
		}
	}
	over := r.begin(gone, now)
	r.mu.Unlock()

	for _, t := range gone {
		r.cfg.Log.Info("target deregistered", "target_group", t.group.arn, "target", t.name, "outstanding", t.work.count())
	}
	for _, t := range over {
		t.shut(errGone)
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// begin lets targets drain whose group has already published a view without
// them, and returns those that are done at once. r.mu is held.
func (r *Registry) begin(gone []*Target, now time.Time) (over []*Target) {
	for _, t := range gone {
		t.work.drain()
		t.drained = now
		t.until = now.Add(t.group.settings.Attributes.DeregistrationDelay)
		if t.work.end() {
			over = append(over, t)
			continue
		}
		t.group.draining = append(t.group.draining, t)
	}
	r.forget()
	return over
}

// finished ends the drain of a target whose last lease was released.
func (r *Registry) finished(t *Target) {
	r.mu.Lock()
	ended := t.work.end() // not when it was registered again meanwhile
	if ended {
		t.group.remove(t)
		r.forget()
	}
	r.mu.Unlock()
	if ended {
		t.shut(errGone)
		r.cfg.Log.Info("target drained", "target_group", t.group.arn, "target", t.name)
	}
}

// expire ends the drains whose delay is over at now, and returns when the next
// one will be.
func (r *Registry) expire(now time.Time) (next time.Time) {
	var due []*Target
	r.mu.Lock()
	for _, g := range r.groups {
		for _, t := range g.draining {
			if !now.Before(t.until) {
				due = append(due, t)
			} else if next.IsZero() || t.until.Before(next) {
				next = t.until
			}
		}
	}
	for _, t := range due {
		t.work.expire()
		t.group.remove(t)
	}
	r.forget()
	r.mu.Unlock()
	for _, t := range due {
		closed := t.pool.abort(ErrExpired)
		r.cfg.Log.Warn("target's deregistration delay is over", "target_group", t.group.arn, "target", t.name,
			"outstanding", t.work.count(), "closed", closed)
	}
	return next
}

// forget drops groups of which nothing is left. r.mu is held.
func (r *Registry) forget() {
	for arn, g := range r.groups {
		if g.abandoned && len(g.draining) == 0 {
			delete(r.groups, arn)
		}
	}
}

func (r *Registry) tidy(now time.Time) {
	for _, t := range r.all() {
		t.pool.reap(now.Add(-maxIdleTime))
		t.lines.retire(time.Now().Add(-maxIdleTime)) // by the clock that moves those connections
	}
	r.sessions.reap(now.Add(-sessionIdle))
}

func (r *Registry) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	for _, t := range r.all() {
		t.pool.abort(ErrClosed)
	}
}

// all is every registered and draining target.
func (r *Registry) all() []*Target {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*Target
	for _, g := range r.groups {
		all = append(all, g.registered...)
		all = append(all, g.draining...)
	}
	return all
}

// Group returns the group with this ARN, nil when there is none. A group that
// was kept by its user after it is gone has no targets.
func (r *Registry) Group(arn albion.ARN) *Group {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[arn]
	if g == nil || g.abandoned {
		return nil
	}
	return g
}

// Report tells what a health check has found. Targets that nobody registered are
// ignored.
func (r *Registry) Report(group albion.ARN, t albion.Target, h albion.Health) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[group]
	if g == nil {
		return
	}
	for _, list := range [][]*Target{g.registered, g.draining} {
		for _, known := range list {
			if known.id != t {
				continue
			}
			changed := known.health.State != h.State
			known.health = h
			if changed {
				g.publish()
			}
			return
		}
	}
}

// Seen returns every registered and every draining target with its health and
// the work in flight, by group, host and port.
func (r *Registry) Seen() []albion.TargetSeen {
	r.mu.Lock()
	var seen []albion.TargetSeen
	for _, g := range r.groups {
		for _, t := range g.registered {
			seen = append(seen, t.seen())
		}
		for _, t := range g.draining {
			seen = append(seen, t.seen())
		}
	}
	r.mu.Unlock()
	slices.SortFunc(seen, func(a, b albion.TargetSeen) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Target.Host, b.Target.Host), cmp.Compare(a.Target.Port, b.Target.Port))
	})
	return seen
}
