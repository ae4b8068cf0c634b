package dns_test

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/dns"
)

// balanced is a State with two load balancers, web and spare, and a zone.
func balanced(t testing.TB, sets ...*albion.RecordSet) *albion.State {
	t.Helper()
	d := albion.NewDraft(&albion.State{})
	for i, name := range []string{"web", "spare"} {
		lb := &albion.LoadBalancer{
			ARN: albion.ARN(name), Name: name, Attributes: albion.DefaultLoadBalancerAttributes(),
			Addresses: []netip.Addr{netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i+1))},
		}
		albion.Put(d, lb)
	}
	z := &albion.HostedZone{ID: "ZTEST", Name: "example.com."}
	soa, ns := z.DefaultRecordSets(nil)
	albion.Put(d, z)
	albion.Put(d, soa)
	albion.Put(d, ns)
	for _, r := range sets {
		r.Zone, r.Name, r.Type = z.ID, "app.example.com.", albion.TypeA
		albion.Put(d, r)
	}
	return finish(t, d)
}

func aliasOf(lb albion.ARN) *albion.AliasTarget {
	return &albion.AliasTarget{LoadBalancer: lb, EvaluateTargetHealth: true}
}

// shares asks at every thousandth of the random number's range, and counts.
func shares(t testing.TB, table *dns.Table) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for i := range 1000 {
		m := read(t, table.Respond(question(t, "app.example.com.", "A", nil), false, float64(i)/1000))
		var values []string
		for _, rr := range m.Answer {
			values = append(values, strings.Fields(rr.String())[4])
		}
		if len(m.Answer) == 0 && (len(m.Ns) != 1 || m.Ns[0].Header().Ttl > 60) {
			t.Fatalf("what may be back in a moment is denied for longer: %v", m)
		}
		out[strings.Join(values, " ")]++
	}
	return out
}

func TestAnswersTakeTurns(t *testing.T) {
	value := func(v, set string, weight int) *albion.RecordSet {
		return &albion.RecordSet{Values: []string{v}, TTL: 60e9, SetIdentifier: set, Weight: weight}
	}
	alias := func(lb albion.ARN, set string, weight int, f albion.Failover) *albion.RecordSet {
		return &albion.RecordSet{Alias: aliasOf(lb), SetIdentifier: set, Weight: weight, Failover: f}
	}
	blind := &albion.RecordSet{Alias: &albion.AliasTarget{LoadBalancer: "web"}}
	second := value("192.0.2.9", "b", 0)
	second.Failover = albion.Secondary
	for name, c := range map[string]struct {
		sets []*albion.RecordSet
		down []albion.ARN
		want map[string]float64
	}{
		"an alias":                          {[]*albion.RecordSet{alias("web", "", 0, "")}, nil, map[string]float64{"192.0.2.1": 1000}},
		"an alias without targets":          {[]*albion.RecordSet{alias("web", "", 0, "")}, []albion.ARN{"web"}, map[string]float64{"": 1000}},
		"an alias that does not look":       {[]*albion.RecordSet{blind}, []albion.ARN{"web"}, map[string]float64{"192.0.2.1": 1000}},
		"weights":                           {[]*albion.RecordSet{value("192.0.2.5", "a", 3), value("192.0.2.6", "b", 1), value("192.0.2.7", "c", 0)}, nil, map[string]float64{"192.0.2.5": 750, "192.0.2.6": 250}},
		"no weight at all":                  {[]*albion.RecordSet{value("192.0.2.5", "a", 0), value("192.0.2.6", "b", 0)}, nil, map[string]float64{"192.0.2.5": 500, "192.0.2.6": 500}},
		"a weight for nothing healthy":      {[]*albion.RecordSet{alias("web", "a", 9, ""), value("192.0.2.6", "b", 1)}, []albion.ARN{"web"}, map[string]float64{"192.0.2.6": 1000}},
		"only weight 0 is healthy":          {[]*albion.RecordSet{alias("web", "a", 9, ""), value("192.0.2.6", "b", 0)}, []albion.ARN{"web"}, map[string]float64{"192.0.2.6": 1000}},
		"nothing with a weight is healthy":  {[]*albion.RecordSet{alias("web", "a", 1, ""), alias("spare", "b", 1, "")}, []albion.ARN{"web", "spare"}, map[string]float64{"192.0.2.1": 500, "192.0.2.2": 500}},
		"nothing is healthy nor has weight": {[]*albion.RecordSet{alias("web", "a", 0, ""), alias("spare", "b", 0, "")}, []albion.ARN{"web", "spare"}, map[string]float64{"192.0.2.1": 500, "192.0.2.2": 500}},
		"the primary is well":               {[]*albion.RecordSet{alias("web", "a", 0, albion.Primary), second}, nil, map[string]float64{"192.0.2.1": 1000}},
		"the primary is ill":                {[]*albion.RecordSet{alias("web", "a", 0, albion.Primary), second}, []albion.ARN{"web"}, map[string]float64{"192.0.2.9": 1000}},
		"both are ill":                      {[]*albion.RecordSet{alias("web", "z", 0, albion.Primary), alias("spare", "a", 0, albion.Secondary)}, []albion.ARN{"web", "spare"}, map[string]float64{"192.0.2.1": 1000}},
	} {
		got := shares(t, compile(t, balanced(t, c.sets...)).Down(c.down...))
		for _, v := range append(keys(got), keys(c.want)...) {
			if math.Abs(got[v]-c.want[v]) > 1 {
				t.Errorf("%s: got %v, want %v", name, got, c.want)
				break
			}
		}
	}
}

