package keyring_test

import (
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/keyring"
)

// FuzzCompile: whatever a State holds for a certificate and its key, Compile
// refuses it or makes a Ring that answers.
func FuzzCompile(f *testing.F) {
	s := stock(f, spec{names: []string{"chat.example.com"}, key: p256()}, spec{names: []string{"*.example.com"}, key: rsa2048()})
	for cert := range s.state.Certificates.All() {
		key, _ := s.state.Keys.Get(string(cert.ARN))
		f.Add([]byte(cert.Chain), []byte(key.Secret))
		f.Add([]byte(cert.Chain+"\n-----BEGIN X-----\n-----END X-----\n"), []byte(key.Secret[:20]))
	}
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), []byte{0x30})
	f.Fuzz(func(t *testing.T, chain, secret []byte) {
		d := albion.NewDraft(&albion.State{})
		albion.Put(d, &albion.Certificate{ARN: arn(0), Chain: string(chain)})
		albion.Put(d, &albion.Key{Name: string(arn(0)), Secret: secret})
		ring, err := keyring.New(keyring.Config{}).Compile(&d.State, &albion.Listener{Certificates: []albion.ARN{arn(0)}})
		if err != nil {
			return
		}
		cert, chosen := ring.Choose(hello("chat.example.com"), noon)
		if chosen != arn(0) {
			t.Fatal("chose", chosen)
		}
		if leaf, err := x509.ParseCertificate(cert.Certificate[0]); err != nil || !leaf.Equal(cert.Leaf) {
			t.Fatal("another leaf", err)
		}
		if b, _ := pem.Decode(chain); b == nil {
			t.Fatal("a certificate out of nothing")
		}
	})
}

// FuzzChoose: any server name gets an answer, the default unless a certificate
// is valid for it.
func FuzzChoose(f *testing.F) {
	s := stock(f,
		spec{names: []string{"default.example.net"}, key: p256()},
		spec{names: []string{"chat.example.com", "*.example.com"}, key: p256()},
		spec{names: []string{"chat.example.com", "*.chat.example.com"}, key: rsa2048()},
	)
	ring := compile(f, keyring.New(keyring.Config{}), s)
	for _, name := range []string{"", ".", "chat.example.com", "CHAT.example.com.", "a.example.com", "*.example.com", "a.b.example.com", ".example.com", "bücher.example.com", "\x00", "192.0.2.1"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		cert, chosen := ring.Choose(hello(name), noon)
		if chosen != arn(0) && cert.Leaf.VerifyHostname(name) != nil && plausible(name) {
			t.Fatalf("%q: %s", name, chosen)
		}
		for i := range 3 {
			if chosen == arn(0) && i > 0 && plausible(name) && parseLeaf(t, s, i).VerifyHostname(name) == nil {
				t.Fatalf("%q: the default, though %d is valid", name, i)
			}
		}
	})
}

// plausible leaves out what no client can ask for: crypto/tls refuses such
// names before it asks us.
func plausible(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return name != "" && name[0] != '.' && name[len(name)-1] != '.'
}
