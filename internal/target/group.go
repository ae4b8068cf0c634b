package target

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/wire"
)

// Group is a target group as requests see it.
type Group struct {
	registry *Registry
	arn      albion.ARN
	turn     atomic.Uint64 // counts choices
	view     atomic.Pointer[view]

	// Guarded by registry.mu.
	settings   *albion.TargetGroup // the last known
	registered []*Target           // in the order of settings
	draining   []*Target
	byName     map[string]int // index into registered
	abandoned  bool           // no longer configured
	used       bool
	usedSince  time.Time // when used last changed
}

// view is what a choice needs. It is never written again once published.
type view struct {
	settings   *albion.TargetGroup
	registered []*Target
	byName     map[string]int
	keeps      []bool    // of each registered target: its clients may come back to it
	ready      []*Target // what new clients may get: the healthy ones, or all when none is
}

func newGroup(r *Registry, arn albion.ARN, turn uint64) *Group {
	g := &Group{registry: r, arn: arn, settings: &albion.TargetGroup{ARN: arn}}
	g.turn.Store(turn)
	g.publish()
	return g
}

// ARN is the group's identity.
func (g *Group) ARN() albion.ARN { return g.arn }

// Choose takes a lease on a target: the one that the client had before, when the
// group is sticky, else the one that the algorithm picks among the healthy ones;
// among all when none is healthy (ALB's fail open). It is false when no target
// is registered (503). The lease has to be released.
//
// A client comes back to its target unless that is unhealthy. Before the first
// probe nothing is known, as after a restart of the balancer: then it does.
//
// A draining target gets no lease. Targets leave the view before they drain, so
// one that refuses means that there is a newer view to choose from.
func (g *Group) Choose(r *wire.Request) (l Lease, ok bool) {
	for {
		v := g.view.Load()
		if l, ok = g.choose(v, r); ok {
			return l, true
		}
		if g.view.Load() == v {
			return Lease{}, false
		}
	}
}

func (g *Group) choose(v *view, r *wire.Request) (Lease, bool) {
	switch v.settings.Attributes.Stickiness.Type {
	case albion.LBCookie:
		t := g.recall(v, r)
		if t == nil || !t.work.begin() {
			t = g.pick(v)
		}
		return Lease{target: t, cookies: true, held: t != nil}, t != nil
	case albion.SockJS:
		if id := sessionID(r.Path); id != nil {
			return g.join(v, id)
		}
	}
	t := g.pick(v)
	return Lease{target: t, held: t != nil}, t != nil
}

// pick begins work on the target that the algorithm chooses, nil when none will
// have it.
func (g *Group) pick(v *view) *Target {
	n := uint64(len(v.ready))
	if n == 0 {
		return nil
	}
	turn := g.turn.Add(1)
	first := turn % n
	if v.settings.Attributes.Algorithm == albion.LeastOutstandingRequests {
		first = leastOutstanding(v.ready, turn)
	}
	for i := range n {
		if t := v.ready[(first+i)%n]; t.work.begin() {
			return t
		}
	}
	return nil
}

// leastOutstanding is the index of the target with the least work in flight,
// any of them with equal chance when there are several.
func leastOutstanding(targets []*Target, turn uint64) uint64 {
	best, least, ties := uint64(0), ^uint64(0), uint64(0)
	chance := turn
	for i, t := range targets {
		switch n := t.work.count(); {
		case n < least:
			best, least, ties = uint64(i), n, 1
		case n == least:
			ties++
			chance = mix(chance + 1)
			if chance%ties == 0 {
				best = uint64(i)
			}
		}
	}
	return best
}

// mix spreads the bits of x over the whole word, one to one.
func mix(x uint64) uint64 {
	x ^= x >> 32
	x *= 0x9e3779b97f4a7c15 // 2⁶⁴ over the golden ratio, odd
	x ^= x >> 29
	x *= 0xd6e8feb86659fd93 // an odd number with half its bits set
	return x ^ x>>32
}

// holds says whether t is registered and keeps its clients.
func (v *view) holds(t *Target) bool {
	i, ok := v.byName[t.name]
	return ok && v.registered[i] == t && v.keeps[i]
}

// reconcile makes the registered targets those of settings and returns the ones
// that are gone, which the new view already lacks. registry.mu is held.
func (g *Group) reconcile(settings *albion.TargetGroup, now time.Time) (gone []*Target) {
	known := make(map[albion.Target]*Target, len(g.registered))
	for _, t := range g.registered {
		known[t.id] = t
	}
	next := make([]*Target, 0, len(settings.Targets))
	byName := make(map[string]int, len(settings.Targets))
	for _, id := range settings.Targets {
		if id.Port == 0 {
			id.Port = settings.Port
		}
		if _, twice := byName[id.String()]; twice {
			continue
		}
		t := known[id]
		delete(known, id)
		if t == nil {
			t = g.revive(id)
		}
		if t == nil {
			t = newTarget(g, id, now)
		}
		byName[t.name] = len(next)
		next = append(next, t)
	}
	for _, t := range g.registered {
		if known[t.id] == t {
			gone = append(gone, t)
		}
	}
	g.settings, g.registered, g.byName, g.abandoned = settings, next, byName, false
	g.publish()
	return gone
}

// revive makes a draining target live again, nil when there is none.
func (g *Group) revive(id albion.Target) *Target {
	i := slices.IndexFunc(g.draining, func(t *Target) bool { return t.id == id })
	if i < 0 || !g.draining[i].work.revive() {
		return nil
	}
	t := g.draining[i]
	t.drained, t.until = time.Time{}, time.Time{}
	g.draining = slices.Delete(g.draining, i, i+1)
	return t
}

// abandon deregisters everything, for a group that is no longer configured, and
// returns what is gone. registry.mu is held.
func (g *Group) abandon(now time.Time) (gone []*Target) {
	gone = g.registered
	g.registered, g.byName, g.abandoned = nil, nil, true
	g.publish()
	g.use(false, now)
	return gone
}

// use notes whether a listener forwards to the group. registry.mu is held.
func (g *Group) use(used bool, now time.Time) {
	if used != g.used || g.usedSince.IsZero() {
		g.used, g.usedSince = used, now
	}
}

// remove takes a target that has ended out of those that drain. registry.mu is
// held.
func (g *Group) remove(t *Target) {
	g.draining = slices.DeleteFunc(g.draining, func(d *Target) bool { return d == t })
}

// publish shows choices what there is. registry.mu is held, or nobody knows the
// group yet.
func (g *Group) publish() {
	v := &view{
		settings: g.settings, registered: g.registered, byName: g.byName,
		keeps: make([]bool, len(g.registered)),
	}
	for i, t := range g.registered {
		v.keeps[i] = t.health.State != albion.Unhealthy
		if t.well() {
			v.ready = append(v.ready, t)
		}
	}
	if len(v.ready) == 0 { // fail open
		v.ready = g.registered
		for i := range v.keeps {
			v.keeps[i] = true
		}
	}
	g.view.Store(v)
}
