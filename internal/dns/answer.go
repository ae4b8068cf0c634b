package dns

import (
	"github.com/miekg/dns"
)

// result is the answer to one question, before it is a message. Its records are
// shared and must not be written.
type result struct {
	rcode                 int
	authoritative         bool
	answer, authority, ad []dns.RR
	// imputed is the name on which a limit of equal answers counts this one: for a
	// wildcard its own, so that making up names helps nobody.
	imputed string
	zone    string
}

// maxChain is how many CNAMEs are followed: more is a loop or a mistake.
const maxChain = 8

// resolve answers a question about a zone: RFC 1034 §4.3.2. asked is the name
// as it was written, name the same in canonical form; number is random, below 1.
func (t *table) resolve(z *zone, asked, name string, kind uint16, number float64) result {
	r := result{authoritative: true, zone: z.name, imputed: name}
	for hops := 0; ; hops++ {
		found, encloser := z.walk(name)
		if cut := encloser.cut; cut != nil && (kind != dns.TypeDS || name != cut.name) {
			r.refer(cut, hops)
			return r
		}
		if found == nil {
			if hops == 0 {
				r.imputed = encloser.name
			}
			r.rcode = dns.RcodeNameError
			r.authority = z.negative
			return r
		}
		if hops == 0 {
			r.imputed = found.name
		}
		alias := found.sets[dns.TypeCNAME]
		if kind == dns.TypeANY {
			r.any(z, found, asked, name, t, number)
			return r
		}
		if found.fleeting && alias == nil && found.sets[kind] == nil {
			r.authority = z.fleeting
			return r
		}
		if alias == nil || kind == dns.TypeCNAME {
			r.give(z, found.sets[kind], t, asked, name, number)
			return r
		}
		records := alias.pick(t.down, number)
		if len(records) == 0 {
			r.authority = z.brief
			return r
		}
		r.answer = append(r.answer, owned(records, asked, name)...)
		target := records[0].(*dns.CNAME).Target
		asked, name = target, canonical(target)
		if !inside(name, z.name) || hops == maxChain || r.owns(name) {
			return r
		}
	}
}

// owns says whether the answer has come by a name before: a chain that ends
// where it began.
func (r *result) owns(name string) bool {
	for _, rr := range r.answer {
		if canonical(rr.Header().Name) == name {
			return true
		}
	}
	return false
}

// refer hands the question on to whom a name was delegated.
func (r *result) refer(cut *node, hops int) {
	r.authoritative = hops > 0
	r.authority = cut.sets[dns.TypeNS].choices[0].records
	r.ad = cut.glue
	if hops == 0 {
		r.imputed = cut.name
	}
}

// give answers with a group, or says that there is none.
func (r *result) give(z *zone, g *group, t *table, asked, name string, number float64) {
	if g == nil {
		r.authority = z.negative
		return
	}
	records := g.pick(t.down, number)
	if len(records) == 0 {
		// It may be there again in a moment.
		r.authority = z.brief
		return
	}
	r.answer = append(r.answer, owned(records, asked, name)...)
}

// any answers a question for everything with next to nothing: RFC 8482 §4.2.
func (r *result) any(z *zone, n *node, asked, name string, t *table, number float64) {
	if alias := n.sets[dns.TypeCNAME]; alias != nil {
		r.give(z, alias, t, asked, name, number)
		return
	}
	if len(n.sets) == 0 {
		r.authority = z.negative
		return
	}
	r.answer = append(r.answer, &dns.HINFO{
		Hdr: dns.RR_Header{Name: asked, Rrtype: dns.TypeHINFO, Class: dns.ClassINET, Ttl: 3600}, Cpu: "RFC8482",
	})
}

// owned returns records under the name that was asked for, in the letters in
// which it was: those of a wildcard have another, and a resolver may have mixed
// the case of its question to be told from a forger.
func owned(records []dns.RR, asked, name string) []dns.RR {
	if asked == name && records[0].Header().Name == name {
		return records
	}
	out := make([]dns.RR, len(records))
	for i, rr := range records {
		out[i] = dns.Copy(rr)
		out[i].Header().Name = asked
	}
	return out
}
