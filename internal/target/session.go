package target

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

const (
	maxSessionID = 256             // bytes; SockJS clients make eight or more
	sessionIdle  = 2 * time.Minute // how long a session without work in flight is remembered
	shards       = 256
)

// sessionID returns the session of a SockJS path, /PREFIX/SERVER/SESSION/TRANSPORT,
// nil when it has none. SERVER and SESSION are not empty and have no dot (SockJS
// protocol 0.3.3, "Session URLs"); PREFIX is anything, also nothing.
func sessionID(path []byte) []byte {
	rest, transport := cutLast(path)
	if !isTransport(transport) {
		return nil
	}
	rest, session := cutLast(rest)
	_, server := cutLast(rest)
	if !isSegment(session) || !isSegment(server) || len(session) > maxSessionID {
		return nil
	}
	return session
}

// cutLast splits at the last slash; without one, both are empty.
func cutLast(path []byte) (before, after []byte) {
	i := bytes.LastIndexByte(path, '/')
	if i < 0 {
		return nil, nil
	}
	return path[:i], path[i+1:]
}

func isSegment(s []byte) bool { return len(s) > 0 && bytes.IndexByte(s, '.') < 0 }

func isTransport(s []byte) bool {
	switch string(s) {
	case "websocket", "xhr", "xhr_send", "xhr_streaming", "eventsource", "htmlfile", "jsonp", "jsonp_send":
		return true
	}
	return false
}

// sessions remembers where each session lives. Its size is bounded, whatever
// identifiers clients make up.
type sessions struct {
	limit  int // of each shard
	shards [shards]shard
}

type shard struct {
	mu   sync.Mutex // guards pins, and the fields of each pin
	pins map[digest]*pin
}

// digest stands for a session of a group. It is a keyed hash, so that nobody can
// choose a shard, a collision or a target.
type digest [16]byte

// pin is a session's place. Another place is another pin.
type pin struct {
	shard  *shard
	target *Target
	leases int
	last   time.Time // when the last lease was released
}

func newSessions(limit int) *sessions {
	return &sessions{limit: (limit + shards - 1) / shards}
}

// join takes a lease for a request of a session: where the session lives, else
// at the target that the session's own hash ranks first among those that may be
// chosen. So a session that has been forgotten, by a restart or because there
// are too many, finds the same target again unless the targets have changed.
func (g *Group) join(v *view, id []byte) (Lease, bool) {
	sum := g.digest(id)
	key := digest(sum[:16])
	s := &g.registry.sessions.shards[sum[16]]
	rank := binary.BigEndian.Uint64(sum[17:])
	now := g.registry.cfg.Now()

	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pins[key]
	if p == nil || !p.resume(v) {
		t := first(v.ready, rank)
		if t == nil || !t.work.begin() {
			return Lease{}, false
		}
		if p == nil && len(s.pins) >= g.registry.sessions.limit {
			return Lease{target: t, held: true}, true
		}
		p = &pin{shard: s, target: t}
		if s.pins == nil {
			s.pins = map[digest]*pin{}
		}
		s.pins[key] = p
	}
	p.leases++
	p.last = now
	return Lease{target: p.target, pin: p, held: true}, true
}

// resume begins work where the session lives. A draining target still gets what
// belongs to work that it has in flight: the messages that a client sends beside
// its open stream. p.shard.mu is held, so such work cannot end meanwhile.
func (p *pin) resume(v *view) bool {
	if v.holds(p.target) && p.target.work.begin() {
		return true
	}
	return p.leases > 0 && p.target.work.drains() && p.target.work.join()
}

func (p *pin) release(now time.Time) {
	p.shard.mu.Lock()
	defer p.shard.mu.Unlock()
	p.leases--
	p.last = now
}

// first is the target that ranks highest for a session (rendezvous hashing):
// when a target goes, only its own sessions move.
func first(targets []*Target, session uint64) (best *Target) {
	var highest uint64
	for _, t := range targets {
		if rank := mix(session ^ t.hash); best == nil || rank > highest {
			best, highest = t, rank
		}
	}
	return best
}

// digest hashes a session's identifier under the registry's key.
func (g *Group) digest(id []byte) [32]byte {
	var space [512]byte
	text := append(space[:0], g.registry.key[:]...)
	text = append(text, g.arn...)
	text = append(text, 0) // no ARN has one
	return sha256.Sum256(append(text, id...))
}

// reap forgets sessions that have had nothing in flight since before.
func (s *sessions) reap(before time.Time) {
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		for key, p := range shard.pins {
			if p.leases == 0 && !p.last.After(before) {
				delete(shard.pins, key)
			}
		}
		shard.mu.Unlock()
	}
}
