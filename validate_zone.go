package albion

import (
	"errors"
	"iter"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// What names may be at most. The numbers are Route 53's (its page "Quotas").
const (
	MaxHostedZones        = 500
	MaxRecordSetsPerZone  = 10_000
	MaxValuesPerRecordSet = 400
	maxValuesSize         = 32_000 // letters of all values of one record set
	maxSetsPerName        = 100    // weighted sets of one name and type

	MaxNameListen    = 64
	MaxNameAddresses = 64
	MaxNameServers   = 16
)

func (c *checker) checkNameServices(services []*NameService) {
	for _, n := range services {
		s := c.at(n)
		if len(n.Listen) > MaxNameListen || len(n.Addresses) > MaxNameAddresses || len(n.NameServers) > MaxNameServers {
			s.wrong(CodeValidation, "Listen", "at most %d places to listen, %d addresses and %d name servers are allowed", MaxNameListen, MaxNameAddresses, MaxNameServers)
		}
		seen := map[string]bool{}
		for i, at := range n.Listen {
			if _, err := ParseListen(at); err != nil {
				s.wrong(CodeValidation, index("Listen", i), "%s", err)
			}
			if seen[at] {
				s.wrong(CodeValidation, index("Listen", i), "%s is there twice", shown(at))
			}
			seen[at] = true
		}
		for i, a := range n.Addresses {
			if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" || a.Is4In6() {
				s.wrong(CodeValidation, index("Addresses", i), "%s is not an address at which clients could reach anything", a)
			}
		}
		for i, name := range n.NameServers {
			if full, err := CanonicalDomain(name); err != nil || full != name {
				s.wrong(CodeInvalidDomainName, index("NameServers", i), "%s is not a whole host name in lower case, such as ns1.example.com.", shown(name))
			}
		}
	}
}

// ParseListen reads HOST:PORT of a place to listen at, where HOST is an IP
// address, or nothing for all of them: then the address is the zero one.
func ParseListen(at string) (netip.AddrPort, error) {
	bad := Errorf(CodeValidation, "%s is not a place to listen at, such as \":53\" or \"192.0.2.1:53\"", shown(at))
	host, digits, err := net.SplitHostPort(at)
	if err != nil {
		return netip.AddrPort{}, bad
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || port == 0 {
		return netip.AddrPort{}, bad
	}
	if host == "" {
		return netip.AddrPortFrom(netip.Addr{}, uint16(port)), nil
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, bad
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}

func (c *checker) checkHostedZones(zones []*HostedZone) {
	names := make(map[string]*HostedZone, len(zones))
	for i, z := range zones {
		s := c.at(z)
		if i == MaxHostedZones {
			s.wrong(CodeTooManyHostedZones, "", "there are %d hosted zones; %d are allowed", len(zones), MaxHostedZones)
		}
		if strings.Trim(z.ID, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" || len(z.ID) > 32 {
			s.wrong(CodeValidation, "ID", "its identity %s is not Z and up to 31 letters and digits", shown(z.ID))
		}
		if full, err := CanonicalDomain(z.Name); err != nil {
			s.wrong(CodeInvalidDomainName, "Name", "%s", err)
		} else if full != z.Name {
			s.wrong(CodeInvalidDomainName, "Name", "the name is kept in lower case with its final dot: %s", full)
		}
		if len(z.Comment) > 256 {
			s.wrong(CodeInvalidInput, "Comment", "the comment has %d letters; 256 are allowed", len(z.Comment))
		}
		// Unlike AWS, which tells zones of one name apart by their name servers.
		unique(s, names, z.Name, CodeHostedZoneExists)
	}
}

// checkRecordSets wants them in the order of their identities, in which those of
// one name stand together, and among them those of one type.
func (c *checker) checkRecordSets(sets []*RecordSet) {
	perZone := map[string]int{}
	for _, r := range sets {
		s := c.at(r)
		perZone[r.Zone]++
		if perZone[r.Zone] == MaxRecordSetsPerZone+1 {
			s.wrong(CodeInvalidChangeBatch, "", "its zone has more than %d record sets", MaxRecordSetsPerZone)
		}
		s.recordSet(r)
	}
	sameName := func(a, b *RecordSet) bool { return a.Zone == b.Zone && a.Name == b.Name }
	sameType := func(a, b *RecordSet) bool { return a.Type == b.Type }
	for named := range runs(sets, sameName) {
		for typed := range runs(named, sameType) {
			for _, r := range typed {
				subject{c, r}.company(r, named, typed)
			}
		}
	}
	for z := range c.state.HostedZones.All() {
		for _, t := range []RecordType{TypeSOA, TypeNS} {
			if _, ok := c.state.RecordSets.Get(RecordSetID(z.ID, z.Name, t, "")); !ok {
				subject{c, z}.wrong(CodeInvalidChangeBatch, "", "its record set of type %s is missing: every zone has one at its apex", t)
			}
		}
	}
}

// runs yields the longest parts of a list whose neighbours are alike.
func runs[T any](list []T, alike func(a, b T) bool) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for begin := 0; begin < len(list); {
			end := begin + 1
			for end < len(list) && alike(list[end-1], list[end]) {
				end++
			}
			if !yield(list[begin:end]) {
				return
			}
			begin = end
		}
	}
}

