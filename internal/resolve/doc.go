// Package resolve asks name servers: the recursive ones of this machine, and each
// authoritative server of a zone by itself.
//
//	r, err := resolve.New(resolve.Config{})
//	answer, err := r.Lookup(ctx, "chat.example.com", "AAAA")
//	zone, err := r.Zone(ctx, "_acme-challenge.chat.example.com")     // example.com and its servers
//	said, err := r.Everywhere(ctx, "_acme-challenge.chat.example.com", "TXT")
//	caa, err := r.CAA(ctx, "chat.example.com")
//
// What goes wrong is an *Error that says who was asked what; its Kind is what to
// test for: errors.Is(err, resolve.NXDOMAIN). Answers are held against their
// questions, and times and counts are bounded.
//
// Names are plain: lower case, ASCII, without a dot at the end. Nothing is kept
// between two calls, so that what is seen is what is there now, and DNSSEC is left
// to the recursive servers. The package also sends the one update that somebody
// who proves names needs (RFC 2136): adding and deleting a TXT record.
package resolve
