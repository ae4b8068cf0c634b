package albion

import (
	"net/netip"
	"slices"
	"strings"
)

// ReservedName says whether a name, in A-labels, in lower case and without a dot
// at the end, is one that no public CA issues for and no public name server knows
// (RFC 2606, RFC 6761, RFC 6762, RFC 8375; ICANN reserved internal).
func ReservedName(name string) bool {
	labels := strings.Split(name, ".")
	if len(labels) == 1 {
		return true
	}
	return slices.Contains([]string{"test", "localhost", "example", "invalid", "local", "internal", "lan", "home", "corp"}, labels[len(labels)-1]) ||
		strings.HasSuffix("."+name, ".home.arpa")
}

// PublicAddress says whether the whole Internet could reach an address.
func PublicAddress(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range []string{
		"100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4", "100::/64", // RFC 6890 and its successors
	} {
		if netip.MustParsePrefix(p).Contains(a) {
			return false
		}
	}
	return true
}
