package config

import (
	"net/netip"
	"slices"
	"time"

	"github.com/albion-lb/albion"
)

// What a file declares of names.
type (
	nameService struct {
		at   places
		want albion.NameService
	}
	hostedZone struct {
		at      places
		want    albion.HostedZone
		records []recordSet
	}
	recordSet struct {
		at    places
		want  albion.RecordSet
		alias *ref
	}
)

// defaultTTL is how long an answer may be kept when nobody says.
const defaultTTL = 300 * time.Second

func (n node) nameService() *nameService {
	n = n.object()
	s := &nameService{at: n.parts, want: albion.NameService{Origin: albion.OriginFile}}
	n.fields("a name service", []field{
		{"listen", func(n node) {
			n.oneOrMore("places to listen at", func(n node) {
				if at, ok := n.text(`HOST:PORT, or ":53" for all addresses`); ok {
					s.want.Listen = append(s.want.Listen, n.listen(at))
				}
			})
		}},
		{"addresses", func(n node) { s.want.Addresses = n.addresses() }},
		{"name_servers", func(n node) {
			n.oneOrMore("host names", func(n node) {
				if name, ok := n.domain(); ok {
					s.want.NameServers = append(s.want.NameServers, name)
				}
			})
		}},
	})
	return s
}

// listen returns HOST:PORT in the one form that it is kept in.
func (n node) listen(text string) string {
	at, err := albion.ParseListen(text)
	if err != nil {
		n.bad("%s: %s is not a place to listen at: expected \":53\", \"192.0.2.1:53\" or \"[2001:db8::1]:53\"", n.key, quote(text))
		return text
	}
	if at.Addr().IsValid() {
		return netip.AddrPortFrom(at.Addr(), at.Port()).String()
	}
	return text
}

// domain reads a domain name, with or without its final dot.
func (n node) domain() (string, bool) {
	s, ok := n.text("a domain name")
	if !ok {
		return "", false
	}
	name, err := albion.CanonicalDomain(s)
	if err != nil {
		n.bad("%s: %s", n.key, err)
		return "", false
	}
	return name, true
}

func (n node) hostedZone(name string) hostedZone {
	z := hostedZone{at: n.parts, want: albion.HostedZone{Origin: albion.OriginFile}}
	full, err := albion.CanonicalDomain(name)
	if err != nil {
		at := n
		at.at = n.keyAt
		at.bad("%s", err)
	}
	z.want.Name = full
	n.fields("a hosted zone", []field{
		{"comment", func(n node) { z.want.Comment, _ = n.text("text") }},
		{"records", func(n node) {
			n.list("record sets", func(n node) {
				if r, ok := n.object().recordSet(&z.want); ok && full != "" {
					z.records = append(z.records, n.distinct(z.records, r)...)
				}
			})
		}},
	})
	return z
}

// distinct returns a record set, unless there is one of its name, type and set
// identifier already.
func (n node) distinct(before []recordSet, r recordSet) []recordSet {
	i := slices.IndexFunc(before, func(b recordSet) bool { return b.want.Identity() == r.want.Identity() })
	if i < 0 {
		return []recordSet{r}
	}
	n.bad("%s %s is here twice: first in line %d; one record set can have several values", r.want.Name, r.want.Type, before[i].at[""].line)
	return nil
}

func (n node) recordSet(zone *albion.HostedZone) (recordSet, bool) {
	r := recordSet{at: n.parts, want: albion.RecordSet{Origin: albion.OriginFile, TTL: defaultTTL}}
	w := &r.want
	var values []node
	name := n
	types := make([]string, 0, 16)
	for _, t := range albion.RecordTypes() {
		types = append(types, string(t))
	}
	there := n.fields("a record set", []field{
		{"name", func(n node) { name = n }},
		{"type", func(n node) { w.Type = albion.RecordType(n.word(types...)) }},
		{"ttl", func(n node) { w.TTL = n.duration() }},
		{"values", func(n node) { n.oneOrMore("values", func(n node) { values = append(values, n) }) }},
		{"alias", func(n node) {
			if s, ok := n.text("the name of a load balancer"); ok {
				r.alias = &ref{s, n.at}
			}
		}},
		{"evaluate_target_health", func(n node) {
			w.Alias = &albion.AliasTarget{EvaluateTargetHealth: n.truth()}
		}},
		{"set_identifier", func(n node) { w.SetIdentifier, _ = n.text("a name for this one of several record sets") }},
		{"weight", func(n node) { w.Weight = n.integer(0, 255) }},
		{"failover", func(n node) {
			w.Failover = albion.Failover(n.word(string(albion.Primary), string(albion.Secondary)))
		}},
	})
	if there == nil {
		return r, false
	}
	ok := n.recordShape(there)
	if r.alias != nil {
		w.TTL = 0
		if w.Alias == nil {
			w.Alias = &albion.AliasTarget{}
		}
	}
	w.Name = name.recordName(zone, there)
	for _, v := range values {
		if text, is := v.text("a value such as 192.0.2.10"); is && w.Type != "" {
			w.Values = append(w.Values, v.value(w.Type, text))
		}
	}
	return r, ok && w.Type != ""
}

// recordShape checks that a record set has a type and one kind of contents.
func (n node) recordShape(there map[string]node) bool {
	has := func(key string) bool { _, ok := there[key]; return ok }
	switch {
	case !has("type"):
		n.bad("a record set needs type")
	case has("values") == has("alias"):
		n.bad("a record set needs values or alias, and has %s", map[bool]string{true: "both", false: "neither"}[has("values")])
	case has("evaluate_target_health") && !has("alias"):
		there["evaluate_target_health"].bad("evaluate_target_health belongs to alias")
	case has("ttl") && has("alias"):
		there["ttl"].bad("an alias has a ttl of %s: leave it out", formatDuration(albion.AliasTTL))
	default:
		return true
	}
	return false
}

// recordName is the whole name of a record set; without one it is the zone's.
func (n node) recordName(zone *albion.HostedZone, there map[string]node) string {
	text := ""
	if _, ok := there["name"]; ok {
		if text, ok = n.text(`a name such as www, or "@" for the zone itself`); !ok {
			return ""
		}
	}
	if zone.Name == "" {
		return "" // which has been said
	}
	full, err := zone.Within(text)
	if err != nil {
		n.bad("name: %s", err)
	}
	return full
}

func (n node) value(t albion.RecordType, text string) string {
	canonical, err := t.Canonical(text)
	if err != nil {
		n.bad("%s", err)
	}
	return canonical
}
