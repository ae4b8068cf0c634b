package dns

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/albion-lb/albion"
)

// MaxFile is the most bytes that a zone file may have.
const MaxFile = 2 << 20

// Skipped is what was left out of a zone or a zone file, and why.
type Skipped struct {
	Record string
	Why    string
}

// ZoneFile is what was read: record sets without a zone, in the order of their
// names, and what a zone here cannot hold.
type ZoneFile struct {
	Origin  string // the name of the zone, with its final dot
	Sets    []*albion.RecordSet
	Skipped []Skipped
}

// ReadOptions is how to read a zone file.
type ReadOptions struct {
	Name   string // of the file, for messages
	Origin string // "": the owner of the SOA, which names below an $ORIGIN can have
	KeepNS bool   // take the SOA and the name servers of the apex too
}

// ReadFile reads a zone file: RFC 1035 §5, with $ORIGIN, $TTL and BIND's
// $GENERATE. It opens no other file: $INCLUDE is refused. What is malformed is
// refused with its line; records of types that a zone here cannot hold, and
// unless they are kept the SOA and NS of the apex, which say where the zone was
// served before, are skipped, as Route 53 does.
func ReadFile(data []byte, o ReadOptions) (*ZoneFile, error) {
	if len(data) > MaxFile {
		return nil, albion.Errorf(albion.CodeInvalidInput, "%s has %d bytes; a zone file has at most %d", o.Name, len(data), MaxFile)
	}
	records, err := parseFile(data, o)
	if err != nil {
		return nil, err
	}
	f := &ZoneFile{Origin: canonical(dns.Fqdn(o.Origin))}
	if o.Origin == "" {
		i := slices.IndexFunc(records, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
		if i < 0 {
			return nil, albion.Errorf(albion.CodeInvalidInput, "%s has no SOA that tells which zone it is: say so with --origin", o.Name)
		}
		f.Origin = canonical(records[i].Header().Name)
	}
	b := &builder{file: f, sets: map[string]*albion.RecordSet{}, keep: o.KeepNS}
	for _, rr := range records {
		b.add(rr)
	}
	for _, r := range f.Sets {
		// A set has one TTL (RFC 2181 §5.2); files with several mean the shortest.
		slices.Sort(r.Values)
	}
	slices.SortFunc(f.Sets, func(x, y *albion.RecordSet) int { return strings.Compare(x.Identity(), y.Identity()) })
	return f, nil
}

func parseFile(data []byte, o ReadOptions) ([]dns.RR, error) {
	origin := ""
	if o.Origin != "" {
		origin = dns.Fqdn(o.Origin)
	}
	p := dns.NewZoneParser(bytes.NewReader(data), origin, o.Name)
	p.SetDefaultTTL(3600) // of a file that names none: RFC 2308 §4 leaves it open
	var all []dns.RR
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		if all = append(all, rr); len(all) > 10*albion.MaxRecordSetsPerZone {
			return nil, albion.Errorf(albion.CodeInvalidInput, "%s has more than %d records", o.Name, 10*albion.MaxRecordSetsPerZone)
		}
	}
	if err := p.Err(); err != nil {
		return nil, unreadable(err, o.Name)
	}
	return all, nil
}

// unreadable puts the library's complaint into the words of a user.
func unreadable(err error, name string) error {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), name+": "), "dns: ")
	if strings.Contains(text, "$INCLUDE") {
		text += ": other files are not opened; put their contents into this one"
	}
	var malformed *dns.ParseError
	if !errors.As(err, &malformed) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return albion.Errorf(albion.CodeInvalidInput, "%s cannot be read: %s", name, text)
}

// builder gathers records into sets.
type builder struct {
	file *ZoneFile
	sets map[string]*albion.RecordSet
	keep bool
}

