package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/albion-lb/albion/internal/resolve"
)

// lookAtNames asks name servers for all that concerns a name. Addresses and names
// that only this network knows are not asked for.
func (s *sight) lookAtNames(ctx context.Context, c Config) {
	name := s.subject.Name
	if s.subject.Addr.IsValid() || reserved(name) {
		return
	}
	n := &namesSeen{}
	s.names = n
	together(
		func() { n.lookAtAddresses(ctx, c, name) },
		func() { n.lookAtZone(ctx, c.Names, name) },
		func() { n.caa, n.caaErr = c.Names.CAA(ctx, name) },
		func() { n.challenge = lookAtChallenge(ctx, c.Names, "_acme-challenge."+name) },
		func() {
			chain, err := c.Names.Follow(ctx, name)
			n.chain, n.chainErr = rest(chain), err
		},
	)
}

// rest is a chain without the name that it begins with.
func rest(chain []string) []string {
	if len(chain) == 0 {
		return nil
	}
	return chain[1:]
}

func (n *namesSeen) lookAtAddresses(ctx context.Context, c Config, name string) {
	var answers [2]resolve.Answer
	var errs [2]error
	each(2, func(i int) { answers[i], errs[i] = c.Names.Lookup(ctx, name, []string{"A", "AAAA"}[i]) })
	n.a, n.aaaa = addrs(answers[0].Of("A")), addrs(answers[1].Of("AAAA"))
	for _, err := range errs {
		switch {
		case err == nil || errors.Is(err, resolve.NoData):
		case errors.Is(err, resolve.NXDOMAIN):
			n.addresses.missing = true
		default:
			n.addresses.err = err
		}
	}
	if len(n.a)+len(n.aaaa) > 0 {
		n.addresses = answerSeen{}
		return
	}
	n.addresses.empty = !n.addresses.missing && n.addresses.err == nil
	if errors.Is(n.addresses.err, resolve.ServFail) && c.Unchecked != nil {
		_, err := c.Unchecked.Lookup(ctx, name, "A")
		n.unchecked = err == nil || errors.Is(err, resolve.NoData) || errors.Is(err, resolve.NXDOMAIN)
	}
}

func (n *namesSeen) lookAtZone(ctx context.Context, r *resolve.Resolver, name string) {
	if n.zone, n.zoneErr = r.Zone(ctx, name); n.zoneErr != nil {
		return
	}
	n.said = r.Poll(ctx, n.zone, name, "A")
	if name == n.zone.Name {
		return // beside the apex is another zone
	}
	// A name that was made has answers of its own type; one that a wildcard makes
	// answers as any other would.
	made, err := r.Wildcard(ctx, name, "A")
	n.wildcard = err == nil && len(made) > 0 && sameData(made, n.said)
}

// sameData says whether the name itself answers what names beside it do that
// nobody made.
func sameData(made []resolve.Record, said []resolve.Statement) bool {
	for _, s := range said {
		if s.Err != nil && len(s.Answer.Records) == 0 {
			continue
		}
		if len(s.Answer.Records) != len(made) {
			return false
		}
		all := map[string]bool{}
		for _, r := range made {
			all[r.Type+" "+r.Data] = true
		}
		for _, r := range s.Answer.Records {
			if !all[r.Type+" "+r.Data] {
				return false
			}
		}
		return true
	}
	return false
}

func lookAtChallenge(ctx context.Context, r *resolve.Resolver, name string) challengeSeen {
	var out challengeSeen
	together(
		func() {
			chain, err := r.Follow(ctx, name)
			out.chain, out.chainErr = rest(chain), err
		},
		func() {
			if a, err := r.Lookup(ctx, name, "TXT"); err == nil {
				out.texts = a.Of("TXT")
			}
		},
		func() {
			// An alias or a text that everything below the name has swallows the
			// challenge too.
			if made, err := r.Wildcard(ctx, name, "TXT"); err == nil {
				out.wildcard = made
			}
		},
	)
	return out
}

// lookAtCAs reads the directory of each CA: whether it can be reached, its clock,
// and what CAA records call it.
func (s *sight) lookAtCAs(ctx context.Context, c Config) {
	if s.subject.Addr.IsValid() && !public(s.subject.Addr) || reserved(s.subject.Name) && len(c.Known.CAs) == 0 {
		return
	}
	s.cas = make([]caSeen, min(len(c.CAs), 5))
	each(len(s.cas), func(i int) { s.cas[i] = lookAtCA(ctx, c, c.CAs[i]) })
}

const maxDirectory = 64 << 10 // bytes

func lookAtCA(ctx context.Context, c Config, ca CA) caSeen {
	out := caSeen{CA: ca, identities: identities(ca.Directory)}
	ctx, cancel := context.WithTimeout(ctx, oneAnswer)
	defer cancel()
	roots := c.Roots
	if ca.Roots != "" {
		roots = x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(ca.Roots))
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: c.Dial, DisableKeepAlives: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxHeader,
		TLSClientConfig: &tls.Config{RootCAs: roots},
	}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, ca.Directory, nil)
	if err != nil {
		out.err = err
		return out
	}
	r.Header.Set("User-Agent", agent)
	begun := c.Now()
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		out.err = cause(err)
		return out
	}
	defer answer.Body.Close()
	out.took = c.Now().Sub(begun)
	if out.date, err = http.ParseTime(answer.Header.Get("Date")); err != nil {
		out.date = time.Time{}
	}
	if answer.StatusCode != http.StatusOK {
		out.err = fmt.Errorf("it answers %d", answer.StatusCode)
		return out
	}
	var said struct {
		Meta struct {
			CAA []string `json:"caaIdentities"`
		} `json:"meta"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxDirectory)).Decode(&said); err == nil && len(said.Meta.CAA) > 0 {
		out.identities = said.Meta.CAA
	}
	return out
}

// identities is what CAA records call a CA, for those that are known, in case it
// does not say so itself now.
func identities(directory string) []string {
	return map[string][]string{
		"acme-v02.api.letsencrypt.org":         {"letsencrypt.org"},
		"acme-staging-v02.api.letsencrypt.org": {"letsencrypt.org"},
		"acme.zerossl.com":                     {"sectigo.com", "trust-provider.com", "usertrust.com", "comodoca.com", "comodo.com"},
		"dv.acme-v02.api.pki.goog":             {"pki.goog"},
		"dv.acme-v02.test-api.pki.goog":        {"pki.goog"},
	}[hostOf(directory)]
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// caName is what people call a CA.
func caName(directory string) string {
	return cmp.Or(map[string]string{
		"acme-v02.api.letsencrypt.org":         "Let's Encrypt",
		"acme-staging-v02.api.letsencrypt.org": "Let's Encrypt's staging",
		"acme.zerossl.com":                     "ZeroSSL",
		"dv.acme-v02.api.pki.goog":             "Google Trust Services",
		"dv.acme-v02.test-api.pki.goog":        "Google Trust Services' staging",
	}[hostOf(directory)], hostOf(directory))
}
