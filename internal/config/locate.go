package config

import (
	"errors"
	"strconv"
	"strings"
	"unicode"

	"github.com/albion-lb/albion"
)

// Locate says where in the file an error of albion.Validate, or of
// Draft.Finish, comes from. Every *albion.Error that concerns an object of the
// file becomes a Problem that wraps it; an error without one is returned as it
// is. It wants the File that was applied to the Draft.
func (f *File) Locate(err error) error {
	var found Problems
	var rest []error
	for _, e := range leaves(err) {
		var wrong *albion.Error
		if errors.As(e, &wrong) {
			if at, ok := f.objects[albion.Change{Kind: wrong.Kind, ID: wrong.ID}]; ok {
				p := f.problem(at.find(keyOf(wrong.Kind, wrong.Field, at)), "%s", wrong.Message)
				p.Err = wrong
				found = append(found, p)
				continue
			}
		}
		rest = append(rest, e)
	}
	switch {
	case len(found) == 0:
		return err
	case len(rest) == 0:
		return found.orNil()
	}
	return errors.Join(append([]error{found.orNil()}, rest...)...)
}

// leaves takes joined errors apart.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range many.Unwrap() {
			all = append(all, leaves(e)...)
		}
		return all
	}
	if _, ok := err.(*albion.Error); !ok { //nolint:errorlint // the tree is walked by hand
		if inner := errors.Unwrap(err); inner != nil {
			return leaves(inner)
		}
	}
	return []error{err}
}

// keyOf turns a field of the model, "Conditions[0].Values[2]", into the path of
// what the file says about it, "host.2".
func keyOf(kind albion.Kind, field string, at places) string {
	segments := strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
	names := renamed(kind)
	var path []string
	for i := 0; i < len(segments); i++ {
		s := snake(segments[i])
		if kind == albion.KindRule && s == "conditions" && i+1 < len(segments) {
			s, i = conditionKey(segments[i+1], at), i+1
		}
		if as, ok := names[s]; ok {
			s = as
		}
		if s != "" {
			path = append(path, s)
		}
	}
	return strings.Join(path, ".")
}

// conditionKey is the key of a rule's condition: the host, if it has one, comes
// first.
func conditionKey(index string, at places) string {
	i, err := strconv.Atoi(index)
	_, host := at["host"]
	if err == nil && i == 0 && host {
		return "host"
	}
	return "path"
}

// renamed lists what the file calls otherwise than the model, and with "" what
// it has no level for.
func renamed(kind albion.Kind) map[string]string {
	switch kind {
	case albion.KindSecurityGroup:
		return map[string]string{"sources": "from", "from_port": "ports", "to_port": "ports"}
	case albion.KindTargetGroup:
		return map[string]string{"attributes": "", "healthy": "healthy_threshold", "unhealthy": "unhealthy_threshold", "disabled": "enabled"}
	case albion.KindLoadBalancer:
		return map[string]string{
			"desync_mode": "desync_mitigation_mode", "drop_invalid_headers": "drop_invalid_header_fields",
			"preserve_host": "preserve_host_header", "tls_headers": "tls_version_and_cipher_headers", "xff_mode": "xff_header_processing",
		}
	case albion.KindListener, albion.KindRule:
		return map[string]string{"default": "", "action": "", "groups": "", "values": "", "fixed": "fixed_response"}
	}
	return nil
}

// snake turns SSLPolicy into ssl_policy.
func snake(s string) string {
	var b strings.Builder
	r := []rune(s)
	for i, c := range r {
		if i > 0 && unicode.IsUpper(c) && (unicode.IsLower(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}
