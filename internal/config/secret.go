package config

import (
	"regexp"
	"strings"

	"github.com/albion-lb/albion"
)

// secret is where a secret comes from: a variable of the environment or a file.
// It never stands in the configuration itself.
type secret struct {
	key      string // that names it
	variable string
	file     string // absolute
}

// variable reads ${NAME}.
func (n node) variable() *secret {
	s, ok := n.text("a variable of the environment, such as ${NAME}")
	if !ok {
		return nil
	}
	found := regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`).FindStringSubmatch(s)
	if found == nil {
		n.bad("%s: a secret does not stand in this file: name a variable of the environment, such as ${NAME}, or use %s_file", n.key, n.key)
		// What stands there may be the secret: it is not shown.
		n.r.found[len(n.r.found)-1].Source = ""
		return nil
	}
	return &secret{key: n.path, variable: found[1]}
}

func (n node) secretFile() *secret {
	s := n.filename()
	if s == "" {
		return nil
	}
	return &secret{key: n.path, file: s}
}

// secrets are the two keys that a secret can be given by.
func secretFields(name string, to **secret) []field {
	return []field{
		{name, func(n node) { *to = n.variable() }},
		{name + "_file", func(n node) { *to = n.secretFile() }},
	}
}

// oneSecret refuses a secret that comes from two places.
func (n node) oneSecret(name string, there map[string]node) {
	if _, ok := there[name]; !ok {
		return
	}
	if file, ok := there[name+"_file"]; ok {
		file.at = file.keyAt
		file.bad("%s and %s_file are the same secret twice: leave one of them out", name, name)
	}
}

// reveal fetches a secret; ok is false after a problem. nil is none, or one that
// may be known already and is not given any more.
func (a *applier) reveal(s *secret, known bool, at places) (value albion.Secret, ok bool) {
	switch {
	case s == nil:
		return nil, true
	case s.variable != "":
		if a.env.Getenv != nil {
			value = albion.Secret(strings.TrimSpace(a.env.Getenv(s.variable)))
		}
		if len(value) == 0 && known {
			return nil, true
		}
		if len(value) == 0 {
			a.bad(at.find(s.key), "the variable %s is not set in the environment of the server", s.variable)
			return nil, false
		}
		return value, true
	}
	data, err := a.env.ReadFile(s.file)
	if err != nil {
		p := a.f.problem(at.find(s.key), "%s", err)
		p.Err = err
		a.found = append(a.found, p)
		return nil, false
	}
	if value = albion.Secret(strings.TrimSpace(string(data))); len(value) == 0 {
		a.bad(at.find(s.key), "the file %s is empty", s.file)
		return nil, false
	}
	return value, true
}
