package dns_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/dns"
)

const small = `
@ 900 IN SOA ns1 hostmaster 1 7200 900 1209600 86400
@ 900 IN NS ns1
www 300 IN A 192.0.2.1
* 300 IN TXT "wild"
`

// large has an answer that fits into no datagram.
func large() string {
	var b strings.Builder
	b.WriteString(small)
	for i := range 200 {
		fmt.Fprintf(&b, "many 60 IN A 192.0.2.%d\nmany 60 IN AAAA 2001:db8::%x\n", i, i)
	}
	for i := range 30 {
		fmt.Fprintf(&b, "some 60 IN A 192.0.2.%d\n", i)
	}
	return b.String()
}

func example(t testing.TB, text string) *dns.Table {
	t.Helper()
	d := albion.NewDraft(&albion.State{})
	zone(t, d, "example.com", text)
	return compile(t, finish(t, d))
}

func edns(size uint16, do bool) func(*wire.Msg) {
	return func(m *wire.Msg) { m.SetEdns0(size, do) }
}

func TestAnswersFitWhereTheyGo(t *testing.T) {
	table := example(t, large())
	for _, c := range []struct {
		name, kind string
		edit       func(*wire.Msg)
		tcp        bool
		most       int
		truncated  bool
		answers    int
	}{
		{"www", "A", nil, false, 512, false, 1},
		{"some", "A", nil, false, 512, true, 0},
		{"some", "A", edns(1232, false), false, 1232, false, 30},
		{"some", "A", edns(65535, false), false, 1232, false, 30},
		{"some", "A", edns(0, false), false, 512, true, 0},
		{"many", "A", edns(65535, false), false, 1232, true, 0},
		{"many", "A", nil, true, 65535, false, 200},
		{"many", "AAAA", edns(1232, true), true, 65535, false, 200},
	} {
		data := table.Respond(question(t, c.name+".example.com.", c.kind, c.edit), c.tcp, 0)
		m := read(t, data)
		if len(data) > c.most || m.Truncated != c.truncated || len(m.Answer) != c.answers || m.Rcode != 0 {
			t.Errorf("%s %s: %d bytes\n%v", c.name, c.kind, len(data), m)
		}
		if (m.IsEdns0() != nil) != (c.edit != nil) {
			t.Errorf("%s %s: EDNS %v", c.name, c.kind, m.IsEdns0())
		}
	}
}

func TestEDNSIsAnsweredInKind(t *testing.T) {
	table := example(t, small)
	for _, do := range []bool{false, true} {
		m := ask(t, table, "www.example.com.", "A", edns(4096, do))
		if o := m.IsEdns0(); o == nil || o.UDPSize() != 1232 || o.Do() != do || o.Version() != 0 {
			t.Errorf("DO %v: %v", do, m)
		}
	}
	newer := ask(t, table, "www.example.com.", "A", func(m *wire.Msg) { m.SetEdns0(1232, false).IsEdns0().SetVersion(1) })
	if newer.Rcode != wire.RcodeBadVers || len(newer.Answer) != 0 || newer.IsEdns0().Version() != 0 {
		t.Errorf("a later version of EDNS: %v", newer)
	}
	twice := ask(t, table, "www.example.com.", "A", func(m *wire.Msg) { m.SetEdns0(1232, false); m.Extra = append(m.Extra, m.Extra[0]) })
	if twice.Rcode != wire.RcodeFormatError {
		t.Errorf("two OPT records: %v", twice)
	}
}

