package acm_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"pgregory.net/rapid"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

// forms are ways in which people have the same four blocks.
func forms(w web, key string) map[string][]acm.Source {
	chain := w.mid.pem() + w.upper.pem()
	all := w.leaf.pem() + chain + key
	return map[string][]acm.Source{
		"fullchain and key":     {source("fullchain.pem", w.leaf.pem(), chain), source("privkey.pem", key)},
		"certbot's four":        {source("cert.pem", w.leaf.pem()), source("chain.pem", chain), source("fullchain.pem", w.leaf.pem(), chain), source("privkey.pem", key)},
		"split":                 {source("cert.pem", w.leaf.pem()), source("chain.pem", chain), source("privkey.pem", key)},
		"combined":              {source("all.pem", all)},
		"key first":             {source("all.pem", key, w.leaf.pem(), chain)},
		"upside down":           {source("all.pem", w.upper.pem(), w.mid.pem(), key, w.leaf.pem())},
		"with the root":         {source("all.pem", all, w.root.pem())},
		"root first":            {source("root.pem", w.root.pem()), source("all.pem", all)},
		"everything twice":      {source("all.pem", all, all)},
		"CRLF":                  {source("all.pem", strings.ReplaceAll(all, "\n", "\r\n"))},
		"CR":                    {source("all.pem", strings.ReplaceAll(all, "\n", "\r"))},
		"byte order mark":       {source("all.pem", "\ufeff", all)},
		"UTF-16, little-endian": {{Name: "all.pem", PEM: wide(all, false)}},
		"UTF-16, big-endian":    {{Name: "all.pem", PEM: wide(all, true)}},
		"indented":              {source("all.yaml", "key: |\n  ", strings.ReplaceAll(all, "\n", "\n  \t"))},
		"no last line end":      {source("all.pem", strings.TrimSpace(w.leaf.pem()), strings.TrimSpace(chain), strings.TrimSpace(key))},
		"line ends spelt out":   {source("secret", strings.ReplaceAll(all, "\n", `\n`))},
		"text around":           {source("all.pem", "subject=CN = chat\n\n", w.leaf.pem(), "issuer: -----BEGIN nothing\n", chain, "Key:\n", key, "bye")},
		"EC parameters":         {source("all.pem", "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n", all)},
	}
}

func wide(s string, bigEndian bool) []byte {
	out := []byte("\xff\xfe")
	if bigEndian {
		out = []byte("\xfe\xff")
	}
	for _, u := range utf16.Encode([]rune(s)) {
		if bigEndian {
			out = append(out, byte(u>>8), byte(u))
		} else {
			out = append(out, byte(u), byte(u>>8))
		}
	}
	return out
}

func TestReadTakesEveryForm(t *testing.T) {
	for kind, key := range map[string]crypto.Signer{"RSA": rsa2048(), "P-256": ec256(), "P-384": ec384(), "P-521": ec521()} {
		w := newWeb(t, key)
		encodings := map[string]string{
			"traditional":           traditional(t, key),
			"PKCS #8":               pkcs8(t, key),
			"PKCS #8, wrong label":  strings.ReplaceAll(pkcs8(t, key), " PRIVATE", " RSA PRIVATE"),
			"traditional, no label": strings.NewReplacer("RSA PRIVATE", "PRIVATE", "EC PRIVATE", "PRIVATE").Replace(traditional(t, key)),
		}
		for encoding, text := range encodings {
			for form, sources := range forms(w, text) {
				t.Run(kind+"/"+encoding+"/"+form, func(t *testing.T) {
					w.same(t, must(acm.Read(noon, sources...))(t))
				})
			}
		}
	}
}

