package h1

import "github.com/albion-lb/albion/internal/wire"

// maxNamed bounds the work that naming fields in Connection makes: each name is
// compared with each field.
const maxNamed = 64

// options gathers what Connection fields say (RFC 9110 §7.6.1).
type options struct {
	close, keepAlive, upgrade bool
	named                     int  // how many further names there are
	odd                       bool // something in the list is no token
}

func (o *options) add(list []byte) {
	if string(list) == "keep-alive" { // what nearly everybody sends
		o.keepAlive = true
		return
	}
	for more := true; more; {
		var name []byte
		name, list, more = element(list)
		switch {
		case len(name) == 0: // an empty member means nothing (RFC 9110 §5.6.1.2)
		case wire.EqualFold(name, "keep-alive"):
			o.keepAlive = true
		case wire.EqualFold(name, "close"):
			o.close = true
		case wire.EqualFold(name, "upgrade"):
			o.upgrade = true
		case wire.TokenChar.All(name):
			o.named++
		default:
			o.odd = true
		}
	}
}

// markNamed marks as Hop what the Connection fields name. It returns false when
// they name what must not be taken away: a client that could do so would hide
// from the server what this balancer, or a proxy before it, vouches for.
func markNamed(fields []wire.Field) bool {
	honest := true
	for i := range fields {
		if fields[i].ID != wire.Connection {
			continue
		}
		list := fields[i].Value
		for more := true; more; {
			var name []byte
			name, list, more = element(list)
			if !markName(fields, name) {
				honest = false
			}
		}
	}
	return honest
}

func markName(fields []wire.Field, name []byte) bool {
	honest := true
	for i := range fields {
		if !wire.EqualFold(fields[i].Name, name) {
			continue
		}
		if endToEnd(&fields[i]) {
			honest = false
			continue
		}
		fields[i].Hop = true
	}
	return honest
}

// endToEnd reports whether a field is meant for the other end whatever the
// Connection field says (RFC 9110 §7.6.1: not a field "that is intended for all
// recipients of the content").
func endToEnd(f *wire.Field) bool {
	switch f.ID {
	case wire.Host, wire.ContentLength, wire.Cookie, wire.SetCookie, wire.Expect, wire.Origin,
		wire.XForwardedFor, wire.XForwardedProto, wire.XForwardedPort, wire.XAmznTraceID:
		return true
	}
	for _, n := range [...]string{
		"authorization", "forwarded", "x-real-ip", "cache-control", "content-type", "content-encoding", "content-range",
	} {
		if wire.EqualFold(f.Name, n) {
			return true
		}
	}
	return wire.HasPrefixFold(f.Name, "x-forwarded-") || wire.HasPrefixFold(f.Name, "x-amzn-")
}
