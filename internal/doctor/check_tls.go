package doctor

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// checkCertificate judges what is shown on the HTTPS port.
func checkCertificate(s *sight) []Finding {
	var all []Finding
	good := 0
	for i := range s.tls {
		t := &s.tls[i]
		if t.err != nil {
			all = append(all, checkHandshake(s, t))
			continue
		}
		if len(t.chain) == 0 {
			continue
		}
		if good > 0 && bytes.Equal(t.chain[0].Raw, s.firstLeaf().Raw) {
			continue // the same as at the address before
		}
		if good++; good == 2 {
			all = append(all, Finding{Note, Certificate, "differs", fmt.Sprintf("%s shows another certificate than %s", t.addr.Addr(), s.tls[0].addr.Addr()), nil, ""})
		}
		all = append(all, checkVerdict(s, t)...)
		all = append(all, checkChain(t)...)
		all = append(all, checkStrength(t)...)
	}
	return all
}

// firstLeaf is the first certificate that was shown.
func (s *sight) firstLeaf() *x509.Certificate {
	for _, t := range s.tls {
		if len(t.chain) > 0 {
			return t.chain[0]
		}
	}
	return &x509.Certificate{}
}

func checkHandshake(s *sight, t *tlsSeen) Finding {
	var plain tls.RecordHeaderError
	f := Finding{Problem, Certificate, "no-handshake", fmt.Sprintf("no TLS handshake succeeds with %s", t.addr), []string{t.err.Error()}, "let an HTTPS listener have that port: `albion up --domain " + s.subject.Name + " --to HOST:PORT`"}
	switch {
	case errors.As(t.err, &plain):
		f.Code, f.Says = "plain-on-https", fmt.Sprintf("a server speaks plain HTTP on port %d, where browsers expect TLS", t.addr.Port())
		f.Next = fmt.Sprintf("move that server to another port, and put HTTPS in its place: `albion up --domain %s --to HOST:PORT`", s.subject.Name)
	case strings.Contains(t.err.Error(), "unrecognized name"):
		f.Code, f.Says = "name-not-served", fmt.Sprintf("the server at %s has no certificate for %s", t.addr, s.subject.Name)
		f.Next = "get one there: `albion cert request -d " + s.subject.Name + "`"
	}
	return f
}

// longestLead is how long before its end at most a certificate should have been
// renewed: nobody renews one that lives for years by a sixth of that.
const longestLead = 30 * 24 * time.Hour

// checkVerdict says what a browser would of the chain and the name.
func checkVerdict(s *sight, t *tlsSeen) []Finding {
	leaf := t.chain[0]
	if t.private == nil && t.verdict != nil {
		next := "for everybody else get one from a public CA: `albion cert request -d " + s.subject.Name + " --email YOU`"
		if methods(s) == nil {
			next = "" // there is no other for such a name
		}
		return []Finding{
			{Note, Certificate, "private-ca", fmt.Sprintf("the certificate comes from %s, which only clients accept that were told to trust it", quoted(issuer(leaf))), nil, next},
			{OK, Certificate, "certificate", fmt.Sprintf("the certificate is good for %s, %s", s.subject.Name, until(leaf, s.now)), nil, ""},
		}
	}
	var all []Finding
	if t.verdict != nil {
		all = append(all, explainVerdict(s, t))
	}
	lead := min(max(leaf.NotAfter.Sub(leaf.NotBefore)/6, 0), longestLead)
	switch left := leaf.NotAfter.Sub(s.now); {
	case left <= 0 || s.now.Before(leaf.NotBefore):
	case left < lead:
		all = append(all, Finding{
			Warning, Certificate, "expires-soon", fmt.Sprintf("the certificate runs out in %s, and has not been renewed", days(left)), []string{until(leaf, s.now)},
			"find out why: `albion cert list` says it of Albion's own; with certbot `certbot renew --dry-run` does",
		})
	case t.verdict == nil:
		all = append(all, Finding{OK, Certificate, "certificate", fmt.Sprintf("the certificate is good for %s, %s", s.subject.Name, until(leaf, s.now)), nil, ""})
	}
	return all
}