// TestReadDoesNotDependOnTheOrder spreads the blocks over files at random, in
// any order, with repetitions and text between.
func TestReadDoesNotDependOnTheOrder(t *testing.T) {
	w := newWeb(t, ec256())
	// Another intermediate of the same name and key, as after a cross-signing,
	// and one of the same name that did not sign the leaf.
	cross := issue(t, &w.root, midKey(), ca("Test Intermediate", func(c *x509.Certificate) { c.NotAfter = noon.AddDate(2, 0, 0) }))
	impostor := issue(t, &w.upper, otherEC(), ca("Test Intermediate"))
	needed := []string{w.leaf.pem(), w.mid.pem(), w.upper.pem(), pkcs8(t, w.leaf.key)}
	optional := append([]string{w.root.pem(), cross.pem(), impostor.pem(), traditional(t, w.leaf.key), "some words\n"}, needed...)
	rapid.Check(t, func(r *rapid.T) {
		parts := append(rapid.SliceOfN(rapid.SampledFrom(optional), 0, 6).Draw(r, "more"), needed...)
		parts = rapid.Permutation(parts).Draw(r, "order")
		var sources []acm.Source
		for i, part := range parts {
			if len(sources) == 0 || rapid.Bool().Draw(r, "next file") && strings.Contains(part, "BEGIN") {
				sources = append(sources, source("file"+strconv.Itoa(i)))
			}
			last := &sources[len(sources)-1]
			last.PEM = append(last.PEM, part...)
		}
		if !bytes.Contains(sources[0].PEM, []byte("BEGIN")) {
			sources[0].PEM = append(sources[0].PEM, needed[0]...)
		}
		b, err := acm.Read(noon, sources...)
		if err != nil {
			r.Fatal(err)
		}
		w.same(t, b)
	})
}

