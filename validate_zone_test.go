package albion_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/albion-lb/albion"
)

// named is a State with a load balancer and a zone.
func named() *albion.Draft {
	d := newWorld().draft()
	z := &albion.HostedZone{ID: "Z1", Name: "example.com."}
	soa, ns := z.DefaultRecordSets(nil)
	albion.Put(d, z)
	albion.Put(d, soa)
	albion.Put(d, ns)
	return d
}

func record(name string, kind albion.RecordType, values ...string) *albion.RecordSet {
	return &albion.RecordSet{Zone: "Z1", Name: name, Type: kind, TTL: time.Minute, Values: values}
}

func inTurn(r *albion.RecordSet, set string, weight int, f albion.Failover) *albion.RecordSet {
	r.SetIdentifier, r.Weight, r.Failover = set, weight, f
	return r
}

func TestZonesAreRoute53s(t *testing.T) {
	web := newWorld().lb.ARN
	many := make([]string, albion.MaxValuesPerRecordSet+1)
	for i := range many {
		many[i] = fmt.Sprintf("192.0.%d.%d", i/250, i%250)
	}
	a := func(name string) *albion.RecordSet { return record(name, albion.TypeA, "192.0.2.1") }
	alias := func(kind albion.RecordType, to albion.ARN) *albion.RecordSet {
		return &albion.RecordSet{Zone: "Z1", Name: "example.com.", Type: kind, Alias: &albion.AliasTarget{LoadBalancer: to}}
	}
	long := a("www.example.com.")
	long.TTL = 1500 * time.Millisecond
	both := alias(albion.TypeA, web)
	both.TTL = time.Minute
	for name, c := range map[string]struct {
		sets []*albion.RecordSet
		want string // "": accepted
	}{
		"a record":               {[]*albion.RecordSet{a("www.example.com.")}, ""},
		"a wildcard":             {[]*albion.RecordSet{a("*.example.com.")}, ""},
		"an alias":               {[]*albion.RecordSet{alias(albion.TypeA, web), alias(albion.TypeAAAA, web)}, ""},
		"weights":                {[]*albion.RecordSet{inTurn(a("www.example.com."), "a", 1, ""), inTurn(a("www.example.com."), "b", 0, "")}, ""},
		"weighted aliases":       {[]*albion.RecordSet{inTurn(record("w.example.com.", albion.TypeCNAME, "a.example.com."), "a", 1, ""), inTurn(record("w.example.com.", albion.TypeCNAME, "b.example.com."), "b", 1, "")}, ""},
		"failover":               {[]*albion.RecordSet{inTurn(a("www.example.com."), "a", 0, albion.Primary), inTurn(a("www.example.com."), "b", 0, albion.Secondary)}, ""},
		"a delegation with glue": {[]*albion.RecordSet{record("sub.example.com.", albion.TypeNS, "ns.sub.example.com."), a("ns.sub.example.com.")}, ""},
		"a TTL of nothing":       {[]*albion.RecordSet{{Zone: "Z1", Name: "www.example.com.", Type: albion.TypeA, Values: []string{"192.0.2.1"}}}, ""},

		"a CNAME at the apex":       {[]*albion.RecordSet{record("example.com.", albion.TypeCNAME, "www.example.org.")}, "a CNAME cannot stand at the apex of a zone, beside its SOA and NS (RFC 1912 §2.4); use an alias record"},
		"a CNAME with others":       {[]*albion.RecordSet{record("www.example.com.", albion.TypeCNAME, "a.example.com."), a("www.example.com.")}, "a CNAME stands alone at its name"},
		"a CNAME of two":            {[]*albion.RecordSet{record("www.example.com.", albion.TypeCNAME, "a.example.com.", "b.example.com.")}, "a record set of type CNAME has one value"},
		"another zone's name":       {[]*albion.RecordSet{a("www.example.net.")}, "the name is not in the zone example.com."},
		"a zone that is not there":  {[]*albion.RecordSet{{Zone: "Z2", Name: "example.com.", Type: albion.TypeA, Values: []string{"192.0.2.1"}}}, `there is no hosted zone "Z2"`},
		"capitals":                  {[]*albion.RecordSet{a("WWW.example.com.")}, "the name is kept in lower case with its final dot: www.example.com."},
		"a type of none":            {[]*albion.RecordSet{record("www.example.com.", "SPF", "x")}, "choose one of"},
		"a value of another type":   {[]*albion.RecordSet{record("www.example.com.", albion.TypeA, "::1")}, "it is no IPv4 address"},
		"a value in another form":   {[]*albion.RecordSet{record("www.example.com.", albion.TypeTXT, "free")}, `the value is kept as "\"free\""`},
		"a value twice":             {[]*albion.RecordSet{record("www.example.com.", albion.TypeA, "192.0.2.1", "192.0.2.1")}, "is there twice"},
		"no value":                  {[]*albion.RecordSet{record("www.example.com.", albion.TypeA)}, "it has 0 values; 1 to 400 are allowed"},
		"too many values":           {[]*albion.RecordSet{record("www.example.com.", albion.TypeA, many...)}, "it has 401 values"},
		"half a second":             {[]*albion.RecordSet{long}, "ttl is 1.5s"},
		"a SOA elsewhere":           {[]*albion.RecordSet{record("www.example.com.", albion.TypeSOA, "a. b. 1 2 3 4 5")}, "a SOA stands at the apex of its zone only"},
		"a delegated wildcard":      {[]*albion.RecordSet{record("*.example.com.", albion.TypeNS, "a.example.org.")}, "a wildcard cannot be delegated (RFC 4592 §4.2)"},
		"a weight without a name":   {[]*albion.RecordSet{inTurn(a("www.example.com."), "", 1, "")}, "a weighted record set needs a set identifier"},
		"failover without a name":   {[]*albion.RecordSet{inTurn(a("www.example.com."), "", 0, albion.Primary)}, "a failover record set needs a set identifier"},
		"both":                      {[]*albion.RecordSet{inTurn(a("www.example.com."), "a", 1, albion.Primary)}, "weighted or for failover, not both"},
		"too much weight":           {[]*albion.RecordSet{inTurn(a("www.example.com."), "a", 256, "")}, "weight is 256; choose 0 to 255"},
		"simple beside weighted":    {[]*albion.RecordSet{a("www.example.com."), inTurn(a("www.example.com."), "a", 1, "")}, "are all simple, all weighted or all for failover"},
		"weighted beside failover":  {[]*albion.RecordSet{inTurn(a("www.example.com."), "a", 1, ""), inTurn(a("www.example.com."), "b", 0, albion.Primary)}, "are all simple, all weighted or all for failover"},
		"two primaries":             {[]*albion.RecordSet{inTurn(a("www.example.com."), "a", 0, albion.Primary), inTurn(a("www.example.com."), "b", 0, albion.Primary)}, "there is another record set PRIMARY of this name and type"},
		"a delegation in turn":      {[]*albion.RecordSet{inTurn(record("s.example.com.", albion.TypeNS, "a.example.org."), "a", 1, "")}, "neither weighted nor for failover"},
		"an alias of another type":  {[]*albion.RecordSet{alias(albion.TypeTXT, web)}, `an alias of a load balancer has type A or AAAA, not "TXT"`},
		"an alias of nothing":       {[]*albion.RecordSet{alias(albion.TypeA, "arn:gone")}, `there is no load balancer "arn:gone"`},
		"an alias with a ttl":       {[]*albion.RecordSet{both}, "an alias has neither values nor a ttl of its own"},
		"an identifier with blanks": {[]*albion.RecordSet{inTurn(a("www.example.com."), "a b", 1, "")}, "is not 1 to 128 visible ASCII characters"},
	} {
		d := named()
		for _, r := range c.sets {
			albion.Put(d, r)
		}
		_, err := d.Finish()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v\nwant %s", name, err, c.want)
		}
	}
}

