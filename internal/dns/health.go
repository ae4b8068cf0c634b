package dns

import "github.com/albion-lb/albion"

// unreachable says which of the load balancers have no target left that is not
// known to be ill, in all groups that their listeners and rules forward to. One
// that forwards to no group is never ill. A target of which nothing is known yet
// counts as well: a start must not look like an outage, which resolvers remember.
//
// Unlike AWS, for which one group without a healthy target is enough: the other
// rules of that load balancer work, and DNS cannot tell them apart.
func unreachable(s *albion.State, seen albion.Seen, wanted []albion.ARN) map[albion.ARN]bool {
	well := map[albion.ARN]bool{} // target groups
	for _, t := range seen.Targets {
		switch t.Health.State {
		case albion.Healthy, albion.Initial, albion.Unavailable:
			well[t.Group] = true
		}
	}
	used, alive := map[albion.ARN]bool{}, map[albion.ARN]bool{} // load balancers
	note := func(lb albion.ARN, a *albion.Action) {
		if a.Forward == nil {
			return
		}
		for _, g := range a.Forward.Groups {
			if g.Weight > 0 {
				used[lb] = true
				alive[lb] = alive[lb] || well[g.Group]
			}
		}
	}
	for l := range s.Listeners.All() {
		note(l.LoadBalancer, &l.Default)
	}
	for r := range s.Rules.All() {
		if l, ok := s.Listeners.Get(string(r.Listener)); ok {
			note(l.LoadBalancer, &r.Action)
		}
	}
	down := map[albion.ARN]bool{}
	for _, lb := range wanted {
		if used[lb] && !alive[lb] {
			down[lb] = true
		}
	}
	return down
}
