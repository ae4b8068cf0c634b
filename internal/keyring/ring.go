package keyring

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"slices"
	"strings"
	"time"

	"github.com/albion-lb/albion"
)

// Ring is the set of certificates of one listener, ready to be chosen from. It
// is never written after Compile.
type Ring struct {
	exact map[string][]*shown // by name in lower case
	wild  map[string][]*shown // by what follows the asterisk: ".example.com"
	first *shown              // the default

	proofs map[string]*tls.Certificate // what CAs are shown that look by TLS, by server name
}

// shown is one certificate and what is asked about it in a handshake.
type shown struct {
	arn      albion.ARN
	cert     *tls.Certificate
	elliptic bool
	bits     int
	notAfter time.Time
}

// Choose returns the certificate for a handshake, as ALB's smart selection
// does: those for exactly this server name, else those with a wildcard for it,
// else the default. Among several it is the first that the client supports:
// ECDSA before RSA, then the larger key, then the one that lasts longer.
// When the client supports none of them it is the first anyway, so that the
// handshake fails for the true reason.
//
// Unlike AWS, one that has expired comes last.
//
// International names arrive as A-labels (RFC 6066 §3) and stand so in
// certificates; case and a trailing dot make no difference.
func (r *Ring) Choose(hello *tls.ClientHelloInfo, now time.Time) (*tls.Certificate, albion.ARN) {
	best := r.first
	if name := canonical(hello.ServerName); name != "" {
		exact := r.exact[name]
		var wild []*shown
		if dot := strings.IndexByte(name, '.'); dot > 0 { // one label, RFC 6125 §6.4.3
			wild = r.wild[name[dot:]]
		}
		best = choose(hello, now, exact, wild, r.first)
	}
	return best.cert, best.arn
}

// choose takes the best of several lists, each in order of preference.
func choose(hello *tls.ClientHelloInfo, now time.Time, exact, wild []*shown, fallback *shown) *shown {
	switch { // nearly always there is nothing to weigh
	case len(exact) == 1 && len(wild) == 0:
		return exact[0]
	case len(exact) == 0 && len(wild) == 1:
		return wild[0]
	}
	var best, late *shown
	for _, list := range [2][]*shown{exact, wild} {
		for _, s := range list {
			if best == nil {
				best = s
			}
			if hello.SupportsCertificate(s.cert) != nil {
				continue
			}
			if !now.After(s.notAfter) {
				return s
			}
			if late == nil {
				late = s
			}
		}
	}
	return cmp.Or(late, best, fallback)
}

// canonical is lower case without a trailing dot. It allocates only when there
// is something to change.
func canonical(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// newRing files certificates, the default first, under the names of their
// leaves.
func newRing(certs []*shown) *Ring {
	r := &Ring{
		exact: make(map[string][]*shown, len(certs)),
		wild:  map[string][]*shown{},
		first: certs[0],
	}
	for _, s := range certs {
		for _, name := range s.cert.Leaf.DNSNames {
			name = canonical(name)
			if rest, ok := strings.CutPrefix(name, "*."); ok {
				r.wild["."+rest] = append(r.wild["."+rest], s)
			} else {
				r.exact[name] = append(r.exact[name], s)
			}
		}
	}
	for _, names := range []map[string][]*shown{r.exact, r.wild} {
		for name, list := range names {
			if len(list) > 1 {
				slices.SortStableFunc(list, preferred)
				names[name] = slices.Compact(list)
			}
		}
	}
	return r
}

// preferred puts the better certificate first.
func preferred(a, b *shown) int {
	if a.elliptic != b.elliptic {
		if a.elliptic {
			return -1
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(b.bits, a.bits),
		b.notAfter.Compare(a.notAfter),
		cmp.Compare(a.arn, b.arn),
	)
}

func newShown(arn albion.ARN, cert *tls.Certificate) *shown {
	s := &shown{arn: arn, cert: cert, notAfter: cert.Leaf.NotAfter}
	switch key := cert.Leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		s.elliptic, s.bits = true, key.Curve.Params().BitSize
	case *rsa.PublicKey:
		s.bits = key.N.BitLen()
	}
	return s
}
