package acm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/albion-lb/albion"
)

const (
	localAuthority  = "local" // name of the one authority there is
	authorityYears  = 10
	leafLifetime    = 90 * 24 * time.Hour // as Let's Encrypt's, so that a move there changes nothing
	clockSkew       = time.Hour           // how far behind a client's clock may be
	maxLocalDomains = 100                 // as public authorities
)

// LocalRequest asks for a certificate from the balancer's own authority.
type LocalRequest struct {
	Name    string   // "" means the first domain
	Domains []string // DNS names, wildcards, IP addresses; international names in any script
	Origin  albion.Origin
	Now     time.Time
	Rand    io.Reader // crypto/rand.Reader; also the source of serial numbers
	ID      [16]byte  // random; of the ARN, should the name be new
}

// Local issues a certificate, and makes the authority when there is none. The
// name keeps its ARN. When what is there covers exactly these domains and is
// not due for renewal, nothing changes and changed is false.
func Local(d *albion.Draft, in LocalRequest) (cert *albion.Certificate, changed bool, err error) {
	domains, err := localDomains(in.Domains)
	if err != nil {
		return nil, false, err
	}
	if in.Name == "" {
		in.Name = domains[0]
	}
	cert, err = slot(d, in.Name, in.Origin, in.ID, in.Now)
	if err != nil {
		return nil, false, err
	}
	if stays(&d.State, cert, domains, in.Now) {
		return cert, keep(d, cert), nil
	}
	cert.Issuer = albion.Local
	settle(d, cert)
	if err := issue(d, cert, domains, in.Now, in.Rand); err != nil {
		return nil, false, err
	}
	return cert, true, nil
}

// stays says whether a local certificate is as it should be.
func stays(s *albion.State, cert *albion.Certificate, domains []string, now time.Time) bool {
	if cert.Issuer != albion.Local || LocalDue(cert, now) {
		return false
	}
	if !slices.Equal(slices.Sorted(slices.Values(cert.Domains)), slices.Sorted(slices.Values(domains))) {
		return false
	}
	_, hasKey := s.Keys.Get(string(cert.ARN))
	authority, ok := s.Authorities.Get(localAuthority)
	return hasKey && ok && signedBy(cert, authority)
}

// signedBy compares names and key identifiers; both certificates are our own.
func signedBy(cert *albion.Certificate, authority *albion.Authority) bool {
	leaf, err := parseFirst(cert.Chain)
	if err != nil {
		return false
	}
	ca, err := parseFirst(authority.Chain)
	return err == nil && bytes.Equal(leaf.RawIssuer, ca.RawSubject) && bytes.Equal(leaf.AuthorityKeyId, ca.SubjectKeyId)
}

func parseFirst(chain string) (*x509.Certificate, error) {
	b, _ := pem.Decode([]byte(chain))
	if b == nil {
		return nil, fmt.Errorf("acm: no certificate in the chain")
	}
	return x509.ParseCertificate(b.Bytes)
}

// LocalDue says whether less than a third of the lifetime is left.
func LocalDue(c *albion.Certificate, now time.Time) bool { return !now.Before(dueAt(c)) }

func dueAt(c *albion.Certificate) time.Time {
	return c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / 3)
}

// Renew issues every local certificate that is due again, in place, and returns
// their ARNs. What stands in for a CA's certificate is one of them.
func Renew(d *albion.Draft, now time.Time, rand io.Reader) (renewed []albion.ARN, err error) {
	for old := range d.Certificates.All() {
		if old.Issuer != albion.Local && !old.Pending || !LocalDue(old, now) {
			continue
		}
		cert := *old
		if err := issue(d, &cert, cert.Domains, now, rand); err != nil {
			return nil, err
		}
		renewed = append(renewed, cert.ARN)
	}
	return renewed, nil
}

// Authority returns the certificate of the balancer's own authority, PEM, for
// clients to trust. ok is false before anything local was issued.
func Authority(s *albion.State) (chain string, ok bool) {
	a, ok := s.Authorities.Get(localAuthority)
	if !ok {
		return "", false
	}
	return a.Chain, true
}

// issue makes a leaf with a new key and fills the certificate with it.
func issue(d *albion.Draft, cert *albion.Certificate, domains []string, now time.Time, rand io.Reader) error {
	ca, caKey, err := authority(d, now, rand)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand)
	if err != nil {
		return fmt.Errorf("acm: make a key: %w", err)
	}
	number, err := serialNumber(rand)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          number,
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              earlier(now.Add(leafLifetime-clockSkew), ca.NotAfter),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if len(domains[0]) <= 64 { // RFC 5280, ub-common-name; browsers ignore it, tables show it
		template.Subject.CommonName = domains[0]
	}
	for _, domain := range domains {
		if ip := net.ParseIP(domain); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, domain)
		}
	}
	leaf, err := sign(template, ca, key.Public(), caKey, rand)
	if err != nil {
		return err
	}
	names, _ := domainsOf(leaf)
	return fill(d, cert, &Bundle{Leaf: leaf, Chain: []*x509.Certificate{leaf}, Key: key, Domains: names}, now)
}

