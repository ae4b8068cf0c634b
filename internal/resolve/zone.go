package resolve

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Zone is a zone and who speaks for it.
type Zone struct {
	Name     string        // its apex
	Primary  string        // the server that its SOA names
	Negative time.Duration // how long resolvers remember that something is not there (RFC 2308 §5)
	Servers  []Server
}

// Server is an authoritative server. Without addresses it cannot be asked.
type Server struct {
	Name      string
	Addresses []netip.Addr
}

// Zone finds the zone that holds a name, which need not be there itself. The
// recursive servers are asked only for what is above it: a server that has been
// asked for a name that is not there yet, such as one that is to prove something,
// remembers that it is not (RFC 2308), and may be the one that a CA asks next. From
// the first zone on the way the zones' own servers refer to those below.
func (r *Resolver) Zone(ctx context.Context, name string) (Zone, error) {
	name = plain(name)
	z, err := r.above(ctx, name)
	for cuts := 0; err == nil && z.Name != "" && cuts < 16; cuts++ {
		below, answered := r.refer(ctx, z, name)
		if !answered {
			break
		}
		if below == z.Name {
			return z, nil
		}
		z, err = r.zoneAt(ctx, below)
	}
	if err != nil && !errors.Is(err, NXDOMAIN) && !errors.Is(err, NoData) {
		return Zone{}, err
	}
	// There is none, or nobody inside may ask the servers outside.
	return r.climb(ctx, name)
}

// above is the highest zone over a name that is none of a top-level domain, if there
// is one; the servers of those are not to be bothered.
func (r *Resolver) above(ctx context.Context, name string) (Zone, error) {
	labels := dns.Split(dns.Fqdn(name))
	for i := len(labels) - 2; i > 0; i-- { // from two labels on, and not the name itself
		m, _, err := r.recursive(ctx, name[labels[i]:], "SOA")
		if err != nil {
			return Zone{}, err
		}
		if soa := apex(m, name[labels[i]:]); soa != nil && plain(soa.Hdr.Name) == name[labels[i]:] {
			return r.staffed(ctx, soa)
		}
	}
	return Zone{}, nil
}

// zoneAt is the zone with this apex.
func (r *Resolver) zoneAt(ctx context.Context, name string) (Zone, error) {
	m, _, err := r.recursive(ctx, name, "SOA")
	if err != nil {
		return Zone{}, err
	}
	soa := apex(m, name)
	if soa == nil || plain(soa.Hdr.Name) != name {
		return Zone{}, &Error{Kind: NoData, Name: name, Type: "SOA", Detail: "it is delegated, and no zone"}
	}
	return r.staffed(ctx, soa)
}

// refer asks the servers of a zone which zone holds a name: theirs, or one below
// that they know of.
func (r *Resolver) refer(ctx context.Context, z Zone, name string) (zone string, answered bool) {
	inside := func(apex string) bool {
		return len(apex) >= len(z.Name) && dns.IsSubDomain(dns.Fqdn(z.Name), dns.Fqdn(apex)) && dns.IsSubDomain(dns.Fqdn(apex), dns.Fqdn(name))
	}
	read := func(s *Statement) string {
		for _, rec := range slices.Concat(s.Answer.Records, s.Answer.Authority) {
			switch {
			case rec.Type == "CNAME" && rec.Name == name && s.Answer.Authoritative:
				return z.Name // an alias is at no apex
			case rec.Type == "SOA" && inside(rec.Name) && s.Answer.Authoritative,
				rec.Type == "NS" && inside(rec.Name) && rec.Name != z.Name && !s.Answer.Authoritative:
				return rec.Name
			}
		}
		return ""
	}
	s := r.first(ctx, z, name, "SOA", func(s *Statement) bool { return read(s) != "" })
	if s == nil {
		return "", false
	}
	return read(s), true
}

// climb is Zone by the recursive servers alone: it asks for a SOA record at the name
// and its ancestors in turn.
func (r *Resolver) climb(ctx context.Context, name string) (Zone, error) {
	for at := name; at != ""; at = parent(at) {
		m, _, err := r.recursive(ctx, at, "SOA")
		if errors.Is(err, ServFail) && r.isAlias(ctx, at) {
			continue // what is broken is where it leads
		}
		if err != nil {
			return Zone{}, err
		}
		if soa := apex(m, at); soa != nil {
			return r.staffed(ctx, soa)
		}
	}
	return Zone{}, &Error{Kind: NoData, Name: name, Type: "SOA", Detail: "it is in no zone"}
}

