package acm

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/albion-lb/albion"
)

// Bundle is what PEM files held: one certificate that browsers accept, with its
// chain and its key.
type Bundle struct {
	Leaf     *x509.Certificate
	Chain    []*x509.Certificate // the leaf, then each one's issuer, without a self-signed root
	Key      crypto.Signer       // *rsa.PrivateKey or *ecdsa.PrivateKey
	Domains  []string            // DNS names in lower case, then IP addresses
	Found    []string            // what was found where, a sentence each
	Warnings []string            // what works but should not stay so
}

// The parts of an import, as ACM's ImportCertificate names them.
const (
	fieldCertificate = "Certificate"
	fieldKey         = "PrivateKey"
)

func refuse(field, format string, args ...any) error {
	e := albion.Errorf(albion.CodeInvalidParameter, format, args...)
	e.Kind, e.Field = albion.KindCertificate, field
	return e
}

// Read finds the certificate, chain and key in sources of any form and order:
// fullchain, leaf and chain apart, everything in one; PKCS #1, PKCS #8 and SEC 1
// keys; duplicates, text around the blocks, a root or none. The same blocks
// give the same Leaf, Chain and Key however they are spread.
//
// What a browser would refuse is refused with an *albion.Error. An incomplete
// chain, which some browsers mend, is a warning.
func Read(now time.Time, sources ...Source) (*Bundle, error) {
	p, err := newPile(sources)
	if err != nil {
		return nil, err
	}
	key, err := p.key()
	if err != nil {
		return nil, err
	}
	leaf, err := p.leaf(key)
	if err != nil {
		return nil, err
	}
	domains, ignored := domainsOf(leaf.Certificate)
	if err := leaf.refusal(now, domains); err != nil {
		return nil, err
	}
	chain, root := p.chain(leaf.Certificate, now)
	b := &Bundle{Leaf: leaf.Certificate, Chain: chain, Key: key.Signer, Domains: domains}
	b.Found = p.report(leaf.Certificate, chain, root)
	b.Warnings = warnings(now, b, root, ignored)
	return b, nil
}

// pile is everything the sources held, in the order found, each thing once.
type pile struct {
	order []string // sources
	certs []held
	keys  []heldKey
	again map[string][]*x509.Certificate // by source, duplicates included
	other map[string][]string            // by source, labels of what is neither
}

type held struct {
	*x509.Certificate
	source string
}

type heldKey struct {
	crypto.Signer
	source string
}

