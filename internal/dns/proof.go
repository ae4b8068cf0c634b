package dns

import (
	"github.com/miekg/dns"

	"github.com/albion-lb/albion"
)

// proofTTL is how long a proof may be kept, in seconds: another one takes its
// place as soon as it has served.
const proofTTL = 10

// prove adds the TXT records that the orders under way need (RFC 8555 §8.4). They
// stand beside what TXT records the name has, and in place of an alias, which
// could not stand beside anything.
func (z *zone) prove(proofs []albion.Proof) {
	for _, p := range proofs {
		n := z.grow(p.Name)
		delete(n.sets, dns.TypeCNAME)
		g := n.sets[dns.TypeTXT]
		if g == nil || len(g.choices) > 1 {
			g = &group{choices: []choice{{weight: simple}}}
			n.sets[dns.TypeTXT] = g
		}
		// The records before may be shared with the zone that this one follows.
		all := append([]dns.RR(nil), g.choices[0].records...)
		g.choices[0].records = append(all, &dns.TXT{
			Hdr: dns.RR_Header{Name: p.Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: proofTTL},
			Txt: []string{p.Value},
		})
	}
}
