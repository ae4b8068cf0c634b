package route

import (
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/albion-lb/albion"
)

// paths lists the rules of one host by what their path conditions demand. It
// may list a rule that does not match, never leave out one that does: whoever
// searches asks all of a rule's conditions.
type paths struct {
	exact    map[string][]int // by the whole path
	longest  int              // length of the longest path in exact
	prefixes []prefix         // by the literal beginning of a pattern; sorted
	rest     []int            // rules that any path may meet
}

// prefix is the rules whose pattern begins with text.
type prefix struct {
	text   string
	parent int // the longest other prefix that text begins with, or -1
	rules  []int
}

// last returns the last prefix that does not sort behind path, or -1. Every
// prefix of path is that one or one of its parents: whatever sorts between a
// prefix of path and path begins with that prefix.
func (p *paths) last(path []byte) int {
	return sort.Search(len(p.prefixes), func(i int) bool { return p.prefixes[i].text > string(path) }) - 1
}

func hasPrefix(s []byte, prefix string) bool {
	return len(s) >= len(prefix) && string(s[:len(prefix)]) == prefix
}

// index files every rule. Rules come in ascending order, so every list ascends.
func (t *Table) index() {
	t.exact, t.suffix = map[string]*paths{}, map[string]*paths{}
	all := newDrafts()
	exact, suffix := map[string]*drafts{}, map[string]*drafts{}
	for i := range t.rules {
		path := find(t.rules[i].conditions, albion.PathPattern)
		host := find(t.rules[i].conditions, albion.HostHeader)
		if host == nil {
			all.add(i, path)
			continue
		}
		for h := range host.patterns {
			hostDrafts(&host.patterns[h], exact, suffix, all).add(i, path)
		}
	}
	t.all = all.finish()
	for name, d := range exact {
		t.exact[name] = d.finish()
	}
	for end, d := range suffix {
		t.suffix[end] = d.finish()
	}
}

// hostDrafts returns the place of the rules with this host pattern.
func hostDrafts(g *glob, exact, suffix map[string]*drafts, all *drafts) *drafts {
	if name, ok := g.literal(); ok {
		return under(exact, name)
	}
	end := g.suffix()
	dot := strings.IndexByte(end, '.')
	if dot < 0 {
		return all
	}
	return under(suffix, end[dot:])
}

func under(m map[string]*drafts, key string) *drafts {
	if m[key] == nil {
		m[key] = newDrafts()
	}
	return m[key]
}

// find returns the first condition that looks at field, or nil.
func find(conditions []condition, field albion.ConditionField) *condition {
	for i := range conditions {
		if conditions[i].field == field {
			return &conditions[i]
		}
	}
	return nil
}

// drafts is paths in the making.
type drafts struct {
	exact, prefixes map[string][]int
	rest            []int
}

func newDrafts() *drafts {
	return &drafts{exact: map[string][]int{}, prefixes: map[string][]int{}}
}

// add files rule i by its path condition, which may be nil.
func (d *drafts) add(i int, path *condition) {
	if path == nil {
		d.rest = once(d.rest, i)
		return
	}
	for p := range path.patterns {
		g := &path.patterns[p]
		if text, ok := g.literal(); ok {
			d.exact[text] = once(d.exact[text], i)
		} else if begin := g.prefix(); begin != "" {
			d.prefixes[begin] = once(d.prefixes[begin], i)
		} else {
			d.rest = once(d.rest, i)
		}
	}
}

// once appends i unless it is there already, at the end.
func once(list []int, i int) []int {
	if n := len(list); n > 0 && list[n-1] == i {
		return list
	}
	return append(list, i)
}

func (d *drafts) finish() *paths {
	p := &paths{exact: d.exact, longest: -1, rest: d.rest}
	for text := range d.exact {
		p.longest = max(p.longest, len(text))
	}
	var open []int // the prefixes that the next one may begin with, shortest first
	for _, text := range slices.Sorted(maps.Keys(d.prefixes)) {
		for len(open) > 0 && !strings.HasPrefix(text, p.prefixes[open[len(open)-1]].text) {
			open = open[:len(open)-1]
		}
		parent := -1
		if len(open) > 0 {
			parent = open[len(open)-1]
		}
		open = append(open, len(p.prefixes))
		p.prefixes = append(p.prefixes, prefix{text: text, parent: parent, rules: d.prefixes[text]})
	}
	return p
}
