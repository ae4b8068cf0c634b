package dns

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/albion-lb/albion"
)

// source is what a zone was compiled from: while it is the same, so is the zone.
type source struct {
	zone   *albion.HostedZone
	sets   []*albion.RecordSet
	proofs []albion.Proof
	reach  []netip.Addr // of each alias in turn, and of the name server
}

func (s *source) equal(other *source) bool {
	return s.zone == other.zone && slices.Equal(s.sets, other.sets) && slices.Equal(s.proofs, other.proofs) && slices.Equal(s.reach, other.reach)
}

// compile makes the table of a State. own is where clients reach this machine.
// Zones that are as they were in the table before are taken from there. A State
// that albion.Validate accepts always compiles.
func compile(s *albion.State, own []netip.Addr, before *table) (*table, error) {
	if service, ok := s.NameServices.Get(albion.NameServiceID); ok && len(service.Addresses) > 0 {
		own = service.Addresses
	}
	sets := map[string][]*albion.RecordSet{}
	for r := range s.RecordSets.All() {
		sets[r.Zone] = append(sets[r.Zone], r)
	}
	proofs := map[string][]albion.Proof{}
	for _, p := range s.Proofs() {
		proofs[p.Zone] = append(proofs[p.Zone], p)
	}
	t := &table{zones: map[string]*zone{}, down: before.down}
	for hosted := range s.HostedZones.All() {
		from := source{zone: hosted, sets: sets[hosted.ID], proofs: proofs[hosted.ID], reach: slices.Clone(own)}
		for _, r := range from.sets {
			if r.Alias != nil {
				from.reach = append(from.reach, reach(s, r.Alias.LoadBalancer, own)...)
				from.reach = append(from.reach, netip.Addr{}) // ends what belongs to one alias
			}
		}
		if old := before.zones[hosted.Name]; old != nil && old.from.equal(&from) {
			t.zones[hosted.Name] = old
			continue
		}
		z, err := compileZone(s, from, own, before.zones[hosted.Name])
		if err != nil {
			return nil, fmt.Errorf("dns: zone %s: %w", hosted.Name, err)
		}
		t.zones[z.name] = z
	}
	return t, nil
}

// reach is at which addresses clients reach a load balancer.
func reach(s *albion.State, arn albion.ARN, own []netip.Addr) []netip.Addr {
	lb, ok := s.LoadBalancers.Get(string(arn))
	if !ok || len(lb.Addresses) == 0 || slices.ContainsFunc(lb.Addresses, netip.Addr.IsUnspecified) {
		return own
	}
	return lb.Addresses
}

// compileZone takes the records of sets that are as they were from the zone
// before, if there is one: reading values is most of the work.
func compileZone(s *albion.State, from source, own []netip.Addr, before *zone) (*zone, error) {
	if before == nil {
		before = &zone{}
	}
	z := &zone{
		name: from.zone.Name, from: from,
		nodes: make(map[string]*node, len(from.sets)), made: make(map[*albion.RecordSet][]dns.RR, len(from.sets)),
	}
	z.apex = z.grow(z.name)
	for _, r := range from.sets {
		c := choice{weight: simple, failover: r.Failover}
		if r.SetIdentifier != "" {
			c.weight = r.Weight
		}
		var err error
		if r.Alias != nil {
			c.records, err = aliasRecords(r, reach(s, r.Alias.LoadBalancer, own))
			if r.Alias.EvaluateTargetHealth {
				c.watched, z.watches = r.Alias.LoadBalancer, true
			}
		} else if c.records = before.made[r]; c.records == nil {
			c.records, err = records(r)
		}
		if err != nil {
			return nil, err
		}
		if r.Alias == nil {
			z.made[r] = c.records
		}
		z.add(r.Name, dns.StringToType[string(r.Type)], c)
	}
	z.prove(from.proofs)
	if err := z.finish(own); err != nil {
		return nil, err
	}
	return z, nil
}

// grow returns the node of a name, and makes it and those above it.
func (z *zone) grow(name string) *node {
	n := z.nodes[name]
	if n != nil {
		return n
	}
	n = &node{name: name, sets: map[uint16]*group{}}
	z.nodes[name] = n
	if name == z.name {
		return n
	}
	above := z.grow(name[next(name):])
	if strings.HasPrefix(name, "*.") {
		above.wild = n
	}
	return n
}

func (z *zone) add(name string, kind uint16, c choice) {
	n := z.grow(name)
	if n.sets[kind] == nil {
		n.sets[kind] = &group{}
	}
	n.sets[kind].choices = append(n.sets[kind].choices, c)
}

