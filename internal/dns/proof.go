package dns

import (
	"github.com/miekg/dns"

	"github.com/albion-lb/albion"
)

// proofTTL is how long a proof may be kept: for the answer at hand only (RFC 1035
// §3.2.1), since another one may stand beside it or take its place at any moment.
const proofTTL = 0

// prove adds the TXT records that the orders under way need (RFC 8555 §8.4). They
// stand beside what TXT records the name has, and in place of an alias, which
// could not stand beside anything. That there is nothing at such a name may not be
// remembered: a resolver that looked for the alias would hide the next proof.
func (z *zone) prove(proofs []albion.Proof) {
	for _, p := range proofs {
		n := z.grow(p.Name)
		n.fleeting = true
		if p.Value == "" {
			continue
		}
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
