package dns

import (
	"net"
	"net/netip"
	"time"

	"github.com/albion-lb/albion"
)

// Table is a compiled State, for tests that ask without a socket.
type Table struct{ t *table }

// Compile compiles a State as if clients reached the machine at own.
func Compile(s *albion.State, own ...netip.Addr) (*Table, error) {
	t, err := compile(s, own, &table{})
	return &Table{t}, err
}

// Again compiles the State that follows, and says which zones were compiled anew.
func (t *Table) Again(s *albion.State, own ...netip.Addr) (*Table, []string, error) {
	next, err := compile(s, own, t.t)
	if err != nil {
		return nil, nil, err
	}
	var fresh []string
	for name, z := range next.zones {
		if t.t.zones[name] != z {
			fresh = append(fresh, name)
		}
	}
	return &Table{next}, fresh, nil
}

// Down makes load balancers have no target left.
func (t *Table) Down(all ...albion.ARN) *Table {
	next := &table{zones: t.t.zones, down: map[albion.ARN]bool{}}
	for _, arn := range all {
		next.down[arn] = true
	}
	return &Table{next}
}

// Watched lists the load balancers whose health counts.
func (t *Table) Watched() []albion.ARN { return t.t.watched() }

// Respond answers one message; number is random, below 1.
func (t *Table) Respond(query []byte, tcp bool, number float64) []byte {
	return t.t.respond(query, make([]byte, maxTCP), tcp, number).message
}

// Into is Respond with a buffer that is used again.
func (t *Table) Into(query, buf []byte) []byte { return t.t.respond(query, buf, false, 0).message }

// Unreachable is what is known of the health of load balancers.
func Unreachable(s *albion.State, seen albion.Seen, wanted ...albion.ARN) map[albion.ARN]bool {
	return unreachable(s, seen, wanted)
}

// Gate is a limiter in front of a Table.
type Gate struct {
	l *limiter
	t *Table
}

// NewGate makes one.
func NewGate(l Limit, t *Table) *Gate { return &Gate{newLimiter(l), t} }

// Ask answers over UDP what is left of an answer at some time since the start.
func (g *Gate) Ask(query []byte, from netip.Addr, at time.Duration) []byte {
	r := g.t.t.respond(query, make([]byte, maxTCP), false, 0)
	if r.message == nil {
		return nil
	}
	switch g.l.judge(&r, from, at) {
	case drop:
		return nil
	case truncate:
		return slip(r.message)
	}
	return r.message
}

// MaxUDP is the largest answer over UDP.
const MaxUDP = maxUDP

// Converse answers on one connection, as a Server does.
func (s *Server) Converse(conn net.Conn) { s.converse(conn, netip.Addr{}) }

// The bounds of TCP.
const (
	MaxOfNetwork = maxOfNetwork
	MaxQuestions = maxQuestions
	IdleTimeout  = idleTimeout
)
