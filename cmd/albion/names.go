package main

import (
	"net"
	"net/netip"
	"slices"

	"github.com/albion-lb/albion"
)

// seen is how listeners, targets and the name server fare.
func (s *server) seen() albion.Seen {
	seen := s.edge.Seen()
	seen.NameServers = s.names.Seen()
	return seen
}

func (s *server) metrics() []albion.Metric { return append(s.edge.Metrics(), s.names.Metrics()...) }

// ownAddresses is where clients may reach this machine when nobody says it: its
// public addresses, or when it has none its private ones, behind which it may be
// reached all the same.
func ownAddresses() []netip.Addr {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil // asked again in a moment
	}
	var public, private []netip.Addr
	for _, a := range all {
		ipnet, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(ipnet.IP)
		if addr = addr.Unmap(); !ok || !addr.IsGlobalUnicast() {
			continue
		}
		if addr.IsPrivate() {
			private = append(private, addr)
		} else {
			public = append(public, addr)
		}
	}
	if len(public) == 0 {
		public = private
	}
	slices.SortFunc(public, netip.Addr.Compare)
	return slices.Compact(public)
}
