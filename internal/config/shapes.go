package config

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/albion-lb/albion"
)

// document reads the whole file.
func (n node) document() {
	f := n.r.file
	n.fields("the file", []field{
		{"certificates", func(n node) {
			n.named("certificates", func(name string, n node) { f.certificates = append(f.certificates, n.certificate(name)) })
		}},
		{"security_groups", func(n node) {
			n.named("security groups", func(name string, n node) { f.securityGroups = append(f.securityGroups, n.securityGroup(name)) })
		}},
		{"target_groups", func(n node) {
			n.named("target groups", func(name string, n node) { f.targetGroups = append(f.targetGroups, n.targetGroup(name)) })
		}},
		{"load_balancers", func(n node) {
			n.named("load balancers", func(name string, n node) { f.loadBalancers = append(f.loadBalancers, n.loadBalancer(name)) })
		}},
		{"dns", func(n node) { f.nameService = n.nameService() }},
		{"hosted_zones", func(n node) {
			n.named("hosted zones", func(name string, n node) { f.hostedZones = append(f.hostedZones, n.hostedZone(name)) })
		}},
		{"hooks", func(n node) {
			n.named("hooks", func(name string, n node) { f.hooks = append(f.hooks, n.hook(name)) })
		}},
	})
}

func (n node) certificate(name string) certificate {
	c := certificate{at: n.parts, name: name}
	file := func(n node) {
		if s := n.filename(); s != "" {
			c.files = append(c.files, source{n.key, s})
		}
	}
	there := n.fields("a certificate", append([]field{
		{"domains", func(n node) {
			n.oneOrMore("domain names", func(n node) {
				if s, ok := n.text("a domain name"); ok {
					c.domains = append(c.domains, s)
				}
			})
		}},
		{"deliver", func(n node) { c.deliveries = n.deliveries() }},
		{"certificate", file},
		{"key", file},
		{"chain", file},
		{"certbot", func(n node) {
			if s := n.filename(); s != "" {
				c.files = append(c.files, source{n.key, filepath.Join(s, "fullchain.pem")}, source{n.key, filepath.Join(s, "privkey.pem")})
			}
		}},
	}, c.requestFields()...))
	if there != nil {
		n.certificateSource(c, there)
	}
	return c
}

// certificateSource checks that a certificate has one source.
func (n node) certificateSource(c certificate, there map[string]node) {
	var sources []string
	for _, key := range []string{"domains", "certificate", "certbot"} {
		if _, ok := there[key]; ok {
			sources = append(sources, key)
		}
	}
	n.at = n.keyAt
	switch {
	case len(sources) == 0:
		n.bad("certificate %s comes from nowhere: expected domains, certificate or certbot", quote(c.name))
		return
	case len(sources) > 1:
		n.bad("certificate %s has several sources, %s: expected one", quote(c.name), strings.Join(sources, " and "))
		return
	}
	belongs := map[string]string{
		"key": "certificate", "chain": "certificate",
		"issuer": "domains", "email": "domains", "challenge": "domains", "key_type": "domains", "profile": "domains", "ca_root": "domains",
		"eab": "domains", "fallback": "domains",
	}
	for _, key := range sortedKeys(belongs) {
		if part, ok := there[key]; ok && belongs[key] != sources[0] {
			part.at = part.keyAt
			part.bad("%s belongs to %s, and this certificate has %s", key, belongs[key], sources[0])
		}
	}
	if sources[0] == "domains" {
		c.checkRequest(there)
	}
	if domains, ok := there["domains"]; ok && len(c.domains) == 0 && (domains.yaml == nil || !domains.isScalar()) {
		domains.bad("domains: expected at least one domain name")
	}
}

func (n node) securityGroup(name string) securityGroup {
	g := securityGroup{at: n.parts, want: albion.SecurityGroup{Name: name, Origin: albion.OriginFile}}
	n.fields("a security group", []field{
		{"ingress", func(n node) {
			n.list("permissions", func(n node) {
				if p, ok := n.permission(); ok {
					g.want.Ingress = append(g.want.Ingress, p)
				}
			})
		}},
	})
	return g
}

func (n node) permission() (albion.Permission, bool) {
	var p albion.Permission
	there := n.fields("a permission", []field{
		{"ports", func(n node) { p.FromPort, p.ToPort = n.ports() }},
		{"from", func(n node) {
			n.oneOrMore("CIDRs or addresses", func(n node) {
				if source, ok := n.prefix(); ok {
					p.Sources = append(p.Sources, source)
				}
			})
		}},
	})
	if there == nil {
		return p, false
	}
	for _, key := range []string{"ports", "from"} {
		if _, ok := there[key]; !ok {
			n.bad("a permission needs %s", key)
			return p, false
		}
	}
	return p, true
}

