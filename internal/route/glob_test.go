package route_test

import (
	"strings"
	"testing"

	"github.com/albion-lb/albion/internal/wire"
)

// FuzzPattern holds the patterns of path conditions against their plain
// meaning.
func FuzzPattern(f *testing.F) {
	f.Add("/a*b?c", "/axxbxc")
	f.Add("*a*a*a*a*a*", strings.Repeat("a", 40))
	f.Add("??", "ab")
	f.Add("*?*?", "a")
	f.Add("a*a", "a")
	f.Add("*.php", "/x.php")
	f.Add("/*/b/*?d", "/a/b/b/d/d")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if pattern == "" || len(pattern) > 128 || len(path) > 1024 {
			return
		}
		r := rule(1, "", "/")
		r.Conditions[0].Values[0] = pattern
		got := compile(t, r).Match(&wire.Request{Path: []byte(path)}).Priority == 1
		if want := slowGlob(pattern, path); got != want {
			t.Fatalf("%q on %q: %v, want %v", pattern, path, got, want)
		}
	})
}

// BenchmarkHostilePattern is the pattern and the path that make a matcher that
// goes back take for ever.
func BenchmarkHostilePattern(b *testing.B) {
	table := compile(b, rule(1, "", "*a?a*a?a*a?a*a?ab*"))
	r := request("h", "/"+strings.Repeat("a", 16<<10))
	for b.Loop() {
		table.Match(r)
	}
}
