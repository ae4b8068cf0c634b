package edge

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/keyring"
	"github.com/albion-lb/albion/internal/proxy"
	"github.com/albion-lb/albion/internal/route"
	"github.com/albion-lb/albion/internal/target"
	"github.com/albion-lb/albion/internal/wire/h1"
)

// compiled is one listener of a State, ready to serve.
type compiled struct {
	listener  *albion.Listener
	addresses []netip.Addr // empty: all
	view      *proxy.View
	tls       *tls.Config // of an HTTPS listener
	filter    filter
}

// compile turns every listener of s into what serves it. It changes nothing: the
// logs in plan that are new have not begun.
func (e *Edge) compile(s *albion.State, plan logPlan) (map[albion.ARN]*compiled, error) {
	rules := map[albion.ARN][]*albion.Rule{}
	for r := range s.Rules.All() {
		rules[r.Listener] = append(rules[r.Listener], r)
	}
	proofs := proofsOf(s)
	all := map[albion.ARN]*compiled{}
	for l := range s.Listeners.All() {
		c, err := e.compileListener(s, l, rules[l.ARN], plan)
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", l.ARN, err)
		}
		c.view.Proofs, c.view.Beacon = proofs, e.cfg.Beacon
		all[l.ARN] = c
	}
	return all, nil
}

func (e *Edge) compileListener(s *albion.State, l *albion.Listener, rules []*albion.Rule, plan logPlan) (*compiled, error) {
	lb, ok := s.LoadBalancers.Get(string(l.LoadBalancer))
	if !ok {
		return nil, fmt.Errorf("no load balancer %s", l.LoadBalancer)
	}
	table, err := route.Compile(l.Default, rules)
	if err != nil {
		return nil, err
	}
	c := &compiled{listener: l, addresses: slices.Clone(lb.Addresses), filter: newFilter(s, lb, l.Port)}
	if l.Protocol == albion.HTTPS {
		ring, err := e.keys.Compile(s, l)
		if err != nil {
			return nil, err
		}
		if c.tls, err = e.keys.Config(l.SSLPolicy, func() *keyring.Ring { return ring }); err != nil {
			return nil, err
		}
		if lb.Attributes.NoHTTP2 {
			c.tls.NextProtos = slices.DeleteFunc(c.tls.NextProtos, func(name string) bool { return name == http2 })
		}
	}
	c.view = &proxy.View{
		Listener: l.ARN, LoadBalancer: lb.ARN.Tail(), Protocol: l.Protocol, Port: l.Port,
		Attributes: lb.Attributes,
		Limits:     h1.Limits{DropInvalid: lb.Attributes.DropInvalidHeaders},
		Routes:     table,
		Groups:     map[albion.ARN]*target.Group{},
		Log:        e.accessLog(plan, lb.AccessLog),
	}
	for arn := range groupsOfListener(s, l.ARN) {
		if c.view.Groups[arn] = e.targets.Group(arn); c.view.Groups[arn] == nil {
			return nil, fmt.Errorf("no target group %s", arn)
		}
	}
	return c, nil
}

// proofsOf is what CAs that look by HTTP are answered, by token. Every listener
// answers them: a CA may come by a redirect.
func proofsOf(s *albion.State) map[string]string {
	proofs := map[string]string{}
	for _, a := range s.Answers() {
		if a.Challenge == albion.ChallengeHTTP {
			proofs[a.Token] = a.Proof
		}
	}
	return proofs
}

// filter is the security groups of a load balancer as they concern one port.
type filter struct {
	open   bool // no group: everybody may come
	groups []*albion.SecurityGroup
	port   uint16
}

func newFilter(s *albion.State, lb *albion.LoadBalancer, port uint16) filter {
	f := filter{open: len(lb.SecurityGroups) == 0, port: port}
	for _, id := range lb.SecurityGroups {
		if g, ok := s.SecurityGroups.Get(id); ok {
			f.groups = append(f.groups, g)
		}
	}
	return f
}

func (f *filter) allows(from netip.Addr) bool {
	if f.open {
		return true
	}
	for _, g := range f.groups {
		if g.Allows(from, f.port) {
			return true
		}
	}
	return false
}
