package dns_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	wire "github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/dns"
)

// reference answers as RFC 1034 §4.3.2 and RFC 4592 say, in the plainest way:
// over a list of records, with nothing compiled.
type reference struct {
	zone    string
	records []wire.RR
}

// at lists the records of a name and type; of every type when kind is 0.
func (r *reference) at(name string, kind uint16) []wire.RR {
	var all []wire.RR
	for _, rr := range r.records {
		if rr.Header().Name == name && (kind == 0 || rr.Header().Rrtype == kind) {
			all = append(all, rr)
		}
	}
	return all
}

// exists says whether a name has records, or others below it that do.
func (r *reference) exists(name string) bool {
	return slices.ContainsFunc(r.records, func(rr wire.RR) bool {
		return rr.Header().Name == name || strings.HasSuffix(rr.Header().Name, "."+name)
	})
}

// ancestors lists a name and those above it in the zone, the zone first.
func (r *reference) ancestors(name string) []string {
	labels := wire.SplitDomainName(strings.TrimSuffix(name, r.zone))
	all := []string{r.zone}
	for i := len(labels) - 1; i >= 0; i-- {
		all = append(all, labels[i]+"."+all[len(all)-1])
	}
	return all
}

// answer is what the answer to a question must be, as text(…) writes it.
func (r *reference) answer(name string, kind uint16) string {
	m := &wire.Msg{}
	m.Authoritative = true
	for range 9 {
		if r.step(m, &name, kind) {
			break
		}
		owner := func(rr wire.RR) bool { return rr.Header().Name == name }
		if !wire.IsSubDomain(r.zone, name) || slices.ContainsFunc(m.Answer, owner) {
			break
		}
	}
	return text(m)
}

// step answers one name; false means that the chain goes on at *name.
func (r *reference) step(m *wire.Msg, name *string, kind uint16) (done bool) {
	encloser := r.zone
	for _, above := range r.ancestors(*name) {
		if ns := r.at(above, wire.TypeNS); above != r.zone && len(ns) > 0 && (kind != wire.TypeDS || above != *name) {
			m.Authoritative = len(m.Answer) > 0
			m.Ns = ns
			for _, rr := range ns {
				m.Extra = append(m.Extra, r.at(rr.(*wire.NS).Ns, wire.TypeA)...)
				m.Extra = append(m.Extra, r.at(rr.(*wire.NS).Ns, wire.TypeAAAA)...)
			}
			return true
		}
		if r.exists(above) {
			encloser = above
		}
	}
	source := *name
	if encloser != *name {
		source = "*." + encloser
	}
	if !r.exists(source) {
		m.Rcode = wire.RcodeNameError
		m.Ns = r.no()
		return true
	}
	if alias := r.at(source, wire.TypeCNAME); len(alias) > 0 {
		m.Answer = append(m.Answer, as(alias, *name)...)
		*name = alias[0].(*wire.CNAME).Target
		return kind == wire.TypeCNAME || kind == wire.TypeANY
	}
	found := r.at(source, kind)
	switch {
	case kind == wire.TypeANY && len(r.at(source, 0)) > 0:
		m.Answer = append(m.Answer, &wire.HINFO{Hdr: wire.RR_Header{Name: *name, Rrtype: wire.TypeHINFO, Class: wire.ClassINET, Ttl: 3600}, Cpu: "RFC8482"})
	case len(found) == 0:
		m.Ns = r.no()
	default:
		m.Answer = append(m.Answer, as(found, *name)...)
	}
	return true
}

func (r *reference) no() []wire.RR {
	soa := wire.Copy(r.at(r.zone, wire.TypeSOA)[0]).(*wire.SOA)
	soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	return []wire.RR{soa}
}

func as(records []wire.RR, name string) []wire.RR {
	var all []wire.RR
	for _, rr := range records {
		rr = wire.Copy(rr)
		rr.Header().Name = name
		all = append(all, rr)
	}
	return all
}

// drawRelative makes a name of few labels, so that names meet.
func drawRelative(t *rapid.T, label string) string {
	labels := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*"}), 0, 4).Draw(t, label)
	name := ""
	for i, l := range labels {
		if l == "*" && i > 0 {
			l = "c" // an asterisk is the leftmost label
		}
		name += l + "."
	}
	return name + "example.com."
}

