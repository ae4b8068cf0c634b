package admin

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/acm"
)

// Status is how everything stands.
type Status struct {
	Version       string   // of the program
	Configuration uint64   // version of the State
	Running       bool     // a data plane serves it
	Refused       *Refusal `json:",omitempty"` // the last edit of the configuration file, when it is not in force
	Listeners     []Listener
	Certificates  []Certificate
	TargetGroups  []TargetGroup
	NameServers   []NameServer // where names are answered
	Zones         []Zone
	Authority     string `json:",omitempty"` // PEM of the local CA, for clients to trust
}

// Listener is one listener and how it fares.
type Listener struct {
	Name         string // LOADBALANCER:PORT
	ARN          albion.ARN
	Protocol     albion.Protocol
	Port         uint16
	Address      string // where it listens
	State        string // serving, failed, or stopped when nothing runs
	Problem      string `json:",omitempty"`
	Connections  int
	SSLPolicy    string   `json:",omitempty"`
	Certificates []string // names, the default first
	Rules        int      // besides the default action
	Default      string   // what the default action does, in words
}

// TargetGroup is one group and its targets.
type TargetGroup struct {
	Name       string
	ARN        albion.ARN
	Protocol   albion.Protocol
	Version    albion.ProtocolVersion
	Algorithm  albion.Algorithm
	Stickiness albion.StickinessType
	Targets    []Target
}

// Target is one target and how it fares.
type Target struct {
	Target      string // HOST:PORT
	State       albion.HealthState
	Reason      albion.HealthReason `json:",omitempty"`
	Description string              `json:",omitempty"`
	Check       string              `json:",omitempty"` // URL that the health check asks for
	Outstanding int
	Until       *time.Time `json:",omitempty"` // of a draining one: when what is left is cut
}

// Status tells how everything stands.
func (s *Service) Status() Status {
	state := s.cfg.Store.State()
	out := Status{
		Version: s.cfg.Version, Configuration: state.Version, Running: s.cfg.Seen != nil, Refused: s.refused(),
		Listeners: []Listener{}, Certificates: s.Certificates(), TargetGroups: []TargetGroup{},
	}
	out.Authority, _ = acm.Authority(state)
	var seen albion.Seen
	if s.cfg.Seen != nil {
		seen = s.cfg.Seen()
	}
	out.Listeners = listeners(state, seen)
	out.TargetGroups = groups(state, seen)
	out.NameServers, out.Zones = nameServers(state, seen, out.Running), s.Zones()
	return out
}

func listeners(state *albion.State, seen albion.Seen) []Listener {
	fares := map[albion.ARN]albion.ListenerSeen{}
	for _, l := range seen.Listeners {
		fares[l.Listener] = l
	}
	rules := map[albion.ARN]int{}
	for r := range state.Rules.All() {
		rules[r.Listener]++
	}
	all := []Listener{}
	for l := range state.Listeners.All() {
		shown := Listener{
			Name: listenerName(state, l), ARN: l.ARN, Protocol: l.Protocol, Port: l.Port, SSLPolicy: l.SSLPolicy,
			Rules: rules[l.ARN], Default: describe(state, &l.Default), State: "stopped", Certificates: []string{},
		}
		for _, arn := range l.Certificates {
			if c, ok := state.Certificates.Get(string(arn)); ok {
				shown.Certificates = append(shown.Certificates, c.Name)
			}
		}
		if fare, ok := fares[l.ARN]; ok {
			shown.Address, shown.Connections, shown.Problem = fare.Address, fare.Connections, fare.Problem
			shown.State = "serving"
		}
		if shown.Problem != "" {
			shown.State = "failed"
		}
		all = append(all, shown)
	}
	slices.SortFunc(all, func(a, b Listener) int { return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Name, b.Name)) })
	return all
}

func groups(state *albion.State, seen albion.Seen) []TargetGroup {
	byGroup := map[albion.ARN][]Target{}
	for _, t := range seen.Targets {
		shown := Target{
			Check:  checkURL(state, t),
			Target: t.Target.String(), State: t.Health.State, Reason: t.Health.Reason,
			Description: t.Health.Description, Outstanding: t.Outstanding,
		}
		if !t.Until.IsZero() {
			shown.Until = &t.Until
		}
		byGroup[t.Group] = append(byGroup[t.Group], shown)
	}
	all := []TargetGroup{}
	for g := range state.TargetGroups.All() {
		shown := TargetGroup{
			Name: g.Name, ARN: g.ARN, Protocol: g.Protocol, Version: g.Version(), Algorithm: g.Attributes.Algorithm,
			Stickiness: g.Attributes.Stickiness.Type, Targets: byGroup[g.ARN],
		}
		if shown.Targets == nil {
			shown.Targets = []Target{}
			for _, t := range g.Targets {
				shown.Targets = append(shown.Targets, Target{Target: t.String(), State: albion.Unused})
			}
		}
		all = append(all, shown)
	}
	slices.SortFunc(all, func(a, b TargetGroup) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// checkURL is what the health check of a target asks for; "" when nothing does.
func checkURL(state *albion.State, t albion.TargetSeen) string {
	g, ok := state.TargetGroups.Get(string(t.Group))
	if !ok || g.HealthCheck.Disabled {
		return ""
	}
	port := t.Target.Port
	if g.HealthCheck.Port != 0 {
		port = g.HealthCheck.Port
	}
	host := net.JoinHostPort(t.Target.Host, strconv.Itoa(int(port)))
	return strings.ToLower(string(g.HealthCheck.Protocol)) + "://" + host + g.HealthCheck.Path
}

// listenerName is LOADBALANCER:PORT.
func listenerName(state *albion.State, l *albion.Listener) string {
	name := string(l.LoadBalancer)
	if lb, ok := state.LoadBalancers.Get(name); ok {
		name = lb.Name
	}
	return name + ":" + strconv.Itoa(int(l.Port))
}

// describe says in words what an action does.
func describe(state *albion.State, a *albion.Action) string {
	switch {
	case a.Fixed != nil:
		return fmt.Sprintf("answer %d", a.Fixed.Status)
	case a.Redirect != nil:
		return describeRedirect(a.Redirect)
	case a.Forward != nil:
		var names []string
		for _, w := range a.Forward.Groups {
			name := string(w.Group)
			if g, ok := state.TargetGroups.Get(name); ok {
				name = g.Name
			}
			if len(a.Forward.Groups) > 1 {
				name += fmt.Sprintf(" (%d)", w.Weight)
			}
			names = append(names, name)
		}
		return "forward to " + strings.Join(names, ", ")
	}
	return ""
}

// describeRedirect names the parts that differ from what was asked for:
// "redirect to HTTPS, port 8443 (301)".
func describeRedirect(r *albion.Redirect) string {
	same := albion.DefaultRedirect()
	var parts []string
	if r.Protocol != same.Protocol {
		parts = append(parts, r.Protocol)
	}
	usual := r.Protocol == "HTTPS" && r.Port == "443" || r.Protocol == "HTTP" && r.Port == "80"
	for _, part := range []struct {
		word, is, was string
		silent        bool
	}{
		{"host", r.Host, same.Host, false}, {"port", r.Port, same.Port, usual},
		{"path", r.Path, same.Path, false}, {"query", r.Query, same.Query, false},
	} {
		switch {
		case part.is == part.was || part.silent:
		case part.is == "":
			parts = append(parts, "no "+part.word)
		default:
			parts = append(parts, part.word+" "+part.is)
		}
	}
	return fmt.Sprintf("redirect to %s (%d)", strings.Join(parts, ", "), r.Status)
}
