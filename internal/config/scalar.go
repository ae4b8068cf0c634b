package config

import (
	"math"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/albion-lb/albion"
)

// word reads one of some words.
func (n node) word(words ...string) string {
	s, ok := n.text(orList(words))
	if !ok {
		return ""
	}
	for _, w := range words {
		if s == w {
			return w
		}
	}
	// Keys and values of ALB are case-sensitive; only the hint is not.
	if hint := suggest(s, words); hint != "" {
		n.bad("%s: %s is not known: did you mean %s?", n.key, quote(s), hint)
	} else {
		n.bad("%s: %s is not known: expected %s", n.key, quote(s), orList(words))
	}
	return ""
}

// truth reads a boolean. YAML 1.1's yes and on are text in YAML 1.2.
func (n node) truth() bool {
	s, ok := n.text("true or false")
	if ok && s != "true" && s != "false" {
		n.bad("%s: %s is not known: expected true or false", n.key, quote(s))
	}
	return s == "true"
}

// integer reads a whole number; 0 when it is none.
func (n node) integer(low, high int) int {
	expected := "a whole number from " + strconv.Itoa(low) + " to " + strconv.Itoa(high)
	s, ok := n.text(expected)
	if !ok {
		return 0
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < low || v > high {
		n.bad("%s: %s is not %s", n.key, quote(s), expected)
		return 0
	}
	return v
}

func (n node) port() uint16 { return uint16(n.integer(1, math.MaxUint16)) }

// duration reads 300s, 1h, 1d, 1h30m.
func (n node) duration() time.Duration {
	const expected = "a duration such as 30s, 5m, 1h or 1d"
	s, ok := n.text(expected)
	if !ok {
		return 0
	}
	if _, err := strconv.Atoi(s); err == nil {
		n.bad("%s: %s has no unit: %ss, if seconds are meant", n.key, quote(s), s)
		return 0
	}
	d, ok := parseDuration(s)
	if !ok {
		n.bad("%s: %s is not %s", n.key, quote(s), expected)
	}
	return d
}

// parseDuration is time.ParseDuration with days, which come first, and without
// signs.
func parseDuration(s string) (time.Duration, bool) {
	if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
		return 0, false
	}
	var days time.Duration
	if before, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 16)
		if err != nil {
			return 0, false
		}
		days, s = time.Duration(n)*24*time.Hour, after
		if s == "" {
			return days, true
		}
	}
	d, err := time.ParseDuration(s)
	return days + d, err == nil && d >= 0 && days+d >= 0
}

// formatDuration is a form that parseDuration reads as d: in seconds below an
// hour, as ALB has them.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	if d < time.Hour && d%time.Second == 0 {
		return strconv.Itoa(int(d/time.Second)) + "s"
	}
	s := strings.TrimSuffix(d.String(), "m0s")
	if len(s) < len(d.String()) {
		s += "m"
	}
	if cut, ok := strings.CutSuffix(s, "h0m"); ok {
		s = cut + "h"
	}
	return s
}

// unit is a suffix of a size.
type unit struct {
	name  string
	bytes int64
}

func units() []unit {
	return []unit{
		{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
		{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
	}
}

// size reads 100MiB.
func (n node) size() int64 {
	const expected = "a size such as 512KiB, 100MiB or 1GiB"
	s, ok := n.text(expected)
	if !ok {
		return 0
	}
	for _, u := range units() {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || v <= 0 || v > math.MaxInt64/u.bytes {
			break
		}
		return v * u.bytes
	}
	if _, err := strconv.Atoi(s); err == nil {
		n.bad("%s: %s has no unit: expected %s", n.key, quote(s), expected)
	} else {
		n.bad("%s: %s is not %s", n.key, quote(s), expected)
	}
	return 0
}

func formatSize(v int64) string {
	for _, u := range []unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if v >= u.bytes && v%u.bytes == 0 {
			return strconv.FormatInt(v/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(v, 10) + "B"
}

// address reads an IP address.
func (n node) address() (netip.Addr, bool) {
	s, ok := n.text("an IP address")
	if !ok {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		n.bad("%s is not an IP address, such as 192.0.2.1 or \"::1\"", quote(s))
		return netip.Addr{}, false
	}
	return a, true
}

// prefix reads a CIDR, or an address that stands for itself alone.
func (n node) prefix() (netip.Prefix, bool) {
	s, ok := n.text("a CIDR or an IP address")
	if !ok {
		return netip.Prefix{}, false
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		n.bad("%s is not a CIDR or IP address, such as 10.0.0.0/8 or \"::/0\"", quote(s))
		return netip.Prefix{}, false
	}
	return p.Masked(), true
}

// filename reads the name of a file, relative to the folder of this one.
func (n node) filename() string {
	s, ok := n.text("the name of a file")
	if !ok {
		return ""
	}
	if s == "" || strings.ContainsRune(s, 0) {
		n.bad("%s: %s is not the name of a file", n.key, quote(s))
		return ""
	}
	if !filepath.IsAbs(s) {
		s = filepath.Join(n.r.file.dir, s)
	}
	return filepath.Clean(s)
}

// target reads HOST, HOST:PORT, [IPV6] or [IPV6]:PORT; without a port the port
// is 0.
func (n node) target() (albion.Target, bool) {
	s, ok := n.text("HOST:PORT")
	if !ok {
		return albion.Target{}, false
	}
	t, problem := parseTarget(s)
	if problem != "" {
		n.bad("%s", problem)
		return albion.Target{}, false
	}
	return t, true
}

// parseTarget also says what is wrong, or "".
func parseTarget(s string) (albion.Target, string) {
	const expected = `expected HOST:PORT, such as 127.0.0.1:8080, chat.internal:8080 or "[::1]:8080"`
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		return albion.Target{}, quote(s) + ": leave out " + scheme + ":// and write " + strings.TrimRight(rest, "/")
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Is6() {
		return albion.Target{}, quote(s) + ": an IPv6 address stands in brackets here, such as \"[::1]:8080\""
	}
	wrong := quote(s) + " is not a target: " + expected
	var host, digits string
	var withPort, ok bool
	if rest, bracket := strings.CutPrefix(s, "["); bracket {
		host, digits, ok = strings.Cut(rest, "]")
		a, err := netip.ParseAddr(host)
		if !ok || err != nil || !a.Is6() {
			return albion.Target{}, wrong
		}
		host = a.String()
		if digits, withPort = strings.CutPrefix(digits, ":"); !withPort && digits != "" {
			return albion.Target{}, wrong
		}
	} else if host, digits, withPort = strings.Cut(s, ":"); !isHost(host) {
		return albion.Target{}, wrong
	}
	if !withPort {
		return albion.Target{Host: host}, ""
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || port == 0 {
		return albion.Target{}, wrong
	}
	return albion.Target{Host: host, Port: uint16(port)}, ""
}

// isHost says whether s could be a host name or an IPv4 address: letters,
// digits, dots, hyphens, and the underscore that container networks allow.
func isHost(s string) bool {
	if s == "" || len(s) > 253 || strings.HasPrefix(s, "-") || strings.HasPrefix(s, ".") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r > 'z' || !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_", r))
	})
}
