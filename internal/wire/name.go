package wire

// NameOf returns the identity of a field name in any case, Other for a name
// that nobody acts on. The name has to consist of token characters.
func NameOf(name []byte) Name {
	if len(name) < 2 || len(name) > 19 {
		return Other
	}
	id, want := candidate(name)
	if id != Other && equalFold(name, want) {
		return id
	}
	return Other
}

// candidate picks, by length and first letter, the one name that it can be.
func candidate(name []byte) (Name, string) {
	first := name[0] | 0x20
	switch len(name) {
	case 2:
		return TE, "te"
	case 4:
		if first == 'h' {
			return Host, "host"
		}
		return Date, "date"
	case 6:
		return candidate6(first)
	case 7:
		switch first {
		case 'u':
			return Upgrade, "upgrade"
		case 't':
			return Trailer, "trailer"
		}
	case 10:
		switch first {
		case 'c':
			return Connection, "connection"
		case 'u':
			return UserAgent, "user-agent"
		case 'k':
			return KeepAlive, "keep-alive"
		case 's':
			return SetCookie, "set-cookie"
		}
	case 14:
		return ContentLength, "content-length"
	case 15:
		if name[2]|0x20 == 'a' {
			return XAmznTraceID, "x-amzn-trace-id"
		}
		return XForwardedFor, "x-forwarded-for"
	case 16:
		switch first {
		case 'p':
			return ProxyConnection, "proxy-connection"
		case 'x':
			return XForwardedPort, "x-forwarded-port"
		}
	case 17:
		if first == 't' {
			return TransferEncoding, "transfer-encoding"
		}
		return XForwardedProto, "x-forwarded-proto"
	case 18:
		return ProxyAuthenticate, "proxy-authenticate"
	case 19:
		return ProxyAuthorization, "proxy-authorization"
	}
	return Other, ""
}

func candidate6(first byte) (Name, string) {
	switch first {
	case 'c':
		return Cookie, "cookie"
	case 'e':
		return Expect, "expect"
	case 's':
		return Server, "server"
	case 'o':
		return Origin, "origin"
	}
	return Other, ""
}

// equalFold compares a token with a name in small letters. Setting the bit that
// tells capitals from small letters makes no two token characters equal but the
// cases of one letter: "@[\]" and the controls, which it would fold too, are no
// token characters, and "^" with "~" is no matter because no name has a "~".
func equalFold(token []byte, lower string) bool {
	if len(token) != len(lower) {
		return false
	}
	for i, c := range token {
		if c|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// EqualFold reports whether two names are the same but for the case of ASCII
// letters. Unlike bytes.EqualFold it knows no other letters: "ſ" is not "s" in
// a protocol.
func EqualFold[A, B []byte | string](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// HasPrefixFold reports whether s begins with prefix in any case of its letters.
func HasPrefixFold(s []byte, prefix string) bool {
	return len(s) >= len(prefix) && EqualFold(s[:len(prefix)], prefix)
}

// Hop reports whether the field always speaks of one connection alone
// (RFC 9110 §7.6.1), whatever the Connection field says.
func (n Name) Hop() bool {
	switch n {
	case Connection, KeepAlive, ProxyConnection, TE, TransferEncoding, Upgrade:
		return true
	}
	return false
}

// InTrailer reports whether a field may stand in a trailer section and be
// forwarded from there. RFC 9110 §6.5.1 forbids what frames, routes, modifies
// the request, authenticates or says how to read the content; the names that
// the balancer itself vouches for are forbidden as well.
func (f *Field) InTrailer() bool {
	switch f.ID {
	case Other, Server:
	default:
		return false
	}
	for _, p := range [...]string{"x-forwarded-", "x-amzn-", "content-", "if-", "proxy-", "sec-", "access-control-"} {
		if HasPrefixFold(f.Name, p) {
			return false
		}
	}
	for _, n := range [...]string{
		"authorization", "www-authenticate", "authentication-info", "forwarded", "via", "x-real-ip",
		"cache-control", "pragma", "age", "expires", "vary", "warning", "range", "max-forwards", "http2-settings",
		"accept", "accept-charset", "accept-encoding", "accept-language", "location", "retry-after",
		"referer", "strict-transport-security", "clear-site-data", "x-http-method-override",
	} {
		if EqualFold(f.Name, n) {
			return false
		}
	}
	return true
}
