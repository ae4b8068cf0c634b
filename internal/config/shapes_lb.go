package config

import (
	"net/netip"
	"strconv"

	"github.com/albion-lb/albion"
)

func (n node) loadBalancer(name string) loadBalancer {
	lb := loadBalancer{at: n.parts, want: albion.LoadBalancer{
		Name: name, Origin: albion.OriginFile, Attributes: albion.DefaultLoadBalancerAttributes(),
	}}
	ports := map[uint16]place{}
	n.fields("a load balancer", []field{
		{"listeners", func(n node) {
			n.list("listeners", func(n node) {
				l := n.listener()
				if first, twice := ports[l.want.Port]; twice && l.want.Port != 0 {
					n.bad("port %d has a listener already, in line %d", l.want.Port, first.line)
					return
				}
				ports[l.want.Port] = n.at
				lb.listeners = append(lb.listeners, l)
			})
		}},
		{"addresses", func(n node) { lb.want.Addresses = n.addresses() }},
		{"security_groups", func(n node) { lb.groups = n.refs("names of security groups") }},
		{"attributes", func(n node) { n.attributes(&lb.want.Attributes) }},
		{"access_log", func(n node) { lb.want.AccessLog = n.accessLog() }},
	})
	return lb
}

func (n node) addresses() []netip.Addr {
	var all []netip.Addr
	n.oneOrMore("IP addresses", func(n node) {
		if a, ok := n.address(); ok {
			all = append(all, a)
		}
	})
	return all
}

// refs reads the names of other objects.
func (n node) refs(what string) []ref {
	var all []ref
	n.oneOrMore(what, func(n node) {
		if s, ok := n.text("a name"); ok {
			all = append(all, ref{s, n.at})
		}
	})
	return all
}

func (n node) attributes(a *albion.LoadBalancerAttributes) {
	n.fields("attributes", []field{
		{"idle_timeout", func(n node) { a.IdleTimeout = n.duration() }},
		{"client_keep_alive", func(n node) { a.ClientKeepAlive = n.duration() }},
		{"desync_mitigation_mode", func(n node) {
			a.DesyncMode = albion.DesyncMode(n.word(string(albion.DesyncMonitor), string(albion.DesyncDefensive), string(albion.DesyncStrictest)))
		}},
		{"drop_invalid_header_fields", func(n node) { a.DropInvalidHeaders = n.truth() }},
		{"preserve_host_header", func(n node) { a.PreserveHost = n.truth() }},
		{"xff_header_processing", func(n node) {
			a.XFFMode = albion.XFFMode(n.word(string(albion.XFFAppend), string(albion.XFFPreserve), string(albion.XFFRemove)))
		}},
		{"xff_client_port", func(n node) { a.XFFClientPort = n.truth() }},
		{"tls_version_and_cipher_headers", func(n node) { a.TLSHeaders = n.truth() }},
		{"http2", func(n node) { a.NoHTTP2 = !n.truth() }},
	})
}

// stdout is where an access log goes that goes to no file.
const stdout = "stdout"

// accessLog reads stdout, a file name or {file, max_size, keep}.
func (n node) accessLog() albion.AccessLog {
	var log albion.AccessLog
	file := func(n node) {
		if s, _ := n.scalar(); s == stdout {
			log.File = stdout
			return
		}
		log.File = n.filename()
	}
	if n.isScalar() {
		file(n)
		return log
	}
	there := n.fields("an access log", []field{
		{"file", file},
		{"max_size", func(n node) { log.MaxSize = n.size() }},
		{"keep", func(n node) { log.Keep = n.integer(1, 10_000) }},
	})
	if _, ok := there["file"]; !ok && there != nil {
		n.bad("access_log: expected stdout, the name of a file, or a mapping with file")
	}
	for _, key := range []string{"max_size", "keep"} {
		if part, ok := there[key]; ok && log.File == stdout {
			part.at = part.keyAt
			part.bad("%s belongs to a file, and this log goes to stdout", key)
		}
	}
	return log
}

func (n node) listener() listener {
	n = n.object()
	l := listener{at: n.parts, want: albion.Listener{Origin: albion.OriginFile}}
	known := append([]field{
		{"port", func(n node) { l.want.Port = n.port() }},
		{"protocol", func(n node) { l.want.Protocol = albion.Protocol(n.word(string(albion.HTTP), string(albion.HTTPS))) }},
		{"certificates", func(n node) { l.certificates = n.refs("names of certificates") }},
		{"ssl_policy", func(n node) { l.want.SSLPolicy = n.word(albion.SSLPolicies()...) }},
		{"rules", func(n node) { l.rules = n.rules() }},
	}, actionFields(&l.action)...)
	there := n.fields("a listener", known)
	if there == nil {
		return l
	}
	if _, ok := there["port"]; !ok {
		n.bad("a listener needs port")
	}
	n.oneAction("a listener", there)
	if _, said := there["protocol"]; !said {
		l.want.Protocol = albion.HTTP
		if len(l.certificates) > 0 {
			l.want.Protocol = albion.HTTPS
		}
	}
	n.tls(&l, there)
	return l
}

// tls checks that what concerns TLS is there for HTTPS and for nothing else.
func (n node) tls(l *listener, there map[string]node) {
	switch l.want.Protocol {
	case albion.HTTPS:
		if len(l.certificates) == 0 {
			n.bad("an HTTPS listener needs certificates")
		}
		if _, said := there["ssl_policy"]; !said {
			l.want.SSLPolicy = albion.DefaultSSLPolicy
		}
	case albion.HTTP:
		for _, key := range []string{"certificates", "ssl_policy"} {
			if part, ok := there[key]; ok {
				part.at = part.keyAt
				part.bad("%s belongs to an HTTPS listener, and this one is HTTP", key)
			}
		}
	}
}

