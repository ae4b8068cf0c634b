package albion

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// Delegation is where the TXT records of a name are answered that is proved by
// dns-delegated.
type Delegation struct {
	Zone   *HostedZone
	Name   string // where the CA looks, without a dot at the end: _acme-challenge.chat.example.com
	Target string // in the zone, where the records are, without a dot at the end
}

// Alias says whether a CNAME from Name to Target is needed. It is not for names
// in the zone itself.
func (d *Delegation) Alias() bool { return d.Name != d.Target }

// Delegation says where the TXT records of a domain are answered: in the zone
// that the request names, or else in that of the domain itself. Errors are
// *Error.
func (s *State) Delegation(r *Request, domain string) (Delegation, error) {
	name := ChallengeName(domain)
	zone := s.zoneOf(name)
	if r.Argument != "" {
		var ok bool
		if zone, ok = s.zoneNamed(r.Argument); !ok {
			return Delegation{}, methodError("%s is to be proved through the zone %s, and there is no such hosted zone: make it with `albion dns zone create %s`, or name another one", domain, shown(r.Argument), r.Argument)
		}
	}
	if zone == nil {
		return Delegation{}, methodError("%s is in no hosted zone: write dns-delegated=ZONE with one that there is", domain)
	}
	d := Delegation{Zone: zone, Name: name, Target: name}
	if strings.HasSuffix(name+".", "."+zone.Name) {
		d.Zone = s.zoneOf(name) // answers come from the zone with the longest name
	} else {
		d.Target = delegationLabel(name) + "." + strings.TrimSuffix(zone.Name, ".")
	}
	return d, nil
}

// delegationLabel is the same for a name whatever certificate it is for, so that
// one CNAME serves them all. Its first part is for people, its last one for
// uniqueness. No underscore, which some registrars' forms refuse in a target, and
// no two hyphens in a row, which a label of another kind has (RFC 5890 §2.3.1).
func delegationLabel(name string) string {
	sum := sha256.Sum256([]byte(name))
	unique := strings.ToLower(base32.HexEncoding.EncodeToString(sum[:10])) // 16 letters and digits
	words := strings.FieldsFunc(strings.TrimPrefix(name, challengeLabel), func(r rune) bool { return r == '.' || r == '-' })
	readable := strings.Join(words, "-")
	const most = 63 - 1 - 16
	return strings.TrimRight(readable[:min(len(readable), most)], "-") + "-" + unique
}

// zoneOf is the hosted zone with the longest name that a name without a dot at
// the end is below; nil when there is none.
func (s *State) zoneOf(name string) (best *HostedZone) {
	for zone := range s.HostedZones.All() {
		if strings.HasSuffix(name+".", "."+zone.Name) && (best == nil || len(zone.Name) > len(best.Name)) {
			best = zone
		}
	}
	return best
}

func (s *State) zoneNamed(name string) (*HostedZone, bool) {
	full, err := CanonicalDomain(name)
	if err != nil {
		return nil, false
	}
	for zone := range s.HostedZones.All() {
		if zone.Name == full {
			return zone, true
		}
	}
	return nil, false
}

// Proof is a TXT record that a hosted zone answers for as long as an order lives.
type Proof struct {
	Zone  string // ID
	Name  string // with the final dot
	Value string // "": nothing now, but soon there may be something
}

// Proofs lists the names at which our zones prove others, and the TXT records
// that the orders under way need there, in a stable order.
func (s *State) Proofs() []Proof {
	var all []Proof
	for cert := range s.Certificates.All() {
		if cert.Request == nil || cert.Request.Method != MethodDelegated {
			continue
		}
		for _, domain := range cert.Request.Domains {
			if d, err := s.Delegation(cert.Request, domain); err == nil {
				all = append(all, Proof{Zone: d.Zone.ID, Name: d.Target + "."})
			}
		}
		i, ok := s.Issuances.Get(string(cert.ARN))
		if !ok || i.Order == nil {
			continue
		}
		for _, a := range i.Order.Answers {
			if d, err := s.Delegation(cert.Request, a.Domain); err == nil && a.Challenge == ChallengeDNS {
				all = append(all, Proof{Zone: d.Zone.ID, Name: d.Target + ".", Value: a.TXT()})
			}
		}
	}
	return all
}

// delegated checks that what a certificate is proved through is there. A zone
// that is in use for that cannot be deleted.
func (s subject) delegated(r *Request) {
	if r.Method != MethodDelegated {
		return
	}
	for i, domain := range r.Domains {
		if _, err := s.state.Delegation(r, domain); err != nil {
			s.wrong(CodeValidation, index("Request.Domains", i), "%s", err)
		}
	}
}
