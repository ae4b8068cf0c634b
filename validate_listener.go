package albion

import (
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"
)

func (c *checker) checkLoadBalancers(balancers []*LoadBalancer) {
	names := make(map[string]*LoadBalancer, len(balancers))
	logs := make(map[string]*LoadBalancer, len(balancers))
	for i, lb := range balancers {
		s := c.at(lb)
		if i == MaxLoadBalancers {
			s.wrong(CodeTooManyLoadBalancers, "", "there are %d load balancers; %d are allowed", len(balancers), MaxLoadBalancers)
		}
		s.elbName(lb.Name)
		if strings.HasPrefix(lb.Name, "internal-") {
			s.wrong(CodeValidation, "Name", "names that begin with internal- are reserved; choose another one")
		}
		unique(s, names, lb.Name, CodeDuplicateLoadBalancer)
		s.addresses(lb.Addresses)
		s.groupsOf(lb.SecurityGroups)
		s.balancerAttributes(&lb.Attributes)
		s.accessLog(&lb.AccessLog)
		s.shareLog(logs, lb)
	}
}

// shareLog lets load balancers share a log file when they say the same of it.
func (s subject) shareLog(logs map[string]*LoadBalancer, lb *LoadBalancer) {
	if lb.AccessLog.File == "" {
		return
	}
	mine, file := lb.AccessLog, path.Clean(lb.AccessLog.File)
	other, taken := logs[file]
	if !taken {
		logs[file] = lb
		return
	}
	theirs := other.AccessLog
	theirs.File, mine.File = file, file
	if theirs != mine {
		s.wrong(CodeValidation, "AccessLog", "load balancer %s writes to the same file with another size or number of files to keep; give both the same, or another file", shown(other.Name))
	}
}

func (s subject) addresses(addresses []netip.Addr) {
	if len(addresses) > MaxAddressesPerLoadBalancer {
		s.wrong(CodeValidation, "Addresses", "it has %d addresses; %d are allowed", len(addresses), MaxAddressesPerLoadBalancer)
	}
	use := &portUse{}
	for i, a := range addresses {
		if !a.IsValid() || a.IsMulticast() {
			s.wrong(CodeValidation, index("Addresses", i), "that is no address to listen on")
			continue
		}
		if use.claim(a, &Listener{}) != nil {
			s.wrong(CodeValidation, index("Addresses", i), "address %s is covered twice; remove one", a)
		}
	}
}

func (s subject) groupsOf(ids []string) {
	if len(ids) > MaxSecurityGroupsPerLoadBalancer {
		s.wrong(CodeValidation, "SecurityGroups", "it has %d security groups; %d are allowed", len(ids), MaxSecurityGroupsPerLoadBalancer)
	}
	seen := make(map[string]bool, len(ids))
	for i, id := range ids {
		if _, ok := s.state.SecurityGroups.Get(id); !ok {
			s.wrong(CodeSecurityGroupNotFound, index("SecurityGroups", i), "there is no security group %s", shown(id))
		}
		if seen[id] {
			s.wrong(CodeValidation, index("SecurityGroups", i), "security group %s is listed twice; remove one", shown(id))
		}
		seen[id] = true
	}
}

func (s subject) balancerAttributes(a *LoadBalancerAttributes) {
	within(s, "Attributes.IdleTimeout", a.IdleTimeout, time.Second, 4000*time.Second)
	within(s, "Attributes.ClientKeepAlive", a.ClientKeepAlive, 60*time.Second, 604800*time.Second)
	oneOf(s, "Attributes.DesyncMode", a.DesyncMode, DesyncMonitor, DesyncDefensive, DesyncStrictest)
	oneOf(s, "Attributes.XFFMode", a.XFFMode, XFFAppend, XFFPreserve, XFFRemove)
}

func (s subject) accessLog(l *AccessLog) {
	if len(l.File) > 4096 || strings.ContainsFunc(l.File, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		s.wrong(CodeValidation, "AccessLog.File", "%s is no path of at most 4096 bytes without controls", shown(l.File))
	}
	if l.MaxSize != 0 {
		within(s, "AccessLog.MaxSize", l.MaxSize, 4<<10, 1<<40)
	}
	within(s, "AccessLog.Keep", l.Keep, 0, 10_000)
}

