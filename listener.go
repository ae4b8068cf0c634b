package albion

import "time"

// Protocol is what a listener speaks with clients, or a target group with
// targets.
type Protocol string

// The protocols of an application load balancer.
const (
	HTTP  Protocol = "HTTP"
	HTTPS Protocol = "HTTPS"
)

// Listener is a port of a load balancer, and what to do with what arrives there
// when no rule matches.
type Listener struct {
	ARN          ARN
	LoadBalancer ARN
	Protocol     Protocol
	Port         uint16
	SSLPolicy    string // of an HTTPS listener
	Certificates []ARN  // of an HTTPS listener; the first is the default
	Default      Action
	Created      time.Time
	Origin       Origin
}

// DefaultSSLPolicy is what an HTTPS listener gets when none is asked for.
//
// Unlike AWS, whose API still falls back to ELBSecurityPolicy-2016-08, this is
// the policy that its console chooses.
const DefaultSSLPolicy = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"

// SSLPolicies lists the security policies that a listener may use.
func SSLPolicies() []string {
	return []string{
		"ELBSecurityPolicy-TLS13-1-3-2021-06",
		"ELBSecurityPolicy-TLS13-1-3-PQ-2025-09",
		"ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
		"ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
		"ELBSecurityPolicy-TLS13-1-2-2021-06",
		"ELBSecurityPolicy-TLS13-1-2-PQ-2025-09",
		"ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06",
		"ELBSecurityPolicy-TLS13-1-2-Ext1-PQ-2025-09",
		"ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06",
		"ELBSecurityPolicy-TLS13-1-2-Ext2-PQ-2025-09",
		"ELBSecurityPolicy-TLS13-1-1-2021-06",
		"ELBSecurityPolicy-TLS13-1-0-2021-06",
		"ELBSecurityPolicy-TLS13-1-0-PQ-2025-09",
		"ELBSecurityPolicy-2016-08",
	}
}

func (l *Listener) Identity() string               { return string(l.ARN) }
func (*Listener) kind() Kind                       { return KindListener }
func (*Listener) table(s *State) *Table[*Listener] { return &s.Listeners }
