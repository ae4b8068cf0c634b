package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// reader goes over the nodes of a file and gathers what is wrong.
type reader struct {
	file    *File
	anchors map[string]ast.Node
	budget  int // nodes that may still be read
	found   Problems
	shape   func(name string, keys []string) // told of every kind of mapping; may be nil
}

// node is one value of the file, with where it stands.
type node struct {
	r     *reader
	yaml  ast.Node // no anchor, alias or tag; nil for nothing
	key   string   // what it is the value of, or an item of the value of
	keyAt place
	at    place
	parts places // of the object that it belongs to
	path  string // in that object
}

// field is a key that a mapping may have.
type field struct {
	key  string
	read func(node)
}

func (n node) bad(format string, args ...any) {
	n.r.found = append(n.r.found, n.r.file.problem(n.at, format, args...))
}

// make returns the node of a value: n's part called key.
func (n node) make(yaml ast.Node, key string, keyAt place) node {
	v := node{r: n.r, key: key, keyAt: keyAt, parts: n.parts, path: key}
	if n.path != "" {
		v.path = n.path + "." + key
	}
	v.yaml, v.at = n.r.resolve(yaml), keyAt
	if v.yaml != nil {
		v.at = placeOf(v.yaml)
	}
	if v.parts != nil {
		v.parts[v.path] = v.at
	}
	return v
}

// object makes n the root of an object: from here on places are its own.
func (n node) object() node {
	n.path, n.parts = "", places{"": n.keyAt}
	return n
}

// resolve follows anchors and aliases to what they stand for; nil for nothing.
func (r *reader) resolve(yaml ast.Node) ast.Node {
	for {
		r.budget--
		if r.budget < 0 {
			return nil
		}
		switch y := yaml.(type) {
		case *ast.AnchorNode:
			yaml = y.Value
		case *ast.AliasNode:
			name := y.Value.GetToken().Value
			target, ok := r.anchors[name]
			if !ok {
				r.found = append(r.found, r.file.problem(placeOf(y), "no anchor &%s in this file", name))
				return nil
			}
			yaml = target
		case *ast.TagNode:
			r.found = append(r.found, r.file.problem(placeOf(y), "tags like %s mean nothing here: leave it out", y.Start.Value))
			return nil
		case *ast.NullNode, nil:
			return nil
		default:
			return yaml
		}
	}
}

// pair is an entry of a mapping.
type pair struct {
	key    string
	at     place
	value  ast.Node
	merged bool // came from "<<"
}

// pairs lists the entries of a mapping, those of merged ones last. Nothing is
// an empty mapping.
func (n node) pairs(expected string) []pair {
	switch y := n.yaml.(type) {
	case nil:
		return nil
	case *ast.MappingNode:
		return n.r.entries(y.Values, false)
	case *ast.MappingValueNode:
		return n.r.entries([]*ast.MappingValueNode{y}, false)
	}
	if s, ok := n.scalar(); ok && strings.Contains(s, ":") {
		expected += ": is a space missing after a colon?"
	}
	n.bad("expected %s", expected)
	return nil
}

func (r *reader) entries(values []*ast.MappingValueNode, merged bool) []pair {
	var own, below []pair
	for _, v := range values {
		if !v.Key.IsMergeKey() {
			own = append(own, pair{keyText(v.Key), placeOf(v.Key), v.Value, merged})
			continue
		}
		sources := []ast.Node{r.resolve(v.Value)}
		if list, ok := sources[0].(*ast.SequenceNode); ok {
			sources = list.Values
		}
		for _, source := range sources {
			switch y := r.resolve(source).(type) {
			case *ast.MappingNode:
				below = append(below, r.entries(y.Values, true)...)
			case *ast.MappingValueNode:
				below = append(below, r.entries([]*ast.MappingValueNode{y}, true)...)
			default:
				r.found = append(r.found, r.file.problem(placeOf(v.Key), "<<: expected a mapping, like *NAME"))
			}
		}
	}
	return append(own, below...)
}

// keyText is what a key says.
func keyText(k ast.MapKeyNode) string {
	switch k := k.(type) {
	case *ast.StringNode:
		return k.Value
	case *ast.MappingKeyNode:
		if s, ok := k.Value.(*ast.StringNode); ok {
			return s.Value
		}
	}
	return k.GetToken().Value
}

