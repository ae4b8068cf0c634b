package dns

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/albion-lb/albion"
)

// table is what is answered at one moment. It is never written once it is in
// use.
type table struct {
	zones map[string]*zone // by name
	down  map[albion.ARN]bool
}

// zone is one compiled hosted zone.
type zone struct {
	name  string
	apex  *node
	nodes map[string]*node // by name; also names that only have others below them
	soa   dns.RR
	// negative is the SOA of answers that say no: its TTL is how long that may be
	// kept (RFC 2308 §5); brief is the same for what may be otherwise in a minute, fleeting at once.
	negative, brief, fleeting []dns.RR
	watches                   bool // some alias evaluates the health of its target

	from source
	made map[*albion.RecordSet][]dns.RR // what was read, for the zone that follows
}

// node is a name of a zone.
type node struct {
	name string
	sets map[uint16]*group
	wild *node // *.name
	cut  *node // the delegation at or above this name (RFC 1034 §4.2.1)
	glue []dns.RR

	fleeting bool // what is here changes from one moment to the next
}

// group is what a zone says about one name and one type: one choice, or several
// that are answered in turn.
type group struct {
	choices []choice
}

// choice is a compiled record set.
type choice struct {
	records  []dns.RR
	weight   int
	failover albion.Failover
	watched  albion.ARN // the load balancer whose health counts; "": always healthy
}

// find returns the zone that a canonical name is in: the one with the longest
// name. Who asks for DS wants the parent's side of a delegation, if we have that
// too (RFC 4035 §3.1.4.1).
func (t *table) find(name string, kind uint16) *zone {
	var child *zone
	for rest := name; ; {
		switch z := t.zones[rest]; {
		case z == nil:
		case kind == dns.TypeDS && rest == name:
			child = z
		case child == nil || z.delegates(name):
			return z
		default:
			return child
		}
		if rest == "." {
			return child
		}
		if rest = rest[next(rest):]; rest == "" {
			rest = "."
		}
	}
}

func (z *zone) delegates(name string) bool {
	n := z.nodes[name]
	return n != nil && n.cut == n
}

// next is where the second label of a canonical name begins. A dot that is part
// of a label is written \. and ends none.
func next(name string) int {
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '\\':
			i++
		case '.':
			return i + 1
		}
	}
	return len(name)
}

// walk returns the node of a canonical name in the zone, or the wildcard that
// stands for it, or neither; and the closest encloser, the longest name above it
// that there is (RFC 4592 §3.3.1).
func (z *zone) walk(name string) (found, encloser *node) {
	if n := z.nodes[name]; n != nil {
		return n, n
	}
	for rest := name; len(rest) > len(z.name); {
		rest = rest[next(rest):]
		if n := z.nodes[rest]; n != nil {
			return n.wild, n
		}
	}
	return z.apex.wild, z.apex
}

// pick returns the records of a group that are answered now; number is random,
// below 1. down tells which load balancers have no target left.
//
// A weighted set is answered in proportion to its weight among those that are
// healthy, or, when none is, among all; those of weight 0 only when no other is
// left. A secondary is answered while the primary is not healthy and it is
// itself. Route 53's page "How Amazon Route 53 chooses records when health
// checking is configured".
//
// Unlike AWS, a simple alias whose load balancer has no healthy target is not
// answered: nothing else could be answered instead, and who asks may have
// another way.
func (g *group) pick(down map[albion.ARN]bool, number float64) []dns.RR {
	if len(g.choices) == 1 {
		c := &g.choices[0]
		if c.weight < 0 && c.ill(down) {
			return nil
		}
		return c.records
	}
	if g.choices[0].failover != "" {
		return g.failover(down)
	}
	for _, wanted := range []func(*choice) bool{
		func(c *choice) bool { return c.weight > 0 && !c.ill(down) },
		func(c *choice) bool { return c.weight == 0 && !c.ill(down) },
		func(c *choice) bool { return c.weight > 0 },
	} {
		if c := g.draw(number, wanted); c != nil {
			return c.records
		}
	}
	return g.draw(number, func(*choice) bool { return true }).records
}

// simple is the weight of a choice that has no others beside it.
const simple = -1

func (c *choice) ill(down map[albion.ARN]bool) bool { return c.watched != "" && down[c.watched] }

func (g *group) failover(down map[albion.ARN]bool) []dns.RR {
	primary, secondary := &g.choices[0], &g.choices[1]
	if primary.failover != albion.Primary {
		primary, secondary = secondary, primary
	}
	if primary.ill(down) && !secondary.ill(down) {
		return secondary.records
	}
	return primary.records
}

// draw chooses among the wanted ones by weight; those of weight 0 count alike.
func (g *group) draw(number float64, wanted func(*choice) bool) *choice {
	total, count := 0, 0
	for i := range g.choices {
		if c := &g.choices[i]; wanted(c) {
			total, count = total+c.weight, count+1
		}
	}
	share := func(c *choice) float64 { return float64(c.weight) / float64(total) }
	if total == 0 {
		share = func(*choice) float64 { return 1 / float64(count) }
	}
	var last *choice
	for i := range g.choices {
		if c := &g.choices[i]; wanted(c) {
			if number < share(c) {
				return c
			}
			number, last = number-share(c), c
		}
	}
	return last // what rounding left
}

// canonical is a name in lower case with its final dot, as the library writes
// names. One that is already is not copied.
func canonical(name string) string {
	for i := range len(name) {
		if c := name[i]; c >= 'A' && c <= 'Z' {
			// Not strings.ToLower, which reads UTF-8: a label is bytes.
			return dns.CanonicalName(name)
		}
	}
	return name
}

func inside(name, zone string) bool {
	return zone == "." || name == zone || strings.HasSuffix(name, "."+zone)
}

// addresses sorts out what an alias answers: A or AAAA.
func addresses(all []netip.Addr, kind albion.RecordType) []netip.Addr {
	var out []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); a.IsValid() && !a.IsUnspecified() && a.Is4() == (kind == albion.TypeA) {
			out = append(out, a.WithZone(""))
		}
	}
	return out
}
