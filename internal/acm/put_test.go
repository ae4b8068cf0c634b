package acm_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

func draft(from ...*albion.State) *albion.Draft {
	if len(from) == 0 {
		return albion.NewDraft(&albion.State{})
	}
	return albion.NewDraft(from[0])
}

func TestPutKeepsACertificateWithItsKey(t *testing.T) {
	w := newWeb(t, ec256())
	d := draft()
	cert := must(acm.Put(d, acm.Import{Name: "chat", Bundle: bundle(t, w.leaf, w.mid, w.upper), Origin: albion.OriginFile, Now: noon, ID: [16]byte{1}}))(t)
	valid(t, d)
	kept, ok := d.Certificates.Get(string(albion.CertificateARN([16]byte{1})))
	if !ok || kept != cert {
		t.Fatal("it is not in the State")
	}
	if cert.Chain != w.leaf.pem()+w.mid.pem()+w.upper.pem() {
		t.Error("another chain")
	}
	digits := fmt.Sprintf("%x", w.leaf.cert.SerialNumber)
	if plain := strings.ReplaceAll(cert.Serial, ":", ""); strings.TrimLeft(plain, "0") != digits || len(plain)%2 != 0 {
		t.Errorf("serial %s, want %s", cert.Serial, digits)
	}
	cert.Chain, cert.Serial = "", ""
	want := albion.Certificate{
		ARN: albion.CertificateARN([16]byte{1}), Name: "chat", Domains: []string{"chat.example.com", "www.example.com"},
		KeyAlgorithm: "EC_prime256v1", NotBefore: w.leaf.cert.NotBefore, NotAfter: w.leaf.cert.NotAfter,
		Issuer: albion.Imported, Created: noon, Imported: noon, Origin: albion.OriginFile,
	}
	if fmt.Sprintf("%+v", *cert) != fmt.Sprintf("%+v", want) {
		t.Errorf("kept\n%+v\nwant\n%+v", *cert, want)
	}
	key, ok := d.Keys.Get(string(cert.ARN))
	if !ok {
		t.Fatal("there is no key")
	}
	parsed := must(x509.ParsePKCS8PrivateKey(key.Secret))(t)
	if k, ok := parsed.(*ecdsa.PrivateKey); !ok || !k.Equal(w.leaf.key) {
		t.Error("another key")
	}
}

func TestKeyAlgorithmsAreACMs(t *testing.T) {
	for want, m := range map[string]made{
		"RSA_2048":      issue(t, nil, rsa2048(), server("a.example.com")),
		"EC_prime256v1": issue(t, nil, ec256(), server("a.example.com")),
		"EC_secp384r1":  issue(t, nil, ec384(), server("a.example.com")),
		"EC_secp521r1":  issue(t, nil, ec521(), server("a.example.com")),
	} {
		if c := must(acm.Put(draft(), acm.Import{Bundle: bundle(t, m)}))(t); c.KeyAlgorithm != want || c.Name != "a.example.com" {
			t.Errorf("%s is called %s, and its name is %s", want, c.KeyAlgorithm, c.Name)
		}
	}
}

func TestPutOntoANameReplacesInPlace(t *testing.T) {
	w := newWeb(t, ec256())
	first := draft()
	old := must(acm.Put(first, acm.Import{Name: "chat", Bundle: bundle(t, w.leaf, w.mid), Origin: albion.OriginFile, Now: noon, ID: [16]byte{1}}))(t)
	renewed := issue(t, &w.mid, rsa2048(), server("chat.example.com"))
	for by, name := range map[string]string{"its name": "chat", "its ARN": string(old.ARN)} {
		d := draft(&first.State)
		cert := must(acm.Put(d, acm.Import{Name: name, Bundle: bundle(t, renewed, w.mid), Now: noon.Add(time.Hour), ID: [16]byte{2}}))(t)
		valid(t, d)
		switch {
		case cert.ARN != old.ARN || cert.Name != "chat" || !cert.Created.Equal(noon) || cert.Origin != albion.OriginFile:
			t.Errorf("by %s: it became another: %+v", by, cert)
		case !cert.Imported.Equal(noon.Add(time.Hour)) || cert.KeyAlgorithm != "RSA_2048" || cert.Chain == old.Chain:
			t.Errorf("by %s: the contents stayed: %+v", by, cert)
		case d.Certificates.Len() != 1 || d.Keys.Len() != 1:
			t.Errorf("by %s: %d certificates, %d keys", by, d.Certificates.Len(), d.Keys.Len())
		}
		if before, _ := first.Certificates.Get(string(old.ARN)); before.KeyAlgorithm != "EC_prime256v1" {
			t.Error("the State before was written")
		}
	}
}

