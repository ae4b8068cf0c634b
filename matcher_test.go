package albion_test

import (
	"testing"

	"github.com/albion-lb/albion"
)

func TestMatcher(t *testing.T) {
	for _, c := range []struct {
		matcher string
		yes, no []int
	}{
		{"200", []int{200}, []int{199, 201, 302, 0}},
		{"200,202", []int{200, 202}, []int{201}},
		{"200-299", []int{200, 250, 299}, []int{300}},
		{"200-299,301,404-404", []int{204, 301, 404}, []int{300, 302, 403, 405}},
		{"200-499", []int{200, 499}, []int{500, 199}},
	} {
		m, err := albion.ParseMatcher(c.matcher)
		if err != nil {
			t.Errorf("%s: %v", c.matcher, err)
		}
		for _, status := range c.yes {
			if !m.Match(status) {
				t.Errorf("%s does not match %d", c.matcher, status)
			}
		}
		for _, status := range c.no {
			if m.Match(status) {
				t.Errorf("%s matches %d", c.matcher, status)
			}
		}
	}
	for _, bad := range []string{"", ",", "200,", "199", "500", "200-500", "299-200", "20", "2000", "200 ", "+20", "2x0", "200-201-202", "-", "200-"} {
		if _, err := albion.ParseMatcher(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// FuzzParseMatcher: what is accepted matches something, and nothing outside 200
// to 499.
func FuzzParseMatcher(f *testing.F) {
	for _, seed := range []string{"200", "200-299,301", "200,,", "499-200", "２００"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := albion.ParseMatcher(s)
		if err != nil {
			return
		}
		matched := 0
		for status := -1; status <= 1000; status++ {
			if !m.Match(status) {
				continue
			}
			matched++
			if status < 200 || status > 499 {
				t.Fatalf("%q matches %d", s, status)
			}
		}
		if matched == 0 {
			t.Fatalf("%q matches nothing", s)
		}
	})
}