func TestAZoneKeepsItsSOAAndNS(t *testing.T) {
	for _, kind := range []albion.RecordType{albion.TypeSOA, albion.TypeNS} {
		d := named()
		albion.Delete[*albion.RecordSet](d, albion.RecordSetID("Z1", "example.com.", kind, ""))
		if _, err := d.Finish(); err == nil || !strings.Contains(err.Error(), "its record set of type "+string(kind)+" is missing") {
			t.Errorf("%s: %v", kind, err)
		}
	}
	d := named()
	albion.Put(d, &albion.HostedZone{ID: "Z2", Name: "example.com."})
	if _, err := d.Finish(); albion.CodeOf(err) != albion.CodeHostedZoneExists {
		t.Errorf("two zones of a name: %v", err)
	}
	d = named()
	albion.Put(d, &albion.HostedZone{ID: "Z2", Name: "Example.net", Comment: strings.Repeat("x", 257)})
	_, err := d.Finish()
	for _, want := range []string{"lower case with its final dot: example.net.", "the comment has 257 letters"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

func TestWhereNamesAreAnswered(t *testing.T) {
	for want, service := range map[string]albion.NameService{
		"":                                    {Listen: []string{":53", "192.0.2.1:53", "[::1]:5353"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, NameServers: []string{"ns.example.com."}},
		`"53" is not a place to listen at`:    {Listen: []string{"53"}},
		`":0" is not a place to listen at`:    {Listen: []string{":0"}},
		`"ns:53" is not a place to listen at`: {Listen: []string{"ns:53"}},
		`":53" is there twice`:                {Listen: []string{":53", ":53"}},
		`:: is not an address at which`:       {Addresses: []netip.Addr{netip.IPv6Unspecified()}},
		`"ns" is not a whole host name`:       {NameServers: []string{"ns"}},
		"at most 64 places to listen":         {NameServers: make([]string, 17)},
	} {
		d := named()
		albion.Put(d, &service)
		_, err := d.Finish()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}
