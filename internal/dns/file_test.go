package dns_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/dns"
)

const bind = `$TTL 1h
$ORIGIN example.com.
@	IN	SOA	ns.old.example. admin\.dns.example.com. (
			2026112201 ; serial
			2h 15m 2w 1h )
	IN	NS	ns.old.example.
@	IN	MX	10 mail
www	300	IN	A	192.0.2.1
	300	IN	A	192.0.2.1
	60	IN	A	192.0.2.2
*.dev	CNAME	www
text	TXT	( "one"
		"two; three" )
$GENERATE 1-3 host$ A 192.0.2.1$
@	DNSKEY	257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==
sub	DS	60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118
caa	TYPE65400 \# 1 00
other.example.net. A 192.0.2.9
`

func TestAZoneFileIsRead(t *testing.T) {
	f, err := dns.ReadFile([]byte(bind), dns.ReadOptions{Name: "example.zone"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range f.Sets {
		got = append(got, fmt.Sprintf("%s %s %s %s", r.Name, r.TTL, r.Type, strings.Join(r.Values, ", ")))
	}
	want := []string{
		"*.dev.example.com. 1h0m0s CNAME www.example.com.",
		"example.com. 1h0m0s MX 10 mail.example.com.",
		"host1.example.com. 1h0m0s A 192.0.2.11",
		"host2.example.com. 1h0m0s A 192.0.2.12",
		"host3.example.com. 1h0m0s A 192.0.2.13",
		`text.example.com. 1h0m0s TXT "one" "two; three"`,
		"www.example.com. 1m0s A 192.0.2.1, 192.0.2.2",
	}
	if !slices.Equal(got, want) || f.Origin != "example.com." {
		t.Errorf("%s: got\n%s", f.Origin, strings.Join(got, "\n"))
	}
	var skipped []string
	for _, s := range f.Skipped {
		skipped = append(skipped, strings.Fields(s.Record)[0]+" "+s.Why)
	}
	want = []string{
		"example.com. the zone has its own; --keep-ns takes this one",
		"example.com. the zone has its own; --keep-ns takes this one",
		"www.example.com. it is there twice",
		"example.com. records of type DNSKEY are not served here",
		"sub.example.com. records of type DS are not served here",
		"caa.example.com. records of type TYPE65400 are not served here",
		"other.example.net. it is not in the zone example.com.",
	}
	if !slices.Equal(skipped, want) {
		t.Errorf("skipped\n%s", strings.Join(skipped, "\n"))
	}
	kept, err := dns.ReadFile([]byte(bind), dns.ReadOptions{Name: "example.zone", KeepNS: true})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(kept.Sets, func(r *albion.RecordSet) bool { return r.Type == albion.TypeSOA })
	if i < 0 || kept.Sets[i].Values[0] != `ns.old.example. admin\.dns.example.com. 2026112201 7200 900 1209600 3600` {
		t.Errorf("kept %v", kept.Sets)
	}
}

func TestWhatIsNoZoneFileIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"@ 300 IN A 192.0.2.1\n$INCLUDE /etc/passwd\n":                                               "example.zone cannot be read: $INCLUDE directive not allowed",
		"$ORIGIN example.com.\n@ 300 IN SOA a b 1 2 3 4 5\nwww 300 IN A 192.0.2\n":                   `line: 3`,
		"www 300 IN A 192.0.2.1\n":                                                                   "bad owner name",
		"www.example.com. 300 IN A 192.0.2.1\n":                                                      "has no SOA that tells which zone it is: say so with --origin",
		strings.Repeat(";", dns.MaxFile+1):                                                           "has at most",
		"$ORIGIN example.com.\n$GENERATE 1-65535 a$ A 192.0.2.1\n$GENERATE 1-65535 b$ A 192.0.2.1\n": "more than 100000 records",
	} {
		origin := ""
		if strings.Contains(text, "INCLUDE") {
			origin = "example.com"
		}
		_, err := dns.ReadFile([]byte(text), dns.ReadOptions{Name: "example.zone", Origin: origin})
		if err == nil || !strings.Contains(err.Error(), want) || albion.CodeOf(err) != albion.CodeInvalidInput {
			t.Errorf("got %v (%s)\nwant %s", err, albion.CodeOf(err), want)
		}
	}
}

