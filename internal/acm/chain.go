package acm

import (
	"bytes"
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"time"
)

const (
	maxDepth   = 10    // certificates in a chain; the public web has 3
	maxDomains = 1000  // of a leaf; public authorities stop at 100
	maxModulus = 16384 // bits of any RSA key whose signatures are checked
)

// leaf returns the certificate to which the key belongs.
func (p *pile) leaf(key heldKey) (held, error) {
	matches := func(c held) bool { return samePublic(c.PublicKey, key.Public()) }
	var ends []held
	for _, c := range p.certs {
		if !isCA(c.Certificate) {
			ends = append(ends, c)
		}
	}
	if len(ends) > 1 { // an old root need not say that it is one
		ends = slices.DeleteFunc(ends, func(c held) bool { return selfSigned(c.Certificate) && !matches(c) })
	}
	if len(ends) == 0 {
		return p.own(matches)
	}
	if len(ends) > 1 {
		return held{}, refuse(fieldCertificate, "there are %d different certificates that are not a CA's (%s and %s, %s): give one of them, with its chain and key",
			len(ends), subject(ends[0].Certificate), subject(ends[1].Certificate), among(ends[0].source, ends[1].source))
	}
	leaf := ends[0]
	if !matches(leaf) {
		owner := ""
		if i := slices.IndexFunc(p.certs, matches); i >= 0 {
			owner = " but to " + subject(p.certs[i].Certificate)
		}
		return held{}, refuse(fieldKey, "the private key in %s does not belong to the certificate for %s in %s%s: give the key with which this certificate was requested",
			key.source, subject(leaf.Certificate), leaf.source, owner)
	}
	return leaf, nil
}

// own returns the certificate to which the key belongs when all are those of
// authorities: what `openssl req -x509` makes is one that signed itself.
func (p *pile) own(matches func(held) bool) (held, error) {
	i := slices.IndexFunc(p.certs, matches)
	switch {
	case i >= 0 && selfSigned(p.certs[i].Certificate):
		return p.certs[i], nil
	case i >= 0:
		return held{}, refuse(fieldCertificate, "the certificate %s in %s is a CA's, which browsers refuse from a server: make one with basicConstraints=CA:FALSE, or let the balancer's own authority issue one",
			subject(p.certs[i].Certificate), p.certs[i].source)
	}
	return held{}, refuse(fieldCertificate, "there are only CA certificates in %s: add the certificate of the server itself (cert.pem or fullchain.pem)", p.sources())
}

// refusal says why browsers would refuse this leaf, or nil.
func (c held) refusal(now time.Time, domains []string) error {
	no := func(format string, args ...any) error {
		args = append([]any{subject(c.Certificate), c.source}, args...)
		return refuse(fieldCertificate, "the certificate for %s in %s "+format, args...)
	}
	if reason := weakKey(c.PublicKey); reason != "" {
		return refuse(fieldCertificate, "%s: %s", c.source, reason)
	}
	switch c.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
	case x509.UnknownSignatureAlgorithm:
		return no("is signed in a way that browsers do not accept: have it issued again with SHA-256")
	default:
		return no("is signed with %s, which browsers do not accept: have it issued again with SHA-256", c.SignatureAlgorithm)
	}
	switch {
	case len(domains) == 0:
		return refuse(fieldCertificate, "the certificate %s in %s names no DNS name and no IP address, and browsers ignore its common name: have it issued again with a subjectAltName", subject(c.Certificate), c.source)
	case len(domains) > maxDomains:
		return no("has %d names, more than %d: split it", len(domains), maxDomains)
	case !forServers(c.Certificate):
		return no("is not meant for servers: have it issued again with extendedKeyUsage=serverAuth")
	case now.Before(c.NotBefore):
		return no("is not valid before %s: check this machine's clock, or wait", date(c.NotBefore))
	case now.After(c.NotAfter):
		return no("expired on %s: renew it and import the new one", date(c.NotAfter))
	}
	return nil
}

