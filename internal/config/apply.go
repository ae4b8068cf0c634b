package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/albion-lb/albion"
)

// Env is what Apply needs of others.
type Env struct {
	Now      time.Time
	ID       func() [16]byte // random
	ReadFile func(name string) ([]byte, error)
	Getenv   func(name string) string // of the server; nil: nothing is set

	// Import puts the certificate with this name into the Draft, or replaces
	// its contents under the same ARN, from PEM by the name of the file that it
	// was read from.
	Import func(d *albion.Draft, name string, files map[string][]byte) error

	// Local does the same with a certificate that the local authority makes.
	Local func(d *albion.Draft, name string, domains []string) error

	// Request does the same with one that a CA will issue. When that is what was
	// requested before, it changes nothing.
	Request func(d *albion.Draft, want Requested) error
}

// Apply changes d so that it holds what the file declares, and says what it
// changed; when d holds that already it puts and deletes nothing. Certificates,
// security groups, target groups and load balancers are found by name,
// listeners by load balancer and port, rules by listener and priority, record
// sets by zone, name, type and set identifier. What is
// found keeps its identity and creation time, and belongs to the file from then
// on, whoever made it. What belongs to the file and is declared no longer is
// deleted; what does not is never. After an error d must be thrown away.
func (f *File) Apply(d *albion.Draft, env Env) ([]Change, error) {
	f.objects = map[albion.Change]places{}
	a := &applier{
		f: f, d: d, env: env,
		certificates: map[string]albion.ARN{}, securityGroups: map[string]string{}, targetGroups: map[string]albion.ARN{},
		old: before{
			map[string]*albion.Certificate{}, map[string]*albion.SecurityGroup{}, map[string]*albion.TargetGroup{},
			map[string]*albion.LoadBalancer{}, map[member]*albion.Listener{}, map[member]*albion.Rule{},
		},
	}
	a.index()
	for _, c := range f.certificates {
		a.certificate(c)
	}
	for _, g := range f.securityGroups {
		a.securityGroup(g)
	}
	for _, g := range f.targetGroups {
		a.targetGroup(g)
	}
	for _, lb := range f.loadBalancers {
		a.loadBalancer(lb)
	}
	a.names()
	a.hooks()
	a.removeRest()
	if err := errors.Join(append([]error{a.found.orNil()}, a.inUse...)...); err != nil {
		return nil, err
	}
	return a.changes, nil
}

// applier is one Apply in progress.
type applier struct {
	f       *File
	d       *albion.Draft
	env     Env
	changes []Change
	found   Problems
	inUse   []error

	// What a name may stand for: what the file declares, and what others made.
	certificates   map[string]albion.ARN
	securityGroups map[string]string
	targetGroups   map[string]albion.ARN

	old before
}

// before is what there was when the Apply began.
type before struct {
	certificates   map[string]*albion.Certificate
	securityGroups map[string]*albion.SecurityGroup
	targetGroups   map[string]*albion.TargetGroup
	loadBalancers  map[string]*albion.LoadBalancer
	listeners      map[member]*albion.Listener // by load balancer and port
	rules          map[member]*albion.Rule     // by listener and priority
}

// member is a number that is unique below one object.
type member struct {
	of     albion.ARN
	number int
}

// index finds what is there by what the file calls it, and lets the file refer
// to what others made.
func (a *applier) index() {
	for c := range a.d.Certificates.All() {
		a.old.certificates[c.Name] = c
		if c.Origin != albion.OriginFile {
			a.certificates[c.Name] = c.ARN
		}
	}
	for g := range a.d.SecurityGroups.All() {
		a.old.securityGroups[g.Name] = g
		if g.Origin != albion.OriginFile {
			a.securityGroups[g.Name] = g.ID
		}
	}
	for g := range a.d.TargetGroups.All() {
		a.old.targetGroups[g.Name] = g
		if g.Origin != albion.OriginFile {
			a.targetGroups[g.Name] = g.ARN
		}
	}
	for lb := range a.d.LoadBalancers.All() {
		a.old.loadBalancers[lb.Name] = lb
	}
	for l := range a.d.Listeners.All() {
		a.old.listeners[member{l.LoadBalancer, int(l.Port)}] = l
	}
	for r := range a.d.Rules.All() {
		a.old.rules[member{r.Listener, r.Priority}] = r
	}
}

