package albion

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// ARN names an object for ever, whatever happens to its contents.
type ARN string

// Where there is no AWS there is still a region and an account in every ARN,
// because clients take them apart.
const (
	Region  = "local"
	Account = "000000000000"
)

// LoadBalancerARN is …:loadbalancer/app/NAME/HEX16, as ALB forms it.
func LoadBalancerARN(name string, id [8]byte) ARN {
	return elbARN(fmt.Sprintf("loadbalancer/app/%s/%s", name, hex.EncodeToString(id[:])))
}

// TargetGroupARN is …:targetgroup/NAME/HEX16.
func TargetGroupARN(name string, id [8]byte) ARN {
	return elbARN(fmt.Sprintf("targetgroup/%s/%s", name, hex.EncodeToString(id[:])))
}

// ListenerARN is …:listener/app/NAME/LBID/HEX16, below its load balancer's.
func ListenerARN(lb ARN, id [8]byte) ARN {
	return elbARN("listener/" + strings.TrimPrefix(lb.Resource(), "loadbalancer/") + "/" + hex.EncodeToString(id[:]))
}

// RuleARN is …:listener-rule/app/NAME/LBID/LISTENERID/HEX16.
func RuleARN(listener ARN, id [8]byte) ARN {
	return elbARN("listener-rule/" + strings.TrimPrefix(listener.Resource(), "listener/") + "/" + hex.EncodeToString(id[:]))
}

// CertificateARN is arn:aws:acm:REGION:ACCOUNT:certificate/UUID.
func CertificateARN(id [16]byte) ARN {
	h := hex.EncodeToString(id[:])
	return ARN(fmt.Sprintf("arn:aws:acm:%s:%s:certificate/%s-%s-%s-%s-%s", Region, Account, h[:8], h[8:12], h[12:16], h[16:20], h[20:]))
}

// SecurityGroupID is sg- and 17 hexadecimal digits, as EC2 forms it.
func SecurityGroupID(id [9]byte) string {
	return "sg-" + hex.EncodeToString(id[:])[:17]
}

// Resource is the part after the fifth colon: "loadbalancer/app/web/50dc…".
func (a ARN) Resource() string {
	parts := strings.SplitN(string(a), ":", 6)
	if len(parts) < 6 {
		return string(a)
	}
	return parts[5]
}

// Tail is what logs and metrics call a load balancer or target group:
// "app/web/50dc6c495c0c9188", "targetgroup/chat/73e2d6bc24d8a067".
func (a ARN) Tail() string {
	return strings.TrimPrefix(a.Resource(), "loadbalancer/")
}

func elbARN(resource string) ARN {
	return ARN("arn:aws:elasticloadbalancing:" + Region + ":" + Account + ":" + resource)
}
