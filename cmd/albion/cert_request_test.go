package main

import (
	"strings"
	"testing"
)

// Somebody who asks again sees what happens now, and not what happened then.
func TestStepsThatStoodBeforeAreNotShown(t *testing.T) {
	old := []string{"ordered", "the CA could not be reached"}
	for name, c := range map[string]struct{ then, now []string }{
		"the order goes on": {append(old, "asked again"), []string{"asked again"}},
		"nothing yet":       {old, nil},
		"another order":     {[]string{"ordered anew"}, []string{"ordered anew"}},
		"another as long":   {[]string{"ordered anew", "the CA may look"}, []string{"ordered anew", "the CA may look"}},
	} {
		var out strings.Builder
		p := progress{out: &out}
		p.skip(old)
		p.show(c.then)
		want := ""
		for _, step := range c.now {
			want += "  - " + step + "\n"
		}
		if out.String() != want {
			t.Errorf("%s: %q, want %q", name, out.String(), want)
		}
	}
}