// drawZone is any zone that Validate accepts.
func drawZone(t *rapid.T) (*albion.State, *albion.HostedZone) {
	d := albion.NewDraft(&albion.State{})
	z := &albion.HostedZone{ID: "ZTEST", Name: "example.com."}
	soa, ns := z.DefaultRecordSets([]string{"ns.example.org."})
	albion.Put(d, z)
	albion.Put(d, soa)
	albion.Put(d, ns)
	state, err := d.Finish()
	if err != nil {
		t.Fatal(err)
	}
	host := rapid.Custom(func(t *rapid.T) string {
		return rapid.StringMatching(`[a-z0-9_][a-z0-9_-]{0,8}(/[0-9]{1,2})?`).Draw(t, "label") + rapid.SampledFrom([]string{".example.com.", ".b.example.com."}).Draw(t, "domain")
	})
	number := func(high int) int { return rapid.IntRange(0, high).Draw(t, "number") }
	for range rapid.IntRange(0, 8).Draw(t, "sets") {
		r := &albion.RecordSet{Zone: z.ID, Name: host.Draw(t, "owner"), TTL: 1e9 * 60, Type: rapid.SampledFrom(albion.RecordTypes()).Draw(t, "type")}
		if rapid.IntRange(0, 5).Draw(t, "wild") == 0 {
			r.Name = "*." + r.Name
		}
		for range rapid.IntRange(1, 3).Draw(t, "values") {
			raw := map[albion.RecordType]func() string{
				albion.TypeA:    func() string { return fmt.Sprintf("192.0.2.%d", number(255)) },
				albion.TypeAAAA: func() string { return fmt.Sprintf("2001:db8::%x", number(65535)) },
				albion.TypeCAA: func() string {
					return fmt.Sprintf("%d issue %s", number(255), `"`+rapid.StringMatching(`[a-z.; =]{0,20}`).Draw(t, "ca")+`"`)
				},
				albion.TypeMX: func() string { return fmt.Sprintf("%d %s", number(65535), host.Draw(t, "host")) },
				albion.TypeSRV: func() string {
					return fmt.Sprintf("%d %d %d %s", number(65535), number(65535), number(65535), host.Draw(t, "host"))
				},
				albion.TypeSOA: func() string {
					return fmt.Sprintf("%s a\\.b.%s %d 1 2 3 4", host.Draw(t, "host"), host.Draw(t, "mailbox"), number(1<<31))
				},
				albion.TypeTXT:   func() string { return string(rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "text")) },
				albion.TypeCNAME: func() string { return host.Draw(t, "host") },
				albion.TypeNS:    func() string { return host.Draw(t, "host") },
				albion.TypePTR:   func() string { return host.Draw(t, "host") },
			}[r.Type]()
			if v, err := r.Type.Canonical(raw); err == nil {
				r.Values = append(r.Values, v)
			}
		}
		next := albion.NewDraft(state)
		albion.Put(next, r)
		if s, err := next.Finish(); err == nil {
			state = s
		}
	}
	return state, z
}

func setsOf(s *albion.State) []*albion.RecordSet { return slices.Collect(s.RecordSets.All()) }

// A valid zone compiles, and what is written is read again as it was.
func TestAnyZoneIsWrittenAndRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, z := drawZone(t)
		if _, err := dns.Compile(s, own...); err != nil {
			t.Fatalf("a valid zone does not compile: %v", err)
		}
		text, skipped := dns.WriteFile(z, setsOf(s))
		f, err := dns.ReadFile(text, dns.ReadOptions{Name: "again", KeepNS: true})
		if err != nil || len(skipped)+len(f.Skipped) > 0 {
			t.Fatalf("%v, %v, %v\n%s", err, skipped, f, text)
		}
		d := albion.NewDraft(&albion.State{})
		albion.Put(d, z)
		for _, r := range f.Sets {
			r.Zone = z.ID
			albion.Put(d, r)
		}
		again, err := d.Finish()
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if got, _ := dns.WriteFile(z, setsOf(again)); lines(got) != lines(text) {
			t.Fatalf("got\n%s\nwant\n%s", got, text)
		}
	})
}

// lines is a text with its lines sorted: the values of a set have no order.
func lines(text []byte) string {
	all := strings.Split(string(text), "\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// What is written is a zone for BIND too.
func TestBINDReadsWhatIsWritten(t *testing.T) {
	s := state(t, strings.ReplaceAll(zoneOfDig, "ns1", "ns1.example.org.")+"a 60 IN TXT \""+strings.Repeat("x", 255)+"\" \"y\"\n")
	for z := range s.HostedZones.All() {
		text, skipped := dns.WriteFile(z, append(setsOf(s), &albion.RecordSet{Name: "lb.example.com.", Type: albion.TypeA, Alias: aliasOf("web")},
			&albion.RecordSet{Name: "w.example.com.", Type: albion.TypeA, SetIdentifier: "blue", Values: []string{"192.0.2.1"}}))
		if len(skipped) != 2 || !strings.Contains(string(text), "; w.example.com. A blue: weights have no form in a zone file\n") {
			t.Errorf("skipped %v", skipped)
		}
		file := filepath.Join(t.TempDir(), "zone")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if out := program(t, "named-checkzone", "-i", "local", "example.com", file); !strings.Contains(out, "OK") {
			t.Errorf("%s\n%s", out, text)
		}
	}
}

// Whatever a file holds, reading it ends, and what it gives has the form of the
// model.
func FuzzReadFile(f *testing.F) {
	f.Add([]byte(bind), "", false)
	f.Add([]byte(zoneOfDig), "example.com", true)
	f.Add([]byte("$GENERATE 1-10 a$ A 192.0.2.$\n"), "example.com", false)
	f.Add([]byte("@ TXT \"\\000\\\"\\\\\" x\n@ CAA 0 issue \"\"\n"), "example.com", true)
	f.Fuzz(func(t *testing.T, data []byte, origin string, keep bool) {
		file, err := dns.ReadFile(data, dns.ReadOptions{Name: "f", Origin: origin, KeepNS: keep})
		if err != nil {
			return
		}
		for _, r := range file.Sets {
			if name, err := albion.CanonicalRecordName(r.Name); err != nil || name != r.Name {
				t.Fatalf("%q: %v", r.Name, err)
			}
			for _, v := range r.Values {
				if canonical, err := r.Type.Canonical(v); err != nil || canonical != v {
					t.Fatalf("%s %q became %q: %v", r.Type, v, canonical, err)
				}
			}
		}
	})
}