func (b *builder) add(rr dns.RR) {
	h := rr.Header()
	text := strings.ReplaceAll(rr.String(), "\t", " ")
	skip := func(format string, args ...any) {
		b.file.Skipped = append(b.file.Skipped, Skipped{Record: text, Why: fmt.Sprintf(format, args...)})
	}
	kind := albion.RecordType(dns.TypeToString[h.Rrtype])
	name, err := albion.CanonicalRecordName(h.Name)
	switch {
	case h.Class != dns.ClassINET:
		skip("its class is not IN")
		return
	case !slices.Contains(albion.RecordTypes(), kind):
		skip("records of type %s are not served here", dns.Type(h.Rrtype))
		return
	case err != nil:
		skip("%s", err)
		return
	case !inside(name, b.file.Origin):
		skip("it is not in the zone %s", b.file.Origin)
		return
	case !b.keep && name == b.file.Origin && (kind == albion.TypeSOA || kind == albion.TypeNS):
		skip("the zone has its own; --keep-ns takes this one")
		return
	}
	value, err := kind.Canonical(data(rr))
	if err != nil {
		skip("%s", err)
		return
	}
	// RFC 2181 §8: a TTL has 31 bits.
	b.value(name, kind, value, time.Duration(min(h.Ttl, 1<<31-1))*time.Second, skip)
}

func (b *builder) value(name string, kind albion.RecordType, value string, ttl time.Duration, skip func(string, ...any)) {
	id := albion.RecordSetID("", name, kind, "")
	r := b.sets[id]
	switch {
	case r == nil:
		r = &albion.RecordSet{Name: name, Type: kind, TTL: ttl}
		b.sets[id] = r
		b.file.Sets = append(b.file.Sets, r)
	case slices.Contains(r.Values, value):
		skip("it is there twice")
		return
	}
	r.TTL = min(r.TTL, ttl)
	r.Values = append(r.Values, value)
}

// data is a record without its head.
func data(rr dns.RR) string {
	if soa, ok := rr.(*dns.SOA); ok {
		return fmt.Sprintf("%s %s %d %d %d %d %d", soa.Ns, soa.Mbox, soa.Serial, soa.Refresh, soa.Retry, soa.Expire, soa.Minttl)
	}
	return strings.TrimPrefix(rr.String(), rr.Header().String())
}

// WriteFile writes a zone as a zone file that BIND and ReadFile read. Aliases and
// sets that are answered in turn have no form there: they are listed in comments,
// and returned.
func WriteFile(z *albion.HostedZone, sets []*albion.RecordSet) ([]byte, []Skipped) {
	sets = slices.Clone(sets)
	slices.SortFunc(sets, func(a, b *albion.RecordSet) int { return strings.Compare(rank(z, a), rank(z, b)) })
	var out bytes.Buffer
	var skipped []Skipped
	fmt.Fprintf(&out, "$ORIGIN %s\n", z.Name)
	for _, r := range sets {
		why := ""
		switch {
		case r.Alias != nil:
			why = "an alias of a load balancer has no form in a zone file"
		case r.Failover != "":
			why = "failover has no form in a zone file"
		case r.SetIdentifier != "":
			why = "weights have no form in a zone file"
		}
		if why != "" {
			text := strings.TrimSpace(r.Name + " " + string(r.Type) + " " + r.SetIdentifier)
			skipped = append(skipped, Skipped{Record: text, Why: why})
			fmt.Fprintf(&out, "; %s: %s\n", text, why)
			continue
		}
		for _, v := range r.Values {
			fmt.Fprintf(&out, "%s\t%d\tIN\t%s\t%s\n", r.Name, int(r.TTL.Seconds()), r.Type, v)
		}
	}
	return out.Bytes(), skipped
}

// rank is the order of a zone file: the SOA first, then the apex, then by name
// from the root down.
func rank(z *albion.HostedZone, r *albion.RecordSet) string {
	labels := strings.Split(strings.TrimSuffix(r.Name, "."), ".")
	slices.Reverse(labels)
	first := "2"
	switch {
	case r.Type == albion.TypeSOA:
		first = "0"
	case r.Name == z.Name && r.Type == albion.TypeNS:
		first = "1"
	}
	return first + strings.Join(labels, "\x00") + "\x01" + string(r.Type) + r.SetIdentifier
}
