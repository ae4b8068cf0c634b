package albion

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Bounds of names and values: RFC 1035 §2.3.4 and §3.3, and Route 53's pages
// "DNS domain name format" and "Quotas".
const (
	maxName    = 254 // letters, with the final dot; 255 bytes on the wire
	maxLabel   = 63
	maxString  = 255 // bytes of one character string
	maxTXT     = 4000
	maxInteger = 1<<31 - 1
)

// CanonicalDomain returns a domain name in lower case with its final dot, or
// says what is wrong with it. International names are written in their ASCII
// form (xn--…).
func CanonicalDomain(name string) (string, error) {
	full := strings.ToLower(strings.TrimSuffix(name, ".")) + "."
	if len(full) > maxName {
		return "", Errorf(CodeInvalidDomainName, "the name %s has more than %d letters", shown(name), maxName-1)
	}
	for label := range strings.SplitSeq(full[:len(full)-1], ".") {
		switch {
		case label == "":
			return "", Errorf(CodeInvalidDomainName, "the name %s has an empty label", shown(name))
		case len(label) > maxLabel:
			return "", Errorf(CodeInvalidDomainName, "the label %s has more than %d letters", shown(label), maxLabel)
		case strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_/") != "":
			return "", Errorf(CodeInvalidDomainName, "the name %s may have letters, digits, - and _ only; write an international name in its ASCII form (xn--…)", shown(name))
		}
	}
	return full, nil
}

// CanonicalRecordName is CanonicalDomain for the owner of a record set, whose
// leftmost label may be * (RFC 4592).
//
// Unlike AWS, an asterisk elsewhere, where it would mean itself, is refused.
func CanonicalRecordName(name string) (string, error) {
	rest, wild := strings.CutPrefix(name, "*.")
	full, err := CanonicalDomain(rest)
	if err != nil || !wild {
		return full, err
	}
	if full = "*." + full; len(full) > maxName {
		return "", Errorf(CodeInvalidDomainName, "the name %s has more than %d letters", shown(name), maxName-1)
	}
	return full, nil
}

// Canonical returns a value in the one form in which a record set keeps it: that
// of a zone file (RFC 1035 §5.1), with whole names in lower case and text in
// quotes, at most 255 bytes in each pair, other bytes than ASCII's letters and
// signs as \DDD, decimal.
//
// Unlike AWS, text without quotes and longer than 255 bytes is taken too, and
// put in order.
func (t RecordType) Canonical(value string) (string, error) {
	if len(value) > 4*maxTXT+maxTXT {
		return "", t.bad(value, "it is too long")
	}
	switch t {
	case TypeTXT:
		return canonicalTXT(value)
	case TypeCAA:
		return canonicalCAA(value)
	}
	words := strings.Fields(value)
	shape, ok := t.shape()
	if !ok {
		return "", Errorf(CodeInvalidInput, "records of type %s are not supported; choose one of %v", shown(string(t)), RecordTypes())
	}
	if len(words) != len(shape) {
		return "", t.bad(value, "")
	}
	for i, word := range words {
		canonical, err := shape[i](word)
		if err != nil {
			return "", t.bad(value, err.Error())
		}
		words[i] = canonical
	}
	return strings.Join(words, " "), nil
}

// shape is what the words of a value are.
func (t RecordType) shape() ([]func(string) (string, error), bool) {
	switch t {
	case TypeA:
		return []func(string) (string, error){ipv4}, true
	case TypeAAAA:
		return []func(string) (string, error){ipv6}, true
	case TypeCNAME, TypePTR, TypeNS:
		return []func(string) (string, error){CanonicalDomain}, true
	case TypeMX:
		return []func(string) (string, error){short, domainOrRoot}, true
	case TypeSRV:
		return []func(string) (string, error){short, short, short, domainOrRoot}, true
	case TypeSOA:
		return []func(string) (string, error){CanonicalDomain, mailbox, serial, seconds, seconds, seconds, seconds}, true
	}
	return nil, false
}

// example is a value of each type, for messages.
func (t RecordType) example() string {
	switch t {
	case TypeA:
		return "192.0.2.1"
	case TypeAAAA:
		return "2001:db8::1"
	case TypeCAA:
		return `0 issue "letsencrypt.org"`
	case TypeMX:
		return "10 mail.example.com."
	case TypeSRV:
		return "1 10 5269 chat.example.com."
	case TypeSOA:
		return "ns1.example.com. hostmaster.example.com. 1 7200 900 1209600 86400"
	case TypeTXT:
		return `"v=spf1 -all"`
	}
	return "www.example.com."
}

