package doctor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/albion-lb/albion/internal/resolve"
)

// checkNames judges what name servers say of the name.
func checkNames(s *sight) []Finding {
	n := s.names
	switch {
	case s.subject.Addr.IsValid():
		return checkAddress(s)
	case n == nil:
		return nil
	}
	all, gone := checkFound(s, n)
	if gone {
		return all
	}
	all = append(all, checkAliases(s, n)...)
	all = append(all, checkLeads(s, n)...)
	all = append(all, checkServers(s, n)...)
	if n.wildcard {
		all = append(all, Finding{Note, Names, "wildcard", fmt.Sprintf("%s has no record of its own: the wildcard *.%s answers for it", s.subject.Name, parent(s.subject.Name)), nil, ""})
	}
	return all
}

// checkAddress judges an address that was given instead of a name.
func checkAddress(s *sight) []Finding {
	if public(s.subject.Addr) {
		return []Finding{{
			Note, Names, "address", fmt.Sprintf("%s is an address: certificates for addresses live six days, and only HTTP and TLS challenges prove them", s.subject.Addr), nil,
			"give the server a name, unless an address is what you want",
		}}
	}
	return []Finding{{
		Note, Names, "private-address", fmt.Sprintf("%s is reached from its own network only, and no public CA certifies it", s.subject.Addr), nil,
		"use a certificate of the local CA, which clients have to trust: `albion up` without --email",
	}}
}

// checkFound judges whether the name leads anywhere; gone means that nothing else
// can be said.
func checkFound(s *sight, n *namesSeen) (all []Finding, gone bool) {
	name := s.subject.Name
	switch a := n.addresses; {
	case reserved(name) && a.missing:
		return []Finding{{
			Problem, Names, "unknown-here", fmt.Sprintf("this machine does not know %s, and no public name server can: names that end so are for private use", name), nil,
			fmt.Sprintf("put %s into the hosts file of each client, or use a name of a domain that you own", name),
		}}, true
	case reserved(name):
		return []Finding{{
			Note, Names, "private-name", fmt.Sprintf("%s is a name for private use: no public CA certifies it", name), nil,
			"use a certificate of the local CA, which clients have to trust: `albion up` without --email",
		}}, false
	case a.missing && offline(s):
		return []Finding{{
			Warning, Names, "offline", fmt.Sprintf("this machine's name server knows neither %s nor any CA: it may have no way to the Internet", name), nil,
			"look from a machine with a working network, or name a server: `albion doctor " + name + " --resolver 192.0.2.53` with its address",
		}}, !s.from.IsValid()
	case a.missing:
		return []Finding{{
			Problem, Names, "no-such-name", fmt.Sprintf("%s does not exist: no name server knows it", name), aliasLines(s, n), s.addRecord(),
		}}, !s.from.IsValid()
	case a.err != nil && n.unchecked:
		return []Finding{{
			Problem, Names, "dnssec", fmt.Sprintf("name servers know %s, and refuse to say so because its DNSSEC signatures do not hold", name), []string{a.err.Error()},
			fmt.Sprintf("have the registrar's DS record and the zone %s agree: remove the DS record when the zone is not signed any more", orName(n.zone.Name, name)),
		}}, !s.from.IsValid()
	case errors.Is(a.err, resolve.ServFail):
		return []Finding{{
			Problem, Names, "name-servers-fail", fmt.Sprintf("the name servers of %s do not answer", name), []string{a.err.Error()},
			"have the registrar name servers that serve this zone; CAs give up where name servers fail",
		}}, !s.from.IsValid()
	case a.err != nil:
		return []Finding{{
			Warning, Names, "no-answer", "this machine's name server does not answer, so what the Internet knows of the name cannot be seen", []string{a.err.Error()},
			"look from a machine with a working network, or name a server: `albion doctor " + name + " --resolver 192.0.2.53` with its address",
		}}, !s.from.IsValid()
	case a.empty:
		return []Finding{{
			Problem, Names, "no-address", fmt.Sprintf("%s exists and has no address", name), aliasLines(s, n), s.addRecord(),
		}}, !s.from.IsValid()
	}
	return nil, false
}

// offline says whether not even the names of CAs are known.
func offline(s *sight) bool {
	var unknown *net.DNSError
	return len(s.cas) > 0 && !slices.ContainsFunc(s.cas, func(ca caSeen) bool { return !errors.As(ca.err, &unknown) || !unknown.IsNotFound })
}

func orName(zone, name string) string {
	if zone == "" {
		return name
	}
	return zone
}