// recordSet checks what a record set says by itself.
func (s subject) recordSet(r *RecordSet) {
	apex := false
	if z, ok := s.state.HostedZones.Get(r.Zone); !ok {
		s.wrong(CodeHostedZoneNotFound, "Zone", "there is no hosted zone %s", shown(r.Zone))
	} else if apex = r.Name == z.Name; !apex && !strings.HasSuffix(r.Name, "."+z.Name) {
		s.wrong(CodeInvalidChangeBatch, "Name", "the name is not in the zone %s", safe(z.Name))
	}
	if full, err := CanonicalRecordName(r.Name); err != nil {
		s.wrong(CodeInvalidDomainName, "Name", "%s", err)
	} else if full != r.Name {
		s.wrong(CodeInvalidDomainName, "Name", "the name is kept in lower case with its final dot: %s", full)
	}
	oneOf(s, "Type", r.Type, RecordTypes()...)
	switch wild := strings.HasPrefix(r.Name, "*."); {
	case r.Type == TypeCNAME && apex:
		s.wrong(CodeInvalidChangeBatch, "Type", "a CNAME cannot stand at the apex of a zone, beside its SOA and NS (RFC 1912 §2.4); use an alias record of type A or AAAA instead")
	case r.Type == TypeSOA && !apex:
		s.wrong(CodeInvalidChangeBatch, "Type", "a SOA stands at the apex of its zone only")
	case r.Type == TypeNS && wild:
		s.wrong(CodeInvalidChangeBatch, "Name", "a wildcard cannot be delegated (RFC 4592 §4.2)")
	}
	s.routing(r)
	if r.Alias != nil {
		s.alias(r)
		return
	}
	if r.TTL < 0 || r.TTL > maxInteger*time.Second || r.TTL%time.Second != 0 {
		s.wrong(CodeInvalidInput, "TTL", "ttl is %s; choose 0s to %ds, in whole seconds", r.TTL, maxInteger)
	}
	s.values(r)
}