func (t RecordType) bad(value, why string) *Error {
	if why != "" {
		why = ": " + why
	}
	return Errorf(CodeInvalidChangeBatch, "%s is not the value of a record of type %s, such as %s%s", shown(value), t, t.example(), why)
}

func ipv4(s string) (string, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return "", fmt.Errorf("it is no IPv4 address")
	}
	return a.String(), nil
}

func ipv6(s string) (string, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is6() || a.Zone() != "" || a.Is4In6() {
		return "", fmt.Errorf("it is no IPv6 address")
	}
	return a.String(), nil
}

// domainOrRoot takes the root too, which means "no such service" (RFC 7505, RFC
// 2782).
func domainOrRoot(s string) (string, error) {
	if s == "." {
		return s, nil
	}
	return CanonicalDomain(s)
}

// mailbox is a domain name whose first label may hold dots (RFC 1035 §8).
func mailbox(s string) (string, error) {
	plain, err := CanonicalDomain(strings.ReplaceAll(s, `\.`, "_"))
	if err != nil || !strings.Contains(s, `\.`) {
		return plain, err
	}
	return strings.ToLower(strings.TrimSuffix(s, ".")) + ".", nil
}

func short(s string) (string, error)   { return whole(s, 1<<16-1) }
func seconds(s string) (string, error) { return whole(s, maxInteger) }
func serial(s string) (string, error)  { return whole(s, 1<<32-1) }

func whole(s string, high uint64) (string, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > high {
		return "", fmt.Errorf("%s is no whole number from 0 to %d", shown(s), high)
	}
	return strconv.FormatUint(n, 10), nil
}

// canonicalCAA reads FLAGS TAG "VALUE" (RFC 8659 §4.1.1).
func canonicalCAA(value string) (string, error) {
	flags, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	tag, text, found := strings.Cut(strings.TrimSpace(rest), " ")
	n, err := strconv.ParseUint(flags, 10, 8)
	bare := strings.Trim(strings.ToLower(tag), "abcdefghijklmnopqrstuvwxyz0123456789")
	if err != nil || !found || tag == "" || len(tag) > 15 || bare != "" {
		return "", TypeCAA.bad(value, "")
	}
	parts, ok := characterStrings(strings.TrimSpace(text))
	if !ok || len(parts) != 1 || len(parts[0]) > maxString {
		return "", TypeCAA.bad(value, "the value after the tag is one text in quotes")
	}
	return fmt.Sprintf("%d %s %s", n, strings.ToLower(tag), quoted(parts[0])), nil
}

// canonicalTXT reads texts in quotes, or one text without.
func canonicalTXT(value string) (string, error) {
	parts := []string{value}
	if strings.HasPrefix(strings.TrimSpace(value), `"`) {
		var ok bool
		if parts, ok = characterStrings(strings.TrimSpace(value)); !ok {
			return "", TypeTXT.bad(value, `each text stands in quotes; within them write \" and \\ for the signs themselves, and \DDD for other bytes`)
		}
	}
	total := 0
	var out []string
	for _, p := range parts {
		total += len(p)
		for len(p) > maxString {
			out = append(out, quoted(p[:maxString]))
			p = p[maxString:]
		}
		out = append(out, quoted(p))
	}
	if total > maxTXT {
		return "", TypeTXT.bad(value, fmt.Sprintf("it has %d bytes, and %d are allowed", total, maxTXT))
	}
	return strings.Join(out, " "), nil
}

// characterStrings takes "a" "b" apart: RFC 1035 §5.1.
func characterStrings(s string) (parts []string, ok bool) {
	for s != "" {
		if s[0] != '"' {
			return nil, false
		}
		var text []byte
		s = s[1:]
		for {
			if s == "" {
				return nil, false
			}
			if s[0] == '"' {
				break
			}
			b, rest, ok := unescape(s)
			if !ok {
				return nil, false
			}
			text, s = append(text, b), rest
		}
		if s = s[1:]; s != "" && s[0] != ' ' && s[0] != '\t' {
			return nil, false
		}
		s = strings.TrimLeft(s, " \t")
		parts = append(parts, string(text))
	}
	return parts, len(parts) > 0
}

// unescape reads one byte, which may be written \X or \DDD.
func unescape(s string) (b byte, rest string, ok bool) {
	if s[0] != '\\' {
		return s[0], s[1:], true
	}
	if len(s) < 2 {
		return 0, "", false
	}
	if s[1] < '0' || s[1] > '9' {
		return s[1], s[2:], true
	}
	if len(s) < 4 {
		return 0, "", false
	}
	n, err := strconv.ParseUint(s[1:4], 10, 8)
	return byte(n), s[4:], err == nil
}

// quoted is text as a zone file writes it.
func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