// addRecord says which record makes the name lead here.
func (s *sight) addRecord() string {
	where := "the address of your server"
	kind := "A"
	if own := s.ownPublic(); len(own) > 0 {
		where = own[0].String()
		if own[0].Is6() {
			kind = "AAAA"
		}
	}
	if len(s.names.chain) > 0 {
		return fmt.Sprintf("replace the CNAME of %s by an %s record with %s", s.subject.Name, kind, where)
	}
	return fmt.Sprintf("where the domain is managed, add a record: host %s, type %s, value %s", s.hostPart(), kind, where)
}

// hostPart is the name as the form of a registrar wants it.
func (s *sight) hostPart() string {
	zone := s.names.zone.Name
	switch zone {
	case "":
		return s.subject.Name
	case s.subject.Name:
		return "@"
	}
	return strings.TrimSuffix(s.subject.Name, "."+zone)
}

// ownPublic is this machine's public addresses, as far as they are known.
func (s *sight) ownPublic() []netip.Addr {
	return slices.DeleteFunc(slices.Clone(s.known.Addresses), func(a netip.Addr) bool { return !public(a) })
}

func aliasLines(s *sight, n *namesSeen) []string {
	if len(n.chain) == 0 {
		return nil
	}
	return []string{s.subject.Name + " CNAME " + strings.Join(n.chain, " CNAME ")}
}

// checkAliases judges what the name is an alias of.
func checkAliases(s *sight, n *namesSeen) []Finding {
	if errors.Is(n.chainErr, resolve.Endless) {
		return []Finding{{Problem, Names, "alias-circle", "the aliases of " + s.subject.Name + " lead nowhere", append(aliasLines(s, n), n.chainErr.Error()), "let the first of them be an A record instead"}}
	}
	h, known := s.elsewhere()
	if len(n.chain) == 0 {
		if !known || s.from.IsValid() {
			return nil
		}
		return []Finding{{
			orWarning(h.cdn || s.good(), Note), Names, "elsewhere", fmt.Sprintf("%s answers for %s, not this machine", h.name, s.subject.Name), nil, stepAside(s, h),
		}}
	}
	if !known {
		if n.zone.Name == s.subject.Name {
			return []Finding{{Problem, Names, "alias-at-apex", fmt.Sprintf("%s is a whole zone and an alias at once, which name servers treat as they please", s.subject.Name), aliasLines(s, n), s.addRecord()}}
		}
		return []Finding{{OK, Names, "alias", fmt.Sprintf("%s is an alias of %s", s.subject.Name, n.chain[len(n.chain)-1]), aliasLines(s, n), ""}}
	}
	return []Finding{{
		orWarning(h.cdn || s.good(), Note), Names, "elsewhere", fmt.Sprintf("%s is an alias that leads to %s, so a CA that asks it over HTTP or TLS asks %s and not this machine", s.subject.Name, h.name, h.name),
		append(aliasLines(s, n), "a name with a CNAME can hold nothing else: no A, no TXT, no CAA of its own; _acme-challenge."+s.subject.Name+" is another name and can"), stepAside(s, h),
	}}
}

// good says whether a browser gets an answer over HTTPS, whoever gives it.
func (s *sight) good() bool {
	return s.secure.arrived() && s.secure.last().status < 400 && len(s.tls) > 0 && s.tls[0].err == nil && s.tls[0].verdict == nil
}

// stepAside is what to do with a name that somebody else answers for.
func stepAside(s *sight, h host) string {
	if h.cdn {
		return fmt.Sprintf("keep %s if you want it in between, and prove the name by DNS: `albion cert request -d %s --challenge dns-delegated`", h.name, s.subject.Name)
	}
	return fmt.Sprintf("leave the page at %s and give the server a name of its own, such as %s, with an A record to it: `albion up --domain %s --to HOST:PORT`", h.name, s.another(), s.another())
}

// another is a name that might be given to the server beside the subject.
func (s *sight) another() string {
	zone := s.subject.Name
	if s.names != nil && s.names.zone.Name != "" {
		zone = s.names.zone.Name
	}
	if name := "chat." + zone; name != s.subject.Name {
		return name
	}
	return "live." + zone
}

// orWarning is a grade on a condition.
func orWarning(when bool, then Grade) Grade {
	if when {
		return then
	}
	return Warning
}