// ports reads 80, 80-90 or all.
func (n node) ports() (from, to uint16) {
	const expected = `a port, a range like 8000-8099, or all`
	s, ok := n.text(expected)
	if !ok {
		return 0, 0
	}
	if s == "all" {
		return 1, math.MaxUint16
	}
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	low, err := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	high, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	if err != nil || err2 != nil || low == 0 || low > high {
		n.bad("%s: %s is not %s", n.key, quote(s), expected)
	}
	return uint16(low), uint16(high)
}

func (n node) targetGroup(name string) targetGroup {
	g := targetGroup{at: n.parts, want: albion.TargetGroup{
		Name: name, Origin: albion.OriginFile, Protocol: albion.HTTP,
		HealthCheck: albion.DefaultHealthCheck(), Attributes: albion.DefaultTargetGroupAttributes(),
	}}
	w := &g.want
	n.fields("a target group", []field{
		{"targets", func(n node) {
			n.oneOrMore("targets", func(n node) {
				if t, ok := n.target(); ok {
					w.Targets = append(w.Targets, t)
				}
			})
		}},
		{"protocol", func(n node) { w.Protocol = albion.Protocol(n.word(string(albion.HTTP), string(albion.HTTPS))) }},
		{"protocol_version", func(n node) {
			w.ProtocolVersion = albion.ProtocolVersion(n.word(string(albion.HTTP1), string(albion.HTTP2), string(albion.GRPC)))
		}},
		{"port", func(n node) { w.Port = n.port() }},
		{"algorithm", func(n node) {
			w.Attributes.Algorithm = albion.Algorithm(n.word(string(albion.RoundRobin), string(albion.LeastOutstandingRequests)))
		}},
		{"stickiness", func(n node) { w.Attributes.Stickiness = n.stickiness() }},
		{"deregistration_delay", func(n node) { w.Attributes.DeregistrationDelay = n.duration() }},
		{"health_check", func(n node) { n.healthCheck(&w.HealthCheck) }},
	})
	if w.Port == 0 {
		w.Port = defaultPort(w.Protocol)
	}
	settleVersion(w, g.at)
	for i := range w.Targets {
		if w.Targets[i].Port == 0 {
			w.Targets[i].Port = w.Port
		}
	}
	return g
}

// settleVersion fills in what depends on the protocol version, which may stand
// anywhere in the mapping. HTTP1 is written as it always was.
func settleVersion(g *albion.TargetGroup, said places) {
	if g.ProtocolVersion == albion.HTTP1 {
		g.ProtocolVersion = ""
	}
	usual := g.ProtocolVersion.DefaultHealthCheck()
	if _, ok := said["health_check.path"]; !ok {
		g.HealthCheck.Path = usual.Path
	}
	if _, ok := said["health_check.matcher"]; !ok {
		g.HealthCheck.Matcher = usual.Matcher
	}
}

func defaultPort(p albion.Protocol) uint16 {
	if p == albion.HTTPS {
		return 443
	}
	return 80
}

// defaultStickiness is how long ALB's cookie lasts when nobody says.
const defaultStickiness = 24 * time.Hour

// stickiness reads off, sockjs, lb_cookie or {type, duration}.
func (n node) stickiness() albion.Stickiness {
	var s albion.Stickiness
	kind := func(n node) {
		if w := n.word("off", string(albion.LBCookie), string(albion.SockJS)); w != "off" {
			s.Type = albion.StickinessType(w)
		}
	}
	if n.isScalar() {
		kind(n)
	} else {
		there := n.fields("stickiness", []field{
			{"type", kind},
			{"duration", func(n node) { s.Duration = n.duration() }},
		})
		if d, ok := there["duration"]; ok && s.Type != albion.LBCookie {
			d.at = d.keyAt
			d.bad("duration belongs to type: lb_cookie")
		}
		if _, ok := there["type"]; !ok && there != nil {
			n.bad("stickiness: expected off, lb_cookie, sockjs, or a mapping with type")
		}
	}
	if s.Type == albion.LBCookie && s.Duration == 0 {
		s.Duration = defaultStickiness
	}
	return s
}

func (n node) healthCheck(h *albion.HealthCheck) {
	n.fields("a health check", []field{
		{"path", func(n node) { h.Path, _ = n.text("a path such as /healthz") }},
		{"interval", func(n node) { h.Interval = n.duration() }},
		{"timeout", func(n node) { h.Timeout = n.duration() }},
		{"healthy_threshold", func(n node) { h.Healthy = n.integer(2, 10) }},
		{"unhealthy_threshold", func(n node) { h.Unhealthy = n.integer(2, 10) }},
		{"matcher", func(n node) { h.Matcher, _ = n.text(`status codes such as "200" or "200-299,301"`) }},
		{"port", func(n node) {
			if s, ok := n.scalar(); !ok || s != "traffic-port" {
				h.Port = n.port()
			}
		}},
		{"protocol", func(n node) { h.Protocol = albion.Protocol(n.word(string(albion.HTTP), string(albion.HTTPS))) }},
		{"enabled", func(n node) { h.Disabled = !n.truth() }},
	})
}
