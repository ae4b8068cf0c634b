package h1

import (
	"bytes"

	"github.com/albion-lb/albion/internal/wire"
)

// readTarget takes the target apart by its four forms (RFC 9112 §3.2).
func readTarget(r *wire.Request) *Error {
	switch string(r.Method) {
	case "TRACE": // ALB: 405
		return declined(405, "TraceNotAllowed", "")
	case "CONNECT":
		// authority-form asks for a forward proxy, which this is not.
		return declined(405, "ConnectNotAllowed", "")
	}
	switch {
	case r.Target[0] == '/':
		r.Path, r.Query = splitQuery(r.Target)
		return nil
	case len(r.Target) == 1 && r.Target[0] == '*':
		if string(r.Method) != "OPTIONS" {
			return severe(reasonURI, "the target * is for OPTIONS only")
		}
		r.Path = r.Target
		return nil
	}
	return absolute(r)
}

func splitQuery(s []byte) (path, query []byte) {
	if i := bytes.IndexByte(s, '?'); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, nil
}

// absolute takes apart "http://authority/path?query" (RFC 9112 §3.2.2), the
// scheme in any case.
func absolute(r *wire.Request) *Error {
	var size int
	switch {
	case wire.HasPrefixFold(r.Target, "http://"):
		size = len("http")
	case wire.HasPrefixFold(r.Target, "https://"):
		size = len("https")
	default:
		return severe(reasonURI, "the target is neither a path nor an http or https URI")
	}
	rest := r.Target[size+len("://"):]
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	// User information is an error in a request (RFC 9110 §4.2.4).
	if _, _, ok := wire.SplitAuthority(rest[:end]); !ok {
		return severe(reasonURI, "the target's authority is not a host with an optional port")
	}
	r.Scheme, r.Host = r.Target[:size], rest[:end]
	r.Path, r.Query = splitQuery(rest[end:])
	if len(r.Path) > 0 {
		return nil
	}
	r.Path = []byte("/")
	if r.Query == nil && string(r.Method) == "OPTIONS" {
		r.Path = []byte("*") // RFC 9112 §3.2.4
	}
	return nil
}