func newPile(sources []Source) (*pile, error) {
	p := &pile{again: map[string][]*x509.Certificate{}, other: map[string][]string{}}
	size, count := 0, 0
	for i, s := range sources {
		if s.Name == "" {
			s.Name = fmt.Sprintf("input %d", i+1)
		}
		if size += len(s.PEM); size > maxInput {
			return nil, refuse(fieldCertificate, "the input is larger than %d bytes: give only the certificate, its chain and its key", maxInput)
		}
		blocks, err := s.blocks()
		if err != nil {
			return nil, err
		}
		if count += len(blocks); count > maxBlocks {
			return nil, tooMany()
		}
		if !slices.Contains(p.order, s.Name) {
			p.order = append(p.order, s.Name)
		}
		for _, b := range blocks {
			if err := p.add(b); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// add sorts one block by its label (RFC 7468 and OpenSSL's pem.h).
func (p *pile) add(b block) error {
	label := b.pem.Type
	switch {
	case label == "CERTIFICATE" || label == "X509 CERTIFICATE" || label == "TRUSTED CERTIFICATE":
		return p.addCertificate(b)
	case strings.HasSuffix(label, "PRIVATE KEY"):
		key, err := parseKey(b)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(p.keys, func(k heldKey) bool { return samePublic(k.Public(), key.Public()) }) {
			p.keys = append(p.keys, heldKey{key, b.source})
		}
		return nil
	case label == "PKCS7" || label == "CMS" || label == "PKCS #7 SIGNED DATA":
		return refuse(fieldCertificate, "%s holds PKCS #7: convert it (openssl pkcs7 -print_certs -in FILE)", b.source)
	}
	p.other[b.source] = append(p.other[b.source], label)
	return nil
}

func (p *pile) addCertificate(b block) error {
	der := b.pem.Bytes
	if b.pem.Type == "TRUSTED CERTIFICATE" { // OpenSSL's: its own trust settings follow the certificate
		var first asn1.RawValue
		if _, err := asn1.Unmarshal(der, &first); err == nil {
			der = first.FullBytes
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return refuse(fieldCertificate, "%s: the certificate on line %d cannot be read: %s", b.source, b.line, printable(err.Error()))
	}
	if huge(cert) {
		return refuse(fieldCertificate, "%s: the certificate on line %d has a key that is too long for browsers", b.source, b.line)
	}
	if !slices.ContainsFunc(p.certs, func(c held) bool { return c.Equal(cert) }) {
		p.certs = append(p.certs, held{cert, b.source})
	}
	p.again[b.source] = append(p.again[b.source], cert)
	return nil
}

// key returns the one private key.
func (p *pile) key() (heldKey, error) {
	switch {
	case len(p.certs) == 0 && p.holds("REQUEST"):
		return heldKey{}, refuse(fieldCertificate, "there is a signing request but no certificate: send the request to a certificate authority and give the certificate that it returns")
	case len(p.certs) == 0:
		return heldKey{}, refuse(fieldCertificate, "there is no certificate in %s: add the certificate file (fullchain.pem)", p.sources())
	case len(p.keys) == 0:
		return heldKey{}, refuse(fieldKey, "there is no private key in %s: add the key file (privkey.pem)", p.sources())
	case len(p.keys) > 1:
		return heldKey{}, refuse(fieldKey, "there are %d different private keys (%s): give only the one that belongs to the certificate", len(p.keys), among(p.keys[0].source, p.keys[1].source))
	}
	return p.keys[0], nil
}

func (p *pile) holds(label string) bool {
	for _, labels := range p.other {
		if slices.ContainsFunc(labels, func(l string) bool { return strings.Contains(l, label) }) {
			return true
		}
	}
	return false
}

func (p *pile) sources() string {
	if len(p.order) == 0 {
		return "the input"
	}
	return join(p.order)
}

// report says what each source held, and what was done with it.
func (p *pile) report(leaf *x509.Certificate, chain []*x509.Certificate, root *x509.Certificate) []string {
	var found []string
	for _, source := range p.order {
		if held := p.inventory(source, leaf); len(held) > 0 {
			found = append(found, source+": "+join(held))
		}
	}
	var used []*x509.Certificate
	left := 0
	for _, c := range p.certs {
		switch {
		case slices.Contains(chain, c.Certificate):
			used = append(used, c.Certificate)
		case c.Certificate != root:
			left++
		}
	}
	if !slices.Equal(used, chain) {
		found = append(found, "the chain was put in order")
	}
	if root != nil {
		found = append(found, "left out the root "+subject(root)+": clients have their own")
	}
	if left > 0 {
		found = append(found, "left out "+plural(left, "certificate that does", "certificates that do")+" not belong to the chain")
	}
	return found
}

// inventory lists what one source holds.
func (p *pile) inventory(source string, leaf *x509.Certificate) []string {
	var leaves, intermediates, roots int
	var out []string
	for _, c := range p.again[source] {
		switch {
		case bytes.Equal(c.Raw, leaf.Raw):
			leaves++
		case selfSigned(c):
			roots++
		default:
			intermediates++
		}
	}
	if leaves > 0 {
		out = append(out, "leaf "+subject(leaf))
	}
	if intermediates > 0 {
		out = append(out, plural(intermediates, "intermediate", "intermediates"))
	}
	if roots > 0 {
		out = append(out, plural(roots, "root", "roots"))
	}
	for _, k := range p.keys {
		if k.source == source {
			out = append(out, keyWords(k.Public())+" key")
		}
	}
	if others := slices.Compact(slices.Sorted(slices.Values(p.other[source]))); len(others) > 0 {
		out = append(out, "not needed: "+strings.ToLower(strings.Join(others, ", ")))
	}
	return out
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// join makes "a", "a and b", "a, b and c".
func join(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// among names two places, once when they are one.
func among(a, b string) string {
	if a == b {
		return "in " + a
	}
	return "in " + a + " and " + b
}

// printable bounds and cleans text that came from a certificate.
func printable(s string) string {
	const most = 100
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
	if runes := []rune(clean); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return clean
}