func (s subject) routing(r *RecordSet) {
	if len(r.SetIdentifier) > 128 || !visible(r.SetIdentifier) {
		s.wrong(CodeInvalidInput, "SetIdentifier", "set identifier %s is not 1 to 128 visible ASCII characters", shown(r.SetIdentifier))
	}
	if r.Weight < 0 || r.Weight > 255 {
		s.wrong(CodeInvalidInput, "Weight", "weight is %d; choose 0 to 255", r.Weight)
	}
	oneOf(s, "Failover", r.Failover, "", Primary, Secondary)
	switch {
	case r.SetIdentifier == "" && r.Failover != "":
		s.wrong(CodeInvalidInput, "SetIdentifier", "a failover record set needs a set identifier")
	case r.SetIdentifier == "" && r.Weight != 0:
		s.wrong(CodeInvalidInput, "SetIdentifier", "a weighted record set needs a set identifier")
	case r.Failover != "" && r.Weight != 0:
		s.wrong(CodeInvalidInput, "Weight", "a record set is weighted or for failover, not both")
	case r.SetIdentifier != "" && (r.Type == TypeSOA || r.Type == TypeNS):
		s.wrong(CodeInvalidChangeBatch, "SetIdentifier", "record sets of type %s are neither weighted nor for failover", r.Type)
	}
}

func (s subject) alias(r *RecordSet) {
	if r.Type != TypeA && r.Type != TypeAAAA {
		s.wrong(CodeInvalidChangeBatch, "Alias", "an alias of a load balancer has type A or AAAA, not %s", shown(string(r.Type)))
	}
	if len(r.Values) > 0 || r.TTL != 0 {
		s.wrong(CodeInvalidChangeBatch, "Values", "an alias has neither values nor a ttl of its own")
	}
	if _, ok := s.state.LoadBalancers.Get(string(r.Alias.LoadBalancer)); !ok {
		s.wrong(CodeLoadBalancerNotFound, "Alias.LoadBalancer", "there is no load balancer %s", shown(string(r.Alias.LoadBalancer)))
	}
}

func (s subject) values(r *RecordSet) {
	if n := len(r.Values); n == 0 || n > MaxValuesPerRecordSet {
		s.wrong(CodeInvalidChangeBatch, "Values", "it has %d values; 1 to %d are allowed", n, MaxValuesPerRecordSet)
	}
	if len(r.Values) > 1 && (r.Type == TypeCNAME || r.Type == TypeSOA) {
		s.wrong(CodeInvalidChangeBatch, "Values", "a record set of type %s has one value", r.Type)
	}
	size, seen := 0, make(map[string]bool, len(r.Values))
	for i, v := range r.Values {
		size += len(v)
		canonical, err := r.Type.Canonical(v)
		var e *Error
		switch {
		case errors.As(err, &e):
			s.wrong(e.Code, index("Values", i), "%s", err)
		case canonical != v:
			s.wrong(CodeInvalidChangeBatch, index("Values", i), "the value is kept as %s", shown(canonical))
		case seen[v]:
			s.wrong(CodeInvalidChangeBatch, index("Values", i), "the value %s is there twice", shown(v))
		}
		seen[v] = true
	}
	if size > maxValuesSize {
		s.wrong(CodeInvalidChangeBatch, "Values", "the values have %d letters together; %d are allowed", size, maxValuesSize)
	}
}

// company checks a record set against the others of its name, and of its type
// there.
func (s subject) company(r *RecordSet, named, typed []*RecordSet) {
	if r.Type == TypeCNAME && len(named) > len(typed) {
		s.wrong(CodeInvalidChangeBatch, "Type", "a CNAME stands alone at its name (RFC 1034 §3.6.2), and this name has other records too")
	}
	if len(typed) == 1 {
		return
	}
	if len(typed) > maxSetsPerName {
		s.wrong(CodeInvalidChangeBatch, "SetIdentifier", "there are %d record sets of one name and type; %d are allowed", len(typed), maxSetsPerName)
		return
	}
	same := 0
	for _, other := range typed {
		if (other.SetIdentifier == "") != (r.SetIdentifier == "") || (other.Failover == "") != (r.Failover == "") {
			s.wrong(CodeInvalidChangeBatch, "SetIdentifier", "the record sets of one name and type are all simple, all weighted or all for failover")
			return
		}
		if other.Failover == r.Failover {
			same++
		}
	}
	if r.Failover != "" && same > 1 {
		s.wrong(CodeInvalidChangeBatch, "Failover", "there is another record set %s of this name and type", r.Failover)
	}
}
