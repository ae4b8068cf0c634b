package doctor

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// signer is a certificate with its key, of an authority or a server.
type signer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// issue makes a certificate; by nil signs itself.
func issue(t testing.TB, by *signer, template x509.Certificate, key crypto.Signer) *signer {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.BasicConstraintsValid = serial, true
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = now.Add(-24*time.Hour), now.Add(89*24*time.Hour)
	}
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	parent, parentKey := &template, key
	if by != nil {
		parent, parentKey = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{cert, key}
}

func authority(t testing.TB, by *signer, name string) *signer {
	return issue(t, by, x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}, nil)
}

func server(t testing.TB, by *signer, change func(*x509.Certificate)) *signer {
	template := x509.Certificate{DNSNames: []string{"chat.example.com"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if change != nil {
		change(&template)
	}
	return issue(t, by, template, nil)
}

func pool(all ...*signer) *x509.CertPool {
	p := x509.NewCertPool()
	for _, s := range all {
		p.AddCert(s.cert)
	}
	return p
}

// What is advised fits what is wrong: trust mends no wrong name, and no public CA
// issues for names and addresses of a private network.
func TestAdviceForACertificate(t *testing.T) {
	elsewhere := authority(t, nil, "Elsewhere")
	trust, ask, local := "have clients trust the authority", "`albion cert request -d ", "`issuer: local`"
	for _, c := range []struct {
		subject   string
		rightName bool
		want      string
	}{
		{"chat.example.com", false, ask + "chat.example.com "},
		{"chat.example.com", true, ask + "chat.example.com "},
		{"203.0.113.9", false, ask + "203.0.113.9 "},
		{"203.0.113.9", true, ask + "203.0.113.9 "},
		{"2a00::9", false, ask + "2a00::9 "},
		{"10.0.0.1", false, local},
		{"10.0.0.1", true, trust},
		{"wiki.corp", false, local},
		{"wiki.corp", true, trust},
	} {
		subject, err := ParseSubject(c.subject, 80)
		if err != nil {
			t.Fatal(err)
		}
		leaf := server(t, elsewhere, func(x *x509.Certificate) {
			switch {
			case !c.rightName:
				x.DNSNames = []string{"other.example.com"}
			case subject.Addr.IsValid():
				x.IPAddresses = []net.IP{subject.Addr.AsSlice()}
			default:
				x.DNSNames = []string{subject.Name}
			}
		})
		s := usual(t)
		s.subject = subject
		chain := []*x509.Certificate{leaf.cert, elsewhere.cert}
		// A name is judged after trust, so the one that is wrong is of a root that is known.
		roots := pool(elsewhere)
		if c.rightName {
			roots = pool(authority(t, nil, "Another"))
		}
		verdict := verify(chain, subject.Name, now, roots)
		s.tls = []tlsSeen{{addr: netip.AddrPortFrom(here, 443), version: tls.VersionTLS13, chain: chain, verdict: verdict, private: verdict}}
		f := checkCertificate(s)[0]
		code := map[bool]string{true: "untrusted", false: "wrong-name"}[c.rightName]
		if f.Code != code || !strings.Contains(f.Next, c.want) {
			t.Errorf("%s: %s: %s, want %s: %s", c.subject, f.Code, f.Next, code, c.want)
		}
	}
}

func TestCertificate(t *testing.T) {
	root := authority(t, nil, "Good Root")
	between := authority(t, root, "Good Issuer")
	staging := authority(t, nil, "(STAGING) Pretend Pear")
	private := authority(t, nil, "Albion local CA")
	good := server(t, between, nil)
	shown := func(version uint16, chain ...*signer) func(*sight) {
		return func(s *sight) {
			seen := tlsSeen{addr: netip.AddrPortFrom(here, 443), version: version}
			for _, c := range chain {
				seen.chain = append(seen.chain, c.cert)
			}
			seen.verdict = verify(seen.chain, "chat.example.com", now, pool(root))
			seen.private = verify(seen.chain, "chat.example.com", now, pool(root, private))
			s.tls = append(s.tls, seen)
		}
	}
	until := func(from, to time.Time) *signer {
		return server(t, between, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, to })
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak := issue(t, between, x509.Certificate{DNSNames: []string{"chat.example.com"}}, small)
	failed := func(err error) func(*sight) {
		return func(s *sight) { s.tls = []tlsSeen{{addr: netip.AddrPortFrom(here, 443), err: err}} }
	}
	const v13 = tls.VersionTLS13
	judge(t, checkCertificate,
		view{"good", shown(v13, good, between), []string{"ok certificate", "ok tls"}, "valid until 2027-02-19 (89 days), from “Good Issuer”"},
		view{"for another name", shown(v13, server(t, between, func(c *x509.Certificate) { c.DNSNames = []string{"other.example.com"} }), between), []string{"problem wrong-name", "ok tls"}, "is for other.example.com"},
		view{"far from over, of one that lives for years", shown(v13, until(now.Add(-9*365*24*time.Hour), now.Add(365*24*time.Hour)), between), []string{"ok certificate", "ok tls"}, "365 days"},
		view{"over", shown(v13, until(now.Add(-90*24*time.Hour), now.Add(-time.Hour)), between), []string{"problem expired", "ok tls"}, "2026-11-22"},
		view{"not begun", shown(v13, until(now.Add(time.Hour), now.Add(90*24*time.Hour)), between), []string{"problem not-yet-valid", "ok tls"}, ""},
		view{"nearly over", shown(v13, until(now.Add(-80*24*time.Hour), now.Add(10*24*time.Hour)), between), []string{"warning expires-soon", "ok tls"}, "10 days"},
		view{"six days are enough for one that lives six", shown(v13, until(now.Add(-24*time.Hour), now.Add(5*24*time.Hour)), between), []string{"ok certificate", "ok tls"}, ""},
		view{"without its chain", shown(v13, good), []string{"problem incomplete-chain", "ok tls"}, "fullchain.pem"},
		view{"signed by itself", shown(v13, server(t, nil, nil)), []string{"problem self-signed", "ok tls"}, ""},
		view{"of a staging", shown(v13, server(t, staging, nil), staging), []string{"problem staging", "ok tls"}, ""},
		view{"of nobody in particular", shown(v13, server(t, authority(t, nil, "Elsewhere"), nil), authority(t, nil, "Elsewhere")), []string{"problem untrusted", "ok tls"}, "“Elsewhere”"},
		view{"of the local CA", shown(v13, server(t, private, nil)), []string{"note private-ca", "ok certificate", "ok tls"}, "“Albion local CA”"},
		view{"in the wrong order", shown(v13, good, root, between), []string{"ok certificate", "warning chain-order", "ok tls"}, ""},
		view{"with the root", shown(v13, good, between, root), []string{"ok certificate", "note root-shown", "ok tls"}, ""},
		view{"with a small key", shown(v13, weak, between), []string{"ok certificate", "problem weak", "ok tls"}, "1024 bits"},
		view{"over an old version", shown(tls.VersionTLS11, good, between), []string{"ok certificate", "problem old-tls"}, "TLS 1.1"},
		view{"over an old version too", func(s *sight) {
			shown(v13, good, between)(s)
			s.tls[0].old = tls.VersionTLS10
		}, []string{"ok certificate", "note old-tls-accepted"}, "TLS 1.0"},
		view{"the same at two addresses", func(s *sight) {
			shown(v13, good, between)(s)
			shown(v13, good, between)(s)
		}, []string{"ok certificate", "ok tls"}, ""},
		view{"another at the second", func(s *sight) {
			shown(v13, good, between)(s)
			shown(v13, server(t, between, nil), between)(s)
		}, []string{"ok certificate", "ok tls", "note differs", "ok certificate", "ok tls"}, ""},
		view{"plain HTTP on 443", failed(tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}), []string{"problem plain-on-https"}, ""},
		view{"no certificate for the name", failed(&net.OpError{Op: "remote error", Err: errors.New("tls: unrecognized name")}), []string{"problem name-not-served"}, ""},
		view{"no handshake", failed(errors.New("EOF")), []string{"problem no-handshake"}, "EOF"},
		view{"ordered already", func(s *sight) {
			shown(v13, server(t, nil, nil))(s)
			s.known.Certificates = []Shown{{Name: "chat", Domains: []string{"chat.example.com"}, Pending: true}}
		}, []string{"problem self-signed", "ok tls"}, "wait: chat is being ordered"},
		view{"ordered in vain", func(s *sight) {
			shown(v13, server(t, nil, nil))(s)
			s.known.Certificates = []Shown{{Name: "chat", Domains: []string{"chat.example.com"}, Problem: "port 80 is closed"}}
		}, []string{"problem self-signed", "ok tls"}, "port 80 is closed"},
	)
}