func forServers(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// chain follows the issuers from the leaf. root is the self-signed certificate
// at its end, if that was among the input; it is not part of the chain. The
// answer does not depend on the order of the input.
func (p *pile) chain(leaf *x509.Certificate, now time.Time) (chain []*x509.Certificate, root *x509.Certificate) {
	chain = []*x509.Certificate{leaf}
	for last := leaf; len(chain) < maxDepth && !selfSigned(last); {
		issuer := p.issuer(last, chain, now)
		if issuer == nil {
			break
		}
		if selfSigned(issuer) {
			return chain, issuer
		}
		chain = append(chain, issuer)
		last = issuer
	}
	return chain, nil
}

// issuer chooses among those that can have issued a certificate: valid ones
// first, then cross-signed ones, which are there for old clients, before the
// root of the same name; then the one that lasts longest.
func (p *pile) issuer(of *x509.Certificate, chain []*x509.Certificate, now time.Time) *x509.Certificate {
	var able []*x509.Certificate
	for _, c := range p.certs {
		if !slices.Contains(chain, c.Certificate) && issued(c.Certificate, of) {
			able = append(able, c.Certificate)
		}
	}
	if len(able) == 0 {
		return nil
	}
	over := func(c *x509.Certificate) bool { return now.After(c.NotAfter) }
	return slices.MinFunc(able, func(a, b *x509.Certificate) int {
		return cmp.Or(
			falseFirst(over(a), over(b)),
			falseFirst(selfSigned(a), selfSigned(b)),
			b.NotAfter.Compare(a.NotAfter),
			bytes.Compare(a.Raw, b.Raw),
		)
	})
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// issued says whether child was signed by parent. A signature that is too weak
// to be checked counts when names and key identifiers agree: the link is there,
// and the leaf itself is refused elsewhere for its own weakness.
func issued(parent, child *x509.Certificate) bool {
	if !bytes.Equal(parent.RawSubject, child.RawIssuer) || !isCA(parent) && parent.Version == 3 {
		return false
	}
	err := parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	var weak x509.InsecureAlgorithmError
	if errors.As(err, &weak) {
		return len(child.AuthorityKeyId) == 0 || bytes.Equal(child.AuthorityKeyId, parent.SubjectKeyId)
	}
	return err == nil
}

// selfSigned goes by the names and key identifiers alone, which is enough to
// tell a root: nothing is trusted for it.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) &&
		(len(c.AuthorityKeyId) == 0 || len(c.SubjectKeyId) == 0 || bytes.Equal(c.AuthorityKeyId, c.SubjectKeyId))
}

func isCA(c *x509.Certificate) bool { return c.BasicConstraintsValid && c.IsCA }

// huge guards the work that checking a signature takes.
func huge(c *x509.Certificate) bool {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	return ok && key.N.BitLen() > maxModulus
}

// warnings says what works but should not stay so.
func warnings(now time.Time, b *Bundle, root *x509.Certificate, ignored []string) []string {
	var out []string
	last := b.Chain[len(b.Chain)-1]
	switch {
	case selfSigned(b.Leaf) && isCA(b.Leaf):
		out = append(out, "the certificate is self-signed and a CA's: Firefox refuses it, and other browsers do until each of them is told to trust it: make one with basicConstraints=CA:FALSE")
	case selfSigned(b.Leaf):
		out = append(out, "the certificate is self-signed: browsers refuse it until each of them is told to trust it")
	case root == nil && len(b.Chain) == 1:
		out = append(out, "the chain may be incomplete: the certificate of the issuer "+name(last.Issuer.CommonName, last.Issuer.String())+" is not there, and clients that do not know it will refuse: add chain.pem")
	}
	if word, reason := lifetime(b.Leaf.NotBefore, b.Leaf.NotAfter, now); word == StatusExpiring {
		out = append(out, "the certificate "+reason)
	}
	const apple = 825 * 24 * time.Hour // support.apple.com/103769
	if b.Leaf.NotAfter.Sub(b.Leaf.NotBefore) > apple {
		out = append(out, "the certificate is valid for more than 825 days: Apple's systems refuse it")
	}
	for _, c := range b.Chain[1:] {
		switch {
		case now.After(c.NotAfter):
			out = append(out, "the intermediate "+subject(c)+" expired on "+date(c.NotAfter)+": get the current chain from the issuer")
		case c.SignatureAlgorithm == x509.SHA1WithRSA || c.SignatureAlgorithm == x509.ECDSAWithSHA1 || c.SignatureAlgorithm == x509.MD5WithRSA:
			out = append(out, "the intermediate "+subject(c)+" is signed with "+c.SignatureAlgorithm.String()+", which browsers do not accept: get the current chain from the issuer")
		}
	}
	for _, bad := range ignored {
		out = append(out, "the name "+bad+" is not one that a browser can ask for")
	}
	return out
}

// domainsOf returns the names of a leaf that a client can ask for, each once,
// and up to three of those that nobody can.
func domainsOf(c *x509.Certificate) (domains, ignored []string) {
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			domains = append(domains, name)
		}
	}
	for _, name := range c.DNSNames {
		if lower := strings.ToLower(strings.TrimSuffix(name, ".")); hostname(lower) {
			add(lower)
		} else if len(ignored) < 3 {
			ignored = append(ignored, printable(name))
		}
	}
	for _, ip := range c.IPAddresses {
		add(ip.String())
	}
	return domains, ignored
}

// hostname accepts what RFC 6125 §6.4.3 lets a certificate name: labels of
// letters, digits, hyphens and, as in practice, underscores, the first of which
// may be "*".
func hostname(s string) bool {
	rest := strings.TrimPrefix(s, "*.")
	if rest == "" || len(s) > 253 || net.ParseIP(rest) != nil {
		return false
	}
	for label := range strings.SplitSeq(rest, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return false
		}
	}
	return true
}

// subject is how messages call a certificate: its first name, or whom it names.
func subject(c *x509.Certificate) string {
	if !isCA(c) {
		if domains, _ := domainsOf(c); len(domains) > 0 {
			return domains[0]
		}
	}
	return name(c.Subject.CommonName, c.Subject.String())
}

func name(common, whole string) string {
	switch {
	case common != "":
		return `"` + printable(common) + `"`
	case whole != "":
		return `"` + printable(whole) + `"`
	}
	return "without a name"
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
