package albion

import "net/netip"

// SecurityGroup says who may connect. What no permission allows is refused.
type SecurityGroup struct {
	ID      string
	Name    string
	Ingress []Permission
	Origin  Origin
}

// Permission lets TCP connections from some addresses reach some ports.
type Permission struct {
	FromPort, ToPort uint16 // inclusive
	Sources          []netip.Prefix
}

// Allows says whether a connection from this address may reach this port.
func (g *SecurityGroup) Allows(from netip.Addr, port uint16) bool {
	from = from.Unmap()
	for _, p := range g.Ingress {
		if port < p.FromPort || port > p.ToPort {
			continue
		}
		for _, source := range p.Sources {
			if source.Contains(from) {
				return true
			}
		}
	}
	return false
}

func (g *SecurityGroup) Identity() string                    { return g.ID }
func (*SecurityGroup) kind() Kind                            { return KindSecurityGroup }
func (*SecurityGroup) table(s *State) *Table[*SecurityGroup] { return &s.SecurityGroups }