func (a *applier) bad(at place, format string, args ...any) {
	a.found = append(a.found, a.f.problem(at, format, args...))
}

// declare remembers where an object stands.
func (a *applier) declare(kind albion.Kind, id string, at places) {
	a.f.objects[albion.Change{Kind: kind, ID: id}] = at
}

func (a *applier) declares(kind albion.Kind, id string) bool {
	_, ok := a.f.objects[albion.Change{Kind: kind, ID: id}]
	return ok
}

func (a *applier) say(verb string, kind albion.Kind, name string, details []string) {
	a.changes = append(a.changes, Change{Verb: verb, Kind: kind, Name: name, Details: details})
}

// id8 is the identity of a new object of the load balancer.
func (a *applier) id8() [8]byte {
	id := a.env.ID()
	return [8]byte(id[:8])
}

func (a *applier) securityGroup(g securityGroup) {
	want := g.want
	old := a.old.securityGroups[want.Name]
	base := &albion.SecurityGroup{Origin: albion.OriginFile}
	if old != nil {
		want.ID, base = old.ID, old
	} else {
		id := a.env.ID()
		want.ID = albion.SecurityGroupID([9]byte(id[:9]))
	}
	a.declare(albion.KindSecurityGroup, want.ID, g.at)
	a.securityGroups[want.Name] = want.ID
	if old == nil || !reflect.DeepEqual(old, &want) {
		albion.Put(a.d, &want)
		a.say(verb(old), albion.KindSecurityGroup, want.Name, diff(securityGroupFacts(base), securityGroupFacts(&want)))
	}
}

func (a *applier) targetGroup(g targetGroup) {
	want := g.want
	old := a.old.targetGroups[want.Name]
	base := &albion.TargetGroup{
		Origin: albion.OriginFile, Protocol: albion.HTTP,
		HealthCheck: albion.DefaultHealthCheck(), Attributes: albion.DefaultTargetGroupAttributes(),
	}
	if old != nil {
		want.ARN, want.Created, base = old.ARN, old.Created, old
	} else {
		want.ARN, want.Created = albion.TargetGroupARN(want.Name, a.id8()), a.env.Now
	}
	a.declare(albion.KindTargetGroup, string(want.ARN), g.at)
	a.targetGroups[want.Name] = want.ARN
	if old == nil || !reflect.DeepEqual(old, &want) {
		albion.Put(a.d, &want)
		a.say(verb(old), albion.KindTargetGroup, want.Name, diff(targetGroupFacts(base), targetGroupFacts(&want)))
	}
}

func (a *applier) loadBalancer(lb loadBalancer) {
	want := lb.want
	for _, r := range lb.groups {
		if id, ok := resolve(a, "security group", r, a.securityGroups); ok {
			want.SecurityGroups = append(want.SecurityGroups, id)
		}
	}
	old := a.old.loadBalancers[want.Name]
	base := &albion.LoadBalancer{Origin: albion.OriginFile, Attributes: albion.DefaultLoadBalancerAttributes()}
	if old != nil {
		want.ARN, want.Created, base = old.ARN, old.Created, old
	} else {
		want.ARN, want.Created = albion.LoadBalancerARN(want.Name, a.id8()), a.env.Now
	}
	a.declare(albion.KindLoadBalancer, string(want.ARN), lb.at)
	if old == nil || !reflect.DeepEqual(old, &want) {
		albion.Put(a.d, &want)
		a.say(verb(old), albion.KindLoadBalancer, want.Name, diff(a.loadBalancerFacts(base), a.loadBalancerFacts(&want)))
	}
	for _, l := range lb.listeners {
		a.listener(&want, l)
	}
}

