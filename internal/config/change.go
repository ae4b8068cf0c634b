package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/albion-lb/albion"
)

// Change is one thing that Apply did to one object.
type Change struct {
	Verb    string      // Added, Changed or Removed
	Kind    albion.Kind // of the object
	Name    string      // "chat"; of a listener "web:443", of a rule "web:443 priority 10"
	Details []string    // what differs, by the keys of the file: "idle_timeout: 60s → 120s"
}

// What a Change can say.
const (
	Added   = "add"
	Changed = "change"
	Removed = "remove"
)

// String is one line: change load balancer web: idle_timeout: 60s → 120s.
func (c Change) String() string {
	s := fmt.Sprintf("%s %s %s", c.Verb, strings.ReplaceAll(string(c.Kind), "-", " "), c.Name)
	if len(c.Details) > 0 {
		s += ": " + strings.Join(c.Details, "; ")
	}
	return s
}

// fact is what an object says about one key of the file.
type fact struct {
	key    string
	values []string // one, or of a list any number
	list   bool
}

func one(key, value string) fact            { return fact{key: key, values: []string{value}} }
func many(key string, values []string) fact { return fact{key: key, values: values, list: true} }
func truth(key string, value bool) fact     { return one(key, strconv.FormatBool(value)) }

// diff says what makes the new facts differ from the old ones, which have the
// same keys in the same order.
func diff(old, now []fact) []string {
	var all []string
	for i, f := range now {
		if s := f.since(old[i]); s != "" {
			all = append(all, f.key+": "+s)
		}
	}
	return all
}

// maxListed is how many items of a list a detail spells out.
const maxListed = 10

func (f fact) since(old fact) string {
	if slices.Equal(old.values, f.values) {
		return ""
	}
	if !f.list {
		return arrow(old.values[0], f.values[0])
	}
	var parts []string
	for _, v := range f.values {
		if !slices.Contains(old.values, v) {
			parts = append(parts, "+"+v)
		}
	}
	for _, v := range old.values {
		if !slices.Contains(f.values, v) {
			parts = append(parts, "-"+v)
		}
	}
	if len(parts) == 0 { // another order
		return arrow(brief(old.values), brief(f.values))
	}
	return brief(parts)
}

func brief(items []string) string {
	if len(items) > maxListed {
		return fmt.Sprintf("%s and %d more", strings.Join(items[:maxListed], ", "), len(items)-maxListed)
	}
	return strings.Join(items, ", ")
}

func arrow(old, now string) string {
	switch {
	case old == "":
		return now
	case now == "":
		return old + " → none"
	}
	return old + " → " + now
}

func origin(o albion.Origin) fact {
	if o == "" {
		return one("looked after by", "hand")
	}
	return one("looked after by", "the "+string(o))
}

func certificateFacts(c *albion.Certificate) []fact {
	expires := ""
	if !c.NotAfter.IsZero() {
		expires = c.NotAfter.UTC().Format("2006-01-02 15:04:05Z")
	}
	issuer, way, request := string(c.Issuer), "", albion.Request{}
	if c.Request != nil {
		issuer, way, request = c.Request.Directory, c.Request.Way(), *c.Request
	}
	return []fact{
		origin(c.Origin), many("domains", c.Domains), one("issuer", issuer),
		one("email", request.Email), one("challenge", way), one("key_type", string(request.KeyType)), one("profile", request.Profile),
		one("eab", request.Binding), many("fallback", fallbacks(request.Fallbacks)),
		one("serial", c.Serial), one("expires", expires),
	}
}

func fallbacks(all []albion.CA) []string {
	var out []string
	for _, ca := range all {
		text := ca.Directory
		for _, more := range []string{ca.Profile, ca.Binding} {
			if more != "" {
				text += " " + more
			}
		}
		out = append(out, text)
	}
	return out
}

func securityGroupFacts(g *albion.SecurityGroup) []fact {
	var ingress []string
	for _, p := range g.Ingress {
		ports := strconv.Itoa(int(p.FromPort))
		if p.ToPort != p.FromPort {
			ports += "-" + strconv.Itoa(int(p.ToPort))
		}
		for _, s := range p.Sources {
			ingress = append(ingress, ports+" from "+s.String())
		}
	}
	return []fact{origin(g.Origin), many("ingress", ingress)}
}

