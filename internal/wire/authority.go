package wire

import (
	"bytes"
	"net/netip"
)

// maxHost bounds a host name: 255 bytes is more than DNS can carry
// (RFC 1035 §2.3.4), and names compared with rules should not be long.
const maxHost = 255

// SplitAuthority checks an authority without user information (RFC 3986 §3.2:
// reg-name, IPv4 or bracketed IPv6, then an optional port) and cuts it in two.
// Host keeps its brackets; port is nil when there is no colon and may be empty
// behind one, as the grammar has it. An empty host is not valid in HTTP
// (RFC 9110 §4.2.1).
func SplitAuthority(authority []byte) (host, port []byte, ok bool) {
	if len(authority) == 0 {
		return nil, nil, false
	}
	if authority[0] == '[' {
		end := bytes.IndexByte(authority, ']')
		if end < 0 || !validIPv6(authority[1:end]) {
			return nil, nil, false
		}
		host, port = authority[:end+1], authority[end+1:]
		if len(port) == 0 {
			return host, nil, true
		}
		return host, port[1:], port[0] == ':' && validPort(port[1:])
	}
	host = authority
	if colon := bytes.IndexByte(authority, ':'); colon >= 0 {
		host, port = authority[:colon], authority[colon+1:]
		if !validPort(port) {
			return nil, nil, false
		}
	}
	return host, port, validRegName(host)
}

func validPort(port []byte) bool {
	if len(port) > 5 {
		return false
	}
	n := 0
	for _, c := range port {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 65535
}

func validRegName(host []byte) bool {
	if len(host) == 0 || len(host) > maxHost {
		return false
	}
	for i := 0; i < len(host); i++ {
		if HostChar.Is(host[i]) {
			continue
		}
		if host[i] != '%' || i+2 >= len(host) || !HexChar.Is(host[i+1]) || !HexChar.Is(host[i+2]) {
			return false
		}
		i += 2
	}
	return true
}

// validIPv6 accepts an address without a zone: a zone means something on the
// sender's machine only (RFC 9110 §4.2 has no place for it).
func validIPv6(s []byte) bool {
	if len(s) < 2 || len(s) > 45 {
		return false
	}
	a, err := netip.ParseAddr(string(s))
	return err == nil && a.Is6() && a.Zone() == ""
}