func TestReadSaysWhatItFound(t *testing.T) {
	w := newWeb(t, ec256())
	stranger := issue(t, nil, ec384(), ca("Stranger"))
	for _, c := range []struct {
		sources []acm.Source
		want    []string
	}{
		{forms(w, pkcs8(t, ec256()))["fullchain and key"], []string{
			"fullchain.pem: leaf chat.example.com and 2 intermediates",
			"privkey.pem: ECDSA P-256 key",
		}},
		{forms(w, pkcs8(t, ec256()))["upside down"], []string{
			"all.pem: leaf chat.example.com, 2 intermediates and ECDSA P-256 key",
			"the chain was put in order",
		}},
		{[]acm.Source{source("", w.leaf.pem(), w.mid.pem(), w.upper.pem(), w.root.pem()), source("", pkcs8(t, ec256()), stranger.pem())}, []string{
			"input 1: leaf chat.example.com, 2 intermediates and 1 root",
			"input 2: 1 root and ECDSA P-256 key",
			`left out the root "Test Root": clients have their own`,
			"left out 1 certificate that does not belong to the chain",
		}},
		{forms(w, pkcs8(t, ec256()))["EC parameters"], []string{
			"all.pem: leaf chat.example.com, 2 intermediates, ECDSA P-256 key and not needed: ec parameters",
		}},
	} {
		if got := must(acm.Read(noon, c.sources...))(t).Found; !slices.Equal(got, c.want) {
			t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestReadWarns(t *testing.T) {
	w := newWeb(t, ec256())
	stale := issue(t, &w.root, midKey(), ca("Test Stale", func(c *x509.Certificate) { c.NotAfter = noon.AddDate(0, 0, -1) }))
	for _, c := range []struct {
		says string
		got  *acm.Bundle
		want []string
	}{
		{"nothing about a good one", bundle(t, w.leaf, w.mid, w.upper), nil},
		{"nothing about a root that signed the leaf itself", bundle(t, issue(t, &w.root, ec256(), server("a.example.com")), w.root), nil},
		{"incomplete", bundle(t, w.leaf), []string{
			`the chain may be incomplete: the certificate of the issuer "Test Intermediate" is not there, and clients that do not know it will refuse: add chain.pem`,
		}},
		{"self-signed", bundle(t, issue(t, nil, ec256(), server("a.example.com"))), []string{
			"the certificate is self-signed: browsers refuse it until each of them is told to trust it",
		}},
		{"self-signed by an authority", bundle(t, issue(t, nil, ec256(), ca("My Server", func(c *x509.Certificate) { c.DNSNames = []string{"chat.example.com"} }))), []string{
			"the certificate is self-signed and a CA's: Firefox refuses it, and other browsers do until each of them is told to trust it: make one with basicConstraints=CA:FALSE",
			"the certificate is valid for more than 825 days: Apple's systems refuse it",
		}},
		{"soon over", bundle(t, issue(t, &w.mid, ec256(), server("a.example.com"), func(c *x509.Certificate) { c.NotAfter = noon.AddDate(0, 0, 12) }), w.mid), []string{
			"the certificate expires in 12 days, on 2026-06-13 12:00 UTC",
		}},
		{"too long", bundle(t, issue(t, &w.mid, ec256(), server("a.example.com"), func(c *x509.Certificate) { c.NotAfter = noon.AddDate(3, 0, 0) }), w.mid), []string{
			"the certificate is valid for more than 825 days: Apple's systems refuse it",
		}},
		{"stale intermediate", bundle(t, issue(t, &stale, ec256(), server("a.example.com")), stale), []string{
			`the intermediate "Test Stale" expired on 2026-05-31 12:00 UTC: get the current chain from the issuer`,
		}},
		{"bad names", bundle(t, issue(t, &w.mid, ec256(), server("a.example.com", "no spaces.example.com")), w.mid), []string{
			"the name no spaces.example.com is not one that a browser can ask for",
		}},
	} {
		if !slices.Equal(c.got.Warnings, c.want) {
			t.Errorf("%s: %q", c.says, c.got.Warnings)
		}
	}
}

func TestDomainsAreNamesThenAddresses(t *testing.T) {
	w := newWeb(t, ec256())
	leaf := issue(t, &w.mid, ec256(), server("Chat.Example.COM", "*.example.com", "chat.example.com"), withIP("192.0.2.1"), withIP("2001:db8::1"))
	want := []string{"chat.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"}
	if got := bundle(t, leaf, w.mid).Domains; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// weaken writes another signature algorithm into a certificate. Nothing checks
// the signature of a leaf before its algorithm.
func weaken(t *testing.T, m made, from, to asn1.ObjectIdentifier) made {
	t.Helper()
	old, fresh := must(asn1.Marshal(from))(t), must(asn1.Marshal(to))(t)
	if len(old) != len(fresh) {
		t.Fatal("lengths differ")
	}
	der := bytes.ReplaceAll(m.cert.Raw, old, fresh)
	return made{must(x509.ParseCertificate(der))(t), m.key}
}

func TestReadRefusesWhatBrowsersRefuse(t *testing.T) {
	w := newWeb(t, ec256())
	sign := func(key crypto.Signer, changes ...change) made {
		return issue(t, &w.mid, key, server("chat.example.com"), changes...)
	}
	one := func(m made) []acm.Source {
		return []acm.Source{source("cert.pem", m.pem()), source("privkey.pem", pkcs8(t, m.key))}
	}
	rsaPrefix := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1}
	sha256RSA, sha1RSA, md5RSA := append(rsaPrefix, 11), append(slices.Clone(rsaPrefix), 5), append(slices.Clone(rsaPrefix), 4)
	own := issue(t, &w.root, ec256(), ca("My Server", func(c *x509.Certificate) { c.DNSNames = []string{"chat.example.com"} }))
	for _, c := range []struct {
		says    string
		sources []acm.Source
		want    string
	}{
		{"nothing", nil, "there is no certificate in the input: add the certificate file (fullchain.pem)"},
		{"no certificate", []acm.Source{source("privkey.pem", pkcs8(t, ec256()))}, "there is no certificate in privkey.pem: add the certificate file (fullchain.pem)"},
		{"no key", []acm.Source{source("cert.pem", w.leaf.pem()), source("chain.pem", w.mid.pem())}, "there is no private key in cert.pem and chain.pem: add the key file (privkey.pem)"},
		{"several keys", []acm.Source{source("cert.pem", w.leaf.pem()), source("a.key", pkcs8(t, ec256())), source("b.key", pkcs8(t, ec384()))},
			"there are 2 different private keys (in a.key and b.key): give only the one that belongs to the certificate"},
		{"the wrong key", []acm.Source{source("fullchain.pem", w.leaf.pem(), w.mid.pem()), source("privkey.pem", pkcs8(t, ec384()))},
			"the private key in privkey.pem does not belong to the certificate for chat.example.com in fullchain.pem: give the key with which this certificate was requested"},
		{"the CA's key", []acm.Source{source("fullchain.pem", w.leaf.pem(), w.mid.pem()), source("ca.key", pkcs8(t, midKey()))},
			`the private key in ca.key does not belong to the certificate for chat.example.com in fullchain.pem but to "Test Intermediate": give the key with which this certificate was requested`},
		{"only the chain", []acm.Source{source("chain.pem", w.mid.pem()), source("privkey.pem", pkcs8(t, ec256()))},
			"there are only CA certificates in chain.pem and privkey.pem: add the certificate of the server itself (cert.pem or fullchain.pem)"},
		{"a CA's certificate", one(own),
			`the certificate "My Server" in cert.pem is a CA's, which browsers refuse from a server: make one with basicConstraints=CA:FALSE, or let the balancer's own authority issue one`},
		{"two leaves", []acm.Source{source("a.pem", w.leaf.pem()), source("b.pem", issue(t, &w.mid, ec384(), server("b.example.com")).pem()), source("k.pem", pkcs8(t, ec256()))},
			"there are 2 different certificates that are not a CA's (chat.example.com and b.example.com, in a.pem and b.pem): give one of them, with its chain and key"},
		{"expired", one(sign(ec256(), func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Second) })),
			"the certificate for chat.example.com in cert.pem expired on 2026-06-01 11:59 UTC: renew it and import the new one"},
		{"not yet valid", one(sign(ec256(), func(c *x509.Certificate) { c.NotBefore = noon.Add(time.Hour) })),
			"the certificate for chat.example.com in cert.pem is not valid before 2026-06-01 13:00 UTC: check this machine's clock, or wait"},
		{"an Ed25519 key", one(sign(ed())), "privkey.pem: browsers do not accept Ed25519 keys: use RSA 2048 or ECDSA P-256"},
		{"an Ed25519 certificate", []acm.Source{source("cert.pem", sign(ed()).pem()), source("privkey.pem", pkcs8(t, ec256()))},
			"the private key in privkey.pem does not belong to the certificate for chat.example.com in cert.pem: give the key with which this certificate was requested"},
		{"a short RSA key", one(sign(rsa1024())), "privkey.pem: an RSA key of 1024 bits is too short for browsers: use RSA 2048 or ECDSA P-256"},
		{"a short curve", one(sign(ec224())), "privkey.pem: browsers do not accept ECDSA keys on this curve: use RSA 2048 or ECDSA P-256"},
		{"SHA-1", one(weaken(t, sign(ec256()), sha256RSA, sha1RSA)),
			"the certificate for chat.example.com in cert.pem is signed with SHA1-RSA, which browsers do not accept: have it issued again with SHA-256"},
		{"MD5", one(weaken(t, sign(ec256()), sha256RSA, md5RSA)),
			"the certificate for chat.example.com in cert.pem is signed with MD5-RSA, which browsers do not accept: have it issued again with SHA-256"},
		{"no names", one(sign(ec256(), func(c *x509.Certificate) { c.DNSNames = nil })),
			`the certificate "chat.example.com" in cert.pem names no DNS name and no IP address, and browsers ignore its common name: have it issued again with a subjectAltName`},
		{"for clients only", one(sign(ec256(), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })),
			"the certificate for chat.example.com in cert.pem is not meant for servers: have it issued again with extendedKeyUsage=serverAuth"},
		{"empty", []acm.Source{source("cert.pem", " \n")}, "cert.pem is empty"},
		{"DER", []acm.Source{{Name: "cert.der", PEM: w.leaf.cert.Raw}},
			"cert.der is binary, not PEM: convert it (openssl x509 -inform der -in FILE for a certificate, openssl pkcs12 -nodes -in FILE for a .pfx or .p12)"},
		{"something else", []acm.Source{source("notes.txt", "hello")}, `notes.txt holds nothing in PEM form: a line such as "-----BEGIN CERTIFICATE-----" is missing`},
		{"cut off", []acm.Source{source("cert.pem", "\n", w.leaf.pem()[:300])}, "cert.pem: the PEM block that begins on line 2 is damaged or cut off: copy the file again"},
		{"cut off in the middle", []acm.Source{source("cert.pem", w.leaf.pem()[:300], "\n", w.mid.pem())}, "cert.pem: the PEM block that begins on line 1 is damaged or cut off: copy the file again"},
		{"not base64", []acm.Source{source("cert.pem", strings.Replace(w.leaf.pem(), "M", "?", 1))}, "cert.pem: the PEM block that begins on line 1 is damaged or cut off: copy the file again"},
		{"not a certificate", []acm.Source{source("cert.pem", "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n")},
			"cert.pem: the certificate on line 1 cannot be read: x509: malformed certificate"},
		{"not a key", []acm.Source{source("privkey.pem", "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n")},
			"privkey.pem: the private key on line 1 cannot be read: it is damaged or of a kind that browsers do not accept"},
		{"a huge key", []acm.Source{source("privkey.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: make([]byte, 8193)})))},
			"privkey.pem: the private key is larger than 8192 bytes: use RSA 2048 or ECDSA P-256"},
		{"PKCS #7", []acm.Source{source("cert.p7b", "-----BEGIN PKCS7-----\naGVsbG8=\n-----END PKCS7-----\n")}, "cert.p7b holds PKCS #7: convert it (openssl pkcs7 -print_certs -in FILE)"},
		{"an SSH key", []acm.Source{source("id", "-----BEGIN OPENSSH PRIVATE KEY-----\naGVsbG8=\n-----END OPENSSH PRIVATE KEY-----\n")},
			"id holds an SSH key: give the private key with which the certificate was requested"},
		{"a signing request", []acm.Source{source("chat.csr", "-----BEGIN CERTIFICATE REQUEST-----\naGVsbG8=\n-----END CERTIFICATE REQUEST-----\n"), source("privkey.pem", pkcs8(t, ec256()))},
			"there is a signing request but no certificate: send the request to a certificate authority and give the certificate that it returns"},
		{"too much", []acm.Source{source("big.pem", strings.Repeat("x", 1<<20), "y")}, "the input is larger than 1048576 bytes: give only the certificate, its chain and its key"},
		{"too many", []acm.Source{source("many.pem", strings.Repeat("-----BEGIN X-----\n-----END X-----\n", 201))}, "there are more than 200 PEM blocks: give only the certificate, its chain and its key"},
	} {
		t.Run(c.says, func(t *testing.T) {
			_, err := acm.Read(noon, c.sources...)
			refused(t, err, c.want)
		})
	}
}

// TestRefusalsSayWhichPart lets a form or an API point at the right field.
func TestRefusalsSayWhichPart(t *testing.T) {
	w := newWeb(t, ec256())
	for field, sources := range map[string][]acm.Source{
		"PrivateKey":  {source("cert.pem", w.leaf.pem())},
		"Certificate": {source("privkey.pem", pkcs8(t, ec256()))},
	} {
		_, err := acm.Read(noon, sources...)
		var e *albion.Error
		if !errors.As(err, &e) || e.Field != field || e.Kind != albion.KindCertificate || e.Code != albion.CodeInvalidParameter {
			t.Errorf("%s: %#v", field, e)
		}
	}
}

// FuzzRead holds Read to what it promises for any input: an error is the
// user's, what is accepted fits together, and nothing of a key is said.
func FuzzRead(f *testing.F) {
	w := newWeb(f, ec256())
	for _, sources := range forms(w, traditional(f, ec256())) {
		first, second := sources[0].PEM, []byte(nil)
		if len(sources) > 1 {
			second = sources[1].PEM
		}
		f.Add(first, second)
	}
	f.Add([]byte(pkcs8(f, rsa2048())), []byte("-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----"))
	f.Add([]byte("-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\n-----END B-----"), []byte("\xff\xfe-"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		got, err := acm.Read(noon, acm.Source{Name: "a", PEM: a}, acm.Source{Name: "b", PEM: b})
		if len(b) == 0 {
			got, err = acm.Read(noon, acm.Source{Name: "a", PEM: a})
		}
		if err != nil {
			if albion.CodeOf(err) != albion.CodeInvalidParameter {
				t.Fatalf("%v", err)
			}
			silent(t, err.Error(), a, b)
			return
		}
		silent(t, strings.Join(append(got.Found, got.Warnings...), "\n"), a, b)
		if !got.Chain[0].Equal(got.Leaf) || len(got.Domains) == 0 {
			t.Fatal("no leaf or no names")
		}
		for i, c := range got.Chain[1:] {
			child := got.Chain[i]
			err := c.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
			var weak x509.InsecureAlgorithmError
			if err != nil && !errors.As(err, &weak) || !bytes.Equal(child.RawIssuer, c.RawSubject) {
				t.Fatalf("link %d: %v", i, err)
			}
		}
		if k, ok := got.Key.(*ecdsa.PrivateKey); ok && !k.PublicKey.Equal(got.Leaf.PublicKey) {
			t.Fatal("the key is another's")
		}
	})
}

// silent checks that a message holds no line of base64 of its input.
func silent(t *testing.T, message string, inputs ...[]byte) {
	t.Helper()
	for _, in := range inputs {
		for line := range bytes.SplitSeq(in, []byte("\n")) {
			if line = bytes.TrimSpace(line); len(line) >= 40 && !bytes.Contains(line, []byte(" ")) && strings.Contains(message, string(line)) {
				t.Fatalf("%q repeats %q", message, line)
			}
		}
	}
}
