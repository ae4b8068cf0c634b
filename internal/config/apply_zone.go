package config

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/albion-lb/albion"
)

// names makes the Draft hold what the file declares of names.
func (a *applier) names() {
	if a.f.nameService != nil {
		a.nameService(a.f.nameService)
	}
	zones := map[string]*albion.HostedZone{}
	for z := range a.d.HostedZones.All() {
		zones[z.Name] = z
	}
	balancers := map[string]albion.ARN{}
	for lb := range a.d.LoadBalancers.All() {
		if lb.Origin != albion.OriginFile || a.declares(albion.KindLoadBalancer, string(lb.ARN)) {
			balancers[lb.Name] = lb.ARN
		}
	}
	seen := map[string]place{}
	for _, z := range a.f.hostedZones {
		if first, twice := seen[z.want.Name]; twice {
			a.bad(z.at[""], "the zone %s is here twice: first in line %d", z.want.Name, first.line)
			continue
		}
		seen[z.want.Name] = z.at[""]
		a.hostedZone(z, zones[z.want.Name], balancers)
	}
}

func (a *applier) nameService(s *nameService) {
	want := s.want
	old, ok := a.d.NameServices.Get(albion.NameServiceID)
	base := &albion.NameService{Origin: albion.OriginFile}
	if ok {
		base = old
	}
	a.declare(albion.KindNameService, albion.NameServiceID, s.at)
	if !ok || !reflect.DeepEqual(old, &want) {
		albion.Put(a.d, &want)
		a.say(verb(old), albion.KindNameService, albion.NameServiceID, diff(nameServiceFacts(base), nameServiceFacts(&want)))
	}
}

// nameServers is what new zones name as their servers.
func (a *applier) nameServers() []string {
	s, ok := a.d.NameServices.Get(albion.NameServiceID)
	if !ok || s.Origin == albion.OriginFile && a.f.nameService == nil {
		return nil
	}
	return s.NameServers
}

func (a *applier) hostedZone(z hostedZone, old *albion.HostedZone, balancers map[string]albion.ARN) {
	want := z.want
	base := &albion.HostedZone{Origin: albion.OriginFile}
	if old != nil {
		want.ID, want.Created, base = old.ID, old.Created, old
	} else {
		want.ID, want.Created = albion.HostedZoneID(a.env.ID()), a.env.Now
	}
	a.declare(albion.KindHostedZone, want.ID, z.at)
	if old == nil || !reflect.DeepEqual(old, &want) {
		albion.Put(a.d, &want)
		a.say(verb(old), albion.KindHostedZone, want.Name, diff(hostedZoneFacts(base), hostedZoneFacts(&want)))
	}
	servers := a.nameServers()
	for _, r := range z.records {
		r.want.Zone = want.ID
		if r.alias != nil {
			target := *r.want.Alias
			target.LoadBalancer, _ = resolve(a, "load balancer", *r.alias, balancers)
			r.want.Alias = &target
		}
		if want.Apex(&r.want) && r.want.Type == albion.TypeNS {
			servers = r.want.Values
		}
		a.recordSet(r.want, r.at)
	}
	soa, ns := want.DefaultRecordSets(servers)
	for _, r := range []*albion.RecordSet{soa, ns} {
		if !a.declares(albion.KindRecordSet, r.Identity()) {
			a.recordSet(*r, z.at)
		}
	}
}

func (a *applier) recordSet(want albion.RecordSet, at places) {
	id := want.Identity()
	old, ok := a.d.RecordSets.Get(id)
	base := &albion.RecordSet{Origin: albion.OriginFile}
	if ok {
		base = old
	}
	a.declare(albion.KindRecordSet, id, at)
	if !ok || !reflect.DeepEqual(old, &want) {
		albion.Put(a.d, &want)
		a.say(verb(old), albion.KindRecordSet, recordSetName(&want), diff(a.recordSetFacts(base), a.recordSetFacts(&want)))
	}
}

// recordSetName is "www.example.com. A", and which of several.
func recordSetName(r *albion.RecordSet) string {
	return strings.TrimRight(r.Name+" "+string(r.Type)+" "+r.SetIdentifier, " ")
}

// removeNames deletes what the file declares no longer, record sets before their
// zones.
func (a *applier) removeNames() {
	holds := map[string]*albion.RecordSet{}
	for r := range a.d.RecordSets.All() {
		switch {
		case r.Origin == albion.OriginFile && !a.declares(albion.KindRecordSet, r.Identity()):
			albion.Delete[*albion.RecordSet](a.d, r.Identity())
			a.say(Removed, albion.KindRecordSet, recordSetName(r), nil)
		case r.Origin != albion.OriginFile:
			holds[r.Zone] = r
		}
	}
	for z := range a.d.HostedZones.All() {
		if z.Origin != albion.OriginFile || a.declares(albion.KindHostedZone, z.ID) {
			continue
		}
		if r, ok := holds[z.ID]; ok {
			a.occupied(albion.KindHostedZone, z.ID, "hosted zone %s is no longer declared, but has a record set, %s, that the file did not make: delete the record set, or declare the zone", z.Name, recordSetName(r))
			continue
		}
		albion.Delete[*albion.HostedZone](a.d, z.ID)
		a.say(Removed, albion.KindHostedZone, z.Name, nil)
	}
	for s := range a.d.NameServices.All() {
		if s.Origin == albion.OriginFile && a.f.nameService == nil {
			albion.Delete[*albion.NameService](a.d, albion.NameServiceID)
			a.say(Removed, albion.KindNameService, albion.NameServiceID, nil)
		}
	}
}

func nameServiceFacts(s *albion.NameService) []fact {
	addresses := make([]string, len(s.Addresses))
	for i, x := range s.Addresses {
		addresses[i] = x.String()
	}
	return []fact{origin(s.Origin), many("listen", s.Listen), many("addresses", addresses), many("name_servers", s.NameServers)}
}

func hostedZoneFacts(z *albion.HostedZone) []fact {
	return []fact{origin(z.Origin), one("comment", z.Comment)}
}

func (a *applier) recordSetFacts(r *albion.RecordSet) []fact {
	ttl, weight, alias, health := "", "", "", false
	if len(r.Values) > 0 {
		ttl = formatDuration(r.TTL)
	}
	if r.SetIdentifier != "" && r.Failover == "" {
		weight = strconv.Itoa(r.Weight)
	}
	if r.Alias != nil {
		alias, health = string(r.Alias.LoadBalancer), r.Alias.EvaluateTargetHealth
		if lb, ok := a.d.LoadBalancers.Get(alias); ok {
			alias = lb.Name
		}
	}
	return []fact{
		origin(r.Origin), one("ttl", ttl), many("values", r.Values), one("alias", alias),
		truth("evaluate_target_health", health), one("weight", weight), one("failover", string(r.Failover)),
	}
}
