package acm

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/albion-lb/albion"
)

// Import is a certificate to be kept under a name.
type Import struct {
	Name   string // or the ARN of one that exists; "" means the leaf's first domain
	Bundle *Bundle
	Origin albion.Origin
	Now    time.Time
	ID     [16]byte // random; of the ARN, should the name be new
}

// Put imports a certificate: a new one, or new contents for the one that has
// the name, under the same ARN. Contents that are already there change nothing.
func Put(d *albion.Draft, in Import) (*albion.Certificate, error) {
	if in.Name == "" {
		in.Name = in.Bundle.Domains[0]
	}
	cert, err := slot(d, in.Name, in.Origin, in.ID, in.Now)
	if err != nil {
		return nil, err
	}
	if fits(&d.State, cert, in.Bundle) {
		keep(d, cert)
		return cert, nil
	}
	cert.Issuer = albion.Imported
	settle(d, cert)
	return cert, fill(d, cert, in.Bundle, in.Now)
}

// slot returns a copy of the certificate with this name for its next contents,
// or a new one. Who declared it last looks after it.
func slot(d *albion.Draft, name string, origin albion.Origin, id [16]byte, now time.Time) (*albion.Certificate, error) {
	if old, ok := byName(&d.State, name); ok {
		cert := *old
		if origin != "" {
			cert.Origin = origin
		}
		return &cert, nil
	}
	if strings.HasPrefix(name, "arn:") {
		return nil, notFound(name)
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	arn := albion.CertificateARN(id)
	if _, taken := d.Certificates.Get(string(arn)); taken {
		return nil, fmt.Errorf("acm: the identity of %s is taken", arn)
	}
	return &albion.Certificate{ARN: arn, Name: name, Origin: origin, Created: now}, nil
}

// fits says whether an imported certificate holds exactly this already.
func fits(s *albion.State, cert *albion.Certificate, b *Bundle) bool {
	if cert.Issuer != albion.Imported || cert.Chain != chainPEM(b.Chain) {
		return false
	}
	key, ok := s.Keys.Get(string(cert.ARN))
	if !ok {
		return false
	}
	der, err := x509.MarshalPKCS8PrivateKey(b.Key)
	return err == nil && bytes.Equal(key.Secret, der)
}

// keep puts a certificate whose contents stay, if anything else has changed.
func keep(d *albion.Draft, cert *albion.Certificate) bool {
	old, ok := d.Certificates.Get(string(cert.ARN))
	if ok && old.Origin == cert.Origin {
		return false
	}
	albion.Put(d, cert)
	return true
}

// fill gives a certificate its contents and puts it with its key.
func fill(d *albion.Draft, cert *albion.Certificate, b *Bundle, now time.Time) error {
	der, err := x509.MarshalPKCS8PrivateKey(b.Key)
	if err != nil {
		return fmt.Errorf("acm: the key of %s cannot be kept", cert.Name)
	}
	cert.Domains = slices.Clone(b.Domains)
	cert.Chain = chainPEM(b.Chain)
	cert.KeyAlgorithm = keyAlgorithm(b.Leaf.PublicKey)
	cert.Serial = serial(b.Leaf)
	cert.NotBefore, cert.NotAfter = b.Leaf.NotBefore.UTC(), b.Leaf.NotAfter.UTC()
	cert.Imported, cert.Told = now, ""
	albion.Put(d, cert)
	albion.Put(d, &albion.Key{Name: string(cert.ARN), Secret: der})
	return nil
}

// checkName holds a new name to what albion.Validate accepts, to say so before
// anything is made.
func checkName(name string) error {
	if !albion.NameFits(name) {
		return refuse("Name", "%q cannot be the name of a certificate: use 1 to 255 letters, digits and -_.*+@:, not beginning with a dot", printable(name))
	}
	return nil
}

// byName finds a certificate by its name or its ARN.
func byName(s *albion.State, name string) (*albion.Certificate, bool) {
	if cert, ok := s.Certificates.Get(name); ok {
		return cert, true
	}
	return s.CertificateNamed(name)
}

func chainPEM(chain []*x509.Certificate) string {
	var out strings.Builder
	for _, c := range chain {
		out.Write(certificatePEM(c.Raw))
	}
	return out.String()
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// serial is hexadecimal in lower case with colons, as ACM shows it.
func serial(c *x509.Certificate) string {
	digits := hex.EncodeToString(c.SerialNumber.Bytes())
	if digits == "" {
		digits = "00"
	}
	var pairs []string
	for pair := range slices.Chunk([]byte(digits), 2) {
		pairs = append(pairs, string(pair))
	}
	return strings.Join(pairs, ":")
}

// Files is one certificate in the four files of a certbot live/NAME directory.
// Each is PEM.
type Files struct {
	Cert      []byte // cert.pem: the leaf
	Chain     []byte // chain.pem: what leads from the leaf to the root
	Fullchain []byte // fullchain.pem: both
	Privkey   []byte // privkey.pem: PKCS #8
}

// Export returns a certificate, given by its name or ARN, in certbot's files.
// The chain of a local certificate is the authority itself, because there is
// nothing between and because some servers refuse an empty file.
func Export(s *albion.State, name string) (Files, error) {
	cert, ok := byName(s, name)
	if !ok {
		return Files{}, notFound(name)
	}
	key, ok := s.Keys.Get(string(cert.ARN))
	if !ok {
		return Files{}, fmt.Errorf("acm: the key of %s is missing", cert.ARN)
	}
	leaf, rest := pem.Decode([]byte(cert.Chain))
	if leaf == nil {
		return Files{}, fmt.Errorf("acm: the chain of %s is damaged", cert.ARN)
	}
	files := Files{
		Cert:    pem.EncodeToMemory(leaf),
		Chain:   rest,
		Privkey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key.Secret}),
	}
	if authority, ok := s.Authorities.Get(localAuthority); ok && len(rest) == 0 && signedBy(cert, authority) {
		files.Chain = []byte(authority.Chain)
	}
	files.Fullchain = slices.Concat(files.Cert, files.Chain)
	return files, nil
}