// isAlias asks for the alias itself, which is not followed then.
func (r *Resolver) isAlias(ctx context.Context, name string) bool {
	a, err := r.Lookup(ctx, name, "CNAME")
	return err == nil && alias(a, name) != ""
}

// apex finds the SOA of the zone that holds name in an answer: as the answer itself,
// or as what proves that there is none. A SOA that an alias led to is of another
// zone.
func apex(m *dns.Msg, name string) *dns.SOA {
	for _, rr := range m.Answer {
		if soa, ok := rr.(*dns.SOA); ok && plain(soa.Hdr.Name) == name {
			return soa
		}
	}
	if len(m.Answer) > 0 {
		return nil
	}
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok && soa.Hdr.Name != "." && dns.IsSubDomain(soa.Hdr.Name, dns.Fqdn(name)) {
			return soa
		}
	}
	return nil
}

// staffed finds the servers of a zone and all their addresses.
func (r *Resolver) staffed(ctx context.Context, soa *dns.SOA) (Zone, error) {
	z := Zone{
		Name: plain(soa.Hdr.Name), Primary: plain(soa.Ns),
		Negative: time.Duration(min(soa.Minttl, soa.Hdr.Ttl)) * time.Second,
	}
	a, err := r.Lookup(ctx, z.Name, "NS")
	if err != nil {
		return z, err
	}
	names := a.Of("NS")
	slices.Sort(names)
	names = slices.Compact(names)
	z.Servers = make([]Server, min(len(names), maxServers))
	each(len(z.Servers), func(i int) {
		z.Servers[i] = Server{Name: names[i], Addresses: r.addresses(ctx, names[i])}
	})
	return z, nil
}

// addresses of a host, IPv4 first; none when they cannot be found.
func (r *Resolver) addresses(ctx context.Context, host string) []netip.Addr {
	var all []netip.Addr
	for _, kind := range []string{"A", "AAAA"} {
		a, err := r.Lookup(ctx, host, kind)
		if err != nil {
			continue
		}
		for _, s := range a.Of(kind) {
			if addr, err := netip.ParseAddr(s); err == nil && len(all) < maxAddresses {
				all = append(all, addr.Unmap())
			}
		}
	}
	return all
}

// each calls f for 0 to n-1, several at once, and returns when all have.
func each(n int, f func(i int)) {
	var wait sync.WaitGroup
	turns := make(chan struct{}, maxAtOnce)
	for i := range n {
		turns <- struct{}{}
		wait.Go(func() {
			defer func() { <-turns }()
			f(i)
		})
	}
	wait.Wait()
}

// Statement is what one address of an authoritative server says.
type Statement struct {
	Server  string     // its name
	Address netip.Addr // invalid: no address of it can be found
	Answer  Answer
	Err     error // an *Error: NoData and NXDOMAIN are answers too
}

// Everywhere asks every address of every authoritative server of the name's zone
// for the name itself, without following aliases. They come in the order of the
// servers' names. An error means that there is nobody to ask.
func (r *Resolver) Everywhere(ctx context.Context, name, recordType string) ([]Statement, error) {
	z, err := r.Zone(ctx, name)
	if err != nil {
		return nil, err
	}
	return r.Poll(ctx, z, name, recordType), nil
}

// Poll is Everywhere for a zone that is known.
func (r *Resolver) Poll(ctx context.Context, z Zone, name, recordType string) []Statement {
	var all []Statement
	for _, s := range z.Servers {
		for _, addr := range s.Addresses {
			all = append(all, Statement{Server: s.Name, Address: addr})
		}
		if len(s.Addresses) == 0 {
			all = append(all, Statement{Server: s.Name, Err: &Error{
				Kind: Unreachable, Name: name, Type: recordType, Server: s.Name, Detail: "it has no address",
			}})
		}
	}
	each(len(all), func(i int) {
		if s := &all[i]; s.Address.IsValid() {
			s.Answer, s.Err = r.ask(ctx, r.to(s, name, recordType))
		}
	})
	return all
}

func (r *Resolver) to(s *Statement, name, recordType string) question {
	address := netip.AddrPortFrom(s.Address, uint16(r.cfg.Port)).String()
	return question{name: plain(name), recordType: recordType, address: address, server: who(s.Server, address)}
}

// fresh asks the zone's own servers, which no cache stands before, and takes the
// first that answers. Where none of them can be reached, as in networks that let
// nobody ask outside, the recursive servers have to do.
func (r *Resolver) fresh(ctx context.Context, name, recordType string) (Answer, error) {
	z, err := r.Zone(ctx, name)
	if err != nil {
		return Answer{}, err
	}
	if s := r.first(ctx, z, name, recordType, speaks); s != nil {
		return s.Answer, s.Err
	}
	if ctx.Err() != nil {
		return Answer{}, &Error{Kind: Timeout, Name: name, Type: recordType}
	}
	return r.Lookup(ctx, name, recordType)
}