func TestPutTwiceChangesNothing(t *testing.T) {
	w := newWeb(t, ec256())
	first := draft()
	in := acm.Import{Name: "chat", Bundle: bundle(t, w.leaf, w.mid), Now: noon, ID: [16]byte{1}}
	must(acm.Put(first, in))(t)
	in.Now, in.ID, in.Bundle = noon.Add(time.Hour), [16]byte{2}, must(acm.Read(noon, source("x", w.mid.pem(), traditional(t, ec256()), w.leaf.pem())))(t)
	again := draft(&first.State)
	must(acm.Put(again, in))(t)
	if changes := again.Changes(); len(changes) != 0 {
		t.Errorf("changes %v", changes)
	}
	in.Origin = albion.OriginFile
	if cert := must(acm.Put(again, in))(t); cert.Origin != albion.OriginFile || len(again.Changes()) != 1 || !cert.Imported.Equal(noon) {
		t.Errorf("a file that declares what is there: %+v, %v", cert, again.Changes())
	}
}

func TestPutRefusesNames(t *testing.T) {
	w := newWeb(t, ec256())
	for _, name := range []string{"a/b", "..", ".a", "é", "a\xff", "a b", "a\nb", `a\b`, strings.Repeat("a", 256)} {
		d := draft()
		_, err := acm.Put(d, acm.Import{Name: name, Bundle: bundle(t, w.leaf)})
		if albion.CodeOf(err) != albion.CodeInvalidParameter || len(d.Changes()) != 0 {
			t.Errorf("%q: %v", name, err)
		}
	}
	_, err := acm.Put(draft(), acm.Import{Name: "arn:aws:acm:local:0:certificate/x", Bundle: bundle(t, w.leaf)})
	if albion.CodeOf(err) != albion.CodeResourceNotFound {
		t.Errorf("an unknown ARN: %v", err)
	}
	d := draft()
	must(acm.Put(d, acm.Import{Name: "a", Bundle: bundle(t, w.leaf)}))(t)
	if _, err := acm.Put(d, acm.Import{Name: "b", Bundle: bundle(t, w.leaf)}); err == nil {
		t.Error("two certificates with one ARN")
	}
}

func TestExportGivesBackWhatWasImported(t *testing.T) {
	w := newWeb(t, rsa2048())
	d := draft()
	must(acm.Put(d, acm.Import{Name: "chat", Bundle: bundle(t, w.leaf, w.upper, w.mid, w.root), Now: noon}))(t)
	files := must(acm.Export(&d.State, "chat"))(t)
	for name, c := range map[string]struct{ got, want string }{
		"cert":      {string(files.Cert), w.leaf.pem()},
		"chain":     {string(files.Chain), w.mid.pem() + w.upper.pem()},
		"fullchain": {string(files.Fullchain), w.leaf.pem() + w.mid.pem() + w.upper.pem()},
		"privkey":   {string(files.Privkey), pkcs8(t, w.leaf.key)},
	} {
		if c.got != c.want {
			t.Errorf("%s.pem differs", name)
		}
	}
	_, err := acm.Export(&d.State, "other")
	refused(t, err, `there is no certificate "other"`)
	if albion.CodeOf(err) != albion.CodeResourceNotFound {
		t.Errorf("code %s", albion.CodeOf(err))
	}
}

