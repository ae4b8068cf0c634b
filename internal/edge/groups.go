package edge

import (
	"maps"
	"slices"

	"github.com/albion-lb/albion"
)

func groupsOf(s *albion.State) []*albion.TargetGroup { return slices.Collect(s.TargetGroups.All()) }

// missingFrom returns the groups of old that s does not have.
func missingFrom(s, old *albion.State) []*albion.TargetGroup {
	var gone []*albion.TargetGroup
	for g := range old.TargetGroups.All() {
		if _, ok := s.TargetGroups.Get(string(g.ARN)); !ok {
			gone = append(gone, g)
		}
	}
	return gone
}

// usedGroups returns the groups that some listener forwards to.
func usedGroups(s *albion.State) map[albion.ARN]bool {
	used := map[albion.ARN]bool{}
	for l := range s.Listeners.All() {
		forwards(&l.Default, used)
	}
	for r := range s.Rules.All() {
		forwards(&r.Action, used)
	}
	return used
}

// groupsOfListener returns the groups that one listener forwards to.
func groupsOfListener(s *albion.State, arn albion.ARN) map[albion.ARN]bool {
	used := map[albion.ARN]bool{}
	if l, ok := s.Listeners.Get(string(arn)); ok {
		forwards(&l.Default, used)
	}
	for r := range s.Rules.All() {
		if r.Listener == arn {
			forwards(&r.Action, used)
		}
	}
	return used
}

func forwards(a *albion.Action, used map[albion.ARN]bool) {
	if a.Forward == nil {
		return
	}
	for _, g := range a.Forward.Groups {
		used[g.Group] = true
	}
}

func union(a, b map[albion.ARN]bool) map[albion.ARN]bool {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}

func inUse(groups []*albion.TargetGroup, used map[albion.ARN]bool) []*albion.TargetGroup {
	return slices.DeleteFunc(slices.Clone(groups), func(g *albion.TargetGroup) bool { return !used[g.ARN] })
}
