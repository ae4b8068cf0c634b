package dns_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/dns"
)

// thousands is a zone of n names.
func thousands(n int) string {
	var b strings.Builder
	b.WriteString(small)
	for i := range n {
		fmt.Fprintf(&b, "n%d 60 IN A 192.0.2.1\n", i)
	}
	return b.String()
}

func BenchmarkRespond(b *testing.B) {
	table := example(b, thousands(9_000))
	for name, query := range map[string][]byte{
		"name":     question(b, "n5000.example.com.", "A", edns(1232, false)),
		"mixed":    question(b, "N5000.eXample.com.", "A", edns(1232, false)),
		"wildcard": question(b, "x.y.z.example.com.", "TXT", edns(1232, false)),
		"none":     question(b, "a.b.n5000.example.com.", "A", edns(1232, false)),
		"refused":  question(b, "www.example.org.", "A", nil),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 4096)
			for b.Loop() {
				if table.Into(query, buf) == nil {
					b.Fatal("no answer")
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	s := state(b, thousands(9_000))
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			if _, err := dns.Compile(s, own...); err != nil {
				b.Fatal(err)
			}
		}
	})
	table := compile(b, s)
	b.Run("nothing new", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := table.Again(s, own...); err != nil {
				b.Fatal(err)
			}
		}
	})
	d := albion.NewDraft(s)
	for z := range s.HostedZones.All() {
		albion.Put(d, &albion.RecordSet{Zone: z.ID, Name: "new.example.com.", Type: albion.TypeA, Values: []string{"192.0.2.1"}})
	}
	changed := finish(b, d)
	b.Run("one new", func(b *testing.B) {
		for b.Loop() {
			if _, fresh, err := table.Again(changed, own...); err != nil || len(fresh) != 1 {
				b.Fatal(fresh, err)
			}
		}
	})
	b.Run("validate", func(b *testing.B) {
		for b.Loop() {
			if err := albion.Validate(s); err != nil {
				b.Fatal(err)
			}
		}
	})
}
