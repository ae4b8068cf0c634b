package albion

import (
	"errors"
	"net/netip"
	"strings"
	"time"
)

func (c *checker) checkTargetGroups(groups []*TargetGroup) {
	names := make(map[string]*TargetGroup, len(groups))
	for i, g := range groups {
		s := c.at(g)
		if i == MaxTargetGroups {
			s.wrong(CodeTooManyTargetGroups, "", "there are %d target groups; %d are allowed", len(groups), MaxTargetGroups)
		}
		s.elbName(g.Name)
		unique(s, names, g.Name, CodeDuplicateTargetGroup)
		if g.Protocol != HTTP && g.Protocol != HTTPS {
			s.wrong(CodeUnsupportedProtocol, "Protocol", "protocol %s is none of HTTP and HTTPS", shown(string(g.Protocol)))
		}
		oneOf(s, "ProtocolVersion", g.ProtocolVersion, "", HTTP1, HTTP2, GRPC)
		if g.Port == 0 {
			s.wrong(CodeValidation, "Port", "port is 0; choose 1 to 65535")
		}
		s.targets(g.Targets)
		s.healthCheck(&g.HealthCheck, g.ProtocolVersion)
		s.groupAttributes(&g.Attributes)
	}
}

func (s subject) targets(targets []Target) {
	if len(targets) > MaxTargetsPerGroup {
		s.wrong(CodeTooManyTargets, "Targets", "it has %d targets; %d are allowed", len(targets), MaxTargetsPerGroup)
	}
	seen := make(map[Target]bool, len(targets))
	for i, t := range targets {
		field := index("Targets", i)
		host, ok := targetHost(t.Host)
		if !ok {
			s.wrong(CodeInvalidTarget, field+".Host", "target %s is neither an IP address of one machine nor a host name", shown(t.Host))
			continue
		}
		if t.Port == 0 {
			s.wrong(CodeInvalidTarget, field+".Port", "target %s has port 0; choose 1 to 65535", shown(t.Host))
		}
		key := Target{host, t.Port}
		if seen[key] {
			s.wrong(CodeInvalidTarget, field, "target %s is listed twice; remove one", t)
		}
		seen[key] = true
	}
}

// targetHost returns the one spelling of a target's host.
func targetHost(host string) (string, bool) {
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.Unmap()
		return a.String(), !a.IsUnspecified() && !a.IsMulticast() && visible(host)
	}
	host = strings.ToLower(host)
	return strings.TrimSuffix(host, "."), hostName(host)
}

// hostName reports whether s is a host name: labels of at most 63 letters,
// digits, inner hyphens and, as in service names, underscores (RFC 1123 §2.1);
// not one that looks like an IPv4 address, whose last label is a number.
func hostName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		bad := strings.Trim(label, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != ""
		if label == "" || len(label) > 63 || bad || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		last = label
	}
	return strings.Trim(last, "0123456789") != ""
}

func (s subject) healthCheck(h *HealthCheck, version ProtocolVersion) {
	if h.Disabled {
		return
	}
	oneOf(s, "HealthCheck.Protocol", h.Protocol, HTTP, HTTPS)
	if !strings.HasPrefix(h.Path, "/") || len(h.Path) > 1024 || !visible(h.Path) || strings.Contains(h.Path, "#") {
		s.wrong(CodeValidation, "HealthCheck.Path", "health check path %s does not begin with / and go on with at most 1023 visible ASCII characters", shown(h.Path))
	}
	// Unlike AWS, where intervals begin at 5 s and timeouts at 2 s, and a timeout
	// is shorter than the interval: who tests on a laptop does not want to wait.
	within(s, "HealthCheck.Interval", h.Interval, time.Second, 300*time.Second)
	within(s, "HealthCheck.Timeout", h.Timeout, time.Second, 120*time.Second)
	if h.Timeout > h.Interval {
		s.wrong(CodeValidation, "HealthCheck.Timeout", "the timeout of a health check, %s, is longer than its interval, %s", measure(h.Timeout), measure(h.Interval))
	}
	within(s, "HealthCheck.Healthy", h.Healthy, 2, 10)
	within(s, "HealthCheck.Unhealthy", h.Unhealthy, 2, 10)
	if _, err := version.ParseMatcher(h.Matcher); err != nil {
		s.wrong(CodeValidation, "HealthCheck.Matcher", "%s", err)
	}
}

func (s subject) groupAttributes(a *TargetGroupAttributes) {
	oneOf(s, "Attributes.Algorithm", a.Algorithm, RoundRobin, LeastOutstandingRequests)
	within(s, "Attributes.DeregistrationDelay", a.DeregistrationDelay, 0, 3600*time.Second)
	oneOf(s, "Attributes.Stickiness.Type", a.Stickiness.Type, NoStickiness, LBCookie, SockJS)
	if a.Stickiness.Type == LBCookie {
		within(s, "Attributes.Stickiness.Duration", a.Stickiness.Duration, time.Second, 604800*time.Second)
	}
}

// checkVersions holds the target groups of next against those that they take the
// place of. What a group speaks cannot change: ALB's page "Target groups for your
// Application Load Balancers", Protocol version.
func checkVersions(base, next *State, changes map[Change]struct{}) error {
	c := &checker{state: next}
	for _, g := range sorted(next.TargetGroups) {
		id := g.Identity()
		if _, changed := changes[Change{KindTargetGroup, id}]; !changed {
			continue
		}
		if old, ok := base.TargetGroups.Get(id); ok && old.Version() != g.Version() {
			subject{c, g}.wrong(CodeInvalidConfiguration, "ProtocolVersion",
				"its protocol version is %s and cannot become %s; make a group with another name", old.Version(), g.Version())
		}
	}
	return errors.Join(c.errs...)
}