func issuer(c *x509.Certificate) string {
	if c.Issuer.CommonName != "" {
		return c.Issuer.CommonName
	}
	return c.Issuer.String()
}

func until(c *x509.Certificate, now time.Time) string {
	return fmt.Sprintf("valid until %s (%s), from %s", c.NotAfter.UTC().Format(time.DateOnly), days(c.NotAfter.Sub(now)), quoted(issuer(c)))
}

func days(d time.Duration) string {
	switch h := int(d.Hours()); {
	case d < 0:
		return "over"
	case h < 48:
		return counted(h, "1 hour", "hours")
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// explainVerdict turns what the verification says into words.
func explainVerdict(s *sight, t *tlsSeen) Finding {
	leaf := t.chain[0]
	f := Finding{Grade: Problem, Topic: Certificate, Detail: []string{t.verdict.Error()}}
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(t.verdict, &name):
		f.Code, f.Says = "wrong-name", fmt.Sprintf("the certificate is for %s, so browsers refuse it for %s", certified(leaf), s.subject.Name)
		f.Next = s.order()
	case errors.As(t.verdict, &invalid) && invalid.Reason == x509.Expired && s.now.Before(leaf.NotBefore):
		f.Code, f.Says = "not-yet-valid", fmt.Sprintf("the certificate is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC1123))
		f.Next = "look at this machine's clock and the server's"
	case errors.As(t.verdict, &invalid) && invalid.Reason == x509.Expired && s.now.After(leaf.NotAfter):
		f.Code, f.Says = "expired", fmt.Sprintf("the certificate ran out on %s, so browsers refuse it", leaf.NotAfter.UTC().Format(time.DateOnly))
		f.Next = "renew it: Albion does so by itself, and `albion cert list` says why it has not; certificates from files are replaced by `albion cert import`"
	case strings.Contains(strings.ToUpper(issuer(leaf)), "STAGING"):
		f.Code, f.Says = "staging", "the certificate comes from a CA's staging, which is for trying out: browsers refuse it"
		f.Next = "order from the CA itself: `albion cert request -d " + s.subject.Name + " --ca letsencrypt`"
	case bytes.Equal(leaf.RawIssuer, leaf.RawSubject):
		f.Code, f.Says = "self-signed", "the certificate vouches for itself, so browsers refuse it"
		f.Next = s.certify()
	case len(t.chain) == 1:
		f.Code, f.Says = "incomplete-chain", fmt.Sprintf("the certificate comes without its chain: clients that do not happen to know %s refuse it", quoted(issuer(leaf)))
		f.Next = "serve fullchain.pem instead of cert.pem: `albion cert import NAME fullchain.pem privkey.pem`; a private CA has to be trusted by clients, and named here with --ca-root"
	default:
		f.Code, f.Says = "untrusted", fmt.Sprintf("browsers do not trust %s, who signed the certificate", quoted(issuer(t.chain[len(t.chain)-1])))
		f.Next = s.certify()
	}
	return f
}

// certify is how to get a certificate that clients trust.
func (s *sight) certify() string {
	if s.ordered() == "" && s.private() {
		return "have clients trust the authority, and name it here: `albion doctor " + s.subject.Name + " --ca-root ca.pem`"
	}
	return s.order()
}

// order is how to get a certificate for the name.
func (s *sight) order() string {
	if ordered := s.ordered(); ordered != "" {
		return ordered
	}
	if s.private() {
		return "no public CA issues for it: let the local CA do so, with `domains: [" + s.subject.Name + "]` and `issuer: local` in the configuration file, and have clients trust that"
	}
	return "get a certificate for it: `albion cert request -d " + s.subject.Name + " --email YOU`"
}

// ordered says how it stands with an order for the name; "" when there is none.
func (s *sight) ordered() string {
	for _, c := range s.known.Certificates {
		if !slices.Contains(c.Domains, s.subject.Name) {
			continue
		}
		if c.Problem != "" {
			return fmt.Sprintf("the order of %s has failed (%s): `albion cert list` says what to do", c.Name, c.Problem)
		}
		if c.Pending {
			return fmt.Sprintf("wait: %s is being ordered, `albion cert list` shows it", c.Name)
		}
	}
	return ""
}

// private says whether no public CA issues for the subject.
func (s *sight) private() bool {
	if s.subject.Addr.IsValid() {
		return !public(s.subject.Addr)
	}
	return reserved(s.subject.Name)
}

// certified lists a few names of a certificate.
func certified(c *x509.Certificate) string {
	const most = 3
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	switch {
	case len(all) == 0:
		return "no name at all"
	case len(all) > most:
		return printable(fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most))
	}
	return printable(strings.Join(all, ", "))
}

// checkChain judges the order of what is shown.
func checkChain(t *tlsSeen) []Finding {
	for i := 1; i < len(t.chain); i++ {
		if !bytes.Equal(t.chain[i-1].RawIssuer, t.chain[i].RawSubject) {
			return []Finding{{
				Warning, Certificate, "chain-order", "the chain is out of order, or holds what does not belong to it: strict clients refuse it", chainLines(t.chain),
				"import it anew, Albion puts it in order: `albion cert import NAME fullchain.pem privkey.pem`",
			}}
		}
	}
	if last := t.chain[len(t.chain)-1]; len(t.chain) > 2 && bytes.Equal(last.RawIssuer, last.RawSubject) {
		return []Finding{{Note, Certificate, "root-shown", "the chain ends with a root, which clients have to know already: it costs bytes at every handshake", nil, ""}}
	}
	return nil
}

func chainLines(chain []*x509.Certificate) []string {
	var all []string
	for _, c := range chain[:min(len(chain), 6)] {
		all = append(all, printable(fmt.Sprintf("%s, signed by %s", c.Subject, c.Issuer)))
	}
	return all
}

// checkStrength judges keys, signatures and versions.
func checkStrength(t *tlsSeen) []Finding {
	var all []Finding
	var weak []string
	for _, c := range t.chain {
		switch key := c.PublicKey.(type) {
		case *rsa.PublicKey:
			if key.N.BitLen() < 2048 {
				weak = append(weak, fmt.Sprintf("an RSA key of %d bits", key.N.BitLen()))
			}
		case *ecdsa.PublicKey:
			if key.Curve.Params().BitSize < 256 {
				weak = append(weak, fmt.Sprintf("a key on a curve of %d bits", key.Curve.Params().BitSize))
			}
		}
		root := bytes.Equal(c.RawIssuer, c.RawSubject) // nobody checks the signature of a root
		switch c.SignatureAlgorithm {
		case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.MD5WithRSA, x509.DSAWithSHA1:
			if !root || c == t.chain[0] {
				weak = append(weak, "a signature by "+c.SignatureAlgorithm.String())
			}
		}
	}
	if len(weak) > 0 {
		all = append(all, Finding{Problem, Certificate, "weak", "the certificate is too weak for browsers: " + strings.Join(weak, ", "), nil, "have it issued anew with an ECDSA P-256 key, which `albion cert request` makes"})
	}
	switch {
	case t.version < tls.VersionTLS12:
		all = append(all, Finding{Problem, Certificate, "old-tls", fmt.Sprintf("the server speaks %s at best, which browsers refuse", versionName(t.version)), nil, "put Albion in front of it, or upgrade it"})
	case t.old != 0:
		all = append(all, Finding{Note, Certificate, "old-tls-accepted", fmt.Sprintf("the server still accepts %s, which nobody needs", versionName(t.old)), nil, "choose a security policy without it, such as Albion's default"})
	default:
		all = append(all, Finding{OK, Certificate, "tls", fmt.Sprintf("%s is spoken, and nothing older than TLS 1.2", versionName(t.version)), nil, ""})
	}
	return all
}
