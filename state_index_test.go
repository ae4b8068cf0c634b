package albion_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
)

// bareCertificate is one that only its identity and name matter of.
func bareCertificate(id byte, name string) *albion.Certificate {
	return &albion.Certificate{ARN: albion.CertificateARN([16]byte{id}), Name: name}
}

// Certificates are found by name as going through all of them would find them,
// and a State that others hold does not notice what a Draft does.
func TestCertificatesAreFoundByName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := &albion.State{}
		model := map[albion.ARN]string{}
		for range rapid.IntRange(1, 4).Draw(t, "drafts") {
			before := foundByName(base)
			d := albion.NewDraft(base)
			for range rapid.IntRange(0, 20).Draw(t, "steps") {
				cert := bareCertificate(rapid.Byte().Draw(t, "id")%16, rapid.SampledFrom([]string{"a", "b", "ab", "a.b", ""}).Draw(t, "name"))
				if rapid.Bool().Draw(t, "put") {
					albion.Put(d, cert)
					model[cert.ARN] = cert.Name
				} else {
					albion.Delete[*albion.Certificate](d, string(cert.ARN))
					delete(model, cert.ARN)
				}
			}
			if now := foundByName(base); now != before {
				t.Fatalf("the State changed: %s, and was %s", now, before)
			}
			state := d.State
			base = &state
		}
		if base.Certificates.Len() != len(model) {
			t.Fatalf("%d certificates, not %d", base.Certificates.Len(), len(model))
		}
		for _, name := range []string{"a", "b", "ab", "a.b", "", "c"} {
			var want albion.ARN
			for _, arn := range slices.Sorted(maps.Keys(model)) {
				if want == "" && model[arn] == name {
					want = arn
				}
			}
			got, ok := base.CertificateNamed(name)
			if ok != (want != "") || ok && got.ARN != want {
				t.Fatalf("%q is %v, not %q, of %v", name, got, want, model)
			}
		}
	})
}

func foundByName(s *albion.State) string {
	var all string
	for c := range s.Certificates.All() {
		found, ok := s.CertificateNamed(c.Name)
		all += fmt.Sprint(c.ARN, c.Name, ok && found.Name == c.Name, ";")
	}
	return all
}

// manyCertificates is a State with n of them.
func manyCertificates(n int) *albion.State {
	d := albion.NewDraft(&albion.State{})
	for i := range n {
		albion.Put(d, &albion.Certificate{ARN: albion.CertificateARN([16]byte{byte(i >> 8), byte(i)}), Name: fmt.Sprintf("n%05d.example.com", i)})
	}
	state := d.State
	return &state
}

// A change costs in proportion to itself: of ten thousand certificates one is
// replaced, with few allocations, and none is sorted or copied.
func TestChangingOneOfManyIsCheap(t *testing.T) {
	s := manyCertificates(10_000)
	one, ok := s.CertificateNamed("n04321.example.com")
	if !ok {
		t.Fatal("not found")
	}
	most := 0.0
	most = max(most, testing.AllocsPerRun(100, func() { albion.Put(albion.NewDraft(s), one) }))
	most = max(most, testing.AllocsPerRun(100, func() { albion.Delete[*albion.Certificate](albion.NewDraft(s), string(one.ARN)) }))
	if most > 200 {
		t.Errorf("%v allocations", most)
	}
	if found := testing.AllocsPerRun(100, func() { s.CertificateNamed("n01234.example.com") }); found > 5 {
		t.Errorf("%v allocations to find one", found)
	}
}

func BenchmarkChangeOneOfMany(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		s := manyCertificates(n)
		one, _ := s.CertificateNamed("n00042.example.com")
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				albion.Put(albion.NewDraft(s), one)
			}
		})
	}
}
