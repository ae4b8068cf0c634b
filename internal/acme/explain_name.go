package acme

import (
	"net/netip"
	"strings"

	"github.com/albion-lb/albion"
)

// explainCAA says what is wrong with the CAA records of a name (RFC 8659), as far
// as the CA's words tell.
func explainCAA(out *albion.Setback, name string) {
	text := strings.ToLower(out.Words)
	has := func(any ...string) bool {
		for _, word := range any {
			if strings.Contains(text, word) {
				return true
			}
		}
		return false
	}
	switch {
	case has("servfail", "notimp", "refused", "timed out", "timeout", "networking error"):
		out.Sentence = "the CA could not read the CAA records of " + name
		out.Advice = "every name server of the domain has to answer questions for CAA, if only with nothing: ask each of them with `dig CAA`"
	case has("accounturi"):
		out.Sentence = "a CAA record for " + name + " names another account of this CA"
		out.Advice = "put the address of our account into its accounturi, or take accounturi out"
	case has("validationmethods", "validation method"):
		out.Sentence = "a CAA record for " + name + " forbids this way to prove it"
		out.Advice = "choose a challenge that its validationmethods name, or add this one there"
	default:
		out.Sentence = "a CAA record forbids this CA to issue for " + name
		out.Advice = "add the CA to the CAA records of the domain, or choose the CA that they name"
	}
}

// tried is the address at which a CA looked, which Let's Encrypt puts first.
func tried(words string) (netip.Addr, bool) {
	text, _, ok := strings.Cut(words, ": ")
	if !ok {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return addr, err == nil && addr.Zone() == ""
}

// explainAddress adds where the CA looked. A record for IPv6 that nobody thinks of
// is the usual reason why it saw something else than its owner.
func explainAddress(out *albion.Setback, name, port string) {
	addr, ok := tried(out.Words)
	if !ok {
		return
	}
	out.Sentence += " (it asked " + addr.String() + ")"
	if addr.Is6() && !addr.Is4In6() {
		out.Advice = "the AAAA record of " + name + " leads there: have this machine answer at that address on port " + port + ", or remove the record"
	}
}
