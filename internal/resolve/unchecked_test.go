package resolve_test

import (
	"errors"
	"testing"

	"github.com/albion-lb/albion/internal/resolve"
	"github.com/albion-lb/albion/internal/resolve/resolvetest"
)

// A recursive server withholds what its signatures do not hold for, and says it
// to whoever takes that upon himself.
func TestUnchecked(t *testing.T) {
	net := resolvetest.New(t,
		resolvetest.Zone{Name: "bogus.test", Text: "www A 192.0.2.1", Bogus: true},
		resolvetest.Zone{Name: "example.test", Text: "www A 192.0.2.2"},
	)
	for _, c := range []struct {
		name      string
		unchecked bool
		want      error
	}{
		{"www.bogus.test", false, resolve.ServFail}, {"www.bogus.test", true, nil},
		{"www.example.test", false, nil}, {"www.example.test", true, nil},
	} {
		r, err := resolve.New(resolve.Config{Servers: []string{net.Recursive}, Port: net.Port, Unchecked: c.unchecked})
		if err != nil {
			t.Fatal(err)
		}
		if a, err := r.Lookup(t.Context(), c.name, "A"); !errors.Is(err, c.want) || err == nil && len(a.Of("A")) != 1 {
			t.Errorf("%s, unchecked %t: %+v, %v", c.name, c.unchecked, a, err)
		}
	}
}