func (a *applier) listener(lb *albion.LoadBalancer, l listener) {
	want := l.want
	want.LoadBalancer, want.Default = lb.ARN, a.action(l.action)
	for _, r := range l.certificates {
		if arn, ok := resolve(a, "certificate", r, a.certificates); ok {
			want.Certificates = append(want.Certificates, arn)
		}
	}
	old := a.old.listeners[member{lb.ARN, int(want.Port)}]
	base := &albion.Listener{Origin: albion.OriginFile}
	if old != nil {
		want.ARN, want.Created, base = old.ARN, old.Created, old
	} else {
		want.ARN, want.Created = albion.ListenerARN(lb.ARN, a.id8()), a.env.Now
	}
	a.declare(albion.KindListener, string(want.ARN), l.at)
	if old == nil || !reflect.DeepEqual(old, &want) {
		albion.Put(a.d, &want)
		a.say(verb(old), albion.KindListener, listenerName(lb, &want), diff(a.listenerFacts(base), a.listenerFacts(&want)))
	}
	for _, r := range l.rules {
		a.rule(lb, &want, r)
	}
}

func (a *applier) rule(lb *albion.LoadBalancer, l *albion.Listener, r rule) {
	want := r.want
	want.Listener, want.Action = l.ARN, a.action(r.action)
	old := a.old.rules[member{l.ARN, want.Priority}]
	base := &albion.Rule{Origin: albion.OriginFile}
	if old != nil {
		want.ARN, want.Created, base = old.ARN, old.Created, old
	} else {
		want.ARN, want.Created = albion.RuleARN(l.ARN, a.id8()), a.env.Now
	}
	a.declare(albion.KindRule, string(want.ARN), r.at)
	if old == nil || !reflect.DeepEqual(old, &want) {
		albion.Put(a.d, &want)
		a.say(verb(old), albion.KindRule, ruleName(lb, l, &want), diff(a.ruleFacts(base), a.ruleFacts(&want)))
	}
}

// action turns names into ARNs.
func (a *applier) action(from action) albion.Action {
	to := albion.Action{Redirect: from.redirect, Fixed: from.fixed}
	if len(from.forward) > 0 {
		to.Forward = &albion.Forward{}
	}
	for _, s := range from.forward {
		if arn, ok := resolve(a, "target group", s.group, a.targetGroups); ok {
			to.Forward.Groups = append(to.Forward.Groups, albion.WeightedGroup{Group: arn, Weight: s.weight})
		}
	}
	return to
}

// resolve finds what a name stands for.
func resolve[T any](a *applier, what string, r ref, known map[string]T) (T, bool) {
	v, ok := known[r.name]
	if ok {
		return v, true
	}
	names := sortedKeys(known)
	hint := "there is none"
	switch s := suggest(r.name, names); {
	case s != "":
		hint = "did you mean " + s + "?"
	case len(names) > 0 && len(names) <= 10:
		hint = "expected " + orList(names)
	case len(names) > 10:
		hint = fmt.Sprintf("expected one of the %d that there are", len(names))
	}
	a.bad(r.at, "no %s is called %s: %s", what, quote(r.name), hint)
	return v, false
}

func verb[T any](old *T) string {
	if old == nil {
		return Added
	}
	return Changed
}

func listenerName(lb *albion.LoadBalancer, l *albion.Listener) string {
	return fmt.Sprintf("%s:%d", lb.Name, l.Port)
}

func ruleName(lb *albion.LoadBalancer, l *albion.Listener, r *albion.Rule) string {
	return fmt.Sprintf("%s priority %d", listenerName(lb, l), r.Priority)
}

// sameDomains compares sets of DNS names.
func sameDomains(a, b []string) bool {
	plain := func(in []string) []string {
		out := make([]string, len(in))
		for i, s := range in {
			out[i] = strings.ToLower(strings.TrimSuffix(s, "."))
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return slices.Equal(plain(a), plain(b))
}
