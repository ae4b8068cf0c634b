package config

import (
	"github.com/albion-lb/albion"
)

// removeRest deletes what belongs to the file and is declared no longer, what
// refers before what is referred to.
func (a *applier) removeRest() {
	a.removeNames()
	a.removeHooks()
	a.removeDeliveries()
	a.removeRules()
	a.removeListeners()
	a.removeLoadBalancers()
	for g := range a.d.TargetGroups.All() {
		if g.Origin == albion.OriginFile && !a.declares(albion.KindTargetGroup, string(g.ARN)) {
			albion.Delete[*albion.TargetGroup](a.d, string(g.ARN))
			a.say(Removed, albion.KindTargetGroup, g.Name, nil)
		}
	}
	for g := range a.d.SecurityGroups.All() {
		if g.Origin == albion.OriginFile && !a.declares(albion.KindSecurityGroup, g.ID) {
			albion.Delete[*albion.SecurityGroup](a.d, g.ID)
			a.say(Removed, albion.KindSecurityGroup, g.Name, nil)
		}
	}
	if len(a.found) > 0 {
		return // a certificate that could not be read is not one that is gone
	}
	for c := range a.d.Certificates.All() {
		if c.Origin == albion.OriginFile && !a.declares(albion.KindCertificate, string(c.ARN)) {
			albion.DeleteCertificate(a.d, c.ARN)
			a.say(Removed, albion.KindCertificate, c.Name, nil)
		}
	}
}

func (a *applier) removeRules() {
	for r := range a.d.Rules.All() {
		if r.Origin == albion.OriginFile && !a.declares(albion.KindRule, string(r.ARN)) {
			name := a.nameOfRule(r)
			albion.Delete[*albion.Rule](a.d, string(r.ARN))
			a.say(Removed, albion.KindRule, name, nil)
		}
	}
}

func (a *applier) removeListeners() {
	holds := map[albion.ARN]*albion.Rule{}
	for r := range a.d.Rules.All() {
		holds[r.Listener] = r
	}
	for l := range a.d.Listeners.All() {
		if l.Origin != albion.OriginFile || a.declares(albion.KindListener, string(l.ARN)) {
			continue
		}
		name := a.nameOfListener(l)
		if r, ok := holds[l.ARN]; ok {
			a.occupied(albion.KindListener, string(l.ARN), "listener %s is no longer declared, but has a rule, priority %d, that the file did not make: delete the rule, or declare the listener", name, r.Priority)
			continue
		}
		albion.Delete[*albion.Listener](a.d, string(l.ARN))
		a.say(Removed, albion.KindListener, name, nil)
	}
}

func (a *applier) removeLoadBalancers() {
	holds := map[albion.ARN]*albion.Listener{}
	for l := range a.d.Listeners.All() {
		if l.Origin != albion.OriginFile {
			holds[l.LoadBalancer] = l
		}
	}
	for lb := range a.d.LoadBalancers.All() {
		if lb.Origin != albion.OriginFile || a.declares(albion.KindLoadBalancer, string(lb.ARN)) {
			continue
		}
		if l, ok := holds[lb.ARN]; ok {
			a.occupied(albion.KindLoadBalancer, string(lb.ARN), "load balancer %s is no longer declared, but has a listener, port %d, that the file did not make: delete the listener, or declare the load balancer", lb.Name, l.Port)
			continue
		}
		albion.Delete[*albion.LoadBalancer](a.d, string(lb.ARN))
		a.say(Removed, albion.KindLoadBalancer, lb.Name, nil)
	}
}

// occupied refuses to delete what holds something that others made.
func (a *applier) occupied(kind albion.Kind, id, format string, args ...any) {
	err := albion.Errorf(albion.CodeResourceInUse, format, args...)
	err.Kind, err.ID = kind, id
	a.inUse = append(a.inUse, err)
}

func (a *applier) nameOfListener(l *albion.Listener) string {
	if lb, ok := a.d.LoadBalancers.Get(string(l.LoadBalancer)); ok {
		return listenerName(lb, l)
	}
	return string(l.ARN)
}

func (a *applier) nameOfRule(r *albion.Rule) string {
	l, ok := a.d.Listeners.Get(string(r.Listener))
	if !ok {
		return string(r.ARN)
	}
	lb, ok := a.d.LoadBalancers.Get(string(l.LoadBalancer))
	if !ok {
		return string(r.ARN)
	}
	return ruleName(lb, l, r)
}
