package route

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/wire"
)

// maxLocation is ALB's bound of a Location: 8 KiB, or else 507.
const maxLocation = 8 << 10

// redirect is a redirect action taken apart.
type redirect struct {
	scheme string // "" for the request's
	host   template
	port   uint16 // 0 for the listener's
	path   template
	query  template
}

// template is text with placeholders.
type template []part

// part is either text or a placeholder.
type part struct {
	text []byte
	key  placeholder
}

type placeholder uint8

const (
	text placeholder = iota
	keyProtocol
	keyHost
	keyPort
	keyPath // without its leading slash
	keyQuery
)

func compileRedirect(r albion.Redirect) (*redirect, error) {
	d := albion.DefaultRedirect()
	compiled := &redirect{}
	var err error
	if compiled.scheme, err = parseScheme(r.Protocol); err != nil {
		return nil, err
	}
	if compiled.port, err = parsePort(r.Port); err != nil {
		return nil, err
	}
	if compiled.host, err = parseTemplate(orElse(r.Host, d.Host)); err != nil {
		return nil, err
	}
	if compiled.path, err = parseTemplate(orElse(r.Path, d.Path)); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(orElse(r.Path, d.Path), "/") {
		return nil, fmt.Errorf("the redirect's path %q does not begin with a slash", r.Path)
	}
	if compiled.query, err = parseTemplate(orElse(r.Query, d.Query)); err != nil {
		return nil, err
	}
	return compiled, nil
}

func orElse(value, instead string) string {
	if value == "" {
		return instead
	}
	return value
}

func parseScheme(protocol string) (string, error) {
	switch protocol {
	case "", "#{protocol}":
		return "", nil
	case "HTTP":
		return "http", nil
	case "HTTPS":
		return "https", nil
	}
	return "", fmt.Errorf("the redirect's protocol %q is not HTTP, HTTPS or #{protocol}", protocol)
}

func parsePort(port string) (uint16, error) {
	if port == "" || port == "#{port}" {
		return 0, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("the redirect's port %q is neither 1 to 65535 nor #{port}", port)
	}
	return uint16(n), nil
}

func parseTemplate(s string) (template, error) {
	var t template
	for {
		before, rest, found := strings.Cut(s, "#{")
		if before != "" {
			t = append(t, part{text: []byte(before)})
		}
		if !found {
			return t, nil
		}
		name, after, closed := strings.Cut(rest, "}")
		key := placeholderNamed(name)
		if key == text || !closed {
			return nil, fmt.Errorf("the redirect has no placeholder #{%s}", name)
		}
		t = append(t, part{key: key})
		s = after
	}
}

func placeholderNamed(name string) placeholder {
	switch name {
	case "protocol":
		return keyProtocol
	case "host":
		return keyHost
	case "port":
		return keyPort
	case "path":
		return keyPath
	case "query":
		return keyQuery
	}
	return text
}

// source is what placeholders stand for, in one request.
type source struct {
	scheme string
	host   []byte
	port   uint16
	path   []byte
	query  []byte
}

// append is Decision.Location.
func (d *redirect) append(dst []byte, r *wire.Request, scheme string, port uint16) ([]byte, bool) {
	host, _, ok := wire.SplitAuthority(r.Host)
	if !ok {
		host = nil
	}
	s := source{scheme: scheme, host: host, port: port, path: bytes.TrimPrefix(r.Path, []byte("/")), query: r.Query}
	if len(r.Path) == 1 && r.Path[0] == '*' {
		s.path = nil // the asterisk-form (RFC 9112 §3.2.4) asks for no path
	}
	if d.scheme != "" {
		scheme = d.scheme
	}
	if d.port != 0 {
		port = d.port
	}
	a := appender{buf: dst, limit: len(dst) + maxLocation}
	a.raw(scheme)
	a.raw("://")
	if !a.authority(d.host, &s) {
		return dst, false
	}
	// Unlike AWS, a port that the scheme implies is left out: it is the same
	// resource (RFC 9110 §4.2.3), and people see the address.
	if !(scheme == "http" && port == 80 || scheme == "https" && port == 443) {
		a.raw(":")
		a.number(port)
	}
	a.template(d.path, &s)
	a.queryOf(d.query, &s)
	if a.full || len(a.buf) > a.limit {
		return dst, false
	}
	return a.buf, true
}

// appender writes a Location and stops where it becomes too long.
type appender struct {
	buf   []byte
	limit int
	full  bool
}

// authority writes the host. It is false when that is not a host: empty, or an
// IPv6 address with something around it.
func (a *appender) authority(t template, s *source) bool {
	mark := len(a.buf)
	a.template(t, s)
	host := a.buf[mark:]
	bracket := bytes.IndexByte(host, '[')
	return len(host) > 0 && bracket <= 0 && (bracket < 0 || bytes.IndexByte(host, ']') == len(host)-1)
}

// queryOf writes a question mark and the query, or nothing when that is empty.
func (a *appender) queryOf(t template, s *source) {
	mark := len(a.buf)
	a.raw("?")
	a.template(t, s)
	if len(a.buf) == mark+1 && !a.full {
		a.buf = a.buf[:mark]
	}
}

func (a *appender) template(t template, s *source) {
	for _, p := range t {
		switch p.key {
		case text:
			a.escaped(p.text)
		case keyProtocol:
			a.raw(s.scheme)
		case keyHost:
			a.escaped(s.host)
		case keyPort:
			a.number(s.port)
		case keyPath:
			a.escaped(s.path)
		case keyQuery:
			a.escaped(s.query)
		}
	}
}

func (a *appender) raw(s string)    { a.buf = append(a.buf, s...) }
func (a *appender) number(n uint16) { a.buf = strconv.AppendUint(a.buf, uint64(n), 10) }

// escaped writes s with every byte percent-encoded that a URI cannot hold
// (RFC 3986 §2): controls, blanks, what is not ASCII, and the delimiters that
// would end a path, a query or the field.
func (a *appender) escaped(s []byte) {
	if len(s) > 0 && len(a.buf)+len(s) > a.limit {
		a.full = true
		return
	}
	for _, c := range s {
		if c > ' ' && c < 0x7f && strings.IndexByte("\"#<>\\^`{|}", c) < 0 {
			a.buf = append(a.buf, c)
			continue
		}
		a.buf = append(a.buf, '%', hexDigits[c>>4], hexDigits[c&15])
	}
}

const hexDigits = "0123456789ABCDEF"
