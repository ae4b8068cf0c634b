package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// methods says which ways there are to prove the name to a CA. Nothing public
// certifies what has no public name or address.
func methods(s *sight) []Method {
	switch {
	case s.subject.Addr.IsValid() && !public(s.subject.Addr), s.names != nil && reserved(s.subject.Name):
		return nil
	}
	http, alpn := overHTTP(s), overTLS(s)
	if s.subject.Addr.IsValid() {
		return []Method{http, alpn, {"dns", Cannot, "addresses are not proved by DNS"}}
	}
	manual, delegated := overDNS(s)
	all := []Method{http, alpn, delegated, manual}
	for i := range all {
		restrict(s, &all[i])
	}
	return all
}

// overHTTP is http-01: also webroot and standalone, which differ in who answers
// here and not in how a CA asks.
func overHTTP(s *sight) Method {
	m := Method{Name: "http"}
	h, elsewhere := s.elsewhere()
	failing := s.reachable(80, closed, filtered, cutShort)
	switch {
	case lost(s):
		m.Works, m.Why = Cannot, "the name leads nowhere yet"
	case elsewhere && !h.cdn:
		m.Works, m.Why = Cannot, fmt.Sprintf("the CA would ask %s, which answers 404", h.name)
	case s.subject.HTTP != 80:
		m.Works, m.Why = Unsure, fmt.Sprintf("a CA asks on port 80 only; port %d was looked at", s.subject.HTTP)
	case s.token != nil && s.token.want != "" && strings.TrimSpace(string(s.token.walk.body)) == s.token.want:
		m.Works, m.Why = Works, "what a CA asks on port 80 reaches this Albion"
	case s.token != nil && (s.token.walk.loop || s.token.walk.endless):
		m.Works, m.Why = Cannot, "what a CA asks is redirected without end"
	case elsewhere:
		m.Works, m.Why = Unsure, fmt.Sprintf("only if %s passes %s on to this machine", h.name, challengePath)
	case onlyPrivate(s):
		m.Works, m.Why = Cannot, "the name leads to a private address, which no CA can reach"
	case foreign(s):
		m.Works, m.Why = Unsure, "only if what is asked at those addresses arrives at this machine"
	case len(s.reachable(80, filtered)) > 0:
		m.Works, m.Why = Cannot, fmt.Sprintf("port 80 at %s does not answer", join(failing))
	case len(failing) > 0:
		m.Works, m.Why = Unsure, "nothing listens on port 80 yet; standalone, or Albion, would"
	case len(s.reachable(80, open)) == 0:
		m.Works, m.Why = Unsure, "port 80 could not be tried from here"
	case s.token != nil && s.token.want != "":
		m.Works, m.Why = Unsure, "port 80 is answered by somebody else than the Albion that runs here"
	default:
		m.Works, m.Why = Works, "port 80 answers, if it is Albion that does, or your web server by webroot"
	}
	return m
}

// overTLS is tls-alpn-01.
func overTLS(s *sight) Method {
	m := Method{Name: "tls-alpn"}
	h, elsewhere := s.elsewhere()
	failing := s.reachable(443, closed, filtered, cutShort)
	switch {
	case lost(s):
		m.Works, m.Why = Cannot, "the name leads nowhere yet"
	case elsewhere:
		m.Works, m.Why = Cannot, fmt.Sprintf("%s ends TLS itself and does not pass the handshake on", h.name)
	case onlyPrivate(s):
		m.Works, m.Why = Cannot, "the name leads to a private address, which no CA can reach"
	case foreign(s):
		m.Works, m.Why = Unsure, "only if connections to those addresses arrive at this machine"
	case s.subject.HTTPS != 443:
		m.Works, m.Why = Unsure, fmt.Sprintf("a CA asks on port 443 only; port %d was looked at", s.subject.HTTPS)
	case len(s.reachable(443, filtered)) > 0:
		m.Works, m.Why = Cannot, fmt.Sprintf("port 443 at %s does not answer", join(failing))
	case len(failing) > 0:
		m.Works, m.Why = Unsure, "nothing listens on port 443 yet; Albion would"
	case len(s.reachable(443, open)) == 0:
		m.Works, m.Why = Unsure, "port 443 could not be tried from here"
	case servedHere(s):
		m.Works, m.Why = Works, "port 443 shows a certificate of this Albion"
	default:
		m.Works, m.Why = Unsure, "only if it is Albion that answers on port 443"
	}
	return m
}

