package route

import (
	"bytes"
	"fmt"

	"github.com/albion-lb/albion"
)

// maxHost bounds the hosts that conditions are asked about. DNS ends at 255
// (RFC 1035 §2.3.4), and so does what wire accepts.
const maxHost = 255

// view is what conditions look at, prepared once per request.
type view struct {
	host    []byte // small letters, without port and without a trailing dot
	hasHost bool   // false: too long for any condition on it
	path    []byte // as sent
}

// condition is one condition of a rule: met when one of its patterns matches. A
// new field of a request to look at is a case in met and in compileCondition;
// the index asks every condition of a candidate, whatever it looks at.
type condition struct {
	field    albion.ConditionField
	patterns []glob
}

func compileCondition(c albion.Condition) (condition, error) {
	compiled := condition{field: c.Field, patterns: make([]glob, 0, len(c.Values))}
	for _, value := range c.Values {
		switch c.Field {
		case albion.HostHeader:
			value = string(foldName(nil, []byte(value)))
		case albion.PathPattern:
		default:
			return condition{}, fmt.Errorf("no condition can look at %q", c.Field)
		}
		compiled.patterns = append(compiled.patterns, compileGlob(value))
	}
	if len(c.Values) == 0 {
		return condition{}, fmt.Errorf("a condition on %q without values", c.Field)
	}
	return compiled, nil
}

func (c *condition) met(v *view) bool {
	subject := v.path
	if c.field == albion.HostHeader {
		if !v.hasHost {
			return false
		}
		subject = v.host
	}
	for i := range c.patterns {
		if c.patterns[i].match(subject) {
			return true
		}
	}
	return false
}

// foldHost appends the form of an authority that host conditions see. It is
// false, and nothing is appended, when that is longer than maxHost.
func foldHost(dst, authority []byte) ([]byte, bool) {
	name := hostOf(authority)
	if len(name) > maxHost+1 {
		return dst, false
	}
	folded := foldName(dst, name)
	if len(folded)-len(dst) > maxHost {
		return dst, false
	}
	return folded, true
}

// foldName appends name in small letters and without one trailing dot: DNS
// names are the same in either case (RFC 4343) and when written as absolute.
func foldName(dst, name []byte) []byte {
	if n := len(name); n > 0 && name[n-1] == '.' {
		name = name[:n-1]
	}
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// hostOf cuts the port off an authority. The brackets of an IPv6 address stay.
func hostOf(authority []byte) []byte {
	if len(authority) > 0 && authority[0] == '[' {
		if end := bytes.IndexByte(authority, ']'); end > 0 {
			return authority[:end+1]
		}
	}
	if colon := bytes.IndexByte(authority, ':'); colon >= 0 {
		return authority[:colon]
	}
	return authority
}
