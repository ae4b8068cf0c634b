package albion

import (
	"net/netip"
	"time"
)

// LoadBalancer is a set of listeners behind one name: its addresses, who may
// reach it, and the attributes that all its listeners share.
type LoadBalancer struct {
	ARN            ARN
	Name           string
	Addresses      []netip.Addr // to listen on; empty: every address of the machine
	SecurityGroups []string     // identities; empty: open to everybody
	Created        time.Time
	Origin         Origin
	Attributes     LoadBalancerAttributes
	AccessLog      AccessLog
}

// LoadBalancerAttributes are ALB's, by the names of its page "Edit attributes
// for your Application Load Balancer".
type LoadBalancerAttributes struct {
	IdleTimeout        time.Duration // 60 s; 1 s to 4000 s
	ClientKeepAlive    time.Duration // 3600 s; 60 s to 604800 s
	DesyncMode         DesyncMode    // defensive
	DropInvalidHeaders bool
	PreserveHost       bool
	TLSHeaders         bool // X-Amzn-Tls-Version, X-Amzn-Tls-Cipher-Suite
	XFFMode            XFFMode
	XFFClientPort      bool
	NoHTTP2            bool `json:",omitempty"` // routing.http2.enabled is false: clients are offered HTTP/1.1 only
}

// DefaultLoadBalancerAttributes are ALB's defaults.
func DefaultLoadBalancerAttributes() LoadBalancerAttributes {
	return LoadBalancerAttributes{
		IdleTimeout:     60 * time.Second,
		ClientKeepAlive: 3600 * time.Second,
		DesyncMode:      DesyncDefensive,
		XFFMode:         XFFAppend,
	}
}

// DesyncMode is routing.http.desync_mitigation_mode.
type DesyncMode string

// The three modes: what is blocked is Severe; Severe and, by closing, Ambiguous;
// everything that is not Compliant.
const (
	DesyncMonitor   DesyncMode = "monitor"
	DesyncDefensive DesyncMode = "defensive"
	DesyncStrictest DesyncMode = "strictest"
)

// XFFMode is routing.http.xff_header_processing.mode.
type XFFMode string

// What happens to X-Forwarded-For.
const (
	XFFAppend   XFFMode = "append"
	XFFPreserve XFFMode = "preserve"
	XFFRemove   XFFMode = "remove"
)

// AccessLog says where one line per request goes.
//
// Unlike AWS, the place is a file on this machine, not a bucket.
type AccessLog struct {
	File    string // "" for none, "stdout", or a path
	MaxSize int64  // bytes after which the file is rotated; 0: 100 MiB
	Keep    int    // rotated files to keep; 0: 10
}

// Origin says who looks after an object: "" somebody by hand, or the file that
// declares it, which may also remove it.
type Origin string

// OriginFile is the origin of what a configuration file declared.
const OriginFile Origin = "file"

func (l *LoadBalancer) Identity() string                   { return string(l.ARN) }
func (*LoadBalancer) kind() Kind                           { return KindLoadBalancer }
func (*LoadBalancer) table(s *State) *Table[*LoadBalancer] { return &s.LoadBalancers }
