package albion

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// action checks an action of listener l, which is nil when it does not exist.
func (s subject) action(field string, a *Action, l *Listener) {
	count := 0
	if a.Forward != nil {
		count++
		s.forward(field+".Forward", a.Forward, l)
	}
	if a.Redirect != nil {
		count++
		s.redirect(field+".Redirect", a.Redirect, l)
	}
	if a.Fixed != nil {
		count++
		s.fixed(field+".Fixed", a.Fixed)
	}
	switch {
	case count == 0:
		s.wrong(CodeValidation, field, "it does nothing; give it a forward, a redirect or a fixed response")
	case count > 1:
		s.wrong(CodeTooManyActions, field, "it has %d actions; keep one of forward, redirect and fixed response", count)
	}
}

func (s subject) forward(field string, f *Forward, l *Listener) {
	if len(f.Groups) == 0 {
		s.wrong(CodeValidation, field+".Groups", "the forward action names no target group")
	}
	if len(f.Groups) > MaxGroupsPerAction {
		s.wrong(CodeTooManyTargetGroups, field+".Groups", "the forward action names %d target groups; %d are allowed", len(f.Groups), MaxGroupsPerAction)
	}
	seen := make(map[ARN]bool, len(f.Groups))
	for i, g := range f.Groups {
		place := index(field+".Groups", i)
		within(s, place+".Weight", g.Weight, 0, 999)
		group, ok := s.state.TargetGroups.Get(string(g.Group))
		switch {
		case !ok:
			s.wrong(CodeTargetGroupNotFound, place+".Group", "there is no target group %s", shown(string(g.Group)))
		case seen[g.Group]:
			s.wrong(CodeValidation, place+".Group", "%s is named twice; add the weights up", s.label(group))
		case l != nil:
			s.association(place+".Group", group, l)
			s.speaksGRPC(place+".Group", group, l)
		}
		seen[g.Group] = true
	}
}

// association checks that a target group serves one load balancer only (ALB's
// quota of load balancers per target group is 1).
func (s subject) association(field string, g *TargetGroup, l *Listener) {
	lb, ok := s.state.LoadBalancers.Get(string(l.LoadBalancer))
	if !ok {
		return
	}
	other, used := s.users[g.ARN]
	if !used {
		s.users[g.ARN] = lb
	} else if other != lb {
		s.wrong(CodeGroupAssociationLimit, field, "%s serves %s already; make another group for this one", s.label(g), s.label(other))
	}
}

// speaksGRPC checks that gRPC comes over TLS (ALB: the listener protocol of a
// GRPC target group is HTTPS).
func (s subject) speaksGRPC(field string, g *TargetGroup, l *Listener) {
	if g.ProtocolVersion == GRPC && l.Protocol == HTTP {
		s.wrong(CodeIncompatibleProtocols, field, "%s speaks gRPC, which clients can use on an HTTPS listener only; make the listener HTTPS", s.label(g))
	}
}

func (s subject) fixed(field string, f *FixedResponse) {
	ok := f.Status >= 200 && f.Status <= 299 || f.Status >= 400 && f.Status <= 599
	if !ok {
		s.wrong(CodeValidation, field+".Status", "status is %d; choose 200 to 299 or 400 to 599", f.Status)
	}
	oneOf(s, field+".ContentType", f.ContentType, "", "text/plain", "text/css", "text/html", "application/javascript", "application/json")
	if len(f.Body) > 1024 {
		s.wrong(CodeValidation, field+".Body", "the body has %d bytes; 1024 are allowed", len(f.Body))
	}
	// RFC 9110 §15.3.5 and §15.3.6: these have no content.
	if f.Body != "" && (f.Status == 204 || f.Status == 205) {
		s.wrong(CodeValidation, field+".Body", "an answer with status %d has no body", f.Status)
	}
}