func keys(m map[string]float64) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	return all
}

func TestAnAliasAnswersWhereItsLoadBalancerIs(t *testing.T) {
	for name, c := range map[string]struct {
		listens, public []string
		want            string
	}{
		"its own addresses":         {[]string{"192.0.2.1", "2001:db8::1"}, nil, "192.0.2.1 2001:db8::1"},
		"those of the machine":      {nil, nil, "203.0.113.10 2001:db8::10"},
		"all, which is the machine": {[]string{"::"}, nil, "203.0.113.10 2001:db8::10"},
		"those that were declared":  {nil, []string{"198.51.100.1"}, "198.51.100.1"},
	} {
		s := balanced(t, &albion.RecordSet{Alias: aliasOf("web")})
		d := albion.NewDraft(s)
		albion.Put(d, &albion.RecordSet{Zone: "ZTEST", Name: "app.example.com.", Type: albion.TypeAAAA, Alias: aliasOf("web")})
		lb, _ := s.LoadBalancers.Get("web")
		changed := *lb
		changed.Addresses = parsed(c.listens)
		albion.Put(d, &changed)
		albion.Put(d, &albion.NameService{Addresses: parsed(c.public)})
		table := compile(t, finish(t, d))
		var got []string
		for _, kind := range []string{"A", "AAAA"} {
			for _, rr := range ask(t, table, "app.example.com.", kind, nil).Answer {
				got = append(got, strings.Fields(rr.String())[4])
				if rr.Header().Ttl != 60 {
					t.Errorf("%s: TTL %d", name, rr.Header().Ttl)
				}
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

func parsed(all []string) []netip.Addr {
	var out []netip.Addr
	for _, s := range all {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestALoadBalancerIsDownWithoutTargets(t *testing.T) {
	forward := func(groups ...albion.ARN) albion.Action {
		f := &albion.Forward{}
		for _, g := range groups {
			f.Groups = append(f.Groups, albion.WeightedGroup{Group: g, Weight: 1})
		}
		return albion.Action{Forward: f}
	}
	fixed := albion.Action{Fixed: &albion.FixedResponse{Status: 200}}
	for name, c := range map[string]struct {
		action, rule albion.Action
		health       map[albion.ARN]albion.HealthState
		down         bool
	}{
		"a healthy one":                 {forward("a"), fixed, map[albion.ARN]albion.HealthState{"a": albion.Healthy}, false},
		"an ill one":                    {forward("a"), fixed, map[albion.ARN]albion.HealthState{"a": albion.Unhealthy}, true},
		"one that is leaving":           {forward("a"), fixed, map[albion.ARN]albion.HealthState{"a": albion.Draining}, true},
		"one of which nothing is known": {forward("a"), fixed, map[albion.ARN]albion.HealthState{"a": albion.Initial}, false},
		"one that is not looked at":     {forward("a"), fixed, map[albion.ARN]albion.HealthState{"a": albion.Unavailable}, false},
		"none":                          {forward("a"), fixed, nil, true},
		"one by a rule":                 {fixed, forward("b"), map[albion.ARN]albion.HealthState{"b": albion.Healthy}, false},
		"an ill one by a rule":          {fixed, forward("b"), map[albion.ARN]albion.HealthState{"b": albion.Unhealthy}, true},
		"one of two groups":             {forward("a", "b"), fixed, map[albion.ARN]albion.HealthState{"a": albion.Unhealthy, "b": albion.Healthy}, false},
		"a healthy one of others":       {forward("a"), fixed, map[albion.ARN]albion.HealthState{"a": albion.Unhealthy, "x": albion.Healthy}, true},
		"no group at all":               {fixed, fixed, nil, false},
	} {
		d := albion.NewDraft(&albion.State{})
		albion.Put(d, &albion.Listener{ARN: "listener", LoadBalancer: "web", Default: c.action})
		albion.Put(d, &albion.Rule{ARN: "rule", Listener: "listener", Action: c.rule})
		var seen albion.Seen
		for g, h := range c.health {
			seen.Targets = append(seen.Targets, albion.TargetSeen{Group: g, Health: albion.Health{State: h}})
		}
		if got := dns.Unreachable(&d.State, seen, "web"); got["web"] != c.down {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOnlyZonesThatChangedAreCompiled(t *testing.T) {
	d := albion.NewDraft(balanced(t, &albion.RecordSet{Alias: aliasOf("web")}))
	other := zone(t, d, "example.net", small)
	s := finish(t, d)
	table := compile(t, s)
	check := func(want string, own []netip.Addr, edit func(*albion.Draft)) {
		t.Helper()
		d := albion.NewDraft(s)
		edit(d)
		s = finish(t, d)
		next, fresh, err := table.Again(s, own...)
		slices.Sort(fresh)
		if table = next; err != nil || strings.Join(fresh, " ") != want {
			t.Errorf("compiled %v, want %s, %v", fresh, want, err)
		}
	}
	check("", own, func(*albion.Draft) {})
	check("example.net.", own, func(d *albion.Draft) {
		albion.Put(d, &albion.RecordSet{Zone: other.ID, Name: "a.example.net.", Type: albion.TypeA, Values: []string{"192.0.2.1"}})
	})
	check("example.com.", own, func(d *albion.Draft) {
		lb, _ := d.LoadBalancers.Get("web")
		changed := *lb
		changed.Addresses = parsed([]string{"192.0.2.77"})
		albion.Put(d, &changed)
	})
	check("example.com. example.net.", own[:1], func(*albion.Draft) {})
}