// rules reads a listener's rules. Either all have a priority or none has: then
// they have 10, 20, 30 … in the order of the file.
func (n node) rules() []rule {
	var all []rule
	first := map[int]place{}
	without := 0
	n.list("rules", func(n node) {
		r := n.rule()
		at, said := r.at["priority"]
		switch {
		case !said:
			without++
			r.want.Priority = 10 * (len(all) + 1)
		case r.want.Priority != 0:
			if line, twice := first[r.want.Priority]; twice {
				n.at = at
				n.bad("priority %d has a rule already, in line %d", r.want.Priority, line.line)
			}
			first[r.want.Priority] = at
		}
		all = append(all, r)
	})
	if without > 0 && without < len(all) {
		for _, r := range all {
			if _, said := r.at["priority"]; !said {
				n.at = r.at[""]
				n.bad("this rule has no priority, and others of the listener have one: expected all or none")
			}
		}
	}
	return all
}

const maxPriority = 50_000

func (n node) rule() rule {
	n = n.object()
	r := rule{at: n.parts, want: albion.Rule{Origin: albion.OriginFile}}
	condition := func(of albion.ConditionField) func(node) {
		return func(n node) {
			c := albion.Condition{Field: of}
			n.oneOrMore("patterns", func(n node) {
				if s, ok := n.text("a pattern"); ok {
					c.Values = append(c.Values, s)
				}
			})
			r.want.Conditions = append(r.want.Conditions, c)
		}
	}
	known := append([]field{
		{"priority", func(n node) { r.want.Priority = n.integer(1, maxPriority) }},
		{"host", condition(albion.HostHeader)},
		{"path", condition(albion.PathPattern)},
	}, actionFields(&r.action)...)
	there := n.fields("a rule", known)
	if there == nil {
		return r
	}
	if len(r.want.Conditions) == 0 {
		n.bad("a rule needs a condition: expected host, path or both")
	}
	n.oneAction("a rule", there)
	// The order of the keys in the file means nothing.
	if c := r.want.Conditions; len(c) == 2 && c[0].Field == albion.PathPattern {
		c[0], c[1] = c[1], c[0]
	}
	return r
}

// actionFields are the three keys of which a listener or rule has one.
func actionFields(a *action) []field {
	return []field{
		{"forward", func(n node) { a.forward = n.forward() }},
		{"redirect", func(n node) { a.redirect = n.redirect() }},
		{"fixed_response", func(n node) { a.fixed = n.fixedResponse() }},
	}
}

func (n node) oneAction(what string, there map[string]node) {
	count := 0
	for _, f := range actionFields(new(action)) {
		if part, ok := there[f.key]; ok {
			if count++; count > 1 {
				part.at = part.keyAt
				part.bad("%s has one action, and this is another: expected forward, redirect or fixed_response", what)
			}
		}
	}
	if count == 0 {
		n.bad("%s needs an action: expected forward, redirect or fixed_response", what)
	}
}

// forward reads the name of a target group, or a list of names and
// {group, weight}.
func (n node) forward() []share {
	var all []share
	n.oneOrMore("target groups", func(n node) {
		if _, ok := n.scalar(); ok || n.yaml == nil {
			if s, ok := n.text("the name of a target group"); ok {
				all = append(all, share{ref{s, n.at}, 1})
			}
			return
		}
		s := share{weight: 1}
		there := n.fields("a weighted target group", []field{
			{"group", func(n node) {
				s.group.name, _ = n.text("the name of a target group")
				s.group.at = n.at
			}},
			{"weight", func(n node) { s.weight = n.integer(0, 999) }},
		})
		if _, ok := there["group"]; !ok && there != nil {
			n.bad("a weighted target group needs group")
		}
		all = append(all, s)
	})
	if len(all) == 0 && (n.yaml == nil || !n.isScalar()) {
		n.bad("forward: expected the name of a target group, or a list of them")
	}
	return all
}

// redirect reads https, or the parts of a redirect.
func (n node) redirect() *albion.Redirect {
	r := albion.DefaultRedirect()
	if n.isScalar() {
		if n.word("https") != "" {
			r.Protocol, r.Port = string(albion.HTTPS), strconv.Itoa(443)
		}
		return &r
	}
	part := func(to *string, expected string) func(node) {
		return func(n node) { *to, _ = n.text(expected) }
	}
	there := n.fields("a redirect", []field{
		{"protocol", func(n node) { r.Protocol = n.word(string(albion.HTTP), string(albion.HTTPS), "#{protocol}") }},
		{"host", part(&r.Host, "a host name")},
		{"port", part(&r.Port, "a port")},
		{"path", part(&r.Path, "a path")},
		{"query", part(&r.Query, "a query without its question mark")},
		{"status", func(n node) { r.Status = n.integer(300, 399) }},
	})
	if there != nil && len(there) == 0 {
		n.bad("redirect: expected https, or a mapping with protocol, host, port, path, query or status")
	}
	return &r
}

func (n node) fixedResponse() *albion.FixedResponse {
	var fixed albion.FixedResponse
	there := n.fields("a fixed response", []field{
		{"status", func(n node) { fixed.Status = n.integer(200, 599) }},
		{"content_type", func(n node) { fixed.ContentType, _ = n.text("a content type such as text/plain") }},
		{"body", func(n node) { fixed.Body, _ = n.text("the text of the answer") }},
	})
	if _, ok := there["status"]; !ok && there != nil {
		n.bad("a fixed response needs status")
	}
	return &fixed
}
