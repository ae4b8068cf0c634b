package keyring_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/keyring"
)

func parseLeaf(t testing.TB, s shelf, n int) *x509.Certificate {
	t.Helper()
	c, ok := s.state.Certificates.Get(string(arn(n)))
	if !ok {
		t.Fatalf("no certificate %d", n)
	}
	b, _ := pem.Decode([]byte(c.Chain))
	leaf, err := x509.ParseCertificate(b.Bytes)
	must(t, err)
	return leaf
}

// hello is what a current client says, without a connection.
func hello(name string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName:        name,
		SupportedVersions: []uint16{tls.VersionTLS13, tls.VersionTLS12},
		SignatureSchemes:  []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256},
		SupportedCurves:   []tls.CurveID{tls.X25519, tls.CurveP256},
		CipherSuites:      []uint16{tls.TLS_AES_128_GCM_SHA256},
	}
}

// TestChooseKeepsItsPromise holds the selection against the standard library's
// own reading of certificate names: whatever the certificates, the one chosen
// is valid for the name when any is, an exact one when there is one, ECDSA when
// that is possible; else it is the default.
func TestChooseKeepsItsPromise(t *testing.T) {
	labels := []string{"a", "b", "example", "com"}
	name := rapid.Custom(func(r *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(labels), 1, 4).Draw(r, "labels"), ".")
	})
	rapid.Check(t, func(r *rapid.T) {
		var specs []spec
		for i := range rapid.IntRange(1, 6).Draw(r, "certificates") {
			names := rapid.SliceOfN(name, 1, 3).Draw(r, "names")
			for n := range names {
				if strings.Contains(names[n], ".") && rapid.Bool().Draw(r, "wildcard") {
					names[n] = "*." + names[n]
				}
			}
			key := p256()
			if rapid.Bool().Draw(r, "RSA") {
				key = rsa2048()
			}
			specs = append(specs, spec{names: names, key: key, days: 1 + i})
		}
		s := stock(t, specs...)
		ring := compile(t, keyring.New(keyring.Config{}), s)
		asked := name.Draw(r, "asked")
		cert, chosen := ring.Choose(hello(asked), noon)

		exact, wild, ecdsa := false, false, false
		for pass := range 2 {
			for i, c := range specs {
				for _, n := range c.names {
					switch {
					case n == asked:
						exact = true
					case parseLeaf(t, s, i).VerifyHostname(asked) == nil:
						wild = true
					}
					hit := n == asked || !exact && strings.HasPrefix(n, "*.") && strings.TrimPrefix(n, "*") == asked[strings.IndexByte(asked+".", '.'):]
					ecdsa = ecdsa || pass == 1 && hit && c.key == p256()
				}
			}
		}
		switch {
		case !exact && !wild:
			if chosen != arn(0) {
				r.Fatalf("%s: %s instead of the default", asked, chosen)
			}
		case cert.Leaf.VerifyHostname(asked) != nil:
			r.Fatalf("%s: shown a certificate for %v", asked, cert.Leaf.DNSNames)
		case exact && !contains(cert.Leaf.DNSNames, asked):
			r.Fatalf("%s: a wildcard before an exact name: %v", asked, cert.Leaf.DNSNames)
		case ecdsa != (cert.Leaf.PublicKeyAlgorithm == x509.ECDSA):
			r.Fatalf("%s: %v, though ECDSA is %t", asked, cert.Leaf.PublicKeyAlgorithm, ecdsa)
		}
	})
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// TestChoosingAllocatesNothing: neither for an exact name nor for a wildcard nor
// for the default.
func TestChoosingAllocatesNothing(t *testing.T) {
	s := stock(t,
		spec{names: []string{"default.example.com"}, key: p256()},
		spec{names: []string{"chat.example.com"}, key: p256()},
		spec{names: []string{"*.example.org"}, key: p256()},
	)
	ring := compile(t, keyring.New(keyring.Config{}), s)
	for _, name := range []string{"chat.example.com", "any.example.org", "elsewhere.example.net", ""} {
		h := hello(name)
		if n := testing.AllocsPerRun(100, func() { ring.Choose(h, noon) }); n != 0 {
			t.Errorf("%q: %v allocations", name, n)
		}
	}
}

// TestOneChangeParsesOneCertificate counts by identity: what did not change is
// the same parsed certificate as before.
func TestOneChangeParsesOneCertificate(t *testing.T) {
	var specs []spec
	for i := range 50 {
		specs = append(specs, spec{names: []string{fmt.Sprintf("n%d.example.com", i)}, key: p256()})
	}
	s := stock(t, specs...)
	k := keyring.New(keyring.Config{})
	before := compile(t, k, s)

	d := albion.NewDraft(s.state)
	put(t, d, spec{names: []string{"n7.example.com"}, key: p256(), arn: arn(7)})
	for _, i := range []int{20, 21} { // read from disk again: other pointers, the same contents
		c, _ := d.Certificates.Get(string(arn(i)))
		again := *c
		albion.Put(d, &again)
	}
	s.state = &d.State
	after := compile(t, k, s)
	for i := range specs {
		h := hello(fmt.Sprintf("n%d.example.com", i))
		was, _ := before.Choose(h, noon)
		is, _ := after.Choose(h, noon)
		if (was == is) != (i != 7) {
			t.Errorf("certificate %d: the same is %t", i, was == is)
		}
	}
}

func many(b *testing.B) (shelf, *keyring.Keyring) {
	b.Helper()
	var specs []spec
	for i := range 10_000 {
		specs = append(specs, spec{names: []string{fmt.Sprintf("n%d.example.com", i)}, key: p256()})
	}
	return stock(b, specs...), keyring.New(keyring.Config{})
}

func BenchmarkCompile10000Cold(b *testing.B) {
	s, _ := many(b)
	for b.Loop() {
		compile(b, keyring.New(keyring.Config{}), s)
	}
}

func BenchmarkCompile10000AfterOneChange(b *testing.B) {
	s, k := many(b)
	compile(b, k, s)
	for b.Loop() {
		b.StopTimer()
		d := albion.NewDraft(s.state)
		put(b, d, spec{names: []string{"n7.example.com"}, key: p256(), arn: arn(7)})
		s.state = &d.State
		b.StartTimer()
		compile(b, k, s)
	}
}

func BenchmarkChooseAmong10000(b *testing.B) {
	s, k := many(b)
	ring := compile(b, k, s)
	h := hello("n4711.example.com")
	b.ReportAllocs()
	for b.Loop() {
		ring.Choose(h, noon)
	}
}
