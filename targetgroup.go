package albion

import (
	"net"
	"strconv"
	"time"
)

// TargetGroup is a set of servers that do the same work, how to choose among
// them, and how to tell whether they are well.
type TargetGroup struct {
	ARN             ARN
	Name            string
	Protocol        Protocol
	ProtocolVersion ProtocolVersion `json:",omitempty"` // cannot change; ask Version, for which "" is HTTP1
	Port            uint16          // of targets that name none
	Targets         []Target
	HealthCheck     HealthCheck
	Attributes      TargetGroupAttributes
	Created         time.Time
	Origin          Origin
}

// ProtocolVersion is the version of HTTP in which targets are asked: ALB's page
// "Target groups for your Application Load Balancers", Protocol version.
type ProtocolVersion string

// The versions. Over HTTP, without TLS, targets of HTTP2 and GRPC have to know by
// themselves that HTTP/2 is spoken (RFC 9113 §3.3, often called h2c).
const (
	HTTP1 ProtocolVersion = "HTTP1"
	HTTP2 ProtocolVersion = "HTTP2"
	GRPC  ProtocolVersion = "GRPC"
)

// Version is the ProtocolVersion, HTTP1 when none was chosen.
func (g *TargetGroup) Version() ProtocolVersion {
	if g.ProtocolVersion == "" {
		return HTTP1
	}
	return g.ProtocolVersion
}

// Target is one server of a group.
//
// Unlike AWS, the host may be any address, or a name that is looked up whenever
// a connection is made.
type Target struct {
	Host string // IP address without brackets, or a host name
	Port uint16
}

// String is HOST:PORT, with brackets where an IPv6 address needs them.
func (t Target) String() string {
	return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port)))
}

// HealthCheck is how a target's health is probed: GET Path every Interval on a
// new connection, in the group's ProtocolVersion; for GRPC, a call of the method
// Path. ALB's page "Health checks for your target groups".
type HealthCheck struct {
	Disabled  bool
	Protocol  Protocol      // HTTP
	Port      uint16        // 0: the target's own ("traffic-port")
	Path      string        // /
	Interval  time.Duration // 30 s; 5 s to 300 s; unlike AWS, from 1 s
	Timeout   time.Duration // 5 s; 2 s to 120 s; unlike AWS, from 1 s
	Healthy   int           // successes in a row that make it healthy: 5; 2 to 10
	Unhealthy int           // failures in a row that make it unhealthy: 2; 2 to 10
	// Matcher is the status codes that are a success: "200", "200-299,301"; within
	// 200 to 499. For GRPC it is those of gRPC: "0", "0-99"; within 0 to 99.
	Matcher string
}

// DefaultHealthCheck is ALB's.
func DefaultHealthCheck() HealthCheck {
	return HealthCheck{
		Protocol: HTTP, Path: "/", Interval: 30 * time.Second, Timeout: 5 * time.Second,
		Healthy: 5, Unhealthy: 2, Matcher: "200",
	}
}

// DefaultHealthCheck is ALB's, of a group with this version. That of GRPC calls a
// method that nobody has, and takes the answer UNIMPLEMENTED (12) for a sign of
// life.
func (v ProtocolVersion) DefaultHealthCheck() HealthCheck {
	h := DefaultHealthCheck()
	if v == GRPC {
		h.Path, h.Matcher = "/AWS.ALB/healthcheck", "12"
	}
	return h
}

// TargetGroupAttributes are ALB's, by the names of its page "Edit target group
// attributes".
type TargetGroupAttributes struct {
	Algorithm           Algorithm
	DeregistrationDelay time.Duration // 300 s; 0 to 3600 s
	Stickiness          Stickiness
}

// DefaultTargetGroupAttributes are ALB's defaults.
func DefaultTargetGroupAttributes() TargetGroupAttributes {
	return TargetGroupAttributes{Algorithm: RoundRobin, DeregistrationDelay: 300 * time.Second}
}

// Algorithm is load_balancing.algorithm.type.
type Algorithm string

// How a target is chosen among the healthy ones.
const (
	RoundRobin               Algorithm = "round_robin"
	LeastOutstandingRequests Algorithm = "least_outstanding_requests"
)

// Stickiness sends a client to the target that it had before.
type Stickiness struct {
	Type     StickinessType
	Duration time.Duration // of lb_cookie: 86400 s; 1 s to 604800 s
}

// StickinessType says what a client is recognised by.
type StickinessType string

// NoStickiness recognises nobody; LBCookie by the AWSALB cookie.
//
// Unlike AWS, SockJS recognises a session by the identifiers that a SockJS
// client puts into its paths, /PREFIX/SERVER/SESSION/TRANSPORT, which works
// across sites and without a cookie.
const (
	NoStickiness StickinessType = ""
	LBCookie     StickinessType = "lb_cookie"
	SockJS       StickinessType = "sockjs"
)

func (g *TargetGroup) Identity() string                  { return string(g.ARN) }
func (*TargetGroup) kind() Kind                          { return KindTargetGroup }
func (*TargetGroup) table(s *State) *Table[*TargetGroup] { return &s.TargetGroups }
