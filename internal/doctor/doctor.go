package doctor

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/albion-lb/albion/internal/resolve"
)

// Config is how a doctor looks. Names is required.
type Config struct {
	Names     *resolve.Resolver
	Unchecked *resolve.Resolver // the same without DNSSEC; nil: whether that helps is not found out
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	Now       func() time.Time
	Roots     *x509.CertPool // whom browsers trust; nil: as this system does
	Private   *x509.CertPool // whom some clients were told to trust besides
	From      netip.Addr     // look at this address instead of where the name leads
	Origin    string         // of the page that opens the sockets, such as https://me.example.org; "": the subject's
	CAs       []CA           // that might be asked; none: those that are known, or Let's Encrypt
	Known     Known
	Patience  time.Duration      // with what is answered at once, such as the first frame of a socket; 0: 6 s
	Say       func(doing string) // called, one at a time, when something begins; nil: nobody listens
}

// letsEncrypt is asked when nothing else is said.
const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

func (c Config) whole() Config {
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Patience = cmp.Or(c.Patience, 6*time.Second)
	if c.Say == nil {
		c.Say = func(string) {}
	}
	if len(c.CAs) == 0 {
		c.CAs = c.Known.CAs
	}
	if len(c.CAs) == 0 {
		c.CAs = []CA{{Directory: letsEncrypt}}
	}
	return c
}

// lookup finds the addresses of a host as a browser on this machine does.
func (c Config) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if reserved(host) {
		// The hosts file, multicast DNS and the like.
		all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		for i := range all {
			all[i] = all[i].Unmap()
		}
		return all, err
	}
	var all []netip.Addr
	var failed error
	for _, kind := range []string{"A", "AAAA"} {
		a, err := c.Names.Lookup(ctx, host, kind)
		if err != nil && !errors.Is(err, resolve.NoData) {
			failed = err
		}
		all = append(all, addrs(a.Of(kind))...)
	}
	if len(all) == 0 && failed == nil {
		failed = fmt.Errorf("%s has no address", host)
	}
	if len(all) > 0 {
		failed = nil
	}
	return all, failed
}

func addrs(texts []string) []netip.Addr {
	var all []netip.Addr
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil {
			all = append(all, a.Unmap())
		}
	}
	return all
}

// Examine looks at a subject and says what it found. It ends when ctx does, with
// what was found until then.
func Examine(ctx context.Context, subject Subject, c Config) *Report {
	c = c.whole()
	s := &sight{subject: subject, known: c.Known, now: c.Now(), from: c.From, origin: c.Origin}
	s.look(ctx, c)
	return s.report(ctx.Err() != nil)
}

// look sees everything, one stage after the other: what a stage needs the ones
// before it have found.
func (s *sight) look(ctx context.Context, c Config) {
	e := &eye{cfg: c, name: s.subject.Name}
	c.Say("asking name servers")
	together(
		func() { s.lookAtNames(ctx, c) },
		func() { s.lookAtCAs(ctx, c) },
	)
	e.addresses = s.addresses()
	if s.from.IsValid() && s.names == nil {
		s.names = &namesSeen{}
	}
	if s.names == nil && len(e.addresses) == 0 {
		// A name that only this machine knows: no name server is asked.
		e.addresses, _ = c.lookup(ctx, s.subject.Name)
		s.names = &namesSeen{a: e.addresses}
		s.names.addresses.missing = len(e.addresses) == 0
	}
	if len(e.addresses) == 0 || ctx.Err() != nil {
		return
	}
	c.Say("trying ports")
	https, plain := addrPorts(e.addresses, s.subject.HTTPS), addrPorts(e.addresses, s.subject.HTTP)
	s.ports = e.knock(ctx, append(https, plain...))
	c.Say("reading certificates, following redirects")
	together(
		func() { s.tls = e.handshakes(ctx, s.opened(https)) },
		func() { s.lookAtPlain(ctx, e) },
		func() { s.lookAtPage(ctx, e) },
		func() { s.lookAround(ctx, e) },
	)
	c.Say("opening sockets")
	s.lookAtSockets(ctx, e)
}

// opened lists those of some ports that can be connected to.
func (s *sight) opened(all []netip.AddrPort) []netip.AddrPort {
	var out []netip.AddrPort
	for _, p := range s.ports {
		for _, a := range all {
			if p.addr == a && p.how == open {
				out = append(out, a)
			}
		}
	}
	return out
}

// challengePath is where a CA asks (RFC 8555 §8.3).
const challengePath = "/.well-known/acme-challenge/"

// lookAtPlain sees where plain HTTP leads, and what a CA would be told there.
func (s *sight) lookAtPlain(ctx context.Context, e *eye) {
	if len(s.reachable(s.subject.HTTP, open)) == 0 {
		return
	}
	token := s.known.Token
	if token == "" {
		token = "albion-" + nonce()
	}
	together(
		func() { s.plain = e.walk(ctx, s.subject.plainURL(s.subject.URL.Path)) },
		func() {
			s.token = &tokenSeen{walk: *e.walk(ctx, s.subject.plainURL(challengePath+token)), want: s.known.Answer}
			s.token.walk.body = s.token.walk.body[:min(len(s.token.walk.body), 512)]
		},
	)
}

// lookAround tries the servers' own ports at the balancer's addresses, and those
// of servers that have public ones.
func (s *sight) lookAround(ctx context.Context, e *eye) {
	const most = 8
	var all []aroundSeen
	for _, t := range s.known.Targets {
		host, port, err := net.SplitHostPort(t)
		if err != nil || port == portText(s.subject.HTTPS) || port == portText(s.subject.HTTP) {
			continue
		}
		at := s.addresses()
		if a, err := netip.ParseAddr(host); err == nil && public(a) {
			at = []netip.Addr{a}
		}
		for _, a := range at {
			if p, err := netip.ParseAddrPort(net.JoinHostPort(a.String(), port)); err == nil && public(a) && len(all) < most {
				all = append(all, aroundSeen{target: t, addr: p})
			}
		}
	}
	each(len(all), func(i int) { all[i].how = e.knock(ctx, []netip.AddrPort{all[i].addr})[0].how })
	s.around = all
}

// openerOrigin is the origin of the page that opens the sockets of an endpoint.
func (s *sight) openerOrigin(endpoint *url.URL) string {
	switch {
	case s.origin != "":
		return strings.TrimSuffix(strings.ToLower(s.origin), "/")
	case s.page != nil:
		return origin(s.page.url)
	}
	return origin(endpoint)
}
