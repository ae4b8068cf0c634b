package albion

import (
	"encoding/base32"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// The codes of the Route 53 API that the model itself gives.
const (
	CodeHostedZoneExists   Code = "HostedZoneAlreadyExists"
	CodeHostedZoneNotFound Code = "NoSuchHostedZone"
	CodeHostedZoneNotEmpty Code = "HostedZoneNotEmpty"
	CodeTooManyHostedZones Code = "TooManyHostedZones"
	CodeInvalidChangeBatch Code = "InvalidChangeBatch"
	CodeInvalidDomainName  Code = "InvalidDomainName"
	CodeInvalidInput       Code = "InvalidInput"
)

// HostedZone is a domain for which the balancer is an authoritative name
// server. What it answers is in the record sets that name it.
type HostedZone struct {
	ID      string // Z and 20 letters and digits
	Name    string // lower case, with the final dot: "example.com."
	Comment string
	Created time.Time
	Origin  Origin
}

// HostedZoneID is Z and 20 letters and digits, as Route 53 forms it.
func HostedZoneID(id [16]byte) string {
	return "Z" + base32.StdEncoding.EncodeToString(id[:])[:20]
}

// RecordSet is what a zone says about one name and one type; with a
// SetIdentifier, one of several things that it says in turn.
type RecordSet struct {
	Zone          string // ID of its hosted zone
	Name          string // lower case, with the final dot; the leftmost label may be *
	Type          RecordType
	SetIdentifier string        // of a weighted or failover set: what tells it from the others
	Weight        int           // of a weighted set: 0 to 255
	Failover      Failover      // of a failover set
	TTL           time.Duration // whole seconds; of an alias always AliasTTL
	Values        []string      // as in a zone file; see RecordType.Canonical
	Alias         *AliasTarget  // instead of Values
	Origin        Origin
}

// AliasTarget makes a record set answer with the addresses of a load balancer.
// With EvaluateTargetHealth it does so only while that has a target that is not
// known to be ill.
type AliasTarget struct {
	LoadBalancer         ARN
	EvaluateTargetHealth bool
}

// AliasTTL is how long an alias may be kept, as of Route 53's to a load balancer.
const AliasTTL = 60 * time.Second

// Failover says which of two failover sets this is.
type Failover string

// Secondary answers while Primary is not healthy.
const (
	Primary   Failover = "PRIMARY"
	Secondary Failover = "SECONDARY"
)

// RecordType is the type of a record, RFC 1035 §3.2.2 and its successors.
type RecordType string

// The types that a zone can hold.
const (
	TypeA     RecordType = "A"
	TypeAAAA  RecordType = "AAAA"
	TypeCAA   RecordType = "CAA"
	TypeCNAME RecordType = "CNAME"
	TypeMX    RecordType = "MX"
	TypeNS    RecordType = "NS"
	TypePTR   RecordType = "PTR"
	TypeSOA   RecordType = "SOA"
	TypeSRV   RecordType = "SRV"
	TypeTXT   RecordType = "TXT"
)

// RecordTypes lists the types that a zone can hold.
func RecordTypes() []RecordType {
	return []RecordType{TypeA, TypeAAAA, TypeCAA, TypeCNAME, TypeMX, TypeNS, TypePTR, TypeSOA, TypeSRV, TypeTXT}
}

// NameService is where names are answered: there is none, or one.
type NameService struct {
	Listen      []string     // ":53", "192.0.2.1:53", "[::1]:5353"; UDP and TCP
	Addresses   []netip.Addr // of this balancer, as clients reach it; none: those of the machine
	NameServers []string     // of new zones, lower case, with the final dot; none: ns1 in each zone
	Origin      Origin
}

// NameServiceID is the identity of the only NameService.
const NameServiceID = "dns"

// DefaultRecordSets are those that every zone has: SOA and NS at its apex, as
// Route 53 makes them (its page "NS and SOA records that Route 53 creates for a
// public hosted zone").
//
// Unlike AWS, which has name servers of its own, the name server is one of
// names, or ns1 in the zone itself, whose address is known to the server.
func (z *HostedZone) DefaultRecordSets(names []string) (soa, ns *RecordSet) {
	if len(names) == 0 {
		names = []string{"ns1." + z.Name}
	}
	soa = &RecordSet{
		Zone: z.ID, Name: z.Name, Type: TypeSOA, TTL: 900 * time.Second, Origin: z.Origin,
		Values: []string{fmt.Sprintf("%s hostmaster.%s 1 7200 900 1209600 86400", names[0], z.Name)},
	}
	ns = &RecordSet{
		Zone: z.ID, Name: z.Name, Type: TypeNS, TTL: 172800 * time.Second, Origin: z.Origin,
		Values: append([]string(nil), names...),
	}
	return soa, ns
}

// Apex says whether a record set is one of those that a zone cannot be without.
func (z *HostedZone) Apex(r *RecordSet) bool {
	return r.Name == z.Name && (r.Type == TypeSOA || r.Type == TypeNS)
}

// Within returns name, which may be relative to the zone, as a whole name:
// "www" and "www.example.com." are the same, "" and "@" are the apex.
func (z *HostedZone) Within(name string) (string, error) {
	switch {
	case name == "" || name == "@":
		return z.Name, nil
	case !strings.HasSuffix(name, "."):
		name += "." + z.Name
	}
	full, err := CanonicalRecordName(name)
	if err != nil {
		return "", err
	}
	if full != z.Name && !strings.HasSuffix(full, "."+z.Name) {
		return "", Errorf(CodeInvalidChangeBatch, "%s is not in the zone %s", full, z.Name)
	}
	return full, nil
}

// RecordSetID is the identity of a record set.
func RecordSetID(zone, name string, t RecordType, set string) string {
	id := zone + "|" + name + "|" + string(t)
	if set != "" {
		id += "|" + set
	}
	return id
}

// NameServerSeen is how a socket of the name server fares.
type NameServerSeen struct {
	Address string // where it listens, HOST:PORT
	Serving bool
	Problem string // why it does not serve
}

func (z *HostedZone) Identity() string                 { return z.ID }
func (*HostedZone) kind() Kind                         { return KindHostedZone }
func (*HostedZone) table(s *State) *Table[*HostedZone] { return &s.HostedZones }

func (r *RecordSet) Identity() string {
	return RecordSetID(r.Zone, r.Name, r.Type, r.SetIdentifier)
}
func (*RecordSet) kind() Kind                        { return KindRecordSet }
func (*RecordSet) table(s *State) *Table[*RecordSet] { return &s.RecordSets }

func (*NameService) Identity() string                    { return NameServiceID }
func (*NameService) kind() Kind                          { return KindNameService }
func (*NameService) table(s *State) *Table[*NameService] { return &s.NameServices }
