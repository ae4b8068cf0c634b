// Package route finds, for one request on one listener, the rule that acts.
//
//	table, err := route.Compile(listener.Default, rules)
//	…
//	decision := table.Match(request)
//	switch {
//	case decision.Action.Forward != nil:
//		group, ok := decision.Group(random)
//	case decision.Action.Redirect != nil:
//		location, ok := decision.Location(buf, request, "https", 443)
//	}
//
// Everything here is pure: no I/O, no clock, no lock, and Match does not
// allocate. A Table is never written after Compile, so any number of goroutines
// may use it. What becomes of a Decision, above all the answer itself, is the
// caller's.
package route

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/albion-lb/albion"
	"github.com/albion-lb/albion/internal/wire"
)

// Table is the compiled rules of one listener.
type Table struct {
	rules []rule   // by priority, lowest first
	def   Decision // when none of them matches

	// Where to look for a rule, by its host conditions: under each exact name;
	// under the literal end of a pattern, from its first dot on; and everywhere,
	// for rules that any host may meet.
	exact  map[string]*paths
	suffix map[string]*paths
	all    *paths
}

// rule is a rule whose conditions are ready to be asked.
type rule struct {
	conditions []condition
	decision   Decision
}

// Compile makes the table of one listener from its default action and its
// rules, in any order. It keeps what they point to, which must not be written
// afterwards. It fails on what albion.Validate refuses: two rules of one
// priority, a condition on an unknown field, an action that is not exactly one,
// a redirect with an unknown placeholder.
func Compile(def albion.Action, rules []*albion.Rule) (*Table, error) {
	t := &Table{rules: make([]rule, 0, len(rules))}
	var err error
	if t.def, err = decide(0, def); err != nil {
		return nil, fmt.Errorf("route: default action: %w", err)
	}
	ordered := slices.Clone(rules)
	slices.SortStableFunc(ordered, func(a, b *albion.Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	for i, r := range ordered {
		if i > 0 && ordered[i-1].Priority == r.Priority {
			return nil, fmt.Errorf("route: two rules have priority %d", r.Priority)
		}
		compiled, err := compileRule(r)
		if err != nil {
			return nil, fmt.Errorf("route: rule %d: %w", r.Priority, err)
		}
		t.rules = append(t.rules, compiled)
	}
	t.index()
	return t, nil
}

func compileRule(r *albion.Rule) (rule, error) {
	decision, err := decide(r.Priority, r.Action)
	if err != nil {
		return rule{}, err
	}
	compiled := rule{decision: decision}
	for _, c := range r.Conditions {
		condition, err := compileCondition(c)
		if err != nil {
			return rule{}, err
		}
		compiled.conditions = append(compiled.conditions, condition)
	}
	return compiled, nil
}

// Match returns the decision of the first rule, by priority, whose conditions r
// meets, or that of the default action. It is never nil and is shared: it must
// not be written.
func (t *Table) Match(r *wire.Request) *Decision {
	if len(t.rules) == 0 {
		return &t.def
	}
	var buf [maxHost]byte
	v := view{path: r.Path}
	v.host, v.hasHost = foldHost(buf[:0], r.Host)

	best := t.search(t.all, &v, len(t.rules))
	if v.hasHost {
		if p := t.exact[string(v.host)]; p != nil {
			best = t.search(p, &v, best)
		}
		best = t.searchSuffixes(&v, best)
	}
	if best == len(t.rules) {
		return &t.def
	}
	return &t.rules[best].decision
}

// searchSuffixes looks under every end of the host that begins with a dot: a
// host of 255 bytes has 127 of them at most.
func (t *Table) searchSuffixes(v *view, best int) int {
	if len(t.suffix) == 0 {
		return best
	}
	for i, c := range v.host {
		if c != '.' {
			continue
		}
		if p := t.suffix[string(v.host[i:])]; p != nil {
			best = t.search(p, v, best)
		}
	}
	return best
}

// search returns the first rule before best that is listed in p and matches, or
// best.
func (t *Table) search(p *paths, v *view, best int) int {
	best = t.first(p.rest, v, best)
	if len(v.path) <= p.longest {
		best = t.first(p.exact[string(v.path)], v, best)
	}
	for n := p.last(v.path); n >= 0; n = p.prefixes[n].parent {
		if hasPrefix(v.path, p.prefixes[n].text) {
			best = t.first(p.prefixes[n].rules, v, best)
		}
	}
	return best
}

// first returns the first rule of list, which ascends, that comes before best
// and matches, or best.
func (t *Table) first(list []int, v *view, best int) int {
	for _, i := range list {
		if i >= best {
			return best
		}
		if t.rules[i].matches(v) {
			return i
		}
	}
	return best
}

func (r *rule) matches(v *view) bool {
	for i := range r.conditions {
		if !r.conditions[i].met(v) {
			return false
		}
	}
	return true
}

var errOneAction = errors.New("an action is exactly one of forward, redirect and fixed-response")