func targetGroupFacts(g *albion.TargetGroup) []fact {
	targets := make([]string, len(g.Targets))
	for i, t := range g.Targets {
		targets[i] = t.String()
	}
	h, at := g.HealthCheck, g.Attributes
	checked := "traffic-port"
	if h.Port != 0 {
		checked = strconv.Itoa(int(h.Port))
	}
	sticky := "off"
	switch at.Stickiness.Type {
	case albion.NoStickiness:
	case albion.LBCookie:
		sticky = "lb_cookie for " + formatDuration(at.Stickiness.Duration)
	default:
		sticky = string(at.Stickiness.Type)
	}
	return []fact{
		origin(g.Origin), one("protocol", string(g.Protocol)), one("protocol_version", string(g.Version())),
		one("port", number(int(g.Port))), many("targets", targets),
		one("algorithm", string(at.Algorithm)), one("stickiness", sticky),
		one("deregistration_delay", formatDuration(at.DeregistrationDelay)),
		one("health_check.path", h.Path), one("health_check.interval", formatDuration(h.Interval)),
		one("health_check.timeout", formatDuration(h.Timeout)),
		one("health_check.healthy_threshold", strconv.Itoa(h.Healthy)),
		one("health_check.unhealthy_threshold", strconv.Itoa(h.Unhealthy)),
		one("health_check.matcher", h.Matcher), one("health_check.port", checked),
		one("health_check.protocol", string(h.Protocol)), truth("health_check.enabled", !h.Disabled),
	}
}

// number is n, or nothing for 0.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func (a *applier) loadBalancerFacts(lb *albion.LoadBalancer) []fact {
	addresses := make([]string, len(lb.Addresses))
	for i, x := range lb.Addresses {
		addresses[i] = x.String()
	}
	groups := make([]string, len(lb.SecurityGroups))
	for i, id := range lb.SecurityGroups {
		groups[i] = id
		if g, ok := a.d.SecurityGroups.Get(id); ok {
			groups[i] = g.Name
		}
	}
	at, log := lb.Attributes, lb.AccessLog
	size, keep := "", number(log.Keep)
	if log.MaxSize != 0 {
		size = formatSize(log.MaxSize)
	}
	return []fact{
		origin(lb.Origin), many("addresses", addresses), many("security_groups", groups),
		one("idle_timeout", formatDuration(at.IdleTimeout)), one("client_keep_alive", formatDuration(at.ClientKeepAlive)),
		one("desync_mitigation_mode", string(at.DesyncMode)),
		truth("drop_invalid_header_fields", at.DropInvalidHeaders), truth("preserve_host_header", at.PreserveHost),
		one("xff_header_processing", string(at.XFFMode)), truth("xff_client_port", at.XFFClientPort),
		truth("tls_version_and_cipher_headers", at.TLSHeaders), truth("http2", !at.NoHTTP2),
		one("access_log", log.File), one("access_log.max_size", size), one("access_log.keep", keep),
	}
}

func (a *applier) listenerFacts(l *albion.Listener) []fact {
	names := make([]string, len(l.Certificates))
	for i, arn := range l.Certificates {
		names[i] = string(arn)
		if c, ok := a.d.Certificates.Get(string(arn)); ok {
			names[i] = c.Name
		}
	}
	return []fact{
		origin(l.Origin), one("protocol", string(l.Protocol)), many("certificates", names),
		one("ssl_policy", l.SSLPolicy), one("action", a.actionText(l.Default)),
	}
}

func (a *applier) ruleFacts(r *albion.Rule) []fact {
	var host, path []string
	for _, c := range r.Conditions {
		switch c.Field {
		case albion.HostHeader:
			host = c.Values
		case albion.PathPattern:
			path = c.Values
		}
	}
	return []fact{origin(r.Origin), many("host", host), many("path", path), one("action", a.actionText(r.Action))}
}

// actionText is what an action does, in a few words.
func (a *applier) actionText(x albion.Action) string {
	switch {
	case x.Forward != nil:
		var names []string
		for _, g := range x.Forward.Groups {
			name := string(g.Group)
			if tg, ok := a.d.TargetGroups.Get(name); ok {
				name = tg.Name
			}
			if len(x.Forward.Groups) > 1 || g.Weight != 1 {
				name += fmt.Sprintf(" (weight %d)", g.Weight)
			}
			names = append(names, name)
		}
		return "forward to " + strings.Join(names, ", ")
	case x.Redirect != nil:
		r := x.Redirect
		return fmt.Sprintf("redirect %d to %s://%s:%s%s?%s", r.Status, r.Protocol, r.Host, r.Port, r.Path, r.Query)
	case x.Fixed != nil:
		return strings.Join([]string{"fixed response", strconv.Itoa(x.Fixed.Status), x.Fixed.ContentType, quote(x.Fixed.Body)}, " ")
	}
	return ""
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