func TestWhatIsNoQuestionIsRefused(t *testing.T) {
	table := example(t, small)
	for name, c := range map[string]struct {
		edit func(*wire.Msg)
		want int
	}{
		"chaos":        {func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassCHAOS }, wire.RcodeRefused},
		"any class":    {func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassANY }, wire.RcodeRefused},
		"update":       {func(m *wire.Msg) { m.Opcode = wire.OpcodeUpdate }, wire.RcodeNotImplemented},
		"notify":       {func(m *wire.Msg) { m.Opcode = wire.OpcodeNotify }, wire.RcodeNotImplemented},
		"no question":  {func(m *wire.Msg) { m.Question = nil }, wire.RcodeFormatError},
		"two of them":  {func(m *wire.Msg) { m.Question = append(m.Question, m.Question[0]) }, wire.RcodeFormatError},
		"OPT as type":  {func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeOPT }, wire.RcodeFormatError},
		"no type":      {func(m *wire.Msg) { m.Question[0].Qtype = 0 }, wire.RcodeFormatError},
		"elsewhere":    {func(m *wire.Msg) { m.Question[0].Name = "www.example.net." }, wire.RcodeRefused},
		"the root":     {func(m *wire.Msg) { m.Question[0].Name = "." }, wire.RcodeRefused},
		"zone's kin":   {func(m *wire.Msg) { m.Question[0].Name = "notexample.com." }, wire.RcodeRefused},
		"a transfer":   {func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeAXFR }, wire.RcodeRefused},
		"half of one":  {func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeIXFR }, wire.RcodeRefused},
		"recursion":    {func(m *wire.Msg) { m.RecursionDesired = true }, wire.RcodeSuccess},
		"a dot within": {func(m *wire.Msg) { m.Question[0].Name = `a\.b\.example.com.` }, wire.RcodeRefused},
	} {
		m := ask(t, table, "www.example.com.", "A", c.edit)
		if m.Rcode != c.want || !m.Response || m.RecursionAvailable {
			t.Errorf("%s: %v", name, m)
		}
		if c.want != wire.RcodeSuccess && len(m.Answer)+len(m.Ns) > 0 {
			t.Errorf("%s is answered: %v", name, m)
		}
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "half a head": question(t, "www.example.com.", "A", nil)[:11],
		"an answer": question(t, "www.example.com.", "A", func(m *wire.Msg) { m.Response = true }),
	} {
		if got := table.Respond(data, false, 0); got != nil {
			t.Errorf("%s is answered: %x", name, got)
		}
	}
	cut := question(t, "www.example.com.", "A", nil)
	if m := read(t, table.Respond(cut[:len(cut)-3], false, 0)); m.Rcode != wire.RcodeFormatError {
		t.Errorf("a message that was cut off: %v", m)
	}
}

// A resolver mixes the case of a question's letters, and takes no answer that
// has others.
func TestTheLettersOfTheQuestionComeBack(t *testing.T) {
	table := example(t, small)
	for _, name := range []string{"WwW.eXaMpLe.CoM.", "NoWhErE.eXaMpLe.CoM."} {
		for _, kind := range []string{"A", "TXT", "ANY"} {
			m := ask(t, table, name, kind, nil)
			if m.Question[0].Name != name {
				t.Errorf("the question comes back as %s", m.Question[0].Name)
			}
			for _, rr := range m.Answer {
				if rr.Header().Name != name {
					t.Errorf("%s %s is answered as %s", name, kind, rr)
				}
			}
		}
	}
}

var client = netip.MustParseAddr("198.51.100.7")

func TestEqualAnswersAreLimited(t *testing.T) {
	table := example(t, small)
	limit := dns.Limit{PerAnswer: 5, PerSource: 50, Burst: 1, Slip: 2}
	count := func(g *dns.Gate, from netip.Addr, at time.Duration, n int, ask func(i int) []byte) (whole, short int) {
		for i := range n {
			data := g.Ask(ask(i), from, at)
			switch {
			case data == nil:
			case read(t, data).Truncated:
				short++
				if m := read(t, data); len(data) > len(ask(i)) || len(m.Answer)+len(m.Ns)+len(m.Extra) > 0 || len(m.Question) != 1 {
					t.Errorf("a slipped answer is %d bytes: %v", len(data), m)
				}
			default:
				whole++
			}
		}
		return whole, short
	}
	same := func(int) []byte { return question(t, "www.example.com.", "A", nil) }
	made := func(i int) []byte { return question(t, fmt.Sprintf("a%d.example.com.", i), "TXT", nil) }
	gone := func(i int) []byte { return question(t, fmt.Sprintf("a%d.www.example.com.", i), "A", nil) }
	away := func(i int) []byte { return question(t, fmt.Sprintf("a%d.example.org.", i), "A", nil) }
	for name, ask := range map[string]func(int) []byte{"one name": same, "names of a wildcard": made, "names that are not": gone, "names elsewhere": away} {
		g := dns.NewGate(limit, table)
		if whole, short := count(g, client, time.Hour, 25, ask); whole != 5 || short != 10 {
			t.Errorf("%s: %d whole, %d truncated", name, whole, short)
		}
		if whole, _ := count(g, netip.MustParseAddr("198.51.100.200"), time.Hour, 5, ask); whole != 0 {
			t.Errorf("%s: a neighbour has an allowance of its own", name)
		}
		if whole, _ := count(g, netip.MustParseAddr("2001:db8:1::7"), time.Hour, 5, ask); whole != 5 {
			t.Errorf("%s: another network has %d", name, whole)
		}
		if whole, _ := count(g, client, time.Hour+time.Second, 25, ask); whole != 5 {
			t.Errorf("%s: a second later %d", name, whole)
		}
	}
	var b strings.Builder
	b.WriteString(small)
	for i := range 100 {
		fmt.Fprintf(&b, "n%d 60 IN A 192.0.2.1\n", i)
	}
	g := dns.NewGate(limit, example(t, b.String()))
	many := func(i int) []byte { return question(t, fmt.Sprintf("n%d.example.com.", i), "A", nil) }
	if whole, _ := count(g, client, time.Hour, 100, many); whole != 50 {
		t.Errorf("%d different answers to one network", whole)
	}
}