func TestExportOfALocalCertificateCanBeImported(t *testing.T) {
	d := draft()
	cert, _ := local(t, d, "chat", noon, "chat.example.com", "192.0.2.1")
	files := must(acm.Export(&d.State, string(cert.ARN)))(t)
	if authority, _ := acm.Authority(&d.State); string(files.Chain) != authority {
		t.Error("the chain is not the authority")
	}
	b := must(acm.Read(noon, acm.Source{Name: "fullchain.pem", PEM: files.Fullchain}, acm.Source{Name: "privkey.pem", PEM: files.Privkey}))(t)
	if !slices.Equal(b.Domains, cert.Domains) || len(b.Chain) != 1 || len(b.Warnings) != 0 {
		t.Errorf("%q, %d certificates, %q", b.Domains, len(b.Chain), b.Warnings)
	}
}

func TestStatus(t *testing.T) {
	imported := albion.Certificate{NotBefore: noon, NotAfter: noon.AddDate(0, 0, 90), Issuer: albion.Imported}
	short := albion.Certificate{NotBefore: noon, NotAfter: noon.AddDate(0, 0, 6), Issuer: albion.Imported}
	own := imported
	own.Issuer = albion.Local
	day := func(n int) time.Time { return noon.AddDate(0, 0, n) }
	for _, c := range []struct {
		cert         albion.Certificate
		now          time.Time
		used         bool
		word, reason string
	}{
		{imported, day(1), true, "ok", "valid for 89 days"},
		{imported, day(1), false, "unused", "no listener shows it"},
		{imported, day(-1), true, "not yet valid", "is not valid before 2026-06-01 12:00 UTC"},
		{imported, day(78), true, "expiring", "expires in 12 days, on 2026-08-30 12:00 UTC"},
		{imported, day(78), false, "expiring", "expires in 12 days, on 2026-08-30 12:00 UTC"},
		{imported, day(89), true, "expiring", "expires in 24 hours, on 2026-08-30 12:00 UTC"},
		{imported, day(91), false, "expired", "expired on 2026-08-30 12:00 UTC"},
		{short, day(3), true, "ok", "valid for 3 days"},
		{short, day(5), true, "expiring", "expires in 24 hours, on 2026-06-07 12:00 UTC"},
		{own, day(60).Add(time.Minute), true, "ok", "is being renewed"},
		{own, day(61), true, "expiring", "expires in 29 days, on 2026-08-30 12:00 UTC; its renewal has failed so far"},
	} {
		if word, reason := acm.Status(&c.cert, c.now, c.used); word != c.word || reason != c.reason {
			t.Errorf("%v: %s, %s; want %s, %s", c.now, word, reason, c.word, c.reason)
		}
	}
}

// valid holds what a Draft has become against the rules of the model.
func valid(t testing.TB, d *albion.Draft) {
	t.Helper()
	if _, err := d.Finish(); err != nil {
		t.Fatal(err)
	}
}

// local issues a certificate for a test.
func local(t testing.TB, d *albion.Draft, name string, now time.Time, domains ...string) (cert *albion.Certificate, changed bool) {
	t.Helper()
	var id [16]byte
	must(io.ReadFull(rand.Reader, id[:]))(t)
	cert, changed, err := acm.Local(d, acm.LocalRequest{Name: name, Domains: domains, Now: now, Rand: rand.Reader, ID: id})
	if err != nil {
		t.Fatal(err)
	}
	valid(t, d)
	return cert, changed
}

func secretsOf(s *albion.State) (all [][]byte) {
	for key := range s.Keys.All() {
		all = append(all, key.Secret)
	}
	return all
}

// TestNothingSaysASecret renders all that a State holds but the keys.
func TestNothingSaysASecret(t *testing.T) {
	d := draft()
	local(t, d, "chat", noon, "chat.example.com")
	var seen bytes.Buffer
	for key := range d.Keys.All() {
		fmt.Fprintf(&seen, "%v %+v %#v %s", key, *key, *key, key.Secret)
	}
	for c := range d.Certificates.All() {
		fmt.Fprintf(&seen, "%+v", *c)
	}
	for _, secret := range secretsOf(&d.State) {
		if bytes.Contains(seen.Bytes(), secret) || strings.Contains(seen.String(), hex.EncodeToString(secret)) {
			t.Error("a key was rendered")
		}
	}
}