func (s subject) redirect(field string, r *Redirect, l *Listener) {
	if r.Status != 301 && r.Status != 302 && r.Status != 307 && r.Status != 308 {
		s.wrong(CodeValidation, field+".Status", "status is %d; choose 301, 302, 307 or 308", r.Status)
	}
	oneOf(s, field+".Protocol", r.Protocol, "HTTP", "HTTPS", "#{protocol}", "")
	s.redirectPort(field+".Port", r.Port)
	s.redirectHost(field+".Host", r.Host)
	s.redirectPath(field+".Path", r.Path)
	s.redirectQuery(field+".Query", r.Query)
	if l == nil {
		return
	}
	if l.Protocol == HTTPS && r.Protocol == "HTTP" {
		s.wrong(CodeInvalidAction, field+".Protocol", "a redirect from HTTPS to HTTP gives the encryption up; redirect to HTTPS")
	}
	if !movesElsewhere(r, l) && (r.Host == "" || r.Host == "#{host}") {
		s.wrong(CodeInvalidAction, field, "the redirect leads to where it came from; change its protocol, host, port or path")
	}
}

// movesElsewhere reports whether a redirect changes anything besides the host
// and the query. Both stay with the same listener, so neither alone ends a
// circle.
func movesElsewhere(r *Redirect, l *Listener) bool {
	return r.Protocol != "" && r.Protocol != "#{protocol}" && r.Protocol != string(l.Protocol) ||
		r.Port != "" && r.Port != "#{port}" && r.Port != strconv.Itoa(int(l.Port)) ||
		r.Path != "" && r.Path != "/#{path}"
}

func (s subject) redirectPort(field, port string) {
	if port == "" || port == "#{port}" {
		return
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' {
		s.wrong(CodeValidation, field, "port %s is neither 1 to 65535 nor #{port}", shown(port))
	}
}

func (s subject) redirectHost(field, host string) {
	rest, ok := s.template(field, host, "host")
	if !ok || host == "" {
		return
	}
	if bracketed(host) {
		return
	}
	if strings.Trim(rest, alphanumeric+"-_.") != "" {
		s.wrong(CodeValidation, field, "%s is no host; write letters, digits, - and ., the port in its own field", shown(host))
	}
}

// bracketed reports whether host is an IPv6 address as URLs write it.
func bracketed(host string) bool {
	inner, opened := strings.CutPrefix(host, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	a, err := netip.ParseAddr(inner)
	return opened && closed && err == nil && a.Is6() && a.Zone() == ""
}

func (s subject) redirectPath(field, path string) {
	rest, ok := s.template(field, path, "host", "port", "path")
	if !ok || path == "" {
		return
	}
	if path[0] != '/' || strings.Contains(rest, "?") {
		s.wrong(CodeValidation, field, "path %s does not begin with /, or has a query, which has its own field", shown(path))
	}
}

func (s subject) redirectQuery(field, query string) {
	if _, ok := s.template(field, query, "protocol", "host", "port", "path", "query"); ok && strings.HasPrefix(query, "?") {
		s.wrong(CodeValidation, field, "query %s begins with ?; leave it out, it is added", shown(query))
	}
}

// template checks the length, the characters and the placeholders of a part of
// a redirect, and returns what is between them.
func (s subject) template(field, value string, allowed ...string) (rest string, ok bool) {
	const longest = 128
	if len(value) > longest || !visible(value) {
		s.wrong(CodeValidation, field, "%s is not up to %d visible ASCII characters; percent-encode others", shown(value), longest)
		return "", false
	}
	for {
		before, after, found := strings.Cut(value, "#")
		rest += before
		if !escaped(before) {
			s.wrong(CodeValidation, field, "%s has a %% that begins no escape; write %%25 for a percent sign", words(field))
			return "", false
		}
		if !found {
			return rest, true
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed || !strings.HasPrefix(name, "{") || !slices.Contains(allowed, name[1:]) {
			s.wrong(CodeValidation, field, "%s may hold #{%s} and no other #", words(field), strings.Join(allowed, "}, #{"))
			return "", false
		}
		value = behind
	}
}

// escaped reports whether every % in s begins an escape (RFC 3986 §2.1).
func escaped(s string) bool {
	for {
		_, after, found := strings.Cut(s, "%")
		if !found {
			return true
		}
		if len(after) < 2 || strings.Trim(after[:2], "0123456789abcdefABCDEF") != "" {
			return false
		}
		s = after[2:]
	}
}