func notFound(name string) error {
	e := albion.Errorf(albion.CodeResourceNotFound, "there is no certificate %q", printable(name))
	e.Kind, e.ID = albion.KindCertificate, name
	return e
}

// The words of Status.
const (
	StatusOK       = "ok"
	StatusExpiring = "expiring"
	StatusExpired  = "expired"
	StatusEarly    = "not yet valid"
	StatusUnused   = "unused"
)

// Status says how a certificate is, in one word and the reason for it. used
// says whether a listener shows it.
func Status(c *albion.Certificate, now time.Time, used bool) (word, reason string) {
	word, reason = lifetime(c.NotBefore, c.NotAfter, now)
	switch {
	case word == StatusExpiring && c.Issuer == albion.Local && now.Before(dueAt(c).Add(renewalGrace)):
		return StatusOK, "is being renewed"
	case word == StatusExpiring && c.Issuer == albion.Local:
		return word, reason + "; its renewal has failed so far"
	case word == StatusOK && !used:
		return StatusUnused, "no listener shows it"
	}
	return word, reason
}

// lifetime compares a validity with the time. Expiring is the last 30 days, or
// the last third of a certificate that lives for less than 90.
func lifetime(notBefore, notAfter, now time.Time) (word, reason string) {
	const soon = 30 * 24 * time.Hour
	left := notAfter.Sub(now)
	switch {
	case now.Before(notBefore):
		return StatusEarly, "is not valid before " + date(notBefore)
	case left < 0:
		return StatusExpired, "expired on " + date(notAfter)
	case left < min(soon, notAfter.Sub(notBefore)/3):
		return StatusExpiring, "expires in " + span(left) + ", on " + date(notAfter)
	}
	return StatusOK, "valid for " + span(left)
}

// span rounds down: "12 days", and below two days "31 hours".
func span(d time.Duration) string {
	if hours := int(math.Floor(d.Hours())); hours < 48 {
		return plural(hours, "hour", "hours")
	}
	return plural(int(d.Hours()/24), "day", "days")
}

// signer returns a private key as it is kept: PKCS #8, DER.
func signer(key *albion.Key) (crypto.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(key.Secret)
	if err != nil {
		return nil, fmt.Errorf("acm: the key %s is damaged", key.Name)
	}
	s, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("acm: the key %s cannot sign", key.Name)
	}
	return s, nil
}