// However questions come, no network gets more than its allowance of bytes.
func TestNobodyIsFlooded(t *testing.T) {
	table := example(t, large())
	rapid.Check(t, func(t *rapid.T) {
		limit := dns.Limit{PerAnswer: rapid.IntRange(1, 20).Draw(t, "answer"), PerSource: rapid.IntRange(20, 100).Draw(t, "source"), Burst: rapid.IntRange(1, 3).Draw(t, "burst"), Slip: 1 << 30}
		g := dns.NewGate(limit, table)
		at, sent := time.Duration(0), 0
		for range rapid.IntRange(1, 400).Draw(t, "questions") {
			at += time.Duration(rapid.IntRange(0, 20).Draw(t, "pause")) * time.Millisecond
			m := new(wire.Msg).SetQuestion(rapid.SampledFrom([]string{"www.example.com.", "some.example.com.", "x.example.com.", "example.org."}).Draw(t, "name"), wire.TypeA)
			m.SetEdns0(4096, false)
			data, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			if answer := g.Ask(data, client, at); answer != nil {
				if sent++; len(answer) > dns.MaxUDP {
					t.Fatalf("%d bytes", len(answer))
				}
			}
		}
		if most := int(float64(limit.PerSource)*(at.Seconds()+float64(limit.Burst))) + 1; sent > most {
			t.Fatalf("%d answers in %s, and %d are allowed", sent, at, most)
		}
	})
}

// Whatever arrives: no panic, no answer to an answer, nothing that cannot be read
// or is larger than allowed, nobody else's identity.
func FuzzMessages(f *testing.F) {
	table := example(f, large())
	for _, kind := range []string{"A", "ANY", "AXFR", "TXT", "DS"} {
		for _, name := range []string{"www.example.com.", "many.example.com.", "x.y.EXAMPLE.com.", ".", `\000\.\255.example.com.`} {
			f.Add(question(f, name, kind, nil), false)
			f.Add(question(f, name, kind, edns(1232, true)), true)
		}
	}
	f.Add([]byte("\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"), false)
	f.Fuzz(func(t *testing.T, data []byte, tcp bool) {
		answer := table.Respond(data, tcp, 0.5)
		if answer == nil {
			if len(data) >= 12 && data[2]&0x80 == 0 {
				t.Fatal("a message is not answered")
			}
			return
		}
		most := 65535
		if !tcp {
			most = dns.MaxUDP
		}
		m := new(wire.Msg)
		if err := m.Unpack(answer); err != nil || len(answer) > most || !m.Response || m.RecursionAvailable {
			t.Fatalf("%d bytes, %v: %v", len(answer), err, m)
		}
		if answer[0] != data[0] || answer[1] != data[1] {
			t.Fatal("the answer has another identity")
		}
		in := new(wire.Msg)
		if !tcp && in.Unpack(data) == nil && in.IsEdns0() == nil && len(answer) > 512 {
			t.Fatalf("%d bytes for a client without EDNS", len(answer))
		}
		short := dns.NewGate(dns.Limit{PerAnswer: 1, PerSource: 1, Burst: 1, Slip: 1}, table)
		short.Ask(data, client, 0)
		if slipped := short.Ask(data, client, 0); slipped != nil && (len(slipped) > len(data)+12 || new(wire.Msg).Unpack(slipped) != nil) {
			t.Fatalf("a slipped answer to %d bytes has %d: %x", len(data), len(slipped), slipped)
		}
	})
}