// overDNS is dns-01, by hand and by delegation.
func overDNS(s *sight) (manual, delegated Method) {
	manual = Method{Name: "dns-manual", Works: Works, Why: "a TXT record at _acme-challenge." + s.subject.Name + ", by hand at every renewal"}
	delegated = Method{Name: "dns-delegated", Works: Works, Why: "one CNAME at _acme-challenge." + s.subject.Name + ", once; needs port 53 open for Albion's name server"}
	n := s.names
	if n == nil {
		return manual, delegated
	}
	c := n.challenge
	swallowed := len(c.wildcard) > 0 && len(c.chain) > 0 && c.wildcard[0].Type == "CNAME"
	switch {
	case n.zoneErr != nil:
		why := "the zone of the name cannot be found: " + n.zoneErr.Error()
		manual.Works, manual.Why, delegated.Works, delegated.Why = Unsure, why, Unsure, why
	case swallowed:
		manual.Why += "; it takes the place of the wildcard that swallows that name now"
		delegated.Why += "; it takes the place of the wildcard that swallows that name now"
	case len(c.chain) > 0:
		to := c.chain[len(c.chain)-1]
		manual.Works, manual.Why = Cannot, fmt.Sprintf("_acme-challenge.%s is an alias, so nothing else can stand there; a TXT record would go to %s", s.subject.Name, to)
		delegated.Works, delegated.Why = Unsure, fmt.Sprintf("_acme-challenge.%s leads to %s, where the proof has to appear", s.subject.Name, to)
	}
	return manual, delegated
}

// restrict brings in what CAA records say of challenges: a CA that is let issue by
// others only, or not at all, proves nothing.
func restrict(s *sight, m *Method) {
	n := s.names
	if n == nil || len(s.cas) == 0 || len(n.caa.Records) == 0 {
		return
	}
	challenge := map[string]string{"http": "http-01", "tls-alpn": "tls-alpn-01", "dns-manual": "dns-01", "dns-delegated": "dns-01"}[m.Name]
	ca := s.cas[0]
	if len(ca.identities) == 0 {
		return
	}
	a := allow(n.caa.Records, ca.identities, false)
	switch {
	case !a.allowed:
		m.Works, m.Why = Cannot, fmt.Sprintf("CAA records do not let %s issue at all", caName(ca.Directory))
	case a.methods != nil && !slices.ContainsFunc(a.methods, func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), challenge) }):
		m.Works, m.Why = Cannot, fmt.Sprintf("CAA records let %s issue by %s only", caName(ca.Directory), printable(strings.Join(a.methods, ", ")))
	}
}

// lost says whether the name leads nowhere.
func lost(s *sight) bool { return len(s.addresses()) == 0 }

func onlyPrivate(s *sight) bool {
	return !slices.ContainsFunc(s.addresses(), public)
}

// foreign says whether some address is known not to be this machine's.
func foreign(s *sight) bool {
	own := s.ownPublic()
	return len(own) > 0 && len(without(s.addresses(), own)) > 0
}

// servedHere says whether what is shown is a certificate of this Albion.
func servedHere(s *sight) bool {
	for _, t := range s.tls {
		if len(t.chain) == 0 {
			return false
		}
		serial := colons(t.chain[0].SerialNumber.Bytes())
		if !slices.ContainsFunc(s.known.Certificates, func(c Shown) bool { return strings.EqualFold(c.Serial, serial) }) {
			return false
		}
	}
	return len(s.tls) > 0
}

// colons writes a serial number as the State does.
func colons(b []byte) string {
	var parts []string
	for _, c := range b {
		parts = append(parts, fmt.Sprintf("%02x", c))
	}
	return strings.Join(parts, ":")
}
