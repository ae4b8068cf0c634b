// Package dns is the authoritative name server: it answers for the hosted zones
// of a State, over UDP and TCP, and reads and writes zone files.
//
//	server := dns.New(dns.Config{Log: log, Seen: edge.Seen, Addresses: addresses})
//	go server.Run(ctx)
//	server.Apply(state) // as often as the State changes
//
// Zones are compiled into a table that is never written again and swapped as a
// whole; a question costs a few look-ups in it, and no lock. What is not in a
// hosted zone is refused: this is no resolver, and it transfers no zone.
//
// The package changes no zone and knows no store; what may stand in a zone is
// decided by albion.Validate.
package dns