// fields reads a mapping whose keys are known. It returns the keys that are
// there; nil when this is no mapping, which has been said then.
func (n node) fields(shape string, known []field) map[string]node {
	names := make([]string, len(known))
	for i, f := range known {
		names[i] = f.key
	}
	if n.r.shape != nil {
		n.r.shape(shape, names)
	}
	before := len(n.r.found)
	pairs := n.pairs("a mapping with keys such as " + names[0])
	if pairs == nil && len(n.r.found) > before {
		return nil
	}
	there := map[string]node{}
	for _, p := range pairs {
		i := slices.IndexFunc(known, func(f field) bool { return f.key == p.key })
		if i < 0 {
			n.unknownKey(p, shape, names)
			continue
		}
		if first, twice := there[p.key]; twice {
			if !p.merged {
				n.repeated(p, first.keyAt)
			}
			continue
		}
		value := n.make(p.value, p.key, p.at)
		there[p.key] = value
		known[i].read(value)
	}
	return there
}

// named reads a mapping from names that the user chose.
func (n node) named(what string, read func(name string, n node)) {
	there := map[string]place{}
	for _, p := range n.pairs("a mapping from names to " + what) {
		if first, twice := there[p.key]; twice {
			if !p.merged {
				n.repeated(p, first)
			}
			continue
		}
		there[p.key] = p.at
		read(p.key, n.make(p.value, p.key, p.at).object())
	}
}

func (n node) repeated(p pair, first place) {
	n.r.found = append(n.r.found, n.r.file.problem(p.at, "%s is here twice: first in line %d", quote(p.key), first.line))
}

func (n node) unknownKey(p pair, shape string, names []string) {
	hint := "expected " + orList(names)
	if s := suggest(p.key, names); s != "" {
		hint = "did you mean " + s + "?"
	} else if before, _, ok := strings.Cut(p.key, ":"); ok && slices.Contains(names, before) {
		hint = "is a space missing after the colon?"
	}
	n.r.found = append(n.r.found, n.r.file.problem(p.at, "unknown key %s of %s: %s", quote(p.key), shape, hint))
}

// list reads a list; nothing is an empty one.
func (n node) list(what string, read func(node)) {
	switch y := n.yaml.(type) {
	case nil:
	case *ast.SequenceNode:
		for i, v := range y.Values {
			item := n.make(v, strconv.Itoa(i), placeOf(v))
			item.key = n.key
			if n.r.budget < 0 {
				return
			}
			read(item)
		}
	default:
		n.bad("%s: expected a list of %s", n.key, what)
	}
}

// oneOrMore reads a list, or one value that stands for a list of itself.
func (n node) oneOrMore(what string, read func(node)) {
	if _, ok := n.yaml.(*ast.SequenceNode); ok || n.yaml == nil {
		n.list(what, read)
		return
	}
	read(n)
}

// scalar is the text of a plain or quoted value.
func (n node) scalar() (string, bool) {
	switch y := n.yaml.(type) {
	case *ast.StringNode:
		return y.Value, true
	case *ast.LiteralNode:
		return y.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return y.GetToken().Value, true
	}
	return "", false
}

// isScalar says whether n is one value, not a list or mapping, and not nothing.
func (n node) isScalar() bool {
	_, ok := n.scalar()
	return ok
}

// text returns the text of a value that must be there.
func (n node) text(expected string) (string, bool) {
	s, ok := n.scalar()
	switch {
	case n.yaml == nil:
		n.bad("%s has no value: expected %s", n.key, expected)
	case !ok:
		n.bad("%s: expected %s", n.key, expected)
	}
	return s, ok
}

// quote shows a piece of the file in a message: short and printable.
func quote(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return strconv.Quote(s)
}

// orList is "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// suggest returns the word that was probably meant, or "".
func suggest(got string, words []string) string {
	if len(got) > 64 {
		return ""
	}
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }
	best, least := "", 3
	for _, w := range words {
		a, b := plain(got), plain(w)
		// One letter off is a slip; two are one when the words begin alike.
		if d := distance(a, b); d < least && (d < 2 || a != "" && b != "" && a[0] == b[0] && len(b) > 3) {
			best, least = w, d
		}
	}
	return best
}

// distance is how many letters must be added, removed or replaced to make a
// from b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
