package accesslog

import (
	"net/netip"
	"strconv"
	"time"
)

// class says what a field may hold unescaped.
type class uint8

const (
	text  class = iota // printable ASCII with spaces: between quotes
	token              // printable ASCII without spaces
)

// A byte's bit says whether a token may hold it: of the bytes below 64 in the
// first word, of those below 128 in the second. It is all that is visible but
// the quote and the backslash.
const (
	lowTokens  = uint64(0xffff_fffe_0000_0000) &^ (1 << '"')
	highTokens = uint64(0x7fff_ffff_ffff_ffff) &^ (1 << ('\\' - 64))
)

// plain is how many bytes at the beginning of s need no escape.
func plain[T []byte | string](s T, c class) int {
	low, high := lowTokens, highTokens
	if c == text {
		low |= 1 << ' '
	}
	for i := range len(s) {
		b, bits := s[i], low
		if b >= 64 {
			bits = high
		}
		if b >= 128 || bits>>(b&63)&1 == 0 {
			return i
		}
	}
	return len(s)
}

// appendEscaped appends at most limit bytes of s, with \xHH for those that the
// class does not allow. The backslash is one of them, so that the escaping can
// be undone and no reader takes it for an escape of its own.
func appendEscaped[T []byte | string](dst []byte, s T, limit int, c class) []byte {
	const digits = "0123456789ABCDEF"
	s = s[:min(len(s), limit)]
	for {
		n := plain(s, c)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			return dst
		}
		dst = append(dst, '\\', 'x', digits[s[n]>>4], digits[s[n]&15])
		s = s[n+1:]
	}
}

func appendQuoted[T []byte | string](dst []byte, s T, limit int, c class) []byte {
	if len(s) == 0 {
		return append(dst, `"-"`...)
	}
	dst = append(dst, '"')
	dst = appendEscaped(dst, s, limit, c)
	return append(dst, '"')
}

func appendToken(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, '-')
	}
	return appendEscaped(dst, s, maxField, token)
}

// appendClient appends ADDRESS:PORT, an IPv6 address in brackets. Every request
// has a client; a Record without one gets the address that means none.
func appendClient(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return append(dst, "0.0.0.0:0"...)
	}
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()).AppendTo(dst)
}

// appendStatus appends an HTTP status code.
func appendStatus(dst []byte, status int) []byte {
	if status <= 0 {
		return append(dst, '-')
	}
	return strconv.AppendInt(dst, int64(status), 10)
}

// appendSeconds appends a duration in seconds with milliseconds, "0.042", or -1
// for one that did not happen.
func appendSeconds(dst []byte, d time.Duration) []byte {
	if d <= 0 {
		return append(dst, "-1"...)
	}
	// Rounding must not overflow: the longest Duration is 292 years.
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond >= time.Millisecond/2 {
		ms++
	}
	dst = strconv.AppendInt(dst, ms/1000, 10)
	dst = append(dst, '.')
	return appendDigits(dst, int(ms%1000), 3)
}

// appendTime appends an instant as ISO 8601 in UTC with microseconds,
// "2026-08-02T22:23:00.186641Z".
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, '-')
	}
	// By hand: Time.AppendFormat takes four times as long.
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	// The format has four digits for the year, and no sign.
	dst = appendDigits(dst, min(max(year, 0), 9999), 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	dst = appendDigits(append(dst, '.'), t.Nanosecond()/1000, 6)
	return append(dst, 'Z')
}

// appendDigits appends v, which is not negative, with leading zeros.
func appendDigits(dst []byte, v, width int) []byte {
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; v > 0 && width > 0; i, width = i-1, width-1 {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
	return dst
}