// records turns values into records.
func records(r *albion.RecordSet) ([]dns.RR, error) {
	out := make([]dns.RR, 0, len(r.Values))
	head := r.Name + " " + strconv.Itoa(int(r.TTL.Seconds())) + " IN " + string(r.Type) + " "
	for _, v := range r.Values {
		rr, err := dns.NewRR(head + v)
		if err != nil {
			return nil, err
		}
		if rr == nil {
			return nil, fmt.Errorf("%s says nothing", head)
		}
		out = append(out, rr)
	}
	return out, nil
}

func aliasRecords(r *albion.RecordSet, all []netip.Addr) ([]dns.RR, error) {
	set := *r
	set.TTL = albion.AliasTTL
	for _, a := range addresses(all, r.Type) {
		set.Values = append(set.Values, a.String())
	}
	return records(&set)
}

// maxGlue bounds the addresses of one referral, so that it always fits into a
// message over TCP.
const maxGlue = 256

// finish adds what follows from the records: the server's own address, where
// names are delegated, and the SOA of negative answers.
func (z *zone) finish(own []netip.Addr) error {
	if err := z.nameServer(own); err != nil {
		return err
	}
	soa, ok := z.apex.sets[dns.TypeSOA]
	if !ok || len(soa.choices[0].records) != 1 {
		return fmt.Errorf("no SOA")
	}
	z.soa = soa.choices[0].records[0]
	z.negative, z.brief = []dns.RR{negative(z.soa, ^uint32(0))}, []dns.RR{negative(z.soa, uint32(albion.AliasTTL.Seconds()))}
	z.fleeting = []dns.RR{negative(z.soa, 0)}
	for name, n := range z.nodes {
		if _, delegated := n.sets[dns.TypeNS]; delegated && n != z.apex {
			n.cut = z.highestCut(name)
		}
	}
	for name, n := range z.nodes {
		if n.cut == nil {
			n.cut = z.highestCut(name)
		}
		if n.cut == n {
			z.addGlue(n)
		}
	}
	return nil
}

// nameServer makes a name server in the zone that has no record of its own
// answer with the addresses of this machine, so that a new zone is complete.
func (z *zone) nameServer(own []netip.Addr) error {
	ns, ok := z.apex.sets[dns.TypeNS]
	if !ok {
		return fmt.Errorf("no NS")
	}
	for _, rr := range ns.choices[0].records {
		name := canonical(rr.(*dns.NS).Ns)
		if !inside(name, z.name) || z.nodes[name] != nil {
			continue
		}
		for _, kind := range []albion.RecordType{albion.TypeA, albion.TypeAAAA} {
			set := &albion.RecordSet{Name: name, Type: kind}
			all, err := aliasRecords(set, own)
			if err != nil {
				return err
			}
			if len(all) > 0 {
				z.add(name, dns.StringToType[string(kind)], choice{records: all, weight: simple})
			}
		}
	}
	return nil
}

// highestCut is the delegation that a name is at or below: of several the one
// nearest to the apex, since what is below it is somebody else's.
func (z *zone) highestCut(name string) *node {
	var cut *node
	for rest := name; len(rest) > len(z.name); rest = rest[next(rest):] {
		n := z.nodes[rest]
		if n == nil {
			continue
		}
		if _, delegated := n.sets[dns.TypeNS]; delegated {
			cut = n
		}
	}
	return cut
}

// addGlue gathers the addresses of a delegation's name servers that this zone
// holds (RFC 1034 §4.2.1, RFC 9471).
func (z *zone) addGlue(n *node) {
	for _, rr := range n.sets[dns.TypeNS].choices[0].records {
		host := z.nodes[canonical(rr.(*dns.NS).Ns)]
		if host == nil {
			continue
		}
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
			if g := host.sets[kind]; g != nil {
				n.glue = append(n.glue, g.choices[0].records...)
			}
		}
	}
	n.glue = n.glue[:min(len(n.glue), maxGlue)]
}

// negative is a SOA as negative answers show it: its TTL is the smaller of its
// own and its minimum field (RFC 2308 §5), and at most most.
func negative(rr dns.RR, most uint32) dns.RR {
	soa := dns.Copy(rr).(*dns.SOA)
	soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl, most)
	return soa
}

// watched lists the load balancers whose health some alias follows.
func (t *table) watched() []albion.ARN {
	all := map[albion.ARN]bool{}
	for _, z := range t.zones {
		if !z.watches {
			continue
		}
		for _, r := range z.from.sets {
			if r.Alias != nil && r.Alias.EvaluateTargetHealth {
				all[r.Alias.LoadBalancer] = true
			}
		}
	}
	return slices.Collect(maps.Keys(all))
}
