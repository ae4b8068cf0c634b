package proxy

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/wire"
	"github.com/albion-lb/albion/internal/wire/h1"
)

// maxForwardedFor is the number of addresses in X-Forwarded-For above which ALB
// answers 463.
const maxForwardedFor = 30

// forwardedFor counts the addresses that the client says the request has come
// through.
func forwardedFor(r *wire.Request) int {
	count := 0
	for i := range r.Fields {
		if f := &r.Fields[i]; f.ID == wire.XForwardedFor && len(f.Value) > 0 {
			count += bytes.Count(f.Value, []byte{','}) + 1
		}
	}
	return count
}

// appendForwardedFor appends the X-Forwarded-For field that a target sees, as
// routing.http.xff_header_processing.mode says. Several fields become one.
func appendForwardedFor(dst []byte, r *wire.Request, from netip.AddrPort, a *albion.LoadBalancerAttributes) []byte {
	if a.XFFMode == albion.XFFRemove {
		return dst
	}
	start := len(dst)
	dst = append(dst, "X-Forwarded-For: "...)
	empty := len(dst)
	for i := range r.Fields {
		if f := &r.Fields[i]; f.ID == wire.XForwardedFor && len(f.Value) > 0 {
			if len(dst) > empty {
				dst = append(dst, ", "...)
			}
			dst = append(dst, f.Value...)
		}
	}
	if a.XFFMode == albion.XFFAppend {
		if len(dst) > empty {
			dst = append(dst, ", "...)
		}
		if a.XFFClientPort {
			dst = from.AppendTo(dst)
		} else {
			dst = from.Addr().AppendTo(dst)
		}
	}
	if len(dst) == empty {
		return dst[:start]
	}
	return append(dst, "\r\n"...)
}

// appendHost appends the Host field that a target sees. Unless the attribute
// preserve_host_header is on, ALB takes the port off on ports 80 and 443 and
// puts the listener's there on all others.
func appendHost(dst []byte, r *wire.Request, v *View, fallback string) []byte {
	host := r.Host
	if len(host) == 0 {
		host = []byte(fallback)
	} else if !v.Attributes.PreserveHost {
		host = withoutPort(host)
		if v.Port != 80 && v.Port != 443 {
			dst = append(dst, "Host: "...)
			dst = append(dst, host...)
			dst = append(dst, ':')
			dst = strconv.AppendUint(dst, uint64(v.Port), 10)
			return append(dst, "\r\n"...)
		}
	}
	return h1.AppendField(dst, hostName, host)
}

// withoutPort cuts ":PORT" off an authority; brackets stay.
func withoutPort(host []byte) []byte {
	colon := bytes.LastIndexByte(host, ':')
	if colon < 0 || bytes.IndexByte(host[colon:], ']') >= 0 {
		return host
	}
	return host[:colon]
}

// maxTrace is the length of an X-Amzn-Trace-Id in bytes above which ALB throws
// it away and begins a new one.
const maxTrace = 7 << 10

// appendTrace appends the value of X-Amzn-Trace-Id that the target sees, by the
// rules of ALB's page "Request tracing": a request without a Root gets one; a
// Root that is there stays, and Self becomes ours.
func appendTrace(dst, sent []byte, now time.Time) []byte {
	if len(sent) > maxTrace {
		sent = nil
	}
	if !hasPart(sent, "Root=") {
		dst = appendTraceID(append(dst, "Root="...), now)
		return appendParts(dst, sent)
	}
	dst = appendTraceID(append(dst, "Self="...), now)
	return appendParts(dst, sent)
}

// appendParts appends ";part" for each part of a trace but Self, which every
// hop replaces.
func appendParts(dst, sent []byte) []byte {
	for len(sent) > 0 {
		var part []byte
		part, sent, _ = bytes.Cut(sent, []byte{';'})
		part = bytes.TrimSpace(part)
		if len(part) == 0 || bytes.HasPrefix(part, []byte("Self=")) {
			continue
		}
		dst = append(dst, ';')
		dst = append(dst, part...)
	}
	return dst
}

func hasPart(sent []byte, prefix string) bool {
	for len(sent) > 0 {
		var part []byte
		part, sent, _ = bytes.Cut(sent, []byte{';'})
		if bytes.HasPrefix(bytes.TrimSpace(part), []byte(prefix)) {
			return true
		}
	}
	return false
}

// appendTraceID appends 1-<8 hexadecimal digits of time>-<24 random ones>.
func appendTraceID(dst []byte, now time.Time) []byte {
	var raw [16]byte
	seconds := uint32(now.Unix())
	raw[0], raw[1], raw[2], raw[3] = byte(seconds>>24), byte(seconds>>16), byte(seconds>>8), byte(seconds)
	high, low := rand.Uint64(), rand.Uint32()
	for i := range 8 {
		raw[4+i] = byte(high >> (8 * i))
	}
	for i := range 4 {
		raw[12+i] = byte(low >> (8 * i))
	}
	dst = append(dst, "1-"...)
	dst = hex.AppendEncode(dst, raw[:4])
	dst = append(dst, '-')
	return hex.AppendEncode(dst, raw[4:])
}