// drawSets makes record sets that Validate may accept.
func drawSets(t *rapid.T, zone string) []*albion.RecordSet {
	var all []*albion.RecordSet
	for i := range rapid.IntRange(0, 12).Draw(t, "sets") {
		r := &albion.RecordSet{Zone: zone, Name: drawRelative(t, "owner"), TTL: 60e9}
		r.Type = rapid.SampledFrom([]albion.RecordType{albion.TypeA, albion.TypeTXT, albion.TypeCNAME, albion.TypeNS, albion.TypeAAAA}).Draw(t, "type")
		switch r.Type {
		case albion.TypeA:
			r.Values = []string{fmt.Sprintf("192.0.2.%d", i), fmt.Sprintf("198.51.100.%d", i)}
		case albion.TypeAAAA:
			r.Values = []string{fmt.Sprintf("2001:db8::%x", i+1)}
		case albion.TypeTXT:
			r.Values = []string{fmt.Sprintf(`"%d"`, i)}
		default:
			target := drawRelative(t, "target")
			if strings.HasPrefix(target, "*") || rapid.IntRange(0, 9).Draw(t, "outside") == 0 {
				target = "elsewhere.example.org."
			}
			r.Values = []string{target}
		}
		all = append(all, r)
	}
	return all
}

// Every question about any zone gets the answer that the plain reading of the
// standards gives.
func TestEveryAnswerIsThatOfTheReference(t *testing.T) {
	kinds := []string{"A", "AAAA", "TXT", "CNAME", "NS", "SOA", "MX", "DS", "ANY", "TYPE65399"}
	rapid.Check(t, func(rt *rapid.T) {
		d := albion.NewDraft(&albion.State{})
		z := &albion.HostedZone{ID: "ZTEST", Name: "example.com."}
		soa, ns := z.DefaultRecordSets([]string{"ns.example.org."})
		albion.Put(d, z)
		albion.Put(d, soa)
		albion.Put(d, ns)
		state := finish(t, d)
		for _, r := range drawSets(rt, z.ID) {
			next := albion.NewDraft(state)
			albion.Put(next, r)
			if s, err := next.Finish(); err == nil {
				state = s // what may not stand beside the others is left out
			}
		}
		// Without addresses of its own the server adds nothing to the zone.
		table, err := dns.Compile(state)
		if err != nil {
			rt.Fatal(err)
		}
		ref := &reference{zone: z.Name}
		for r := range state.RecordSets.All() {
			for _, v := range r.Values {
				rr, err := wire.NewRR(fmt.Sprintf("%s %d IN %s %s", r.Name, int(r.TTL.Seconds()), r.Type, v))
				if err != nil {
					rt.Fatal(err)
				}
				ref.records = append(ref.records, rr)
			}
		}
		for range 30 {
			name, kind := drawRelative(rt, "name"), rapid.SampledFrom(kinds).Draw(rt, "kind")
			got := ask(t, table, name, kind, edns(1232, false))
			if got.Truncated {
				continue
			}
			if want := ref.answer(name, got.Question[0].Qtype); text(got) != want {
				rt.Fatalf("%s %s\ngot\n%swant\n%s\nzone\n%v", name, kind, text(got), want, ref.records)
			}
		}
	})
}

// A zone that followed another answers as one that was compiled from nothing.
func TestWhatIsTakenOverIsWhatWouldBeMade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, _ := drawZone(t)
		second, z := drawZone(t)
		before, err := dns.Compile(first)
		if err != nil {
			t.Fatal(err)
		}
		// Of the sets that both have, keep the first's own.
		d := albion.NewDraft(second)
		for r := range second.RecordSets.All() {
			if old, ok := first.RecordSets.Get(r.Identity()); ok && rapid.Bool().Draw(t, "keep") {
				albion.Put(d, old)
			}
		}
		next, err := d.Finish()
		if err != nil {
			return
		}
		after, _, err := before.Again(next)
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := dns.Compile(next)
		if err != nil {
			t.Fatal(err)
		}
		for r := range next.RecordSets.All() {
			m := new(wire.Msg).SetQuestion(strings.Replace(r.Name, "*", "x", 1), wire.StringToType[string(r.Type)])
			query, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			if got, want := after.Respond(query, true, 0), fresh.Respond(query, true, 0); !slices.Equal(got, want) {
				t.Fatalf("%s of %s: got %x, want %x", m.Question[0].Name, z.Name, got, want)
			}
		}
	})
}
