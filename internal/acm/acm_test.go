package acm_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"))
}

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// Keys are slow to make and say nothing about a test, so each is made once.
var (
	ec256   = sync.OnceValue(func() crypto.Signer { return ecKey(elliptic.P256()) })
	ec384   = sync.OnceValue(func() crypto.Signer { return ecKey(elliptic.P384()) })
	ec521   = sync.OnceValue(func() crypto.Signer { return ecKey(elliptic.P521()) })
	ec224   = sync.OnceValue(func() crypto.Signer { return ecKey(elliptic.P224()) })
	rsa2048 = sync.OnceValue(func() crypto.Signer { return rsaKey(2048) })
	rsa1024 = sync.OnceValue(func() crypto.Signer { return rsaKey(1024) })
	rootKey = sync.OnceValue(func() crypto.Signer { return ecKey(elliptic.P256()) })
	midKey  = sync.OnceValue(func() crypto.Signer { return rsaKey(2048) })
	otherEC = sync.OnceValue(func() crypto.Signer { return ecKey(elliptic.P256()) })
	ed      = sync.OnceValue(func() crypto.Signer {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			panic(err)
		}
		return key
	})
)

func ecKey(curve elliptic.Curve) crypto.Signer {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func rsaKey(bits int) crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// made is a certificate with the means to issue others.
type made struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func (m made) pem() string { return certPEM(m.cert) }

func certPEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// change edits a template before it is signed.
type change func(*x509.Certificate)

// issue makes a certificate; without a parent it is self-signed.
func issue(t testing.TB, parent *made, key crypto.Signer, template x509.Certificate, changes ...change) made {
	t.Helper()
	template.SerialNumber = new(big.Int).SetInt64(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = noon.AddDate(0, -1, 0), noon.AddDate(0, 2, 0)
	}
	template.BasicConstraintsValid = true
	for _, c := range changes {
		c(&template)
	}
	by := made{&template, key}
	if parent != nil {
		by = *parent
	}
	der := must(x509.CreateCertificate(rand.Reader, &template, by.cert, key.Public(), by.key))(t)
	return made{must(x509.ParseCertificate(der))(t), key}
}

func ca(name string, changes ...change) x509.Certificate {
	c := x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(9, 0, 0),
	}
	for _, change := range changes {
		change(&c)
	}
	return c
}

func server(names ...string) x509.Certificate {
	return x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// web is a root, two intermediates below each other, and a leaf.
type web struct{ root, upper, mid, leaf made }

func newWeb(t testing.TB, key crypto.Signer) web {
	t.Helper()
	var w web
	w.root = issue(t, nil, rootKey(), ca("Test Root"))
	w.upper = issue(t, &w.root, otherEC(), ca("Test Upper"))
	w.mid = issue(t, &w.upper, midKey(), ca("Test Intermediate"))
	w.leaf = issue(t, &w.mid, key, server("chat.example.com", "www.example.com"))
	return w
}

func pkcs8(t testing.TB, key crypto.Signer) string {
	t.Helper()
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))(t)}))
}

// traditional is PKCS #1 for RSA and SEC 1 for ECDSA.
func traditional(t testing.TB, key crypto.Signer) string {
	t.Helper()
	if k, ok := key.(*rsa.PrivateKey); ok {
		return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}))
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey)))(t)}))
}

func source(name string, parts ...string) acm.Source {
	return acm.Source{Name: name, PEM: []byte(strings.Join(parts, ""))}
}

// same checks the parts of a Bundle that do not depend on the form of the input.
func (w web) same(t testing.TB, b *acm.Bundle) {
	t.Helper()
	if !b.Leaf.Equal(w.leaf.cert) {
		t.Error("another leaf")
	}
	want := []*x509.Certificate{w.leaf.cert, w.mid.cert, w.upper.cert}
	if !slices.EqualFunc(b.Chain, want, (*x509.Certificate).Equal) {
		t.Errorf("a chain of %d certificates", len(b.Chain))
	}
	if k, ok := b.Key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(w.leaf.key.Public()) {
		t.Error("another key")
	}
	if !slices.Equal(b.Domains, []string{"chat.example.com", "www.example.com"}) {
		t.Errorf("domains %q", b.Domains)
	}
}

func bundle(t testing.TB, m made, others ...made) *acm.Bundle {
	t.Helper()
	text := m.pem() + pkcs8(t, m.key)
	for _, o := range others {
		text += o.pem()
	}
	return must(acm.Read(noon, source("all.pem", text)))(t)
}

func withIP(ip string) change {
	return func(c *x509.Certificate) { c.IPAddresses = append(c.IPAddresses, net.ParseIP(ip)) }
}

// refused checks that an error is the user's and says exactly this.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("accepted; want %q", want)
	case err.Error() != want:
		t.Errorf("refused with\n%s\nwant\n%s", err, want)
	case albion.CodeOf(err) == "":
		t.Errorf("%q has no code", err)
	}
}