func (c *checker) checkListeners(listeners []*Listener) {
	for _, l := range listeners {
		s := c.at(l)
		lb, ok := c.state.LoadBalancers.Get(string(l.LoadBalancer))
		if !ok {
			s.wrong(CodeLoadBalancerNotFound, "LoadBalancer", "there is no load balancer %s", shown(string(l.LoadBalancer)))
		} else {
			c.listeners[lb.ARN]++
			if c.listeners[lb.ARN] == MaxListenersPerLoadBalancer+1 {
				s.wrong(CodeTooManyListeners, "LoadBalancer", "%s has more than %d listeners", c.label(lb), MaxListenersPerLoadBalancer)
			}
			s.port(l, lb)
		}
		if l.Port == 0 {
			s.wrong(CodeValidation, "Port", "port is 0; choose 1 to 65535")
		}
		s.protocol(l)
		s.action("Default", &l.Default, l)
	}
}

func (s subject) protocol(l *Listener) {
	switch l.Protocol {
	case HTTP:
		if len(l.Certificates) > 0 {
			s.wrong(CodeValidation, "Certificates", "an HTTP listener shows no certificate; make it HTTPS or remove the certificates")
		}
		if l.SSLPolicy != "" {
			s.wrong(CodeValidation, "SSLPolicy", "an HTTP listener has no security policy; make it HTTPS or remove the policy")
		}
	case HTTPS:
		s.certificates(l.Certificates)
		if !slices.Contains(SSLPolicies(), l.SSLPolicy) {
			s.wrong(CodeSSLPolicyNotFound, "SSLPolicy", "there is no security policy %s; the usual one is %s", shown(l.SSLPolicy), DefaultSSLPolicy)
		}
	default:
		s.wrong(CodeUnsupportedProtocol, "Protocol", "protocol %s is none of HTTP and HTTPS", shown(string(l.Protocol)))
	}
}

func (s subject) certificates(arns []ARN) {
	if len(arns) == 0 {
		s.wrong(CodeCertificateNotFound, "Certificates", "an HTTPS listener needs a certificate")
	}
	if len(arns) > MaxCertificatesPerListener {
		s.wrong(CodeTooManyCertificates, "Certificates", "it has %d certificates; %d are allowed", len(arns), MaxCertificatesPerListener)
	}
	seen := make(map[ARN]bool, len(arns))
	for i, arn := range arns {
		if cert, ok := s.state.Certificates.Get(string(arn)); !ok {
			s.wrong(CodeCertificateNotFound, index("Certificates", i), "there is no certificate %s", shown(string(arn)))
		} else if seen[arn] {
			s.wrong(CodeValidation, index("Certificates", i), "certificate %s is listed twice; remove one", shown(cert.Name))
		}
		seen[arn] = true
	}
}

// port checks that no other listener has the same port on an address that this
// one listens on.
//
// Unlike AWS, where each load balancer has addresses of its own, all share
// those of the machine.
func (s subject) port(l *Listener, lb *LoadBalancer) {
	use := s.ports[l.Port]
	if use == nil {
		use = &portUse{}
		s.ports[l.Port] = use
	}
	addresses := lb.Addresses
	if len(addresses) == 0 {
		addresses = []netip.Addr{netip.IPv6Unspecified()}
	}
	for _, a := range addresses {
		other := use.claim(a, l)
		if other != nil && other != l {
			s.wrong(CodeDuplicateListener, "Port", "port %d is taken by the %s; choose another port or separate addresses", l.Port, s.label(other))
			return
		}
	}
}

// portUse is who listens where on one port. Each kind of claim is kept by its
// first holder, so that a conflict costs a look and not a search.
type portUse struct {
	some   *Listener // has any address at all
	some4  *Listener // has an IPv4 address, or all of them
	all    *Listener // has every address: [::] takes IPv4 too
	all4   *Listener // has every IPv4 address
	single map[netip.Addr]*Listener
}

// claim takes an address for l, and returns a listener that has it already.
func (u *portUse) claim(a netip.Addr, l *Listener) *Listener {
	a = a.Unmap()
	var other *Listener
	switch {
	case a == netip.IPv6Unspecified():
		other = u.some
		u.all = first(u.all, l)
	case a == netip.IPv4Unspecified():
		other = first(u.all, u.some4)
		u.all4 = first(u.all4, l)
	default:
		other = first(u.all, u.single[a])
		if a.Is4() {
			other = first(other, u.all4)
		}
		if u.single == nil {
			u.single = map[netip.Addr]*Listener{}
		}
		u.single[a] = first(u.single[a], l)
	}
	u.some = first(u.some, l)
	if a.Is4() {
		u.some4 = first(u.some4, l)
	}
	return other
}

func first(a, b *Listener) *Listener {
	if a != nil {
		return a
	}
	return b
}