// checkLeads judges where the addresses lead.
func checkLeads(s *sight, n *namesSeen) []Finding {
	all := append(slices.Clone(n.a), n.aaaa...)
	if _, known := s.elsewhere(); known || reserved(s.subject.Name) || len(all) == 0 {
		return nil
	}
	if !slices.ContainsFunc(all, public) {
		return []Finding{{
			Warning, Names, "private-lead", fmt.Sprintf("%s leads to %s, which the Internet cannot reach: neither can a CA", s.subject.Name, join(all)), nil,
			"prove the name by DNS, which needs no way in: `albion cert request -d " + s.subject.Name + " --challenge dns-delegated`",
		}}
	}
	own := s.ownPublic()
	if len(own) == 0 {
		return []Finding{{OK, Names, "leads", fmt.Sprintf("%s leads to %s", s.subject.Name, join(all)), nil, ""}}
	}
	foreign4, foreign6 := without(n.a, own), without(n.aaaa, own)
	has4 := len(foreign4) < len(n.a)
	has6 := slices.ContainsFunc(own, netip.Addr.Is6)
	switch {
	case len(foreign4)+len(foreign6) == 0:
		return []Finding{{OK, Names, "leads", fmt.Sprintf("%s leads to this machine (%s)", s.subject.Name, join(all)), nil, ""}}
	case len(foreign4)+len(foreign6) == len(all):
		return []Finding{{
			Warning, Names, "leads-elsewhere", fmt.Sprintf("%s leads to %s, and this machine is %s", s.subject.Name, join(all), join(own)), nil,
			fmt.Sprintf("if this machine is meant to answer, change the record to %s; behind a NAT or another balancer, forward ports 80 and 443 here", own[0]),
		}}
	case has4 && len(foreign6) > 0:
		next := "delete the AAAA record of " + s.subject.Name
		if has6 {
			next = fmt.Sprintf("change the AAAA record to %s", own[slices.IndexFunc(own, netip.Addr.Is6)])
		}
		return []Finding{{
			Problem, Names, "aaaa-elsewhere", fmt.Sprintf("the IPv6 address of %s, %s, is not this machine's: browsers and CAs prefer it to %s", s.subject.Name, join(foreign6), join(n.a)), nil, next,
		}}
	}
	return []Finding{{
		Warning, Names, "leads-partly", fmt.Sprintf("%s leads to this machine and to others as well: %s", s.subject.Name, join(append(foreign4, foreign6...))), nil,
		"delete the records of addresses that do not answer alike: a CA may ask any of them",
	}}
}

func without(all, own []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return slices.Contains(own, a) })
}

func join(all []netip.Addr) string {
	texts := make([]string, len(all))
	for i, a := range all {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}

// checkServers judges whether the authoritative servers say the same.
func checkServers(s *sight, n *namesSeen) []Finding {
	var silent, lines []string
	answers := map[string]bool{}
	for _, said := range n.said {
		who := said.Server
		if said.Address.IsValid() {
			who += " (" + said.Address.String() + ")"
		}
		switch {
		case said.Err != nil && !errors.Is(said.Err, resolve.NoData) && !errors.Is(said.Err, resolve.NXDOMAIN):
			if said.Address.Is6() && errors.Is(said.Err, resolve.Unreachable) {
				continue // this machine may have no IPv6
			}
			silent = append(silent, fmt.Sprintf("%s: %v", who, said.Err))
		default:
			text := statement(said)
			answers[text] = true
			lines = append(lines, who+" says "+text)
		}
	}
	var all []Finding
	if len(answers) > 1 && !rotating(n) {
		all = append(all, Finding{
			Warning, Names, "servers-disagree", fmt.Sprintf("the name servers of %s do not agree about %s: what somebody sees is a matter of luck", n.zone.Name, s.subject.Name), lines,
			"wait until all of them have the change; if it stays so, have the registrar name only the servers that are kept up to date",
		})
	}
	if len(silent) > 0 && len(silent) < len(n.said) {
		all = append(all, Finding{
			Warning, Names, "server-silent", fmt.Sprintf("not every name server of %s answers, and a CA may happen to ask one that does not", n.zone.Name), silent,
			"have the registrar name only servers that answer for this zone",
		})
	}
	if len(all) == 0 && len(answers) == 1 {
		all = append(all, Finding{OK, Names, "servers-agree", fmt.Sprintf("all name servers of %s say the same", n.zone.Name), nil, ""})
	}
	return all
}

// statement is what one server says, in a form that can be compared.
func statement(said resolve.Statement) string {
	switch {
	case errors.Is(said.Err, resolve.NXDOMAIN):
		return "that there is no such name"
	case errors.Is(said.Err, resolve.NoData) && len(said.Answer.Records) == 0:
		return "that it has no address"
	}
	var all []string
	for _, r := range said.Answer.Records {
		all = append(all, r.Type+" "+r.Data)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// rotating says whether servers give parts of many addresses in turn, as those of
// large services do: what they say differs, and what recursive servers see is
// none of the machine's own.
func rotating(n *namesSeen) bool {
	different := map[string]bool{}
	for _, said := range n.said {
		if said.Err != nil || len(said.Answer.Records) == 0 {
			return false
		}
		for _, r := range said.Answer.Records {
			different[r.Data] = true
		}
	}
	return len(different) > 6
}

func parent(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	return rest
}