// speaks accepts what is said by a server of the zone itself.
func speaks(s *Statement) bool {
	return s.Err == nil || errors.Is(s.Err, NoData) || errors.Is(s.Err, NXDOMAIN)
}

// first asks some addresses at once and returns the first answer that good accepts;
// nil when there is none.
func (r *Resolver) first(ctx context.Context, z Zone, name, recordType string, good func(*Statement) bool) *Statement {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const some = 6
	var asked []Statement
	for turn := range maxAddresses { // an address of each server before the second of any
		for _, s := range z.Servers {
			if turn < len(s.Addresses) && len(asked) < some {
				asked = append(asked, Statement{Server: s.Name, Address: s.Addresses[turn]})
			}
		}
	}
	answers := make(chan Statement, some)
	var wait sync.WaitGroup
	defer wait.Wait()
	for _, s := range asked {
		wait.Go(func() {
			s.Answer, s.Err = r.ask(ctx, r.to(&s, name, recordType))
			answers <- s
		})
	}
	for range asked {
		if s := <-answers; good(&s) {
			cancel()
			return &s
		}
	}
	return nil
}

// Follow returns a name and those that its aliases lead to, in turn: the last has
// no alias. It asks the zones' own servers, so that what was changed a moment ago
// counts. More than eight aliases, or a circle, are of kind Endless, with the way
// so far.
func (r *Resolver) Follow(ctx context.Context, name string) ([]string, error) {
	chain := []string{plain(name)}
	for {
		at := chain[len(chain)-1]
		a, err := r.fresh(ctx, at, "CNAME")
		if errors.Is(err, NXDOMAIN) || errors.Is(err, NoData) {
			return chain, nil
		}
		if err != nil {
			return chain, err
		}
		next := alias(a, at)
		switch {
		case next == "":
			return chain, nil
		case slices.Contains(chain, next):
			return chain, &Error{Kind: Endless, Name: chain[0], Type: "CNAME", Detail: "they go in a circle at " + shown(next)}
		case len(chain) > maxAliases:
			return chain, &Error{Kind: Endless, Name: chain[0], Type: "CNAME", Detail: "there are more than " + strconv.Itoa(maxAliases)}
		}
		chain = append(chain, next)
	}
}

// alias is where a name leads by an answer; "": nowhere.
func alias(a Answer, name string) string {
	for _, rec := range a.Records {
		if rec.Type == "CNAME" && rec.Name == name {
			return rec.Data
		}
	}
	return ""
}

// Wildcard asks for a name beside the given one that nobody can have made, and
// returns what answers nevertheless: none when no wildcard does. RFC 4592 §2.2.
func (r *Resolver) Wildcard(ctx context.Context, name, recordType string) ([]Record, error) {
	label := "albion-" + strings.ToLower(rand.Text())
	a, err := r.fresh(ctx, label+"."+parent(plain(name)), recordType)
	if errors.Is(err, NXDOMAIN) || errors.Is(err, NoData) && len(a.Records) == 0 {
		return nil, nil
	}
	if errors.Is(err, NoData) {
		err = nil // an alias, which the caller wants to see
	}
	return a.Records, err
}

// Delegation asks the zone above which servers it names for the zone at name: nil
// when it names none, so that nobody finds it.
func (r *Resolver) Delegation(ctx context.Context, name string) ([]string, error) {
	name = plain(name)
	above, err := r.Zone(ctx, parent(name))
	if err != nil {
		return nil, err
	}
	var names []string
	last := error(&Error{Kind: NoServer, Name: name, Type: "NS"})
	for _, s := range r.Poll(ctx, above, name, "NS") {
		if s.Err != nil && !errors.Is(s.Err, Lame) && !errors.Is(s.Err, NXDOMAIN) && !errors.Is(s.Err, NoData) {
			last = s.Err
			continue
		}
		last = nil
		for _, rec := range append(s.Answer.Records, s.Answer.Authority...) { // a referral is in the second (RFC 1034 §4.3.2)
			if rec.Type == "NS" && rec.Name == name && !slices.Contains(names, rec.Data) {
				names = append(names, rec.Data)
			}
		}
		if len(names) > 0 {
			break
		}
	}
	slices.Sort(names)
	return names, last
}

// parent is the name without its first label; "" above the last.
func parent(name string) string {
	i, end := dns.NextLabel(name, 0)
	if end {
		return ""
	}
	return name[i:]
}