// authority returns the balancer's own authority. It makes one when there is
// none, and another when the old one would end before a new leaf; leaves of the
// old one stay good until they are renewed.
func authority(d *albion.Draft, now time.Time, rand io.Reader) (*x509.Certificate, crypto.Signer, error) {
	a, ok := d.Authorities.Get(localAuthority)
	if !ok {
		return newAuthority(d, now, rand)
	}
	ca, err := parseFirst(a.Chain)
	if err != nil {
		return nil, nil, fmt.Errorf("acm: the authority %s is damaged: %w", a.Name, err)
	}
	if ca.NotAfter.Before(now.Add(leafLifetime)) {
		return newAuthority(d, now, rand)
	}
	key, ok := d.Keys.Get(a.KeyName())
	if !ok {
		return nil, nil, fmt.Errorf("acm: the key of the authority %s is missing", a.Name)
	}
	caKey, err := signer(key)
	if err != nil {
		return nil, nil, err
	}
	if !samePublic(ca.PublicKey, caKey.Public()) {
		return nil, nil, fmt.Errorf("acm: the key of the authority %s is another's", a.Name)
	}
	return ca, caKey, nil
}

func newAuthority(d *albion.Draft, now time.Time, rand io.Reader) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand)
	if err != nil {
		return nil, nil, fmt.Errorf("acm: make a key: %w", err)
	}
	number, err := serialNumber(rand)
	if err != nil {
		return nil, nil, err
	}
	// The name differs from machine to machine: browsers mix up authorities of
	// one name and different keys.
	short := hex.EncodeToString(number.Bytes()[:3])
	template := &x509.Certificate{
		SerialNumber:          number,
		Subject:               pkix.Name{CommonName: "Albion local CA " + short},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.AddDate(authorityYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs leaves, never another authority
	}
	ca, err := sign(template, template, key.Public(), key, rand)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("acm: the key of the authority cannot be kept")
	}
	a := &albion.Authority{Name: localAuthority, Chain: string(certificatePEM(ca.Raw))}
	albion.Put(d, a)
	albion.Put(d, &albion.Key{Name: a.KeyName(), Secret: der})
	return ca, key, nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer, rand io.Reader) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("acm: sign a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("acm: read back a certificate: %w", err)
	}
	return cert, nil
}

// serialNumber is 16 random bytes, positive as RFC 5280 §4.1.2.2 asks, of fixed
// length.
func serialNumber(rand io.Reader) (*big.Int, error) {
	var b [16]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return nil, fmt.Errorf("acm: make a serial number: %w", err)
	}
	b[0] = b[0]&0x3f | 0x40
	return new(big.Int).SetBytes(b[:]), nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// localDomains brings names into the form that certificates have, each once and
// in the order given.
func localDomains(in []string) ([]string, error) {
	switch {
	case len(in) == 0:
		return nil, refuse("DomainName", "a certificate needs at least one domain or IP address")
	case len(in) > maxLocalDomains:
		return nil, refuse("DomainName", "%d domains are more than one certificate may have (%d): split them", len(in), maxLocalDomains)
	}
	var out []string
	for _, given := range in {
		domain, ok := localDomain(given)
		if !ok {
			return nil, refuse("DomainName", "%q is not a domain, a wildcard such as *.example.com, or an IP address", printable(given))
		}
		if !slices.Contains(out, domain) {
			out = append(out, domain)
		}
	}
	return out, nil
}

// localDomain returns one name in its A-label form (RFC 5891 §5), or an address
// in its canonical text.
func localDomain(given string) (string, bool) {
	if ip, err := netip.ParseAddr(strings.Trim(given, "[]")); err == nil {
		return ip.Unmap().String(), ip.Zone() == ""
	}
	host, wildcard := strings.CutPrefix(strings.TrimSuffix(given, "."), "*.")
	ascii, err := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true)).ToASCII(host)
	if err != nil || !hostname(ascii) || strings.HasPrefix(ascii, "*") {
		return "", false
	}
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	if strings.Trim(last, "0123456789") == "" { // an address gone wrong: URLs read it as one
		return "", false
	}
	if wildcard {
		ascii = "*." + ascii
	}
	return ascii, len(ascii) <= 253
}
