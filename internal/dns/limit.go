package dns

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Limit bounds what is sent over UDP, where an address is easily forged, so that
// this server is of no use to flood others: after the response rate limiting of
// BIND and NSD. Zero fields have the defaults given here.
type Limit struct {
	PerAnswer int // equal answers to one network, per second: 20
	PerSource int // answers of any kind to one network, per second: 1000
	Burst     int // seconds of that in one go: 2
	Slip      int // of the answers that are not sent, every how manieth is sent truncated: 2
}

func (l Limit) withDefaults() Limit {
	for _, f := range []struct {
		field *int
		value int
	}{{&l.PerAnswer, 20}, {&l.PerSource, 1000}, {&l.Burst, 2}, {&l.Slip, 2}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return l
}

// buckets is how many accounts there are. Networks and answers that share one
// share a limit, and lose nothing but a round over TCP.
const buckets = 1 << 16

// limiter keeps accounts in a fixed amount of memory, without a lock: each holds
// the time at which it will be even again (the generic cell rate algorithm).
type limiter struct {
	limit   Limit
	seed    maphash.Seed
	even    []atomic.Int64 // nanoseconds since start
	slipped atomic.Uint64
}

func newLimiter(l Limit) *limiter {
	return &limiter{limit: l.withDefaults(), seed: maphash.MakeSeed(), even: make([]atomic.Int64, buckets)}
}

// verdict is what becomes of an answer.
type verdict int

const (
	send     verdict = iota
	truncate         // sent without its contents
	drop
)

// account is what is counted together.
type account struct {
	network netip.Prefix
	name    string
	rcode   int
}

// judge counts a reply to a client at a time since the start, and says what
// becomes of it.
func (l *limiter) judge(r *reply, client netip.Addr, now time.Duration) verdict {
	a := account{network: network(client), name: r.imputed, rcode: r.rcode}
	if r.rcode != dns.RcodeSuccess {
		a.name = r.zone // whatever was made up below it
	}
	total := l.take(account{network: a.network, rcode: -1}, l.limit.PerSource, now)
	if equal := l.take(a, l.limit.PerAnswer, now); total && equal {
		return send
	}
	if l.slipped.Add(1)%uint64(l.limit.Slip) == 0 {
		return truncate
	}
	return drop
}

// take books one answer, and says whether the account had room for it.
func (l *limiter) take(a account, rate int, now time.Duration) bool {
	cost := int64(time.Second) / int64(rate)
	most := int64(now) + int64(l.limit.Burst)*int64(time.Second)
	slot := &l.even[maphash.Comparable(l.seed, a)%buckets]
	for {
		old := slot.Load()
		next := max(old, int64(now)) + cost
		if next > most {
			return false
		}
		if slot.CompareAndSwap(old, next) {
			return true
		}
	}
}

// network is what one client can choose its address from.
func network(a netip.Addr) netip.Prefix {
	bits := 56
	if a = a.Unmap(); a.Is4() {
		bits = 24
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
