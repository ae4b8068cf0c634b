package acm_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"slices"
	"testing"

	"github.com/albion-lb/albion/internal/acm"
)

// TestChainChoosesAmongIssuers has several certificates of one name and key, as
// cross-signing and renewal make them; the order of the files does not count.
func TestChainChoosesAmongIssuers(t *testing.T) {
	w := newWeb(t, ec256())
	key := midKey()
	again := func(parent *made, years int) made {
		return issue(t, parent, key, ca("Test Intermediate", func(c *x509.Certificate) { c.NotAfter = noon.AddDate(years, 0, 0) }))
	}
	crossed, longer, over, root := again(&w.root, 1), again(&w.root, 2), again(&w.root, -1), again(nil, 5)
	twin := again(&w.root, 2)
	least := longer
	if slices.Compare(twin.cert.Raw, longer.cert.Raw) < 0 {
		least = twin
	}
	for _, c := range []struct {
		says    string
		issuers []made
		want    []made
	}{
		{"the one that lasts longest", []made{crossed, longer}, []made{longer}},
		{"a valid one before an expired one", []made{over, crossed}, []made{crossed}},
		{"an expired one when there is no other", []made{over}, []made{over}},
		{"a cross-signed one before the root of that name", []made{root, crossed}, []made{crossed}},
		{"the valid root before an expired cross-signed one", []made{root, over}, nil},
		{"always the same of two that are alike", []made{longer, twin}, []made{least}},
	} {
		want := []*x509.Certificate{w.leaf.cert}
		for _, m := range c.want {
			want = append(want, m.cert)
		}
		for range 2 {
			if got := bundle(t, w.leaf, c.issuers...).Chain; !slices.EqualFunc(got, want, (*x509.Certificate).Equal) {
				t.Errorf("%s: a chain of %d", c.says, len(got))
			}
			slices.Reverse(c.issuers)
		}
	}
}

// TestChainOfManyIsBounded has a chain longer than any real one, and issuers
// that sign each other.
func TestChainOfManyIsBounded(t *testing.T) {
	w := newWeb(t, ec256())
	top := w.root
	parts := []made{}
	for i := range 15 {
		top = issue(t, &top, midKey(), ca("Level "+string(rune('A'+i))))
		parts = append(parts, top)
	}
	leaf := issue(t, &top, ec256(), server("deep.example.com"))
	if got := len(bundle(t, leaf, parts...).Chain); got != 10 {
		t.Errorf("a chain of %d", got)
	}

	a := issue(t, nil, midKey(), ca("A"))
	b := issue(t, nil, otherEC(), ca("B"))
	ab, ba := issue(t, &b, midKey(), ca("A")), issue(t, &a, otherEC(), ca("B"))
	round := issue(t, &ab, ec256(), server("round.example.com"))
	if got := len(bundle(t, round, ab, ba).Chain); got != 3 {
		t.Errorf("round and round: %d", got)
	}
}

// mersenne is an RSA key of 8676 bits that takes no time to make.
func mersenne(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	one := big.NewInt(1)
	prime := func(bits uint) *big.Int { return new(big.Int).Sub(new(big.Int).Lsh(one, bits), one) }
	p, q := prime(4423), prime(4253)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, Primes: []*big.Int{p, q}}
	key.D = new(big.Int).ModInverse(big.NewInt(65537), phi)
	if key.D == nil {
		t.Fatal("no such key")
	}
	return key
}

func TestReadRefusesKeysThatAreTooLong(t *testing.T) {
	w := newWeb(t, ec256())
	var key crypto.Signer = mersenne(t)
	_, err := acm.Read(noon, source("fullchain.pem", w.leaf.pem()), source("privkey.pem", traditional(t, key)))
	refused(t, err, "privkey.pem: an RSA key of 8676 bits is too long for browsers: use RSA 2048 or ECDSA P-256")

	long := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 16384, 1), E: 65537}
	template := server("long.example.com")
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), noon, noon.AddDate(0, 1, 0)
	cert := must(x509.ParseCertificate(must(x509.CreateCertificate(nil, &template, w.mid.cert, long, w.mid.key))(t)))(t)
	_, err = acm.Read(noon, source("all.pem", certPEM(cert), w.leaf.pem(), pkcs8(t, ec256())))
	refused(t, err, "all.pem: the certificate on line 1 has a key that is too long for browsers")
}
